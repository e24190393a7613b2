//! Chaos plans that cut and slow the links of nodes, on kernels over a network in memory: what is said of them comes true, and all
//! is whole at the end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use unity_actors::chaos::plan::{Fault, Plan};
use unity_actors::chaos::report::{Outcome, Report};
use unity_actors::chaos::run::{Order, Outside, Run};
use unity_supervisors::fault::Undo;
use unity_supervisors::{ActorPath, SlotState};

use super::net::{Begin, Ledger, Node, World, path, probe};
use super::seeds::{CHILDREN, HOSTS, Hears, begin, begin_home};

const WAIT: Duration = Duration::from_secs(5);

/// Nothing is outside of these kernels.
#[derive(Debug)]
struct Nothing;

impl Outside for Nothing {
    fn strike<'a>(
        &'a self,
        fault: &'a Fault,
        _: Option<&'a ActorPath>,
    ) -> BoxFuture<'a, Result<Option<Undo>, String>> {
        std::future::ready(Err(format!("{} strikes nothing here", fault.name()))).boxed()
    }

    fn lag<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<u64>> {
        std::future::ready(None).boxed()
    }

    fn memory(&self) -> Option<u64> {
        None
    }
}

fn plan(acts: &Value) -> Plan {
    let plan = json!({ "version": 1, "name": "test", "acts": acts, "settles_within": "60s" });
    serde_json::from_value(plan).unwrap()
}

async fn run(node: &Node, plan: &Plan, seed: u64) -> Report {
    let (_orders, heard) = watch::channel(Order::Go);
    Run::new(&node.kernel, plan, seed, &Nothing, heard)
        .run()
        .await
}

/// Two nodes that know each other; `b` has an echo.
async fn pair(world: &World) -> (Node, Node) {
    let a = world.node("a", Begin::default()).await;
    let children = vec![probe("echo")];
    let begin = Begin {
        children,
        ..Begin::default()
    };
    let b = world.node("b", begin).await;
    a.cluster.attach("b", WAIT).await.unwrap();
    b.until_up("a").await;
    (a, b)
}

/// How long an answer of the echo takes.
async fn echo_takes(a: &Node) -> Duration {
    let echo = a.cluster.address_of("b", &path("/echo")).await.unwrap();
    let begun = Instant::now();
    echo.ask(&json!({ "echo": 1 }), WAIT).await.unwrap();
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_noticed_by_both_and_is_over_when_it_is_over() {
    for (fault, notices) in [
        (json!({ "cut": { "for": "6s" } }), true),
        (
            json!({ "cut_one_way": { "direction": "inbound", "for": "6s" } }),
            true,
        ),
        (
            json!({ "cut_one_way": { "direction": "outbound", "for": "6s" } }),
            true,
        ),
        (json!({ "cut": { "node": "b", "for": "1s" } }), false),
        (
            json!({ "slow_link": { "node": "*", "by": "200ms", "for": "6s" } }),
            false,
        ),
    ] {
        let world = World::new(1);
        let (a, b) = pair(&world).await;
        let begun = Instant::now();
        let acts = plan(&json!([{ "at": "1s", "fault": fault }]));
        let watches = async {
            let mut down = [None, None];
            while begun.elapsed() < Duration::from_secs(7) {
                for (node, (other, down)) in [&a, &b]
                    .into_iter()
                    .zip(["b", "a"].into_iter().zip(&mut down))
                {
                    if !node.cluster.is_up(other) {
                        down.get_or_insert(begun.elapsed());
                    } else if down.is_some() {
                        panic!("{fault}: {other} came back during it");
                    }
                }
                sleep(Duration::from_millis(10)).await;
            }
            down
        };

        let (report, down) = tokio::join!(run(&a, &acts, 7), watches);

        assert_eq!(report.outcome, Outcome::Passed, "{report:#?}");
        for down in down {
            assert_eq!(down.is_some(), notices, "{fault}");
            assert!(
                down.is_none_or(|at| at < Duration::from_secs(4)),
                "{fault} {down:?}"
            );
        }
        // By the name of the node, so that it is the same without chance.
        assert_eq!(report.acts[0].act.fault.node().unwrap().to_string(), "b");
        let took = report.acts[0].recovered_ms.unwrap();
        assert!(took > 0.0 && took < 12_000.0, "{fault}: {took}");
        assert_eq!(echo_takes(&a).await, Duration::ZERO, "{fault}");
        b.until_up("a").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_takes_as_much_longer_each_way_as_it_says() {
    let world = World::new(1);
    let (a, _b) = pair(&world).await;
    let echo = a.cluster.address_of("b", &path("/echo")).await.unwrap();
    let acts =
        plan(&json!([{ "at": "0s", "fault": { "slow_link": { "by": "150ms", "for": "10s" } } }]));
    let asks = async {
        sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        let asks = (0..20).map(|number| {
            let echo = echo.clone();
            async move { echo.ask(&json!({ "echo": number }), WAIT).await.unwrap() }
        });
        let answers = futures_util::future::join_all(asks).await;
        assert_eq!(answers, (0..20).map(Value::from).collect::<Vec<_>>());
        begun.elapsed()
    };

    let (report, took) = tokio::join!(run(&a, &acts, 7), asks);

    assert_eq!(report.outcome, Outcome::Passed);
    assert_eq!(took, Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_or_dropped_heals_at_once() {
    let world = World::new(1);
    let (a, _b) = pair(&world).await;
    let acts = plan(&json!([{ "at": "0s", "fault": { "cut": { "for": "1h" } } }]));
    let (orders, heard) = watch::channel(Order::Go);
    let stops = async {
        a.until_down("b").await;
        orders.send_replace(Order::Stop);
        Instant::now()
    };
    let running = Run::new(&a.kernel, &acts, 7, &Nothing, heard).run();
    let (report, stopped) = tokio::join!(running, stops);
    assert_eq!(report.outcome, Outcome::Stopped);
    a.until_up("b").await;
    assert!(stopped.elapsed() < Duration::from_secs(15));

    let (_orders, heard) = watch::channel(Order::Go);
    let running = Run::new(&a.kernel, &acts, 7, &Nothing, heard).run();
    tokio::select! {
        _ = running => panic!("it lasts an hour"),
        () = a.until_down("b") => {}
    }
    a.until_up("b").await;
}

#[tokio::test(start_paused = true)]
async fn who_sends_to_a_node_that_is_cut_off_is_held_up_at_the_usual_bounds() {
    let world = World::new(1);
    let (a, _b) = pair(&world).await;
    let echo = a.cluster.address_of("b", &path("/echo")).await.unwrap();
    let acts = plan(&json!([{ "at": "0s", "fault": { "cut": { "for": "1s" } } }]));
    let sends = async {
        sleep(Duration::from_millis(1)).await;
        let mut sent = 0_u64;
        let message = json!({ "echo": "x".repeat(1_000) });
        while echo.tell(&message, Duration::from_millis(10)).await.is_ok() {
            sent += 1;
        }
        sent
    };

    let (report, sent) = tokio::join!(run(&a, &acts, 7), sends);
    let count = echo.ask(&json!({ "count": null }), WAIT).await.unwrap();

    assert_eq!(report.outcome, Outcome::Passed);
    // 256 KiB are on their way to one actor at most. None of them is lost by a cut that nobody noticed.
    assert!((100..300).contains(&sent), "{sent}");
    assert_eq!(count["total"], sent);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_node_a_link_is_refused_in_one_sentence() {
    let world = World::new(1);
    let (a, _b) = pair(&world).await;
    let alone = world.node("alone", Begin::default()).await;
    let at = |node: &str| {
        plan(&json!([{ "at": "0s", "fault": { "cut": { "node": node, "for": "1s" } } }]))
    };

    let nobody = run(&alone, &at("*"), 7).await;
    let other = run(&a, &at("edge-*"), 7).await;

    assert_eq!(
        (nobody.outcome, other.outcome),
        (Outcome::Idle, Outcome::Idle)
    );
    let why = nobody.why.unwrap();
    assert!(why.contains("none is attached and up"), "{why}");
    assert_eq!(other.why.unwrap(), "no node `edge-*` is attached and up");
    let drawn = json!({
        "version": 1, "name": "drawn", "settles_within": "5s",
        "phases": [{ "name": "cuts", "for": "5s", "faults": [{ "fault": { "cut": { "for": "1s" } } }] }],
    });
    let report = run(&alone, &serde_json::from_value(drawn).unwrap(), 7).await;
    assert!(report.why.unwrap().contains("no link could be struck"));
}

/// Draws from all faults of links, at three nodes, of which no more than two are struck at a time.
fn storm() -> Plan {
    let storm = json!({
        "version": 1, "name": "storm", "targets": { "max_down": 2 }, "settles_within": "60s",
        "phases": [{ "name": "links", "for": "60s", "rate": "0.5/s", "faults": [
            { "fault": { "cut": { "for": "5s" } }, "weight": 2 },
            { "fault": { "cut": { "for": "1s" } } },
            { "fault": { "cut_one_way": { "direction": "inbound", "for": "5s" } } },
            { "fault": { "cut_one_way": { "direction": "outbound", "for": "5s" } } },
            { "fault": { "slow_link": { "by": "300ms", "for": "5s" } } },
        ] }],
    });
    serde_json::from_value(storm).unwrap()
}

/// Whether all children live somewhere.
fn are_back(home: &Node) -> bool {
    CHILDREN.iter().all(|child| {
        let slot = home.kernel.registry().get(&path(child)).unwrap();
        let placed = slot.placement().unwrap_or_default();
        slot.state() == SlotState::Running && placed.node.is_some() && placed.why.is_none()
    })
}

async fn storm_passes(seed: u64) -> Report {
    let (world, ledger) = (World::new(seed), Arc::new(Ledger::default()));
    let hears = Arc::new(Hears::new(&ledger));
    let home = begin_home(&world, 1, &ledger, &hears).await;
    let mut hosts = Vec::new();
    for name in HOSTS {
        hosts.push(world.node(name, begin(1, &ledger)).await);
    }
    home.until("all live somewhere", are_back).await;

    let report = run(&home, &storm(), seed).await;

    assert_eq!(report.outcome, Outcome::Passed, "seed {seed}: {report:#?}");
    assert!(are_back(&home), "seed {seed}");
    for (host, node) in HOSTS.iter().zip(&hosts) {
        assert!(
            home.cluster.is_up(host) && node.cluster.is_up("home"),
            "seed {seed} {host}"
        );
    }
    {
        let lives = ledger.0.lock().unwrap();
        assert!(
            lives.violations.is_empty(),
            "seed {seed}: {:#?}",
            lives.violations
        );
    }
    report
}

#[test]
fn whatever_link_is_cut_no_child_lives_twice_and_all_come_back() {
    let mut struck = std::collections::BTreeMap::new();
    for seed in 0..30 {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().start_paused(true).build().unwrap();
        let report = runtime.block_on(storm_passes(seed));
        for (fault, of) in report.faults {
            assert_eq!(of.count, of.recovered, "seed {seed} {fault}");
            *struck.entry(fault).or_insert(0) += of.count;
        }
    }
    for fault in ["cut", "cut_one_way", "slow_link"] {
        assert!(struck[fault] > 30, "{struck:?}");
    }
}
