//! One life of a child in its slot: the token that its effects go through.
//!
//! A [`Life`] is made for each start attempt. It is revoked before the next one begins; from then on
//! every send made from its handler, its tasks and its timers fails, wherever that code still runs.
//! The life that a thread is working for is known to the thread: see [`guard`].

mod guard;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use crate::bonds::Bonds;
use crate::exit::ExitReason;
use crate::fault::LifeFault;
use crate::kernel::Kernel;
use crate::path::ActorPath;
use crate::settings::ApplyRequest;
use crate::slot::Slot;
use crate::trace::Tracer;

pub(crate) use self::guard::{
    Sender, current, guarded, guarded_call, guarded_on_behalf, guarded_task, is_dead, sender,
    set_cell,
};

/// Set in [`Life::stays`] of a life that was cut off while a thread was stuck in it.
const ABANDONED: u32 = 1 << 31;

const FREE: u8 = 0;
const HELD: u8 = 1;
/// Held, and to be aborted after that.
const ABORTED: u8 = 2;

/// What is done with the message in hand once the reason of the end is known.
pub(crate) type LastRites = Box<dyn FnOnce(&ExitReason) + Send>;

/// The message that was in hand at the end.
#[derive(Default)]
struct LastMessage {
    rites: Option<LastRites>,
    name: Option<&'static str>,
    /// It is among the dead letters already.
    has_letter: bool,
}

/// One life of a child in its slot.
pub struct Life {
    path: ActorPath,
    incarnation: u64,
    /// Tells the mailbox of this slot from others.
    mailbox: AtomicUsize,
    revoked: AtomicBool,
    /// Whether a request waits: the one thing looked at between any two messages.
    called: AtomicBool,
    /// Boxed, as most of what follows: an idle life is to be small.
    requests: Mutex<Option<Box<Requests>>>,
    tasks: Mutex<Vec<AbortHandle>>,
    exit: Mutex<Option<Box<ExitReason>>>,
    /// Whether it has taken its first step: from then on its end ends its future, and drops its actor first.
    lives: AtomicBool,
    ended: AtomicBool,
    end: Notify,
    pub(crate) handled: AtomicU64,
    /// For how long threads worked for it while somebody wanted to know, in microseconds.
    busy_us: AtomicU64,
    /// The variant of the message in hand, counted from 1; 0 is none.
    hand: AtomicU32,
    /// How many of its futures there are, and [`ABANDONED`].
    stays: AtomicU32,
    /// Until when it said that it will be busy, in milliseconds of the kernel's uptime.
    busy_until_ms: AtomicU64,
    last: Mutex<Option<Box<LastMessage>>>,
    traps_exit: AtomicBool,
    /// Whether its supervisor has heard of it.
    heard: AtomicBool,
    /// Whether a job waits for its end.
    awaited: AtomicBool,
    /// Whether it plays, in simulation, that it holds its thread: [`FREE`], [`HELD`] or [`ABORTED`].
    held: AtomicU8,
    /// The task of a worker's life.
    task: OnceLock<AbortHandle>,
    bonds: Bonds,
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Life({} incarnation {})", self.path, self.incarnation)
    }
}

/// What the shell is asked to do between two messages.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) stop: Option<ExitReason>,
    pub(crate) kill: Option<ExitReason>,
    pub(crate) observe: Vec<oneshot::Sender<serde_json::Value>>,
    pub(crate) snapshot: bool,
    /// Settings to be taken. A later request takes the place of an earlier one.
    pub(crate) apply: Option<ApplyRequest>,
    /// Who asks whether it still gets to its next message.
    pub(crate) well: Vec<oneshot::Sender<()>>,
    pub(crate) suspended: bool,
    /// Who wants to see the messages that it takes in hand.
    pub(crate) tracers: Vec<Tracer>,
    /// What it is to suffer.
    pub(crate) fault: Option<LifeFault>,
}

impl Requests {
    /// Tells whoever waits for an answer that there will be none.
    fn refuse(&mut self) {
        self.observe.clear();
        self.apply = None;
        self.well.clear();
        self.tracers.clear();
    }
}

impl Life {
    pub(crate) fn new(path: ActorPath, incarnation: u64) -> Arc<Self> {
        Arc::new(Self {
            path,
            incarnation,
            mailbox: AtomicUsize::new(0),
            revoked: AtomicBool::new(false),
            called: AtomicBool::new(false),
            requests: Mutex::default(),
            tasks: Mutex::default(),
            exit: Mutex::default(),
            lives: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            end: Notify::new(),
            handled: AtomicU64::new(0),
            busy_us: AtomicU64::new(0),
            hand: AtomicU32::new(0),
            stays: AtomicU32::new(0),
            busy_until_ms: AtomicU64::new(0),
            last: Mutex::default(),
            traps_exit: AtomicBool::new(true),
            heard: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            held: AtomicU8::new(FREE),
            task: OnceLock::new(),
            bonds: Bonds::default(),
        })
    }

    /// Where its slot is.
    #[must_use]
    pub fn path(&self) -> &ActorPath {
        &self.path
    }

    /// Which life of its slot it is; the first is 1.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// From here on nothing this life does has an effect.
    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    /// What hangs on it.
    pub(crate) fn bonds(&self) -> &Bonds {
        &self.bonds
    }

    /// Leaves a request; the caller then wakes the mailbox.
    pub(crate) fn request(&self, ask: impl FnOnce(&mut Requests)) {
        {
            let mut requests = self.requests.lock();
            let requests = requests.get_or_insert_default();
            ask(requests);
            if self.has_ended() {
                requests.refuse();
            }
        }
        self.called.store(true, Ordering::Release);
    }

    /// Takes the first step. Of this and a request, the one that comes second sees the other.
    pub(crate) fn begin(&self) {
        self.lives.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// Whether it has taken its first step; to be asked after a request.
    pub(crate) fn has_begun(&self) -> bool {
        fence(Ordering::SeqCst);
        self.lives.load(Ordering::Acquire)
    }

    /// Remembers the task that it is.
    pub(crate) fn set_task(&self, task: AbortHandle) {
        // Set once: a life has one task.
        drop(self.task.set(task));
    }

    /// Ends its task at its next await point. A life before its first step looks at its requests first, and then drops
    /// its actor in order; so it is left alone.
    pub(crate) fn abort(&self) {
        if self.has_begun()
            && !self.waits_for_hold()
            && let Some(task) = self.task.get()
        {
            task.abort();
        }
    }

    /// A job of its supervisor waits for its end, and reports it.
    pub(crate) fn set_awaited(&self) {
        self.awaited.store(true, Ordering::Release);
    }

    /// Whether a job reports its end.
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Acquire)
    }

    /// Whether it plays that it holds its thread; it is then aborted when it lets go.
    fn waits_for_hold(&self) -> bool {
        let held = self
            .held
            .compare_exchange(HELD, ABORTED, Ordering::AcqRel, Ordering::Acquire);
        held != Err(FREE)
    }

    /// Plays in simulation that it holds its thread: nothing ends it now.
    pub(crate) fn hold(&self) {
        self.held.store(HELD, Ordering::Release);
    }

    /// Plays that it lets go of its thread.
    pub(crate) fn let_go(&self) {
        if self.held.swap(FREE, Ordering::AcqRel) == ABORTED {
            self.abort();
        }
    }

    /// Whether its supervisor hears of it for the first time. It hears twice: of its start, and of its end, which may
    /// be the earlier of the two. Only the supervisor asks.
    pub(crate) fn is_first_heard(&self) -> bool {
        !self.heard.swap(true, Ordering::Relaxed)
    }

    /// Whether a request waits.
    #[inline]
    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }

    /// Takes the requests; whether it is suspended stays.
    pub(crate) fn take_requests(&self) -> Requests {
        self.called.store(false, Ordering::Release);
        let mut requests = self.requests.lock();
        let requests = requests.get_or_insert_default();
        let suspended = requests.suspended;
        std::mem::replace(
            &mut **requests,
            Requests {
                suspended,
                ..Requests::default()
            },
        )
    }

    /// Remembers a task that dies with this life.
    pub(crate) fn adopt(&self, task: AbortHandle) {
        let mut tasks = self.tasks.lock();
        if self.ended.load(Ordering::Acquire) {
            task.abort();
        } else {
            if tasks.len() == tasks.capacity() {
                // Only when it would grow, so that many tasks cost no more each than few.
                tasks.retain(|task| !task.is_finished());
            }
            tasks.push(task);
        }
    }

    /// Ends this life: revoked, its tasks aborted, whoever waits for the end woken. The first reason stays.
    pub(crate) fn finish(&self, reason: ExitReason) {
        self.revoke();
        let reason = self.set_exit(reason);
        let rites = self.last.lock().as_mut().and_then(|last| last.rites.take());
        if let Some(rites) = rites {
            rites(&reason);
        }
        // Before the end is seen by who starts the next life: that one comes after this one's `Down`.
        self.bonds.cut(self, &reason);
        let tasks = {
            let mut tasks = self.tasks.lock();
            self.ended.store(true, Ordering::Release);
            std::mem::take(&mut *tasks)
        };
        for task in tasks {
            task.abort();
        }
        // Whoever waits for an answer of this life is not to wait for nothing.
        if let Some(requests) = &mut *self.requests.lock() {
            requests.refuse();
        }
        self.end.notify_waiters();
    }

    /// Keeps what is to be done with the message in hand; gives it back if that is among the dead letters already.
    pub(crate) fn park_in_hand(&self, rites: LastRites) -> Option<LastRites> {
        let mut last = self.last.lock();
        let last = last.get_or_insert_default();
        if last.has_letter {
            return Some(rites);
        }
        last.rites = Some(rites);
        None
    }

    /// Remembers the name of the message that was in hand at the end. `false` if that is among the dead letters already.
    pub(crate) fn note_in_hand(&self, name: &'static str) -> bool {
        let mut last = self.last.lock();
        let last = last.get_or_insert_default();
        last.name = Some(name);
        !last.has_letter
    }

    /// The name of the message that was in hand at the end.
    pub(crate) fn in_hand(&self) -> Option<&'static str> {
        self.last.lock().as_ref()?.name
    }

    /// Whether a stop request lets the message in hand be finished and `stop` be called.
    pub(crate) fn traps_exit(&self) -> bool {
        self.traps_exit.load(Ordering::Acquire)
    }

    pub(crate) fn set_traps_exit(&self, traps: bool) {
        self.traps_exit.store(traps, Ordering::Release);
    }

    /// Says beforehand what the reason will be; a reason that is there stays. Returns the one that holds.
    pub(crate) fn set_exit(&self, reason: ExitReason) -> ExitReason {
        let mut exit = self.exit.lock();
        (**exit.get_or_insert_with(|| Box::new(reason))).clone()
    }

    /// Says anew what the reason will be, as long as it has not ended.
    pub(crate) fn replace_exit(&self, reason: ExitReason) {
        let mut exit = self.exit.lock();
        if !self.has_ended() {
            *exit = Some(Box::new(reason));
        }
    }

    /// Why it ended, once it has.
    pub(crate) fn exit(&self) -> Option<ExitReason> {
        self.exit.lock().as_deref().cloned()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) {
        loop {
            let notified = self.end.notified();
            if self.has_ended() {
                return;
            }
            notified.await;
        }
    }

    /// What tells this life from all others that there are.
    #[inline]
    pub(crate) fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Says which variant is in hand, or that none is, for whoever finds the life stuck.
    #[inline]
    pub(crate) fn set_hand(&self, variant: Option<u32>) {
        let hand = variant.map_or(0, |variant| variant.saturating_add(1));
        self.hand.store(hand, Ordering::Relaxed);
    }

    /// The variant of the message in hand.
    pub(crate) fn hand(&self) -> Option<u32> {
        self.hand.load(Ordering::Relaxed).checked_sub(1)
    }

    /// From here on a thread that is stuck in it is not waited for. `false` if nothing of it is left, or it was so
    /// before.
    pub(crate) fn abandon(&self) -> bool {
        let held = |stays| (stays != 0 && stays & ABANDONED == 0).then_some(stays | ABANDONED);
        self.stays
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, held)
            .is_ok()
    }

    /// Whether it was cut off while a thread was stuck in it.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.stays.load(Ordering::Acquire) & ABANDONED != 0
    }

    /// Waits until it is cut off while a thread is stuck in it.
    pub(crate) async fn abandoned(&self) {
        self.ended().await;
        if !self.is_abandoned() {
            std::future::pending().await
        }
    }

    /// Whether the message in hand is to become a dead letter though a stuck thread still has it. Of this and
    /// [`park_in_hand`](Self::park_in_hand), the one that comes first has the message.
    pub(crate) fn claim_letter(&self, name: &'static str) -> bool {
        let mut last = self.last.lock();
        let last = last.get_or_insert_default();
        let is_free = last.rites.is_none() && last.name.is_none();
        if is_free {
            last.name = Some(name);
            last.has_letter = true;
        }
        is_free
    }

    /// Says for how long it will be busy.
    pub(crate) fn set_busy(&self, kernel: &Kernel, time: Duration) {
        let until = kernel.uptime().saturating_add(time).as_millis();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        self.busy_until_ms.store(until, Ordering::Relaxed);
    }

    /// Whether it said that it would be busy now.
    pub(crate) fn says_busy(&self, kernel: &Kernel) -> bool {
        let until = self.busy_until_ms.load(Ordering::Relaxed);
        kernel.uptime() < Duration::from_millis(until)
    }

    /// How many messages it has taken in hand.
    pub(crate) fn handled_now(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    /// Counts a message that was taken in hand, without a locked instruction: only the reader writes.
    #[inline]
    pub(crate) fn count_handled(&self) {
        let handled = self.handled.load(Ordering::Relaxed);
        self.handled.store(handled + 1, Ordering::Relaxed);
    }

    /// Adds what a thread has worked for it.
    pub(crate) fn add_busy(&self, us: u64) {
        self.busy_us.fetch_add(us, Ordering::Relaxed);
    }

    /// For how long threads worked for it while that was [timed](Kernel::time_lives), in microseconds.
    #[must_use]
    pub fn busy_us(&self) -> u64 {
        self.busy_us.load(Ordering::Relaxed)
    }

    pub(crate) fn set_mailbox(&self, key: usize) {
        self.mailbox.store(key, Ordering::Relaxed);
    }
}

/// A future of a life, for as long as it is there. The last to go says that an abandoned life let go of its thread.
pub(crate) struct Stay {
    slot: Arc<Slot>,
    life: Arc<Life>,
}

impl Stay {
    pub(crate) fn new(slot: &Arc<Slot>, life: &Arc<Life>) -> Self {
        life.stays.fetch_add(1, Ordering::AcqRel);
        Self {
            slot: Arc::clone(slot),
            life: Arc::clone(life),
        }
    }

    pub(crate) fn life(&self) -> &Arc<Life> {
        &self.life
    }

    pub(crate) fn slot(&self) -> &Slot {
        &self.slot
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if self.life.stays.fetch_sub(1, Ordering::AcqRel) == ABANDONED | 1 {
            self.slot.let_go(&self.life);
        }
    }
}
