//! The service that measures memory, with a gauge that a test reads from a value and a clock that is paused.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unity_actors::memory::{self, Gauge};
use unity_supervisors::kernel::memory::Shedding;
use unity_supervisors::report::Fact;
use unity_supervisors::spec::{SupervisorSpec, TreeSpec};
use unity_supervisors::{ActorPath, Kernel, KernelConfig, Kinds, Runtimes};

/// What the gauge reads when it is broken.
const BROKEN: u64 = u64::MAX;

struct Machine {
    kernel: Kernel,
    used: Arc<AtomicU64>,
    alarms: Arc<Mutex<Vec<Shedding>>>,
}

impl Machine {
    /// A kernel whose limit is 1,000 bytes.
    async fn boot() -> Self {
        let used = Arc::new(AtomicU64::new(0));
        let alarms = Arc::new(Mutex::new(Vec::new()));
        let (read, heard) = (Arc::clone(&used), Arc::clone(&alarms));
        let gauge = Gauge::new(move || match read.load(Ordering::Relaxed) {
            BROKEN => Err(io::Error::other("broken")),
            used => Ok(used),
        });
        let config = KernelConfig {
            memory_limit: Some(1_000),
            service_kinds: memory::with_kind(Kinds::new()),
            services: vec![memory::child()],
            observer: Some(Arc::new(move |fact| {
                if let Fact::Memory { shedding, .. } = fact {
                    heard.lock().unwrap().push(*shedding);
                }
            })),
            ..KernelConfig::new(Runtimes::current(), Kinds::new(), 1)
        }
        .with_shared(Arc::new(gauge));
        let tree = TreeSpec {
            name: "test".to_owned(),
            test: true,
            root: SupervisorSpec::default(),
        };
        let kernel = Kernel::start(config, tree).await.unwrap();
        kernel.booted().await;
        Self {
            kernel,
            used,
            alarms,
        }
    }

    /// Lets `used` bytes be used for some beats of the service; returns the alarms up to then.
    async fn at(&self, used: u64) -> Vec<Shedding> {
        self.used.store(used, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.alarms.lock().unwrap().clone()
    }

    fn path() -> ActorPath {
        memory::PATH.parse().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn memory_is_measured_on_a_beat_and_each_change_is_an_alarm() {
    let machine = Machine::boot().await;

    assert_eq!(machine.at(899).await, []);
    assert_eq!(machine.at(900).await, [Shedding::Deferred]);
    assert_eq!(machine.at(950).await, [Shedding::Deferred]);
    assert_eq!(machine.at(1_000).await, [Shedding::Deferred, Shedding::Low]);
    let all = [Shedding::Deferred, Shedding::Low, Shedding::Nothing];
    assert_eq!(machine.at(10).await, all);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_killed_goes_on_where_it_was() {
    let machine = Machine::boot().await;
    machine.at(1_000).await;

    machine.kernel.kill(&Machine::path(), None).await.unwrap();

    let slot = machine.kernel.registry().get(&Machine::path()).unwrap();
    assert_eq!(machine.at(1_000).await, [Shedding::Low]);
    assert_eq!(slot.incarnation(), 2);
    assert_eq!(machine.at(0).await, [Shedding::Low, Shedding::Nothing]);
}

#[tokio::test(start_paused = true)]
async fn a_measurement_that_fails_is_no_crash() {
    let machine = Machine::boot().await;
    machine.at(950).await;

    let alarms = machine.at(BROKEN).await;

    let slot = machine.kernel.registry().get(&Machine::path()).unwrap();
    assert_eq!((alarms, slot.incarnation()), (vec![Shedding::Deferred], 1));
    assert_eq!(machine.at(0).await.last(), Some(&Shedding::Nothing));
}

#[tokio::test]
async fn the_system_says_how_much_memory_this_process_holds() {
    let config = KernelConfig {
        memory_limit: Some(u64::MAX),
        service_kinds: memory::with_kind(Kinds::new()),
        services: vec![memory::child()],
        ..KernelConfig::new(Runtimes::current(), Kinds::new(), 1)
    };
    let tree = TreeSpec {
        name: "test".to_owned(),
        test: true,
        root: SupervisorSpec::default(),
    };

    let kernel = Kernel::start(config, tree).await.unwrap();
    kernel.booted().await;

    let used = kernel.memory().unwrap().used_bytes;
    assert!(((1 << 20)..(1 << 34)).contains(&used), "{used}");
}
