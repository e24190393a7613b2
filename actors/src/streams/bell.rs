//! How those who have something to write call the one who writes.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A bell that one thread listens to.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<Rung>,
    changed: Condvar,
}

/// What the bell said since it was listened to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rung {
    /// There is something to be written.
    pub(super) softly: bool,
    /// Somebody waits for that.
    pub(super) at_once: bool,
    /// It is over.
    pub(super) closes: bool,
}

impl Bell {
    /// Somebody waits.
    pub(super) fn ring(&self) {
        let mut rung = self.rung.lock();
        if !rung.at_once {
            rung.at_once = true;
            self.changed.notify_one();
        }
    }

    /// There is something, and there is time.
    pub(super) fn ring_softly(&self) {
        let mut rung = self.rung.lock();
        if !rung.softly {
            rung.softly = true;
            self.changed.notify_one();
        }
    }

    /// It is over.
    pub(super) fn close(&self) {
        self.rung.lock().closes = true;
        self.changed.notify_one();
    }

    /// Waits until it is rung, at most for `rest`; if it was rung softly, for `gather` more, so that more comes together.
    pub(super) fn listen(&self, rest: Option<Duration>, gather: Duration) -> Rung {
        let mut rung = self.rung.lock();
        if *rung == Rung::default() {
            match rest {
                // Woken early or late, there is something to do or not.
                Some(rest) => {
                    let _is_late = self.changed.wait_for(&mut rung, rest);
                }
                None => self
                    .changed
                    .wait_while(&mut rung, |rung| *rung == Rung::default()),
            }
        }
        if rung.softly && !rung.at_once && !rung.closes {
            let gathers = |rung: &mut Rung| !rung.at_once && !rung.closes;
            // Either way all that has come is written.
            let _is_late = self.changed.wait_while_for(&mut rung, gathers, gather);
        }
        let closes = rung.closes;
        std::mem::replace(
            &mut *rung,
            Rung {
                closes,
                ..Rung::default()
            },
        )
    }
}
