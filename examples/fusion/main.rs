//! Three sensors and a slow consumer that is killed, stopped for a while, and misses nothing.
//!
//! `cargo run --example fusion` prints what stands in `expected.txt`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use unity_actors::duration::DurationText;
use unity_kernel::kind_check::KnownKinds;
use unity_kernel::tree_file::{Limits, Sources, load_text, read_file};
use unity_kernel::{BootOptions, Kernel, boot};
use unity_supervisors::bus::EventId;
use unity_supervisors::spec::TreeSpec;
use unity_supervisors::{
    Actor, ActorPath, Context, Delivery, Exit, Kinds, Message, Next, Since, SlotState, Start,
};

type Failure = Box<dyn std::error::Error>;

/// What was fused, by topic, in the order in which it was; outlives the lives of the consumer.
#[derive(Default)]
struct Ledger {
    fused: Mutex<BTreeMap<String, Vec<EventId>>>,
    count: watch::Sender<usize>,
}

impl Ledger {
    /// Waits until so many events were fused.
    async fn fused(&self, count: usize) -> Result<(), Failure> {
        let mut counted = self.count.subscribe();
        counted.wait_for(|now| *now >= count).await?;
        Ok(())
    }
}

/// What the consumer is configured with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FusionSettings {
    /// How long it needs for an event.
    takes: DurationText,
}

#[derive(Debug, Message)]
enum FusionMessage {
    Event(Delivery),
}

/// Fuses what all sensors say.
struct Fusion;

impl Actor for Fusion {
    type Message = FusionMessage;
    type Settings = FusionSettings;

    async fn start(_: &FusionSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        // It goes on with what is not acknowledged, whatever became of the life before, or of the kernel.
        ctx.subscribe_durable("fusion", "sensor.*", Since::LastAck, FusionMessage::Event)?;
        Ok(Start::Running(Self))
    }

    async fn handle(
        &mut self,
        message: &mut FusionMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let FusionMessage::Event(event) = message;
        let takes = ctx.settings().get().takes.0;
        tokio::time::sleep(takes).await;
        // From here to the end nothing waits: a kill comes before, and the event is handed out again, or after.
        let ledger = ctx.kernel().shared::<Ledger>();
        let mut fused = ledger.fused.lock();
        let of_topic = fused.entry(event.topic.to_string()).or_default();
        of_topic.push(event.id);
        ledger.count.send_modify(|count| *count += 1);
        Ok(Next::Continue)
    }
}

fn tree(kinds: &Kinds) -> Result<TreeSpec, Failure> {
    let sources = Sources {
        read: &|path: &Path, max| read_file(path, max),
        env: &|_| None,
        kinds: &KnownKinds(kinds),
        limits: Limits::default(),
    };
    let checked = load_text("fusion.yaml", include_str!("fusion.yaml"), &sources);
    let shown = checked.render(false);
    checked.tree.ok_or_else(|| shown.into())
}

/// Waits until each sensor has published all that it has to.
async fn sensors_end(kernel: &Kernel) -> Result<(), Failure> {
    for sensor in ["/sensors/front", "/sensors/mic", "/sensors/pulse"] {
        let slot = kernel.registry().get(&sensor.parse()?);
        let slot = slot.ok_or("it is in the tree")?;
        while slot.state() != SlotState::Stopped {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    Ok(())
}

/// What was published, and what became of it.
fn table(kernel: &Kernel) -> Result<String, Failure> {
    let ledger = kernel.shared::<Ledger>();
    let ledger = ledger.fused.lock();
    let mut said = format!(
        "{:<20} {:>9} {:>6} {:>7} {:>6}  in order\n",
        "topic", "published", "fused", "missed", "twice"
    );
    for counted in kernel.bus().stats() {
        let topic = counted.topic.map(|topic| topic.to_string());
        let Some(topic) = topic.filter(|topic| topic.starts_with("sensor.")) else {
            continue;
        };
        let events = ledger.get(&topic).map_or(&[][..], Vec::as_slice);
        let mut once = events.to_vec();
        once.sort();
        once.dedup();
        let missed = counted.published - u64::try_from(once.len())?;
        let twice = events.len() - once.len();
        let order = if events.is_sorted() { "yes" } else { "no" };
        let (published, fused) = (counted.published, events.len());
        writeln!(
            said,
            "{topic:<20} {published:>9} {fused:>6} {missed:>7} {twice:>6}  {order}"
        )?;
    }
    Ok(said)
}

async fn run(kernel: &Kernel) -> Result<String, Failure> {
    let ledger = kernel.shared::<Ledger>();
    let path: ActorPath = "/fusion".parse()?;
    let mut said = String::new();

    ledger.fused(20).await?;
    kernel.kill(&path, Some("unplug test".to_owned())).await?;
    writeln!(said, "killed in the middle, and on it goes")?;
    ledger.fused(60).await?;
    kernel.stop(&path).await?;
    writeln!(said, "stopped; the sensors go on, and end")?;
    sensors_end(kernel).await?;
    kernel.start_child(&path).await?;
    writeln!(said, "started again; it reads what it missed")?;
    ledger.fused(60 + 120 + 30).await?;

    let slot = kernel.registry().get(&path).ok_or("it is in the tree")?;
    writeln!(said, "life {} has caught up\n", slot.incarnation())?;
    said.push_str(&table(kernel)?);
    Ok(said)
}

/// Boots with streams in `folder`, and runs until all is fused; returns what there is to say.
pub(crate) fn fuse(folder: &Path) -> Result<String, Failure> {
    let kinds = unity_actors::kinds().with::<Fusion>("fusion", "fuses what sensors say");
    let tree = tree(&kinds)?;
    let running = boot(BootOptions {
        kinds,
        socket: Some(folder.join("fusion.sock")),
        data_dir: Some(folder.join("data")),
        ..BootOptions::new(tree)
    })?;
    let said = running.block_on(run(running.kernel()));
    running.shutdown();
    said
}

fn main() -> Result<(), Failure> {
    use std::io::Write as _;
    let folder = std::env::temp_dir().join(format!("uk-fusion-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let said = fuse(&folder);
    std::fs::remove_dir_all(&folder)?;
    std::io::stdout().write_all(said?.as_bytes())?;
    Ok(())
}
