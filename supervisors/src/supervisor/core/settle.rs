//! What follows from every input: needs that are met or not, quarantine, members that nobody brings back.

use super::*;

impl Core {
    /// Starts what waited for needs that are up, stops what needs something that is down for good, and puts
    /// the condemned into quarantine.
    pub(super) fn settle(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        self.settle_members();
        if self.watched.is_empty() {
            return;
        }
        let keys: Vec<Key> = self.watched.iter().copied().collect();
        self.settle_condemned(&keys);
        let children = &self.children;
        self.watched.retain(|key| {
            children.get(key).is_some_and(|child| {
                child.condemned
                    || !child.needs.is_empty()
                    || child.behind.is_some()
                    || child.status == Status::Waiting
            })
        });
        for key in keys {
            if self.is_held(key) {
                continue;
            }
            let Some(child) = self.children.get(&key) else {
                continue;
            };
            match child.status {
                Status::Waiting
                    if child.needs.iter().all(|need| self.is_up(*need))
                        && !self.is_held_back(child) =>
                {
                    let step = self.start_step(key, &[], false);
                    self.run(Purpose::Settle, vec![step]);
                }
                Status::Up { .. }
                    if child.needs.iter().any(|need| self.is_down(*need))
                        || self.is_held_back(child) =>
                {
                    self.run(Purpose::Unsettle, vec![Step::Stop { key }]);
                }
                Status::Waiting => self.show_waiting(key),
                _ => {}
            }
        }
    }

    /// What waits for a need that is on its way is starting; what waits for one that is down is as stopped as that.
    pub(super) fn show_waiting(&mut self, key: Key) {
        let Some(child) = self.children.get(&key) else {
            return;
        };
        let is_down =
            child.needs.iter().any(|need| self.is_down(*need)) || self.is_held_back(child);
        if child.shown_stopped != is_down {
            let state = if is_down {
                SlotState::Stopped
            } else {
                SlotState::Starting
            };
            self.effects.push(Effect::State { key, state });
            if let Some(child) = self.children.get_mut(&key) {
                child.shown_stopped = is_down;
            }
        }
    }

    /// Whether it is down for good, or waits for one that is. Needs are earlier siblings, so this comes to an end.
    pub(super) fn is_down(&self, key: Key) -> bool {
        #[cfg(test)]
        if self.bug == Some(crate::bug::Bug::ForgetsNeeds) {
            return false;
        }
        match self.children.get(&key) {
            None => true,
            Some(child) => match child.status {
                Status::Down(_) => true,
                Status::Waiting => {
                    child.needs.iter().any(|need| self.is_down(*need)) || self.is_held_back(child)
                }
                _ => false,
            },
        }
    }

    pub(super) fn settle_condemned(&mut self, keys: &[Key]) {
        let mut stops = Vec::new();
        for key in keys.iter().rev() {
            let Some(child) = self.children.get_mut(key) else {
                continue;
            };
            if !child.condemned {
                continue;
            }
            match child.status {
                Status::Busy => {}
                Status::Up { .. } => stops.push(Step::Stop { key: *key }),
                _ => {
                    child.condemned = false;
                    self.set(*key, Status::Down(SlotState::Quarantined));
                }
            }
        }
        if !stops.is_empty() {
            self.run(Purpose::Quarantine, stops);
        }
    }
}
