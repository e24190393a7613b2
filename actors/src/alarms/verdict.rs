//! What becomes of the alarms that stand, by what is read now: [`verdicts`], without a clock, a kernel or a machine.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use unity_supervisors::clock::Timestamp;

use super::readings::Readings;

/// How many alarms stand at a time. A node on which more is wrong has one cause for most of it.
pub const ALARMS_MAX: usize = 1_000;

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Too many messages wait in a mailbox.
    MailboxDepth,
    /// A child exits too often.
    Restarts,
    /// A durable subscription is too far behind.
    Lag,
    /// A stream takes nothing.
    Stream,
    /// The disk is nearly full.
    Disk,
    /// The machine's memory is nearly used up.
    Memory,
    /// A part of the machine is too hot.
    Temperature,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::MailboxDepth,
        Self::Restarts,
        Self::Lag,
        Self::Stream,
        Self::Disk,
        Self::Memory,
        Self::Temperature,
    ];

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MailboxDepth => "mailbox_depth",
            Self::Restarts => "restarts",
            Self::Lag => "lag",
            Self::Stream => "stream",
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Temperature => "temperature",
        }
    }

    /// Whether it is an alarm to have less than the limit, not more.
    #[must_use]
    pub fn is_of_too_little(self) -> bool {
        self == Self::Disk
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::MailboxDepth => {
                "`uk state PATH` shows what it does; slow its senders, or give it partitions"
            }
            Self::Restarts => "`uk why PATH` says what it dies of",
            Self::Lag => {
                "its subscriber is slower than what is published, or does not run: `uk tree` shows it; `uk streams drop` \
                 forgets a group that nobody needs"
            }
            Self::Stream => "mend what its text says; the stream goes on by itself",
            Self::Disk => "make room where the data folder is, or keep less in streams",
            Self::Memory => "`uk run --memory-limit` sheds messages before the machine kills",
            Self::Temperature => "let the machine cool: slow or stop what computes most",
        }
    }
}

/// Something that was read, which is within its limit or beyond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What of.
    pub kind: Kind,
    /// Where: an actor's path, a stream and its group, a folder, a part of the machine.
    pub path: String,
    /// How much it is.
    pub value: u64,
    /// How much it may be, or must be.
    pub limit: u64,
    /// What somebody else says is wrong, where nothing is measured.
    pub why: Option<String>,
}

/// An alarm that stands, or stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// What it is about.
    #[serde(rename = "alarm")]
    pub kind: Kind,
    /// Where.
    pub path: String,
    /// How much it is: percents, a number, degrees.
    pub value: u64,
    /// How much it may be, or must be.
    pub limit: u64,
    /// What is wrong, where nothing is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// What tells alarms apart.
pub type Key = (Kind, String);

/// The alarms that stand.
pub type Standing = BTreeMap<Key, Alarm>;

impl Alarm {
    /// What tells it from others.
    #[must_use]
    pub fn key(&self) -> Key {
        (self.kind, self.path.clone())
    }

    /// What it says, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let (value, limit, path) = (self.value, self.limit, &self.path);
        match self.kind {
            Kind::MailboxDepth => {
                format!("{path} has {value}% of a lane's room waiting; the limit is {limit}%")
            }
            Kind::Restarts => format!("{path} exited {value} times; the limit is {limit}"),
            Kind::Lag => format!("{path} is {value} events behind; the limit is {limit}"),
            Kind::Stream => {
                let why = self.why.as_deref().unwrap_or("it takes nothing");
                format!("{path}: {why}")
            }
            Kind::Disk => format!("{path} has {value}% free; the limit is {limit}%"),
            Kind::Memory => format!("{value}% of the {path} is used; the limit is {limit}%"),
            Kind::Temperature => format!("{path} has {value} °C; the limit is {limit} °C"),
        }
    }
}

impl Reading {
    fn key(&self) -> Key {
        (self.kind, self.path.clone())
    }

    /// Whether it is beyond its limit.
    fn is_beyond(&self) -> bool {
        if self.kind.is_of_too_little() {
            self.value <= self.limit
        } else {
            self.value >= self.limit
        }
    }

    /// Whether it is well within its limit: a tenth away.
    fn is_well(&self) -> bool {
        let (value, limit) = (u128::from(self.value) * 10, u128::from(self.limit));
        if self.kind.is_of_too_little() {
            value > limit * 11
        } else {
            value < limit * 9
        }
    }

    fn alarm(&self, since: Timestamp) -> Alarm {
        Alarm {
            kind: self.kind,
            path: self.path.clone(),
            value: self.value,
            limit: self.limit,
            why: self.why.clone(),
            since,
        }
    }
}

/// What becomes of an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It begins to stand.
    Raised(Alarm),
    /// It goes on, with another value.
    Stands(Alarm),
    /// It stood, and does no more.
    Cleared(Alarm),
}

/// What becomes of the alarms that stand `before`, by what is read `now`. What nobody could read is left as it is; what
/// was looked for and is not there any more, or has no limit any more, is cleared.
#[must_use]
pub fn verdicts(before: &Standing, readings: &Readings, now: Timestamp) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let seen: BTreeSet<Key> = readings.seen.iter().map(Reading::key).collect();
    for (key, alarm) in before {
        if !seen.contains(key) && !readings.blind.contains(&key.0) {
            verdicts.push(Verdict::Cleared(alarm.clone()));
        }
    }
    let mut room = ALARMS_MAX.saturating_sub(before.len());
    for reading in &readings.seen {
        match before.get(&reading.key()) {
            Some(alarm) if reading.is_well() => {
                verdicts.push(Verdict::Cleared(reading.alarm(alarm.since)));
            }
            Some(alarm) => {
                let stands = reading.alarm(alarm.since);
                verdicts.extend((stands != *alarm).then_some(Verdict::Stands(stands)));
            }
            None if reading.is_beyond() && room > 0 => {
                room -= 1;
                verdicts.push(Verdict::Raised(reading.alarm(now)));
            }
            None => {}
        }
    }
    verdicts
}

#[cfg(test)]
mod tests;
