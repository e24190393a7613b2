//! Nodes come to know each other, and find each other again.

use std::time::Duration;

use serde_json::json;
use unity_actors::cluster::NodeState;
use unity_actors::cluster::greeting::Cookie;

use super::net::{Begin, World, path, probe};

const WAIT: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn two_nodes_attach_and_talk() {
    let world = World::new(1);
    let a = world.node("a", Begin::default()).await;
    let children = vec![probe("echo")];
    let b = world
        .node(
            "b",
            Begin {
                children,
                ..Begin::default()
            },
        )
        .await;

    let name = a.cluster.attach("b", WAIT).await.unwrap();
    b.until_up("a").await;
    let echo = a.cluster.address_of("b", &path("/echo")).await.unwrap();
    echo.tell(&json!({ "echo": 1 }), WAIT).await.unwrap();
    let answer = echo
        .ask(&json!({ "echo": [1, "two"] }), WAIT)
        .await
        .unwrap();
    let count = echo.ask(&json!({ "count": null }), WAIT).await.unwrap();

    assert_eq!(name, "b");
    assert_eq!(answer, json!([1, "two"]));
    assert_eq!(count["total"], 2);
    assert_eq!(a.cluster.nodes()[0].state, NodeState::Up);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_comes_in_order_and_none_is_lost_however_slow_the_actor() {
    let world = World::new(1);
    let a = world.node("a", Begin::default()).await;
    let children = vec![probe("echo")];
    let _b = world
        .node(
            "b",
            Begin {
                children,
                ..Begin::default()
            },
        )
        .await;
    a.cluster.attach("b", WAIT).await.unwrap();
    let echo = a.cluster.address_of("b", &path("/echo")).await.unwrap();

    // More than its mailbox and the room on the way take together.
    echo.tell(&json!({ "hang": "3s" }), WAIT).await.unwrap();
    for number in 0..20_000 {
        echo.tell(&json!({ "echo": number }), WAIT).await.unwrap();
    }
    let count = echo.ask(&json!({ "count": null }), WAIT).await.unwrap();

    assert_eq!(count["total"], 20_001);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_is_down_and_comes_back_by_itself() {
    let world = World::new(1);
    let a = world.node("a", Begin::default()).await;
    let b = world.node("b", Begin::default()).await;
    a.cluster.attach("b", WAIT).await.unwrap();
    b.until_up("a").await;

    world.net.cut("a", "b");
    a.until_down("b").await;
    b.until_down("a").await;
    let why = a.cluster.nodes()[0].why.clone().unwrap();
    let fault = a.cluster.address_of("b", &path("/x")).await.unwrap_err();
    world.net.heal("a", "b");
    a.until_up("b").await;
    b.until_up("a").await;

    assert_eq!(why, "it said nothing for 2s");
    assert_eq!(fault.code, "unreachable");
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_let_in_is_told_why() {
    let world = World::new(1);
    let a = world.node("a", Begin::default()).await;
    let cookie = Cookie::new("another cookie than theirs").unwrap();
    let stranger = world
        .node(
            "c",
            Begin {
                cookie,
                ..Begin::default()
            },
        )
        .await;
    let _b = world.node("b", Begin::default()).await;
    a.cluster.attach("b", WAIT).await.unwrap();

    let cookie = stranger.cluster.attach("a", WAIT).await.unwrap_err();
    let own = a.cluster.attach("a", WAIT).await.unwrap_err();
    let nobody = a.cluster.attach("nowhere", WAIT).await.unwrap_err();

    assert!(cookie.message.contains("has another cookie"), "{cookie}");
    assert!(own.message.contains("this node's own name, `a`"), "{own}");
    assert!(nobody.message.contains("nowhere"), "{nobody}");
    assert_eq!(a.cluster.names(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn two_nodes_that_attach_to_each_other_at_once_keep_one_connection() {
    let world = World::new(1);
    let seeds = |name: &str| Begin {
        seeds: vec![name.to_owned()],
        ..Begin::default()
    };
    let a = world.node("a", seeds("b")).await;
    let b = world.node("b", seeds("a")).await;

    a.until_up("b").await;
    b.until_up("a").await;
    let before = (a.cluster.nodes()[0].rtt_ms, b.cluster.nodes()[0].epoch);
    tokio::time::sleep(Duration::from_secs(60)).await;

    assert!(a.cluster.is_up("b") && b.cluster.is_up("a"), "{before:?}");
}

#[tokio::test(start_paused = true)]
async fn thirty_two_kernels_are_a_mesh() {
    let world = World::new(1);
    let mut nodes = Vec::new();
    for number in 0..32 {
        let seeds = (0..number).map(|number| format!("n{number}")).collect();
        nodes.push(
            world
                .node(
                    &format!("n{number}"),
                    Begin {
                        seeds,
                        ..Begin::default()
                    },
                )
                .await,
        );
    }

    for (number, node) in nodes.iter().enumerate() {
        for other in (0..32).filter(|other| *other != number) {
            node.until_up(&format!("n{other}")).await;
        }
    }
}
