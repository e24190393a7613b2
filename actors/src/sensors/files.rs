//! `sensor.files`: publishes what is created, changed, removed or renamed in files and folders.
//!
//! The system only tells where something happened; what happened is seen by a look at it, once nothing more has happened
//! for `debounce`. So however an editor saves a file, that is one event. A path that is missing is waited for, and its
//! files are `created` when it appears; what is there when a life begins is no news, and neither is what happened
//! between two lives.
//!
//! Where the system cannot tell of all that happens, as when there are no inotify watches left, the life ends with that as
//! its reason, and the next one tries again: give it a `backoff`.

mod ear;
mod known;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use globset::Glob;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use unity_supervisors::bus::{Draft, Topic};
use unity_supervisors::{
    Actor, Address, Apply, Context, Exit, Message, Next, SettingsHandle, Start,
};

use self::ear::{Ear, Heard, Listener};
use self::known::{Files as Known, Filter, changes};
use super::Outlet;
use crate::bounds;
use crate::debounce::Debounce;
use crate::duration::DurationText;

/// How many files one sensor looks at.
pub const FILES_MAX: usize = 100_000;
/// Time between two looks whether what is watched is still where it was.
const ARM_EVERY: Duration = Duration::from_secs(1);

/// Settings of `sensor.files`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesSettings {
    /// Files and folders, which may be missing for now. What is not absolute is seen from where the kernel was started.
    #[serde(deserialize_with = "paths")]
    #[schemars(length(min = 1))]
    pub paths: Vec<PathBuf>,
    /// Whether folders in folders are watched as well.
    #[serde(default = "yes")]
    pub recursive: bool,
    /// Only files that fit one of these, as in `*.py` (of names) or `src/**/*.py` (seen from the folder that is watched). All,
    /// if there are none.
    #[serde(default, deserialize_with = "patterns")]
    pub patterns: Vec<String>,
    /// How long nothing must happen before what happened is published, up to 1 m; at most ten times as long in all.
    #[serde(
        default = "debounce",
        deserialize_with = "bounds::duration::<_, 0, 60_000>"
    )]
    pub debounce: DurationText,
    /// What it publishes.
    #[serde(default = "topic")]
    #[schemars(with = "String")]
    pub topic: Topic,
}

fn yes() -> bool {
    true
}

fn debounce() -> DurationText {
    DurationText(Duration::from_millis(200))
}

fn topic() -> Topic {
    Topic::new("perception.file_changed").expect("`perception.file_changed` is a topic")
}

fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let paths = Vec::<PathBuf>::deserialize(deserializer)?;
    if paths.is_empty() || paths.iter().any(|path| path.as_os_str().is_empty()) {
        return Err(D::Error::custom(
            "at least one path is wanted, and none that is empty, as in `[notes, /etc/hosts]`",
        ));
    }
    Ok(paths)
}

fn patterns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let patterns = Vec::<String>::deserialize(deserializer)?;
    for pattern in &patterns {
        Glob::new(pattern).map_err(|error| {
            D::Error::custom(format!(
                "`{pattern}` is no pattern of names, as `*.py` is one: {}",
                error.kind()
            ))
        })?;
    }
    Ok(patterns)
}

/// Messages of `sensor.files`.
#[derive(Debug, Message)]
#[message(json)]
pub enum FilesMessage {
    /// Look where something happened.
    Look,
    /// See whether what is watched is still where it was.
    Arm,
}

/// Watches files.
#[derive(Debug)]
pub struct Files {
    roots: Vec<PathBuf>,
    recursive: bool,
    filter: Filter,
    listener: Listener,
    known: Known,
    outlet: Outlet,
    published: u64,
}

impl Files {
    /// Listens where there is something now, and looks at everything there.
    fn begin(settings: &FilesSettings, outlet: Outlet) -> Result<Self, Exit> {
        let absolute = |path: &PathBuf| std::path::absolute(path);
        let roots: Result<Vec<PathBuf>, _> = settings.paths.iter().map(absolute).collect();
        let mut files = Self {
            roots: roots?,
            recursive: settings.recursive,
            filter: Filter::new(settings.recursive, &settings.patterns)?,
            listener: Listener::new().map_err(Exit::error)?,
            known: Known::new(),
            outlet,
            published: 0,
        };
        files.arm()?;
        for root in &files.roots {
            if !root.exists() {
                tracing::info!(path = %files.outlet.path, root = %root.display(), "waits for what is to be watched");
            }
        }
        files.known = files.look(&files.roots)?;
        Ok(files)
    }

    fn arm(&mut self) -> Result<bool, Exit> {
        let armed = self.listener.arm(&self.roots, self.recursive);
        armed.map_err(Exit::error)
    }

    /// What is at `scopes` and below, as far as it is watched.
    fn look(&self, scopes: &[PathBuf]) -> Result<Known, Exit> {
        let mut now = Known::new();
        for scope in scopes {
            for root in &self.roots {
                let scope = if scope.starts_with(root) {
                    scope
                } else if root.starts_with(scope) {
                    root
                } else {
                    continue;
                };
                let looked = self.filter.look(root, scope, &mut now, FILES_MAX);
                looked.map_err(|count| too_many(root, count))?;
            }
        }
        Ok(now)
    }

    /// Publishes what became of the files where something happened.
    async fn tell(&mut self, heard: Heard) -> Result<(), Exit> {
        let scopes = if heard.all {
            self.roots.clone()
        } else {
            outermost(heard.touched)
        };
        let now = self.look(&scopes)?;
        let mut before = Known::new();
        for scope in &scopes {
            let from_it = self.known.range(scope.clone()..);
            let below = from_it.take_while(|(path, _)| path.starts_with(scope));
            before.extend(below.map(|(path, stamp)| (path.clone(), *stamp)));
        }
        let changes = changes(&before, &now);
        for path in before.keys() {
            self.known.remove(path);
        }
        self.known.extend(now);
        if self.known.len() > FILES_MAX {
            return Err(too_many(Path::new("all paths"), self.known.len()));
        }
        for change in changes {
            let draft = Draft::new(&self.outlet.topic, serde_json::to_value(&change)?);
            self.outlet.say(draft, false).await;
            self.published += 1;
        }
        Ok(())
    }
}

fn too_many(root: &Path, count: usize) -> Exit {
    Exit::error(format!(
        "{} has {count} files or more, and at most {FILES_MAX} are watched; name narrower `paths` or `patterns`",
        root.display()
    ))
}

/// Those that are not below another.
fn outermost(paths: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut outermost: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !outermost.last().is_some_and(|last| path.starts_with(last)) {
            outermost.push(path);
        }
    }
    outermost
}

/// Tells the sensor to look once it is quiet.
async fn listen(
    ear: Arc<Ear>,
    mut settings: SettingsHandle<FilesSettings>,
    myself: Address<FilesMessage>,
) -> Result<(), Exit> {
    let mut debounce = Debounce::default();
    loop {
        let due = debounce.due();
        tokio::select! {
            biased;
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                debounce.done();
                if let Err(error) = myself.tell(FilesMessage::Look).await {
                    tracing::warn!(path = %myself.path(), %error, "a look at files is put off");
                    ear.rung.notify_one();
                }
            }
            () = ear.rung.notified() => {
                debounce.event(Instant::now(), settings.get().debounce.0);
            }
            // One for which there is no room is skipped: the next one says the same.
            () = sleep(ARM_EVERY) => drop(myself.try_tell(FilesMessage::Arm)),
        }
    }
}

impl Actor for Files {
    type Message = FilesMessage;
    type Settings = FilesSettings;

    async fn start(settings: &FilesSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let outlet = Outlet::new(ctx, settings.topic.clone());
        let files = Self::begin(settings, outlet)?;
        let ear = Arc::clone(&files.listener.ear);
        ctx.spawn(listen(ear, ctx.settings(), ctx.myself()));
        Ok(Start::Running(files))
    }

    async fn handle(
        &mut self,
        message: &mut FilesMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let is_new = self.arm()?;
        match message {
            FilesMessage::Arm if is_new => self.listener.ear.touch_all(),
            FilesMessage::Arm => {}
            FilesMessage::Look => {
                let mut heard = self.listener.ear.take();
                if let Some(trouble) = heard.trouble {
                    return Err(Exit::error(trouble));
                }
                heard.all |= is_new;
                self.tell(heard).await?;
            }
        }
        Ok(Next::Continue)
    }

    async fn apply(&mut self, new: &FilesSettings, ctx: &mut Context<Self>) -> Apply {
        let mut handle = ctx.settings();
        let now = handle.get();
        let same = FilesSettings {
            debounce: now.debounce,
            ..new.clone()
        };
        if same == **now {
            Apply::Applied
        } else {
            Apply::Restart
        }
    }

    fn observe(&self) -> Value {
        let state = |root: &PathBuf| {
            let state = if root.exists() { "watched" } else { "missing" };
            json!({ "path": root, "state": state })
        };
        let paths: Vec<Value> = self.roots.iter().map(state).collect();
        json!({ "paths": paths, "files": self.known.len(), "published": self.published })
    }
}
