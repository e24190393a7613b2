//! A kernel with a dispatcher, and actors that note what their jobs do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use unity_actors::dispatcher::{self, Counts, Dispatcher, EventJobs, JobOptions, SIZES};
use unity_supervisors::bus::{Catalog, Event, EventType, Persist, Since, Topic};
use unity_supervisors::clock::Clock;
use unity_supervisors::kernel::Observer;
use unity_supervisors::report::Fact;
use unity_supervisors::spec::{ChildKind, ChildSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::stream::MemoryStreams;
use unity_supervisors::stream::{Durability, Position, Retention, StreamStore};
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Draft, Exit, Kernel, KernelConfig, Kinds, Message, Next,
    Priority, Runtimes, SlotState, Start, WorkThreads,
};

/// No step of a test takes longer; a paused clock gets there only once nothing else can happen.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// The same for one whose clock is real.
const REAL_PATIENCE: Duration = Duration::from_secs(20);

/// A registration.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Job {
    pub(crate) pattern: String,
    pub(crate) tier: Option<Priority>,
    pub(crate) timeout_ms: u64,
    pub(crate) concurrency: usize,
    pub(crate) durable: bool,
}

impl Job {
    pub(crate) fn of(pattern: &str) -> Self {
        Self {
            pattern: pattern.to_owned(),
            tier: None,
            timeout_ms: 600_000,
            concurrency: 1,
            durable: false,
        }
    }
}

/// What jobs did, in order.
#[derive(Default)]
pub(crate) struct Log {
    entries: Mutex<Vec<(&'static str, u64)>>,
    count: watch::Sender<usize>,
    released: AtomicBool,
}

impl Log {
    fn note(&self, what: &'static str, number: u64) {
        let count = {
            let mut entries = self.entries.lock();
            entries.push((what, number));
            entries.len()
        };
        self.count.send_replace(count);
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct BossSettings {
    jobs: Vec<Job>,
}

#[derive(Debug, Message)]
enum BossMessage {
    Crash,
}

struct Boss;

impl Actor for Boss {
    type Message = BossMessage;
    type Settings = BossSettings;

    async fn start(settings: &BossSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        let log: Arc<Log> = ctx.kernel().shared();
        for job in &settings.jobs {
            let mut options = JobOptions::default()
                .timeout(Duration::from_millis(job.timeout_ms))
                .concurrency(job.concurrency);
            if let Some(tier) = job.tier {
                options = options.tier(tier);
            }
            if job.durable {
                options = options.durable("jobs", Since::LastAck);
            }
            let (log, kernel) = (Arc::clone(&log), ctx.kernel().clone());
            ctx.on_event_job(&job.pattern, options, move |event| {
                work(Arc::clone(&log), kernel.clone(), event)
            })?;
        }
        Ok(Start::Running(Self))
    }

    async fn handle(&mut self, _: &mut BossMessage, _: &mut Context<Self>) -> Result<Next, Exit> {
        Err(Exit::error("as asked"))
    }
}

/// Does what the data of its event say.
async fn work(log: Arc<Log>, kernel: Kernel, event: Arc<Event>) -> Result<(), Exit> {
    let data = &event.data;
    let number = data["n"].as_u64().unwrap();
    log.note("begin", number);
    if let Some(ms) = data["sleep_ms"].as_u64() {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    while data["until_told"] == true && !log.released.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
    if let Some(topic) = data["say"].as_str() {
        let topic: Topic = topic.parse().unwrap();
        for number in 1..=data["times"].as_u64().unwrap() {
            let draft = Draft::new(&topic, json!({ "n": number }));
            let said = kernel.bus().publish_when_room(&"test".into(), draft).await;
            said.map_err(|error| Exit::error(error.to_string()))?;
        }
    }
    if let Some(text) = data["fail"].as_str() {
        return Err(Exit::error(text));
    }
    if let Some(text) = data["panic"].as_str() {
        panic!("{text}");
    }
    log.note("end", number);
    Ok(())
}

pub(crate) fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

/// The usual sizes, but for that of `normal`.
pub(crate) fn sizes(normal: usize) -> [usize; 5] {
    let mut sizes = SIZES;
    sizes[Priority::Normal as usize] = normal;
    sizes
}

pub(crate) struct World {
    pub(crate) kernel: Kernel,
    pub(crate) dispatcher: Arc<Dispatcher>,
    log: Arc<Log>,
    streams: Arc<MemoryStreams>,
    exits: Arc<Mutex<Vec<(String, String)>>>,
    exited: watch::Receiver<usize>,
    patience: Duration,
    /// Dropped last, where it has threads.
    _runtimes: Option<Threads>,
}

/// A work runtime of two threads, and some to spare.
pub(crate) struct Threads {
    threads: Arc<WorkThreads>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.threads.release();
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// What starts with `kept` is kept in the stream `kept`.
fn catalog() -> Catalog {
    let mut kept = EventType::new("kept.*".parse().unwrap());
    kept.persist = Some(Persist {
        stream: "kept".parse().unwrap(),
        mode: Durability::Durable,
        retention: Retention::default(),
    });
    Catalog::new(false, [kept])
}

impl World {
    /// A kernel with an actor for each row, on this thread.
    pub(crate) async fn boot(rows: &[(&str, Vec<Job>)]) -> Self {
        let services = vec![dispatcher::child()];
        Self::of(rows, Runtimes::current(), services, None).await
    }

    /// The same on threads of its own, where a worker counts as stuck soon.
    pub(crate) async fn on_threads(rows: &[(&str, Vec<Job>)]) -> Self {
        let threads = Arc::new(WorkThreads::default());
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let work = threads.build(builder.enable_all(), 2, 4).unwrap();
        let runtimes = Runtimes {
            work: work.handle().clone(),
            threads: Some(Arc::clone(&threads)),
            ..Runtimes::current()
        };
        let mut child = dispatcher::child();
        if let ChildKind::Supervisor(all) = &mut child.what {
            for tier in &mut all.children {
                let tier = Arc::make_mut(tier);
                if let ChildKind::Supervisor(tier) = &mut tier.what {
                    let template = Arc::make_mut(tier.template.as_mut().unwrap());
                    let worker = template.child.as_worker_mut().unwrap();
                    worker.stall_after = Duration::from_millis(100);
                }
            }
        }
        let threads = Threads {
            threads,
            runtime: Some(work),
        };
        Self::of(rows, runtimes, vec![child], Some(threads)).await
    }

    /// Why an actor with a job does not start where there is no dispatcher.
    pub(crate) async fn without_dispatcher() -> String {
        let rows = [("a", vec![Job::of("x")])];
        let world = Self::of(&rows, Runtimes::current(), Vec::new(), None).await;
        world.exits("/a").remove(0)
    }

    async fn of(
        rows: &[(&str, Vec<Job>)],
        runtimes: Runtimes,
        services: Vec<ChildSpec>,
        threads: Option<Threads>,
    ) -> Self {
        let exits: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let (count, exited) = watch::channel(0);
        let noted = Arc::clone(&exits);
        let observer: Observer = Arc::new(move |fact| {
            let (path, reason) = match fact {
                Fact::Exited { path, record } => (path, record.reason.to_string()),
                _ => return,
            };
            noted.lock().push((path.to_string(), reason));
            count.send_modify(|count| *count += 1);
        });
        let streams = MemoryStreams::new(Clock::real());
        let config = KernelConfig {
            service_kinds: dispatcher::with_kinds(Kinds::new()),
            services,
            observer: Some(observer),
            streams: Some(Arc::clone(&streams) as Arc<dyn StreamStore>),
            catalog: catalog(),
            ..KernelConfig::new(runtimes, Kinds::new().with::<Boss>("boss", "has jobs"), 7)
        };
        let child = |(id, jobs): &(&str, Vec<Job>)| {
            let mut child = ChildSpec::worker(ChildId::new(*id).unwrap(), "boss");
            child.as_worker_mut().unwrap().settings = json!({ "jobs": jobs });
            Arc::new(child)
        };
        let root = SupervisorSpec {
            children: rows.iter().map(child).collect(),
            intensity: 100,
            ..SupervisorSpec::default()
        };
        let tree = TreeSpec {
            name: "test".to_owned(),
            test: true,
            root,
        };
        let kernel = Kernel::start(config, tree).await.unwrap();
        kernel.booted().await;
        Self {
            dispatcher: kernel.shared(),
            log: kernel.shared(),
            kernel,
            streams,
            exits,
            exited,
            patience: threads.as_ref().map_or(PATIENCE, |_| REAL_PATIENCE),
            _runtimes: threads,
        }
    }

    fn draft(topic: &str, data: Value) -> Draft {
        Draft::new(&topic.parse().unwrap(), data)
    }

    pub(crate) async fn publish(&self, topic: &str, data: Value) {
        let draft = Self::draft(topic, data);
        self.kernel
            .bus()
            .publish(&"test".into(), draft)
            .await
            .unwrap();
    }

    pub(crate) async fn publish_when_room(&self, topic: &str, data: Value) {
        let draft = Self::draft(topic, data);
        let source = "test".into();
        let said = self.kernel.bus().publish_when_room(&source, draft).await;
        said.unwrap();
    }

    /// Waits until the log is as `holds` wants it.
    async fn until_log(&self, holds: impl Fn(&[(&'static str, u64)]) -> bool) {
        let mut count = self.log.count.subscribe();
        let reached = count.wait_for(|_| holds(&self.log.entries.lock()));
        let reached = tokio::time::timeout(self.patience, reached).await;
        let log = || {
            format!(
                "{:?}\n{:#?}",
                self.log.entries.lock(),
                self.dispatcher.stats()
            )
        };
        assert!(reached.is_ok(), "{}", log());
    }

    /// Waits until so many jobs have begun, or ended.
    pub(crate) async fn until(&self, what: &str, count: usize) {
        self.until_log(|log| log.iter().filter(|(its, _)| *its == what).count() >= count)
            .await;
    }

    /// Waits until the job of that number has begun, or ended.
    pub(crate) async fn until_number(&self, what: &'static str, number: u64) {
        self.until_log(|log| log.contains(&(what, number))).await;
    }

    /// Waits until no job waits or runs, whatever the time between two looks is.
    pub(crate) async fn idle(&self) {
        self.when(|| {
            let stats = self.dispatcher.stats();
            stats.iter().all(|tier| tier.queued + tier.busy == 0)
        })
        .await;
    }

    /// Waits until each tier has the workers that it is to have.
    pub(crate) async fn settled(&self) {
        self.when(|| {
            let stats = self.dispatcher.stats();
            stats.iter().all(|tier| {
                let there = self.children(&format!("/system/dispatcher/{}", tier.tier.as_str()));
                there == tier.size && tier.workers == tier.size
            })
        })
        .await;
    }

    async fn when(&self, holds: impl Fn() -> bool) {
        let reached = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let reached = tokio::time::timeout(self.patience, reached).await;
        assert!(reached.is_ok(), "{:#?}", self.dispatcher.stats());
    }

    /// The numbers of the jobs that began, or ended, in this order.
    pub(crate) fn numbers(&self, what: &str) -> Vec<u64> {
        let entries = self.log.entries.lock();
        let its = entries.iter().filter(|(its, _)| *its == what);
        its.map(|(_, number)| *number).collect()
    }

    pub(crate) fn most_at_a_time(&self) -> usize {
        let (mut now, mut most) = (0_usize, 0);
        for (what, _) in &*self.log.entries.lock() {
            now = if *what == "begin" { now + 1 } else { now - 1 };
            most = most.max(now);
        }
        most
    }

    pub(crate) fn forget(&self) {
        self.log.entries.lock().clear();
    }

    pub(crate) fn let_go(&self) {
        self.log.released.store(true, Ordering::Release);
    }

    pub(crate) fn counts(&self, tier: Priority) -> Counts {
        self.dispatcher.stats()[tier as usize].counts
    }

    /// How many times an event of `topic` was refused.
    pub(crate) fn refused(&self, topic: &str) -> u64 {
        let stats = self.kernel.bus().stats();
        let of: BTreeMap<String, u64> = stats
            .iter()
            .filter_map(|its| Some((its.topic.as_ref()?.to_string(), its.refused)))
            .collect();
        of[topic]
    }

    pub(crate) async fn pending(&self, stream: &str) -> usize {
        let stream = stream.parse().unwrap();
        let pending = self
            .streams
            .pending(&stream, "jobs", Position::START, 10_000);
        pending.await.unwrap().len()
    }

    pub(crate) async fn crash(&self, at: &str) {
        let address = self.kernel.address::<BossMessage>(&path(at)).unwrap();
        address.tell(BossMessage::Crash).await.unwrap();
    }

    /// Waits until it runs its life of this number.
    pub(crate) async fn runs(&self, at: &str, incarnation: u64) {
        let slot = self.kernel.registry().get(&path(at)).unwrap();
        self.when(|| slot.state() == SlotState::Running && slot.incarnation() == incarnation)
            .await;
    }

    pub(crate) fn lives(&self, at: &str) -> u64 {
        self.kernel.registry().get(&path(at)).unwrap().incarnation()
    }

    pub(crate) fn children(&self, at: &str) -> usize {
        let slot = self.kernel.registry().get(&path(at));
        slot.map_or(0, |slot| slot.children().len())
    }

    /// Where the job that runs is.
    pub(crate) async fn busy_worker(&self) -> ActorPath {
        let tier = self
            .kernel
            .registry()
            .get(&path("/system/dispatcher/normal"));
        for slot in tier.unwrap().children() {
            let state = self.kernel.observe(slot.path(), PATIENCE).await.unwrap();
            if state["busy"] == true {
                return slot.path().clone();
            }
        }
        panic!("nobody is busy")
    }

    /// Why what is at or below `at` ended.
    pub(crate) fn exits(&self, at: &str) -> Vec<String> {
        let exits = self.exits.lock();
        let its = exits.iter().filter(|(path, _)| path.starts_with(at));
        its.map(|(_, reason)| reason.clone()).collect()
    }

    pub(crate) async fn until_exit(&self, at: &str, said: &str) {
        let mut exited = self.exited.clone();
        let has = |_: &usize| self.exits(at).iter().any(|reason| reason.contains(said));
        let reached = tokio::time::timeout(self.patience, exited.wait_for(has)).await;
        assert!(reached.is_ok(), "{:?}", self.exits(""));
    }
}
