//! Significant children: when the end of one ends its supervisor.
//!
//! Only an exit of its own counts, or a start of its own that failed for good: what a person, a group restart or a
//! missing need stopped has not ended by itself. At the root it ends the kernel, in order and without a failure: a
//! tree that is done is no fault. (The file could have refused it there; then a job could not be a whole tree.)

use super::*;

impl Core {
    /// A child ended by itself and stays down, or leaves: notes that, and ends the supervisor if it was waiting
    /// for this.
    pub(super) fn ended_for_good(&mut self, key: Key, reason: &ExitReason, failed_start: bool) {
        let ends = self.ends_with(key);
        let vanishes = self.vanishes(key);
        let response = match (ends, vanishes) {
            (true, _) => Response::AutoShutdown,
            (false, true) => Response::Deleted,
            (false, false) => Response::LeftDown,
        };
        self.record(key, failed_start, reason, response);
        let id = self.id_text(key);
        if vanishes {
            self.remove(key);
        } else {
            self.set(key, Status::Down(SlotState::Stopped));
        }
        if ends {
            let text = format!("its significant child `{id}` ended ({reason})");
            // At the end of its boot it has begun before it ends.
            self.begun(Ok(()));
            self.end(ExitReason::with_text(ExitKind::Shutdown, text), false);
        }
    }

    /// Whether the supervisor ends now that `key` has ended.
    fn ends_with(&self, key: Key) -> bool {
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::OutlivesSignificant) {
            return false;
        }
        let is_significant = |child: &Child| child.spec.significant;
        if !self.children.get(&key).is_some_and(is_significant) {
            return false;
        }
        match self.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => !self
                .children
                .iter()
                .any(|(other, child)| is_significant(child) && self.goes_on(*other, key)),
        }
    }

    /// Whether a child runs or may run again without anybody's doing, now that `gone` has ended: it is not down
    /// for good and needs nothing that is. What is in quarantine is not done yet. Needs form no circle, so this
    /// comes to an end.
    fn goes_on(&self, key: Key, gone: Key) -> bool {
        match self.children.get(&key) {
            None => false,
            Some(_) if key == gone => false,
            Some(child) => match child.status {
                Status::Down(SlotState::Quarantined) => true,
                Status::Down(_) => false,
                _ => child.needs.iter().all(|need| self.goes_on(*need, gone)),
            },
        }
    }

    /// The id of a child, for texts.
    pub(super) fn id_text(&self, key: Key) -> String {
        let child = self.children.get(&key);
        child
            .map(|child| child.spec.id.to_string())
            .unwrap_or_default()
    }
}
