//! `uk telemetry`: what each sensor said last.
//!
//! [`Telemetry`] hears all events below `sensor.` and keeps the last of each topic and source. It is bounded: where
//! there are more than it keeps, those go that said nothing for longest. It lives as long as the kernel, so that the
//! service that answers may be killed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::bus::{Event, InvalidTopic, Pattern, Place, Refused, Subscriber, Topic};

use super::Command;
use crate::arguments::milliseconds;
use crate::screen::{Screen, Tone, ago, cut, list, number, table, text};

/// What sensors publish.
const TOPICS: &str = "sensor.*";
/// How many topics and sources are kept.
const KEPT_MAX: usize = 512;
/// How much of what was measured is drawn; `--json` has all.
const DRAWN_MAX: usize = 60;

pub(super) const COMMAND: Command = Command {
    about: "Show what each sensor measured last",
    help: "The last event of each topic below `sensor.` and of each actor that publishes it, since the kernel started. Of \
           frames and other blobs it has only what was said about them.\n\n\
           Example: uk telemetry --json",
    show,
    ..Command::reading(&["telemetry"], |kernel, _| {
        async move { Ok(read(&kernel)) }.boxed()
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
    /// Has it hear the events of `kernel` from now on. More than once is as once.
    pub(crate) fn begin(kernel: &Kernel) -> Result<(), InvalidTopic> {
        let telemetry = kernel.shared::<Self>();
        if !telemetry.has_begun.swap(true, Ordering::Relaxed) {
            kernel.bus().subscribe(&Pattern::new(TOPICS)?, telemetry);
        }
        Ok(())
    }
}

impl Subscriber for Telemetry {
    fn deliver(&self, event: &Arc<Event>, _: Option<&Place>) -> Result<(), Refused> {
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
        if kept.len() >= KEPT_MAX && !kept.contains_key(&key) {
            let oldest = kept.iter().min_by_key(|(_, event)| event.time);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                kept.remove(&oldest);
            }
        }
        kept.insert(key, event);
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
