//! What an actor does, message by message, for whoever looks.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::trace::{Outcome, Trace, Traced};
use unity_supervisors::{
    Actor, ActorPath, Address, ChildId, Context, Exit, Kernel, KernelConfig, KernelError, Kinds,
    Message, Next, Priority, Reply, Runtimes, Start,
};

const ASKED: Duration = Duration::from_secs(3600);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

#[derive(Debug, Message)]
enum Order {
    #[message(priority = "high")]
    Sleep(Duration),
    Ping(Reply<()>),
    Fail,
    Panic,
}

struct Worker;

impl Actor for Worker {
    type Message = Order;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self))
    }

    async fn handle(&mut self, order: &mut Order, _: &mut Context<Self>) -> Result<Next, Exit> {
        match order {
            Order::Sleep(long) => tokio::time::sleep(*long).await,
            Order::Ping(reply) => reply.send(()),
            Order::Fail => return Err(Exit::error("it fails")),
            Order::Panic => panic!("ouch"),
        }
        Ok(Next::Continue)
    }
}

fn path() -> ActorPath {
    "/worker".parse().unwrap()
}

async fn boot() -> (Kernel, Address<Order>) {
    let kinds = Kinds::new().with::<Worker>("worker", "does as it is told");
    let child = ChildSpec::worker(ChildId::new("worker").unwrap(), "worker");
    let tree = TreeSpec {
        name: "test".to_owned(),
        test: true,
        root: SupervisorSpec {
            intensity: 1_000,
            children: vec![Arc::new(child)],
            ..SupervisorSpec::default()
        },
    };
    let config = KernelConfig::new(Runtimes::current(), kinds, 1);
    let kernel = Kernel::start(config, tree).await.unwrap();
    kernel.booted().await;
    let address = kernel.address(&path()).unwrap();
    (kernel, address)
}

async fn all(mut trace: Trace) -> Vec<Traced> {
    let mut all = Vec::new();
    while let Some(traced) = trace.next().await {
        all.push(traced);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_trace_tells_each_message_with_its_lane_its_time_and_its_end() {
    for (last, outcome) in [
        (Order::Fail, Outcome::Error),
        (Order::Panic, Outcome::Panic),
    ] {
        let (kernel, worker) = boot().await;
        let trace = kernel.trace(&path(), 100).unwrap();

        worker
            .try_tell(Order::Sleep(Duration::from_millis(7)))
            .unwrap();
        worker.try_tell(Order::Ping(Reply::none())).unwrap();
        worker.try_tell(last).unwrap();

        let all = all(trace).await;
        let seen: Vec<_> = all
            .iter()
            .map(|traced| (traced.message, traced.lane, traced.waiting))
            .collect();
        assert_eq!(seen[0], ("sleep", Priority::High, 2));
        assert_eq!(seen[1], ("ping", Priority::Normal, 1));
        assert!(all[0].took_us >= 7_000 && all[1].took_us == 0, "{all:?}");
        assert_eq!((all.len(), all[2].outcome), (3, outcome));
        assert!(all.iter().all(|traced| traced.incarnation == 1));
        worker.ask(ASKED, Order::Ping).await.unwrap();
        kernel.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_room_for_is_counted_and_holds_up_nobody() {
    let (kernel, worker) = boot().await;
    let mut trace = kernel.trace(&path(), 2).unwrap();

    for _ in 0..5 {
        worker.ask(ASKED, Order::Ping).await.unwrap();
    }

    assert!(trace.next().await.is_some());
    assert_eq!(trace.missed(), 3);
}

#[tokio::test(start_paused = true)]
async fn several_look_at_once_and_who_goes_takes_nothing_along() {
    let (kernel, worker) = boot().await;
    let first = kernel.trace(&path(), 10).unwrap();
    let mut second = kernel.trace(&path(), 10).unwrap();
    drop(first);

    for _ in 0..3 {
        worker.ask(ASKED, Order::Ping).await.unwrap();
        assert_eq!(second.next().await.unwrap().message, "ping");
    }
    drop(second);
    for _ in 0..3 {
        worker.ask(ASKED, Order::Ping).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_life_that_is_killed_in_the_middle_of_a_message_says_so() {
    let (kernel, worker) = boot().await;
    let mut trace = kernel.trace(&path(), 10).unwrap();
    worker.try_tell(Order::Sleep(ASKED)).unwrap();
    worker
        .ask(Duration::from_millis(1), Order::Ping)
        .await
        .unwrap_err();

    kernel.kill(&path(), None).await.unwrap();

    assert_eq!(trace.next().await.unwrap().outcome, Outcome::Ended);
    assert!(trace.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_run_cannot_be_traced() {
    let (kernel, _worker) = boot().await;
    kernel.stop(&path()).await.unwrap();

    let of = |path: &str| kernel.trace(&path.parse().unwrap(), 1).unwrap_err();

    assert!(matches!(of("/worker"), KernelError::Refused { .. }));
    assert!(matches!(of("/"), KernelError::NotAWorker(_)));
    assert!(matches!(of("/nope"), KernelError::NotFound(_)));
}
