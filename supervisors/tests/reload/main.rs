//! A tree that changes while it runs: what is asked, what is touched, and what is left as it was.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests say what they expect by failing"
)]

mod flow;
mod probation;
mod rules;
mod support;

use std::time::Duration;

use serde_json::json;
use unity_supervisors::reload::{How, ReloadError, What};
use unity_supervisors::slot::Response;

use self::support::{World, tree, worker};

#[tokio::test(start_paused = true)]
async fn settings_are_taken_live_by_an_actor_that_can() {
    let world = World::boot(tree([
        worker("a", json!({"live": 1})),
        worker("b", json!({})),
    ]))
    .await;

    let changes = world
        .reload(tree([
            worker("a", json!({"live": 2})),
            worker("b", json!({})),
        ]))
        .await
        .unwrap();

    assert_eq!(changes.len(), 1);
    assert_eq!(
        (changes[0].what, changes[0].how),
        (What::Settings, How::Live)
    );
    assert_eq!(world.incarnations(), lives(&[("/a", 1), ("/b", 1)]));
    assert_eq!(world.observe("/a").await, json!({"live": 2, "in_force": 2}));
}

#[tokio::test(start_paused = true)]
async fn what_an_actor_cannot_take_live_restarts_it_alone() {
    let world = World::boot(tree([
        worker("a", json!({"life": 1})),
        worker("b", json!({})),
    ]))
    .await;

    let changes = world
        .reload(tree([
            worker("a", json!({"life": 2})),
            worker("b", json!({})),
        ]))
        .await
        .unwrap();

    assert_eq!(changes[0].how, How::Restart);
    assert_eq!(world.incarnations(), lives(&[("/a", 2), ("/b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn one_refusal_leaves_everything_as_it_was() {
    let old = [
        worker("a", json!({"live": 1})),
        worker("b", json!({"live": 1})),
    ];
    let world = World::boot(tree(old)).await;
    let new = [
        worker("a", json!({"live": 2})),
        worker("b", json!({"live": 13})),
        worker("c", json!({})),
    ];

    let error = world.reload(tree(new)).await.unwrap_err();

    let ReloadError::Rejected { path, why } = error else {
        panic!("{error}");
    };
    assert_eq!((path.as_str(), why.as_str()), ("/b", "13 is unlucky"));
    assert_eq!(world.incarnations(), lives(&[("/a", 1), ("/b", 1)]));
    assert_eq!(world.observe("/a").await, json!({"live": 1, "in_force": 1}));
}

#[tokio::test(start_paused = true)]
async fn a_crash_on_probation_brings_the_former_settings_back() {
    let world = World::boot(tree([worker("a", json!({"life": 1}))])).await;
    world
        .reload(tree([worker("a", json!({"life": 2}))]))
        .await
        .unwrap();

    world.crash("/a").await;
    world.running("/a", 3).await;

    assert_eq!(world.last_response("/a"), Response::RolledBack);
    assert_eq!(world.settings("/a"), json!({"life": 1}));
    let desired = world.kernel.desired().unwrap().root;
    assert_eq!(
        desired.children[0].as_worker().unwrap().settings,
        json!({"life": 1})
    );

    tokio::time::sleep(Duration::from_secs(60)).await;
    world
        .reload(tree([worker("a", json!({"life": 3}))]))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(31)).await;
    world.crash("/a").await;
    world.running("/a", 5).await;
    assert_eq!(world.settings("/a"), json!({"life": 3}));
}

fn lives(lives: &[(&str, u64)]) -> Vec<(String, u64)> {
    let lives = lives.iter();
    lives
        .map(|(path, life)| ((*path).to_owned(), *life))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_change_is_told_as_an_event() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    world
        .reload(tree([
            worker("a", json!({"live": 2})),
            worker("b", json!({})),
        ]))
        .await
        .unwrap();

    let events = world.kernel.events();
    let told: Vec<String> = events
        .iter()
        .filter(|event| event.topic() == "system.settings.changed")
        .map(|event| format!("{} {}", event.source(), event.data()["how"]))
        .collect();

    assert_eq!(told, ["/a \"live\"", "/b \"start\""]);
}
