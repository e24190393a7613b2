//! Jobs (DESIGN, section 8) through the public surface.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails"
)]

use serde_json::json;
use unity_supervisors::Priority;
use unity_supervisors::dead_letter::DeadReason;

use self::support::{Job, World, path, sizes};

#[path = "dispatcher/support.rs"]
mod support;

/// One subscription to `x`.
fn one() -> Vec<Job> {
    vec![Job::of("x")]
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_subscription_run_in_order_and_one_at_a_time() {
    let world = World::boot(&[("a", one())]).await;

    for number in 0..50 {
        world
            .publish("x", json!({"n": number, "sleep_ms": 7}))
            .await;
    }
    world.until("end", 50).await;

    let order: Vec<u64> = world.numbers("begin");
    assert_eq!(order, (0..50).collect::<Vec<u64>>());
    assert_eq!(world.most_at_a_time(), 1);
}

#[tokio::test(start_paused = true)]
async fn so_many_jobs_run_at_a_time_as_were_asked_for_and_begin_in_order() {
    let jobs = vec![Job {
        concurrency: 3,
        ..Job::of("x")
    }];
    let world = World::boot(&[("a", jobs)]).await;

    for number in 0..30 {
        world
            .publish("x", json!({"n": number, "sleep_ms": 10}))
            .await;
    }
    world.until("end", 30).await;

    assert_eq!(world.numbers("begin"), (0..30).collect::<Vec<u64>>());
    assert_eq!(world.most_at_a_time(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_floods_its_tier_starves_no_other() {
    let world = World::boot(&[
        (
            "flood",
            vec![Job {
                concurrency: 100,
                ..Job::of("flood")
            }],
        ),
        ("calm", vec![Job::of("calm")]),
    ])
    .await;

    for number in 0..1_000 {
        world
            .publish("flood", json!({"n": number, "sleep_ms": 10}))
            .await;
    }
    for number in 1_000..1_010 {
        world
            .publish("calm", json!({"n": number, "sleep_ms": 10}))
            .await;
    }
    world.until("end", 1_010).await;

    // Sixteen workers: the last of ten calm jobs is done when some 160 of the flood are, not 1,000.
    let order = world.numbers("end");
    let last = order.iter().position(|number| *number == 1_009).unwrap();
    assert!(last < 250, "{last}");
}

#[tokio::test(start_paused = true)]
async fn critical_jobs_overtake_a_low_tier_that_is_saturated() {
    let low = Job {
        tier: Some(Priority::Low),
        concurrency: 100,
        ..Job::of("low")
    };
    let critical = Job {
        tier: Some(Priority::Critical),
        ..Job::of("critical")
    };
    let world = World::boot(&[("a", vec![low]), ("b", vec![critical])]).await;

    for number in 0..500 {
        world
            .publish("low", json!({"n": number, "sleep_ms": 100}))
            .await;
    }
    world.until("begin", 4).await;
    world.publish("critical", json!({"n": 1_000})).await;
    world.until_number("end", 1_000).await;

    assert_eq!(
        world.numbers("end"),
        [1_000],
        "all of low still runs or waits"
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_crashes_takes_its_worker_and_nothing_else() {
    for (data, said) in [
        (
            json!({"n": 1, "fail": "boom"}),
            "error: job of /a on x: boom",
        ),
        (
            json!({"n": 1, "panic": "bang"}),
            "panic: job of /a on x: bang",
        ),
    ] {
        let world = World::boot(&[("a", one())]).await;

        world.publish("x", data).await;
        world.publish("x", json!({"n": 2})).await;
        world.until_number("end", 2).await;
        world.settled().await;

        assert_eq!(world.exits("/a"), Vec::<String>::new());
        let exits = world.exits("/system/dispatcher/normal/");
        assert_eq!(exits.len(), 1, "{exits:?}");
        assert!(exits[0].starts_with(said), "{exits:?}");
        let counts = world.counts(Priority::Normal);
        assert_eq!((counts.done, counts.failed), (1, 1));
        let letter = world.kernel.dead_letters().list().pop().unwrap();
        assert_eq!(
            (letter.path.as_str(), letter.reason),
            ("/a", DeadReason::Crashed)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_flood_of_crashing_jobs_makes_a_tier_give_up() {
    let jobs = vec![Job {
        concurrency: 16,
        ..Job::of("x")
    }];
    let world = World::boot(&[("a", jobs)]).await;

    for _ in 0..4 {
        for number in 0..1_000 {
            world
                .publish("x", json!({"n": number, "fail": "boom"}))
                .await;
        }
        world.idle().await;
    }
    world.publish("x", json!({"n": 7})).await;
    world.until_number("end", 7).await;

    assert_eq!(world.counts(Priority::Normal).failed, 4_000);
    assert_eq!(world.lives("/system/dispatcher/normal"), 1);
    assert_eq!(world.lives("/system/dispatcher"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_is_dropped_at_its_next_await() {
    let jobs = vec![Job {
        timeout_ms: 100,
        ..Job::of("x")
    }];
    let world = World::boot(&[("a", jobs)]).await;

    world
        .publish("x", json!({"n": 1, "sleep_ms": 1_000_000}))
        .await;
    world.publish("x", json!({"n": 2})).await;
    world.until_number("end", 2).await;

    let counts = world.counts(Priority::Normal);
    assert_eq!((counts.done, counts.timed_out, counts.failed), (1, 1, 0));
    assert_eq!(
        world.exits("/system/dispatcher/normal/"),
        Vec::<String>::new()
    );
    let letter = world.kernel.dead_letters().list().pop().unwrap();
    let exit = letter.exit.clone().unwrap().to_string();
    assert!(exit.contains("took longer than 100ms"), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_what_is_kept_is_read_on() {
    let world = World::boot(&[("a", vec![Job::of("x"), Job::of("kept.x")])]).await;

    for topic in ["x", "kept.x"] {
        world
            .publish(topic, json!({"n": 0, "sleep_ms": 60_000}))
            .await;
        world.until("begin", 1).await;
        for number in 1..=3_000 {
            world.publish(topic, json!({"n": number})).await;
        }
        world.idle().await;
        let heard = world.numbers("end");
        let refused = world.refused(topic);
        match topic {
            "x" => assert_eq!((heard.len(), refused), (1_025, 1_976)),
            _ => assert_eq!((heard, refused), ((0..=3_000).collect(), 0)),
        }
        world.forget();
    }
}

#[tokio::test(start_paused = true)]
async fn who_publishes_when_there_is_room_waits_for_jobs() {
    let world = World::boot(&[("a", one())]).await;

    for number in 0..3_000 {
        world
            .publish_when_room("x", json!({"n": number, "sleep_ms": 1}))
            .await;
    }
    world.until("end", 3_000).await;

    assert_eq!(world.refused("x"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_publishes_to_itself_when_there_is_room_does_not_wait_for_itself() {
    let world = World::boot(&[("a", one())]).await;
    world
        .publish("x", json!({"n": 0, "say": "x", "times": 2_000}))
        .await;

    world.until_number("end", 0).await;

    assert!(world.refused("x") > 900);
}

#[tokio::test(start_paused = true)]
async fn sizes_change_while_it_runs_and_no_job_in_hand_is_killed() {
    let jobs = vec![Job {
        concurrency: 100,
        ..Job::of("x")
    }];
    let world = World::boot(&[("a", jobs)]).await;
    for number in 0..100 {
        world
            .publish("x", json!({"n": number, "sleep_ms": 1_000}))
            .await;
    }
    world.until("begin", 16).await;

    world.dispatcher.set_sizes(sizes(2));
    world.until("end", 20).await;
    world.settled().await;
    assert_eq!(world.children("/system/dispatcher/normal"), 2);
    world.dispatcher.set_sizes(sizes(50));
    world.settled().await;
    assert_eq!(world.children("/system/dispatcher/normal"), 50);
    world.until("end", 100).await;

    let counts = world.counts(Priority::Normal);
    assert_eq!((counts.done, counts.failed), (100, 0));
    assert!(world.most_at_a_time() >= 40, "{}", world.most_at_a_time());
}

#[tokio::test(start_paused = true)]
async fn a_kill_of_a_worker_a_tier_or_all_loses_no_job_that_waits() {
    for killed in [
        "worker",
        "/system/dispatcher/normal",
        "/system/dispatcher",
        "/system/dispatcher/crew",
    ] {
        let world = World::boot(&[("a", one())]).await;
        for number in 0..200 {
            world
                .publish("x", json!({"n": number, "sleep_ms": 10}))
                .await;
        }
        world.until("begin", 50).await;
        let in_hand = world.numbers("begin").len() - world.numbers("end").len();
        assert_eq!(in_hand, 1);

        let at = match killed {
            "worker" => world.busy_worker().await,
            at => path(at),
        };
        world.kernel.kill(&at, None).await.unwrap();
        world.idle().await;
        world.settled().await;

        let done = world.numbers("end");
        let lost: Vec<u64> = (0..200).filter(|number| !done.contains(number)).collect();
        let expected = usize::from(killed != "/system/dispatcher/crew");
        assert_eq!(
            lost.len(),
            expected,
            "{killed}: only the one in hand: {lost:?}"
        );
        assert_eq!(world.counts(Priority::Normal).failed, expected as u64);
        assert_eq!(world.children("/system/dispatcher/normal"), 16);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_restarted_in_order_finishes_its_job() {
    let world = World::boot(&[("a", one())]).await;
    world.publish("x", json!({"n": 1, "sleep_ms": 1_000})).await;
    world.until("begin", 1).await;

    let at = world.busy_worker().await;
    world.kernel.restart(&at).await.unwrap();

    assert_eq!(world.numbers("end"), [1]);
}

#[tokio::test(start_paused = true)]
async fn jobs_end_with_the_life_that_registered_them() {
    let world = World::boot(&[("a", one())]).await;
    world.publish("x", json!({"n": 1, "sleep_ms": 1_000})).await;
    world.publish("x", json!({"n": 2})).await;
    world.until("begin", 1).await;

    world.crash("/a").await;
    world.runs("/a", 2).await;
    world.publish("x", json!({"n": 3})).await;
    world.until_number("end", 3).await;

    assert_eq!(world.numbers("begin"), [1, 3]);
    assert_eq!(world.counts(Priority::Normal).dropped, 2);
    let letters = world.kernel.dead_letters().list();
    let reasons: Vec<_> = letters.iter().map(|letter| letter.reason).collect();
    assert!(
        reasons.contains(&DeadReason::DroppedAtRestart),
        "{reasons:?}"
    );
    assert_eq!(world.kernel.bus().subscriptions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_durable_job_is_done_over_restarts_of_who_registered_it() {
    let jobs = vec![Job {
        durable: true,
        ..Job::of("kept.*")
    }];
    let world = World::boot(&[("a", jobs)]).await;
    for number in 0..300 {
        world
            .publish("kept.x", json!({"n": number, "sleep_ms": 1}))
            .await;
    }

    for life in 2..6 {
        let begun = world.numbers("begin").len();
        world.until("begin", begun + 20).await;
        world.crash("/a").await;
        world.runs("/a", life).await;
    }
    world.until_number("end", 299).await;

    let done = world.numbers("end");
    assert!((0..300).all(|number| done.contains(&number)), "{done:?}");
    assert!(done.is_sorted(), "{done:?}");
    assert_eq!(
        world.kernel.dead_letters().total(),
        4,
        "the four crash messages"
    );
    assert_eq!(world.pending("kept").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_durable_job_that_fails_is_tried_again_and_then_a_dead_letter() {
    for (data, count) in [
        (json!({"n": 1, "fail": "boom"}), "failed"),
        (json!({"n": 1, "sleep_ms": 10_000}), "timed_out"),
    ] {
        let jobs = vec![Job {
            durable: true,
            timeout_ms: 50,
            ..Job::of("kept.*")
        }];
        let world = World::boot(&[("a", jobs)]).await;

        world.publish("kept.x", data).await;
        world.publish("kept.x", json!({"n": 2})).await;
        world.until_number("end", 2).await;
        world.idle().await;

        assert_eq!(world.numbers("begin"), [1, 1, 1, 1, 1, 2]);
        let counts = world.counts(Priority::Normal);
        let counted = json!(counts)[count].clone();
        assert_eq!((counts.done, counted), (1, json!(5)));
        let letters = world.kernel.dead_letters().list();
        assert_eq!(letters.len(), 1);
        assert_eq!(
            (letters[0].path.as_str(), letters[0].reason),
            ("/a", DeadReason::Poison)
        );
        assert_eq!(world.pending("kept").await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_of_the_dispatcher_loses_no_durable_job() {
    let jobs = vec![Job {
        durable: true,
        concurrency: 8,
        ..Job::of("kept.*")
    }];
    let world = World::boot(&[("a", jobs)]).await;
    for number in 0..200 {
        world
            .publish("kept.x", json!({"n": number, "sleep_ms": 10}))
            .await;
    }
    world.until("begin", 50).await;

    world
        .kernel
        .kill(&path("/system/dispatcher"), None)
        .await
        .unwrap();
    world.idle().await;

    let done = world.numbers("end");
    assert!((0..200).all(|number| done.contains(&number)), "{done:?}");
    assert_eq!(world.pending("kept").await, 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_dispatcher_a_registration_says_what_is_missing() {
    let said = World::without_dispatcher().await;

    assert_eq!(
        said,
        "error: this kernel has no /system/dispatcher: its services do not list `dispatcher::child()`"
    );
}

#[tokio::test]
async fn a_job_that_never_yields_costs_its_tier_no_worker() {
    let low = Job {
        tier: Some(Priority::Low),
        ..Job::of("x")
    };
    let world = World::on_threads(&[("a", vec![low])]).await;

    world
        .publish("x", json!({"n": 1, "until_told": true}))
        .await;
    world.until("begin", 1).await;
    world
        .until_exit("/system/dispatcher/low/", "held its thread")
        .await;
    world.let_go();
    world.publish("x", json!({"n": 2})).await;
    world.until_number("end", 2).await;

    assert_eq!(world.exits("/a"), Vec::<String>::new());
}
