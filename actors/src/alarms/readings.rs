//! What there is to read, of the kernel and of the machine: [`read`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use unity_supervisors::Kernel;
use unity_supervisors::slot::{Response, Slot};
use unity_supervisors::spec::ChildKind;
use unity_supervisors::stream::StreamInfo;

use super::limits::AlarmSettings;
use super::machine::Machine;
use super::verdict::{Kind, Reading};

/// How long streams may take to say how they are.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was read in one look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readings {
    /// What was read.
    pub seen: Vec<Reading>,
    /// What could not be.
    pub blind: BTreeSet<Kind>,
}

impl Readings {
    fn add(&mut self, kind: Kind, path: impl Into<String>, value: u64, limit: u32) {
        self.seen.push(Reading {
            kind,
            path: path.into(),
            value,
            limit: limit.into(),
            why: None,
        });
    }

    /// What `read` reads, if it can.
    fn of<T>(&mut self, kind: Kind, read: io::Result<T>) -> Option<T> {
        if let Err(error) = &read {
            tracing::debug!(alarm = kind.as_str(), %error, "cannot be read");
            self.blind.insert(kind);
        }
        read.ok()
    }
}

/// Reads all that has a limit.
pub(super) async fn read(
    kernel: &Kernel,
    machine: &dyn Machine,
    settings: &AlarmSettings,
) -> Readings {
    let mut readings = Readings::default();
    for (at, path) in kernel.registry().paths().into_iter().enumerate() {
        if let Some(slot) = kernel.registry().get(&path) {
            of_slot(&mut readings, &slot, settings);
        }
        if at % 1_000 == 999 {
            // A tree of many is no reason to hold a thread.
            tokio::task::yield_now().await;
        }
    }
    if let Some(store) = kernel.bus().store() {
        match timeout(PATIENCE, store.streams()).await {
            Ok(Ok(streams)) => of_streams(&mut readings, &streams, settings),
            Ok(Err(_)) | Err(_) => readings.blind.extend([Kind::Lag, Kind::Stream]),
        }
    }
    of_machine(&mut readings, machine, settings);
    readings
}

fn of_slot(readings: &mut Readings, slot: &Slot, settings: &AlarmSettings) {
    let path = slot.path().as_str();
    let depth = u64::try_from(slot.depth()).unwrap_or(u64::MAX);
    if let (Some(limit), true) = (settings.mailbox_depth.0, depth > 0)
        && let ChildKind::Worker(worker) = &slot.spec().what
    {
        let room = u64::try_from(worker.mailbox.capacity.max(1)).unwrap_or(u64::MAX);
        readings.add(
            Kind::MailboxDepth,
            path,
            depth.saturating_mul(100) / room,
            limit,
        );
    }
    if let (Some(limit), true) = (settings.restarts.0, slot.restarts() > 0) {
        let now = Instant::now();
        let window = settings.restart_window.0;
        let history = slot.history().into_iter();
        let recent = history.filter(|exit| now.duration_since(exit.when) <= window);
        // What a person or a group's restart stopped is no restart of its own.
        let restarts = recent.filter(|exit| {
            matches!(
                exit.response,
                Response::Restarted | Response::Backoff { .. } | Response::RolledBack
            )
        });
        let count = u64::try_from(restarts.count()).unwrap_or(u64::MAX);
        readings.add(Kind::Restarts, path, count, limit);
    }
}

fn of_streams(readings: &mut Readings, streams: &[StreamInfo], settings: &AlarmSettings) {
    for stream in streams {
        let name = stream.name.as_str();
        if let Some(trouble) = &stream.trouble {
            readings.seen.push(Reading {
                kind: Kind::Stream,
                path: name.to_owned(),
                value: 1,
                limit: 1,
                why: Some(trouble.clone()),
            });
        }
        let Some(limit) = settings.lag.0 else {
            continue;
        };
        for group in &stream.groups {
            let behind = group.lag.saturating_add(group.pending);
            let path = format!("{name} {}", group.name);
            readings.add(Kind::Lag, path, behind, limit);
        }
    }
}

fn of_machine(readings: &mut Readings, machine: &dyn Machine, settings: &AlarmSettings) {
    if let Some(limit) = settings.disk.0
        && let Some(free) = readings.of(Kind::Disk, machine.disk_free())
    {
        let folder = machine.folder().display().to_string();
        readings.add(Kind::Disk, folder, free, limit);
    }
    if let Some(limit) = settings.memory.0
        && let Some(used) = readings.of(Kind::Memory, machine.memory_used())
    {
        readings.add(Kind::Memory, "machine's memory", used, limit);
    }
    if let Some(limit) = settings.temperature.0
        && let Some(parts) = readings.of(Kind::Temperature, machine.temperatures())
    {
        // Of parts of one name the hottest.
        let mut hottest = BTreeMap::new();
        for (part, degrees) in parts {
            let most = hottest.entry(part).or_insert(degrees);
            *most = degrees.max(*most);
        }
        for (part, degrees) in hottest {
            readings.add(Kind::Temperature, part, degrees, limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use unity_supervisors::stream::{GroupInfo, Position, Retention, StreamName};

    use super::*;

    #[test]
    fn a_stream_that_takes_nothing_and_a_group_that_is_behind_are_read() {
        let group = GroupInfo {
            name: "audit".to_owned(),
            cursor: Position::START,
            pending: 3,
            lag: 4,
        };
        let stream = StreamInfo {
            name: StreamName::new("memory").unwrap(),
            length: 7,
            bytes: 700,
            first: None,
            last: Position::START,
            retention: Retention::default(),
            groups: vec![group],
            skipped: 0,
            trouble: Some("no space left on device".to_owned()),
        };
        let mut readings = Readings::default();

        of_streams(&mut readings, &[stream], &AlarmSettings::default());

        let seen = readings.seen.iter();
        let seen: Vec<_> = seen
            .map(|its| (its.kind, its.path.as_str(), its.value, its.why.as_deref()))
            .collect();
        let trouble = Some("no space left on device");
        assert_eq!(
            seen,
            [
                (Kind::Stream, "memory", 1, trouble),
                (Kind::Lag, "memory audit", 7, None)
            ]
        );
    }
}
