//! The threads that workers run on: what each is busy with, and some to spare.
//!
//! A tokio runtime has a fixed number of threads, and a handler that never yields keeps one of them. So the work
//! runtime is made with a few more threads than it is to use. Those to spare are held by tasks that do nothing but wait
//! for the watchdog, which lets one go for each thread that is stuck. Whatever waits in the queues of the runtime goes
//! on then, with its state, its timers and its messages. (DESIGN had the watchdog open a fresh runtime. A task cannot move
//! to another runtime, so that all that was innocent on the stuck one would have had to be restarted, and its state be
//! lost. What the spare threads cost is some memory, and they can be counted beforehand.)
//!
//! A thread says which life it polls, once a poll, with plain stores to a cell of its own; whoever wants to know how
//! long that lasts looks again later. Nothing is done for a message.
//!
//! What tokio keeps in the slot for the last task that a poll woke cannot be taken over by another thread: if that very poll gets
//! stuck, that one task waits for it.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::life::{self, Life};

/// What a thread is busy with, written by itself alone; whether it is timed, by whoever wants to know.
#[derive(Debug)]
pub(crate) struct Cell {
    /// The [key](Life::key) of the life that it polls, with [`IS_TASK`]; 0 is none.
    polls: AtomicUsize,
    /// Counts up with each change.
    beat: AtomicU64,
    /// How many messages that life had taken in hand when the poll began.
    handled: AtomicU64,
    /// Until when polls are timed, in microseconds since `born`; 0 is not at all.
    timed_until_us: AtomicU64,
    /// When the poll that is timed began.
    since_us: AtomicU64,
    born: Instant,
    /// Whether it is a thread of a runtime that others could run on.
    is_shared: bool,
}

/// Set in [`Cell::polls`] for a task or timer of a life. A life is aligned, so that its key is even.
const IS_TASK: usize = 1;

/// A poll, as a thread says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Poll {
    /// The key of the life.
    pub(crate) life: usize,
    /// Whether it is a task or timer of it, and not its handler.
    pub(crate) is_task: bool,
    /// How many messages the life had taken in hand before.
    pub(crate) handled: u64,
    beat: u64,
}

impl Cell {
    fn new(is_shared: bool) -> Self {
        Self {
            polls: AtomicUsize::new(0),
            beat: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            timed_until_us: AtomicU64::new(0),
            since_us: AtomicU64::new(0),
            born: Instant::now(),
            is_shared,
        }
    }

    /// Says what the thread works for from here on.
    #[inline]
    pub(crate) fn mark(&self, work: Option<(&Life, bool)>, before: Option<&Life>) {
        if self.timed_until_us.load(Ordering::Relaxed) != 0 {
            self.time(before);
        }
        let polls = work.map_or(0, |(life, is_task)| life.key() | usize::from(is_task));
        if let Some((life, _)) = work {
            let handled = life.handled.load(Ordering::Relaxed);
            self.handled.store(handled, Ordering::Relaxed);
        }
        self.polls.store(polls, Ordering::Relaxed);
        let beat = self.beat.load(Ordering::Relaxed);
        self.beat.store(beat + 1, Ordering::Release);
    }

    /// Adds what the thread has worked since the last mark to the life that it was for.
    #[cold]
    fn time(&self, before: Option<&Life>) {
        let now = self.now_us();
        let since = self.since_us.swap(now, Ordering::Relaxed);
        if let Some(life) = before.filter(|_| since != 0) {
            life.add_busy(now.saturating_sub(since));
        }
        if self.timed_until_us.load(Ordering::Relaxed) < now {
            self.timed_until_us.store(0, Ordering::Relaxed);
            self.since_us.store(0, Ordering::Relaxed);
        }
    }

    /// Times what the thread works for, for so long.
    pub(crate) fn time_for(&self, long: Duration) {
        let long = u64::try_from(long.as_micros()).unwrap_or(u64::MAX);
        let until = self.now_us().saturating_add(long);
        self.timed_until_us.store(until, Ordering::Relaxed);
    }

    /// Never 0.
    fn now_us(&self) -> u64 {
        let elapsed = self.born.elapsed().as_micros();
        u64::try_from(elapsed).unwrap_or(u64::MAX).max(1)
    }

    /// The poll that is under way. Two that are equal are one that lasts.
    pub(crate) fn poll(&self) -> Option<Poll> {
        let beat = self.beat.load(Ordering::Acquire);
        let polls = self.polls.load(Ordering::Relaxed);
        (polls != 0).then(|| Poll {
            life: polls & !IS_TASK,
            is_task: polls & IS_TASK != 0,
            handled: self.handled.load(Ordering::Relaxed),
            beat,
        })
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }
}

/// The threads that workers run on. Made by whoever makes the runtimes; [`release`](Self::release) it before those are
/// dropped.
#[derive(Default)]
pub struct WorkThreads(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cells: Mutex<Vec<Arc<Cell>>>,
    spare: Mutex<Spare>,
    changed: Condvar,
    /// Threads that belong to one worker.
    own: AtomicUsize,
    /// In simulation there are none: whoever holds one plays it.
    is_simulated: bool,
    /// A thread that is played is held.
    held: Notify,
}

#[derive(Default)]
struct Spare {
    /// Threads that are held back.
    held_back: usize,
    /// How many of them are to go.
    let_go: usize,
    /// All of them are, and nobody watches any more.
    is_over: bool,
}

impl fmt::Debug for WorkThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkThreads")
            .field("cells", &self.0.cells.lock().len())
            .field("spare", &self.spare())
            .field("own", &self.own())
            .finish()
    }
}

impl Drop for WorkThreads {
    fn drop(&mut self) {
        self.release();
    }
}

impl WorkThreads {
    /// Threads that are played, on the clock of the runtime.
    pub(crate) fn simulated() -> Self {
        Self(Arc::new(Inner {
            is_simulated: true,
            ..Inner::default()
        }))
    }

    pub(crate) fn is_simulated(&self) -> bool {
        self.0.is_simulated
    }

    /// Plays a thread that polls the handler of `life` and does not yield as long as the guard lives: until then nothing
    /// ends it.
    pub(crate) fn hold(&self, life: &Arc<Life>) -> Hold {
        let cell = Arc::new(Cell::new(false));
        cell.mark(Some((life, false)), None);
        self.0.cells.lock().push(Arc::clone(&cell));
        life.hold();
        self.0.held.notify_one();
        Hold {
            inner: Arc::clone(&self.0),
            life: Arc::clone(life),
            cell,
        }
    }

    /// Waits until a thread that is played is held.
    pub(crate) async fn some_held(&self) {
        while self.0.cells.lock().is_empty() {
            self.0.held.notified().await;
        }
    }

    /// Makes a runtime of `threads` threads and `spare` ones, of which the builder says the rest.
    ///
    /// # Errors
    /// What the system says when it refuses a thread.
    pub fn build(
        &self,
        builder: &mut Builder,
        threads: usize,
        spare: usize,
    ) -> io::Result<Runtime> {
        let (enters, leaves) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let runtime = builder
            .worker_threads(threads + spare)
            .on_thread_start(move || enters.enter(true))
            .on_thread_stop(move || leaves.leave())
            .build()?;
        self.hold_back(runtime.handle(), spare);
        Ok(runtime)
    }

    /// Has `count` threads wait until they are needed; returns when they do.
    fn hold_back(&self, runtime: &Handle, count: usize) {
        for _ in 0..count {
            let inner = Arc::clone(&self.0);
            // Nothing to wait for: it ends when the thread is let go.
            drop(runtime.spawn(async move { inner.wait_until_needed() }));
        }
        let mut spare = self.0.spare.lock();
        self.0
            .changed
            .wait_while(&mut spare, |spare| spare.held_back < count);
    }

    /// How many threads are held back for when others are stuck.
    #[must_use]
    pub fn spare(&self) -> usize {
        let spare = self.0.spare.lock();
        spare.held_back - spare.let_go
    }

    /// How many threads belong to one worker each.
    #[must_use]
    pub fn own(&self) -> usize {
        self.0.own.load(Ordering::Acquire)
    }

    /// Lets all spare threads go, and ends the watch: to be called before the runtimes are dropped, which wait for their
    /// threads.
    pub fn release(&self) {
        let mut spare = self.0.spare.lock();
        spare.is_over = true;
        self.0.changed.notify_all();
    }

    /// Lets one spare thread go; `false` if there is none.
    pub(crate) fn let_one_go(&self) -> bool {
        let mut spare = self.0.spare.lock();
        let is_there = spare.let_go < spare.held_back;
        if is_there {
            spare.let_go += 1;
            self.0.changed.notify_all();
        }
        is_there
    }

    /// Runs `work` on a thread of its own, which ends, with all that `work` spawned, when `over` does.
    pub(crate) fn alone<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        over: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let task = runtime.spawn(work);
        let inner = Arc::clone(&self.0);
        let run = move || {
            let _own = Own::enter(&inner);
            runtime.block_on(over);
            // What is left of it goes here, on its own thread.
            drop(runtime);
        };
        let name = "uk-own".to_owned();
        // Nothing waits for it: it is left behind when it is stuck.
        drop(std::thread::Builder::new().name(name).spawn(run)?);
        Ok(task)
    }

    /// Threads that say what they poll.
    pub(crate) fn cells(&self) -> Vec<Arc<Cell>> {
        self.0.cells.lock().clone()
    }

    /// Calls `look` each `tick` on a thread of its own, until it returns `false` or the threads are released.
    pub(crate) fn watch(
        &self,
        mut look: impl FnMut() -> Option<Duration> + Send + 'static,
    ) -> io::Result<()> {
        let inner = Arc::clone(&self.0);
        let watch = move || {
            while let Some(tick) = look() {
                let mut spare = inner.spare.lock();
                if !spare.is_over {
                    // Woken early or late, it looks again.
                    let _woken = inner.changed.wait_for(&mut spare, tick);
                }
                if spare.is_over {
                    return;
                }
            }
        };
        let name = "uk-watchdog".to_owned();
        // Ends with the kernel or the runtimes, whichever comes first.
        drop(std::thread::Builder::new().name(name).spawn(watch)?);
        Ok(())
    }
}

/// A played thread that does not yield.
pub(crate) struct Hold {
    inner: Arc<Inner>,
    life: Arc<Life>,
    cell: Arc<Cell>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.inner.remove(&self.cell);
        self.life.let_go();
    }
}

/// A thread that belongs to one worker, while it is there.
struct Own<'a>(&'a Inner);

impl<'a> Own<'a> {
    fn enter(inner: &'a Inner) -> Self {
        inner.own.fetch_add(1, Ordering::AcqRel);
        inner.enter(false);
        Self(inner)
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        self.0.leave();
        self.0.own.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Inner {
    fn enter(&self, is_shared: bool) {
        let cell = Arc::new(Cell::new(is_shared));
        self.cells.lock().push(Arc::clone(&cell));
        life::set_cell(Some(cell));
    }

    fn leave(&self) {
        if let Some(cell) = life::set_cell(None) {
            self.remove(&cell);
        }
    }

    fn remove(&self, cell: &Arc<Cell>) {
        self.cells.lock().retain(|known| !Arc::ptr_eq(known, cell));
    }

    fn wait_until_needed(&self) {
        let mut spare = self.spare.lock();
        spare.held_back += 1;
        self.changed.notify_all();
        self.changed
            .wait_while(&mut spare, |spare| spare.let_go == 0 && !spare.is_over);
        spare.held_back -= 1;
        spare.let_go = spare.let_go.saturating_sub(1);
    }
}
