//! A kernel on two runtimes, and actors that hold the threads of one of them.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests")]

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use unity_supervisors::kernel::Observer;
use unity_supervisors::report::Fact;
use unity_supervisors::spec::{ChildKind, ChildSpec, SupervisorSpec, TreeSpec, WorkerSpec};
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Exit, ExitReason, Kernel, KernelConfig, Kinds, Message,
    Next, Reply, Runtimes, Slot, SlotState, Start, WorkThreads,
};

pub(crate) const WORK_THREADS: usize = 2;
pub(crate) const SPARE_THREADS: usize = 3;

/// Holds every thread that a spinner spins on, until it is let go.
#[derive(Default)]
pub(crate) struct Brake {
    pub(crate) spinning: AtomicUsize,
    pub(crate) let_go: AtomicBool,
    /// What spinners found they could still do after that.
    pub(crate) late: Mutex<Vec<String>>,
}

impl Brake {
    /// Spins until all are let go, or `own` is.
    fn hold(&self, own: &AtomicBool) {
        self.spinning.fetch_add(1, Ordering::SeqCst);
        while !self.let_go.load(Ordering::SeqCst) && !own.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoSettings {}

#[derive(Debug, Message)]
pub(crate) enum Order {
    /// Hold the thread until the brake, or this, is let go; then try what a dead life may not do.
    Spin(Arc<AtomicBool>),
    /// The same in a task beside the handlers.
    SpinBeside(Arc<AtomicBool>),
    /// The same, after saying that this takes so long.
    SpinFor(Duration, Arc<AtomicBool>),
    /// Hold the thread for so long.
    Work(Duration),
    /// Await until the brake is let go, without holding a thread.
    Await,
    /// Hold the thread when it stops.
    SpinAtStop,
    /// How many messages this life had before; which life it is.
    Count(Reply<(u64, u64)>),
    /// A late effect of another.
    Late,
}

pub(crate) struct Spinner {
    brake: Arc<Brake>,
    spins_at_stop: bool,
}

impl Actor for Spinner {
    type Message = Order;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self {
            brake: ctx.kernel().shared::<Brake>(),
            spins_at_stop: false,
        }))
    }

    async fn handle(&mut self, order: &mut Order, ctx: &mut Context<Self>) -> Result<Next, Exit> {
        let brake = Arc::clone(&self.brake);
        match order {
            Order::Spin(own) => {
                brake.hold(own);
                self.try_late(ctx);
            }
            Order::SpinBeside(own) => {
                let own = Arc::clone(own);
                ctx.spawn(async move {
                    brake.hold(&own);
                    Ok(())
                });
            }
            Order::SpinFor(time, own) => {
                ctx.busy_for(*time);
                brake.hold(own);
            }
            Order::Work(time) => {
                let until = std::time::Duration::from_millis(0) + *time;
                let since = tokio::time::Instant::now();
                while since.elapsed() < until {
                    std::thread::yield_now();
                }
            }
            Order::Await => {
                while !brake.let_go.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            Order::SpinAtStop => self.spins_at_stop = true,
            Order::Count(reply) => {
                let (before, _) = ctx.handled_before();
                reply.send((before, ctx.incarnation()));
            }
            Order::Late => self
                .brake
                .late
                .lock()
                .unwrap()
                .push("a late message".to_owned()),
        }
        Ok(Next::Continue)
    }

    async fn stop(self, _: &ExitReason, _: &mut Context<Self>) {
        if self.spins_at_stop {
            self.brake.hold(&AtomicBool::new(false));
        }
    }
}

impl Spinner {
    /// Sends to itself and its siblings, at once and by a timer.
    fn try_late(&self, ctx: &Context<Self>) {
        if self.brake.let_go.load(Ordering::SeqCst) {
            return;
        }
        for sibling in (0..4).filter_map(|number| ctx.lookup::<Order>(&path(number))) {
            let sent = sibling.try_tell(Order::Late);
            self.brake.late.lock().unwrap().push(format!("{sent:?}"));
        }
        ctx.tell_after(Duration::ZERO, Order::Late);
    }
}

/// Holds its thread in `start`, the first time.
pub(crate) struct Blocker;

impl Actor for Blocker {
    type Message = Order;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        if ctx.starts_before() == 0 {
            ctx.kernel().shared::<Brake>().hold(&AtomicBool::new(false));
        }
        Ok(Start::Running(Self))
    }

    async fn handle(&mut self, _: &mut Order, _: &mut Context<Self>) -> Result<Next, Exit> {
        Ok(Next::Continue)
    }
}

/// Lets all threads go when a test is over, or failed: a runtime waits for its own.
struct Release(Arc<WorkThreads>, Arc<Brake>);

impl Drop for Release {
    fn drop(&mut self) {
        self.1.let_go.store(true, Ordering::SeqCst);
        self.0.release();
    }
}

/// A kernel that runs, and what it says of itself.
pub(crate) struct Held {
    pub(crate) kernel: Kernel,
    pub(crate) brake: Arc<Brake>,
    pub(crate) threads: Arc<WorkThreads>,
    facts: Arc<(Mutex<Vec<Fact>>, Notify)>,
}

impl Held {
    pub(crate) fn slot(&self, number: usize) -> Arc<Slot> {
        self.kernel
            .registry()
            .get(&path(number))
            .expect("it is there")
    }

    pub(crate) fn tell(&self, number: usize, order: Order) {
        let address = self.kernel.address::<Order>(&path(number));
        address
            .expect("it is there")
            .try_tell(order)
            .expect("there is room");
    }

    /// Asks how many messages it had, and which life answers.
    pub(crate) async fn count(&self, number: usize) -> (u64, u64) {
        let address = self
            .kernel
            .address::<Order>(&path(number))
            .expect("it is there");
        let patience = Duration::from_secs(60);
        address
            .ask(patience, Order::Count)
            .await
            .expect("it answers")
    }

    /// Waits for so many facts of a sort.
    pub(crate) async fn facts(&self, count: usize, is_one: impl Fn(&Fact) -> bool) -> Vec<Fact> {
        loop {
            let told = self.facts.1.notified();
            let mut told = std::pin::pin!(told);
            told.as_mut().enable();
            let found = self.facts_so_far(&is_one);
            if found.len() >= count {
                return found;
            }
            told.await;
        }
    }

    pub(crate) fn facts_so_far(&self, is_one: impl Fn(&Fact) -> bool) -> Vec<Fact> {
        let facts = self.facts.0.lock().unwrap();
        facts.iter().filter(|fact| is_one(fact)).cloned().collect()
    }

    /// Waits until it runs in this life.
    pub(crate) async fn runs(&self, number: usize, incarnation: u64) {
        let slot = self.slot(number);
        while slot.incarnation() < incarnation || slot.state() != SlotState::Running {
            tokio::task::yield_now().await;
        }
    }

    /// Has the first children hold every work thread.
    pub(crate) async fn hold_every_thread(&self) {
        for number in 0..WORK_THREADS {
            self.tell(number, Order::Spin(Arc::default()));
        }
        self.spinning(WORK_THREADS).await;
    }

    /// Waits until so many threads are held.
    pub(crate) async fn spinning(&self, count: usize) {
        while self.brake.spinning.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

/// Runs `test` on a kernel of these children, whose control has one thread and whose workers have two.
pub(crate) fn with_kernel<T: Future<Output = ()>>(
    children: Vec<ChildSpec>,
    test: impl FnOnce(Held) -> T,
) {
    with_config(children, |config| config, test);
}

/// The same, configured otherwise.
pub(crate) fn with_config<T: Future<Output = ()>>(
    children: Vec<ChildSpec>,
    configure: impl FnOnce(KernelConfig) -> KernelConfig,
    test: impl FnOnce(Held) -> T,
) {
    let threads = Arc::new(WorkThreads::default());
    let builder = || {
        let mut builder = Builder::new_multi_thread();
        builder.enable_all();
        builder
    };
    let control = builder().worker_threads(1).build().expect("a thread");
    let work = threads.build(&mut builder(), WORK_THREADS, SPARE_THREADS);
    let work = work.expect("some threads");
    let brake = Arc::new(Brake::default());
    let _release = Release(Arc::clone(&threads), Arc::clone(&brake));
    let runtimes = Runtimes {
        control: control.handle().clone(),
        work: work.handle().clone(),
        threads: Some(Arc::clone(&threads)),
    };
    let root = SupervisorSpec {
        intensity: 9,
        children: children.into_iter().map(Arc::new).collect(),
        ..SupervisorSpec::default()
    };
    let tree = TreeSpec {
        name: "held".to_owned(),
        test: true,
        root,
    };
    let kinds = Kinds::new()
        .with::<Spinner>("spinner", "holds a thread")
        .with::<Blocker>("blocker", "holds a thread when it starts");
    let facts = Arc::new((Mutex::new(Vec::new()), Notify::new()));
    let hears = Arc::clone(&facts);
    let observer: Observer = Arc::new(move |fact: &Fact| {
        hears.0.lock().unwrap().push(fact.clone());
        hears.1.notify_waiters();
    });
    let config = KernelConfig {
        observer: Some(observer),
        ..KernelConfig::new(runtimes, kinds, 1).with_shared(Arc::clone(&brake))
    };
    control.block_on(async {
        let kernel = Kernel::start(configure(config), tree)
            .await
            .expect("the children can be made");
        kernel.booted().await;
        test(Held {
            kernel,
            brake,
            threads,
            facts,
        })
        .await;
    });
}

pub(crate) fn id(number: usize) -> ChildId {
    ChildId::new(format!("s{number}")).expect("a letter and digits")
}

pub(crate) fn path(number: usize) -> ActorPath {
    ActorPath::root().child(&id(number))
}

pub(crate) fn spinners(numbers: impl Iterator<Item = usize>) -> Vec<ChildSpec> {
    numbers
        .map(|number| ChildSpec::worker(id(number), "spinner"))
        .collect()
}

/// Changes what is particular to a worker.
pub(crate) fn worker(mut child: ChildSpec, change: impl FnOnce(&mut WorkerSpec)) -> ChildSpec {
    if let ChildKind::Worker(worker) = &mut child.what {
        change(worker);
    }
    child
}
