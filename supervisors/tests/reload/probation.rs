//! New settings on probation: when they are put back, by what, and how far.

use std::time::Duration;

use serde_json::json;
use unity_supervisors::SettingsHandle;
use unity_supervisors::slot::Response;
use unity_supervisors::spec::StateSpec;

use crate::support::{Settings, World, path, sub, tree, worker};

const PROBATION: Duration = Duration::from_secs(30);

async fn change(world: &World, settings: serde_json::Value) {
    world.reload(tree([worker("a", settings)])).await.unwrap();
}

fn responses(world: &World, at: &str) -> Vec<Response> {
    let slot = world.kernel.registry().get(&path(at)).unwrap();
    let history = slot.history().into_iter();
    history.map(|record| record.response).collect()
}

#[tokio::test(start_paused = true)]
async fn changes_in_a_row_are_put_back_one_after_the_other() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    for live in 2..=4 {
        change(&world, json!({ "live": live })).await;
    }

    for (life, live) in [(2, 3), (3, 2), (4, 1)] {
        world.crash("/a").await;
        world.running("/a", life).await;
        assert_eq!(world.settings("/a"), json!({ "live": live }));
        assert_eq!(world.desired("/a"), json!({ "live": live }));
    }
    assert_eq!(world.restarts_used(), 0);

    world.crash("/a").await;
    world.running("/a", 5).await;
    assert_eq!(world.restarts_used(), 1, "nothing is left to be put back");
}

#[tokio::test(start_paused = true)]
async fn what_is_proved_is_kept_with_all_before_it() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    change(&world, json!({"live": 2})).await;
    tokio::time::sleep(PROBATION).await;
    change(&world, json!({"live": 3})).await;

    world.crash("/a").await;
    world.running("/a", 2).await;
    world.crash("/a").await;
    world.running("/a", 3).await;

    assert_eq!(world.settings("/a"), json!({"live": 2}));
    assert_eq!(
        responses(&world, "/a"),
        [Response::RolledBack, Response::Restarted]
    );
}

#[tokio::test(start_paused = true)]
async fn to_go_back_by_hand_has_not_to_prove_itself() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    change(&world, json!({"live": 2})).await;
    change(&world, json!({"live": 1})).await;

    world.crash("/a").await;
    world.running("/a", 2).await;

    assert_eq!(
        world.settings("/a"),
        json!({"live": 1}),
        "not the bad ones again"
    );
    assert_eq!(responses(&world, "/a"), [Response::Restarted]);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_put_back() {
    let world = World::boot(tree([worker("a", json!({"life": 1}))])).await;

    change(&world, json!({"life": 2, "fails": true})).await;
    world.running("/a", 2).await;

    assert_eq!(world.settings("/a"), json!({"life": 1}));
    assert_eq!(responses(&world, "/a").last(), Some(&Response::RolledBack));
}

#[tokio::test(start_paused = true)]
async fn what_a_person_kills_keeps_its_settings() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    change(&world, json!({"live": 2})).await;

    world.kernel.kill(&path("/a"), None).await.unwrap();
    world.running("/a", 2).await;
    assert_eq!(world.settings("/a"), json!({"live": 2}));

    world.crash("/a").await;
    world.running("/a", 3).await;
    assert_eq!(
        world.settings("/a"),
        json!({"live": 1}),
        "still on probation"
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_that_a_person_kills_keeps_its_settings() {
    let world = World::boot(tree([worker("a", json!({"life": 1}))])).await;
    let new = tree([worker("a", json!({"life": 2, "start_s": 10}))]);
    let kernel = world.kernel.clone();
    let killer = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        kernel.kill(&path("/a"), None).await.unwrap();
    };

    let (changed, ()) = tokio::join!(world.reload(new), killer);

    changed.unwrap();
    world.running("/a", 2).await;
    assert_eq!(world.settings("/a"), json!({"life": 2, "start_s": 10}));
}

#[tokio::test(start_paused = true)]
async fn probation_begins_with_the_first_life_that_has_the_settings() {
    let world = World::boot(tree([sub("s", tree([worker("a", json!({"live": 1}))]))])).await;
    world.kernel.stop(&path("/s/a")).await.unwrap();
    let mut down = worker("a", json!({"live": 2}));
    down.begins_stopped = true;
    world.reload(tree([sub("s", tree([down]))])).await.unwrap();

    tokio::time::sleep(PROBATION * 10).await;
    world.kernel.start_child(&path("/s/a")).await.unwrap();
    world.crash("/s/a").await;
    world.running("/s/a", 3).await;

    assert_eq!(world.settings("/s/a"), json!({"live": 1}));
}

#[tokio::test(start_paused = true)]
async fn what_was_put_back_outlives_its_supervisor() {
    let below = |live| {
        tree([sub(
            "s",
            tree([sub("t", tree([worker("a", json!({"live": live}))]))]),
        )])
    };
    let world = World::boot(below(1)).await;
    world.reload(below(2)).await.unwrap();
    world.crash("/s/t/a").await;
    world.running("/s/t/a", 2).await;

    for (at, life) in [("/s/t", 2), ("/s", 2)] {
        world.kernel.kill(&path(at), None).await.unwrap();
        world.running(at, life).await;
        world.running("/s/t/a", 1).await;
        assert_eq!(world.settings("/s/t/a"), json!({"live": 1}), "{at}");
    }
    world.reload(below(1)).await.unwrap();
    assert_eq!(world.incarnation("/s/t/a"), 1, "that is how it is already");
}

#[tokio::test(start_paused = true)]
async fn the_state_from_before_comes_back_with_the_settings() {
    // Whether the change is taken live, or by a restart.
    for (old, new) in [
        (json!({"live": 1}), json!({"live": 2})),
        (json!({"life": 1}), json!({"life": 2})),
    ] {
        let keeps = |settings| {
            let mut child = worker("a", settings);
            let state = Some(StateSpec {
                every: Duration::from_secs(1),
            });
            child.as_worker_mut().unwrap().state = state;
            tree([child])
        };
        let world = World::boot(keeps(old)).await;
        world.tell("/a", json!({"add": 5})).await;
        world.reload(keeps(new)).await.unwrap();
        world.tell("/a", json!({"add": 7})).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        // A person kills it meanwhile: it finds what it kept last.
        let life = world.incarnation("/a");
        world.kernel.kill(&path("/a"), None).await.unwrap();
        world.running("/a", life + 1).await;
        assert_eq!(world.observe("/a").await["sum"], 12);

        world.crash("/a").await;
        world.running("/a", life + 2).await;

        assert_eq!(world.observe("/a").await["sum"], 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_tells_of_each_change() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    let mut handle: SettingsHandle<Settings> = world.handle("/a");

    let (told, ()) = tokio::join!(
        async { handle.changed().await.live },
        change(&world, json!({"live": 2}))
    );

    assert_eq!(told, 2);
    assert_eq!(handle.get().live, 2);
}
