//! What actors receive: the [`Message`] trait, derived, and [`Reply`], the way back to an asker.
//!
//! A message is a plain enum. `#[derive(Message)]` gives it names and priorities;
//! `#[message(json)]` also lets people, files and other nodes send it:
//!
//! ```
//! use unity_supervisors::{Message, Reply};
//!
//! #[derive(Debug, Message)]
//! #[message(json)]
//! enum Gripper {
//!     #[message(priority = "critical")]
//!     Release,                     // "release"  or  {"release": null}
//!     Close(f64),                  // {"close": 0.4}
//!     Move { x: f64, y: f64 },     // {"move": {"x": 1.0, "y": 2.0}}
//!     Force(Reply<f64>),           // {"force": null}, asked for
//! }
//! # fn main() {}
//! ```
//!
//! The JSON form of a variant is its name in `snake_case` with the fields that are not a
//! [`Reply`]: none is `null`, one stands for itself, several are an object (or a list, for a tuple).

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::bus::Delivery;
use crate::exit::ExitReason;
use crate::priority::Priority;

/// What an actor receives. Derive it.
pub trait Message: fmt::Debug + Send + Sized + 'static {
    /// The names of its variants, for when a thread is stuck with one and nobody else may look at it.
    const NAMES: &'static [&'static str] = &[];

    /// Which of [`NAMES`](Self::NAMES) it is. Asked for each message that is taken in hand.
    #[inline]
    fn variant(&self) -> u32 {
        0
    }

    /// The lane it waits in.
    fn priority(&self) -> Priority {
        Priority::Normal
    }

    /// The name of its variant in `snake_case`.
    fn name(&self) -> &'static str;

    /// The way back to whoever asked, if its variant has one.
    fn reply(&mut self) -> Option<&mut dyn ReplyPort> {
        None
    }

    /// The event that its variant carries, if it is a [`Delivery`].
    #[inline]
    fn delivery(&mut self) -> Option<&mut Delivery> {
        None
    }

    /// The message that carries an event and nothing else; `None` if there is no such variant. Of several it is the first.
    #[must_use]
    fn from_delivery(delivery: Delivery) -> Option<Self> {
        drop(delivery);
        None
    }

    /// The JSON Schema of all variants, or `None` when the type has no JSON form.
    #[must_use]
    fn schema() -> Option<Value> {
        None
    }

    /// Makes a message of its JSON form; replies are empty.
    ///
    /// # Errors
    /// [`MessageError`], which says the shape that was expected.
    fn from_json(value: Value) -> Result<Self, MessageError> {
        let _unused = value;
        Err(MessageError::NoJson)
    }

    /// The JSON form, or `None` when the type has none.
    fn to_json(&self) -> Option<Value> {
        None
    }
}

/// An actor that receives nothing.
#[derive(Debug)]
pub enum NoMessage {}

impl Message for NoMessage {
    fn name(&self) -> &'static str {
        match *self {}
    }
}

/// Why a JSON value is not a message of a type.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MessageError {
    /// The type has no JSON form.
    #[error("messages of this kind cannot be sent from outside of the kernel")]
    NoJson,
    /// No variant carries an event and nothing else.
    #[error("no message of this kind carries an event, as `Event(Delivery)` does")]
    NoDelivery,
    /// The value does not fit.
    #[error("{what}; expected {expected}")]
    Shape {
        /// What is wrong.
        what: String,
        /// The form of all variants, in one line.
        expected: String,
    },
}

/// Why an ask brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The life that had the message in hand crashed.
    #[error("it crashed while it had the message in hand ({0})")]
    Crashed(ExitReason),
    /// The message became a dead letter before anyone took it in hand.
    #[error("the message became a dead letter ({0})")]
    DeadLetter(&'static str),
    /// The handler ended without an answer.
    #[error("the message was handled, but not answered")]
    Unanswered,
    /// No answer came in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// The way back to an asker, carried by the message. Empty when the message was told.
///
/// A reply that is dropped without [`send`](Self::send) answers [`NoAnswer::Unanswered`].
pub struct Reply<T>(Port<T>);

enum Port<T> {
    /// Nobody asked.
    None,
    /// The handler took it out or answered: the message cannot be tried again.
    Taken,
    Typed(oneshot::Sender<Result<T, NoAnswer>>),
    Json(oneshot::Sender<Result<Value, NoAnswer>>, fn(T) -> Value),
}

impl<T> Reply<T> {
    /// A reply that goes nowhere.
    #[must_use]
    pub fn none() -> Self {
        Self(Port::None)
    }

    pub(crate) fn channel() -> (Self, oneshot::Receiver<Result<T, NoAnswer>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Port::Typed(sender)), receiver)
    }

    /// Answers. Later calls, calls when nobody asked, and calls of a life that has ended do nothing.
    pub fn send(&mut self, answer: T) {
        if crate::life::is_dead() {
            return self.give_up(NoAnswer::Crashed(ExitReason::killed()));
        }
        // An asker that went away is no fault of the one that answers.
        match std::mem::replace(&mut self.0, Port::Taken) {
            Port::None => self.0 = Port::None,
            Port::Taken => {}
            Port::Typed(sender) => drop(sender.send(Ok(answer))),
            Port::Json(sender, to_json) => drop(sender.send(Ok(to_json(answer)))),
        }
    }

    fn give_up(&mut self, why: NoAnswer) {
        match std::mem::replace(&mut self.0, Port::Taken) {
            Port::None | Port::Taken => {}
            Port::Typed(sender) => drop(sender.send(Err(why))),
            Port::Json(sender, _) => drop(sender.send(Err(why))),
        }
    }

    /// Takes the way back out of the message, to answer later.
    #[must_use]
    pub fn take(&mut self) -> Self {
        Self(std::mem::replace(&mut self.0, Port::Taken))
    }

    /// Whether somebody waits for the answer.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        match &self.0 {
            Port::None | Port::Taken => false,
            Port::Typed(sender) => !sender.is_closed(),
            Port::Json(sender, _) => !sender.is_closed(),
        }
    }
}

impl<T> Default for Reply<T> {
    fn default() -> Self {
        Self::none()
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Port::None => "Reply(nobody asked)",
            Port::Taken => "Reply(taken)",
            Port::Typed(_) | Port::Json(..) => "Reply(asked)",
        })
    }
}

/// A [`Reply`] whose type is not known: what the kernel does with it.
pub trait ReplyPort {
    /// Answers that there will be no answer, if somebody waits.
    fn refuse(&mut self, why: NoAnswer);
    /// Whether the handler took it out or used it.
    fn is_taken(&self) -> bool;
    /// Whether somebody asked and has gone away since.
    fn is_abandoned(&self) -> bool;
    /// Sends the answer as JSON to `sender`.
    fn attach(&mut self, sender: oneshot::Sender<Result<Value, NoAnswer>>);
}

impl<T: Serialize + 'static> ReplyPort for Reply<T> {
    fn refuse(&mut self, why: NoAnswer) {
        self.give_up(why);
    }

    fn is_taken(&self) -> bool {
        matches!(self.0, Port::Taken)
    }

    fn is_abandoned(&self) -> bool {
        match &self.0 {
            Port::None | Port::Taken => false,
            Port::Typed(sender) => sender.is_closed(),
            Port::Json(sender, _) => sender.is_closed(),
        }
    }

    fn attach(&mut self, sender: oneshot::Sender<Result<Value, NoAnswer>>) {
        self.0 = Port::Json(sender, |answer| match serde_json::to_value(answer) {
            Ok(value) => value,
            Err(error) => json!({ "unprintable": error.to_string() }),
        });
    }
}

/// What the derive calls. Not for people.
#[doc(hidden)]
pub mod derive_support {
    use super::{DeserializeOwned, MessageError, Serialize, Value};
    use schemars::JsonSchema;

    pub use schemars;
    pub use serde;
    pub use serde_json;

    /// Splits the JSON form into the variant's name and its payload.
    pub fn split(
        value: Value,
        schema: fn() -> Option<Value>,
    ) -> Result<(String, Value), MessageError> {
        match value {
            Value::String(name) => Ok((name, Value::Null)),
            Value::Object(map) if map.len() == 1 => map
                .into_iter()
                .next()
                .ok_or_else(|| shape("an empty object", schema)),
            Value::Object(map) => Err(shape(
                &format!("an object with {} keys is no message", map.len()),
                schema,
            )),
            other => Err(shape(&format!("`{other}` is no message"), schema)),
        }
    }

    /// The error for a value that does not fit.
    #[must_use]
    pub fn shape(what: &str, schema: fn() -> Option<Value>) -> MessageError {
        MessageError::Shape {
            what: what.to_owned(),
            expected: describe(schema().as_ref()),
        }
    }

    /// The error for a variant that does not exist.
    #[must_use]
    pub fn unknown(name: &str, schema: fn() -> Option<Value>) -> MessageError {
        shape(&format!("there is no message `{name}`"), schema)
    }

    /// The payload of the variant `name` as `T`.
    pub fn payload<T: DeserializeOwned>(
        name: &str,
        value: Value,
        schema: fn() -> Option<Value>,
    ) -> Result<T, MessageError> {
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let place = if path == "." {
                name.to_owned()
            } else {
                format!("{name}.{path}")
            };
            shape(&format!("`{place}`: {}", error.inner()), schema)
        })
    }

    /// A payload's JSON, or a note that it has none.
    pub fn value<T: Serialize>(value: &T) -> Value {
        serde_json::to_value(value)
            .unwrap_or_else(|error| serde_json::json!({ "unprintable": error.to_string() }))
    }

    /// The schema of a payload without the frills of a whole document.
    #[must_use]
    pub fn schema_of<T: JsonSchema>() -> Value {
        let mut schema = schemars::schema_for!(T).to_value();
        if let Some(map) = schema.as_object_mut() {
            map.remove("$schema");
            map.remove("title");
        }
        schema
    }

    /// The schema of one variant.
    #[must_use]
    pub fn variant_schema(name: &str, payload: Value) -> Value {
        serde_json::json!({
            "type": "object",
            "properties": { name: payload },
            "required": [name],
            "additionalProperties": false
        })
    }

    fn describe(schema: Option<&Value>) -> String {
        let variants = schema
            .and_then(|schema| schema.get("oneOf"))
            .and_then(Value::as_array);
        let forms: Vec<String> = variants
            .into_iter()
            .flatten()
            .filter_map(|variant| variant.get("properties").and_then(Value::as_object))
            .flat_map(|properties| {
                properties
                    .iter()
                    .map(|(name, payload)| format!("{{\"{name}\": {}}}", word(payload)))
            })
            .collect();
        if forms.is_empty() {
            "nothing".to_owned()
        } else {
            format!("one of {}", forms.join(", "))
        }
    }

    /// One word, or a small object, for a schema.
    fn word(schema: &Value) -> String {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            let fields: Vec<String> = properties
                .iter()
                .map(|(name, field)| format!("\"{name}\": {}", word(field)))
                .collect();
            return format!("{{{}}}", fields.join(", "));
        }
        match schema.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            _ => "any".to_owned(),
        }
    }
}
