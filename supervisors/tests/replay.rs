//! A recorded crash replays to the same crash.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use unity_supervisors::bus::line::{from_line, to_line};
use unity_supervisors::bus::{Catalog, EventType, Persist};
use unity_supervisors::clock::{Clock, Timestamp};
use unity_supervisors::sim::replay::{ReplayError, Replayed, replay_into};
use unity_supervisors::spec::{ChildKind, ChildSpec, Restart, SupervisorSpec, TreeSpec};
use unity_supervisors::stream::{
    Durability, MemoryStreams, Position, Retention, StreamName, StreamStore,
};
use unity_supervisors::{
    Actor, ChildId, Context, Delivery, Draft, Exit, ExitKind, Kernel, KernelConfig, Kinds, Message,
    Next, Runtimes, Start,
};

/// Balances: what goes out after what came in, within ten seconds. It crashes where that is not so.
struct Ledger {
    balance: i64,
    last: Timestamp,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LedgerSettings {
    /// How much may be missing.
    credit: i64,
}

#[derive(Debug, Message)]
enum LedgerMessage {
    Event(Delivery),
}

impl Actor for Ledger {
    type Message = LedgerMessage;
    type Settings = LedgerSettings;

    async fn start(_: &LedgerSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        ctx.subscribe("money.*", LedgerMessage::Event)?;
        Ok(Start::Running(Self {
            balance: 0,
            last: ctx.kernel().clock().wall(),
        }))
    }

    async fn handle(
        &mut self,
        message: &mut LedgerMessage,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let LedgerMessage::Event(event) = message;
        let now = ctx.kernel().clock().wall();
        if self.last.age(now) > Duration::from_secs(10) {
            return Err(Exit::error("the market is asleep"));
        }
        self.last = now;
        self.balance += event.data.as_i64().unwrap_or_default();
        let credit = ctx.settings().get().credit;
        assert!(self.balance >= -credit, "overdrawn by {}", -self.balance);
        Ok(Next::Continue)
    }
}

fn kinds() -> Kinds {
    Kinds::new().with::<Ledger>("ledger", "keeps a balance")
}

fn stream() -> StreamName {
    StreamName::new("money").unwrap()
}

/// Has a kernel's ledger hear of `amounts`, each so many seconds after the one before it; returns how it ended and what its stream
/// kept, as the lines of a file.
async fn record(amounts: &[(i64, u64)]) -> (unity_supervisors::ExitReason, Vec<String>) {
    let clock = Clock::simulated(Timestamp::from_secs(1_767_225_600));
    let streams = MemoryStreams::new(clock);
    let mut event_type = EventType::new("money.*".parse().unwrap());
    event_type.persist = Some(Persist {
        stream: stream(),
        mode: Durability::Async,
        retention: Retention::default(),
    });
    let config = KernelConfig {
        clock,
        streams: Some(Arc::clone(&streams) as Arc<dyn StreamStore>),
        catalog: Catalog::new(false, [event_type]),
        ..KernelConfig::new(Runtimes::current(), kinds(), 7)
    };
    let mut child = ChildSpec::worker(ChildId::new("ledger").unwrap(), "ledger");
    child.restart = Restart::Transient;
    if let ChildKind::Worker(worker) = &mut child.what {
        worker.settings = json!({ "credit": 5 });
    }
    let root = SupervisorSpec {
        children: vec![Arc::new(child)],
        intensity: 100,
        ..SupervisorSpec::default()
    };
    let tree = TreeSpec {
        name: "real".to_owned(),
        test: true,
        root,
    };
    let kernel = Kernel::start(config, tree).await.unwrap();
    kernel.booted().await;
    for (amount, wait_s) in amounts {
        tokio::time::sleep(Duration::from_secs(*wait_s)).await;
        let draft = Draft::new(&"money.moved".parse().unwrap(), json!(amount));
        kernel.bus().publish(&"market".into(), draft).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let slot = kernel.registry().get(&"/ledger".parse().unwrap()).unwrap();
    let exit = slot.history().first().unwrap().reason.clone();
    kernel.shutdown().await;
    let kept = streams
        .read(&stream(), Position::START, Position::END, 99)
        .await
        .unwrap();
    let lines = kept.iter().map(|entry| to_line(&entry.event).0);
    (exit, lines.collect())
}

fn replay(lines: &[String]) -> Replayed {
    let drafts = lines.iter().map(|line| from_line(line).unwrap());
    replay_into(kinds(), "ledger", json!({ "credit": 5 }), 7, drafts).unwrap()
}

fn recorded(amounts: &[(i64, u64)]) -> (unity_supervisors::ExitReason, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(record(amounts))
}

#[test]
fn a_panic_comes_again_with_its_text_its_place_and_the_event_in_hand() {
    let (exit, lines) = recorded(&[(10, 1), (-7, 1), (-3, 1), (-6, 1), (100, 1)]);
    assert_eq!(exit.kind, ExitKind::Panic);
    assert!(
        exit.location.as_ref().unwrap().contains("tests/replay.rs"),
        "{exit}"
    );

    let first = replay(&lines);
    let again = replay(&lines);

    assert_eq!(first.exit, Some(exit));
    assert_eq!(first.in_hand.as_ref().unwrap().data, json!(-6));
    let in_hand = to_line(first.in_hand.as_ref().unwrap()).0;
    assert_eq!(Some(&in_hand), lines.get(3));
    assert_eq!(first.handled, 3);
    assert_eq!(first, again);
}

#[test]
fn the_time_between_events_is_as_it_was() {
    let (exit, lines) = recorded(&[(10, 1), (1, 9), (1, 11), (1, 1)]);
    assert_eq!(exit.to_string(), "error: the market is asleep");

    let replayed = replay(&lines);

    assert_eq!(replayed.exit, Some(exit));
    assert_eq!(
        (replayed.handled, replayed.in_hand.unwrap().data.clone()),
        (2, json!(1))
    );
}

#[test]
fn what_does_not_crash_is_handled_to_the_end() {
    let lines: Vec<String> = (1..=3)
        .map(|amount| format!(r#"{{"topic":"money.moved","data":{amount}}}"#))
        .collect();

    let replayed = replay(&lines);

    let calm = Replayed {
        exit: None,
        in_hand: None,
        handled: 3,
    };
    assert_eq!(replayed, calm);
}

#[test]
fn what_cannot_be_replayed_says_why() {
    let draft = || from_line(r#"{"topic":"money.moved","data":1}"#);
    let unknown = replay_into(kinds(), "legder", json!({}), 7, draft());
    let unfit = replay_into(kinds(), "ledger", json!({ "credti": 1 }), 7, draft());

    for error in [unknown, unfit] {
        assert!(matches!(error, Err(ReplayError::Build(_))), "{error:?}");
    }
}
