//! The rows on our own kernel: what a user of it would write, with supervisors and control on a runtime of
//! their own, as the product has them.
//!
//! Actors run on the measuring runtime; control gets one thread. Mailboxes are bounded (1,024 a lane).
//! `spawn_ordered` boots a tree of so many children and shuts it down: ordered start, reverse stop, by one supervisor.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use unity_measure::{CRASH_TEXT, MAILBOX_CAPACITY, Peer, REPLY_TIMEOUT};
use unity_supervisors::spec::{ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{
    Actor, ActorPath, Address, ChildId, Context, Exit, Kernel, KernelConfig, Kinds, Message, Next,
    Reply, Runtimes, Start,
};

/// Measures the rows of the arguments.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    unity_measure::run_with::<Ours>(include_str!("../Cargo.lock"), arguments.iter().cloned())
}

struct Ours;

/// A kernel, and the runtime that its supervisors run on.
struct Office {
    kernel: Kernel,
    next: AtomicU64,
    /// Dropped in the background: a runtime must not be dropped where others run.
    control: Option<Runtime>,
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            control.shutdown_background();
        }
    }
}

impl Office {
    async fn open(children: usize, id: &str) -> Self {
        let control = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a thread can be started");
        let runtimes = Runtimes {
            control: control.handle().clone(),
            ..Runtimes::current()
        };
        let spec = |number| Arc::new(ChildSpec::worker(child_id(id, number), "worker"));
        let root = SupervisorSpec {
            // A budget that thousands of wanted crashes do not use up, and that is charged all the same.
            intensity: 1_000_000,
            period: Duration::from_millis(5),
            children: (0..children).map(|number| spec(number as u64)).collect(),
            ..SupervisorSpec::default()
        };
        let tree = TreeSpec {
            name: "bench".to_owned(),
            test: true,
            root,
        };
        let kinds = Kinds::new().with::<Worker>("worker", "adds up, answers, panics");
        let kernel = Kernel::start(KernelConfig::new(runtimes, kinds, 1), tree)
            .await
            .expect("the tree can be built");
        kernel.booted().await;
        Self {
            kernel,
            next: AtomicU64::new(0),
            control: Some(control),
        }
    }

    fn address(&self, id: &str) -> Address<Task> {
        let path = ActorPath::root().child(&child_id(id, 0));
        self.kernel.address(&path).expect("the child is there")
    }
}

fn child_id(id: &str, number: u64) -> ChildId {
    ChildId::new(format!("{id}{number}")).expect("letters and digits")
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct NoSettings {}

#[derive(Debug, Message)]
enum Task {
    Add(u64),
    Count(Reply<u64>),
    Crash,
    Incarnation(Reply<u64>),
}

struct Worker {
    count: u64,
    sum: u64,
}

impl Actor for Worker {
    type Message = Task;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self { count: 0, sum: 0 }))
    }

    async fn handle(&mut self, task: &mut Task, ctx: &mut Context<Self>) -> Result<Next, Exit> {
        match task {
            Task::Add(value) => {
                self.count += 1;
                self.sum = std::hint::black_box(self.sum.wrapping_add(*value));
            }
            Task::Count(reply) => reply.send(self.count),
            #[expect(clippy::panic, reason = "the crash that is measured")]
            Task::Crash => panic!("{CRASH_TEXT}"),
            Task::Incarnation(reply) => reply.send(ctx.incarnation()),
        }
        Ok(Next::Continue)
    }
}

impl Peer for Ours {
    type Consumer = (Arc<Office>, Address<Task>);
    type Supervisor = Arc<Office>;
    type Child = (Arc<Office>, ActorPath);
    type Crashing = (Office, Address<Task>);

    const FRAMEWORK: &'static str = "ours";
    const PACKAGE: &'static str = "unity-kernel";
    const CAPACITY: Option<usize> = Some(MAILBOX_CAPACITY);
    const RESTART_NOTE: &'static str = "the kernel's supervisor on a runtime of its own; the asker waits in the mailbox that outlives the crash";

    async fn start_consumer() -> Self::Consumer {
        let office = Office::open(1, "c").await;
        let address = office.address("c");
        (Arc::new(office), address)
    }

    async fn tell((_, address): &Self::Consumer, value: u64) {
        address
            .tell(Task::Add(value))
            .await
            .expect("the consumer runs");
    }

    async fn ask((_, address): &Self::Consumer) -> u64 {
        address
            .ask(REPLY_TIMEOUT, Task::Count)
            .await
            .expect("the consumer answers")
    }

    async fn start_supervisor() -> Self::Supervisor {
        Arc::new(Office::open(0, "c").await)
    }

    async fn start_child(office: &Self::Supervisor) -> Self::Child {
        let id = child_id("c", office.next.fetch_add(1, Ordering::Relaxed));
        let path = ActorPath::root().child(&id);
        let spec = ChildSpec::worker(id, "worker");
        office
            .kernel
            .spawn(&ActorPath::root(), spec)
            .await
            .expect("a child starts");
        (Arc::clone(office), path)
    }

    async fn stop_child((office, path): Self::Child) {
        office
            .kernel
            .stop(&path)
            .await
            .expect("the child was running");
    }

    async fn start_and_stop(count: usize) -> (Duration, Duration) {
        let started = Instant::now();
        let office = Office::open(count, "c").await;
        let start = started.elapsed();
        let stopping = Instant::now();
        office.kernel.shutdown().await;
        (start, stopping.elapsed())
    }

    async fn start_crashing() -> Self::Crashing {
        let office = Office::open(1, "c").await;
        let address = office.address("c");
        (office, address)
    }

    async fn crash_and_ask((_, address): &mut Self::Crashing) -> u64 {
        address.tell(Task::Crash).await.expect("the child runs");
        address
            .ask(REPLY_TIMEOUT, Task::Incarnation)
            .await
            .expect("the next incarnation answers")
    }
}
