//! The table of kinds: what a name in a tree file is made from.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::actor::Actor;
use crate::bus::Delivery;
use crate::context::Context;
use crate::dead_letter::{DeadLetterBox, DeadReason};
use crate::exit::ExitReason;
use crate::fault::{BrokenRoute, RouteFault, Undo};
use crate::life::Life;
use crate::mailbox::{Gate, Mailbox, SendError};
use crate::message::{Message, MessageError, NoAnswer};
use crate::path::ActorPath;
use crate::secret::{Secrets, unfit};
use crate::settings::{InForce, Parsed};
use crate::shell::{Spawned, spawn};
use crate::slot::Slot;
use crate::spec::{MailboxSpec, StateSpec, WorkerSpec};
use crate::state::{Kept, StateStore};
use crate::supervisor::Above;

/// Settings that do not fit their kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", if path.is_empty() { String::new() } else { format!("`{path}`: ") })]
pub struct SettingsError {
    /// Where in the settings, as `backoff.min` or `command[1]`; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// The names that the settings may have at the top.
    pub expected: Vec<String>,
}

/// One kind: its name, its documentation, how a child is made of it.
pub trait Kind: Send + Sync {
    /// What it is, in one line.
    fn about(&self) -> &'static str;
    /// Whether it has a state that can be kept.
    fn keeps_state(&self) -> bool;
    /// The JSON Schema of its settings.
    fn settings_schema(&self) -> Value;
    /// The JSON Schema of its messages, if they have a JSON form.
    fn message_schema(&self) -> Option<Value>;
    /// Whether `settings` fit, their placeholders filled in from `secrets`.
    ///
    /// # Errors
    /// [`SettingsError`] says where they do not.
    fn check(&self, settings: &Value, secrets: &Secrets) -> Result<(), SettingsError>;
    #[doc(hidden)]
    fn make(&self, seed: BodySeed<'_>) -> Result<BodyBox, SettingsError>;
}

/// What a body is made of.
#[doc(hidden)]
pub struct BodySeed<'a> {
    pub(crate) path: &'a ActorPath,
    pub(crate) spec: &'a WorkerSpec,
    pub(crate) dead_letters: DeadLetterBox,
    pub(crate) states: &'a Arc<dyn StateStore>,
    pub(crate) secrets: &'a Secrets,
    #[cfg(test)]
    pub(crate) bug: Option<crate::bug::Bug>,
}

impl fmt::Debug for BodySeed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodySeed({})", self.path)
    }
}

/// A worker's typed half, its type forgotten.
#[doc(hidden)]
pub struct BodyBox(pub(crate) Box<dyn WorkerBody>);

impl fmt::Debug for BodyBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyBox")
    }
}

/// Why a JSON message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// The lane is full.
    #[error("the mailbox is full")]
    Full,
    /// Memory is short, and messages of its priority are shed.
    #[error("memory is short: messages of its priority are not taken")]
    Shed,
    /// It is stopped or quarantined.
    #[error("it is not running")]
    NotRunning,
    /// It is deleted.
    #[error("it is gone")]
    Gone,
    /// The sender's life has ended.
    #[error("the life that sends has ended")]
    Revoked,
}

impl<M> From<SendError<M>> for Undelivered {
    fn from(error: SendError<M>) -> Self {
        match error {
            SendError::Full(_) => Self::Full,
            SendError::Shed(_) => Self::Shed,
            SendError::NotRunning(_) => Self::NotRunning,
            SendError::Gone(_) => Self::Gone,
            SendError::Revoked(_) => Self::Revoked,
        }
    }
}

/// What became of a message that was offered.
pub enum Offered {
    /// It is in its lane.
    Taken,
    /// There is no room now; done when there is, or when it is known that there will be none.
    Waits(BoxFuture<'static, Result<(), Undelivered>>),
    /// It will not be.
    Refused(Undelivered),
}

impl fmt::Debug for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "Taken",
            Self::Waits(_) => "Waits",
            Self::Refused(_) => "Refused",
        })
    }
}

/// The answer to a JSON ask.
pub(crate) type JsonAnswer = oneshot::Receiver<Result<Value, NoAnswer>>;

/// The typed half of a worker's slot, seen from the untyped half.
pub(crate) trait WorkerBody: Send + Sync {
    fn spawn(
        &self,
        slot: Arc<Slot>,
        life: Arc<Life>,
        above: Above,
    ) -> BoxFuture<'static, Result<Spawned, ExitReason>>;
    fn is_service(&self) -> bool;
    fn set_gate(&self, gate: Gate, reason: DeadReason);
    fn shed_waiting(&self);
    /// Has the mailbox go by another spec; what waits stays.
    fn set_mailbox(&self, spec: &Arc<MailboxSpec>);
    fn wake(&self);
    /// Cuts off a life that a thread is stuck in.
    fn cut_off(&self, life: &Life, exit: &ExitReason);
    /// The name of the message that a life has in hand.
    fn in_hand(&self, life: &Life) -> Option<&'static str>;
    fn depth(&self) -> usize;
    fn capacity(&self) -> usize;
    fn dead_letters(&self) -> u64;
    /// How many messages were taken in hand.
    fn handled(&self) -> u64;
    /// How many of those a life ended with and the next one was given again.
    fn retried(&self) -> u64;
    fn tell_json(
        &self,
        message: Value,
    ) -> Result<BoxFuture<'static, Result<(), Undelivered>>, MessageError>;
    fn ask_json(
        &self,
        message: Value,
    ) -> Result<BoxFuture<'static, Result<JsonAnswer, Undelivered>>, MessageError>;
    /// Sends at once where there is room.
    fn offer_json(&self, message: Value) -> Result<Offered, MessageError>;
    /// Puts an event into its lane, once there is room.
    fn tell_event(
        &self,
        delivery: Delivery,
    ) -> Result<BoxFuture<'static, Result<(), Undelivered>>, MessageError>;
    fn mailbox(&self) -> Arc<dyn Any + Send + Sync>;
    /// Breaks the way into the mailbox, if it has one.
    fn break_route(&self, _fault: RouteFault) -> Option<BrokenRoute> {
        None
    }
    /// Takes all room in the mailbox, if it has one.
    fn take_room(&self) -> Option<Undo> {
        None
    }
    fn kept(&self) -> Option<Arc<Kept>> {
        None
    }
    /// Reads settings as those of its kind.
    fn parse(&self, _settings: &Value, _secrets: &Secrets) -> Result<Parsed, SettingsError> {
        Ok(Parsed(Arc::new(())))
    }
    /// Puts settings in force that [`parse`](Self::parse) has read.
    fn set_settings(&self, _settings: Parsed) {}
    /// How its state is kept from the next life on, if it is.
    fn set_kept(&self, _kind: &str, _state: Option<StateSpec>, _states: &Arc<dyn StateStore>) {}
}

struct Typed<A: Actor> {
    settings: Arc<InForce<A::Settings>>,
    mailbox: Arc<Mailbox<A::Message>>,
    is_service: bool,
    kept: ArcSwapOption<Kept>,
}

impl<A: Actor> WorkerBody for Typed<A> {
    fn spawn(
        &self,
        slot: Arc<Slot>,
        life: Arc<Life>,
        above: Above,
    ) -> BoxFuture<'static, Result<Spawned, ExitReason>> {
        let ctx = Context::<A> {
            slot,
            life,
            mailbox: Arc::clone(&self.mailbox),
            settings: Arc::clone(&self.settings),
        };
        spawn(ctx, above).boxed()
    }

    fn is_service(&self) -> bool {
        self.is_service
    }

    fn set_gate(&self, gate: Gate, reason: DeadReason) {
        self.mailbox.set_gate(gate, reason);
    }

    fn shed_waiting(&self) {
        self.mailbox.shed_waiting();
    }

    fn set_mailbox(&self, spec: &Arc<MailboxSpec>) {
        self.mailbox.set_spec(spec);
    }

    fn wake(&self) {
        self.mailbox.wake();
    }

    fn cut_off(&self, life: &Life, exit: &ExitReason) {
        self.mailbox.cut_off(life, exit);
    }

    fn in_hand(&self, life: &Life) -> Option<&'static str> {
        life.hand().map(Mailbox::<A::Message>::name_of)
    }

    fn depth(&self) -> usize {
        self.mailbox.depth()
    }

    fn capacity(&self) -> usize {
        self.mailbox.capacity()
    }

    fn dead_letters(&self) -> u64 {
        self.mailbox.dead_letter_count()
    }

    fn handled(&self) -> u64 {
        self.mailbox.handled()
    }

    fn retried(&self) -> u64 {
        self.mailbox.retried()
    }

    fn tell_json(
        &self,
        message: Value,
    ) -> Result<BoxFuture<'static, Result<(), Undelivered>>, MessageError> {
        let message = A::Message::from_json(message)?;
        let mailbox = Arc::clone(&self.mailbox);
        Ok(async move { Ok(mailbox.send(message).await?) }.boxed())
    }

    fn ask_json(
        &self,
        message: Value,
    ) -> Result<BoxFuture<'static, Result<JsonAnswer, Undelivered>>, MessageError> {
        let mut message = A::Message::from_json(message)?;
        let (sender, answer) = oneshot::channel();
        match message.reply() {
            Some(reply) => reply.attach(sender),
            None => {
                return Err(MessageError::Shape {
                    what: format!("`{}` has no answer", message.name()),
                    expected: "a message that is answered; use `tell` for this one".to_owned(),
                });
            }
        }
        let mailbox = Arc::clone(&self.mailbox);
        Ok(async move {
            mailbox.send(message).await?;
            Ok(answer)
        }
        .boxed())
    }

    fn offer_json(&self, message: Value) -> Result<Offered, MessageError> {
        let message = A::Message::from_json(message)?;
        Ok(match self.mailbox.try_send(message) {
            Ok(()) => Offered::Taken,
            Err(SendError::Full(message)) => {
                let mailbox = Arc::clone(&self.mailbox);
                Offered::Waits(async move { Ok(mailbox.send(message).await?) }.boxed())
            }
            Err(error) => Offered::Refused(error.into()),
        })
    }

    fn tell_event(
        &self,
        delivery: Delivery,
    ) -> Result<BoxFuture<'static, Result<(), Undelivered>>, MessageError> {
        let lane = delivery.priority as usize;
        let message = A::Message::from_delivery(delivery).ok_or(MessageError::NoDelivery)?;
        let mailbox = Arc::clone(&self.mailbox);
        Ok(async move { Ok(mailbox.deliver_when_room(lane, message).await?) }.boxed())
    }

    fn mailbox(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::clone(&self.mailbox) as Arc<dyn Any + Send + Sync>
    }

    fn break_route(&self, fault: RouteFault) -> Option<BrokenRoute> {
        Some(self.mailbox.break_route(fault))
    }

    fn take_room(&self) -> Option<Undo> {
        Some(self.mailbox.take_room())
    }

    fn kept(&self) -> Option<Arc<Kept>> {
        self.kept.load_full()
    }

    fn parse(&self, settings: &Value, secrets: &Secrets) -> Result<Parsed, SettingsError> {
        let settings = KindOf::<A>::parse(settings, secrets)?;
        Ok(Parsed(Arc::new(settings)))
    }

    fn set_settings(&self, settings: Parsed) {
        match settings.0.downcast() {
            Ok(settings) => self.settings.replace(settings),
            Err(_other) => tracing::error!("settings of another kind were left alone"),
        }
    }

    fn set_kept(&self, kind: &str, state: Option<StateSpec>, states: &Arc<dyn StateStore>) {
        let next = kept::<A>(kind, state, states);
        if let (Some(next), Some(former)) = (&next, self.kept()) {
            next.succeed(&former);
        }
        self.kept.store(next);
    }
}

struct KindOf<A> {
    about: &'static str,
    is_service: bool,
    actor: PhantomData<fn() -> A>,
}

impl<A: Actor> KindOf<A> {
    /// The one place where placeholders are filled in: what they stand for is in what this returns, and nowhere else.
    fn parse(settings: &Value, secrets: &Secrets) -> Result<A::Settings, SettingsError> {
        let expected = || field_names(&settings_schema::<A>());
        let filled = if A::HANDS_SETTINGS_ON {
            Cow::Borrowed(settings)
        } else {
            secrets.fill(settings).map_err(|unfilled| SettingsError {
                path: unfilled.path,
                what: unfilled.error.to_string(),
                expected: expected(),
            })?
        };
        serde_path_to_error::deserialize(&*filled).map_err(|error| {
            let path = error.path().to_string();
            SettingsError {
                path: if path == "." { String::new() } else { path },
                what: unfit(secrets, settings, error.path(), error.inner().to_string()),
                expected: expected(),
            }
        })
    }
}

impl<A: Actor> Kind for KindOf<A> {
    fn about(&self) -> &'static str {
        self.about
    }

    fn keeps_state(&self) -> bool {
        A::STATE.is_some()
    }

    fn settings_schema(&self) -> Value {
        settings_schema::<A>()
    }

    fn message_schema(&self) -> Option<Value> {
        A::Message::schema()
    }

    fn check(&self, settings: &Value, secrets: &Secrets) -> Result<(), SettingsError> {
        Self::parse(settings, secrets).map(drop)
    }

    fn make(&self, seed: BodySeed<'_>) -> Result<BodyBox, SettingsError> {
        let settings = Self::parse(&seed.spec.settings, seed.secrets)?;
        let settings = InForce::new(Arc::new(settings));
        let spec = Arc::clone(&seed.spec.mailbox);
        let mailbox = Mailbox::new(seed.path.clone(), spec, seed.dead_letters);
        #[cfg(test)]
        let mailbox = mailbox.with_bug(seed.bug);
        let mailbox = Arc::new(mailbox);
        Ok(BodyBox(Box::new(Typed::<A> {
            settings,
            mailbox,
            is_service: self.is_service,
            kept: ArcSwapOption::new(kept::<A>(&seed.spec.kind, seed.spec.state, seed.states)),
        })))
    }
}

/// How the state of an actor is kept, if it has one and it is to be.
fn kept<A: Actor>(
    kind: &str,
    state: Option<StateSpec>,
    states: &Arc<dyn StateStore>,
) -> Option<Arc<Kept>> {
    let (version, state) = A::STATE.zip(state)?;
    Some(Arc::new(Kept::new(
        Arc::clone(states),
        kind,
        version,
        state,
    )))
}

fn settings_schema<A: Actor>() -> Value {
    schemars::schema_for!(A::Settings).to_value()
}

fn field_names(schema: &Value) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

/// The table of kinds, and where the secrets in their settings come from.
#[derive(Clone, Default)]
pub struct Kinds {
    table: BTreeMap<String, Arc<dyn Kind>>,
    placed: Option<Arc<dyn Kind>>,
    secrets: Secrets,
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.table.keys()).finish()
    }
}

impl Kinds {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind whose children are made of `A`. A name that is there is replaced.
    #[must_use]
    pub fn with<A: Actor>(self, name: &str, about: &'static str) -> Self {
        self.add::<A>(name, about, false)
    }

    /// Adds a kind for the kernel's own services, which run on the control runtime.
    #[must_use]
    pub fn with_service<A: Actor>(self, name: &str, about: &'static str) -> Self {
        self.add::<A>(name, about, true)
    }

    fn add<A: Actor>(mut self, name: &str, about: &'static str, is_service: bool) -> Self {
        let kind = KindOf::<A> {
            about,
            is_service,
            actor: PhantomData,
        };
        self.table.insert(name.to_owned(), Arc::new(kind));
        self
    }

    /// Says what stands in for a child that lives on [another node](crate::spec::Place), of whatever kind it is there.
    /// Without, such a child cannot be made.
    #[must_use]
    pub fn with_placed<A: Actor>(mut self) -> Self {
        self.placed = Some(Arc::new(KindOf::<A> {
            about: "stands in for a child that lives on another node",
            is_service: false,
            actor: PhantomData,
        }));
        self
    }

    /// The kind that a child is made of here.
    pub(crate) fn of(&self, worker: &WorkerSpec) -> Option<&Arc<dyn Kind>> {
        match worker.place {
            Some(_) => self.placed.as_ref(),
            None => self.get(&worker.kind),
        }
    }

    /// Gives them secrets; without, a placeholder in settings is at fault.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// The secrets.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The kind of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.table.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.table.keys().map(String::as_str)
    }
}
