//! Two runtimes: what is held up on one does not hold up the other.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use unity_supervisors::spec::{Backoff, ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Done, Exit, ExitKind, Kernel, KernelConfig, Kinds, Message,
    Next, Runtimes, SlotState, Start,
};

const WORK_THREADS: usize = 2;

/// Holds every thread that a spinner spins on, until it is let go.
#[derive(Default)]
struct Brake {
    spinning: AtomicUsize,
    let_go: AtomicBool,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

#[derive(Debug, Message)]
enum Order {
    Spin,
}

struct Spinner(Arc<Brake>);

impl Actor for Spinner {
    type Message = Order;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self(ctx.kernel().shared::<Brake>())))
    }

    async fn handle(&mut self, order: &mut Order, _: &mut Context<Self>) -> Result<Next, Exit> {
        let Order::Spin = order;
        self.0.spinning.fetch_add(1, Ordering::SeqCst);
        while !self.0.let_go.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Ok(Next::Continue)
    }
}

/// Holds its thread in `start`, the first time.
struct Blocker;

impl Actor for Blocker {
    type Message = Order;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let brake = ctx.kernel().shared::<Brake>();
        if ctx.starts_before() == 0 {
            brake.spinning.fetch_add(1, Ordering::SeqCst);
            while !brake.let_go.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
        Ok(Start::Running(Self))
    }

    async fn handle(&mut self, _: &mut Order, _: &mut Context<Self>) -> Result<Next, Exit> {
        Ok(Next::Continue)
    }
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(threads)
        .enable_all()
        .build()
        .expect("threads can be started")
}

/// Runs `test` on a kernel of these children, whose control has one thread and whose workers have two.
fn with_kernel<T: Future<Output = ()>>(
    children: Vec<ChildSpec>,
    test: impl FnOnce(Kernel, Arc<Brake>) -> T,
) {
    let (control, work) = (runtime(1), runtime(WORK_THREADS));
    let runtimes = Runtimes {
        control: control.handle().clone(),
        work: work.handle().clone(),
    };
    let children = children.into_iter().map(Arc::new).collect();
    let root = SupervisorSpec {
        intensity: 9,
        children,
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
    let brake = Arc::new(Brake::default());
    let config = KernelConfig::new(runtimes, kinds, 1).with_shared(Arc::clone(&brake));
    control.block_on(async {
        let kernel = Kernel::start(config, tree)
            .await
            .expect("the children can be made");
        kernel.booted().await;
        test(kernel, brake).await;
    });
}

fn id(number: usize) -> ChildId {
    ChildId::new(format!("s{number}")).expect("a letter and digits")
}

fn path(number: usize) -> ActorPath {
    ActorPath::root().child(&id(number))
}

fn spinners(numbers: impl Iterator<Item = usize>) -> Vec<ChildSpec> {
    numbers
        .map(|number| ChildSpec::worker(id(number), "spinner"))
        .collect()
}

/// Has the first children hold every work thread.
async fn hold_every_thread(kernel: &Kernel, brake: &Brake) {
    for number in 0..WORK_THREADS {
        let spinner = kernel.address::<Order>(&path(number)).expect("it is there");
        spinner.try_tell(Order::Spin).expect("it has room");
    }
    while brake.spinning.load(Ordering::SeqCst) < WORK_THREADS {
        tokio::task::yield_now().await;
    }
}

#[test]
fn tree_and_kill_answer_while_every_work_thread_is_held() {
    with_kernel(spinners(0..=WORK_THREADS), |kernel, brake| async move {
        hold_every_thread(&kernel, &brake).await;

        let tree = kernel.tree(None).unwrap().tree.unwrap();
        let killed = kernel.kill(&path(WORK_THREADS), None).await;

        assert!(
            !brake.let_go.load(Ordering::SeqCst),
            "both answered while the threads were held"
        );
        assert_eq!(tree.children.len(), WORK_THREADS + 1);
        assert_eq!(killed, Ok(Done::Killed));
        brake.let_go.store(true, Ordering::SeqCst);
        let slot = kernel.registry().get(&path(WORK_THREADS)).unwrap();
        while slot.incarnation() < 2 || slot.state() != SlotState::Running {
            tokio::task::yield_now().await;
        }
        kernel.shutdown().await;
    });
}

#[test]
fn a_start_that_holds_its_thread_is_left_behind_and_tried_again() {
    let mut child = ChildSpec::worker(ChildId::new("b").unwrap(), "blocker");
    child.start_timeout = Some(Duration::from_millis(20));
    child.backoff = Some(Backoff::default());
    with_kernel(vec![child], |kernel, brake| async move {
        let slot = kernel.registry().get(&"/b".parse().unwrap()).unwrap();
        while slot.state() != SlotState::Running {
            tokio::task::yield_now().await;
        }

        assert!(
            !brake.let_go.load(Ordering::SeqCst),
            "it runs while the first start still blocks"
        );
        assert_eq!(slot.abandoned(), 1);
        assert!(
            slot.history()[0]
                .reason
                .to_string()
                .contains("did not start within 20ms")
        );
        brake.let_go.store(true, Ordering::SeqCst);
        kernel.shutdown().await;
    });
}

#[test]
fn a_start_that_holds_its_thread_keeps_nobody_of_its_run_from_starting() {
    let mut blocker = ChildSpec::worker(ChildId::new("b").unwrap(), "blocker");
    blocker.start_timeout = Some(Duration::from_millis(150));
    blocker.backoff = Some(Backoff::default());
    let mut children = spinners(0..4);
    children.insert(2, blocker);
    with_kernel(children, |kernel, brake| async move {
        let state = |path| kernel.registry().get(&path).unwrap().state();
        let blocked = "/b".parse().unwrap();

        // `with_kernel` waited for the boot: all but the one that blocks have started.
        assert!((0..4).all(|number| state(path(number)) == SlotState::Running));
        while state(ActorPath::clone(&blocked)) != SlotState::Running {
            tokio::task::yield_now().await;
        }

        let slot = kernel.registry().get(&blocked).unwrap();
        assert!(!brake.let_go.load(Ordering::SeqCst));
        assert_eq!(slot.abandoned(), 1);
        let reason = slot.history()[0].reason.to_string();
        assert!(reason.contains("did not start within 150ms"), "{reason}");
        brake.let_go.store(true, Ordering::SeqCst);
        kernel.shutdown().await;
    });
}

#[test]
fn a_run_of_children_is_asked_to_stop_while_every_work_thread_is_held() {
    with_kernel(spinners(0..5), |kernel, brake| async move {
        hold_every_thread(&kernel, &brake).await;
        let last = kernel.registry().get(&path(4)).unwrap();

        let release = async {
            // Only the control side can have asked: no work thread is free.
            while last.state() != SlotState::Stopping {
                tokio::task::yield_now().await;
            }
            brake.let_go.store(true, Ordering::SeqCst);
        };
        tokio::join!(kernel.shutdown(), release);

        assert_eq!(last.abandoned(), 0);
        assert_eq!(last.history()[0].reason.kind, ExitKind::Shutdown);
    });
}
