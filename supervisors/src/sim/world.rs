//! What a simulation writes down: a log for people and hashes, and the facts that the checkers read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::bonds::SimBonds;
use super::ladders::SimLadders;
use super::reloads::SimSettingsLog;
use super::states::SimStates;
use crate::kernel::{Kernel, WeakKernel};
use crate::path::ActorPath;
use crate::report::Fact;
use crate::slot::{Response, Slot};
use crate::spec::Restart;

/// One fact of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A value of an actor was made.
    Born { path: ActorPath },
    /// A temporary child is to come back.
    CameBack { path: ActorPath },
    /// It was dropped.
    Died {
        path: ActorPath,
        incarnation: u64,
        /// Whether its successor did not wait for this.
        was_cut_off: bool,
    },
    /// A life was cut off: its slot goes on without waiting for its death.
    CutOff { path: ActorPath },
    /// Something that a life did had an effect though it had a successor.
    Late { path: ActorPath },
    /// A message was handled to its end.
    Handled {
        path: ActorPath,
        slot: u64,
        sender: u64,
        lane: u8,
        number: u64,
    },
    /// A message that is never shed was given back for want of memory.
    ShedWrongly { path: ActorPath },
    /// A child of a template was born where there were more than its `max_children` allows.
    TooMany { path: ActorPath },
    /// A life took a message in hand though it was suspended.
    Suspended { path: ActorPath },
    /// A life began with another state than it should.
    WrongState { path: ActorPath },
    /// A ladder did something else than it should.
    WrongLadder { path: ActorPath },
    /// A life began with settings that had just been put back.
    NotRolledBack { path: ActorPath },
    /// A life was stopped in order, and its state was not kept.
    NotKept { path: ActorPath },
    /// What a task runs began.
    TaskBegan { parent: ActorPath, number: usize },
    /// It is over: nothing of it is left.
    TaskOver { parent: ActorPath, number: usize },
    /// Somebody begins to wait for what a task brings.
    TaskAwaited { number: usize },
    /// It was brought something, right or not.
    TaskResolved { number: usize, is_right: bool },
    /// A life was there after its supervisor's had ended; a task's is told by its parent.
    Outlived { path: ActorPath },
    /// The shutdown of the kernel began; which place among its siblings each child of a list has by then.
    Shutdown { places: BTreeMap<ActorPath, usize> },
}

/// All that happened.
#[derive(Debug)]
pub(super) struct World {
    start: Instant,
    notes: Mutex<Notes>,
    bonds: SimBonds,
    states: Arc<SimStates>,
    ladders: SimLadders,
    settings: SimSettingsLog,
    has_links: bool,
    /// Whether the tree changes.
    reloads: bool,
    keeps_log: bool,
    /// Whose settings the driver has swapped: what they keep and climb has to do with that, and is not looked at.
    swapped: Mutex<BTreeSet<ActorPath>>,
    kernel: OnceLock<WeakKernel>,
}

/// What is known of a world from the start.
pub(super) struct WorldConfig {
    /// Whether actors link to each other.
    pub(super) has_links: bool,
    /// Whether the tree changes.
    pub(super) reloads: bool,
    /// Whether all that happens is written down for people too.
    pub(super) keeps_log: bool,
    /// The paths of the tree.
    pub(super) listed: BTreeSet<ActorPath>,
    /// What is kept.
    pub(super) states: Arc<SimStates>,
}

#[derive(Debug, Default)]
struct Notes {
    /// Whether it is over: what is dropped after that does not count.
    is_over: bool,
    log: Vec<String>,
    events: Vec<Event>,
    accepted: i64,
    handled: i64,
}

impl World {
    pub(super) fn new(config: WorldConfig) -> Self {
        Self {
            start: Instant::now(),
            notes: Mutex::default(),
            bonds: SimBonds::default(),
            states: config.states,
            ladders: SimLadders::of(config.listed),
            settings: SimSettingsLog::default(),
            has_links: config.has_links,
            reloads: config.reloads,
            keeps_log: config.keeps_log,
            swapped: Mutex::default(),
            kernel: OnceLock::new(),
        }
    }

    /// The monitors and links of its actors.
    pub(super) fn bonds(&self) -> &SimBonds {
        &self.bonds
    }

    /// What its actors keep.
    pub(super) fn states(&self) -> &SimStates {
        &self.states
    }

    /// The ladders of its actors.
    pub(super) fn ladders(&self) -> &SimLadders {
        &self.ladders
    }

    /// The settings of its actors.
    pub(super) fn settings(&self) -> &SimSettingsLog {
        &self.settings
    }

    /// Whether its tree changes.
    pub(super) fn reloads(&self) -> bool {
        self.reloads
    }

    /// Whether actors link to each other.
    pub(super) fn has_links(&self) -> bool {
        self.has_links
    }

    fn line(&self, text: fmt::Arguments<'_>) -> Option<String> {
        let at = self.start.elapsed().as_micros();
        self.keeps_log.then(|| format!("{at:>9} {text}"))
    }

    /// The driver is about to swap the settings of what is at `path`.
    pub(super) fn swaps(&self, path: &ActorPath) {
        self.swapped.lock().insert(path.clone());
    }

    /// Whether the settings of what is at `path` are not the driver's.
    pub(super) fn is_plain(&self, path: &ActorPath) -> bool {
        !self.swapped.lock().contains(path)
    }

    /// What happens from now on does not count.
    pub(super) fn end(&self) {
        self.notes.lock().is_over = true;
    }

    /// Writes down what the kernel reports.
    pub(super) fn note(&self, fact: &Fact) {
        if let Fact::Exited { path, record } = fact {
            self.states.exited(path, record);
            if record.response == Response::RolledBack {
                self.settings.rolls_back(path);
            }
            let comes_back = matches!(
                record.response,
                Response::Restarted | Response::Backoff { .. } | Response::RolledBack
            );
            if comes_back && self.is_temporary(path) {
                let path = path.clone();
                self.event(Event::CameBack { path });
            }
        }
        let line = self.keeps_log.then(|| say(fact));
        let line = line.and_then(|text| self.line(format_args!("{text}")));
        let wrong = self.ladders.note(fact).filter(|path| self.is_plain(path));
        let mut notes = self.notes.lock();
        if notes.is_over {
            return;
        }
        notes.log.extend(line);
        notes
            .events
            .extend(wrong.map(|path| Event::WrongLadder { path }));
        if let Fact::CutOff { path, .. } = fact {
            let path = path.clone();
            notes.events.push(Event::CutOff { path });
        }
    }

    /// Writes down an act of chance and what it came to.
    pub(super) fn act(&self, text: &str) {
        let mut notes = self.notes.lock();
        if !notes.is_over {
            notes.log.extend(self.line(format_args!("{text}")));
        }
    }

    pub(super) fn event(&self, event: Event) {
        let mut notes = self.notes.lock();
        if notes.is_over {
            return;
        }
        let line = self.line(format_args!("{event:?}"));
        if matches!(event, Event::Handled { .. }) {
            notes.handled += 1;
        }
        notes.log.extend(line);
        notes.events.push(event);
    }

    /// A message that is not numbered was handled.
    pub(super) fn handled(&self) {
        self.notes.lock().handled += 1;
    }

    /// A message was accepted by a mailbox.
    pub(super) fn accepted(&self) {
        self.notes.lock().accepted += 1;
    }

    pub(super) fn begin_shutdown(&self, kernel: &Kernel) {
        let mut places = BTreeMap::new();
        if let Some(root) = kernel.root() {
            find_places(&root, &mut places);
        }
        self.event(Event::Shutdown { places });
    }

    /// Begins to look at the slots of `kernel`.
    pub(super) fn watch(&self, kernel: &Kernel) {
        // There is one for each simulation.
        drop(self.kernel.set(kernel.downgrade()));
    }

    /// Whether the child at `path` is temporary by now.
    fn is_temporary(&self, path: &ActorPath) -> bool {
        let kernel = self.kernel.get().and_then(WeakKernel::upgrade);
        let slot = kernel.and_then(|kernel| kernel.registry().get(path));
        slot.is_some_and(|slot| slot.spec().restart == Restart::Temporary)
    }

    /// The log, which is empty after that.
    pub(super) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().log)
    }

    /// What happened; none of it is left.
    pub(super) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.notes.lock().events)
    }

    /// Messages accepted, and messages handled.
    pub(super) fn counts(&self) -> (i64, i64) {
        let notes = self.notes.lock();
        (notes.accepted, notes.handled)
    }
}

fn find_places(slot: &Arc<Slot>, places: &mut BTreeMap<ActorPath, usize>) {
    let spec = slot.spec();
    if spec
        .as_supervisor()
        .is_none_or(|spec| spec.template.is_some())
    {
        return;
    }
    for (place, child) in slot.children().iter().enumerate() {
        places.insert(child.path().clone(), place);
        find_places(child, places);
    }
}

/// What the kernel reports, for people.
fn say(fact: &Fact) -> String {
    match fact {
        Fact::Exited { path, record } => format!(
            "exited {path} {} {} {:?} {:?}",
            record.incarnation, record.reason, record.response, record.ladder
        ),
        Fact::Started {
            path, incarnation, ..
        } => format!("started {path} {incarnation}"),
        Fact::State { path, state } => format!("state {path} {}", state.as_str()),
        Fact::Deleted { path } => format!("deleted {path}"),
        Fact::Fresh { path, why } => format!("fresh {path} {why}"),
        Fact::Safe { why } => format!("safe {why:?}"),
        Fact::Memory { shedding, shed, .. } => {
            format!("memory {} {shed}", shedding.as_str())
        }
        stall => format!("{stall:?}"),
    }
}
