//! A kernel inside a program of your own: one actor, one tree, one crash.
//!
//! `cargo run --example embed` prints what stands in `expected.txt`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unity_supervisors::spec::{ChildKind, ChildSpec, Strategy, SupervisorSpec, TreeSpec};
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Exit, Kernel, KernelConfig, Kinds, Message, Next, Reply,
    Runtimes, Start,
};

/// What a till is configured with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TillSettings {
    currency: String,
}

/// What a till is told.
#[derive(Debug, Message)]
enum TillMessage {
    /// Coins to add; none is a mistake that it does not survive.
    Add(u64),
    /// How much there is.
    Total(Reply<String>),
}

/// Counts coins. A new life begins with an empty till.
struct Till {
    currency: String,
    total: u64,
}

impl Actor for Till {
    type Message = TillMessage;
    type Settings = TillSettings;

    async fn start(settings: &TillSettings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self {
            currency: settings.currency.clone(),
            total: 0,
        }))
    }

    async fn handle(
        &mut self,
        message: &mut TillMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            TillMessage::Add(0) => return Err(Exit::error("nothing to add")),
            TillMessage::Add(coins) => self.total += *coins,
            TillMessage::Total(reply) => reply.send(format!("{} {}", self.total, self.currency)),
        }
        Ok(Next::Continue)
    }
}

fn tree() -> Result<TreeSpec, Box<dyn std::error::Error>> {
    let mut till = ChildSpec::worker(ChildId::new("till")?, "till");
    if let ChildKind::Worker(worker) = &mut till.what {
        worker.settings = serde_json::json!({ "currency": "EUR" });
    }
    let root = SupervisorSpec {
        strategy: Strategy::OneForOne,
        intensity: 3,
        children: vec![Arc::new(till)],
        ..SupervisorSpec::default()
    };
    Ok(TreeSpec {
        name: "shop".to_owned(),
        test: true,
        root,
    })
}

/// Boots, sells, crashes, sells again; returns what there is to say.
pub(crate) async fn sell() -> Result<String, Box<dyn std::error::Error>> {
    let kinds = Kinds::new().with::<Till>("till", "counts coins");
    let kernel = Kernel::start(KernelConfig::new(Runtimes::current(), kinds, 7), tree()?).await?;
    kernel.booted().await;
    let path: ActorPath = "/till".parse()?;
    let till = kernel
        .address::<TillMessage>(&path)
        .ok_or("the till takes messages")?;
    let second = Duration::from_secs(1);
    let mut said = String::new();

    till.tell(TillMessage::Add(5)).await?;
    writeln!(
        said,
        "before: {}",
        till.ask(second, TillMessage::Total).await?
    )?;
    till.tell(TillMessage::Add(0)).await?;
    // This waits in the mailbox while the till crashes, and is handled by its next life.
    till.tell(TillMessage::Add(2)).await?;
    writeln!(
        said,
        "after: {}",
        till.ask(second, TillMessage::Total).await?
    )?;

    let slot = kernel
        .registry()
        .get(&path)
        .ok_or("the slot outlives its lives")?;
    let exit = slot.last_exit().ok_or("it exited once")?;
    writeln!(
        said,
        "incarnation {} because of {}",
        slot.incarnation(),
        exit.reason
    )?;
    let letters = kernel.dead_letters().list();
    writeln!(
        said,
        "dead letters: {}",
        letters
            .iter()
            .filter_map(|l| l.debug.as_deref())
            .collect::<String>()
    )?;
    writeln!(said, "ended: {}", kernel.shutdown().await)?;
    Ok(said)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::Write as _;
    std::io::stdout().write_all(sell().await?.as_bytes())?;
    Ok(())
}
