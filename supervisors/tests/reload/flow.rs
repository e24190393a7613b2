//! Changes among each other, and among what else goes on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use unity_supervisors::reload::ReloadError;
use unity_supervisors::spec::Shutdown;

use crate::lives;
use crate::support::{World, tree, worker};

#[tokio::test(start_paused = true)]
async fn two_changes_at_once_are_done_one_after_the_other() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    let slow = |live| tree([worker("a", json!({"live": live, "apply": "slow"}))]);

    let (first, second) = tokio::join!(world.reload(slow(2)), world.reload(slow(3)));

    first.unwrap();
    second.unwrap();
    assert_eq!(world.observe("/a").await, json!({"live": 3, "in_force": 3}));
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_asker_goes_away_is_done_whole() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    let new = tree([
        worker("a", json!({"live": 2, "apply": "slow"})),
        worker("b", json!({})),
    ]);

    let asked = tokio::time::timeout(Duration::from_millis(10), world.reload(new)).await;

    assert!(asked.is_err());
    world.running("/b", 1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.observe("/a").await, json!({"live": 2, "in_force": 2}));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_in_the_middle_ends_all_and_says_so() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    let new = tree([
        worker("a", json!({"live": 2, "apply": "slow"})),
        worker("b", json!({})),
    ]);
    let end = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.kernel.shutdown().await
    };

    let (changed, _) = tokio::join!(world.reload(new), end);

    assert_eq!(changed, Err(ReloadError::Ending));
    assert_eq!(world.kernel.registry().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_the_say_and_the_change_brings_the_new_settings_all_the_same() {
    let world = World::boot(tree([
        worker("a", json!({"live": 1})),
        worker("b", json!({"live": 1})),
    ]))
    .await;
    let new = tree([
        worker("a", json!({"live": 2})),
        worker("b", json!({"live": 2, "apply": "slow"})),
    ]);
    let crash = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.crash("/a").await;
    };

    let (changed, ()) = tokio::join!(world.reload(new), crash);

    changed.unwrap();
    world.running("/a", 3).await;
    assert_eq!(world.observe("/a").await, json!({"live": 2, "in_force": 2}));
    assert_eq!(world.incarnation("/b"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_swaps_under_a_flood_lose_and_mix_up_nothing() {
    flood(World::boot(tree([worker("a", json!({"live": 1}))])).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_on_real_threads() {
    flood(World::boot(tree([worker("a", json!({"live": 1}))])).await).await;
}

async fn flood(world: World) {
    let world = Arc::new(world);
    let address = world.address("/a");
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let sender = async move {
        let mut sent = 0;
        while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
            address
                .tell(crate::support::Order::Number(sent))
                .await
                .unwrap();
            sent += 1;
            tokio::task::yield_now().await;
        }
        sent
    };
    let swaps = async {
        for live in 0..1_000 {
            let live = 20 + live;
            world
                .reload(tree([worker("a", json!({ "live": live }))]))
                .await
                .unwrap();
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    };

    let (sent, ()) = tokio::join!(sender, swaps);

    assert!(sent > 0);
    // To be observed is more urgent than messages: what waits is handled first.
    world.handled("/a", sent).await;
    let observed = world.observe("/a").await;
    assert_eq!(observed["numbers"], json!(sent), "all, and in order");
    assert_eq!(observed["live"], json!(1_019));
    assert_eq!(world.incarnations(), lives(&[("/a", 1)]));
    assert_eq!(world.kernel.dead_letters().total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apply_that_holds_its_thread_is_refused_and_cut_off() {
    let mut config = World::config();
    config.apply_timeout = Duration::from_millis(50);
    config.kill_grace = Duration::from_millis(50);
    let quick = |settings| {
        let mut child = worker("a", settings);
        child.shutdown = Shutdown::BrutalKill;
        tree([child, worker("b", json!({"live": 1}))])
    };
    let world = World::boot_with(config, quick(json!({"live": 1}))).await;

    let new = quick(json!({"live": 2, "apply": "block"}));
    let error = world.reload(new).await.unwrap_err();

    assert!(matches!(error, ReloadError::Rejected { .. }), "{error}");
    assert_eq!(world.observe("/a").await, json!({"live": 1, "in_force": 1}));
    assert_eq!(world.incarnations(), lives(&[("/a", 2), ("/b", 1)]));
    world.let_go();
}
