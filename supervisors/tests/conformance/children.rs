//! Group I: the child API with its distinct answers, and what can be looked at.

use serde_json::json;
use unity_supervisors::spec::{ChildSpec, Restart, Shutdown, Strategy};
use unity_supervisors::{ChildId, Done, ExitKind, KernelError, RequestError, SlotState};

use crate::support::{Tree, World, group, path, refusal, sub};
use Strategy::OneForOne;

/// A root with the children `a` and `b`.
async fn boot() -> Tree {
    let world = World::new();
    world
        .boot(group(OneForOne, 9, world.children(["a", "b"])))
        .await
}

#[tokio::test(start_paused = true)]
async fn s223_s224_an_id_that_is_taken_is_refused_with_how_its_holder_is() {
    let tree = boot().await;
    let again = || tree.world.child("a");

    let running = refusal(tree.kernel.spawn(&path("/"), again()).await);
    assert_eq!(running, RequestError::AlreadyStarted);
    assert_eq!(tree.ping("/a").await, 1);

    tree.kernel.stop(&path("/a")).await.unwrap();
    let stopped = refusal(tree.kernel.spawn(&path("/"), again()).await);
    assert_eq!(stopped, RequestError::AlreadyPresent);
    assert_eq!(tree.world.starts("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn s225_s230_what_is_not_there_is_not_found() {
    let tree = boot().await;
    for at in ["/nobody", "/nobody/below", "/a/below"] {
        let at = path(at);
        let kernel = &tree.kernel;
        let not_found = KernelError::NotFound(at.clone());

        assert_eq!(kernel.stop(&at).await, Err(not_found.clone()));
        assert_eq!(kernel.delete(&at).await, Err(not_found.clone()));
        assert_eq!(kernel.start_child(&at).await, Err(not_found.clone()));
        assert_eq!(kernel.restart(&at).await, Err(not_found.clone()));
        assert_eq!(kernel.kill(&at, None).await, Err(not_found.clone()));
        let spawned = kernel.spawn(&at, tree.world.child("c")).await;
        assert_eq!(spawned, Err(not_found));
    }
    let below_a_worker = tree.kernel.spawn(&path("/a"), tree.world.child("c")).await;
    assert_eq!(below_a_worker, Err(KernelError::NotASupervisor(path("/a"))));
}

#[tokio::test(start_paused = true)]
async fn s226_a_stop_leaves_a_child_in_its_place_and_can_be_said_again() {
    let tree = boot().await;

    for _ in 0..2 {
        let stopped = tree.kernel.stop(&path("/a")).await;
        assert_eq!(stopped, Ok(Done::Stopped));
        assert_eq!(tree.state("/a"), Some(SlotState::Stopped));
        assert_eq!(tree.counts("/"), [2, 1, 0, 2]);
    }
    assert_eq!(tree.world.exit_kinds("/a"), [ExitKind::Shutdown]);
}

#[tokio::test(start_paused = true)]
async fn s227_what_runs_is_not_deleted_and_what_is_down_is() {
    let tree = boot().await;

    let running = refusal(tree.kernel.delete(&path("/a")).await);
    assert_eq!(running, RequestError::Running);
    tree.kernel.stop(&path("/a")).await.unwrap();
    let deleted = tree.kernel.delete(&path("/a")).await;

    assert_eq!(deleted, Ok(Done::Deleted));
    assert_eq!(tree.state("/a"), None);
    assert_eq!(tree.counts("/"), [1, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn s228_what_runs_is_not_started_and_what_is_down_is_a_new_life() {
    let tree = boot().await;

    let running = refusal(tree.kernel.start_child(&path("/a")).await);
    assert_eq!(running, RequestError::Running);
    tree.kernel.stop(&path("/a")).await.unwrap();
    let started = tree.kernel.start_child(&path("/a")).await;

    assert_eq!(started, Ok(Done::Started { incarnation: 2 }));
    assert_eq!(tree.ping("/a").await, 2);
}

#[tokio::test(start_paused = true)]
async fn s231_a_temporary_child_that_is_stopped_is_gone_at_once() {
    let world = World::new();
    let child = ChildSpec {
        restart: Restart::Temporary,
        ..world.child("a")
    };
    let tree = world.boot(group(OneForOne, 9, [child])).await;

    let stopped = tree.kernel.stop(&path("/a")).await;

    assert_eq!(stopped, Ok(Done::Stopped));
    let not_found = KernelError::NotFound(path("/a"));
    assert_eq!(
        tree.kernel.delete(&path("/a")).await,
        Err(not_found.clone())
    );
    assert_eq!(tree.kernel.start_child(&path("/a")).await, Err(not_found));
    assert_eq!(tree.counts("/"), [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn s232_s233_children_are_listed_in_start_order_and_found_alone() {
    let world = World::new();
    let tree = world.boot(group(OneForOne, 9, [])).await;
    for id in ["z", "a"] {
        tree.kernel
            .spawn(&path("/"), world.child(id))
            .await
            .unwrap();
    }
    let listed = |tree: &Tree| {
        let children = tree.children("/");
        let ids: Vec<String> = children.into_iter().map(|(id, _)| id).collect();
        ids.concat()
    };

    assert_eq!(listed(&tree), "za");
    tree.kernel.stop(&path("/z")).await.unwrap();
    assert_eq!(listed(&tree), "za");
    assert_eq!(tree.state("/z"), Some(SlotState::Stopped));
    tree.kernel.delete(&path("/z")).await.unwrap();
    assert_eq!(listed(&tree), "a");

    let alone = tree.kernel.tree(Some(&path("/a"))).unwrap().tree.unwrap();
    assert_eq!(alone.id, ChildId::new("a").unwrap());
    assert!(tree.kernel.tree(Some(&path("/z"))).is_none());
}

#[tokio::test(start_paused = true)]
async fn s234_children_are_counted_by_what_they_are_and_whether_they_run() {
    let world = World::new();
    let supervisors = ["a", "b", "c"].map(|id| sub(id, group(OneForOne, 1, [world.child("w")])));
    let tree = world.boot(group(OneForOne, 9, supervisors)).await;

    tree.kernel.stop(&path("/b")).await.unwrap();

    assert_eq!(tree.counts("/"), [3, 2, 3, 0]);
    assert_eq!(tree.counts("/a"), [1, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn s236_the_whole_spec_of_a_child_can_be_read() {
    let world = World::new();
    let given = ChildSpec {
        restart: Restart::Transient,
        shutdown: Shutdown::BrutalKill,
        ..world.child("a")
    };
    let tree = world.boot(group(OneForOne, 9, [given.clone()])).await;

    let slot = tree.kernel.registry().get(&path("/a")).unwrap();

    assert_eq!(*slot.spec(), given);
    assert_eq!(slot.spec().start_timeout, Some(ChildSpec::START_TIMEOUT));
}

#[tokio::test(start_paused = true)]
async fn s237_whatever_ended_it_a_path_leads_to_the_new_life() {
    let world = World::new();
    let below = sub("s", group(OneForOne, 9, [world.child("w")]));
    let tree = world.boot_under(below).await;

    tree.kill("/s").await;
    tree.lives("/s/w", 2).await;
    assert_eq!(tree.ping("/s/w").await, 1);
    tree.kill("/s/w").await;
    tree.running("/s/w", 2).await;
    assert_eq!(tree.ping("/s/w").await, 2);
    tree.end("/s/w", json!({ "end": "normal" })).await;
    tree.running("/s/w", 3).await;
    assert_eq!(tree.ping("/s/w").await, 3);
    tree.kernel.stop(&path("/s/w")).await.unwrap();
    tree.kernel.start_child(&path("/s/w")).await.unwrap();
    assert_eq!(tree.ping("/s/w").await, 4);
}

#[tokio::test(start_paused = true)]
async fn s240_the_whole_life_of_a_child() {
    let tree = boot().await;
    let (kernel, at) = (&tree.kernel, path("/a"));

    assert_eq!(refusal(kernel.delete(&at).await), RequestError::Running);
    assert_eq!(kernel.stop(&at).await, Ok(Done::Stopped));
    let started = kernel.start_child(&at).await;
    assert_eq!(started, Ok(Done::Started { incarnation: 2 }));
    assert_eq!(kernel.stop(&at).await, Ok(Done::Stopped));
    assert_eq!(kernel.delete(&at).await, Ok(Done::Deleted));

    assert_eq!(
        kernel.stop(&at).await,
        Err(KernelError::NotFound(at.clone()))
    );
}
