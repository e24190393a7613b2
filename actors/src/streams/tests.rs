//! The embedded store on the real disk, and on a played one where that has to fail.

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use serde_json::json;
use unity_supervisors::Priority;
use unity_supervisors::bus::{Blob, Draft, EventId, Topic};
use unity_supervisors::clock::Timestamp;
use unity_supervisors::stream::conformance;

use unity_supervisors::stream::Group;

use super::book::{Book, BookRead, LineV1};
use super::record::{self, HEAD_LEN, Names};
use super::sim::SimDisk;
use super::*;

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("uk-streams-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn open(&self) -> Arc<EmbeddedStreams> {
        EmbeddedStreams::open(&self.0, Clock::real(), Options::default()).unwrap()
    }

    /// The only segment of the stream.
    fn segment(&self) -> PathBuf {
        let files = std::fs::read_dir(self.0.join("a=b")).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "seg");
        paths.find(is_segment).unwrap()
    }

    fn remove_table(&self) {
        std::fs::remove_file(self.segment().with_extension("idx")).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn name() -> StreamName {
    StreamName::new("a:b").unwrap()
}

fn event(id: u128) -> Arc<Event> {
    let mut draft = Draft::new(
        &Topic::new("a.b").unwrap(),
        json!({ "n": id, "x": "x".repeat(50) }),
    );
    draft.id = Some(EventId::from_u128(id));
    Arc::new(draft.as_it_is())
}

async fn append(store: &EmbeddedStreams, id: u128) -> Position {
    let append = store.append(&name(), event(id), Durability::Durable, None);
    append.await.unwrap()
}

async fn ids(store: &EmbeddedStreams) -> Vec<u128> {
    let read = store.read(&name(), Position::START, Position::END, usize::MAX);
    let read = read.await.unwrap();
    read.iter().map(|entry| entry.event.id.as_u128()).collect()
}

async fn info(store: &EmbeddedStreams) -> StreamInfo {
    store.streams().await.unwrap().remove(0)
}

#[tokio::test]
async fn embedded_streams_are_streams() {
    let folder = Folder::new("conformance");
    let count = AtomicUsize::new(0);

    conformance::all(async |clock| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let folder = folder.0.join(number.to_string());
        EmbeddedStreams::open(folder, clock, Options::default()).unwrap() as _
    })
    .await;
}

/// The same with nothing in memory and a segment for each few entries.
#[tokio::test]
async fn embedded_streams_are_streams_when_all_is_read_from_disk() {
    let folder = Folder::new("conformance-disk");
    let count = AtomicUsize::new(0);
    let options = Options {
        recent_bytes: 0,
        segment_bytes: 500,
        fill_bytes: 0,
        ..Options::default()
    };

    conformance::all(async |clock| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let folder = folder.0.join(number.to_string());
        EmbeddedStreams::open(folder, clock, options).unwrap() as _
    })
    .await;
}

/// What version 1 is for ever: a kernel that cannot read this has broken what people have on their disks.
#[test]
fn a_segment_is_stored_in_the_form_of_version_1() {
    let golden = include_bytes!("golden/segment.v1");
    let mut draft = Draft::new(&Topic::new("sensor.camera").unwrap(), json!({"cpu": 0.1}));
    draft.id = Some(EventId::from_u128(7));
    draft.source = Some("/sensors/camera".into());
    draft.time = Some(Timestamp::from_unix_ms(1_763_675_400_123));
    draft.priority = Some(Priority::High);
    let extras = draft.extras();
    extras.meta.insert("trace_id".to_owned(), json!("t1"));
    extras.captured_at = Some(Timestamp::from_unix_ms(1));
    extras.expires = Some(Timestamp::from_unix_ms(2));
    extras.reply_to = Some(Topic::new("reply.a").unwrap());
    extras.correlation_id = Some("c1".to_owned());
    extras.blob = Some(Blob {
        media_type: "image/jpeg".into(),
        bytes: vec![0, 255].into(),
    });
    let event = draft.as_it_is();

    let mut segment = segment::head(&name(), Position { ms: 3, seq: 4 });
    let mut record = record::record(&event);
    record::set_head(&mut record, Position { ms: 5, seq: 6 }, 9, 0x1234);
    segment.extend(&record);

    assert_eq!(segment, golden, "{segment:?}");
    let body = golden
        .get(segment.len() - record.len() + HEAD_LEN..)
        .unwrap();
    assert_eq!(record::decode(body, &mut Names::default()), Some(event));
}

#[test]
fn a_table_and_a_book_are_stored_in_the_form_of_version_1() {
    let at = |seq| Position { ms: 5, seq };
    let row = |seq, at| segment::Row {
        position: Position { ms: 5, seq },
        id: EventId::from_u128(u128::from(seq) + 7),
        at,
        len: 50,
    };
    let rows = vec![row(6, 28), row(7, 78)];
    let mut book = Book {
        floor: at(1),
        ..Book::default()
    };
    let mut group = Group::after(at(9));
    let now = Timestamp::from_unix_ms(1_763_675_400_123);
    group.hand_out([at(7), at(8)], &"c".into(), now);
    group.hand_out([at(8)], &"d".into(), now);
    book.groups.insert("g".to_owned(), group);
    let mut lines = book.to_bytes();
    LineV1::acked("g", &[at(7)]).write(&mut lines);
    LineV1::group("h", at(2)).write(&mut lines);
    LineV1::Dropped("h".to_owned()).write(&mut lines);
    book.groups.get_mut("g").unwrap().ack(&[at(7)]);

    let table = segment::table(128, 1, &rows);

    assert_eq!(table, include_bytes!("golden/table.v1"), "{table:?}");
    assert_eq!(segment::rows(&table), Some(rows));
    assert_eq!(lines, include_bytes!("golden/book.v1"), "{lines:?}");
    assert_eq!(Book::read(&lines), BookRead::Says(book, true));
}

#[tokio::test]
async fn all_is_found_again_and_ids_are_still_known() {
    let folder = Folder::new("again");
    let store = folder.open();
    let first = append(&store, 1).await;
    append(&store, 2).await;
    store
        .make_group(&name(), "g", Position::START)
        .await
        .unwrap();
    store.read_group(&name(), "g", "c", 1).await.unwrap();
    store.close().await;

    let store = folder.open();

    assert_eq!(append(&store, 1).await, first);
    assert_eq!(append(&store, 3).await.max(first), info(&store).await.last);
    assert_eq!(ids(&store).await, [1, 2, 3]);
    let pending = store
        .pending(&name(), "g", Position::START, 9)
        .await
        .unwrap();
    assert_eq!(pending.first().map(|one| one.position), Some(first));
    let next = store.read_group(&name(), "g", "c", 1).await.unwrap();
    assert_eq!(next.first().unwrap().event, event(2));
    store.close().await;
}

#[tokio::test]
async fn a_folder_is_open_in_one_place() {
    let folder = Folder::new("lock");
    let store = folder.open();

    let second = EmbeddedStreams::open(&folder.0, Clock::real(), Options::default());

    let said = second.unwrap_err().to_string();
    assert!(said.ends_with("are open in another process: end that one, or use another folder"));
    store.close().await;
    folder.open().close().await;
}

#[tokio::test]
async fn a_newer_version_is_refused_and_left_alone() {
    let folder = Folder::new("newer");
    let store = folder.open();
    append(&store, 1).await;
    store.close().await;
    let segment = folder.segment();
    let file = File::options().write(true).open(&segment).unwrap();
    file.write_all_at(&[2], 3).unwrap();
    let before = std::fs::read(&segment).unwrap();

    let store = folder.open();
    let refused = store
        .append(&name(), event(2), Durability::Durable, None)
        .await;

    let said = refused.unwrap_err().to_string();
    assert!(
        said.contains("is of version 2, and this kernel knows version 1"),
        "{said}"
    );
    let trouble = info(&store).await.trouble.unwrap();
    assert!(said.ends_with(&trouble));
    store.close().await;
    assert_eq!(std::fs::read(&segment).unwrap(), before);
}

/// With the table of the segment, the hole is met by whoever reads; without, by whoever opens.
#[tokio::test]
async fn what_is_spoiled_in_the_middle_is_skipped_and_counted() {
    for has_table in [true, false] {
        let folder = Folder::new("spoiled");
        let store = folder.open();
        for id in 1..=5 {
            append(&store, id).await;
        }
        store.close().await;
        let bytes = std::fs::read(folder.segment()).unwrap();
        let third = bytes
            .windows(7)
            .position(|bytes| bytes == b"{\"n\":3,")
            .unwrap();
        let file = File::options().write(true).open(folder.segment()).unwrap();
        file.write_all_at(b"?", third as u64).unwrap();
        if !has_table {
            folder.remove_table();
        }

        let store = folder.open();

        assert_eq!(ids(&store).await, [1, 2, 4, 5]);
        let info = info(&store).await;
        assert_eq!((info.skipped, info.length), (1, 4), "{has_table}");
        store.close().await;
        let store = folder.open();
        assert_eq!(ids(&store).await, [1, 2, 4, 5]);
        store.close().await;
    }
}

/// A store on a played disk; the test is the one who writes.
fn played(options: Options) -> (SimDisk, EmbeddedStreams<SimDisk>) {
    let disk = SimDisk::new(1);
    let now: &'static AtomicI64 = Box::leak(Box::default());
    let store = Store::new(disk.clone(), Path::new("/"), Clock::set_by(now), options);
    let store = EmbeddedStreams {
        store: Arc::new(store),
        ended: None,
    };
    (disk, store)
}

#[test]
fn a_full_disk_holds_appends_back_and_loses_none() {
    let options = Options {
        queue_len: 3,
        timeout: Duration::ZERO,
        ..Options::default()
    };
    let (disk, store) = played(options);
    let mut appends: Vec<_> = Vec::new();
    let append = |id| store.append(&name(), event(id), Durability::Async, None);
    appends.push(append(1));
    let _due = store.store.round(true);
    disk.fill_up();
    for id in 2..=4 {
        appends.push(append(id));
    }
    let _due = store.store.round(true);
    for id in 5..=9 {
        appends.push(append(id));
    }
    let trouble = store
        .streams()
        .now_or_never()
        .unwrap()
        .unwrap()
        .remove(0)
        .trouble;
    let _due = store.store.round(true);
    disk.fill(false);
    while store.store.round(true).is_some() {}

    let mut taken = Vec::new();
    for (id, append) in (1_u128..).zip(appends) {
        match append.now_or_never().unwrap() {
            Ok(_) => taken.push(id),
            Err(StreamError::Full { why, .. }) => assert_eq!(why, "no storage space"),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(trouble.as_deref(), Some("no storage space"));
    assert_eq!(
        taken,
        [1, 2, 3, 4, 5, 6, 7],
        "8 and 9 waited for room in vain"
    );
    let read = store.read(&name(), Position::START, Position::END, 99);
    let read = read.now_or_never().unwrap().unwrap();
    let ids: Vec<_> = read.iter().map(|entry| entry.event.id.as_u128()).collect();
    assert_eq!(ids, taken);
    let info = store.streams().now_or_never().unwrap().unwrap().remove(0);
    assert_eq!(info.trouble, None);
}

#[test]
fn a_sync_that_fails_for_good_is_said_and_what_was_taken_is_written_later() {
    let (disk, store) = played(Options::default());
    disk.fail(100);
    let append = || store.append(&name(), event(1), Durability::Durable, None);
    let first = append();
    let _due = store.store.round(false);

    let refused = first.now_or_never().unwrap();
    assert!(
        matches!(refused, Err(StreamError::NotWritten { .. })),
        "{refused:?}"
    );
    disk.fail(0);
    let again = append();
    let _due = store.store.round(false);

    assert!(again.now_or_never().unwrap().is_ok());
    let read = store.read(&name(), Position::START, Position::END, 99);
    assert_eq!(read.now_or_never().unwrap().unwrap().len(), 1);
}
