use std::sync::Arc;

use unity_supervisors::{ExitKind, ExitReason};

use crate::support::{Order, Tree, down, path};

/// A tree in which `/left/a` linked itself to `/right/b`.
async fn linked() -> Tree {
    let tree = Tree::boot(&["a", "c"], &["b"]).await;
    tree.act("/left/a", |ctx| ctx.link(&path("/right/b"))).await;
    tree
}

#[tokio::test(start_paused = true)]
async fn an_exit_reaches_the_other_side_in_both_directions_unless_it_is_normal() {
    let reasons = [
        (ExitReason::normal(), false),
        (ExitReason::shutdown(), true),
        (ExitReason::new(ExitKind::GaveUp), true),
        (ExitReason::error("boom"), true),
        (ExitReason::new(ExitKind::Stalled), true),
    ];
    for (reason, reaches) in reasons {
        for (ends, follows) in [("/left/a", "/right/b"), ("/right/b", "/left/a")] {
            let tree = linked().await;

            tree.end(ends, reason.clone()).await;
            if reaches {
                tree.exit(&format!("{follows} 1 {reason}")).await;
            }
            let restarted = reaches && !reason.kind.is_clean();
            if restarted {
                assert_eq!(tree.settle(follows).await, 2, "{reason}: restarted");
            } else if !reaches {
                assert_eq!(tree.settle(follows).await, 1, "{reason}: it goes on");
            }
            let expected = if reaches { 2 } else { 1 };
            assert_eq!(tree.exits().len(), expected, "{reason} {:?}", tree.exits());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_links_ends_as_one() {
    let tree = linked().await;
    tree.act("/right/b", |ctx| ctx.link(&path("/left/c"))).await;

    tree.kernel.kill(&path("/left/c"), None).await.unwrap();

    for at in ["/left/c", "/right/b", "/left/a"] {
        tree.exit(&format!("{at} 1 killed")).await;
        assert_eq!(tree.settle(at).await, 2);
    }
    tree.end("/left/c", ExitReason::error("again")).await;
    assert_eq!(
        tree.settle("/left/a").await,
        2,
        "a restarted life is not linked"
    );
}

#[tokio::test(start_paused = true)]
async fn a_side_that_asked_for_it_is_told_instead() {
    for reason in [ExitReason::normal(), ExitReason::error("boom")] {
        let tree = Tree::boot(&["a"], &["b"]).await;
        tree.act("/left/a", |ctx| {
            ctx.link_as(&path("/right/b"), down("link"))
        })
        .await;

        tree.end("/right/b", reason.clone()).await;

        assert_eq!(tree.settle("/left/a").await, 1);
        assert_eq!(tree.said(), [format!("a: link /right/b 1 {reason}")]);
    }

    let tree = Tree::boot(&["a"], &["b"]).await;
    tree.act("/left/a", |ctx| {
        ctx.link_as(&path("/right/b"), down("link"))
    })
    .await;
    tree.end("/left/a", ExitReason::error("boom")).await;
    tree.exit("/right/b 1 error: boom").await;
}

#[tokio::test(start_paused = true)]
async fn two_lives_have_one_link_and_the_last_word_of_a_side_counts() {
    let tree = linked().await;
    tree.act("/right/b", |ctx| {
        ctx.link_as(&path("/left/a"), down("told"))
    })
    .await;

    tree.end("/left/a", ExitReason::error("boom")).await;

    assert_eq!(tree.settle("/right/b").await, 1);
    assert_eq!(tree.said(), ["b: told /left/a 1 error: boom"]);
}

#[tokio::test(start_paused = true)]
async fn a_link_to_what_does_not_run_ends_the_caller_or_tells_it() {
    let tree = Tree::boot(&["a", "c"], &["b"]).await;
    tree.kernel.stop(&path("/right/b")).await.unwrap();

    tree.act("/left/a", |ctx| ctx.link(&path("/right/b"))).await;
    tree.exit("/left/a 1 error: `/right/b` is not running")
        .await;

    tree.act("/left/c", |ctx| {
        ctx.link_as(&path("/nowhere"), down("told"))
    })
    .await;
    assert_eq!(tree.settle("/left/c").await, 1);
    assert_eq!(
        tree.said(),
        ["c: told /nowhere 0 error: `/nowhere` is not running"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_unlinked_life_goes_on_and_is_not_told() {
    let tree = Tree::boot(&["a"], &["b"]).await;
    let link = tree
        .act("/left/a", |ctx| {
            ctx.link_as(&path("/right/b"), down("link"))
        })
        .await;
    let ended = tree
        .act("/left/a", move |ctx| (ctx.unlink(link), ctx.unlink(link)))
        .await;
    assert_eq!(ended, (true, false));

    tree.end("/left/a", ExitReason::error("boom")).await;
    assert_eq!(tree.settle("/right/b").await, 1, "unlinked on both sides");

    let waits = tree
        .act("/left/a", |ctx| {
            let link = ctx.link_as(&path("/nowhere"), down("waits"));
            ctx.unlink(link)
        })
        .await;
    assert!(waits);
    tree.settle("/left/a").await;
    assert_eq!(tree.said(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_passive_side_can_end_a_link() {
    let tree = linked().await;
    let ended = tree
        .act("/right/b", |ctx| {
            let link = ctx.link(&path("/left/a"));
            ctx.unlink(link)
        })
        .await;
    assert!(ended);

    tree.end("/left/a", ExitReason::error("boom")).await;

    assert_eq!(tree.settle("/right/b").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_ends_its_links_and_is_ended_by_none() {
    let tree = Tree::boot(&["a", "c"], &["b"]).await;
    for at in ["/left/a", "/left/c"] {
        tree.act(at, |ctx| ctx.link(&path("/right"))).await;
    }

    tree.end("/left/a", ExitReason::error("boom")).await;
    assert_eq!(tree.settle("/right/b").await, 1);

    tree.kernel.kill(&path("/right"), None).await.unwrap();
    tree.exit("/left/c 1 killed").await;
}

#[tokio::test(start_paused = true)]
async fn a_link_to_oneself_is_none() {
    let tree = Tree::boot(&["a"], &[]).await;

    tree.act("/left/a", |ctx| {
        ctx.link(&path("/left/a"));
        ctx.link_as(&path("/left/a"), down("me"));
    })
    .await;

    assert_eq!(tree.settle("/left/a").await, 1);
    tree.end("/left/a", ExitReason::error("boom")).await;
    assert_eq!(tree.settle("/left/a").await, 2);
    assert_eq!(tree.said(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn links_leave_nothing_behind() {
    let tree = Tree::boot(&["a"], &["b"]).await;
    let held = Arc::new(());
    for incarnation in 1..=3 {
        let holds = Arc::clone(&held);
        tree.act("/left/a", move |ctx| {
            ctx.link_as(&path("/right/b"), move |down| {
                Order::Down("-", down, Some(holds))
            })
        })
        .await;
        if incarnation == 2 {
            tree.end("/right/b", ExitReason::normal()).await;
            tree.kernel.start_child(&path("/right/b")).await.unwrap();
        } else {
            tree.end("/left/a", ExitReason::normal()).await;
            tree.kernel.start_child(&path("/left/a")).await.unwrap();
        }
        tree.settle("/left/a").await;
        assert_eq!(Arc::strong_count(&held), 1, "{incarnation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_linked_actors_comes_to_its_end() {
    let tree = linked().await;
    tree.act("/right/b", |ctx| ctx.link(&path("/left/c"))).await;

    tree.kernel.shutdown().await;

    assert!(tree.kernel.root().is_none());
}
