//! The ladder of a child that crashes again and again: which step a crash leads to.
//!
//! Steps are taken in order, one at a time, each when so many crashes lie within its own sliding window. The crashes
//! before a step count for those after it too. A quarantine is never passed: a ladder that ends in one is never used
//! up, so it charges nobody. Time is monotonic.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::spec::{Ladder, LadderAction};

/// What a crash leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Climb {
    /// No step: the child is restarted as it is, and its supervisor charged nothing.
    Stay,
    /// The step of this index.
    Take(usize),
    /// All steps are used up: its supervisor is charged.
    Spent,
}

/// How far a child is up its ladder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LadderState {
    /// The step that comes next.
    next: usize,
    /// The last crashes, as many as the hungriest step asks for.
    crashes: VecDeque<Instant>,
}

impl LadderState {
    /// Counts a crash at `now`, and says what it leads to.
    pub fn crash(&mut self, ladder: &Ladder, now: Instant) -> Climb {
        let asked = ladder.steps.iter().map(|step| step.after).max();
        let kept = asked.unwrap_or(0).clamp(1, Ladder::CRASHES_MAX) as usize;
        while self.crashes.len() >= kept {
            self.crashes.pop_front();
        }
        self.crashes.push_back(now);
        self.look(ladder, now)
    }

    /// Passes over the step that was taken last, which came to nothing, and looks at the next with the same crash.
    pub fn skip(&mut self, ladder: &Ladder, now: Instant) -> Climb {
        self.look(ladder, now)
    }

    /// How many steps were taken, or passed over.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.next
    }

    /// Whether nothing was counted yet.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.crashes.is_empty()
    }

    fn look(&mut self, ladder: &Ladder, now: Instant) -> Climb {
        let Some(step) = ladder.steps.get(self.next) else {
            return Climb::Spent;
        };
        let after = step.after.clamp(1, Ladder::CRASHES_MAX) as usize;
        let first = self.crashes.len().checked_sub(after);
        let first = first.and_then(|at| self.crashes.get(at));
        if first.is_none_or(|at| now.duration_since(*at) > step.within) {
            return Climb::Stay;
        }
        let taken = self.next;
        if step.action != LadderAction::Quarantine {
            self.next += 1;
        }
        Climb::Take(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::Climb::{Spent, Stay, Take};
    use super::*;
    use crate::spec::LadderStep;

    fn ladder(steps: &[(u32, u64, LadderAction)]) -> Ladder {
        let step = |(after, within_s, action): &(u32, u64, LadderAction)| LadderStep {
            after: *after,
            within: Duration::from_secs(*within_s),
            action: action.clone(),
        };
        Ladder {
            steps: steps.iter().map(step).collect(),
        }
    }

    fn small() -> LadderAction {
        LadderAction::Swap(serde_json::json!({ "model": "small" }))
    }

    #[test]
    fn steps_are_taken_in_order_and_one_at_a_time() {
        let (good, down) = (LadderAction::LastGood, LadderAction::Quarantine);
        let whole = ladder(&[
            (3, 60, small()),
            (5, 60, good.clone()),
            (8, 600, down.clone()),
        ]);
        let rows = [
            // A quarantine is never passed, and never used up.
            (
                &whole,
                vec![0; 9],
                vec![
                    Stay,
                    Stay,
                    Take(0),
                    Stay,
                    Take(1),
                    Stay,
                    Stay,
                    Take(2),
                    Take(2),
                ],
            ),
            // The window slides: the first crash is forgotten, the one at its very edge is not.
            (&whole, vec![0, 30, 61, 90], vec![Stay, Stay, Stay, Take(0)]),
            (&whole, vec![0, 30, 60], vec![Stay, Stay, Take(0)]),
            // A step whose condition held before its turn comes at the next crash.
            (
                &ladder(&[(2, 10, small()), (2, 60, good.clone())]),
                vec![0, 30, 35, 36, 37],
                vec![Stay, Stay, Take(0), Take(1), Spent],
            ),
            (
                &ladder(&[(1, 10, small())]),
                vec![0, 1, 600],
                vec![Take(0), Spent, Spent],
            ),
            (&ladder(&[]), vec![0], vec![Spent]),
            (&ladder(&[(0, 1, down)]), vec![0, 5], vec![Take(0), Take(0)]),
        ];
        let start = Instant::now();
        for (ladder, at_s, expected) in rows {
            let mut state = LadderState::default();
            let crash = |at| state.crash(ladder, start + Duration::from_secs(at));

            let found: Vec<Climb> = at_s.iter().copied().map(crash).collect();

            assert_eq!(found, expected, "{ladder:?} {at_s:?}");
        }
    }

    #[test]
    fn a_step_that_comes_to_nothing_gives_way_to_the_next_if_that_is_due() {
        let good = LadderAction::LastGood;
        for (next, expected) in [
            (Some((2, LadderAction::Quarantine)), Take(1)),
            (Some((3, small())), Stay),
            (None, Spent),
        ] {
            let mut steps = vec![(2, 60, good.clone())];
            steps.extend(next.map(|(after, action)| (after, 60, action)));
            let ladder = ladder(&steps);
            let (mut state, now) = (LadderState::default(), Instant::now());

            assert_eq!(state.crash(&ladder, now), Stay);
            assert_eq!(state.crash(&ladder, now), Take(0));
            assert_eq!(state.skip(&ladder, now), expected);
        }
    }

    /// The rules in words: all crashes in a list, each step's window filtered from it.
    #[derive(Default)]
    struct Naive {
        all: Vec<Instant>,
        used: usize,
    }

    impl Naive {
        fn crash(&mut self, ladder: &Ladder, now: Instant) -> Climb {
            self.all.push(now);
            let Some(step) = ladder.steps.get(self.used) else {
                return Spent;
            };
            let lies_within = |at: &&Instant| now.duration_since(**at) <= step.within;
            if self.all.iter().filter(lies_within).count() < step.after as usize {
                return Stay;
            }
            let is_last = step.action == LadderAction::Quarantine;
            self.used += usize::from(!is_last);
            Take(self.used - usize::from(!is_last))
        }
    }

    proptest! {
        #![proptest_config(crate::testing::cases())]

        #[test]
        fn a_ladder_agrees_with_a_list_of_all_crashes(
            steps in prop::collection::vec((1_u32..9, 1_u64..90, any::<bool>()), 0..5),
            ends_in_quarantine in any::<bool>(),
            gaps_ms in prop::collection::vec(0_u64..30_000, 0..80),
        ) {
            let last = steps.len();
            let steps: Vec<_> = steps.into_iter().enumerate().map(|(at, (after, within_s, swaps))| {
                let action = match (ends_in_quarantine && at + 1 == last, swaps) {
                    (true, _) => LadderAction::Quarantine,
                    (false, true) => small(),
                    (false, false) => LadderAction::LastGood,
                };
                (after, within_s, action)
            }).collect();
            let ladder = ladder(&steps);
            let (mut state, mut naive) = (LadderState::default(), Naive::default());
            let mut now = Instant::now();
            let mut charged = false;
            for gap in gaps_ms {
                now += Duration::from_millis(gap);
                let climb = state.crash(&ladder, now);
                prop_assert_eq!(climb, naive.crash(&ladder, now));
                charged |= climb == Spent;
                prop_assert!(state.crashes.len() <= 9);
            }
            prop_assert!(!charged || steps.is_empty() || !ends_in_quarantine);
        }
    }
}
