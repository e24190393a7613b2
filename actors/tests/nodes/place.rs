//! Children that live on other nodes.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unity_supervisors::spec::{ChildKind, ChildSpec, Failover, Place, PlaceAt};
use unity_supervisors::{Actor, Context, Exit, Kinds, Message, Next, Start};

use super::net::{Begin, Node, World, id, path, probe};

const WAIT: Duration = Duration::from_secs(5);

fn placed(name: &str, at: PlaceAt, failover: Failover) -> ChildSpec {
    let mut child = probe(name);
    let ChildKind::Worker(worker) = &mut child.what else {
        unreachable!()
    };
    worker.place = Some(Arc::new(Place {
        at,
        lease: Place::LEASE,
        failover,
    }));
    child
}

fn on(node: &str, failover: Failover) -> ChildSpec {
    placed("far", PlaceAt::Node(id(node)), failover)
}

fn labelled(name: &str) -> Begin {
    Begin {
        labels: [("gpu".to_owned(), "true".to_owned())].into(),
        seeds: vec!["home".to_owned()],
        epoch: u64::from(name.as_bytes()[0]),
        ..Begin::default()
    }
}

fn anywhere(failover: Failover) -> ChildSpec {
    let labels = [("gpu".to_owned(), "true".to_owned())].into();
    placed("far", PlaceAt::Labels(labels), failover)
}

async fn home(world: &World, child: ChildSpec) -> Node {
    let children = vec![child];
    world
        .node(
            "home",
            Begin {
                children,
                ..Begin::default()
            },
        )
        .await
}

impl Node {
    fn lives_on(&self) -> Option<String> {
        let slot = self.kernel.registry().get(&path("/far"))?;
        slot.placement()?.node
    }

    fn why(&self) -> Option<String> {
        let slot = self.kernel.registry().get(&path("/far"))?;
        slot.placement()?.why
    }

    async fn until_lives_on(&self, node: &str) {
        self.until(&format!("it lives on {node}"), |home| {
            home.lives_on().as_deref() == Some(node) && home.why().is_none()
        })
        .await;
    }

    async fn count(&self) -> Value {
        self.kernel
            .ask(&path("/far"), json!({ "count": null }), WAIT)
            .await
            .unwrap()
    }

    fn incarnation(&self) -> u64 {
        self.kernel
            .registry()
            .get(&path("/far"))
            .unwrap()
            .incarnation()
    }
}

#[tokio::test(start_paused = true)]
async fn a_placed_child_answers_as_if_it_were_here() {
    let world = World::new(1);
    let home = home(&world, on("edge", Failover::Wait)).await;
    assert_eq!(home.why().unwrap(), "waits for node `edge`");
    home.kernel
        .tell(&path("/far"), json!({ "echo": 1 }))
        .await
        .unwrap();

    let seeds = vec!["home".to_owned()];
    let edge = world
        .node(
            "edge",
            Begin {
                seeds,
                ..Begin::default()
            },
        )
        .await;
    home.until_lives_on("edge").await;
    let count = home.count().await;

    // What was told before there was a node has waited for it.
    assert_eq!(count["total"], 1);
    let guest = edge
        .kernel
        .registry()
        .get(&path("/system/guests/g1"))
        .unwrap();
    assert_eq!(guest.spec().as_worker().unwrap().kind, "probe");
}

#[tokio::test(start_paused = true)]
async fn a_crash_there_is_one_here() {
    let world = World::new(1);
    let home = home(&world, on("edge", Failover::Wait)).await;
    let seeds = vec!["home".to_owned()];
    let _edge = world
        .node(
            "edge",
            Begin {
                seeds,
                ..Begin::default()
            },
        )
        .await;
    home.until_lives_on("edge").await;

    home.kernel
        .tell(&path("/far"), json!({ "crash": "oh" }))
        .await
        .unwrap();
    home.until("a second life", |home| home.incarnation() == 2)
        .await;
    home.until_lives_on("edge").await;

    let slot = home.kernel.registry().get(&path("/far")).unwrap();
    let exit = slot.last_exit().unwrap().reason;
    assert!(exit.to_string().contains("oh"), "{exit}");
    assert_eq!(home.count().await["total"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_is_shorter_than_the_lease_ends_nothing() {
    let world = World::new(1);
    let home = home(&world, on("edge", Failover::Wait)).await;
    let seeds = vec!["home".to_owned()];
    let _edge = world
        .node(
            "edge",
            Begin {
                seeds,
                ..Begin::default()
            },
        )
        .await;
    home.until_lives_on("edge").await;
    home.count().await;

    world.net.cut("home", "edge");
    home.until_down("edge").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.net.heal("home", "edge");
    home.until_lives_on("edge").await;

    assert_eq!(home.count().await["total"], 1);
    assert_eq!(home.incarnation(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_is_longer_ends_it_there_and_begins_it_again_when_the_node_is_back() {
    let world = World::new(1);
    let home = home(&world, on("edge", Failover::Wait)).await;
    let seeds = vec!["home".to_owned()];
    let edge = world
        .node(
            "edge",
            Begin {
                seeds,
                ..Begin::default()
            },
        )
        .await;
    home.until_lives_on("edge").await;
    home.count().await;

    world.net.cut("home", "edge");
    let guest = path("/system/guests/g1");
    edge.until("it has ended there", |edge| {
        edge.kernel.registry().get(&guest).is_none()
    })
    .await;
    world.net.heal("home", "edge");
    home.until_lives_on("edge").await;

    assert_eq!(home.count().await["total"], 0);
    assert_eq!(home.incarnation(), 1, "nothing is charged for it");
}

#[tokio::test(start_paused = true)]
async fn it_begins_elsewhere_once_its_lease_is_over_and_stays_there() {
    let world = World::new(1);
    let home = home(&world, anywhere(Failover::Elsewhere)).await;
    let one = world.node("one", labelled("one")).await;
    home.until_lives_on("one").await;
    let two = world.node("two", labelled("two")).await;
    home.until_up("two").await;

    let since = tokio::time::Instant::now();
    world.net.cut("home", "one");
    home.until_lives_on("two").await;
    let after = since.elapsed();
    let guest = path("/system/guests/g1");
    let ended = one.kernel.registry().get(&guest).is_none();
    world.net.heal("home", "one");
    home.until_up("one").await;

    assert!(ended, "it has ended there before it begins here");
    assert!(after <= Place::LEASE + Duration::from_secs(1), "{after:?}");
    assert_eq!(home.lives_on().as_deref(), Some("two"));
    assert!(two.kernel.registry().get(&guest).is_some());
}

#[tokio::test(start_paused = true)]
async fn without_failover_a_node_that_is_down_is_an_exit() {
    let world = World::new(1);
    let home = home(&world, on("edge", Failover::None)).await;
    let seeds = vec!["home".to_owned()];
    let _edge = world
        .node(
            "edge",
            Begin {
                seeds,
                ..Begin::default()
            },
        )
        .await;
    home.until_lives_on("edge").await;

    world.net.cut("home", "edge");
    home.until("an exit", |home| home.incarnation() == 2).await;

    let slot = home.kernel.registry().get(&path("/far")).unwrap();
    let exit = slot.last_exit().unwrap().reason;
    assert_eq!(exit.kind.as_str(), "node_down", "{exit}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_here_is_a_stop_there() {
    let world = World::new(1);
    let home = home(&world, on("edge", Failover::Wait)).await;
    let seeds = vec!["home".to_owned()];
    let edge = world
        .node(
            "edge",
            Begin {
                seeds,
                ..Begin::default()
            },
        )
        .await;
    home.until_lives_on("edge").await;

    home.kernel.stop(&path("/far")).await.unwrap();

    let guest = path("/system/guests/g1");
    assert!(edge.kernel.registry().get(&guest).is_none());
    home.kernel.start_child(&path("/far")).await.unwrap();
    home.until_lives_on("edge").await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_drained_gives_its_children_to_another() {
    let world = World::new(1);
    let home = home(&world, anywhere(Failover::Wait)).await;
    let one = world.node("one", labelled("one")).await;
    home.until_lives_on("one").await;
    let _two = world.node("two", labelled("two")).await;
    home.until_up("two").await;

    one.cluster.set_draining(true);
    home.until_lives_on("two").await;

    assert!(
        one.kernel
            .registry()
            .get(&path("/system/guests/g1"))
            .is_none()
    );
    assert_eq!(home.incarnation(), 1);
}

#[tokio::test(start_paused = true)]
async fn children_leave_a_node_in_the_order_of_the_tree_and_who_has_nowhere_to_go_stays() {
    let world = World::new(1);
    let labels = |key: &str| [(key.to_owned(), "true".to_owned())].into();
    let placed = |name: &str, key| {
        let mut child = placed(name, PlaceAt::Labels(labels(key)), Failover::Wait);
        child.labels = [("id".to_owned(), name.to_owned())].into();
        child
    };
    let names = ["z", "m", "b", "y", "a"];
    let mut children: Vec<_> = names.map(|name| placed(name, "gpu")).into();
    // Only the first node has what it needs.
    children.insert(2, placed("stuck", "arm"));
    let begin = Begin {
        children,
        ..Begin::default()
    };
    let home = world.node("home", begin).await;
    let mut first = labelled("one");
    first.labels.extend(labels("arm"));
    let one = world.node("one", first).await;
    let on = |node: &str| {
        let all = home.kernel.registry().paths().into_iter();
        let lives = |path: &_| {
            let slot = home.kernel.registry().get(path);
            let placement = slot.and_then(|slot| slot.placement());
            placement.is_some_and(|it| it.node.as_deref() == Some(node) && it.why.is_none())
        };
        all.filter(lives).count()
    };
    home.until("all live", |_| on("one") == 6).await;
    let two = world.node("two", labelled("two")).await;
    home.until_up("two").await;

    one.cluster.set_draining(true);
    home.until("all that can have moved", |_| on("two") == 5)
        .await;

    assert_eq!(on("one"), 1);
    // A node numbers its guests as they come.
    let mut moved = Vec::new();
    for number in 1..=5 {
        let slot = two
            .kernel
            .registry()
            .get(&path(&format!("/system/guests/g{number}")));
        moved.push(slot.unwrap().spec().labels["id"].clone());
    }
    assert_eq!(moved, names);
}

#[tokio::test(start_paused = true)]
async fn a_label_that_a_node_is_given_while_it_runs_counts_at_once() {
    let world = World::new(1);
    let home = home(&world, anywhere(Failover::Wait)).await;
    let mut begin = labelled("edge");
    begin.labels.clear();
    let edge = world.node("edge", begin).await;
    home.until_up("edge").await;
    assert_eq!(home.lives_on(), None);

    edge.cluster.set_labels(&labelled("edge").labels);
    home.until_lives_on("edge").await;

    let told = home.cluster.nodes().remove(0).labels;
    assert_eq!(told, labelled("edge").labels);
}

/// A child whose start takes five seconds.
struct Slow;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct NoSettings {}

#[derive(Debug, Message)]
#[message(json)]
enum Nothing {
    Ping,
}

impl Actor for Slow {
    type Message = Nothing;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(Start::Running(Self))
    }

    async fn handle(&mut self, _: &mut Nothing, _: &mut Context<Self>) -> Result<Next, Exit> {
        Ok(Next::Continue)
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_turn_to_leave_a_node_stays_once_that_is_wanted_again() {
    let world = World::new(1);
    let kinds = Kinds::new().with::<Slow>("slow", "starts slowly");
    let slow = |name: &str| {
        let mut child = placed(
            name,
            PlaceAt::Labels(labelled("one").labels),
            Failover::Wait,
        );
        if let ChildKind::Worker(worker) = &mut child.what {
            worker.kind = "slow".to_owned();
            worker.settings = json!({});
        }
        child
    };
    let begin = |begin| Begin {
        kinds: kinds.clone(),
        ..begin
    };
    let children = ["first", "second"].map(slow).into();
    let home = Begin {
        children,
        ..Begin::default()
    };
    let home = world.node("home", begin(home)).await;
    let one = world.node("one", begin(labelled("one"))).await;
    let on = |name: &str| {
        let slot = home.kernel.registry().get(&path(name)).unwrap();
        let placement = slot.placement().unwrap();
        placement.node.filter(|_| placement.why.is_none())
    };
    home.until("both live", |_| {
        on("/first").is_some() && on("/second").is_some()
    })
    .await;
    let guests = || {
        let guests = one.kernel.registry().get(&path("/system/guests")).unwrap();
        let ids = guests
            .children()
            .into_iter()
            .map(|slot| slot.id().to_string());
        ids.collect::<Vec<_>>()
    };
    let before = guests();
    let _two = world.node("two", begin(labelled("two"))).await;
    home.until_up("two").await;

    one.cluster.set_draining(true);
    home.until("the first moves", |_| on("/first").is_none())
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    one.cluster.set_draining(false);
    home.until("it has moved", |_| on("/first").as_deref() == Some("two"))
        .await;
    tokio::time::sleep(Duration::from_secs(30)).await;

    assert_eq!(on("/second").as_deref(), Some("one"));
    // It is the life that it was.
    let after = guests();
    assert_eq!((before.len(), after.len()), (2, 1));
    assert!(before.contains(&after[0]), "{before:?} {after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_stopped_while_it_starts_there_leaves_nothing_behind() {
    let world = World::new(1);
    for after_ms in [0, 1, 10, 100, 1_000, 4_999, 5_000, 5_001] {
        let kinds = Kinds::new().with::<Slow>("slow", "starts slowly");
        let mut child = on("edge", Failover::Wait);
        if let ChildKind::Worker(worker) = &mut child.what {
            worker.kind = "slow".to_owned();
            worker.settings = json!({});
        }
        let begin = |children| Begin {
            children,
            kinds: kinds.clone(),
            ..Begin::default()
        };
        let home = world.node("home", begin(vec![child])).await;
        let edge = world.node("edge", begin(Vec::new())).await;
        let guest = || edge.kernel.registry().get(&path("/system/guests/g1"));
        edge.cluster.attach("home", WAIT).await.unwrap();
        edge.until("it begins to start", |_| guest().is_some())
            .await;
        tokio::time::sleep(Duration::from_millis(after_ms)).await;

        home.kernel.stop(&path("/far")).await.unwrap();
        edge.until("it is gone", |_| guest().is_none()).await;
        // Nothing comes after it.
        tokio::time::sleep(Duration::from_secs(30)).await;

        let guests = edge.kernel.registry().get(&path("/system/guests")).unwrap();
        assert!(guests.children().is_empty(), "stopped after {after_ms} ms");
        edge.kernel.shutdown().await;
        home.kernel.shutdown().await;
    }
}
