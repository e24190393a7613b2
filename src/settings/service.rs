//! `/system/settings`: applies what changes in the files, and what people ask for, one thing after the other.
//!
//! The actor is thin: what it knows lies in the [`Room`], which outlives it. A killed one is started again, looks what became
//! of what it had begun, and goes on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use std::sync::Arc;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use unity_supervisors::report::Fact;
use unity_supervisors::slot::Response;
use unity_supervisors::spec::ChildSpec;
use unity_supervisors::{
    Actor, ActorPath, AskError, ChildId, Context, Exit, Kernel, Kinds, Message, Next, Reply, Start,
};

use super::history::Keep;
use super::keeper::{Act, Ask, Keeper, Trouble};
use super::reload::ReloadBell;
use super::rollbacks::{Rollback, rollbacks};
use super::system::{InForce, SystemFiles, SystemSettings};
use super::watch::{Pace, Watch, WatchHandle, WatchSet};
use crate::error::{Code, CommandError};
use crate::event_file::EventFiles;

/// Where the service lives.
pub const PATH: &str = "/system/settings";
/// How long somebody waits for a change: actors may think about it, and children may take their time to start.
const CHANGED_WITHIN: Duration = Duration::from_secs(60);
/// How many rollbacks wait to be written down.
const NOTICES_MAX: usize = 1_024;

/// What the service and those who ask it share; found by its type with [`Kernel::shared`].
///
/// Nobody holds two of its locks at once, but that of the keeper, which comes first.
#[derive(Default)]
pub struct Room {
    keeper: tokio::sync::Mutex<Option<Keeper>>,
    notices: Mutex<Notices>,
    noticed: Notify,
    status: Mutex<Status>,
    watch: Mutex<Option<WatchHandle>>,
    system: Mutex<Option<SystemFiles>>,
    events: Mutex<Option<EventFiles>>,
}

/// How the settings are, for whoever does not want to wait for a change under way.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The version in force; 0 where there is no history.
    pub number: u64,
    /// What needs somebody.
    pub troubles: Vec<Trouble>,
    /// Who has its former settings back.
    pub rollbacks: BTreeMap<ActorPath, Rollback>,
}

/// What the kernel did by itself and is to be written down.
#[derive(Debug, Default)]
struct Notices {
    /// Who has its former settings back, and why.
    rolled_back: VecDeque<(ActorPath, String)>,
    /// Whose settings have completed their probation, and which.
    proved: BTreeMap<ActorPath, Arc<Value>>,
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Room {
    /// One for a kernel that is about to start.
    #[must_use]
    pub fn new(keeper: Keeper, system: Option<SystemFiles>, events: Option<EventFiles>) -> Self {
        let status = status(&keeper);
        Self {
            keeper: tokio::sync::Mutex::new(Some(keeper)),
            status: Mutex::new(status),
            system: Mutex::new(system),
            events: Mutex::new(events),
            ..Self::default()
        }
    }

    /// Hears of a fact.
    pub(crate) fn note(&self, fact: &Fact) {
        let mut notices = self.notices.lock();
        match fact {
            Fact::Exited { path, record } if record.response == Response::RolledBack => {
                if notices.rolled_back.len() >= NOTICES_MAX {
                    tracing::error!(%path, "a rollback is not written down: too many wait for that");
                    return;
                }
                let why = record.reason.to_string();
                notices.rolled_back.push_back((path.clone(), why));
            }
            Fact::Proved { path, settings } => {
                notices.proved.insert(path.clone(), Arc::clone(settings));
            }
            _ => return,
        }
        drop(notices);
        self.noticed.notify_one();
    }

    /// How the settings are.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = self.status.lock().clone();
        let of_system = |system: &SystemFiles| system.trouble().cloned();
        let system = self.system.lock().as_ref().and_then(of_system);
        status.troubles.extend(system);
        let of_events = |events: &EventFiles| events.trouble().cloned();
        let events = self.events.lock().as_ref().and_then(of_events);
        status.troubles.extend(events);
        let watch = self.watch.lock().as_ref().and_then(WatchHandle::trouble);
        status.troubles.extend(watch.map(|what| Trouble {
            shown: what.clone(),
            what,
            hint: "`uk config apply` looks at once".to_owned(),
        }));
        status
    }

    /// Reads the memory, once no change is under way.
    ///
    /// # Errors
    /// There is none: the kernel was not booted with one.
    pub async fn read<T>(&self, read: impl FnOnce(&Keeper) -> T) -> Result<T, CommandError> {
        let keeper = self.keeper.lock().await;
        keeper.as_ref().map(read).ok_or_else(none)
    }

    /// Reads the memory, unless a change is under way.
    #[must_use]
    pub fn glance<T>(&self, read: impl FnOnce(&Keeper) -> T) -> Option<T> {
        let keeper = self.keeper.try_lock().ok()?;
        keeper.as_ref().map(read)
    }

    /// What is to be watched.
    fn watched(&self, keeper: &Keeper) -> WatchSet {
        let mut set = WatchSet {
            files: keeper.watched(),
            ..WatchSet::default()
        };
        if let Some(system) = &*self.system.lock() {
            system.watch(&mut set);
        }
        if let Some(events) = &*self.events.lock() {
            events.watch(&mut set);
        }
        set
    }

    /// Reads the kernel's own settings and the catalog of events again; only what is among `paths`, if those are said.
    fn look_beside(&self, kernel: &Kernel, paths: Option<&BTreeSet<PathBuf>>) {
        if let Some(system) = &mut *self.system.lock()
            && paths.is_none_or(|paths| system.concern(paths))
        {
            system.look(kernel);
        }
        if let Some(events) = &mut *self.events.lock()
            && paths.is_none_or(|paths| events.concern(paths))
        {
            events.look(kernel);
        }
    }

    async fn write<T>(&self, write: impl AsyncFnOnce(&mut Keeper) -> T) -> Result<T, CommandError> {
        let mut keeper = self.keeper.lock().await;
        let Some(keeper) = keeper.as_mut() else {
            return Err(none());
        };
        let done = write(keeper).await;
        *self.status.lock() = status(keeper);
        let watch = self.watch.lock().clone();
        if let Some(watch) = watch {
            watch.set(self.watched(keeper));
        }
        Ok(done)
    }
}

fn status(keeper: &Keeper) -> Status {
    Status {
        number: keeper.number(),
        troubles: keeper.troubles(),
        rollbacks: rollbacks(keeper.history().versions()),
    }
}

fn none() -> CommandError {
    CommandError::new(Code::Failed, "this kernel keeps no settings")
        .hint("the program that embeds it did not boot it with `boot`")
}

/// Asks the service for a change.
///
/// # Errors
/// Why it was not done.
pub async fn ask(kernel: &Kernel, ask: Ask) -> Result<Value, CommandError> {
    let path: Option<ActorPath> = PATH.parse().ok();
    let service = path.and_then(|path| kernel.address::<SettingsMessage>(&path));
    let Some(service) = service else {
        return Err(none());
    };
    let asked = service.ask(CHANGED_WITHIN, |reply| {
        SettingsMessage::Do(Box::new(ask), reply)
    });
    match asked.await {
        Ok(done) => done,
        Err(AskError::NoAnswer(why)) => Err(CommandError::new(Code::Failed, why.to_string())
            .hint("`uk config history` shows what was done")),
        Err(error) => Err(CommandError::new(Code::Failed, error.to_string())),
    }
}

/// The kind of this file and these.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<Settings>(
        "settings",
        "applies what changes in the files, and what people ask for",
    )
}

/// The child of `/system`.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    let id = ChildId::new("settings").expect("`settings` is an id");
    ChildSpec::worker(id, "settings")
}

/// The service has no settings of its own here: they are in `system.yaml`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// What the service is told.
#[derive(Debug, Message)]
pub enum SettingsMessage {
    /// These files changed.
    Look(BTreeSet<PathBuf>),
    /// How much of the history is kept may be another.
    Keep,
    /// Somebody, or a signal, wants the files to be applied.
    Apply,
    /// A child has its former settings back.
    Noticed,
    /// A version has shown that it is good.
    Prove,
    /// Somebody asks for a change.
    Do(Box<Ask>, Reply<Result<Value, CommandError>>),
}

/// Applies what changes.
#[derive(Debug)]
pub struct Settings;

impl Actor for Settings {
    type Message = SettingsMessage;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let kernel = ctx.kernel().clone();
        let room = kernel.shared::<Room>();
        let set = room.read(|keeper| room.watched(keeper)).await;
        let in_force = kernel.shared::<InForce>();
        let (watch, handle) = Watch::new(set.unwrap_or_default(), pace(&in_force.get()));
        *room.watch.lock() = Some(handle);
        let myself = ctx.myself();
        ctx.spawn(async move {
            let mut watch = watch;
            let mut settings = in_force.subscribe();
            let bell = kernel.shared::<ReloadBell>();
            loop {
                let proof = room.read(Keeper::next_proof).await.ok().flatten();
                let message = tokio::select! {
                    biased;
                    changed = watch.next() => {
                        if !in_force.get().watch.enabled {
                            continue;
                        }
                        SettingsMessage::Look(changed.paths)
                    }
                    Ok(()) = settings.changed() => {
                        let settings = settings.borrow_and_update().clone();
                        let watch = room.watch.lock().clone();
                        if let Some(watch) = watch {
                            watch.set_pace(pace(&settings));
                        }
                        SettingsMessage::Keep
                    }
                    () = bell.rung() => SettingsMessage::Apply,
                    () = room.noticed.notified() => SettingsMessage::Noticed,
                    () = until(proof) => SettingsMessage::Prove,
                };
                // It waits for room: nothing is to be lost.
                if let Err(error) = myself.tell(message).await {
                    return Err(Exit::error(error.to_string()));
                }
                tokio::task::yield_now().await;
            }
        });
        // What a former life left half done, or had no time to write down.
        ctx.myself().try_tell(SettingsMessage::Noticed).ok();
        Ok(Start::Running(Self))
    }

    async fn handle(
        &mut self,
        message: &mut SettingsMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let kernel = ctx.kernel().clone();
        let room = kernel.shared::<Room>();
        match message {
            SettingsMessage::Look(paths) => {
                room.look_beside(&kernel, Some(paths));
                look(&room, &kernel, "").await;
            }
            SettingsMessage::Apply => {
                room.look_beside(&kernel, None);
                look(&room, &kernel, "SIGHUP").await;
            }
            SettingsMessage::Keep => {
                let keep = Keep::of(&kernel.shared::<InForce>().get());
                drop(room.write(async |keeper| keeper.set_keep(keep)).await);
            }
            SettingsMessage::Noticed => noticed(&room, &kernel).await,
            SettingsMessage::Prove => {
                let now = Instant::now();
                drop(room.write(async |keeper| keeper.prove(now)).await);
            }
            SettingsMessage::Do(ask, reply) => {
                if matches!(ask.act, Act::Apply { .. }) && !ask.dry_run {
                    room.look_beside(&kernel, None);
                }
                let done = room
                    .write(async |keeper| keeper.act(&kernel, ask).await)
                    .await;
                reply.send(done.and_then(|done| done));
            }
        }
        Ok(Next::Continue)
    }
}

/// How soon a change of a file is seen.
fn pace(settings: &SystemSettings) -> Pace {
    Pace {
        debounce: settings.watch.debounce.0,
        ..Pace::default()
    }
}

/// Waits for a moment, or for ever.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Looks at the files. What is wrong with them is told and kept by the keeper.
async fn look(room: &Room, kernel: &Kernel, by: &str) {
    let ask = Ask {
        act: Act::Apply { forced: false },
        dry_run: false,
        by: by.to_owned(),
    };
    drop(
        room.write(async |keeper| keeper.act(kernel, &ask).await)
            .await,
    );
}

/// Writes down what the kernel has put back.
async fn noticed(room: &Room, kernel: &Kernel) {
    loop {
        let Some((path, why)) = room.notices.lock().rolled_back.front().cloned() else {
            break;
        };
        let noted = room
            .write(async |keeper| keeper.rolled_back(kernel, &path, &why))
            .await;
        room.notices.lock().rolled_back.pop_front();
        if noted.is_err() {
            break;
        }
    }
    let settle = async |keeper: &mut Keeper| {
        keeper.booted(kernel);
        let proved = std::mem::take(&mut room.notices.lock().proved);
        if !proved.is_empty() {
            keeper.proved(proved);
        }
        keeper.finish_pending(kernel);
    };
    drop(room.write(settle).await);
}

#[cfg(test)]
mod tests {
    use unity_supervisors::spec::{SupervisorSpec, TreeSpec};

    use super::*;
    use crate::settings::source::{Base, Source};

    /// How often both do it: with two locks in two orders they would wait for each other for ever.
    const TIMES: usize = 20_000;

    #[test]
    fn whoever_asks_how_things_are_does_not_block_a_change() {
        let tree = TreeSpec {
            name: "it".to_owned(),
            test: true,
            root: SupervisorSpec::default(),
        };
        let origin = (Source::Made, Base::made(tree), BTreeSet::new());
        let nowhere = PathBuf::from("/dev/null/data");
        let keep = Keep::of(&SystemSettings::default());
        let (keeper, _) = Keeper::open(origin, &nowhere, keep, &Kinds::new());
        let room = Room::new(keeper, None, None);
        let (_watch, handle) = Watch::new(WatchSet::default(), Pace::default());
        *room.watch.lock() = Some(handle);

        std::thread::scope(|threads| {
            threads.spawn(|| {
                for _ in 0..TIMES {
                    assert_eq!(room.status().number, 0);
                }
            });
            for _ in 0..TIMES {
                let changed = futures_util::FutureExt::now_or_never(room.write(async |_| {}));
                assert!(changed.is_some_and(|changed| changed.is_ok()));
            }
        });
    }
}
