//! `sensor.files`, on real files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use unity_supervisors::Kernel;

use crate::harness::{Ear, boot, child, config, observed, spawn};

/// A folder, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("uk-files-{}-{next}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(fs::canonicalize(path).unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

struct World {
    kernel: Kernel,
    ear: Arc<Ear>,
    folder: Folder,
}

impl World {
    /// A sensor of `path` in the folder, with a file there already.
    async fn new(path: &str, more: Value) -> Self {
        let folder = Folder::new();
        folder.write("there", "before");
        let kernel = boot(config(), vec![]).await;
        let ear = Ear::on(&kernel, "perception.file_changed");
        let mut settings = json!({"paths": [folder.at(path)], "debounce": "50ms"});
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        spawn(&kernel, child("files", "sensor.files", settings)).await;
        Self {
            kernel,
            ear,
            folder,
        }
    }

    /// What was said, each `name change`, once there are so many.
    async fn said(&self, count: usize) -> Vec<String> {
        let heard = self.ear.until(count).await;
        let name = |value: &Value| {
            let path = Path::new(value.as_str().unwrap()).to_owned();
            path.strip_prefix(&self.folder.0)
                .unwrap()
                .display()
                .to_string()
        };
        let said = heard.iter().map(|event| {
            let from = event
                .data
                .get("from")
                .map(|from| format!(" from {}", name(from)));
            let (path, change) = (name(&event.data["path"]), event.data["change"].as_str());
            format!("{path} {}{}", change.unwrap(), from.unwrap_or_default())
        });
        said.collect()
    }
}

#[tokio::test]
async fn each_change_is_one_event_however_an_editor_saves() {
    let world = World::new("", json!({})).await;
    let folder = &world.folder;

    // A copy that is renamed over the file, with a lock and a try-out beside it.
    folder.write(".there.swp", "x");
    folder.write("4913", "");
    fs::remove_file(folder.at("4913")).unwrap();
    folder.write("there.new", "one");
    folder.write("there.new", "one more");
    fs::rename(folder.at("there.new"), folder.at("there")).unwrap();
    fs::remove_file(folder.at(".there.swp")).unwrap();
    world.said(1).await;
    folder.write("new", "x");
    world.said(2).await;
    fs::rename(folder.at("new"), folder.at("newer")).unwrap();
    world.said(3).await;
    fs::remove_file(folder.at("newer")).unwrap();
    world.said(4).await;
    fs::create_dir_all(folder.at("deep/deeper")).unwrap();
    folder.write("deep/deeper/file", "x");
    let said = world.said(5).await;

    assert_eq!(
        said,
        [
            "there changed",
            "new created",
            "newer renamed from new",
            "newer removed",
            "deep/deeper/file created"
        ]
    );
}

#[tokio::test]
async fn only_what_fits_is_told() {
    let world = World::new("", json!({"patterns": ["*.py"], "recursive": false})).await;
    let folder = &world.folder;
    fs::create_dir(folder.at("deep")).unwrap();

    folder.write("deep/a.py", "x");
    folder.write("a.txt", "x");
    folder.write("a.py", "x");
    let said = world.said(1).await;
    folder.write("b.py", "x");

    assert_eq!(said, ["a.py created"]);
    assert_eq!(world.said(2).await, ["a.py created", "b.py created"]);
}

#[tokio::test]
async fn what_is_missing_is_waited_for_and_may_come_and_go() {
    let world = World::new("later/on", json!({})).await;
    let folder = &world.folder;
    let state = |state: &'static str| {
        observed(&world.kernel, "/files", move |its| {
            its["paths"][0]["state"] == state
        })
    };
    state("missing").await;

    fs::create_dir_all(folder.at("later/on")).unwrap();
    folder.write("later/on/a", "x");
    world.said(1).await;
    fs::remove_dir_all(folder.at("later")).unwrap();
    world.said(2).await;
    state("missing").await;
    fs::create_dir_all(folder.at("later/on")).unwrap();
    folder.write("later/on/b", "x");
    world.said(3).await;
    // Another folder takes its place.
    fs::create_dir(folder.at("other")).unwrap();
    folder.write("other/c", "x");
    fs::rename(folder.at("later/on"), folder.at("later/away")).unwrap();
    fs::rename(folder.at("other"), folder.at("later/on")).unwrap();
    world.said(5).await;
    folder.write("later/on/d", "x");
    let said = world.said(6).await;

    assert_eq!(
        said,
        [
            "later/on/a created",
            "later/on/a removed",
            "later/on/b created",
            "later/on/b removed",
            "later/on/c created",
            "later/on/d created"
        ]
    );
    let slot = world.kernel.registry().get(&"/files".parse().unwrap());
    assert_eq!(slot.unwrap().incarnation(), 1);
}

#[tokio::test]
async fn a_file_alone_is_watched_also_when_it_is_replaced() {
    let world = World::new(
        "there",
        json!({"patterns": ["*.py"], "topic": "perception.file_changed"}),
    )
    .await;
    let folder = &world.folder;

    for number in 1..=3 {
        folder.write("beside", "x");
        folder.write("there.new", &number.to_string());
        fs::rename(folder.at("there.new"), folder.at("there")).unwrap();
        world.said(number).await;
    }

    assert_eq!(world.said(3).await, ["there changed"; 3]);
}
