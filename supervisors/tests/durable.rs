//! Durable subscriptions (DESIGN, sections 8 and 9) through the public surface: what is kept is handled at least once and in
//! the order of its stream, whoever crashes, is killed or starts anew meanwhile.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails"
)]

#[path = "durable/poison.rs"]
mod poison;
#[path = "durable/seeds.rs"]
mod seeds;
#[path = "durable/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use unity_supervisors::bus::Catalog;
use unity_supervisors::spec::{MailboxSpec, Overflow};
use unity_supervisors::stream::{Position, StreamStore};

use self::world::{Store, World, child, kept, name, numbers, path, supervisor, with_mailbox};

/// Small enough that most of what is published waits in the stream.
fn small() -> MailboxSpec {
    MailboxSpec {
        capacity: 4,
        overflow: Overflow::Block,
        ..MailboxSpec::default()
    }
}

#[tokio::test(start_paused = true)]
async fn where_it_begins_is_now_the_start_the_last_handled_or_a_time() {
    let store = Store::new();
    let first = World::boot(&store, vec![child("last", "last_ack")]).await;
    first.publish_all(0..10).await;
    first.heard("/last", 10).await;
    first.end().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let middle = store.clock.wall();
    store.append_all(10..20).await;
    tokio::time::sleep(Duration::from_secs(60)).await;

    let since = format!("{middle}");
    let second = World::boot(
        &store,
        vec![
            child("last", "last_ack"),
            child("new", "last_ack"),
            child("start", "start"),
            child("now", "now"),
            child("time", &since),
        ],
    )
    .await;
    second.settled().await;
    second.publish_all(20..30).await;
    second.heard("/start", 30).await;

    for (who, expected) in [
        ("/last", 10..30),
        ("/new", 0..30),
        ("/start", 0..30),
        ("/now", 20..30),
        ("/time", 10..30),
    ] {
        second.heard(who, expected.clone().count()).await;
        assert_eq!(second.numbers(who), numbers(expected), "{who}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_was_down_for_an_hour_catches_up_and_misses_nothing() {
    let store = Store::new();
    let world = World::boot(&store, vec![with_mailbox(child("a", "last_ack"), small())]).await;
    world.publish_all(0..10).await;
    world.heard("/a", 10).await;
    world.kernel.stop(&path("/a")).await.unwrap();

    for hour in 1..=6 {
        world.publish_all(hour * 100..hour * 100 + 100).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    world.kernel.start_child(&path("/a")).await.unwrap();

    world.heard("/a", 610).await;
    let expected = numbers(0..10).into_iter().chain(numbers(100..700));
    assert_eq!(world.numbers("/a"), expected.collect::<Vec<_>>());
    assert_eq!(world.pending("a").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_its_supervisor_loses_nothing_and_keeps_the_order() {
    let store = Store::new();
    let group = supervisor(
        "group",
        100,
        vec![with_mailbox(child("a", "last_ack"), small())],
    );
    let world = World::boot(&store, vec![group]).await;
    world.publish_all(0..50).await;

    for round in 0..10 {
        world.heard("/group/a", round * 5 + 3).await;
        world.kernel.kill(&path("/group"), None).await.unwrap();
    }

    world.heard_all("/group/a", 0..50).await;
    assert_eq!(world.firsts("/group/a"), numbers(0..50));
    assert_eq!(world.pending("a").await, 0);
}

#[tokio::test(start_paused = true)]
async fn another_kernel_on_the_same_streams_goes_on_where_the_first_was_cut_off() {
    let store = Store::new();
    let mut handled = Vec::new();
    store.append_all(0..100).await;

    for _ in 0..4 {
        let mut slow = with_mailbox(child("a", "last_ack"), small());
        world::set(&mut slow, "takes_ms", json!(10));
        let world = World::boot(&store, vec![slow]).await;
        world.heard("/a", 20).await;
        world.kernel.kill_all();
        world.kernel.ended().await;
        handled.extend(world.numbers("/a"));
    }
    assert_eq!(handled, numbers(0..80));
    let world = World::boot(&store, vec![child("a", "last_ack")]).await;
    world.caught_up("a").await;
    handled.extend(world.numbers("/a"));

    assert_eq!(world::firsts(&handled), numbers(0..100));
}

#[tokio::test(start_paused = true)]
async fn consumers_of_one_name_share_the_events_and_each_is_handled_by_one() {
    let store = Store::new();
    let shared = |id: &str| {
        let mut spec = with_mailbox(child(id, "last_ack"), small());
        world::set(&mut spec, "name", json!("shared"));
        spec
    };
    let world = World::boot(&store, vec![shared("a"), shared("b")]).await;

    for number in 0..200 {
        world.publish(number).await;
        tokio::task::yield_now().await;
    }
    world.caught_up("shared").await;

    let (a, b) = (world.numbers("/a"), world.numbers("/b"));
    assert!(!a.is_empty() && !b.is_empty(), "{a:?} {b:?}");
    assert!(a.is_sorted_by_key(Value::as_i64) && b.is_sorted_by_key(Value::as_i64));
    let mut all: Vec<Value> = a.into_iter().chain(b).collect();
    all.sort_by_key(Value::as_i64);
    assert_eq!(all, numbers(0..200));
}

#[tokio::test(start_paused = true)]
async fn what_a_consumer_had_when_its_kernel_ended_is_handed_to_it_again_and_to_nobody_else() {
    let store = Store::new();
    let shared = |id: &str| {
        let mut spec = child(id, "last_ack");
        world::set(&mut spec, "name", json!("shared"));
        spec
    };
    let first = World::boot(&store, vec![shared("a")]).await;
    first.hang("/a").await;
    first.publish_all(0..10).await;
    first.until_pending("shared", 10).await;
    first.kernel.kill_all();
    first.kernel.ended().await;

    let second = World::boot(&store, vec![shared("b"), shared("a")]).await;
    second.caught_up("shared").await;

    assert_eq!(second.numbers("/a"), numbers(0..10));
    assert_eq!(second.numbers("/b"), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn a_life_that_uses_one_name_twice_is_told_so_and_another_name_does() {
    let store = Store::new();
    let with_second = |name: &str| {
        let mut spec = child("a", "last_ack");
        world::set(&mut spec, "second", json!(name));
        spec
    };

    let world = World::boot(&store, vec![with_second("a")]).await;
    let error = world.heard.second.lock().take().unwrap().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a durable subscription `a` already: give each a name of its own"),
        "{error}"
    );
    world.publish_all(0..5).await;
    world.heard("/a", 5).await;
    world.end().await;

    let world = World::boot(&store, vec![with_second("b")]).await;
    // Names are of a life: the next one has its own.
    world.kernel.kill(&path("/a"), None).await.unwrap();
    world.settled().await;
    assert_eq!(*world.heard.second.lock(), Some(Ok(())));
    world.publish_to("kept.other", json!(5)).await;
    world.heard_all("/a", 5..6).await;
}

#[tokio::test(start_paused = true)]
async fn what_an_actor_had_that_is_in_the_tree_no_more_goes_to_its_heir() {
    let store = Store::new();
    let shared = |id: &str| {
        let mut spec = child(id, "last_ack");
        world::set(&mut spec, "name", json!("shared"));
        spec
    };
    let first = World::boot(&store, vec![shared("a")]).await;
    first.hang("/a").await;
    first.publish_all(0..10).await;
    first.until_pending("shared", 10).await;
    first.kernel.kill_all();
    first.kernel.ended().await;

    // One that was moved goes on where it was.
    let moved = supervisor("group", 1, vec![shared("a")]);
    let second = World::boot(&store, vec![moved, shared("b")]).await;
    second.caught_up("shared").await;
    let handled = [second.numbers("/group/a"), second.numbers("/b")].concat();
    assert_eq!(handled, numbers(0..10), "all, and by one of them");

    // And so does one whose twin is deleted while it lives.
    second.hang("/group/a").await;
    for number in 10..30 {
        second.publish(number).await;
        tokio::task::yield_now().await;
    }
    second.settled().await;
    assert_ne!(
        second.pending("shared").await,
        0,
        "/group/a has some in hand"
    );
    second.kernel.stop(&path("/group")).await.unwrap();
    second.kernel.delete(&path("/group")).await.unwrap();
    second.caught_up("shared").await;
    let all = [second.numbers("/group/a"), second.numbers("/b")].concat();
    assert_eq!(world::sorted(all), numbers(0..30));
}

#[tokio::test(start_paused = true)]
async fn what_a_consumer_has_that_is_no_actor_is_left_to_it() {
    let store = Store::new();
    store.append_all(0..4).await;
    let (streams, kept) = (&store.streams, name("kept"));
    streams
        .make_group(&kept, "a", Position::START)
        .await
        .unwrap();
    let anna = streams.read_group(&kept, "a", "anna", 2).await.unwrap();
    assert_eq!(anna.len(), 2);

    let world = World::boot(&store, vec![child("a", "last_ack")]).await;
    world.heard("/a", 2).await;
    tokio::time::sleep(Duration::from_secs(600)).await;

    assert_eq!(world.numbers("/a"), numbers(2..4));
    assert_eq!(world.pending("a").await, 2);
}

#[tokio::test(start_paused = true)]
async fn who_reads_a_group_that_is_dropped_begins_anew() {
    let store = Store::new();
    let world = World::boot(&store, vec![child("a", "last_ack"), child("now", "now")]).await;
    world.publish_all(0..5).await;
    world.heard("/a", 5).await;
    world.heard("/now", 5).await;
    let (bus, kept) = (world.kernel.bus(), name("kept"));
    let reader = |name: &str| (name.to_owned(), format!("/{name}"));
    assert_eq!(bus.readers(&kept), ["a", "now"].map(reader));

    for group in ["a", "now"] {
        assert_eq!(store.streams.drop_group(&kept, group).await, Ok(true));
        bus.group_dropped(&kept, group);
    }
    world.settled().await;
    world.publish(5).await;

    world.heard("/a", 11).await;
    let again = numbers(0..5).into_iter().chain(numbers(0..6));
    assert_eq!(world.numbers("/a"), again.collect::<Vec<_>>());
    world.heard("/now", 6).await;
    assert_eq!(world.numbers("/now"), numbers(0..6));
    world.kernel.stop(&path("/a")).await.unwrap();
    assert_eq!(bus.readers(&kept), ["now"].map(reader));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_gets_a_stream_later_is_read_from_then_on() {
    let store = Store::new();
    let world = World::boot_with(&store, vec![child("a", "start")], Catalog::default()).await;
    world.publish_all(0..5).await;

    world.kernel.bus().set_catalog(Arc::new(kept()));
    world.publish_all(5..10).await;

    world.heard("/a", 5).await;
    assert_eq!(world.numbers("/a"), numbers(5..10));
}

#[tokio::test(start_paused = true)]
async fn a_plain_subscriber_that_overflowed_goes_on_from_the_stream_without_gap_or_doubling() {
    let store = Store::new();
    let mut plain = with_mailbox(child("plain", "last_ack"), small());
    world::set(&mut plain, "durable", json!(false));
    let world = World::boot(&store, vec![plain]).await;

    for round in 0..20 {
        world.tell_hang("/plain", Duration::from_millis(50)).await;
        world.publish_all(round * 10..round * 10 + 10).await;
        tokio::time::sleep(Duration::from_millis(7 * u64::try_from(round).unwrap())).await;
    }

    world.heard("/plain", 200).await;
    assert_eq!(world.numbers("/plain"), numbers(0..200));
    let info = store.streams.streams().await.unwrap();
    assert!(info.first().unwrap().groups.is_empty(), "{info:?}");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_the_pattern_is_passed_over_and_not_left_pending() {
    let store = Store::new();
    let world = World::boot(&store, vec![child("a", "last_ack")]).await;

    for number in 0..10 {
        world.publish_to("kept.other.deep", json!(number)).await;
        world.publish(number).await;
    }
    world.heard("/a", 10).await;

    world.caught_up("a").await;
    assert_eq!(world.numbers("/a"), numbers(0..10));
    let last = store.streams.last(&name("kept")).await.unwrap();
    assert!(last > Position::START);
}
