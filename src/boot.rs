//! From a tree to a running kernel: the lock, the two runtimes, the control socket, then the tree.
//!
//! The way in for programs that embed a kernel, for tests and examples, and for `uk run` itself. It is
//! not async, because it makes the runtimes; do not call it on one.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use unity_actors::alarms::{self, Alarms, RealMachine};
use unity_actors::chaos::runs::{Chaos, Ground};
use unity_actors::chaos::service as chaos;
use unity_actors::chaos::shelf::Shelf;
use unity_actors::cluster::guests::{self, GuestStates, Guests};
use unity_actors::cluster::{self, Cluster, placed};
use unity_actors::dispatcher::Dispatcher;
use unity_actors::streams::{self, DiskFaults, EmbeddedStreams};
use unity_actors::{bus, dead_letters, dispatcher, memory, replay};
use unity_supervisors::bus::Catalog;
use unity_supervisors::clock::Clock;
use unity_supervisors::kernel::{BuildError, Observer};
use unity_supervisors::report::Fact;
use unity_supervisors::spec::{ChildSpec, TreeSpec};
use unity_supervisors::stream::StreamStore;
use unity_supervisors::{Kernel, KernelConfig, Kinds, Mode, Runtimes, WorkThreads};

use crate::event_file::{self, EventFiles};
use crate::guard::Guarded;
use crate::http;
use crate::http::listener::Listening;
use crate::log_ring::LogRing;
use crate::nodes::{self, InvalidNodes};
use crate::recorder::{Origin, Recorder};
use crate::rights::tokens::Tokens;
use crate::settings::history::Keep;
use crate::settings::keeper::Keeper;
use crate::settings::reload::ReloadBell;
use crate::settings::service::{self, Room};
use crate::settings::source::{Base, Source};
use crate::settings::system::{InForce, LogSwitch, SystemFiles, SystemSettings};
use crate::socket::{self, SocketError, SocketLock};
use crate::state_store::FileStore;
use crate::systemd::{self, SystemdSettings};

/// Threads of the control runtime.
const CONTROL_THREADS: usize = 2;
/// How long the control service may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer that is being written may take when the kernel has ended.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);
/// How long the last events may take to be written.
const CLOSES_WITHIN: Duration = Duration::from_secs(5);
/// How long what is killed at the end may take.
const DIES_WITHIN: Duration = Duration::from_millis(500);
/// How often a lock that somebody looks at is tried for.
const LOCK_TRIES: u32 = 10;

/// What a kernel is booted with.
pub struct BootOptions {
    /// What runs.
    pub tree: TreeSpec,
    /// Where it was read from, to be watched, and written down in the history of the settings; none if a program made it.
    pub source: Option<(Source, Base, BTreeSet<PathBuf>)>,
    /// The kinds that it names.
    pub kinds: Kinds,
    /// The kernel's own settings.
    pub system: SystemSettings,
    /// Where those come from, to be watched.
    pub system_files: Option<SystemFiles>,
    /// Which events there are, if not those of the `events.yaml` in this program.
    pub events: Option<Catalog>,
    /// Where that was read, to be watched.
    pub event_files: Option<EventFiles>,
    /// Where events are kept that the catalog says are.
    pub streams: Option<Arc<dyn StreamStore>>,
    /// The log, if that is the kernel's own.
    pub log: KernelLog,
    /// The control socket, if not the usual place of that name.
    pub socket: Option<PathBuf>,
    /// The data folder, if not the usual place of that name.
    pub data_dir: Option<PathBuf>,
    /// What chance begins with; drawn if not given.
    pub seed: Option<u64>,
    /// Why it boots into safe mode, if it does.
    pub safe: Option<String>,
    /// What the guard said that started this process, if one did.
    pub guarded: Option<Guarded>,
    /// How systemd is told, if it is.
    pub systemd: Option<SystemdSettings>,
    /// Hears of what happens.
    pub observer: Option<Observer>,
    /// Hears of each step of the boot, with what it came to and how long it took.
    pub progress: Option<Progress>,
}

/// What a kernel knows of its log: nothing where the log is that of the program around it.
#[derive(Clone, Default)]
pub struct KernelLog {
    /// Changes its filter.
    pub switch: Option<LogSwitch>,
    /// Its last lines.
    pub ring: Arc<LogRing>,
}

impl fmt::Debug for KernelLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelLog")
            .field("is_ours", &self.switch.is_some())
            .finish_non_exhaustive()
    }
}

/// Hears of each step of a boot.
pub type Progress = Box<dyn Fn(&str, &str, Duration)>;

impl BootOptions {
    /// This tree, with the kernel's own kinds and all defaults.
    #[must_use]
    pub fn new(tree: TreeSpec) -> Self {
        Self {
            tree,
            source: None,
            kinds: unity_actors::kinds(),
            system: SystemSettings::default(),
            system_files: None,
            events: None,
            event_files: None,
            streams: None,
            log: KernelLog::default(),
            socket: None,
            data_dir: None,
            seed: None,
            safe: None,
            guarded: None,
            systemd: None,
            observer: None,
            progress: None,
        }
    }
}

impl fmt::Debug for BootOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootOptions")
            .field("system", &self.system)
            .field("socket", &self.socket)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// Why a kernel did not boot.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The socket cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The runtimes cannot be made.
    #[error("cannot start the runtimes: {0}")]
    Runtime(std::io::Error),
    /// A child of the tree cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What is said of nodes cannot be.
    #[error(transparent)]
    Nodes(#[from] InvalidNodes),
    /// The control service does not listen.
    #[error("the control service does not listen on {}: {why}", .socket.display())]
    Control {
        /// Where it should.
        socket: PathBuf,
        /// Why it does not.
        why: String,
    },
}

/// A kernel with its runtimes, its socket and its lock. Dropping it kills what still runs.
pub struct RunningKernel {
    kernel: Kernel,
    control: Option<Runtime>,
    work: Option<Runtime>,
    threads: Arc<WorkThreads>,
    lock: SocketLock,
    data_dir: PathBuf,
    states: Arc<FileStore>,
    seed: u64,
    recorder: Arc<Recorder>,
}

impl fmt::Debug for RunningKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningKernel")
            .field("kernel", &self.kernel)
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

/// Boots a kernel. Returns once it can be reached; [`RunningKernel::booted`] waits for its tree.
///
/// # Errors
/// [`BootError`]; nothing runs then.
pub fn boot(options: BootOptions) -> Result<RunningKernel, BootError> {
    let BootOptions {
        tree,
        source,
        kinds,
        system,
        system_files,
        events,
        event_files,
        streams,
        log,
        socket,
        data_dir,
        seed,
        safe,
        guarded,
        systemd,
        observer,
        progress,
    } = options;
    let name = system.name.clone().unwrap_or_else(|| tree.name.clone());
    let usual = socket::of_name(&name)?;
    let socket = socket.unwrap_or(usual);
    let data_dir = data_dir.unwrap_or_else(|| socket::data_folder(&name));
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let tell = progress.unwrap_or_else(|| Box::new(|_, _, _| {}));

    // Before anything is made: what is refused has done nothing.
    let node = nodes::Node::read(&system.nodes, &name)?;
    let (control, work, threads) = runtimes(&tell, max_abandoned(&system))?;
    let since = Instant::now();
    let lock = control.block_on(take_lock(&socket, &name))?;
    let cluster = node.cluster(system.labels.clone(), &data_dir);
    let states = Arc::new(FileStore::new(&data_dir));
    let origin = source.unwrap_or_else(|| (Source::Made, Base::made(tree), BTreeSet::new()));
    let (keeper, mut tree) = Keeper::open(origin, &data_dir, Keep::of(&system), &kinds);
    tree.name = name;
    let known_good = keeper.known_good();
    let room = Arc::new(Room::new(keeper, system_files, event_files));
    let (began, listening) = watch::channel(false);
    let recorder = recorder(&data_dir, seed, &system, guarded);
    let (streams, disk, trouble) = open_streams(streams, &data_dir);
    let chaos = chaos_on(disk, &recorder, &data_dir);
    let config = KernelConfig {
        service_kinds: service_kinds(),
        services: services(&socket, systemd.as_ref(), &system),
        observer: Some(watching(began, &recorder, &room, observer)),
        safe,
        states: states.clone(),
        streams,
        catalog: events.unwrap_or_else(event_file::shipped),
        known_good,
        ..KernelConfig::new(handles(&control, &work, &threads), kinds, seed)
    };
    let config = with_settings(config, system, log, &data_dir)
        .with_shared(Arc::clone(&recorder))
        .with_shared(Arc::new(trouble))
        .with_shared(Arc::new(chaos))
        .with_shared(room);
    let kernel = control.block_on(Kernel::start(with_nodes(config, cluster), tree))?;
    recorder.attach(&kernel);
    RunningKernel {
        kernel,
        control: Some(control),
        work: Some(work),
        threads,
        lock,
        data_dir,
        states,
        seed,
        recorder,
    }
    .listening(listening, &tell, since)
}

fn recorder(
    data_dir: &Path,
    seed: u64,
    system: &SystemSettings,
    guarded: Option<Guarded>,
) -> Arc<Recorder> {
    Arc::new(Recorder::new(Origin {
        data_dir: data_dir.display().to_string(),
        seed,
        exit_on_give_up: system.exit_on_give_up,
        guarded,
    }))
}

fn chaos_on(disk: Option<Arc<DiskFaults>>, recorder: &Recorder, data_dir: &Path) -> Chaos {
    let origin = recorder.origin();
    let ground = Ground {
        disk,
        guarded: origin.is_some_and(|origin| origin.guarded.is_some()),
        ends_on_give_up: origin.is_some_and(|origin| origin.exit_on_give_up),
    };
    Chaos::new(ground, Shelf::new(data_dir.join("chaos")))
}

/// Why this kernel has no streams, if it has none.
#[derive(Debug, Default)]
pub(crate) struct NoStreams(pub(crate) Option<String>);

/// The streams that are given, or those in the data folder with what of their disk can be broken. A kernel that cannot have them runs all the same, and says so: what is to be durable is
/// refused then, and nothing else.
fn open_streams(
    given: Option<Arc<dyn StreamStore>>,
    data_dir: &Path,
) -> (
    Option<Arc<dyn StreamStore>>,
    Option<Arc<DiskFaults>>,
    NoStreams,
) {
    if given.is_some() {
        return (given, None, NoStreams::default());
    }
    let folder = data_dir.join("streams");
    match EmbeddedStreams::open(&folder, Clock::real(), streams::Options::default()) {
        Ok(streams) => {
            let disk = streams.disk_faults();
            (Some(streams), Some(disk), NoStreams::default())
        }
        Err(error) => {
            tracing::error!(%error, "this kernel runs without streams");
            (None, None, NoStreams(Some(error.to_string())))
        }
    }
}

/// What the children of `/system` are made of.
fn service_kinds() -> Kinds {
    let kinds = replay::with_kind(systemd::with_kind(http::kinds()));
    let kinds = dispatcher::with_kinds(dead_letters::with_kind(kinds));
    let kinds = chaos::with_kind(alarms::with_kind(memory::with_kind(kinds)));
    service::with_kind(cluster::service::with_kind(bus::with_kind(kinds)))
}

/// The children of `/system`.
fn services(
    socket: &Path,
    systemd: Option<&SystemdSettings>,
    system: &SystemSettings,
) -> Vec<ChildSpec> {
    let mut services = vec![
        http::child(socket),
        http::listener::child(),
        http::live::child(),
        bus::child(),
        dead_letters::child(),
        replay::child(),
        alarms::child(),
        dispatcher::child(),
        chaos::child(),
        guests::child(),
        cluster::service::child(),
    ];
    services.extend(systemd.map(systemd::child));
    services.extend(system.memory_limit.map(|_| memory::child()));
    // Last: what others do at their start does not wait for files.
    services.push(service::child());
    services
}

/// Adds what the kernel's own settings say, and the settings themselves for whoever goes by them later.
fn with_settings(
    config: KernelConfig,
    system: SystemSettings,
    log: KernelLog,
    data_dir: &Path,
) -> KernelConfig {
    let config = KernelConfig {
        exit_on_give_up: system.exit_on_give_up,
        memory_limit: system.memory_limit.map(|limit| limit.0),
        max_abandoned: max_abandoned(&system),
        kill_grace: system.kill_grace.0,
        apply_timeout: system.apply_timeout.0,
        ..config
    };
    let alarms = Alarms::new(system.alarms.clone(), RealMachine::new(data_dir));
    config
        .with_shared(Arc::new(alarms))
        .with_shared(Arc::new(Dispatcher::new(system.dispatcher.sizes())))
        .with_shared(Arc::new(Tokens::open(data_dir)))
        .with_shared(Arc::new(Listening::new(data_dir)))
        .with_shared(Arc::new(InForce::new(system, log.switch)))
        .with_shared(log.ring)
}

/// Adds the other nodes, and what children need that live there or come from there.
fn with_nodes(config: KernelConfig, cluster: Cluster) -> KernelConfig {
    let guests = Arc::new(Guests::default());
    let config = KernelConfig {
        kinds: placed::with_kind(config.kinds),
        states: Arc::new(GuestStates::new(config.states, Arc::clone(&guests))),
        ..config
    };
    config.with_shared(Arc::new(cluster)).with_shared(guests)
}

fn max_abandoned(system: &SystemSettings) -> usize {
    usize::try_from(system.max_abandoned).unwrap_or(usize::MAX)
}

fn handles(control: &Runtime, work: &Runtime, threads: &Arc<WorkThreads>) -> Runtimes {
    Runtimes {
        control: control.handle().clone(),
        work: work.handle().clone(),
        threads: Some(Arc::clone(threads)),
    }
}

/// The control runtime and the work runtime, with the threads of the latter.
fn runtimes(
    tell: &Progress,
    max_abandoned: usize,
) -> Result<(Runtime, Runtime, Arc<WorkThreads>), BootError> {
    let since = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let control = builder("uk-control")
        .worker_threads(CONTROL_THREADS)
        .build()
        .map_err(BootError::Runtime)?;
    let threads = Arc::new(WorkThreads::default());
    let work = threads
        .build(&mut builder("uk-work"), cores, max_abandoned)
        .map_err(BootError::Runtime)?;
    tell(
        "runtimes",
        &format!(
            "{CONTROL_THREADS} control threads, {cores} work threads, {max_abandoned} to spare"
        ),
        since.elapsed(),
    );
    Ok((control, work, threads))
}

fn builder(name: &str) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.thread_name(name).enable_all();
    builder
}

/// Takes the lock. A client that looks who holds it keeps it for a moment, so one try is not enough.
async fn take_lock(socket: &Path, name: &str) -> Result<SocketLock, SocketError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match SocketLock::take(socket, name) {
            Err(SocketError::Held(_)) if tries < LOCK_TRIES => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            taken => return taken,
        }
    }
}

/// An observer that also says when the control service listens, and keeps what happens.
fn watching(
    began: watch::Sender<bool>,
    recorder: &Arc<Recorder>,
    room: &Arc<Room>,
    then: Option<Observer>,
) -> Observer {
    let (recorder, room) = (Arc::clone(recorder), Arc::clone(room));
    Arc::new(move |fact| {
        recorder.note(fact);
        room.note(fact);
        if let Fact::Started { path, .. } = fact
            && path.as_str() == http::PATH
        {
            began.send_replace(true);
        }
        if let Some(then) = &then {
            then(fact);
        }
    })
}

impl RunningKernel {
    /// Waits until it can be reached.
    fn listening(
        self,
        listening: watch::Receiver<bool>,
        tell: &Progress,
        since: Instant,
    ) -> Result<Self, BootError> {
        self.block_on(self.listens(listening))?;
        let socket = self.socket().display().to_string();
        tell("control socket", &socket, since.elapsed());
        Ok(self)
    }

    async fn listens(&self, mut listening: watch::Receiver<bool>) -> Result<(), BootError> {
        let begun = timeout(LISTENS_WITHIN, listening.wait_for(|listens| *listens)).await;
        if begun.is_ok_and(|begun| begun.is_ok()) {
            return Ok(());
        }
        let slot = http::PATH
            .parse()
            .ok()
            .and_then(|path| self.kernel.registry().get(&path));
        let last = slot.and_then(|slot| slot.last_exit());
        let why = last.map_or_else(
            || "it did not start".to_owned(),
            |exit| exit.reason.to_string(),
        );
        Err(BootError::Control {
            socket: self.socket().to_owned(),
            why,
        })
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Where it is reached.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.lock.socket()
    }

    /// Its data folder, made with the first state that is kept.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Its last facts, and the picture of its fall.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Rung, the kernel looks at its files again.
    #[must_use]
    pub fn reload_bell(&self) -> Arc<ReloadBell> {
        self.kernel.shared()
    }

    /// What chance began with.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Runs a future on the control runtime.
    ///
    /// # Panics
    /// On a runtime's thread.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.control
            .as_ref()
            .expect("the runtime is there until the drop")
            .block_on(work)
    }

    /// Waits until the first start of the tree is over.
    #[must_use]
    pub fn booted(&self) -> Mode {
        self.block_on(self.kernel.booted())
    }

    /// Stops all in order and waits for the end.
    pub fn shutdown(self) {
        self.block_on(self.kernel.shutdown());
    }
}

impl RunningKernel {
    /// Waits until what was published is on disk, for as long as a disk may take.
    fn close_streams(&self) {
        let (Some(control), Some(streams)) = (&self.control, self.kernel.bus().store()) else {
            return;
        };
        if tokio::runtime::Handle::try_current().is_ok() {
            return;
        }
        let closed = control.block_on(async { timeout(CLOSES_WITHIN, streams.close()).await });
        if closed.is_err() {
            tracing::error!("the streams could not be written to their end");
        }
    }
}

impl Drop for RunningKernel {
    fn drop(&mut self) {
        self.recorder.release();
        self.kernel.kill_all();
        if let Some(control) = &self.control
            && tokio::runtime::Handle::try_current().is_err()
        {
            let ended = control.block_on(async { timeout(DIES_WITHIN, self.kernel.ended()).await });
            if ended.is_err() {
                tracing::warn!("some actors did not die in time");
            }
        }
        self.close_streams();
        self.threads.release();
        // A thread that is stuck in a handler must not keep the process.
        if let Some(work) = self.work.take() {
            work.shutdown_background();
        }
        // An answer that is being written still goes out: above all that to `uk shutdown`.
        if let Some(control) = self.control.take() {
            control.shutdown_timeout(ANSWERS_WITHIN);
        }
        self.states.close();
    }
}
