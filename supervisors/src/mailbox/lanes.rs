//! Which lane has its turn: strictly by priority, with aging.
//!
//! A pure function over five counters, so that the rule can be read and tested without a mailbox.

use crate::priority::LANES;

/// How many messages were taken above each lane since its own last turn.
pub(crate) type Passed = [u32; LANES];

/// The lane whose message is next, and the counters after it. `filled` has a bit for each lane that has messages;
/// `None` if there is none.
///
/// The most urgent filled lane goes first, unless a lane below it has waited for `fairness` messages taken above
/// it; the most urgent of those goes then. An empty lane does not count.
pub(crate) fn choose(filled: u8, passed: &mut Passed, fairness: u32) -> Option<usize> {
    if filled == 0 {
        return None;
    }
    let top = filled.trailing_zeros() as usize;
    if filled.count_ones() == 1 {
        *passed = [0; LANES];
        return Some(top);
    }
    let is_filled = |lane: usize| filled & (1 << lane) != 0;
    let starved = passed
        .iter()
        .enumerate()
        .find(|(lane, count)| is_filled(*lane) && **count >= fairness)
        .map(|(lane, _)| lane);
    let chosen = starved.unwrap_or(top);
    for (lane, count) in passed.iter_mut().enumerate() {
        if lane == chosen || !is_filled(lane) {
            *count = 0;
        } else if lane > chosen {
            *count += 1;
        }
    }
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(filled: u8, fairness: u32, count: usize) -> Vec<usize> {
        let mut passed = Passed::default();
        (0..count)
            .filter_map(|_| choose(filled, &mut passed, fairness))
            .collect()
    }

    #[test]
    fn an_empty_mailbox_has_no_turn() {
        assert_eq!(choose(0, &mut Passed::default(), 64), None);
    }

    #[test]
    fn the_most_urgent_lane_goes_first() {
        assert_eq!(turns(0b1_1111, 64, 3), [0, 0, 0]);
        assert_eq!(turns(0b1_1000, 64, 3), [3, 3, 3]);
    }

    #[test]
    fn a_lane_has_its_turn_after_fairness_messages_above_it() {
        assert_eq!(turns(0b0_0101, 3, 9), [0, 0, 0, 2, 0, 0, 0, 2, 0]);
    }

    #[test]
    fn of_two_starved_lanes_the_more_urgent_goes_first() {
        assert_eq!(turns(0b1_0101, 3, 6), [0, 0, 0, 2, 4, 0]);
    }

    #[test]
    fn no_lane_starves_for_longer_than_fairness_allows() {
        for fairness in 1..20 {
            for lane in 1..LANES {
                let turns = turns(0b1_1111, fairness, 2_000);
                let longest = turns
                    .split(|turn| *turn == lane)
                    .map(<[usize]>::len)
                    .max()
                    .unwrap();
                assert!(
                    longest <= fairness as usize + LANES,
                    "{fairness} {lane} {longest}"
                );
            }
        }
    }

    #[test]
    fn a_lane_that_ran_empty_begins_to_count_anew() {
        let mut passed = Passed::default();
        for _ in 0..3 {
            assert_eq!(choose(0b11, &mut passed, 4), Some(0));
        }

        assert_eq!(choose(0b01, &mut passed, 4), Some(0));
        assert_eq!(passed, [0; LANES]);
    }
}
