//! The rows on our own kernel: what a user of it would write, with supervisors and control on a runtime of
//! their own, as the product has them.
//!
//! Actors run on the measuring runtime; control gets one thread. Mailboxes are bounded (1,024 a lane), but for the
//! 10,000 low messages of `critical_wait`. `spawn_ordered` boots a tree of so many children and shuts it down: ordered
//! start, reverse stop, by one supervisor. A crowd is the children of one kernel's root.

use std::any::Any;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use unity_measure::{
    CRASH_TEXT, Lanes, MAILBOX_CAPACITY, Messages, REPLY_TIMEOUT, RESTART_PERIOD, RESTARTS_MAX,
    Restarts, Spawns, Suite,
};
use unity_supervisors::spec::{ChildKind, ChildSpec, Strategy, SupervisorSpec, Template, TreeSpec};
use unity_supervisors::{
    Actor, ActorPath, Address, ChildId, Context, Done, Exit, Kernel, KernelConfig, Kinds, Message,
    Next, Reply, Runtimes, Start,
};

/// Measures the rows of the arguments.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    Suite::new("ours", "unity-kernel", include_str!("../Cargo.lock"))
        .messages::<Ours>()
        .spawns::<Ours>()
        .restarts::<Ours>()
        .lanes::<Ours>()
        .run(arguments.iter().cloned())
}

struct Ours;

/// A kernel, and the runtime that its supervisors run on.
struct Office {
    kernel: Kernel,
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
    /// Boots so many children with mailboxes of this capacity, which share what is `shared`.
    async fn with(children: usize, capacity: usize, shared: Arc<Handled>) -> Self {
        let child = |number| {
            let mut child = ChildSpec::worker(child_id(number), "worker");
            if let ChildKind::Worker(worker) = &mut child.what {
                Arc::make_mut(&mut worker.mailbox).capacity = capacity;
            }
            Arc::new(child)
        };
        let root = SupervisorSpec {
            intensity: RESTARTS_MAX,
            period: RESTART_PERIOD,
            children: (0..children).map(child).collect(),
            ..SupervisorSpec::default()
        };
        Self::open(root, shared).await
    }

    /// Boots so many children that are restarted together.
    async fn group(children: usize) -> Self {
        let child = |number| Arc::new(ChildSpec::worker(child_id(number), "worker"));
        let root = SupervisorSpec {
            strategy: Strategy::OneForAll,
            intensity: RESTARTS_MAX,
            children: (0..children).map(child).collect(),
            ..SupervisorSpec::default()
        };
        Self::open(root, Arc::default()).await
    }

    async fn open(root: SupervisorSpec, shared: Arc<Handled>) -> Self {
        let control = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a thread can be started");
        let runtimes = Runtimes {
            control: control.handle().clone(),
            ..Runtimes::current()
        };
        let tree = TreeSpec {
            name: "bench".to_owned(),
            test: true,
            root,
        };
        let kinds = Kinds::new().with::<Worker>("worker", "adds up, answers, panics");
        let config = KernelConfig::new(runtimes, kinds, 1).with_shared(shared);
        let kernel = Kernel::start(config, tree)
            .await
            .expect("the tree can be built");
        kernel.booted().await;
        Self {
            kernel,
            control: Some(control),
        }
    }

    async fn of(children: usize) -> Self {
        Self::with(children, MAILBOX_CAPACITY, Arc::default()).await
    }

    fn address(&self, number: usize) -> Address<Task> {
        let path = ActorPath::root().child(&child_id(number));
        self.kernel.address(&path).expect("the child is there")
    }
}

async fn lives_before(member: &Address<Task>) -> u64 {
    member
        .ask(REPLY_TIMEOUT, Task::LivesBefore)
        .await
        .expect("the next life answers")
}

fn child_id(number: usize) -> ChildId {
    ChildId::new(format!("c{number}")).expect("a letter and digits")
}

/// How many low messages were handled.
#[derive(Default)]
struct Handled(Arc<AtomicU64>);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct NoSettings {}

#[derive(Debug, Message)]
enum Task {
    Add(u64),
    Count(Reply<u64>),
    Crash,
    LivesBefore(Reply<u64>),
    #[message(priority = "low")]
    Low,
    #[message(priority = "critical")]
    Critical(Instant, Reply<Duration>),
}

struct Worker {
    count: u64,
    sum: u64,
    handled: Arc<AtomicU64>,
}

impl Actor for Worker {
    type Message = Task;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self {
            count: 0,
            sum: 0,
            handled: Arc::clone(&ctx.kernel().shared::<Handled>().0),
        }))
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
            Task::LivesBefore(reply) => reply.send(ctx.incarnation() - 1),
            Task::Low => unity_measure::work(&self.handled),
            Task::Critical(sent, reply) => reply.send(sent.elapsed()),
        }
        Ok(Next::Continue)
    }
}

impl Messages for Ours {
    type Consumer = (Arc<Office>, Address<Task>);

    const CAPACITY: Option<usize> = Some(MAILBOX_CAPACITY);

    async fn start_consumer() -> Self::Consumer {
        let office = Office::of(1).await;
        let address = office.address(0);
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
}

impl Spawns for Ours {
    async fn start_and_stop(count: usize) -> (Duration, Duration) {
        let started = Instant::now();
        let office = Office::of(count).await;
        let start = started.elapsed();
        let stopping = Instant::now();
        office.kernel.shutdown().await;
        (start, stopping.elapsed())
    }

    async fn start_and_stop_batch(count: usize) -> (Duration, Duration) {
        let child = ChildSpec::worker(Template::id(), "worker");
        let template = Template {
            child,
            max_children: None,
        };
        let root = SupervisorSpec {
            template: Some(Arc::new(template)),
            ..SupervisorSpec::default()
        };
        let office = Office::open(root, Arc::default()).await;
        let started = Instant::now();
        let children = (0..count).map(|_| (None, Value::Null));
        let spawned = office.kernel.spawn_many(&ActorPath::root(), children).await;
        let start = started.elapsed();
        let is_up = |(_, done): &(ActorPath, Result<Done, _>)| done.is_ok();
        assert!(spawned.is_ok_and(|spawned| spawned.iter().all(is_up)));
        let stopping = Instant::now();
        office.kernel.shutdown().await;
        (start, stopping.elapsed())
    }

    async fn restart_group(count: usize) -> Duration {
        let office = Office::group(count).await;
        let (first, last) = (office.address(0), office.address(count - 1));
        let crashed = Instant::now();
        first.tell(Task::Crash).await.expect("the child runs");
        // It starts last, so all are up when its next life answers.
        while lives_before(&last).await == 0 {}
        let took = crashed.elapsed();
        office.kernel.shutdown().await;
        took
    }

    async fn start_idle(count: usize) -> Box<dyn Any + Send> {
        Box::new(Office::of(count).await)
    }
}

impl Restarts for Ours {
    type Crowd = Office;
    type Member = Address<Task>;

    async fn start_crowd(count: usize) -> (Self::Crowd, Vec<Self::Member>) {
        let office = Office::of(count).await;
        let members = (0..count).map(|number| office.address(number)).collect();
        (office, members)
    }

    async fn crash(member: &mut Self::Member) {
        member.tell(Task::Crash).await.expect("the child runs");
    }

    async fn ask_next(member: &mut Self::Member) -> u64 {
        lives_before(member).await
    }

    async fn end_crowd(office: Self::Crowd) {
        office.kernel.shutdown().await;
    }
}

impl Lanes for Ours {
    type Desk = (Office, Address<Task>);

    async fn start_desk(handled: Arc<AtomicU64>, capacity: usize) -> Self::Desk {
        let office = Office::with(1, capacity, Arc::new(Handled(handled))).await;
        let address = office.address(0);
        (office, address)
    }

    async fn tell_low((_, address): &Self::Desk) {
        address.tell(Task::Low).await.expect("there is room");
    }

    async fn ask_critical((_, address): &Self::Desk, sent: Instant) -> Duration {
        address
            .ask(10 * REPLY_TIMEOUT, |reply| Task::Critical(sent, reply))
            .await
            .expect("the desk answers")
    }
}
