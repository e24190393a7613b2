//! What a kernel keeps of its own fall: a picture of itself from that moment.
//!
//! The picture is a bundle, made when safe mode is entered or a mortal root gives up, on the thread that says so: a moment later the
//! tree that it is to show is gone. Who has a file to put it in awaits [`Recorder::picture`].

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;
use unity_supervisors::Kernel;
use unity_supervisors::report::Fact;
use unity_supervisors::slot::Response;

use crate::bundle::{self, Cause};
use crate::guard::{Death, Guarded};

/// What a kernel was booted with.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Origin {
    /// Its data folder.
    pub data_dir: String,
    /// What chance began with.
    pub seed: u64,
    /// Whether a root that used up its budget ends the kernel.
    pub exit_on_give_up: bool,
    /// The guard that started it, and the deaths before.
    #[serde(skip)]
    pub guarded: Option<Guarded>,
}

/// Keeps where one kernel came from and how it fell; found with [`Kernel::shared`].
#[derive(Debug, Default)]
pub struct Recorder {
    origin: OnceLock<Origin>,
    fall: Mutex<Fall>,
    fallen: Notify,
}

#[derive(Debug, Default)]
struct Fall {
    /// Holds the kernel, which holds this, until [`Recorder::release`].
    kernel: Option<Kernel>,
    /// A cause that came before the kernel was known.
    early: Option<Cause>,
    picture: Option<Value>,
}

impl Recorder {
    /// One for a kernel of this origin.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self {
            origin: OnceLock::from(origin),
            ..Self::default()
        }
    }

    /// What the kernel was booted with, if it was [`boot`](crate::boot::boot)ed.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.get()
    }

    /// The deaths of the kernel's process before this life, as the guard told.
    #[must_use]
    pub fn deaths(&self) -> Vec<&Death> {
        let guarded = self.origin().and_then(|origin| origin.guarded.as_ref());
        guarded.map_or_else(Vec::new, |guarded| guarded.deaths.iter().collect())
    }

    /// The kernel whose fall it is to see.
    pub(crate) fn attach(&self, kernel: &Kernel) {
        let mut fall = lock(&self.fall);
        fall.kernel = Some(kernel.clone());
        let early = fall.early.take();
        drop(fall);
        if let Some(cause) = early {
            self.take_picture(cause);
        }
    }

    /// Lets go of the kernel.
    pub(crate) fn release(&self) {
        lock(&self.fall).kernel = None;
    }

    /// Hears of a fact.
    pub(crate) fn note(&self, fact: &Fact) {
        if let Some(cause) = self.cause(fact) {
            self.take_picture(cause);
        }
    }

    fn cause(&self, fact: &Fact) -> Option<Cause> {
        match fact {
            Fact::Safe { why: Some(why) } => Some(Cause {
                kind: "safe_mode",
                text: why.clone(),
            }),
            Fact::Exited { path, record } => {
                let is_mortal = self.origin().is_some_and(|origin| origin.exit_on_give_up);
                let is_of_root = path.parent().is_some_and(|parent| parent.is_root());
                let gave_up = record.response == Response::GaveUp;
                (is_mortal && is_of_root && gave_up).then(|| Cause {
                    kind: "gave_up",
                    text: format!(
                        "the root gave up; the last exit was of {path}: {}",
                        record.reason
                    ),
                })
            }
            _ => None,
        }
    }

    fn take_picture(&self, cause: Cause) {
        let mut fall = lock(&self.fall);
        let Some(kernel) = fall.kernel.clone() else {
            fall.early = Some(cause);
            return;
        };
        drop(fall);
        let picture = bundle::of_kernel(&kernel, &cause);
        lock(&self.fall).picture = Some(picture);
        self.fallen.notify_one();
    }

    /// Waits for a picture. To be awaited in one place.
    pub async fn picture(&self) -> Value {
        loop {
            if let Some(picture) = self.take() {
                return picture;
            }
            self.fallen.notified().await;
        }
    }

    /// The last picture, if it was not taken away yet.
    pub fn take(&self) -> Option<Value> {
        lock(&self.fall).picture.take()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
