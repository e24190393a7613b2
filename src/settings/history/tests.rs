//! A history in real folders, with power that goes between any two steps.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("uk-history-{}-{next}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn open(&self) -> History {
        let (history, warnings) = History::open(&self.0, Keep::default());
        assert_eq!(warnings, Vec::<String>::new());
        history
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn text(name: &str, text: &str) -> FileText {
    FileText {
        name: name.to_owned(),
        text: text.into(),
    }
}

fn draft(texts: &[FileText], state: State) -> Draft {
    Draft {
        cause: Cause::File,
        by: "a test".to_owned(),
        files: texts.to_vec(),
        overlay: Overlay::default(),
        changes: vec!["/a: every 1s, was 2s".to_owned()],
        state,
    }
}

fn good(history: &mut History, tree: &str, now: u64) -> u64 {
    let (number, kept) = history.record(draft(&[text("a.yaml", tree)], State::Good), at(now));
    kept.unwrap();
    number
}

fn numbers(history: &History) -> Vec<u64> {
    history.versions().map(|version| version.number).collect()
}

fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

fn bad(version: u64) -> Bad {
    Bad {
        version,
        reason: "it panicked".to_owned(),
        at_ms: 7,
    }
}

#[test]
fn what_was_recorded_is_there_after_a_new_start() {
    let folder = Folder::new();
    let files = [
        text("a.yaml", "token: ${secret:KEY}"),
        text("b.yaml", "- id: b"),
    ];
    let mut history = folder.open();
    let (first, kept) = history.record(draft(&files, State::Probation), at(1));
    kept.unwrap();
    let rolled_back = Cause::RolledBack {
        of: first,
        path: path("/a"),
        why: "it panicked".to_owned(),
    };
    let cause = Draft {
        cause: rolled_back,
        ..draft(&files[..1], State::Good)
    };
    history.set_state(first, State::RolledBack).unwrap();
    let hash = history.newest().unwrap().hash;
    history.mark_bad(hash, bad(first));
    let settings = json!({ "every": "1s" });
    history
        .set_last_good([(path("/a"), Some(settings.clone())), (path("/b"), None)])
        .unwrap();
    history.record(cause, at(2)).1.unwrap();

    let again = folder.open();

    assert_eq!(numbers(&again), [1, 2]);
    let versions: Vec<&Version> = again.versions().collect();
    assert_eq!(versions, history.versions().collect::<Vec<_>>());
    assert_eq!(again.get(1).unwrap().state, State::RolledBack);
    assert_eq!(again.texts(1).unwrap(), files);
    assert_eq!(again.texts(2).unwrap(), files[..1]);
    assert_eq!(again.is_bad(hash), Some(&bad(1)));
    assert_eq!(again.last_good(&path("/a")), Some(&settings));
    assert_eq!(again.trouble(), None);
}

#[test]
fn files_are_for_their_owner_alone_and_each_text_is_there_once() {
    let folder = Folder::new();
    let mut history = folder.open();
    good(&mut history, "one", 1);
    good(&mut history, "two", 2);
    good(&mut history, "one", 3);

    let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.0.join("settings")), 0o700);
    assert_eq!(mode(&history.paths.versions()), 0o700);
    assert_eq!(mode(&history.paths.version(1)), 0o600);
    let texts = store::names(&history.paths.texts()).unwrap();
    assert_eq!(texts.len(), 2);
    for text in texts {
        assert_eq!(mode(&history.paths.texts().join(text)), 0o600);
    }
}

#[test]
fn a_hash_is_of_the_set_of_names_and_texts() {
    let of = |texts: &[(&str, &str)]| ContentHash::of_texts(texts.iter().copied());
    let both = of(&[("a", "1"), ("b", "2")]);

    assert_eq!(of(&[("b", "2"), ("a", "1"), ("b", "2")]), both);
    for other in [
        of(&[("a", "2"), ("b", "1")]),
        of(&[("a", "1")]),
        of(&[("a", "1b2")]),
        of(&[("a1", ""), ("b", "2")]),
        of(&[]),
    ] {
        assert_ne!(other, both);
    }
    assert_eq!(both.to_string().parse(), Ok(both));
    for wrong in ["", "abc", &"ä".repeat(32), &"x".repeat(64)] {
        assert!(wrong.parse::<ContentHash>().is_err(), "{wrong}");
    }
}

#[test]
fn the_number_bounds_what_is_kept_but_never_takes_what_is_needed() {
    let folder = Folder::new();
    let keep = Keep {
        versions: 3,
        ..Keep::default()
    };
    let (mut history, _) = History::open(&folder.0, keep);
    let record = |history: &mut History, tree: &str, state| {
        let (_, kept) = history.record(draft(&[text("a.yaml", tree)], state), at(1));
        kept.unwrap();
    };
    record(&mut history, "probation", State::Probation);
    record(&mut history, "old", State::Good);
    record(&mut history, "last good", State::Good);
    for tree in ["4", "5", "6", "7"] {
        record(&mut history, tree, State::RolledBack);
    }

    assert_eq!(numbers(&history), [1, 3, 7]);
    let (again, _) = History::open(&folder.0, keep);
    assert_eq!(numbers(&again), [1, 3, 7]);
    assert_eq!(
        again.texts(3).unwrap()[0].text,
        Arc::<str>::from("last good")
    );
    assert_eq!(store::names(&again.paths.texts()).unwrap().len(), 3);
}

#[test]
fn age_counts_from_the_next_version_and_clocks_that_jump_take_nothing_away() {
    let day = 24 * 60 * 60;
    let now = 20_000 * day;
    for (times, expected) in [
        // The first was followed 31 days ago, the second 29 days ago.
        (
            vec![now - 90 * day, now - 31 * day, now - 29 * day, now],
            vec![2, 3, 4],
        ),
        // Set back to 1970, and right again.
        (vec![now - 2, 0, 1, 2, now], vec![1, 2, 3, 4, 5]),
        // Set forward by mistake, and right again.
        (vec![now - 1, now * 2, now, now + 1], vec![1, 2, 3, 4]),
    ] {
        let folder = Folder::new();
        let mut history = folder.open();
        for time in &times {
            good(&mut history, "same", *time);
        }
        assert_eq!(numbers(&history), expected, "{times:?}");
        assert_eq!(history.newest().unwrap().number, times.len() as u64);
    }
}

#[test]
fn a_number_is_never_used_again() {
    let folder = Folder::new();
    let mut history = folder.open();
    good(&mut history, "one", 1);
    good(&mut history, "two", 2);
    fs::write(history.paths.version(2), "garbage").unwrap();

    let (mut again, warnings) = History::open(&folder.0, Keep::default());

    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    assert!(warning.ends_with("is damaged: its first line is none of ours; version 2 is skipped"));
    assert_eq!(numbers(&again), [1]);
    assert_eq!(good(&mut again, "three", 3), 3);
    // What the damaged version may need stays.
    assert_eq!(store::names(&again.paths.texts()).unwrap().len(), 3);
}

#[test]
fn whatever_a_file_holds_the_history_opens() {
    let folder = Folder::new();
    let mut history = folder.open();
    good(&mut history, "one", 1);
    good(&mut history, "two", 2);
    let hash = history.newest().unwrap().hash;
    history.mark_bad(hash, bad(2));
    history.set_state(2, State::RolledBack).unwrap();
    let file = history.paths.version(2);
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let newer = String::from_utf8(whole.clone()).unwrap();
    let newer = newer.replacen("uk-settings 1", "uk-settings 2", 1);
    let torn = (0..whole.len()).step_by(7).map(|len| whole[..len].to_vec());

    for content in torn.chain([flipped, newer.into_bytes(), vec![0xff; 100]]) {
        fs::write(&file, &content).unwrap();
        fs::write(history.paths.bad(), &content).unwrap();
        let (again, warnings) = History::open(&folder.0, Keep::default());
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert_eq!(numbers(&again), [1]);
        assert_eq!(again.is_bad(hash), None);
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let (again, _) = History::open(&folder.0, Keep::default());
    assert_eq!(numbers(&again), [1]);
}

#[test]
fn a_damaged_text_is_told_and_the_other_versions_can_be_had() {
    let folder = Folder::new();
    let mut history = folder.open();
    good(&mut history, "one", 1);
    good(&mut history, "two", 2);
    let stored = history.paths.text(history.get(1).unwrap().files[0].text);

    fs::write(&stored, "other").unwrap();
    let damaged = history.texts(1).unwrap_err().to_string();
    fs::remove_file(&stored).unwrap();
    let missing = history.texts(1).unwrap_err().to_string();

    let stored = stored.display();
    assert_eq!(
        damaged,
        format!("{stored} is damaged, it held `a.yaml` of version 1; choose another version")
    );
    assert!(missing.starts_with(&format!("cannot read {stored}: No such file")));
    assert_eq!(history.texts(2).unwrap()[0].text, Arc::<str>::from("two"));
    let unknown = history.texts(9).unwrap_err().to_string();
    assert_eq!(unknown, "there is no version 9; there are 1 to 2");
}

#[test]
fn a_file_in_the_place_of_the_folder_leaves_the_history_in_memory() {
    let folder = Folder::new();
    fs::write(folder.0.join("settings"), "").unwrap();

    let (mut history, warnings) = History::open(&folder.0, Keep::default());
    let mut last = Ok(());
    for number in 1..=150_u64 {
        let tree = format!("tree {number}");
        let (_, kept) = history.record(draft(&[text("a.yaml", &tree)], State::Good), at(number));
        last = kept;
    }

    assert_eq!(warnings.len(), 1);
    let error = last.unwrap_err().to_string();
    let versions = history.paths.versions();
    let expected = format!("cannot read {}: ", versions.display());
    assert!(error.starts_with(&expected), "{error}");
    assert!(history.trouble().unwrap().contains("in memory only"));
    assert_eq!(numbers(&history), (51..=150).collect::<Vec<u64>>());
    assert_eq!(
        history.texts(51).unwrap()[0].text,
        Arc::<str>::from("tree 51")
    );
    assert_eq!(history.waiting.texts.len(), 100);
    assert!(
        history
            .set_last_good([(path("/a"), Some(json!({})))])
            .is_err()
    );
    assert_eq!(history.last_good(&path("/a")), Some(&json!({})));
}

/// A disk on which only so many steps are done. The step after them fails, a write half done, and so do all that follow.
#[derive(Debug)]
struct Failing(Mutex<u32>);

impl Failing {
    fn after(steps: u32) -> Arc<Self> {
        Arc::new(Self(Mutex::new(steps)))
    }

    fn step(&self) -> io::Result<()> {
        let mut left = self.0.lock().unwrap();
        *left = left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        Ok(())
    }

    fn mend(&self) {
        *self.0.lock().unwrap() = u32::MAX;
    }
}

impl Disk for Failing {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.make_folder(folder)
    }

    fn write(&self, file: &Path, content: &[u8]) -> io::Result<()> {
        if let Err(error) = self.step() {
            drop(RealDisk.write(file, &content[..content.len() / 2]));
            return Err(error);
        }
        RealDisk.write(file, content)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.sync_folder(folder)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.remove(file)
    }
}

/// What happens to a kernel that keeps two versions; the numbers of the versions that are on the disk by its word.
fn a_busy_day(history: &mut History) -> Vec<u64> {
    let mut kept = Vec::new();
    for number in 1..=5_u64 {
        let files = [
            text("a.yaml", &format!("tree {}", number % 3)),
            text("b.yaml", "the same"),
        ];
        let hash = ContentHash::of_texts(files.iter().map(|f| (&*f.name, &*f.text)));
        let state = match number {
            2 | 4 => State::Probation,
            _ => State::Good,
        };
        let (number, written) = history.record(draft(&files, state), at(number));
        if written.is_ok() {
            kept.push(number);
        }
        let settings = json!({ "n": number });
        let later = match number {
            2 => history.set_state(2, State::Good).is_ok(),
            4 => {
                history.mark_bad(hash, bad(4));
                history.set_state(4, State::RolledBack).is_ok()
            }
            3 => history.forgive(hash).is_ok(),
            _ => history
                .set_last_good([(path("/a"), Some(settings))])
                .is_ok(),
        };
        assert_eq!(later, history.trouble().is_none());
    }
    kept
}

#[test]
fn whenever_the_power_goes_every_version_that_is_there_can_be_read() {
    let keep = Keep {
        versions: 2,
        ..Keep::default()
    };
    let mut steps = 0;
    loop {
        let folder = Folder::new();
        let (mut history, _) = History::open_on(Failing::after(steps), &folder.0, keep);
        let kept = a_busy_day(&mut history);
        let is_whole = history.trouble().is_none();

        let (again, warnings) = History::open(&folder.0, keep);

        assert_eq!(warnings, Vec::<String>::new(), "after {steps} steps");
        let numbers = numbers(&again);
        for number in &numbers {
            assert_eq!(
                again.texts(*number).unwrap().len(),
                2,
                "after {steps} steps"
            );
        }
        // What was said to be on the disk is, the newest of it at least.
        let newest = numbers.last().copied();
        assert!(
            newest >= kept.last().copied(),
            "after {steps} steps: {numbers:?} {kept:?}"
        );
        assert!(numbers.len() <= 4, "after {steps} steps: {numbers:?}");
        if is_whole {
            break;
        }
        steps += 1;
    }
    assert!(steps > 60, "only {steps} steps");
}

#[test]
fn what_waits_for_room_is_written_with_the_next_change() {
    let folder = Folder::new();
    let disk = Failing::after(0);
    let (mut history, _) = History::open_on(Arc::clone(&disk) as _, &folder.0, Keep::default());
    for number in 1..=3 {
        let tree = format!("tree {number}");
        let (_, kept) = history.record(draft(&[text("a.yaml", &tree)], State::Good), at(number));
        let error = kept.unwrap_err();
        assert_eq!(
            (error.what, error.source.kind()),
            ("write", io::ErrorKind::StorageFull)
        );
    }
    let trouble = history.trouble().unwrap().to_owned();
    assert!(
        trouble.contains("3 versions are in memory only"),
        "{trouble}"
    );

    disk.mend();
    history.set_state(1, State::RolledBack).unwrap();

    assert_eq!(history.trouble(), None);
    let again = folder.open();
    assert_eq!(
        again.versions().collect::<Vec<_>>(),
        history.versions().collect::<Vec<_>>()
    );
    assert_eq!(again.texts(3).unwrap()[0].text, Arc::<str>::from("tree 3"));
}
