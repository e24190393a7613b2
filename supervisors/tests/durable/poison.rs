//! An event that its handler crashes with time and again becomes a dead letter, and the rest goes on.

use serde_json::json;
use unity_supervisors::bus::POISON_AFTER;
use unity_supervisors::dead_letter::DeadReason;
use unity_supervisors::spec::ChildSpec;

use super::world::{Store, World, child, numbers, path, set, supervisor};

const TRIES: usize = POISON_AFTER as usize;

/// A reader that cannot handle 3.
fn crashing(how: &str) -> ChildSpec {
    let mut child = child("a", "last_ack");
    set(&mut child, how, json!([3]));
    child
}

fn the_rest() -> Vec<serde_json::Value> {
    let rest = numbers(0..10).into_iter();
    rest.filter(|number| *number != json!(3)).collect()
}

/// The letters of `/a`'s events, as path, reason and data.
fn letters(world: &World) -> Vec<(String, DeadReason, serde_json::Value)> {
    let letters = world.kernel.dead_letters().list();
    let parts = letters.iter().map(|letter| {
        let message: serde_json::Value =
            serde_json::from_str(letter.message.as_ref().unwrap().get()).unwrap();
        (
            letter.path.to_string(),
            letter.reason,
            message["event"]["data"].clone(),
        )
    });
    parts.collect()
}

#[tokio::test(start_paused = true)]
async fn each_crash_is_tried_again_first_in_line_and_the_last_makes_one_letter() {
    for how in ["crashes", "panics"] {
        let store = Store::new();
        store.append_all(0..10).await;

        let world = World::boot(&store, vec![crashing(how)]).await;
        world.caught_up("a").await;

        assert_eq!(world.numbers("/a"), the_rest(), "{how}");
        assert_eq!(world.tries(3), TRIES, "{how}");
        let begun = world.heard.begun.lock().clone();
        let first = begun
            .iter()
            .position(|(_, data)| *data == json!(3))
            .unwrap();
        let in_line = begun.iter().skip(first).take(TRIES);
        assert!(
            in_line.into_iter().all(|(_, data)| *data == json!(3)),
            "{begun:?}"
        );
        assert_eq!(
            letters(&world),
            [("/a".to_owned(), DeadReason::Poison, json!(3))]
        );
        let letter = world.kernel.dead_letters().list().first().cloned().unwrap();
        assert!(
            letter
                .exit
                .as_ref()
                .unwrap()
                .to_string()
                .contains("no 3 here")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_counted_over_supervisors_that_give_up() {
    let store = Store::new();
    store.append_all(0..10).await;
    let inner = supervisor("inner", 1, vec![crashing("crashes")]);

    let world = World::boot(&store, vec![supervisor("outer", 1, vec![inner])]).await;
    world.caught_up("a").await;

    assert_eq!(world.numbers("/outer/inner/a"), the_rest());
    assert_eq!(world.tries(3), TRIES);
    let expected = ("/outer/inner/a".to_owned(), DeadReason::Poison, json!(3));
    assert_eq!(letters(&world), [expected]);
}

#[tokio::test(start_paused = true)]
async fn who_is_killed_with_an_event_in_hand_is_not_poisoned_by_it() {
    let store = Store::new();
    let mut slow = child("a", "last_ack");
    set(&mut slow, "takes_ms", json!(10));
    store.append_all(0..10).await;

    let world = World::boot(&store, vec![slow]).await;
    for _ in 0..3 * TRIES {
        world.settled().await;
        world.kernel.kill(&path("/a"), None).await.unwrap();
    }
    world.caught_up("a").await;

    assert_eq!(world.numbers("/a"), numbers(0..10));
    assert!(letters(&world).is_empty(), "{:?}", letters(&world));
}

#[tokio::test(start_paused = true)]
async fn what_kernels_end_of_is_a_letter_in_the_end() {
    let store = Store::new();
    store.append_all(0..10).await;
    let hanging = || {
        let mut child = crashing("hangs");
        set(&mut child, "name", json!("a"));
        child
    };

    let mut kernels = 0;
    let letter = loop {
        let world = World::boot(&store, vec![hanging()]).await;
        world.settled().await;
        if let Some(letter) = letters(&world).pop() {
            world.caught_up("a").await;
            assert_eq!(world.numbers("/a"), numbers(4..10));
            break letter;
        }
        kernels += 1;
        assert!(kernels <= 3 * TRIES, "never given up");
        world.kernel.kill_all();
        world.kernel.ended().await;
    };

    assert_eq!(letter, ("/a".to_owned(), DeadReason::Poison, json!(3)));
    assert_eq!(kernels, 2 * TRIES);
}
