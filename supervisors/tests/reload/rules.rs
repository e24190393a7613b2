//! What a reload does to children in each state that they can be in.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use unity_supervisors::reload::{How, ReloadError, What};
use unity_supervisors::slot::Response;
use unity_supervisors::spec::{
    Backoff, Failover, Place, PlaceAt, Restart, Strategy, SupervisorSpec, Template,
};
use unity_supervisors::{RequestError, SlotState};

use crate::lives;
use crate::support::{World, path, sub, tree, worker};

fn rejected(error: ReloadError) -> (String, String) {
    match error {
        ReloadError::Rejected { path, why } => (path.to_string(), why),
        error => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_hangs_or_panics_leaves_the_old_settings_and_charges_nothing() {
    for (apply, says) in [
        ("hang", "did not come to an end"),
        ("panic", "told to panic"),
    ] {
        let world = World::boot(tree([
            worker("a", json!({"live": 1})),
            worker("b", json!({"live": 1})),
        ]))
        .await;

        let new = [
            worker("a", json!({"live": 2})),
            worker("b", json!({"live": 2, "apply": apply})),
        ];
        let (at, why) = rejected(world.reload(tree(new)).await.unwrap_err());

        assert_eq!(at, "/b");
        assert!(why.contains(says), "{why}");
        assert_eq!(world.observe("/a").await, json!({"live": 1, "in_force": 1}));
        assert_eq!(world.observe("/b").await, json!({"live": 1, "in_force": 1}));
        assert_eq!(world.incarnations(), lives(&[("/a", 1), ("/b", 2)]));
        assert_eq!(world.restarts_used(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_actor_refuses_and_is_not_asked_later() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    world.tell("/a", json!({"busy": 600})).await;

    let (_, why) = rejected(
        world
            .reload(tree([worker("a", json!({"live": 2}))]))
            .await
            .unwrap_err(),
    );

    assert!(why.contains("busy"), "{why}");
    assert_eq!(world.observe("/a").await, json!({"live": 1, "in_force": 1}));
    assert_eq!(world.incarnations(), lives(&[("/a", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_suspended_actor_is_asked_and_stays_suspended() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    world.kernel.suspend(&path("/a")).await.unwrap();

    world
        .reload(tree([worker("a", json!({"live": 2}))]))
        .await
        .unwrap();

    assert_eq!(world.state("/a"), Some(SlotState::Suspended));
    world.kernel.resume(&path("/a")).await.unwrap();
    assert_eq!(world.observe("/a").await, json!({"live": 2, "in_force": 2}));
}

#[tokio::test(start_paused = true)]
async fn new_settings_end_a_backoff() {
    let mut child = worker("a", json!({"life": 1}));
    let long = Duration::from_secs(3600);
    child.backoff = Some(Backoff {
        min: long,
        max: long,
        ..Backoff::default()
    });
    let world = World::boot(tree([child.clone()])).await;
    world.crash("/a").await;
    world.becomes("/a", SlotState::Backoff).await;

    child.as_worker_mut().unwrap().settings = json!({"life": 2});
    let before = tokio::time::Instant::now();
    world.reload(tree([child])).await.unwrap();
    world.running("/a", 2).await;

    assert!(before.elapsed() < Duration::from_secs(60));
    assert_eq!(world.settings("/a"), json!({"life": 2}));
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_by_hand_runs_again_when_its_part_changes_and_only_then() {
    let below = |live| sub("s", tree([worker("b", json!({"live": live}))]));
    let world = World::boot(tree([worker("a", json!({})), below(1)])).await;
    world.kernel.stop(&path("/a")).await.unwrap();

    world
        .reload(tree([worker("a", json!({})), below(2)]))
        .await
        .unwrap();
    assert_eq!(world.state("/a"), Some(SlotState::Stopped), "not its part");

    let new = [worker("a", json!({})), below(2), worker("c", json!({}))];
    world.reload(tree(new)).await.unwrap();
    assert_eq!(world.state("/a"), Some(SlotState::Running));
}

#[tokio::test(start_paused = true)]
async fn what_was_spawned_or_deleted_by_hand_is_forgotten_when_its_part_changes() {
    let world = World::boot(tree([worker("a", json!({})), worker("b", json!({}))])).await;
    world
        .kernel
        .spawn(&path("/"), worker("x", json!({})))
        .await
        .unwrap();
    world.kernel.stop(&path("/a")).await.unwrap();
    world.kernel.delete(&path("/a")).await.unwrap();

    let new = [worker("a", json!({})), worker("b", json!({"live": 1}))];
    world.reload(tree(new)).await.unwrap();

    assert_eq!(world.incarnations(), lives(&[("/a", 1), ("/b", 1)]));
    assert_eq!(world.state("/a"), Some(SlotState::Running));
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_for_good_stays_down() {
    let mut child = worker("a", json!({"live": 1}));
    child.restart = Restart::Transient;
    let world = World::boot(tree([child.clone()])).await;
    // Stopped and started by a person before: that is over.
    world.kernel.stop(&path("/a")).await.unwrap();
    world.kernel.start_child(&path("/a")).await.unwrap();
    world.tell("/a", json!("finish")).await;
    world.becomes("/a", SlotState::Stopped).await;

    child.as_worker_mut().unwrap().settings = json!({"live": 2});
    let changes = world.reload(tree([child])).await.unwrap();

    assert_eq!(changes[0].how, How::Later);
    assert_eq!(world.state("/a"), Some(SlotState::Stopped));
}

#[tokio::test(start_paused = true)]
async fn what_begins_stopped_is_stopped_and_what_does_no_more_is_started() {
    let mut stopped = worker("a", json!({}));
    stopped.begins_stopped = true;
    let world = World::boot(tree([stopped.clone()])).await;
    assert_eq!(world.state("/a"), Some(SlotState::Stopped));

    world.reload(tree([worker("a", json!({}))])).await.unwrap();
    assert_eq!(world.state("/a"), Some(SlotState::Running));

    world.reload(tree([stopped])).await.unwrap();
    assert_eq!(world.state("/a"), Some(SlotState::Stopped));
}

#[tokio::test(start_paused = true)]
async fn an_added_child_that_fails_leaves_nothing_and_takes_the_others_back_in_reverse() {
    let world = World::boot(tree([worker("a", json!({}))])).await;
    let new = [
        worker("a", json!({})),
        worker("b", json!({})),
        worker("c", json!({})),
        worker("d", json!({"fails": true})),
    ];

    let error = world.reload(tree(new)).await.unwrap_err();

    assert!(
        matches!(&error, ReloadError::Refused { path, error: RequestError::StartFailed(_) } if path.as_str() == "/d"),
        "{error}"
    );
    assert_eq!(world.incarnations(), lives(&[("/a", 1)]));
    let gone = ["/c", "/b"].map(str::to_owned);
    assert_eq!(world.stops(), gone);
    assert_eq!(world.kernel.registry().len(), 3, "the root, /system and /a");
}

#[tokio::test(start_paused = true)]
async fn a_child_of_the_same_id_that_somebody_added_survives_a_change_that_fails() {
    let world = World::boot(tree([worker("a", json!({}))])).await;
    world
        .kernel
        .spawn(&path("/"), worker("b", json!({})))
        .await
        .unwrap();
    let new = [
        worker("a", json!({})),
        worker("b", json!({})),
        worker("c", json!({"fails": true})),
    ];

    world.reload(tree(new)).await.unwrap_err();

    assert_eq!(world.incarnations(), lives(&[("/a", 1), ("/b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn an_added_child_with_backoff_may_fail() {
    let world = World::boot(tree([worker("a", json!({}))])).await;
    let mut failing = worker("b", json!({"fails": true}));
    failing.backoff = Some(Backoff::default());

    let changes = world
        .reload(tree([worker("a", json!({})), failing]))
        .await
        .unwrap();

    assert_eq!((changes[0].what, changes[0].how), (What::Added, How::Later));
    assert_eq!(world.state("/b"), Some(SlotState::Backoff));
}

#[tokio::test(start_paused = true)]
async fn a_temporary_child_that_is_added_runs_once() {
    let world = World::boot(tree([worker("a", json!({"live": 1}))])).await;
    let mut once = worker("once", json!({"ends": true}));
    once.restart = Restart::Temporary;

    let new = [worker("a", json!({"live": 2, "apply": "slow"})), once];
    world.reload(tree(new)).await.unwrap();

    assert_eq!(world.starts_of("/once"), 1);
    assert_eq!(world.state("/once"), None);
}

#[tokio::test(start_paused = true)]
async fn another_kind_is_another_child() {
    let world = World::boot(tree([worker("a", json!({}))])).await;
    world.kernel.suspend(&path("/a")).await.unwrap();
    world.tell("/a", json!({"busy": 1})).await;
    let slot = world.kernel.registry().get(&path("/a")).unwrap();
    let mut other = worker("a", json!({}));
    other.as_worker_mut().unwrap().kind = "other".to_owned();

    let changes = world.reload(tree([other])).await.unwrap();

    assert_eq!(
        (changes[0].what, changes[0].how),
        (What::Replaced, How::Restart)
    );
    assert_eq!(world.kernel.dead_letters().total(), 1);
    let now = world.kernel.registry().get(&path("/a")).unwrap();
    assert_ne!(slot.serial(), now.serial());
    assert_eq!(world.state("/a"), Some(SlotState::Running));
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_placed_otherwise_is_another_child() {
    let on = |node: &str, lease_s, failover| Place {
        at: PlaceAt::Node(node.parse().unwrap()),
        lease: Duration::from_secs(lease_s),
        failover,
    };
    let gpu = Place {
        at: PlaceAt::Labels([("gpu".to_owned(), "true".to_owned())].into()),
        ..on("edge-1", 10, Failover::Wait)
    };
    let placed = |place: Option<Place>| {
        let mut child = worker("a", json!({}));
        child.as_worker_mut().unwrap().place = place.map(Arc::new);
        tree([child, worker("b", json!({}))])
    };
    let world = World::boot(placed(None)).await;
    for place in [
        Some(on("edge-1", 10, Failover::Wait)),
        Some(on("edge-2", 10, Failover::Wait)),
        Some(on("edge-2", 20, Failover::Wait)),
        Some(on("edge-2", 20, Failover::None)),
        Some(gpu),
        None,
    ] {
        let slot = world.kernel.registry().get(&path("/a")).unwrap();

        let changes = world.reload(placed(place.clone())).await.unwrap();
        let again = world.reload(placed(place.clone())).await.unwrap();

        let told: Vec<_> = changes
            .iter()
            .map(|change| (change.what, change.how))
            .collect();
        assert_eq!(told, [(What::Replaced, How::Restart)], "{place:?}");
        assert_eq!(again, []);
        let now = world.kernel.registry().get(&path("/a")).unwrap();
        assert_ne!(slot.serial(), now.serial(), "{place:?}");
        assert_eq!(world.state("/a"), Some(SlotState::Running));
        assert_eq!(world.starts_of("/b"), 1);
    }
    assert_eq!(world.restarts_used(), 0);
    assert_eq!(world.stops(), ["/a"; 6].map(str::to_owned));
}

#[tokio::test(start_paused = true)]
async fn a_move_is_shown_as_what_it_is() {
    let world = World::boot(tree([
        sub("s", tree([worker("a", json!({}))])),
        sub("t", tree([])),
    ]))
    .await;
    let new = tree([sub("s", tree([])), sub("t", tree([worker("a", json!({}))]))]);

    let plan = world.kernel.plan(&new).unwrap();
    let done = world.reload(new).await.unwrap();

    let is = |what, at: &str| {
        plan.iter()
            .find(|change| change.what == what && change.path.as_str() == at)
    };
    assert!(is(What::Removed, "/s/a").is_some(), "{plan:?}");
    assert_eq!(
        is(What::Added, "/t/a").unwrap().moved_from,
        Some(path("/s/a"))
    );
    assert_eq!(plan, done);
    assert_eq!(world.state("/s/a"), None);
    assert_eq!(world.state("/t/a"), Some(SlotState::Running));
}

#[tokio::test(start_paused = true)]
async fn another_order_touches_nobody() {
    let children = |ids: [&'static str; 3]| tree(ids.map(|id| worker(id, json!({}))));
    let world = World::boot(children(["a", "b", "c"])).await;

    let changes = world.reload(children(["c", "a", "b"])).await.unwrap();

    assert_eq!((changes.len(), changes[0].what), (1, What::Order));
    assert_eq!(
        world.incarnations(),
        lives(&[("/c", 1), ("/a", 1), ("/b", 1)])
    );
    world.crash("/a").await;
    world.running("/a", 2).await;
    world.kernel.shutdown().await;
    assert_eq!(world.stops(), ["/b", "/a", "/c"].map(str::to_owned));
}

#[tokio::test(start_paused = true)]
async fn another_budget_keeps_what_is_charged() {
    let with = |intensity| SupervisorSpec {
        intensity,
        period: Duration::from_secs(3600),
        ..tree([worker("a", json!({}))])
    };
    let world = World::boot(tree([sub("s", with(5))])).await;
    world.crash("/s/a").await;
    world.running("/s/a", 2).await;

    world.reload(tree([sub("s", with(1))])).await.unwrap();
    world.crash("/s/a").await;
    world.running("/s", 2).await;

    let slot = world.kernel.registry().get(&path("/s")).unwrap();
    assert_eq!(slot.last_exit().unwrap().response, Response::Restarted);
}

#[tokio::test(start_paused = true)]
async fn children_of_a_template_keep_settings_of_their_own() {
    let of = |live| {
        let child = worker("template", json!({"live": live, "life": 1}));
        SupervisorSpec {
            template: Some(std::sync::Arc::new(Template {
                child,
                max_children: None,
            })),
            ..SupervisorSpec::default()
        }
    };
    let world = World::boot(tree([sub("s", of(1))])).await;
    let own = [(None, json!({})), (None, json!({"life": 7}))];
    world.kernel.spawn_many(&path("/s"), own).await.unwrap();

    world.reload(tree([sub("s", of(2))])).await.unwrap();

    assert_eq!(world.settings("/s/1"), json!({"live": 2, "life": 1}));
    assert_eq!(world.settings("/s/2"), json!({"live": 2, "life": 7}));
    assert_eq!(
        world.observe("/s/2").await,
        json!({"live": 2, "in_force": 2})
    );
    assert_eq!(world.incarnation("/s/2"), 1);
}

#[tokio::test(start_paused = true)]
async fn under_a_group_strategy_only_what_changes_is_restarted() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let group = |life| SupervisorSpec {
            strategy,
            ..tree([
                worker("a", json!({})),
                worker("b", json!({"life": life})),
                worker("c", json!({})),
            ])
        };
        let world = World::boot(group(1)).await;

        world.reload(group(2)).await.unwrap();

        assert_eq!(
            world.incarnations(),
            lives(&[("/a", 1), ("/b", 2), ("/c", 1)])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn members_that_wait_for_one_that_goes_come_back() {
    let mut failing = worker("a", json!({}));
    let long = Duration::from_secs(3600);
    failing.backoff = Some(Backoff {
        min: long,
        max: long,
        ..Backoff::default()
    });
    let group = |children: Vec<_>| SupervisorSpec {
        strategy: Strategy::OneForAll,
        ..tree(children)
    };
    let world = World::boot(group(vec![failing, worker("b", json!({}))])).await;
    world.crash("/a").await;
    world.becomes("/a", SlotState::Backoff).await;

    world
        .reload(group(vec![worker("b", json!({}))]))
        .await
        .unwrap();

    assert_eq!(world.incarnations(), lives(&[("/b", 2)]));
    assert_eq!(world.state("/b"), Some(SlotState::Running));
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_is_down_begins_as_it_is_told() {
    let below = |live| sub("s", tree([worker("a", json!({"live": live}))]));
    let world = World::boot(tree([below(1)])).await;
    world.kernel.stop(&path("/s")).await.unwrap();

    world.reload(tree([below(2)])).await.unwrap();
    assert_eq!(world.state("/s"), Some(SlotState::Stopped));
    world.kernel.start_child(&path("/s")).await.unwrap();

    assert_eq!(
        world.observe("/s/a").await,
        json!({"live": 2, "in_force": 2})
    );
}

#[tokio::test(start_paused = true)]
async fn the_root_may_become_one_with_a_template_and_back() {
    let world = World::boot(tree([worker("a", json!({}))])).await;
    let of_template = SupervisorSpec {
        template: Some(std::sync::Arc::new(Template {
            child: worker("template", json!({})),
            max_children: None,
        })),
        ..tree([])
    };

    world.reload(of_template).await.unwrap();
    assert_eq!(world.incarnations(), lives(&[]));
    world
        .kernel
        .spawn_from(&path("/"), None, json!({}))
        .await
        .unwrap();
    world.reload(tree([worker("b", json!({}))])).await.unwrap();

    assert_eq!(world.incarnations(), lives(&[("/b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn in_safe_mode_what_is_not_essential_stays_in_quarantine() {
    let mut essential = worker("a", json!({}));
    essential.essential = true;
    let root = |more: Vec<_>| SupervisorSpec {
        intensity: 0,
        ..tree(
            [
                vec![essential.clone(), worker("b", json!({"live": 1}))],
                more,
            ]
            .concat(),
        )
    };
    let world = World::boot(root(vec![])).await;
    world.crash("/b").await;
    world.becomes("/b", SlotState::Quarantined).await;

    world
        .reload(root(vec![worker("c", json!({}))]))
        .await
        .unwrap();

    assert_eq!(world.state("/a"), Some(SlotState::Running));
    assert_eq!(world.state("/b"), Some(SlotState::Quarantined));
    assert_eq!(world.state("/c"), Some(SlotState::Quarantined));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_need_waits_on_and_takes_its_settings_then() {
    let mut waits = worker("b", json!({"live": 1}));
    waits.needs = vec!["a".parse().unwrap()];
    let world = World::boot(tree([worker("a", json!({})), waits.clone()])).await;
    world.kernel.stop(&path("/a")).await.unwrap();
    world.becomes("/b", SlotState::Stopped).await;

    waits.as_worker_mut().unwrap().settings = json!({"live": 2});
    // A person has stopped the need; its part of the tree changes with this, so it runs again, and what needs it too.
    world
        .reload(tree([worker("a", json!({})), waits]))
        .await
        .unwrap();

    world.becomes("/b", SlotState::Running).await;
    assert_eq!(world.observe("/b").await, json!({"live": 2, "in_force": 2}));
}
