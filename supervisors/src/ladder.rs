//! The ladder of a child that crashes again and again: which step a crash leads to.
//!
//! Steps are taken in order, one at a time, each when so many crashes lie within its own sliding window. The crashes
//! before a step count for those after it too. A quarantine is never passed: a ladder that ends in one is never used
//! up, so it charges nobody. Time is monotonic.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::spec::{Ladder, LadderAction, LadderStep, lay_over};

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

    /// How many steps were taken, or passed over. A quarantine stays the next.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.next
    }

    /// How many of the crashes count for `step` at `now`.
    #[must_use]
    pub fn crashes_within(&self, step: &LadderStep, now: Instant) -> usize {
        let counts = |at: &&Instant| now.duration_since(**at) <= step.within;
        self.crashes.iter().rev().take_while(counts).count()
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

/// What a ladder has put in the place of the settings of a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Swap {
    /// This is laid over them.
    Over(Value),
    /// These are in force, which were the last to complete their probation.
    LastGood(Value),
}

impl Swap {
    /// What is in force of a child whose own settings are `own`.
    #[must_use]
    pub fn in_force(&self, own: &Value) -> Value {
        match self {
            Self::LastGood(good) => good.clone(),
            Self::Over(swap) => {
                let mut settings = own.clone();
                lay_over(&mut settings, swap.clone());
                settings
            }
        }
    }
}

/// How far a child is up its ladder, and what came of it: what outlives a restart of its supervisor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Climbing {
    /// What was counted, and which step comes next.
    pub state: LadderState,
    /// What is in force instead of its own settings.
    pub swap: Option<Swap>,
    /// Whether it is kept down.
    pub quarantined: bool,
}

/// What a ladder made of a crash, for the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LadderNote {
    /// How many steps it has.
    pub steps: usize,
    /// The steps that were passed over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// What it did.
    #[serde(flatten)]
    pub did: LadderDid,
}

/// What a ladder did about a crash. Steps are numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "did")]
pub enum LadderDid {
    /// It counted it.
    Counted {
        /// The step that comes next.
        step: usize,
        /// How many crashes count for that.
        crashes: usize,
        /// How many it takes.
        after: u32,
        /// Within how long.
        within_ms: u64,
    },
    /// It laid settings over those of the child.
    Swapped {
        /// By which step.
        step: usize,
        /// Which.
        settings: Value,
    },
    /// It brought the last good settings back.
    LastGood {
        /// By which step.
        step: usize,
    },
    /// It keeps the child down.
    Quarantined {
        /// By which step.
        step: usize,
    },
    /// Nothing: it is used up, and the supervisor is charged.
    Spent,
}

/// A step that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Which, from 1.
    pub step: usize,
    /// Why.
    pub why: SkipReason,
}

/// Why the last good settings did not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// No settings have completed their probation yet.
    NoneKnown,
    /// They are in force already.
    InForce,
}

impl LadderNote {
    /// Whether the supervisor was charged for the crash.
    #[must_use]
    pub fn is_charged(&self) -> bool {
        self.did == LadderDid::Spent
    }
}

impl fmt::Display for LadderNote {
    /// `step 1 of 3 swaps its settings`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for skipped in &self.skipped {
            let why = match skipped.why {
                SkipReason::NoneKnown => "no settings have completed their probation",
                SkipReason::InForce => "the last good settings are in force",
            };
            write!(f, "step {} passed over: {why}; ", skipped.step)?;
        }
        let steps = self.steps;
        match &self.did {
            LadderDid::Counted {
                step,
                crashes,
                after,
                within_ms,
            } => {
                let within = Duration::from_millis(*within_ms);
                write!(
                    f,
                    "{crashes} of {after} crashes within {within:?} for step {step} of {steps}"
                )
            }
            LadderDid::Swapped { step, .. } => {
                write!(f, "step {step} of {steps} swaps its settings")
            }
            LadderDid::LastGood { step } => {
                write!(
                    f,
                    "step {step} of {steps} brings its last good settings back"
                )
            }
            LadderDid::Quarantined { step } => write!(f, "step {step} of {steps} keeps it down"),
            LadderDid::Spent => write!(f, "all {steps} steps are used up"),
        }
    }
}

impl Climbing {
    /// Counts a crash at `now` of a child with this ladder, whose own settings are `own` and last good ones `good`, and takes
    /// the step that it leads to.
    pub fn crash(
        &mut self,
        ladder: &Ladder,
        own: &Value,
        good: Option<&Value>,
        now: Instant,
    ) -> LadderNote {
        let mut climb = self.state.crash(ladder, now);
        let mut skipped = Vec::new();
        let did = loop {
            let at = match climb {
                Climb::Stay => break self.counted(ladder, now),
                Climb::Spent => break LadderDid::Spent,
                Climb::Take(at) => at,
            };
            let step = at + 1;
            match ladder.steps.get(at).map(|step| &step.action) {
                Some(LadderAction::Swap(settings)) => {
                    self.swap = Some(Swap::Over(settings.clone()));
                    let settings = settings.clone();
                    break LadderDid::Swapped { step, settings };
                }
                Some(LadderAction::Quarantine) => {
                    self.quarantined = true;
                    break LadderDid::Quarantined { step };
                }
                Some(LadderAction::LastGood) => match self.good(own, good) {
                    Ok(swap) => {
                        self.swap = swap;
                        break LadderDid::LastGood { step };
                    }
                    Err(why) => skipped.push(Skipped { step, why }),
                },
                None => break LadderDid::Spent,
            }
            climb = self.state.skip(ladder, now);
        };
        LadderNote {
            steps: ladder.steps.len(),
            skipped,
            did,
        }
    }

    /// What is in force of a child whose own settings are `own`.
    #[must_use]
    pub fn in_force(&self, own: &Value) -> Value {
        match &self.swap {
            Some(swap) => swap.in_force(own),
            None => own.clone(),
        }
    }

    /// What brings the last good settings back; nothing has to be swapped if they are the child's own.
    fn good(&self, own: &Value, good: Option<&Value>) -> Result<Option<Swap>, SkipReason> {
        match good {
            None => Err(SkipReason::NoneKnown),
            Some(good) if *good == self.in_force(own) => Err(SkipReason::InForce),
            Some(good) if good == own => Ok(None),
            Some(good) => Ok(Some(Swap::LastGood(good.clone()))),
        }
    }

    fn counted(&self, ladder: &Ladder, now: Instant) -> LadderDid {
        let at = self.state.taken();
        let Some(step) = ladder.steps.get(at) else {
            return LadderDid::Spent;
        };
        LadderDid::Counted {
            step: at + 1,
            crashes: self.state.crashes_within(step, now),
            after: step.after,
            within_ms: u64::try_from(step.within.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

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
        LadderAction::Swap(json!({ "model": "small" }))
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

    #[test]
    fn the_last_good_settings_come_back_unless_there_are_none_or_they_are_in_force() {
        use LadderAction::{LastGood, Swap as Lay};
        let (own, old) = (json!({ "fps": 60, "lens": 1 }), json!({ "fps": 30 }));
        let slow = ladder(&[
            (1, 60, Lay(json!({ "fps": 5 }))),
            (2, 60, LastGood),
            (3, 60, LastGood),
        ]);
        let skipped = |step, why| vec![Skipped { step, why }];
        for (good, expected, in_force) in [
            (
                None,
                [
                    skipped(2, SkipReason::NoneKnown),
                    skipped(3, SkipReason::NoneKnown),
                ],
                json!({ "fps": 5, "lens": 1 }),
            ),
            (
                Some(&old),
                [vec![], skipped(3, SkipReason::InForce)],
                old.clone(),
            ),
            (
                Some(&own),
                [vec![], skipped(3, SkipReason::InForce)],
                own.clone(),
            ),
        ] {
            let (mut climbing, now) = (Climbing::default(), Instant::now());
            let mut crash = || climbing.crash(&slow, &own, good, now);

            let notes = [crash(), crash(), crash()];

            assert_eq!(notes[0].skipped, []);
            assert_eq!(
                [notes[1].skipped.clone(), notes[2].skipped.clone()],
                expected
            );
            assert!(notes[2].is_charged());
            assert_eq!(climbing.in_force(&own), in_force);
        }
    }

    #[test]
    fn a_crash_says_how_far_the_next_step_is() {
        let ladder = ladder(&[(3, 60, small()), (9, 60, LadderAction::Quarantine)]);
        let (mut climbing, start) = (Climbing::default(), Instant::now());
        let mut crash = |at_s| {
            let now = start + Duration::from_secs(at_s);
            climbing.crash(&ladder, &json!({}), None, now).did
        };
        let counted = |step, crashes, after| LadderDid::Counted {
            step,
            crashes,
            after,
            within_ms: 60_000,
        };

        assert_eq!(crash(0), counted(1, 1, 3));
        assert_eq!(crash(50), counted(1, 2, 3));
        assert_eq!(crash(61), counted(1, 2, 3));
        assert!(matches!(crash(62), LadderDid::Swapped { step: 1, .. }));
        assert_eq!(crash(63), counted(2, 4, 9));
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
