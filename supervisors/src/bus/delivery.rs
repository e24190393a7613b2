//! What an actor receives: an event, and the receipt for it where somebody waits for one.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::event::{Draft, Event};

/// How often a handler may crash with one event of a durable subscription before that becomes a dead letter.
pub const POISON_AFTER: u32 = 5;

/// An event as an actor receives it, in a variant of its message type such as `Event(Delivery)`.
///
/// That of a durable subscription holds a [`Receipt`]: it is acknowledged when the handler has returned, and handed out
/// again when the handler crashed, at most [`POISON_AFTER`] times.
pub struct Delivery {
    event: Shared,
    receipt: Option<Box<Receipt>>,
}

/// An event, alone or among those that a subscriber was given with it.
enum Shared {
    Alone(Arc<Event>),
    Among(Arc<Bundle>, usize),
}

/// Events that a subscriber is given together. Each subscriber has one of its own, so that processors that work for different
/// ones do not count references in the same place of memory.
pub(crate) struct Bundle(Arc<[Arc<Event>]>);

impl Bundle {
    pub(crate) fn new(events: &Arc<[Arc<Event>]>) -> Arc<Self> {
        Arc::new(Self(Arc::clone(events)))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The delivery of one of them.
    #[inline]
    pub(crate) fn delivery(self: &Arc<Self>, index: usize) -> Delivery {
        let (event, receipt) = (Shared::Among(Arc::clone(self), index), None);
        Delivery { event, receipt }
    }
}

impl Delivery {
    /// Of an event that nobody waits for a receipt of.
    #[must_use]
    pub fn new(event: Arc<Event>) -> Self {
        let (event, receipt) = (Shared::Alone(event), None);
        Self { event, receipt }
    }

    /// Of an event that `receipt` belongs to.
    #[must_use]
    pub fn with_receipt(event: Arc<Event>, receipt: Receipt) -> Self {
        let (event, receipt) = (Shared::Alone(event), Some(Box::new(receipt)));
        Self { event, receipt }
    }

    /// The event, to be kept or passed on: it is shared, not copied.
    ///
    /// # Panics
    /// Never: a bundle has all of its events.
    #[must_use]
    pub fn event(&self) -> &Arc<Event> {
        match &self.event {
            Shared::Alone(event) => event,
            Shared::Among(bundle, index) => bundle.0.get(*index).expect("it is in its bundle"),
        }
    }

    /// Takes the receipt out, to acknowledge later. Without one, or with one that is dropped, it is not acknowledged.
    pub fn take_receipt(&mut self) -> Option<Receipt> {
        self.receipt.take().map(|receipt| *receipt)
    }

    /// It was handled.
    pub fn acknowledge(&mut self) {
        if let Some(receipt) = self.take_receipt() {
            receipt.acknowledge();
        }
    }

    /// Whether somebody waits for a receipt.
    #[must_use]
    pub fn has_receipt(&self) -> bool {
        self.receipt.is_some()
    }

    /// A handler crashed with it in hand; returns how often by now. None are counted where nobody waits for a receipt.
    pub fn count_crash(&mut self) -> u32 {
        let Some(receipt) = &mut self.receipt else {
            return 0;
        };
        receipt.crashes += 1;
        receipt.crashes
    }

    /// It is handed out no more.
    pub(crate) fn condemn(&mut self) {
        if let Some(receipt) = &mut self.receipt {
            receipt.is_condemned = true;
        }
    }

    /// Whether it is handed out no more.
    pub(crate) fn is_condemned(&self) -> bool {
        self.receipt
            .as_ref()
            .is_some_and(|receipt| receipt.is_condemned)
    }
}

impl Deref for Delivery {
    type Target = Event;

    fn deref(&self) -> &Event {
        self.event()
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.id, self.topic, self.data)
    }
}

impl Serialize for Delivery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self.event()).serialize(serializer)
    }
}

/// From the JSON form of an event; no receipt belongs to it.
impl<'de> Deserialize<'de> for Delivery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let draft = Draft::deserialize(deserializer)?;
        Ok(Self::new(Arc::new(draft.as_it_is())))
    }
}

impl JsonSchema for Delivery {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "an event",
            "required": ["topic"],
            "properties": { "topic": { "type": "string" }, "data": {} },
        })
    }
}

/// What became of an event that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It was handled.
    Handled,
    /// It was not, and is to be handed out again.
    Left {
        /// How often its handler crashed with it by now.
        crashes: u32,
    },
}

type Settle = Box<dyn FnOnce(Settled) + Send>;

/// What settles an event that was handed out: acknowledged, or, when it is dropped, to be handed out again.
pub struct Receipt {
    settle: Option<Settle>,
    crashes: u32,
    is_condemned: bool,
}

impl Receipt {
    /// One that calls `settle` once: with `true` when it is acknowledged, with `false` when it is dropped.
    #[must_use]
    pub fn new(settle: impl FnOnce(bool) + Send + 'static) -> Self {
        Self::after(0, |settled| settle(settled == Settled::Handled))
    }

    /// One of an event that its handler crashed with so often before.
    pub(super) fn after(crashes: u32, settle: impl FnOnce(Settled) + Send + 'static) -> Self {
        let settle: Settle = Box::new(settle);
        Self {
            settle: Some(settle),
            crashes,
            is_condemned: false,
        }
    }

    /// The event was handled.
    pub fn acknowledge(mut self) {
        if let Some(settle) = self.settle.take() {
            settle(Settled::Handled);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(settle) = self.settle.take() {
            let crashes = self.crashes;
            settle(Settled::Left { crashes });
        }
    }
}
