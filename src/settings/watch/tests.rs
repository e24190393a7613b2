use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::AtomicU32;

use tokio::time::timeout;

use super::files::{Armed, Entry, entry, names, stamp, state};
use super::*;

/// Longer than any test waits: then what is found is found because the system told of it.
const NEVER: Duration = Duration::from_secs(3_600);
/// Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder of its own with a watch, gone at the end.
struct Rig {
    root: PathBuf,
    watch: Watch,
    handle: WatchHandle,
}

impl Rig {
    /// Watches `files` and the folder `system.d`, after `make` has made what is there from the start.
    async fn new(files: &[&str], make: impl FnOnce(&Path)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("uk-watch-{}-{next}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        make(&root);
        let set = WatchSet {
            files: files.iter().map(|name| root.join(name)).collect(),
            folders: [root.join("system.d")].into(),
        };
        let pace = Pace {
            debounce: Duration::from_millis(10),
            look_every: NEVER,
        };
        let (watch, handle) = Watch::new(set, pace);
        let mut rig = Self {
            root,
            watch,
            handle,
        };
        rig.next().await;
        rig
    }

    async fn next(&mut self) -> BTreeSet<PathBuf> {
        let changed = timeout(PATIENCE, self.watch.next()).await.unwrap().paths;
        assert!(!changed.is_empty());
        let within = |path: PathBuf| path.strip_prefix(&self.root).unwrap().to_owned();
        changed.into_iter().map(within).collect()
    }

    fn said(&self, name: &str) -> Option<&State> {
        self.watch.inner.said.get(&self.path(name))
    }

    /// Waits until it has said that `name` is what it is. It must have said another thing before.
    async fn says(&mut self, name: &str) {
        let now = state(&self.path(name));
        assert_ne!(self.said(name), Some(&now), "{name} is as it was");
        while self.said(name) != Some(&now) {
            self.next().await;
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.root));
    }
}

fn tree(root: &Path) {
    fs::write(root.join("tree.yaml"), "old").unwrap();
}

#[tokio::test]
async fn a_file_that_is_written_in_place_is_said_as_it_is_in_the_end() {
    let mut rig = Rig::new(&["tree.yaml"], tree).await;

    for text in ["", "half", "half and half", "new"] {
        rig.write("tree.yaml", text);
    }
    rig.says("tree.yaml").await;

    rig.write("tree.yaml", "newer");
    rig.says("tree.yaml").await;
}

#[tokio::test]
async fn a_file_that_is_replaced_is_said_each_time() {
    let mut rig = Rig::new(&["tree.yaml"], tree).await;

    for text in ["one", "two", "three"] {
        rig.write(".tree.yaml.new", text);
        rig.rename(".tree.yaml.new", "tree.yaml");
        rig.says("tree.yaml").await;
    }
}

#[tokio::test]
async fn the_backup_of_an_editor_does_not_hide_the_file() {
    let mut rig = Rig::new(&["tree.yaml"], tree).await;

    for text in ["one", "two"] {
        rig.write("4913", "");
        fs::remove_file(rig.path("4913")).unwrap();
        rig.rename("tree.yaml", "tree.yaml~");
        rig.write("tree.yaml", text);
        fs::remove_file(rig.path("tree.yaml~")).unwrap();
        rig.says("tree.yaml").await;
    }
}

#[tokio::test]
async fn a_swapped_link_of_kubernetes_changes_all_files_behind_it() {
    let version = |root: &Path, name: &str, text: &str| {
        fs::create_dir_all(root.join(name)).unwrap();
        fs::write(root.join(name).join("tree.yaml"), text).unwrap();
        fs::write(root.join(name).join("10.yaml"), text).unwrap();
        symlink(name, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    };
    let mut rig = Rig::new(&["tree.yaml"], |root| {
        version(root, "..2026_1", "one");
        fs::create_dir(root.join("system.d")).unwrap();
        symlink("..data/tree.yaml", root.join("tree.yaml")).unwrap();
        symlink("../..data/10.yaml", root.join("system.d/10.yaml")).unwrap();
    })
    .await;

    for (name, before, text) in [
        ("..2026_2", "..2026_1", "two"),
        ("..2026_3", "..2026_2", "three"),
    ] {
        version(&rig.root, name, text);
        let now = state(&rig.path("tree.yaml"));
        while rig.said("tree.yaml") != Some(&now) || rig.said("system.d/10.yaml") != Some(&now) {
            rig.next().await;
        }
        fs::remove_dir_all(rig.path(before)).unwrap();
    }
    rig.write("..2026_3/tree.yaml", "in place");
    rig.says("tree.yaml").await;
}

#[tokio::test]
async fn a_folder_that_is_deleted_and_made_again_is_listened_in_again() {
    let make = |root: &Path| {
        fs::create_dir(root.join("conf")).unwrap();
        fs::write(root.join("conf/tree.yaml"), "old").unwrap();
    };
    let mut rig = Rig::new(&["conf/tree.yaml"], make).await;

    for text in ["one", "two"] {
        fs::remove_dir_all(rig.path("conf")).unwrap();
        rig.says("conf/tree.yaml").await;
        fs::create_dir(rig.path("conf")).unwrap();
        rig.write("conf/tree.yaml", text);
        rig.says("conf/tree.yaml").await;
    }
    // Both at once, so that a folder of that name is always there when it looks.
    fs::remove_dir_all(rig.path("conf")).unwrap();
    fs::create_dir(rig.path("conf")).unwrap();
    rig.write("conf/tree.yaml", "three");
    rig.says("conf/tree.yaml").await;
    rig.write("conf/tree.yaml", "four");
    rig.says("conf/tree.yaml").await;
}

#[tokio::test]
async fn a_folder_that_takes_the_place_of_another_is_listened_in() {
    let mut rig = Rig::new(&["conf/tree.yaml"], |root| {
        for (folder, text) in [("conf", "old"), ("conf.new", "new")] {
            fs::create_dir(root.join(folder)).unwrap();
            fs::write(root.join(folder).join("tree.yaml"), text).unwrap();
        }
    })
    .await;

    rig.rename("conf", "conf.old");
    rig.rename("conf.new", "conf");
    rig.says("conf/tree.yaml").await;

    rig.write("conf/tree.yaml", "newer");
    rig.says("conf/tree.yaml").await;
}

#[tokio::test]
async fn a_file_may_go_and_return() {
    let mut rig = Rig::new(&["tree.yaml"], tree).await;

    for _ in 0..2 {
        fs::remove_file(rig.path("tree.yaml")).unwrap();
        rig.says("tree.yaml").await;
        tree(&rig.root);
        rig.says("tree.yaml").await;
    }
}

#[tokio::test]
async fn a_file_may_become_a_folder_a_pipe_and_a_file_again() {
    let mut rig = Rig::new(&["tree.yaml"], tree).await;
    let path = rig.path("tree.yaml");

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    rig.says("tree.yaml").await;
    assert_eq!(rig.said("tree.yaml"), Some(&State::Folder));
    fs::remove_dir(&path).unwrap();
    let pipe = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, pipe, 0).unwrap();
    rig.says("tree.yaml").await;
    assert_eq!(rig.said("tree.yaml"), Some(&State::Special));
    fs::remove_file(&path).unwrap();
    tree(&rig.root);
    rig.says("tree.yaml").await;
}

#[tokio::test]
async fn a_file_behind_a_linked_folder_is_said_when_either_changes() {
    let mut rig = Rig::new(&["conf/tree.yaml"], |root| {
        for (folder, text) in [("a", "old"), ("b", "new")] {
            fs::create_dir(root.join(folder)).unwrap();
            fs::write(root.join(folder).join("tree.yaml"), text).unwrap();
        }
        symlink(root.join("a"), root.join("conf")).unwrap();
    })
    .await;

    rig.write("a/tree.yaml", "changed");
    rig.says("conf/tree.yaml").await;
    fs::remove_file(rig.path("conf")).unwrap();
    symlink("b", rig.path("conf")).unwrap();
    rig.says("conf/tree.yaml").await;
    rig.write("b/tree.yaml", "newer");
    rig.says("conf/tree.yaml").await;
}

#[tokio::test]
async fn a_missing_file_in_missing_folders_is_said_when_it_comes() {
    let mut rig = Rig::new(&["a/b/arm.yaml"], |_| {}).await;

    fs::create_dir_all(rig.path("a/b")).unwrap();
    rig.write("a/b/arm.yaml", "here");
    rig.says("a/b/arm.yaml").await;
}

#[tokio::test]
async fn links_that_lead_in_a_circle_are_followed_no_further_than_the_system_does() {
    let mut rig = Rig::new(&["one.yaml"], |root| {
        symlink("two.yaml", root.join("one.yaml")).unwrap();
        symlink("one.yaml", root.join("two.yaml")).unwrap();
    })
    .await;

    fs::remove_file(rig.path("two.yaml")).unwrap();
    rig.write("two.yaml", "an end");
    rig.says("one.yaml").await;
}

#[tokio::test]
async fn settings_of_a_folder_come_change_and_go() {
    let mut rig = Rig::new(&[], |_| {}).await;

    fs::create_dir(rig.path("system.d")).unwrap();
    rig.write("system.d/10.yaml", "one");
    rig.says("system.d/10.yaml").await;
    rig.write("system.d/10.yaml", "two");
    rig.says("system.d/10.yaml").await;
    fs::remove_file(rig.path("system.d/10.yaml")).unwrap();
    assert_eq!(rig.next().await, [PathBuf::from("system.d/10.yaml")].into());
    for leaving in [".10.yaml.swp", ".#10.yaml", "10.yaml~", "4913"] {
        rig.write(&format!("system.d/{leaving}"), "an editor's");
    }
    rig.write("system.d/20.json", "{}");
    assert_eq!(rig.next().await, [PathBuf::from("system.d/20.json")].into());
}

#[tokio::test]
async fn what_leaves_the_content_as_it_was_says_nothing() {
    let mut rig = Rig::new(&["tree.yaml", "mark"], tree).await;

    for round in ["1", "2", "3"] {
        fs::write(rig.path("same"), "old").unwrap();
        rig.rename("same", "tree.yaml");
        fs::read(rig.path("tree.yaml")).unwrap();
        let file = fs::File::options()
            .append(true)
            .open(rig.path("tree.yaml"))
            .unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        rig.write("mark", round);

        assert_eq!(rig.next().await, [PathBuf::from("mark")].into());
    }
}

#[tokio::test]
async fn the_set_may_change_and_what_is_new_in_it_is_said_once() {
    let mut rig = Rig::new(&["tree.yaml"], tree).await;
    let set = |names: &[&str]| WatchSet {
        files: names.iter().map(|name| rig.root.join(name)).collect(),
        folders: BTreeSet::new(),
    };
    let (both, other) = (set(&["tree.yaml", "arm.yaml"]), set(&["arm.yaml"]));

    rig.write("arm.yaml", "one");
    rig.handle.set(both);
    assert_eq!(rig.next().await, [PathBuf::from("arm.yaml")].into());
    rig.write("arm.yaml", "two");
    rig.says("arm.yaml").await;
    rig.handle.set(other);
    rig.write("tree.yaml", "nobody listens");
    rig.write("arm.yaml", "three");
    assert_eq!(rig.next().await, [PathBuf::from("arm.yaml")].into());
}

#[tokio::test]
async fn nothing_of_a_watch_is_left_once_it_is_dropped() {
    let rig = Rig::new(&["tree.yaml"], tree).await;
    let handle = rig.handle.clone();
    assert!(Arc::strong_count(&handle.0) > 2, "the thread knows of it");

    drop(rig);

    // The thread is told to end, and ends at its own time.
    while Arc::strong_count(&handle.0) > 1 {
        tokio::task::yield_now().await;
    }
}

/// Files in memory, of which nobody is told by itself.
#[derive(Clone, Default)]
struct Memory {
    files: Arc<Mutex<BTreeMap<PathBuf, u64>>>,
    reads: Arc<Mutex<u32>>,
    trouble: Option<String>,
}

impl FileSystem for Memory {
    fn entry(&self, _: &Path) -> Entry {
        Entry::Other
    }

    fn names(&self, _: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    fn stamp(&self, path: &Path) -> Stamp {
        match self.files.lock().get(path) {
            Some(version) => Stamp::Of {
                id: (0, 0),
                len: *version,
                modified: (0, 0),
                changed: (0, 0),
            },
            None => Stamp::Failed(std::io::ErrorKind::NotFound),
        }
    }

    fn state(&self, path: &Path) -> State {
        *self.reads.lock() += 1;
        match self.files.lock().get(path) {
            Some(version) => State::Content(*version, 0),
            None => State::Failed(std::io::ErrorKind::NotFound),
        }
    }

    fn arm(&mut self, _: Spots) -> Armed {
        Armed {
            is_new: false,
            trouble: self.trouble.clone(),
        }
    }
}

/// A watch of one file in memory that has said what it had to, and the moment of that.
async fn in_memory() -> (Memory, Looker<Memory>, Arc<Shared>, Instant) {
    let memory = Memory::default();
    let set = WatchSet {
        files: [PathBuf::from("/f")].into(),
        folders: BTreeSet::new(),
    };
    let (mut looker, handle) = Looker::new(set, Pace::default(), |_| memory.clone());
    looker.next().await;
    (memory, looker, handle.0, Instant::now())
}

fn put(memory: &Memory, version: u64) {
    memory.files.lock().insert("/f".into(), version);
}

#[tokio::test(start_paused = true)]
async fn it_looks_fifty_milliseconds_after_the_last_event() {
    let (memory, mut looker, shared, since) = in_memory().await;

    put(&memory, 1);
    shared.bell.ring();
    // Dropping the wait loses nothing of it.
    let early = timeout(Duration::from_millis(30), looker.next()).await;
    assert!(early.is_err());
    shared.bell.ring();
    looker.next().await;

    assert_eq!(since.elapsed().as_millis(), 80);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_written_for_ever_is_looked_at_all_the_same() {
    let (memory, mut looker, shared, since) = in_memory().await;
    let writes = async {
        for version in 1.. {
            put(&memory, version);
            shared.bell.ring();
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    };

    tokio::select! {
        _ = looker.next() => {}
        () = writes => {}
    }

    assert_eq!(since.elapsed().as_millis(), 500);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_told_of_is_found_by_the_slow_look() {
    let (memory, mut looker, _shared, since) = in_memory().await;

    put(&memory, 1);
    looker.next().await;

    let late = since.elapsed().as_millis();
    assert!((50..=2_050).contains(&late), "{late}");
}

#[tokio::test(start_paused = true)]
async fn the_slow_look_reads_nothing_that_is_as_it_was() {
    let (memory, mut looker, _shared, _) = in_memory().await;
    let reads = *memory.reads.lock();

    let waited = timeout(Duration::from_secs(60), looker.next()).await;

    assert!(waited.is_err());
    assert_eq!(*memory.reads.lock(), reads);
}

#[tokio::test(start_paused = true)]
async fn after_an_overflow_it_looks_at_once() {
    let (memory, mut looker, shared, since) = in_memory().await;

    put(&memory, 1);
    shared.bell.ring_at_once();
    looker.next().await;

    assert_eq!(since.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_pace_may_change_and_trouble_is_told() {
    let (memory, mut looker, shared, since) = in_memory().await;
    looker.files.trouble = Some("no ears".to_owned());
    let handle = WatchHandle(shared);

    handle.set_pace(Pace {
        debounce: Duration::from_millis(1),
        look_every: Duration::from_millis(100),
    });
    put(&memory, 1);
    looker.next().await;

    assert_eq!(since.elapsed().as_millis(), 1);
    assert_eq!(handle.trouble().as_deref(), Some("no ears"));
}

/// The real files, of which the system tells nothing.
struct Deaf;

impl FileSystem for Deaf {
    fn entry(&self, path: &Path) -> Entry {
        entry(path)
    }

    fn names(&self, folder: &Path) -> Vec<PathBuf> {
        names(folder)
    }

    fn stamp(&self, path: &Path) -> Stamp {
        stamp(path)
    }

    fn state(&self, path: &Path) -> State {
        state(path)
    }

    fn arm(&mut self, _: Spots) -> Armed {
        Armed::default()
    }
}

#[tokio::test]
async fn real_files_are_found_without_notices_too() {
    let rig = Rig::new(&["tree.yaml"], tree).await;
    let set = rig.handle.0.set.lock().clone();
    let pace = Pace {
        debounce: Duration::from_millis(1),
        look_every: Duration::from_millis(5),
    };
    let (mut looker, _handle) = Looker::new(set, pace, |_| Deaf);
    looker.next().await;

    for text in ["new", "NEW"] {
        rig.write("tree.yaml", text);
        let now = state(&rig.path("tree.yaml"));
        while looker.said.get(&rig.path("tree.yaml")) != Some(&now) {
            timeout(PATIENCE, looker.next()).await.unwrap();
        }
    }
}
