use std::sync::Arc;

use unity_supervisors::{ExitKind, ExitReason, Priority};

use crate::support::{Order, Tree, down, path};

#[tokio::test(start_paused = true)]
async fn a_monitor_gives_one_down_with_path_life_and_reason() {
    let tree = Tree::boot(&["watcher"], &["target"]).await;
    let target = tree.address("/right/target");
    tree.act("/left/watcher", move |ctx| {
        ctx.monitor(&target, down("one"))
    })
    .await;

    for text in ["boom", "again"] {
        tree.end("/right/target", ExitReason::error(text)).await;
        tree.settle("/right/target").await;
    }
    tree.settle("/left/watcher").await;

    assert_eq!(
        tree.said(),
        ["watcher: one /right/target 1 error: boom"],
        "the next life is not watched"
    );
}

#[tokio::test(start_paused = true)]
async fn every_way_to_end_is_told_of() {
    let kinds = [
        ("normal", ExitReason::normal()),
        ("shutdown", ExitReason::shutdown()),
        ("error: no", ExitReason::error("no")),
        ("stalled", ExitReason::new(ExitKind::Stalled)),
    ];
    for (text, reason) in kinds {
        let tree = Tree::boot(&["watcher"], &["target"]).await;
        let target = tree.address("/right/target");
        tree.act("/left/watcher", move |ctx| ctx.monitor(&target, down("-")))
            .await;

        tree.end("/right/target", reason).await;
        tree.settle("/left/watcher").await;

        assert_eq!(
            tree.said(),
            [format!("watcher: - /right/target 1 {text}")],
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_a_kill_and_the_end_of_a_supervisor_are_told_of() {
    let tree = Tree::boot(&["watcher"], &["one", "two"]).await;
    tree.act("/left/watcher", |ctx| {
        for at in ["/right/one", "/right/two", "/right"] {
            ctx.monitor(&path(at), down("-"));
        }
    })
    .await;

    tree.kernel.stop(&path("/right/one")).await.unwrap();
    tree.kernel.kill(&path("/right"), None).await.unwrap();
    tree.exit("/right 1 killed").await;
    tree.settle("/left/watcher").await;

    assert_eq!(
        tree.said(),
        [
            "watcher: - /right/one 1 shutdown",
            "watcher: - /right/two 1 killed",
            "watcher: - /right 1 killed",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_that_does_not_run_is_down_at_once() {
    let tree = Tree::boot(&["watcher"], &["stopped", "deleted"]).await;
    let old = tree.address("/right/deleted");
    tree.kernel.stop(&path("/right/stopped")).await.unwrap();
    tree.kernel.stop(&path("/right/deleted")).await.unwrap();
    let spec = tree.kernel.registry().get(&path("/right/deleted")).unwrap();
    let spec = (*spec.spec()).clone();
    tree.kernel.delete(&path("/right/deleted")).await.unwrap();
    tree.kernel.spawn(&path("/right"), spec).await.unwrap();

    tree.act("/left/watcher", move |ctx| {
        ctx.monitor(&path("/right/stopped"), down("stopped"));
        ctx.monitor(&path("/nowhere"), down("nowhere"));
        ctx.monitor(&old, down("old"));
    })
    .await;
    tree.settle("/left/watcher").await;

    assert_eq!(
        tree.said(),
        [
            "watcher: stopped /right/stopped 0 error: `/right/stopped` is not running",
            "watcher: nowhere /nowhere 0 error: `/nowhere` is not running",
            "watcher: old /right/deleted 0 error: `/right/deleted` is not running",
        ],
        "an address into a deleted slot does not lead to the new one"
    );
}

#[tokio::test(start_paused = true)]
async fn no_down_comes_after_demonitor_not_even_one_that_waits() {
    let tree = Tree::boot(&["watcher"], &["target"]).await;
    let target = tree.address("/right/target");
    let early = target.clone();
    let (first, second) = tree
        .act("/left/watcher", move |ctx| {
            (
                ctx.monitor(&early, down("first")),
                ctx.monitor(&early, down("second")),
            )
        })
        .await;
    let is_ended = tree
        .act("/left/watcher", move |ctx| ctx.demonitor(first))
        .await;
    assert!(is_ended);

    // The second one's Down waits behind this very message when it is taken back.
    tree.tell("/left/watcher", Order::Wait).await;
    tokio::task::yield_now().await;
    tree.tell(
        "/left/watcher",
        Order::Note("first".to_owned(), Priority::High),
    )
    .await;
    tree.end("/right/target", ExitReason::error("boom")).await;
    let (sender, waits) = tokio::sync::oneshot::channel();
    let act = Order::Do(Some(Box::new(move |ctx| {
        let ended = (ctx.demonitor(second), ctx.demonitor(second));
        sender.send(ended).unwrap();
    })));
    let depth = |tree: &Tree| {
        tree.kernel
            .tree(Some(&path("/left/watcher")))
            .unwrap()
            .tree
            .unwrap()
            .mailbox
            .unwrap()
            .depth
    };
    assert_eq!(depth(&tree), 2, "a note and a Down");
    tree.address("/left/watcher").try_tell(act).unwrap();
    tree.open_gate();

    // The Down is older than the order to demonitor, so it is told of; then there is nothing to end.
    assert_eq!(waits.await.unwrap(), (false, false));
    assert_eq!(
        tree.said(),
        [
            "watcher: first",
            "watcher: second /right/target 1 error: boom"
        ]
    );

    let gone = tree
        .act("/left/watcher", move |ctx| {
            let waits = ctx.monitor(&path("/nowhere"), down("third"));
            (ctx.demonitor(waits), ctx.demonitor(waits))
        })
        .await;
    assert_eq!(gone, (true, false));
    assert_eq!(
        depth(&tree),
        0,
        "what is waited for no longer is taken out at once"
    );
    tree.settle("/left/watcher").await;
    assert_eq!(tree.said(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_down_needs_no_room_and_is_not_dropped_for_room() {
    let tree = Tree::boot(&["watcher"], &["target"]).await;
    let target = tree.address("/right/target");
    tree.act("/left/watcher", move |ctx| {
        for tag in ["one", "two", "three", "four"] {
            ctx.monitor(&target, down(tag));
        }
    })
    .await;
    tree.tell("/left/watcher", Order::Wait).await;
    tokio::task::yield_now().await;
    let note = |text: &str| Order::Note(text.to_owned(), Priority::Normal);

    // Two is the capacity of the lane, and its rule is to drop the oldest.
    for text in ["a", "b"] {
        tree.tell("/left/watcher", note(text)).await;
    }
    tree.end("/right/target", ExitReason::error("boom")).await;
    for text in ["c", "d", "e"] {
        tree.tell("/left/watcher", note(text)).await;
    }
    tree.open_gate();
    tree.settle("/left/watcher").await;

    let said = tree.said();
    assert_eq!(
        said,
        [
            "watcher: one /right/target 1 error: boom",
            "watcher: two /right/target 1 error: boom",
            "watcher: three /right/target 1 error: boom",
            "watcher: four /right/target 1 error: boom",
            "watcher: d",
            "watcher: e",
        ]
    );
    assert_eq!(
        tree.dead_letters(),
        ["end", "note", "note", "note"],
        "what ended the target, a, b, c, and no Down"
    );

    for text in ["f", "g", "h", "i"] {
        tree.tell("/left/watcher", note(text)).await;
        tree.settle("/left/watcher").await;
    }
    assert_eq!(tree.said().len(), 4, "the lane holds as much as before");
}

#[tokio::test(start_paused = true)]
async fn a_down_comes_after_the_last_words_of_its_target_and_before_those_of_its_next_life() {
    let tree = Tree::boot(&["watcher"], &["target"]).await;
    let watcher = tree.address("/left/watcher");
    let (target, reader) = (tree.address("/right/target"), watcher.clone());
    tree.at_start("target", move |_| {
        reader
            .try_tell(Order::Note("hello".to_owned(), Priority::Normal))
            .unwrap();
    });
    tree.act("/left/watcher", move |ctx| {
        ctx.monitor(&target, down("down"))
    })
    .await;

    tree.act("/right/target", move |ctx| {
        let last = Order::Note("last words".to_owned(), Priority::Normal);
        watcher.try_tell(last).unwrap();
        let doomed = Order::End(ExitReason::error("boom"));
        ctx.myself().try_tell(doomed).unwrap();
    })
    .await;
    tree.exit("/right/target 1 error: boom").await;
    tree.settle("/right/target").await;
    tree.settle("/left/watcher").await;

    assert_eq!(
        tree.said(),
        [
            "watcher: last words",
            "watcher: down /right/target 1 error: boom",
            "watcher: hello"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn monitors_end_with_their_life_and_leave_nothing_behind() {
    let tree = Tree::boot(&["watcher"], &["target", "other"]).await;
    let held = Arc::new(());
    let hold = |at: &'static str, held: &Arc<()>| {
        let held = Arc::clone(held);
        move |ctx: &mut unity_supervisors::Context<crate::support::Agent>| {
            for _ in 0..10 {
                let held = Arc::clone(&held);
                ctx.monitor(&path(at), move |down| {
                    Order::Down("old", down, Some(Arc::clone(&held)))
                });
            }
        }
    };
    tree.act("/left/watcher", hold("/right/target", &held))
        .await;
    tree.act("/left/watcher", hold("/right/other", &held)).await;
    tree.tell("/left/watcher", Order::Wait).await;
    tokio::task::yield_now().await;

    // Of half of them the Down waits when the watcher ends, of the other half the target still runs.
    tree.end("/right/other", ExitReason::error("boom")).await;
    assert!(Arc::strong_count(&held) > 20);
    tree.kernel
        .kill(&path("/left/watcher"), None)
        .await
        .unwrap();
    tree.exit("/left/watcher 1 killed").await;
    assert_eq!(tree.settle("/left/watcher").await, 2);

    assert_eq!(Arc::strong_count(&held), 1, "nothing is left");
    tree.end("/right/target", ExitReason::error("boom")).await;
    tree.settle("/left/watcher").await;
    assert_eq!(tree.said(), [""; 0], "the next life watches nothing");
    assert_eq!(
        tree.dead_letters(),
        ["end", "wait", "end"],
        "what was in hand, and no Down"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_making_of_a_down_ends_the_watcher_alone() {
    let tree = Tree::boot(&["watcher"], &["target", "other"]).await;
    tree.act("/left/watcher", |ctx| {
        ctx.monitor(&path("/right/target"), |_| panic!("cannot make it"));
    })
    .await;
    tree.act("/right/other", |ctx| {
        ctx.monitor(&path("/right/target"), down("fine"));
    })
    .await;

    tree.end("/right/target", ExitReason::error("boom")).await;
    tree.settle("/right/other").await;

    assert_eq!(
        tree.said(),
        ["other: fine /right/target 1 error: boom"],
        "the others are told"
    );
    assert_eq!(tree.settle("/left/watcher").await, 2);
    assert!(
        tree.exits()
            .iter()
            .any(|exit| exit.starts_with("/left/watcher 1 panic: cannot make it"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_told_of_with_its_reason() {
    let tree = Tree::boot(&["watcher"], &["target"]).await;
    let watcher = tree.address("/left/watcher");
    tree.kernel.stop(&path("/right/target")).await.unwrap();
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    tree.at_start("target", move |ctx| {
        // What a start binds before it fails is cut with it.
        let holds = Arc::clone(&holds);
        ctx.monitor(&path("/left/watcher"), move |down| {
            Order::Down("-", down, Some(holds))
        });
        let late = Order::Note("it tried".to_owned(), Priority::Normal);
        watcher.try_tell(late).unwrap();
        panic!("no start");
    });

    tree.kernel
        .start_child(&path("/right/target"))
        .await
        .unwrap_err();
    tree.settle("/left/watcher").await;

    assert_eq!(tree.said(), ["watcher: it tried"]);
    assert_eq!(
        Arc::strong_count(&held),
        2,
        "the test's and that of the script"
    );
}
