//! Which job is next: what waits, in lines, as plain data without a runtime.
//!
//! Each subscription has a line with a part for each tier. A line with something to do and leave to do it has a place in the
//! turn of the most urgent tier that it has something for; whoever is free in a tier takes the first job of the line whose
//! turn it is, which then goes to the end of the turn. So a subscription's jobs are begun in their order, most urgent tier
//! first, and one that floods its tier has one turn like all others.

use std::collections::{BTreeMap, VecDeque};

use unity_supervisors::priority::LANES;

/// How many jobs of a line may wait in one tier.
pub const LINE_LEN_MAX: usize = 1_024;
/// How many jobs may wait in a tier. When so many do, a line may still have one there: nobody is shut out by others.
pub const TIER_LEN_MAX: usize = 16_384;

/// A job that is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    line: u64,
    number: u64,
}

impl Ticket {
    /// The line that it is of.
    pub(super) fn line(self) -> u64 {
        self.line
    }
}

/// Why a job cannot wait; it is given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoPlace<T> {
    /// Too many do.
    Full(T),
    /// The line is closed.
    Closed(T),
}

struct Line<T> {
    waiting: [VecDeque<T>; LANES],
    running: BTreeMap<u64, (usize, T)>,
    /// How many may run at a time.
    concurrency: usize,
    /// The tier in whose turn it is.
    turn: Option<usize>,
}

/// All lines.
pub(super) struct Lines<T> {
    lines: BTreeMap<u64, Line<T>>,
    turns: [VecDeque<u64>; LANES],
    waiting: [usize; LANES],
    running: [usize; LANES],
    next: u64,
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            turns: Default::default(),
            waiting: [0; LANES],
            running: [0; LANES],
            next: 0,
        }
    }
}

/// Counts up or down in one place of a table.
fn count(table: &mut [usize; LANES], tier: usize, change: isize) {
    if let Some(number) = table.get_mut(tier) {
        *number = number.saturating_add_signed(change);
    }
}

impl<T> Lines<T> {
    /// Opens a line of which so many jobs may run at a time.
    pub(super) fn open(&mut self, concurrency: usize) -> u64 {
        let id = self.next;
        self.next += 1;
        let line = Line {
            waiting: Default::default(),
            running: BTreeMap::new(),
            concurrency: concurrency.max(1),
            turn: None,
        };
        self.lines.insert(id, line);
        id
    }

    /// Closes a line; returns all that waited or ran in it.
    pub(super) fn close(&mut self, id: u64) -> Vec<T> {
        let Some(line) = self.lines.remove(&id) else {
            return Vec::new();
        };
        self.leave_turn(id, line.turn);
        let mut all = Vec::new();
        for (tier, job) in line.running.into_values() {
            count(&mut self.running, tier, -1);
            all.push(job);
        }
        for (tier, jobs) in line.waiting.into_iter().enumerate() {
            if let Some(waiting) = self.waiting.get_mut(tier) {
                *waiting -= jobs.len();
            }
            all.extend(jobs);
        }
        all
    }

    /// Has a job wait; returns the tier in which there is something to be done now that was not before.
    pub(super) fn put(
        &mut self,
        id: u64,
        tier: usize,
        job: T,
    ) -> Result<Option<usize>, NoPlace<T>> {
        let is_crowded = self
            .waiting
            .get(tier)
            .is_some_and(|all| *all >= TIER_LEN_MAX);
        let line = self.lines.get_mut(&id);
        let Some(waiting) = line.and_then(|line| line.waiting.get_mut(tier)) else {
            return Err(NoPlace::Closed(job));
        };
        if waiting.len() >= LINE_LEN_MAX || is_crowded && !waiting.is_empty() {
            return Err(NoPlace::Full(job));
        }
        waiting.push_back(job);
        count(&mut self.waiting, tier, 1);
        Ok(self.take_place(id))
    }

    /// Begins the next job of a tier. With it the tier in which there is something more to be done.
    pub(super) fn take(&mut self, tier: usize) -> Option<(Ticket, Option<usize>)> {
        let id = self.turns.get_mut(tier)?.pop_front()?;
        let line = self.lines.get_mut(&id)?;
        line.turn = None;
        let job = line.waiting.get_mut(tier)?.pop_front()?;
        let number = self.next;
        self.next += 1;
        line.running.insert(number, (tier, job));
        count(&mut self.waiting, tier, -1);
        count(&mut self.running, tier, 1);
        let more = self.take_place(id);
        Some((Ticket { line: id, number }, more))
    }

    /// A job that is being done; none once its line is closed.
    pub(super) fn running(&self, ticket: Ticket) -> Option<&T> {
        let line = self.lines.get(&ticket.line)?;
        line.running.get(&ticket.number).map(|(_, job)| job)
    }

    /// The same, to be changed.
    pub(super) fn running_mut(&mut self, ticket: Ticket) -> Option<&mut T> {
        let line = self.lines.get_mut(&ticket.line)?;
        line.running.get_mut(&ticket.number).map(|(_, job)| job)
    }

    /// Ends a job. None if its line is closed; with the job the tier in which there is something more to be done.
    pub(super) fn finish(&mut self, ticket: Ticket) -> Option<(T, Option<usize>)> {
        let (_, job) = self.end(ticket)?;
        Some((job, self.take_place(ticket.line)))
    }

    /// Puts a job that was being done back to where it was: before all that wait. Returns as `put` does.
    pub(super) fn put_back(
        &mut self,
        ticket: Ticket,
        change: impl FnOnce(&mut T),
    ) -> Option<usize> {
        let (tier, mut job) = self.end(ticket)?;
        change(&mut job);
        let line = self.lines.get_mut(&ticket.line)?;
        line.waiting.get_mut(tier)?.push_front(job);
        count(&mut self.waiting, tier, 1);
        self.take_place(ticket.line)
    }

    /// How many wait in a tier, and how many are being done.
    pub(super) fn counts(&self, tier: usize) -> (usize, usize) {
        let at = |table: &[usize; LANES]| table.get(tier).copied().unwrap_or_default();
        (at(&self.waiting), at(&self.running))
    }

    /// How many jobs of a line wait.
    pub(super) fn len(&self, id: u64) -> usize {
        let line = self.lines.get(&id);
        line.map_or(0, |line| line.waiting.iter().map(VecDeque::len).sum())
    }

    fn end(&mut self, ticket: Ticket) -> Option<(usize, T)> {
        let line = self.lines.get_mut(&ticket.line)?;
        let (tier, job) = line.running.remove(&ticket.number)?;
        count(&mut self.running, tier, -1);
        Some((tier, job))
    }

    /// Gives a line its place in a turn, if it has something to do and leave to; returns the tier if the place is new.
    fn take_place(&mut self, id: u64) -> Option<usize> {
        let line = self.lines.get_mut(&id)?;
        if line.running.len() >= line.concurrency {
            return None;
        }
        let tier = line.waiting.iter().position(|jobs| !jobs.is_empty())?;
        if line.turn == Some(tier) {
            return None;
        }
        let before = line.turn.replace(tier);
        self.leave_turn(id, before);
        self.turns.get_mut(tier)?.push_back(id);
        Some(tier)
    }

    fn leave_turn(&mut self, id: u64, tier: Option<usize>) {
        if let Some(turn) = tier.and_then(|tier| self.turns.get_mut(tier)) {
            turn.retain(|other| *other != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRITICAL: usize = 0;
    const LOW: usize = 3;

    /// Takes a job and ends it.
    fn next<T>(lines: &mut Lines<T>, tier: usize) -> Option<T> {
        let (ticket, _) = lines.take(tier)?;
        lines.finish(ticket).map(|(job, _)| job)
    }

    #[test]
    fn a_line_goes_one_by_one_and_lines_take_turns() {
        let mut lines = Lines::default();
        let (flood, other) = (lines.open(1), lines.open(1));
        for number in 0..100 {
            lines.put(flood, LOW, number).unwrap();
        }
        lines.put(other, LOW, 1_000).unwrap();
        lines.put(other, LOW, 1_001).unwrap();

        let (first, more) = lines.take(LOW).unwrap();
        let (second, none) = lines.take(LOW).unwrap();
        assert_eq!((lines.running(first), more), (Some(&0), None));
        assert_eq!((lines.running(second), none), (Some(&1_000), None));
        assert!(lines.take(LOW).is_none(), "each of both has one in hand");
        assert_eq!(lines.finish(second).unwrap(), (1_000, Some(LOW)));
        assert_eq!(lines.finish(first).unwrap(), (0, Some(LOW)));

        let taken: Vec<i32> = std::iter::from_fn(|| next(&mut lines, LOW)).collect();
        assert_eq!(taken.get(..3), Some(&[1_001, 1, 2][..]));
        assert_eq!((taken.len(), lines.counts(LOW)), (100, (0, 0)));
    }

    #[test]
    fn so_many_run_at_a_time_as_were_asked_for() {
        let mut lines = Lines::default();
        let line = lines.open(3);
        let wakes: Vec<_> = (0..5)
            .map(|number| lines.put(line, LOW, number).unwrap())
            .collect();
        assert_eq!(wakes, [Some(LOW), None, None, None, None]);

        let taken: Vec<_> = std::iter::from_fn(|| lines.take(LOW)).collect();

        // Whoever takes one wakes the next, as long as one more may run.
        let more: Vec<_> = taken.iter().map(|(_, more)| *more).collect();
        assert_eq!(more, [Some(LOW), Some(LOW), None]);
        assert_eq!(lines.counts(LOW), (2, 3));
    }

    #[test]
    fn the_most_urgent_of_a_line_is_next_also_when_it_came_last() {
        let mut lines = Lines::default();
        let line = lines.open(1);
        lines.put(line, LOW, "low").unwrap();
        assert_eq!(lines.put(line, CRITICAL, "critical"), Ok(Some(CRITICAL)));

        assert!(lines.take(LOW).is_none());
        let (ticket, more) = lines.take(CRITICAL).unwrap();
        assert_eq!((lines.running(ticket), more), (Some(&"critical"), None));
        assert_eq!(lines.finish(ticket), Some(("critical", Some(LOW))));
        assert_eq!(next(&mut lines, LOW), Some("low"));
    }

    #[test]
    fn what_is_put_back_is_next() {
        let mut lines = Lines::default();
        let line = lines.open(1);
        lines.put(line, LOW, 1).unwrap();
        lines.put(line, LOW, 2).unwrap();
        let (ticket, _) = lines.take(LOW).unwrap();

        assert_eq!(lines.put_back(ticket, |job| *job += 10), Some(LOW));

        assert_eq!(lines.finish(ticket), None);
        assert_eq!(next(&mut lines, LOW), Some(11));
        assert_eq!(next(&mut lines, LOW), Some(2));
    }

    #[test]
    fn a_full_line_refuses_and_a_full_tier_leaves_each_line_one_place() {
        let mut lines = Lines::default();
        let floods: Vec<u64> = (0..TIER_LEN_MAX / LINE_LEN_MAX)
            .map(|_| lines.open(1))
            .collect();
        for line in &floods {
            for number in 0..LINE_LEN_MAX {
                lines.put(*line, LOW, number).unwrap();
            }
            assert_eq!(lines.put(*line, LOW, 7), Err(NoPlace::Full(7)));
        }
        assert_eq!(lines.counts(LOW), (TIER_LEN_MAX, 0));

        let other = lines.open(1);
        assert_eq!(lines.put(other, LOW, 1), Ok(Some(LOW)));
        assert_eq!(lines.put(other, LOW, 2), Err(NoPlace::Full(2)));
        assert_eq!(lines.put(other, CRITICAL, 3), Ok(Some(CRITICAL)));
    }

    #[test]
    fn a_closed_line_gives_back_all_and_takes_nothing() {
        let mut lines = Lines::default();
        let line = lines.open(1);
        for number in 0..3 {
            lines.put(line, LOW, number).unwrap();
        }
        let (ticket, _) = lines.take(LOW).unwrap();

        assert_eq!(lines.close(line), [0, 1, 2]);

        assert_eq!(lines.counts(LOW), (0, 0));
        assert_eq!(lines.running(ticket), None);
        assert_eq!(lines.finish(ticket), None);
        assert_eq!(lines.put(line, LOW, 1), Err(NoPlace::Closed(1)));
        assert!(lines.take(LOW).is_none());
    }
}
