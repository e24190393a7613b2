//! What became of numbered messages, added up and judged: [`Tally`].

use crate::chaos::report::Report;

/// What became of the messages of a run, all added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that were accepted.
    pub sent: u64,
    /// Of those that were asked, how many a crash took along: kept as dead letters.
    pub in_hand: u64,
    /// Those that a fault took away on their way.
    pub dropped: u64,
    /// Those that were never heard of again.
    pub lost: u64,
    /// Those that were handled twice, though no fault doubled them.
    pub doubled: u64,
    /// Those that overtook an earlier one.
    pub out_of_order: u64,
}

impl Counts {
    /// Writes them into a report.
    pub fn write(self, report: &mut Report) {
        report.sent = self.sent;
        report.in_hand = self.in_hand;
        report.dropped = self.dropped;
        report.lost = self.lost;
        report.doubled = self.doubled;
        report.out_of_order = self.out_of_order;
    }
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Answered with this serial number.
    Answered(u64),
    /// Accepted, and nobody is to answer it.
    Told,
    /// A crash took it along: it was in hand, and is a dead letter.
    InHand,
    /// A fault took it away: it is a dead letter.
    Dropped,
    /// It was never accepted.
    Refused,
    /// It was accepted, and nothing was heard of it.
    Lost,
}

/// What is known of the messages to one probe, in the order in which they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    counts: Counts,
    /// The serial number of the first.
    first: u64,
    highest: u64,
    /// How many were taken in hand from the first on, as far as is known.
    taken: u64,
    told: u64,
    /// How many are under way.
    open: u64,
    /// How often its slot had tried a message again, which counts anew: before the first, and from then on.
    tried_before: u64,
    tried: u64,
    /// Whether the last of all was answered: then the numbers must fit.
    is_complete: bool,
    /// Whether its slot has become another one, which counts anew.
    is_other: bool,
}

impl Tally {
    /// None yet but the first, which has this serial number and is under way; its slot had tried so many messages again.
    pub(super) fn new(first: u64, tried_before: u64) -> Self {
        Self {
            first,
            tried_before,
            open: 1,
            ..Self::default()
        }
    }

    /// So many more are under way.
    pub(super) fn sent(&mut self, count: u64) {
        self.open += count;
    }

    /// Takes what became of the next message.
    pub(super) fn take(&mut self, fate: Fate, is_other: bool) {
        self.open = self.open.saturating_sub(1);
        if is_other && !self.is_other {
            self.is_other = true;
            self.highest = 0;
        }
        self.counts.sent += u64::from(fate != Fate::Refused);
        match fate {
            Fate::Refused => {}
            Fate::Told => self.told += 1,
            Fate::InHand => {
                self.counts.in_hand += 1;
                self.taken += 1;
            }
            Fate::Dropped => self.counts.dropped += 1,
            // A slot that was removed took along what waited, as dead letters.
            Fate::Lost if self.is_other => self.counts.dropped += 1,
            Fate::Lost => self.counts.lost += 1,
            Fate::Answered(serial) => {
                self.taken += 1;
                self.counts.out_of_order += u64::from(serial < self.highest);
                self.highest = self.highest.max(serial);
            }
        }
    }

    /// The last of all was answered; by now its slot has tried so many messages again.
    pub(super) fn complete(&mut self, tried: u64) {
        self.is_complete = true;
        self.tried = tried.saturating_sub(self.tried_before);
    }

    /// The counts, where faults dropped and added so many of all messages to it.
    pub(super) fn judged(&self, dropped: u64, added: u64) -> Counts {
        let mut counts = self.counts;
        // Who asked heard of it.
        let dropped_told = dropped.saturating_sub(counts.dropped);
        counts.dropped += dropped_told;
        if self.is_complete && !self.is_other {
            let handled = self.highest - self.first + 1;
            let wanted = self.taken + self.told + added + self.tried;
            counts.doubled = (handled + dropped_told).saturating_sub(wanted);
            counts.lost += wanted.saturating_sub(handled + dropped_told);
        } else {
            // They went with what took them, or the end was not awaited.
            counts.dropped += self.open;
            counts.sent += self.open;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What became of a message, as a word; an answer is its serial number.
    fn fate(word: &str) -> Fate {
        match word {
            "told" => Fate::Told,
            "in_hand" => Fate::InHand,
            "dropped" => Fate::Dropped,
            "refused" => Fate::Refused,
            "lost" => Fate::Lost,
            serial => Fate::Answered(serial.parse().unwrap()),
        }
    }

    #[test]
    fn fates_are_judged() {
        // What became of those after the first, whose number is 5; what faults dropped and added; lost, doubled, out of order,
        // dropped. What was tried again is the number after `tried`.
        for (name, fates, (dropped, added), expected) in [
            ("nothing", "", (0, 0), [0, 0, 0, 0]),
            ("all is well", "6 told 8", (0, 0), [0, 0, 0, 0]),
            ("a crash took one", "in_hand 7", (0, 0), [0, 0, 0, 0]),
            ("one was refused", "refused 6", (0, 0), [0, 0, 0, 0]),
            ("one was lost", "lost 6", (0, 0), [1, 0, 0, 0]),
            ("one that was told was lost", "told 6", (0, 0), [1, 0, 0, 0]),
            ("one was handled twice", "7", (0, 0), [0, 1, 0, 0]),
            ("one was overtaken", "7 6", (0, 0), [0, 0, 1, 0]),
            (
                "a fault took one that was asked",
                "dropped 6",
                (1, 0),
                [0, 0, 0, 1],
            ),
            (
                "a fault took one that was told",
                "told 6",
                (1, 0),
                [0, 0, 0, 1],
            ),
            ("a fault doubled one", "told 8", (0, 1), [0, 0, 0, 0]),
            ("a fault and more doubled", "told 9", (0, 1), [0, 1, 0, 0]),
            (
                "a fault took one, one was lost",
                "told told 6",
                (1, 0),
                [1, 0, 0, 1],
            ),
            (
                "one was tried again",
                "tried:1 told 8",
                (0, 0),
                [0, 0, 0, 0],
            ),
            (
                "one was tried again and one more handled twice",
                "tried:1 told 9",
                (0, 0),
                [0, 1, 0, 0],
            ),
        ] {
            let mut tally = Tally {
                first: 5,
                ..Tally::default()
            };
            tally.tried_before = 3;
            let mut tried = 3;
            for word in ["5"].into_iter().chain(fates.split_whitespace()) {
                if let Some(count) = word.strip_prefix("tried:") {
                    tried += count.parse::<u64>().unwrap();
                    continue;
                }
                tally.sent(1);
                tally.take(fate(word), false);
            }
            tally.complete(tried);

            let Counts {
                lost,
                doubled,
                out_of_order,
                dropped,
                ..
            } = tally.judged(dropped, added);

            assert_eq!([lost, doubled, out_of_order, dropped], expected, "{name}");
        }
    }

    #[test]
    fn who_is_removed_counts_anew_and_takes_along_what_waits() {
        let mut tally = Tally::default();
        for (fate, is_other) in [
            (Fate::Answered(0), false),
            (Fate::Answered(1), false),
            (Fate::Lost, true),
            (Fate::Answered(0), true),
            (Fate::Answered(1), true),
        ] {
            tally.sent(1);
            tally.take(fate, is_other);
        }
        tally.complete(0);

        let counts = tally.judged(0, 0);

        let expected = Counts {
            sent: 5,
            dropped: 1,
            ..Counts::default()
        };
        assert_eq!(counts, expected);
    }
}
