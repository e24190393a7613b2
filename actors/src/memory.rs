//! `/system/memory`: measures how much memory the kernel's process holds, for the limit of [`memory`].
//!
//! A service and no kind of tree files: there is one where a limit was set. What it measures counts until it measures
//! again, so one that is killed changes nothing. Only the kernel's own process counts, not those of `process` children.
//!
//! [`memory`]: unity_supervisors::kernel::memory

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unity_supervisors::spec::ChildSpec;
use unity_supervisors::{Actor, ChildId, Context, Exit, Kinds, Message, Next, Start};

use crate::sensors::host::resident_bytes;

/// Where the service lives.
pub const PATH: &str = "/system/memory";
const KIND: &str = "memory";
/// Time between two measurements, each of some 50 µs.
const EVERY: Duration = Duration::from_millis(200);

/// The kinds of services with that of this file.
#[must_use]
pub fn with_kind(kinds: Kinds) -> Kinds {
    kinds.with_service::<MemoryService>(KIND, "how much memory the kernel's process holds")
}

/// The child of `/system` that measures.
///
/// # Panics
/// Never: the id is one.
#[must_use]
pub fn child() -> ChildSpec {
    ChildSpec::worker(ChildId::new("memory").expect("`memory` is an id"), KIND)
}

/// Tells how many bytes of memory are in use. By default it asks the system about this process; a test shares
/// another with [`with_shared`](unity_supervisors::KernelConfig::with_shared).
pub struct Gauge(Box<dyn Fn() -> io::Result<u64> + Send + Sync>);

impl Gauge {
    /// A gauge that reads what `read` says.
    pub fn new(read: impl Fn() -> io::Result<u64> + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }
}

impl Default for Gauge {
    fn default() -> Self {
        Self::new(resident_bytes)
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauge")
    }
}

/// It has no settings: the limit is the kernel's.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemorySettings {}

/// Messages of the service.
#[derive(Debug, Message)]
#[message(priority = "critical")]
pub enum MemoryMessage {
    /// Measure now.
    Measure,
}

/// Measures the memory of the process.
#[derive(Debug)]
pub struct MemoryService {
    gauge: Arc<Gauge>,
    /// Whether the last measurement failed, which is logged once.
    is_blind: bool,
}

impl MemoryService {
    /// A measurement that fails is no crash: it would take the other services along, and they can do without.
    fn measure(&mut self, ctx: &Context<Self>) {
        match (self.gauge.0)() {
            Ok(used) => {
                self.is_blind = false;
                ctx.kernel().note_memory(used);
            }
            Err(error) => {
                if !self.is_blind {
                    tracing::warn!(%error, "memory cannot be measured: its limit has no effect");
                }
                self.is_blind = true;
            }
        }
    }
}

impl Actor for MemoryService {
    type Message = MemoryMessage;
    type Settings = MemorySettings;

    async fn start(_: &MemorySettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let mut service = Self {
            gauge: ctx.kernel().shared::<Gauge>(),
            is_blind: false,
        };
        service.measure(ctx);
        ctx.tell_every(EVERY, || MemoryMessage::Measure);
        Ok(Start::Running(service))
    }

    async fn handle(
        &mut self,
        message: &mut MemoryMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            MemoryMessage::Measure => self.measure(ctx),
        }
        Ok(Next::Continue)
    }

    fn observe(&self) -> Value {
        json!({ "blind": self.is_blind })
    }
}
