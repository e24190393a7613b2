//! Which children stop and start when one of them fails: the strategies, as a pure function.

use crate::spec::{Restart, Strategy};

/// What the planner looks at in a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<K> {
    /// Which child it is.
    pub key: K,
    /// Its restart type.
    pub restart: Restart,
    /// Whether it runs now.
    pub is_up: bool,
    /// Whether it is kept down: no group restart takes it in.
    pub is_quarantined: bool,
}

/// What to do, in this order: all stops, then all starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<K> {
    /// In reverse start order.
    pub stops: Vec<K>,
    /// In start order.
    pub starts: Vec<K>,
}

/// Decides which children stop and start after `failed` exited and is to be restarted.
///
/// `members` is in start order. Temporary children of the group are stopped but never started again;
/// children that a person stopped are started with their group, as in OTP (`supervisor`,
/// `restart_multiple_children`). An unknown `failed` gives an empty plan.
pub fn plan<K: Copy + PartialEq>(strategy: Strategy, failed: K, members: &[Member<K>]) -> Plan<K> {
    let position = members.iter().position(|member| member.key == failed);
    let group = match (strategy, position) {
        (_, None) => &[],
        (Strategy::OneForOne, Some(at)) => members.get(at..=at).unwrap_or_default(),
        (Strategy::OneForAll, Some(_)) => members,
        (Strategy::RestForOne, Some(at)) => members.get(at..).unwrap_or_default(),
    };
    let stops = group
        .iter()
        .rev()
        .filter(|member| member.is_up && member.key != failed)
        .map(|member| member.key)
        .collect();
    let starts = group
        .iter()
        .filter(|member| !member.is_quarantined)
        .filter(|member| member.key == failed || member.restart != Restart::Temporary)
        .map(|member| member.key)
        .collect();
    Plan { stops, starts }
}

/// Whether a child of this restart type comes back after this exit.
#[must_use]
pub fn comes_back(restart: Restart, exit: crate::exit::ExitKind) -> bool {
    match restart {
        Restart::Permanent => true,
        Restart::Transient => !exit.is_clean(),
        Restart::Temporary => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitKind;
    use Restart::{Permanent, Temporary, Transient};
    use Strategy::{OneForAll, OneForOne, RestForOne};
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn members(restarts: &[Restart]) -> Vec<Member<usize>> {
        restarts
            .iter()
            .enumerate()
            .map(|(key, restart)| Member {
                key,
                restart: *restart,
                is_up: true,
                is_quarantined: false,
            })
            .collect()
    }

    #[test]
    fn each_strategy_stops_in_reverse_and_starts_in_order() {
        let four = members(&[Permanent; 4]);
        for (strategy, failed, stops, starts) in [
            (OneForOne, 1, vec![], vec![1]),
            (OneForAll, 1, vec![3, 2, 0], vec![0, 1, 2, 3]),
            (RestForOne, 1, vec![3, 2], vec![1, 2, 3]),
            (RestForOne, 3, vec![], vec![3]),
            (RestForOne, 0, vec![3, 2, 1], vec![0, 1, 2, 3]),
            (OneForAll, 9, vec![], vec![]),
        ] {
            assert_eq!(
                plan(strategy, failed, &four),
                Plan { stops, starts },
                "{strategy:?} {failed}"
            );
        }
    }

    #[test]
    fn temporary_members_are_stopped_and_never_started_again() {
        let mixed = members(&[Permanent, Temporary, Transient]);

        assert_eq!(
            plan(OneForAll, 0, &mixed),
            Plan {
                stops: vec![2, 1],
                starts: vec![0, 2]
            }
        );
    }

    #[test]
    fn a_group_takes_in_what_was_stopped_but_not_what_is_quarantined() {
        let mut three = members(&[Permanent; 3]);
        three[1].is_up = false;
        three[2].is_up = false;
        three[2].is_quarantined = true;

        assert_eq!(
            plan(OneForAll, 0, &three),
            Plan {
                stops: vec![],
                starts: vec![0, 1]
            }
        );
    }

    #[test]
    fn restart_type_and_exit_decide_who_comes_back() {
        use ExitKind::{Error, GaveUp, Killed, NodeDown, Normal, Panic, Shutdown, Stalled};
        for exit in [
            Normal, Shutdown, GaveUp, Killed, Error, Panic, Stalled, NodeDown,
        ] {
            let clean = matches!(exit, Normal | Shutdown | GaveUp);
            assert!(comes_back(Permanent, exit), "{exit:?}");
            assert_eq!(comes_back(Transient, exit), !clean, "{exit:?}");
            assert!(!comes_back(Temporary, exit), "{exit:?}");
        }
    }

    const STRATEGIES: [Strategy; 3] = [OneForOne, OneForAll, RestForOne];
    const RESTARTS: [Restart; 3] = [Permanent, Temporary, Transient];

    proptest! {
        #![proptest_config(crate::testing::cases())]

        /// Against the manual read child by child (`supervisor`, restart strategies): who belongs to the group, who of it is
        /// stopped, who is started.
        #[test]
        fn the_plan_agrees_with_each_child_looked_at_by_itself(
            strategy in 0_usize..3,
            failed in 0_usize..12,
            children in vec((0_usize..3, any::<bool>(), any::<bool>()), 0..10),
        ) {
            let strategy = STRATEGIES[strategy];
            let members: Vec<Member<usize>> = children
                .iter()
                .enumerate()
                .map(|(key, (restart, is_up, is_quarantined))| Member {
                    key,
                    restart: RESTARTS[*restart],
                    is_up: *is_up,
                    is_quarantined: *is_quarantined,
                })
                .collect();
            let (mut stops, mut starts) = (Vec::new(), Vec::new());
            for member in &members {
                let is_in_group = failed < members.len()
                    && match strategy {
                        OneForOne => member.key == failed,
                        OneForAll => true,
                        RestForOne => member.key >= failed,
                    };
                let is_failed = member.key == failed;
                if is_in_group && member.is_up && !is_failed {
                    stops.insert(0, member.key);
                }
                let returns = is_failed || member.restart != Temporary;
                if is_in_group && returns && !member.is_quarantined {
                    starts.push(member.key);
                }
            }

            prop_assert_eq!(plan(strategy, failed, &members), Plan { stops, starts });
        }
    }
}
