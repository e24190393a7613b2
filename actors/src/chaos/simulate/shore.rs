//! The streams of a simulated kernel: one who publishes numbered durable events, one who reads them, and what must be true of
//! them after any fault of the disk and any end of the kernel.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{sleep, timeout};
use unity_supervisors::bus::{Draft, Event, EventId, Topic};
use unity_supervisors::clock::Clock;
use unity_supervisors::sim::Violation;
use unity_supervisors::stream::{Entry, Position, StreamName};

use crate::streams::simulated::{SimulatedDisk, SimulatedStreams};

/// How long the publisher rests between two events.
const PAUSE: Duration = Duration::from_millis(500);
/// How long it is until what could not be written is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// What is known of the stream, in all lives of the kernel.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Which event is published next; those before it were acknowledged.
    next: u64,
    /// Those that a saboteur loses.
    lost: BTreeSet<u64>,
}

impl Ledger {
    pub(super) fn acknowledged(&self) -> u64 {
        self.next
    }
}

/// The streams of one life.
pub(super) struct Shore {
    streams: SimulatedStreams,
    name: StreamName,
    topic: Topic,
}

impl Shore {
    pub(super) fn open(disk: &SimulatedDisk, clock: Clock) -> Self {
        Self {
            streams: disk.open(clock),
            name: StreamName::new("simulation").expect("`simulation` is a name"),
            topic: Topic::new("simulation.event").expect("`simulation.event` is a topic"),
        }
    }

    /// Publishes and reads, until it is dropped or something is wrong.
    pub(super) async fn use_it(
        &self,
        ledger: &mut Ledger,
        lag: &Mutex<u64>,
        loses: impl Fn() -> bool,
    ) -> Violation {
        let mut read = Position::START;
        loop {
            let number = ledger.next;
            self.publish(number).await;
            ledger.next += 1;
            if loses() {
                ledger.lost.insert(number);
            }
            // What cannot be read now is read later.
            if let Ok(entries) = self.streams.read(&self.name, read).await {
                let last = entries.iter().filter_map(number_of).next_back();
                *lag.lock() = last.map_or(0, |last| number.saturating_sub(last));
                if let Some(what) = not_in_order(&entries) {
                    return broken(format!("a consumer is brought {what}"));
                }
                read = entries.last().map_or(read, |entry| entry.position);
            }
            sleep(PAUSE).await;
        }
    }

    /// Appends an event while the process ends, after so many steps that the disk still does for it.
    pub(super) fn break_off(&self, ledger: &mut Ledger, disk: &SimulatedDisk, steps: usize) {
        disk.crash_after(steps);
        let mut append = self.streams.append(&self.name, self.event(ledger.next));
        self.streams.write();
        if let Some(Ok(_)) = (&mut append).now_or_never() {
            ledger.next += 1;
        }
    }

    /// Appends an event until that is acknowledged.
    async fn publish(&self, number: u64) {
        loop {
            let mut append = self.streams.append(&self.name, self.event(number));
            loop {
                self.streams.write();
                match timeout(RETRY, &mut append).await {
                    Ok(Ok(_)) => return,
                    Ok(Err(_)) => break,
                    Err(_) => {}
                }
            }
            sleep(RETRY).await;
        }
    }

    fn event(&self, number: u64) -> Arc<Event> {
        let filler = "x".repeat(usize::try_from(number * 7 % 90).unwrap_or_default());
        let mut draft = Draft::new(&self.topic, json!({ "number": number, "filler": filler }));
        draft.id = Some(EventId::from_u128(u128::from(number) + 1));
        Arc::new(draft.as_it_is())
    }

    /// Whether all that was acknowledged is there, once and in order.
    pub(super) async fn check(&self, ledger: &Ledger, when: &str) -> Option<Violation> {
        self.streams.write();
        let entries = match self.streams.read(&self.name, Position::START).await {
            Ok(entries) => entries,
            Err(error) => {
                return Some(broken(format!("the stream cannot be read {when}: {error}")));
            }
        };
        if let Some(what) = not_in_order(&entries) {
            return Some(broken(format!("{when} the stream has {what}")));
        }
        let there: BTreeSet<u64> = entries.iter().filter_map(number_of).collect();
        let is_there = |number: &u64| there.contains(number) && !ledger.lost.contains(number);
        let missing = (0..ledger.next).find(|number| !is_there(number));
        missing.map(|number| {
            broken(format!(
                "event {number} was acknowledged and is not there {when}"
            ))
        })
    }
}

fn broken(what: String) -> Violation {
    Violation::Seen {
        checker: "streams",
        what,
    }
}

fn number_of(entry: &Entry) -> Option<u64> {
    entry.event.data.get("number")?.as_u64()
}

/// What is there twice, or before an earlier one.
fn not_in_order(entries: &[Entry]) -> Option<String> {
    let numbers: Vec<u64> = entries.iter().filter_map(number_of).collect();
    if numbers.len() < entries.len() {
        return Some("an event that nobody published".to_owned());
    }
    let mut pairs = numbers.iter().zip(numbers.iter().skip(1));
    let wrong = pairs.find(|(one, next)| next <= one);
    wrong.map(|(one, next)| format!("event {next} after event {one}"))
}
