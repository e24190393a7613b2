//! `uk telemetry`: what each sensor said last.
//!
//! [`Telemetry`] hears all events below `sensor.` and keeps the last of each topic and source. It is bounded: where
//! there are more than it keeps, those go that said nothing for longest. It begins when it is first asked, with what the
//! streams have, so that a kernel that nobody asks publishes without it; and it lives as long as the kernel, so that the
//! service that answers may be killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::bus::{Event, Pattern, Place, Refused, Subscriber, Topic};
use unity_supervisors::stream::{Position, StreamName};

use super::Command;
use crate::arguments::milliseconds;
use crate::error::CommandError;
use crate::screen::{Screen, Tone, ago, cut, list, number, table, text};

/// What sensors publish.
const TOPICS: &str = "sensor.*";
/// How many topics and sources are kept.
const KEPT_MAX: usize = 512;
/// How many entries of each stream are looked at for what was said before.
const LOOKED_AT: usize = 1_000;
/// How much of what was measured is drawn; `--json` has all.
const DRAWN_MAX: usize = 60;

pub(super) const COMMAND: Command = Command {
    about: "Show what each sensor measured last",
    help: "The last event of each topic below `sensor.` and of each actor that publishes it, as far as it is kept. Of \
           frames and other blobs it has only what was said about them.\n\n\
           Example: uk telemetry --json",
    show,
    ..Command::reading(&["telemetry"], |kernel, _| {
        async move {
            Telemetry::begin(&kernel).await?;
            Ok(read(&kernel))
        }
        .boxed()
    })
};

/// The topic and the source of an event.
type Key = (Topic, Arc<str>);

/// The last events of the sensors; found with [`Kernel::shared`].
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    has_begun: AtomicBool,
    kept: Mutex<BTreeMap<Key, Arc<Event>>>,
}

impl Telemetry {
    /// Has it hear the events of `kernel` from now on, and look up those before. More than once is as once.
    async fn begin(kernel: &Kernel) -> Result<(), CommandError> {
        let telemetry = kernel.shared::<Self>();
        if telemetry.has_begun.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let pattern = Pattern::new(TOPICS)?;
        kernel.bus().subscribe(&pattern, telemetry.clone());
        let Some(store) = kernel.bus().store() else {
            return Ok(());
        };
        let catalog = kernel.bus().catalog();
        let types = catalog.types().iter();
        let kept = types.filter(|its| its.topic.meets(&pattern));
        let streams: BTreeSet<&StreamName> = kept
            .filter_map(|its| Some(&its.persist.as_ref()?.stream))
            .collect();
        for stream in streams {
            let last = store.read_back(stream, Position::END, LOOKED_AT);
            // A stream that cannot be read has nothing to tell; what is said from now on is heard all the same.
            for entry in last.await.unwrap_or_default() {
                if pattern.fits(entry.event.topic.as_str()) {
                    telemetry.take(&entry.event, false);
                }
            }
        }
        Ok(())
    }

    /// Keeps an event in the place of the one before; of those before it began, newest first, only what it has nothing of.
    fn take(&self, event: &Arc<Event>, is_newer: bool) {
        // A frame is not kept from being freed.
        let event = match event.blob() {
            Some(_) => Arc::new(Event {
                data: event.data.clone(),
                head: Arc::clone(&event.head),
                extras: None,
                ..**event
            }),
            None => Arc::clone(event),
        };
        let key = (event.topic.clone(), Arc::clone(&event.source));
        let mut kept = self.kept.lock();
        let is_known = kept.contains_key(&key);
        if is_known && !is_newer {
            return;
        }
        if kept.len() >= KEPT_MAX && !is_known {
            let oldest = kept.iter().min_by_key(|(_, event)| event.time);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                kept.remove(&oldest);
            }
        }
        kept.insert(key, event);
    }
}

impl Subscriber for Telemetry {
    fn deliver(&self, event: &Arc<Event>, _: Option<&Place>) -> Result<(), Refused> {
        self.take(event, true);
        Ok(())
    }

    fn name(&self) -> String {
        "telemetry".to_owned()
    }
}

fn read(kernel: &Kernel) -> Value {
    let now = kernel.clock().wall();
    let telemetry = kernel.shared::<Telemetry>();
    let kept = telemetry.kept.lock();
    let sensors = kept.values().map(|event| {
        json!({
            "topic": event.topic, "source": &*event.source, "time": event.time,
            "ago_ms": milliseconds(event.time.age(now)), "data": event.data,
        })
    });
    json!({ "version": 1, "sensors": sensors.collect::<Vec<_>>() })
}

fn show(document: &Value, screen: &Screen) -> String {
    let sensors = list(document, "sensors");
    if sensors.is_empty() {
        return "no sensor has said anything yet\n".to_owned();
    }
    let heads = ["topic", "source", "when", "data"];
    let mut rows = vec![heads.map(|head| (Tone::Dim, head.to_owned())).to_vec()];
    for sensor in sensors {
        let data = sensor.get("data").map(Value::to_string);
        rows.push(vec![
            (Tone::Bold, text(sensor, "topic").to_owned()),
            (Tone::Plain, text(sensor, "source").to_owned()),
            (Tone::Dim, ago(number(sensor, "ago_ms"))),
            (Tone::Plain, cut(&data.unwrap_or_default(), DRAWN_MAX)),
        ]);
    }
    table(&rows, screen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use unity_supervisors::Priority;
    use unity_supervisors::bus::{EventId, Head};
    use unity_supervisors::clock::Timestamp;

    #[test]
    fn the_last_event_of_each_topic_and_source_is_kept_and_the_oldest_leave() {
        let telemetry = Telemetry::default();
        let mut clock = 0;
        let mut publish = |number: usize, source: &str, data: u64| {
            clock += 1;
            let topic = format!("sensor.s{number}").parse().unwrap();
            let event = Event {
                id: EventId::default(),
                head: Head::new(&topic, &source.into()),
                time: Timestamp::from_secs(clock),
                priority: Priority::Normal,
                data: json!(data),
                extras: None,
            };
            telemetry.deliver(&Arc::new(event), None).unwrap();
        };

        for number in 0..KEPT_MAX + 3 {
            publish(number, "/one", 0);
        }
        publish(KEPT_MAX, "/one", 7);
        publish(KEPT_MAX, "/two", 8);

        let kept = telemetry.kept.lock();
        let of = |number: usize, source: &str| {
            let topic: Topic = format!("sensor.s{number}").parse().unwrap();
            let event = kept.get(&(topic, source.into()));
            event.map(|event| event.data.clone())
        };
        assert_eq!(kept.len(), KEPT_MAX);
        assert_eq!(of(KEPT_MAX, "/one"), Some(json!(7)));
        assert_eq!(of(KEPT_MAX, "/two"), Some(json!(8)));
        assert_eq!((of(3, "/one"), of(4, "/one")), (None, Some(json!(0))));
    }
}
