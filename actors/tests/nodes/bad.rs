//! What others do wrong: it is refused with one clear line, and hurts nobody else.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use unity_actors::cluster::codec::{self, Frame, HelloV1, MAGIC};
use unity_actors::cluster::link::{Link, Wire};
use unity_supervisors::spec::{ChildKind, Failover, Place, PlaceAt};

use super::net::{Begin, World, id, path, probe};

const WAIT: Duration = Duration::from_secs(5);

async fn stranger(world: &World) -> Wire {
    world.net.link("stranger").connect("a").await.unwrap()
}

/// What is said to a stranger before the connection is closed.
async fn last_word(wire: &mut Wire) -> String {
    let mut said = Vec::new();
    wire.read.read_to_end(&mut said).await.unwrap();
    let mut word = String::new();
    while let Ok(Some(len)) = codec::length(&said, codec::FRAME_LEN_MAX) {
        let frame: Vec<u8> = said.drain(..codec::PREFIX_LEN + len).collect();
        word = match codec::decode(&frame[codec::PREFIX_LEN..]).unwrap() {
            Frame::Refused(why) => why.text,
            frame => format!("{frame:?}"),
        };
    }
    word
}

#[tokio::test(start_paused = true)]
async fn garbage_and_half_greetings_are_refused_and_nobody_else_notices() {
    let world = World::new(1);
    let a = world.node("a", Begin::default()).await;
    let _b = world.node("b", Begin::default()).await;
    a.cluster.attach("b", WAIT).await.unwrap();
    let mut hello = Vec::new();
    let name = "b".repeat(100);
    let greeting = HelloV1 {
        magic: MAGIC,
        name,
        epoch: 7,
        nonce: [1; 32],
        address: None,
    };
    codec::encode(&Frame::Hello(greeting), &mut hello).unwrap();
    let mut ping = Vec::new();
    codec::encode(&Frame::Ping { number: 1 }, &mut ping).unwrap();
    let rows: [(&[u8], &str); 4] = [
        (
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "no greeting of a node",
        ),
        (&[0, 0, 0, 2, 9, 9], "version 9"),
        (&[0xFF; 64], "longer than the 4096"),
        (&ping, "out of turn"),
    ];
    for (bytes, part) in rows {
        let mut wire = stranger(&world).await;
        wire.write.write_all(bytes).await.unwrap();
        let word = last_word(&mut wire).await;
        assert!(word.contains(part), "{part}: {word}");
    }
    // Half of a greeting, and a whole one without a proof: both are given up in time.
    for half in [&hello[..20], &hello[..]] {
        let mut wire = stranger(&world).await;
        wire.write.write_all(half).await.unwrap();
        let since = tokio::time::Instant::now();
        last_word(&mut wire).await;
        assert!(since.elapsed() <= WAIT, "{:?}", since.elapsed());
    }
    assert!(a.cluster.is_up("b"));
    assert_eq!(a.cluster.names(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_connections_that_say_nothing_shut_nobody_out() {
    let world = World::new(1);
    let a = world.node("a", Begin::default()).await;
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(stranger(&world).await);
    }

    let b = world.node("b", Begin::default()).await;
    let name = b.cluster.attach("a", WAIT).await.unwrap();
    a.until_up("b").await;

    assert_eq!(name, "a");
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_node_of_an_earlier_epoch_is_not_let_in() {
    let world = World::new(1);
    let a = world.node("a", Begin::default()).await;
    let epoch = |epoch| Begin {
        epoch,
        ..Begin::default()
    };
    let b = world.node("b", epoch(5)).await;
    b.cluster.attach("a", WAIT).await.unwrap();
    b.kernel.shutdown().await;
    a.until_down("b").await;

    let late = world.node("b", epoch(3)).await;
    let fault = late.cluster.attach("a", WAIT).await.unwrap_err();

    assert!(fault.message.contains("of an earlier start"), "{fault}");
    assert!(!a.cluster.is_up("b"));
}

#[tokio::test(start_paused = true)]
async fn two_nodes_of_one_name_are_told_apart_by_both_addresses() {
    let world = World::new(1);
    let a = world.node("a", Begin::default()).await;
    let b = world.node("b", Begin::default()).await;
    b.cluster.attach("a", WAIT).await.unwrap();
    a.until_up("b").await;
    let other = Arc::new(world.net.link("elsewhere"));
    let twin = world.node_at("b", "elsewhere", other, 9).await;

    let fault = twin.cluster.attach("a", WAIT).await.unwrap_err();

    assert_eq!(fault.code, "conflict", "{fault}");
    assert!(fault.message.contains("there are two nodes `b`"), "{fault}");
    assert!(a.cluster.is_up("b"));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_not_sent_and_what_is_no_message_is_said() {
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

    let large = json!({ "echo": "x".repeat(codec::MESSAGE_LEN_MAX) });
    let large = echo.tell(&large, WAIT).await.unwrap_err();
    let none = echo.ask(&json!({ "fly": 1 }), WAIT).await.unwrap_err();
    let nobody = a
        .cluster
        .address_of("b", &path("/nobody"))
        .await
        .unwrap_err();

    assert_eq!(large.code, "too_large", "{large}");
    assert!(none.message.contains("there is no message `fly`"), "{none}");
    assert_eq!(nobody.code, "not_found", "{nobody}");
    assert_eq!(
        echo.ask(&json!({ "echo": 1 }), WAIT).await.unwrap(),
        json!(1)
    );
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_hangs_holds_up_who_sends_to_it_and_nobody_else() {
    let world = World::new(1);
    let a = world.node("a", Begin::default()).await;
    let children = vec![probe("hangs"), probe("echo")];
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
    let hangs = a.cluster.address_of("b", &path("/hangs")).await.unwrap();
    let echo = a.cluster.address_of("b", &path("/echo")).await.unwrap();

    hangs.tell(&json!({ "hang": "1h" }), WAIT).await.unwrap();
    let mut sent = 0;
    let full = loop {
        match hangs
            .tell(&json!({ "echo": sent }), Duration::from_millis(10))
            .await
        {
            Ok(()) => sent += 1,
            Err(fault) => break fault,
        }
    };
    let since = tokio::time::Instant::now();
    let answer = echo.ask(&json!({ "echo": 1 }), WAIT).await.unwrap();

    assert_eq!(full.code, "timed_out", "{full}");
    assert!(sent < 10_000, "{sent} were taken");
    assert_eq!(
        (answer, since.elapsed() < Duration::from_millis(10)),
        (json!(1), true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_the_other_node_lacks_is_a_failed_start_that_names_it() {
    let world = World::new(1);
    let kinds = unity_supervisors::Kinds::new();
    let edge = world
        .node(
            "edge",
            Begin {
                kinds,
                ..Begin::default()
            },
        )
        .await;
    let mut child = probe("far");
    let ChildKind::Worker(worker) = &mut child.what else {
        unreachable!()
    };
    worker.place = Some(Arc::new(Place {
        at: PlaceAt::Node(id("edge")),
        lease: Place::LEASE,
        failover: Failover::Wait,
    }));
    child.backoff = Some(unity_supervisors::spec::Backoff::default());
    let children = vec![child];
    let home = world
        .node(
            "home",
            Begin {
                children,
                ..Begin::default()
            },
        )
        .await;

    edge.cluster.attach("home", WAIT).await.unwrap();
    home.until("a failed start", |home| {
        let slot = home.kernel.registry().get(&path("/far")).unwrap();
        slot.last_exit().is_some()
    })
    .await;

    let slot = home.kernel.registry().get(&path("/far")).unwrap();
    let why = slot.last_exit().unwrap().reason.to_string();
    assert!(why.contains("node `edge` has no kind `probe`"), "{why}");
}
