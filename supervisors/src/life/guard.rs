//! What a thread knows of the life that it works for, and the guard around all code of an actor: polled and dropped in
//! its name, its panics caught, and the place of a panic kept for the one actor that it belongs to.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};

use super::Life;
use crate::exit::{ExitKind, ExitReason};
use crate::threads::Cell;

thread_local! {
    static HERE: Here = const { Here { work: RefCell::new(None), cell: RefCell::new(None) } };
    /// Where the last panic of a life on this thread was.
    static PANIC_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What this thread is working for.
struct Here {
    work: RefCell<Option<Work>>,
    /// Where it says so, if it is watched.
    cell: RefCell<Option<Arc<Cell>>>,
}

impl Here {
    /// Swaps, so that no reference count changes.
    #[inline]
    fn swap(&self, work: &mut Option<Work>) {
        let mut current = self.work.borrow_mut();
        std::mem::swap(&mut *current, work);
        let lent = |work: &Option<Work>| work.as_ref().is_some_and(|work| work.is_lent);
        if lent(&current) || lent(work) {
            // The thread stays that of whoever lent it.
            return;
        }
        if let Some(cell) = &*self.cell.borrow() {
            let before = work.as_ref().map(|work| &*work.life);
            cell.mark(
                current.as_ref().map(|work| (&*work.life, work.is_task)),
                before,
            );
        }
    }
}

/// Sets where this thread says what it works for; returns where it said so before.
pub(crate) fn set_cell(cell: Option<Arc<Cell>>) -> Option<Arc<Cell>> {
    HERE.with(|here| here.cell.replace(cell))
}

/// A life that a thread works for.
struct Work {
    life: Arc<Life>,
    /// A task or timer of it, and not its handler.
    is_task: bool,
    /// It works on a thread that another life lent it, which answers for it when it does not yield.
    is_lent: bool,
}

/// What the thread knows of the life that it works for.
pub(crate) enum Sender {
    /// No life: a person, a test, another program.
    Outside,
    /// A life that may act.
    Alive,
    /// A life that may act, whose handler sends to its own mailbox.
    Myself,
    /// A life that may not act any more.
    Dead,
}

/// The life this thread works for right now, if it works for one.
pub(crate) fn current() -> Option<Arc<Life>> {
    HERE.with(|here| {
        let work = here.work.borrow();
        work.as_ref().map(|work| Arc::clone(&work.life))
    })
}

/// Who sends to the mailbox `key` on this thread right now.
#[inline]
pub(crate) fn sender(key: usize) -> Sender {
    HERE.with(|here| match &*here.work.borrow() {
        None => Sender::Outside,
        Some(work) if work.life.is_revoked() => Sender::Dead,
        Some(work) if !work.is_task && work.life.mailbox.load(Ordering::Relaxed) == key => {
            Sender::Myself
        }
        Some(_) => Sender::Alive,
    })
}

/// Whether this thread works for a life that may not act any more.
pub(crate) fn is_dead() -> bool {
    HERE.with(|here| {
        let work = here.work.borrow();
        work.as_ref().is_some_and(|work| work.life.is_revoked())
    })
}

/// A panic of a life.
#[derive(Debug)]
pub(crate) struct Panicked {
    text: String,
    location: Option<String>,
}

impl Panicked {
    fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a text".to_owned());
        Self {
            text,
            location: PANIC_PLACE.with_borrow_mut(Option::take),
        }
    }
}

impl From<Panicked> for ExitReason {
    fn from(panic: Panicked) -> Self {
        Self {
            kind: ExitKind::Panic,
            text: Some(panic.text),
            location: panic.location,
        }
    }
}

/// Sets what the thread works for, for as long as it lives.
struct Working<'a>(&'a mut Option<Work>);

impl<'a> Working<'a> {
    fn begin(work: &'a mut Option<Work>) -> Self {
        HERE.with(|here| here.swap(work));
        Self(work)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        HERE.with(|here| here.swap(self.0));
    }
}

/// A future that is polled, and dropped, in the name of a life; what it panics with is caught.
pub(crate) struct Guarded<F> {
    work: Option<Work>,
    future: Option<Pin<Box<F>>>,
}

/// Guards the handlers of `life`.
pub(crate) fn guarded<F: Future>(life: &Arc<Life>, future: F) -> Guarded<F> {
    Guarded::new(life, future, false, false)
}

/// Guards a task or timer of `life`, which may wait for room in the life's own mailbox.
pub(crate) fn guarded_task<F: Future>(life: &Arc<Life>, future: F) -> Guarded<F> {
    Guarded::new(life, future, true, false)
}

/// Guards what another life does in the name of `life`: that other one answers for it when it does not yield.
pub(crate) fn guarded_on_behalf<F: Future>(life: &Arc<Life>, future: F) -> Guarded<F> {
    Guarded::new(life, future, true, true)
}

impl<F> Guarded<F> {
    fn new(life: &Arc<Life>, future: F, is_task: bool, is_lent: bool) -> Self {
        install_panic_hook();
        let work = Work {
            life: Arc::clone(life),
            is_task,
            is_lent,
        };
        Self {
            work: Some(work),
            future: Some(Box::pin(future)),
        }
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = &mut this.future else {
            return Poll::Pending;
        };
        let _working = Working::begin(&mut this.work);
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => Poll::Ready(Err(Panicked::new(payload.as_ref()))),
        }
    }
}

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        let _working = Working::begin(&mut self.work);
        let future = self.future.take();
        if catch_unwind(AssertUnwindSafe(|| drop(future))).is_err() {
            tracing::warn!("a panic while what a life was doing was dropped");
        }
    }
}

/// Calls `act` in the name of `life`, and catches what it panics with.
pub(crate) fn guarded_call<T>(life: &Arc<Life>, act: impl FnOnce() -> T) -> Result<T, Panicked> {
    let mut work = Some(Work {
        life: Arc::clone(life),
        is_task: false,
        is_lent: false,
    });
    let _working = Working::begin(&mut work);
    catch_unwind(AssertUnwindSafe(act)).map_err(|payload| Panicked::new(payload.as_ref()))
}

/// The panic hook is the one thing a process has only one of: ours keeps the place of a life's panic for
/// its exit reason, and leaves every other panic to the hook that was there before.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            let of_a_life =
                HERE.try_with(|here| here.work.try_borrow().is_ok_and(|work| work.is_some()));
            if of_a_life.unwrap_or(false) {
                let place = info.location().map(ToString::to_string);
                PANIC_PLACE.with_borrow_mut(|slot| *slot = place);
            } else {
                before(info);
            }
        }));
    });
}
