//! Requests and crashes from several threads at once, on two runtimes of two threads each: no request hangs, no
//! life overlaps another of its slot, nothing is left over.
//!
//! What chance does comes from a seed, what the threads do does not: a failure here is a fault of the kernel that
//! another run may not show. `UK_STORMS` asks for more of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::{Handle, Runtime};
use unity_supervisors::spec::{ChildSpec, Strategy};
use unity_supervisors::{Kernel, Runtimes};

use crate::support::{World, group, path, sub};

const STRATEGIES: [Strategy; 3] = [
    Strategy::OneForOne,
    Strategy::OneForAll,
    Strategy::RestForOne,
];
const PATHS: [&str; 11] = [
    "/",
    "/x",
    "/x/c",
    "/x/inner",
    "/x/inner/a",
    "/x/inner/b",
    "/x/d",
    "/y",
    "/y/e",
    "/y/f",
    "/g",
];
/// Far longer than a request takes, and short enough to say which one hangs.
const PATIENCE: Duration = Duration::from_secs(20);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_storm_of_requests_hangs_nothing_and_leaves_nothing_behind() {
    let storms = std::env::var("UK_STORMS")
        .ok()
        .and_then(|text| text.parse().ok());
    for seed in 0..storms.unwrap_or(150) {
        let (control, work) = (runtime(), runtime());
        let runtimes = Runtimes {
            control: control.handle().clone(),
            work: work.handle().clone(),
            threads: None,
        };
        work.block_on(storm(seed, runtimes));
        control.shutdown_background();
        work.shutdown_background();
    }
}

async fn storm(seed: u64, runtimes: Runtimes) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let world = World::new();
    let mut any =
        |children: Vec<ChildSpec>| group(rng.choice(STRATEGIES).unwrap(), 1_000, children);
    let inner = sub("inner", any(world.children(["a", "b"]).into()));
    let x = sub("x", any(vec![world.child("c"), inner, world.child("d")]));
    let y = sub("y", any(world.children(["e", "f"]).into()));
    let root = group(Strategy::OneForOne, 100_000, vec![x, y, world.child("g")]);
    let kernel = world
        .start_with(root, |config| config.runtimes = runtimes)
        .await
        .kernel;
    if rng.bool() {
        kernel.booted().await;
    }

    let requests =
        (0..4).map(|task| Handle::current().spawn(requests(kernel.clone(), seed * 31 + task)));
    for requests in requests.collect::<Vec<_>>() {
        requests.await.unwrap();
    }
    let ended = tokio::time::timeout(PATIENCE, kernel.shutdown()).await;

    assert!(ended.is_ok(), "seed {seed}: the shutdown hangs");
    assert!(
        kernel.registry().is_empty(),
        "seed {seed}: {:?}",
        kernel.registry().paths()
    );
    assert_lives_are_apart(seed, &world);
}

async fn requests(kernel: Kernel, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..40 {
        let at = path(rng.choice(PATHS).unwrap());
        let what = rng.u8(..7);
        let request = async {
            match what {
                0 => drop(kernel.kill(&at, None).await),
                1 => drop(kernel.stop(&at).await),
                2 | 3 => drop(kernel.start_child(&at).await),
                4 => drop(kernel.restart(&at).await),
                5 => drop(kernel.tell(&at, json!({ "crash": "x" })).await),
                _ => tokio::task::yield_now().await,
            }
        };
        let done = tokio::time::timeout(PATIENCE, request).await;
        assert!(done.is_ok(), "seed {seed}: request {what} at {at} hangs");
    }
}

/// What started is gone, and was gone before the next life of its id started.
fn assert_lives_are_apart(seed: u64, world: &Arc<World>) {
    let mut up = HashSet::new();
    for said in world.take() {
        match said.split_once(' ') {
            Some(("started", id)) => assert!(up.insert(id.to_owned()), "seed {seed}: two of {id}"),
            Some(("gone", id)) => drop(up.remove(id)),
            _ => {}
        }
    }
    assert!(up.is_empty(), "seed {seed}: still up: {up:?}");
}
