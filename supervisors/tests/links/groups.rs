use std::sync::Arc;

use unity_supervisors::{ExitReason, GroupError, NoMessage, Priority, SendError};

use crate::support::{Order, Tree, ids, path};

#[tokio::test(start_paused = true)]
async fn members_are_found_in_the_order_in_which_they_joined() {
    let tree = Tree::boot(&["a", "b"], &["c"]).await;
    for at in ["/right/c", "/left/a", "/left/b", "/left/a"] {
        tree.act(at, |ctx| ctx.join("crew")).await.unwrap();
    }
    let members = || ids(&tree.kernel.members("crew"));
    assert_eq!(members(), ["c", "a", "b"]);
    assert_eq!(
        tree.kernel.members::<NoMessage>("crew").len(),
        0,
        "of those that receive it"
    );

    assert!(tree.act("/left/a", |ctx| ctx.leave("crew")).await);
    assert!(!tree.act("/left/a", |ctx| ctx.leave("crew")).await);
    assert_eq!(members(), ["c", "b"]);

    tree.end("/right/c", ExitReason::error("boom")).await;
    tree.settle("/right/c").await;
    assert_eq!(members(), ["b"], "the next life joins anew");
    tree.act("/right/c", |ctx| ctx.join("crew")).await.unwrap();
    assert_eq!(members(), ["b", "c"]);
    assert_eq!(ids(&tree.kernel.members("others")), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn all_members_are_told_and_those_that_refuse_are_named() {
    let tree = Tree::boot(&["a", "b"], &["c"]).await;
    for at in ["/left/a", "/left/b", "/right/c"] {
        tree.act(at, |ctx| ctx.join("crew")).await.unwrap();
    }
    let hello = || Order::Note("hello".to_owned(), Priority::Normal);
    assert!(tree.kernel.tell_members("crew", hello).is_empty());
    for at in ["/left/a", "/left/b", "/right/c"] {
        tree.settle(at).await;
    }
    assert_eq!(tree.said(), ["a: hello", "b: hello", "c: hello"]);

    let members = tree.kernel.members::<Order>("crew");
    tree.kernel.stop(&path("/left/b")).await.unwrap();
    assert_eq!(ids(&tree.kernel.members("crew")), ["a", "c"]);
    let refused = members.get(1).unwrap().try_tell(hello());
    assert!(matches!(refused, Err(SendError::NotRunning(_))));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_is_told_of_each_join_and_leave_and_of_many_at_once() {
    let tree = Tree::boot(&["watcher", "a"], &["b"]).await;
    let monitor = tree
        .act("/left/watcher", |ctx| {
            ctx.monitor_group("crew", Order::Changed)
        })
        .await
        .unwrap();

    tree.act("/left/a", |ctx| ctx.join("crew")).await.unwrap();
    tree.settle("/left/watcher").await;
    assert_eq!(tree.said(), [r#"watcher: crew ["a"]"#]);

    tree.tell("/left/watcher", Order::Wait).await;
    tokio::task::yield_now().await;
    tree.act("/right/b", |ctx| ctx.join("crew")).await.unwrap();
    tree.end("/left/a", ExitReason::error("boom")).await;
    tree.open_gate();
    tree.settle("/left/watcher").await;
    assert_eq!(tree.said(), [r#"watcher: crew ["b"]"#], "one of two");

    assert!(
        tree.act("/left/watcher", move |ctx| ctx.demonitor(monitor))
            .await
    );
    tree.end("/right/b", ExitReason::error("boom")).await;
    tree.settle("/left/watcher").await;
    assert_eq!(tree.said(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_its_life() {
    let tree = Tree::boot(&["watcher"], &["a"]).await;
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    tree.act("/left/watcher", move |ctx| {
        ctx.monitor_group("crew", move |changed| {
            let _held = &holds;
            Order::Changed(changed)
        })
    })
    .await
    .unwrap();

    tree.end("/left/watcher", ExitReason::error("boom")).await;
    tree.act("/right/a", |ctx| ctx.join("crew")).await.unwrap();
    tree.settle("/left/watcher").await;

    assert_eq!(tree.said(), [""; 0]);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_name_is_refused_with_what_would_fit() {
    let tree = Tree::boot(&["a"], &[]).await;

    let refused = tree.act("/left/a", |ctx| ctx.join("two words")).await;

    assert_eq!(refused, Err(GroupError::Name("two words".to_owned())));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "`two words` is not the name of a group: a name is 1 to 64 of the characters A-Z a-z 0-9 _ - ."
    );
}
