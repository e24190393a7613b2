//! A life that holds its thread: told, cut off, outlived.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use unity_supervisors::report::Fact;
use unity_supervisors::slot::StallKind;
use unity_supervisors::spec::{ChildSpec, HealthSpec, OnStall, RunsOn};
use unity_supervisors::{ActorPath, Done, ExitKind, KernelConfig, SlotState};

use crate::support::*;

const STALL_AFTER: Duration = Duration::from_millis(30);

fn watched(number: usize, stall: OnStall) -> ChildSpec {
    worker(ChildSpec::worker(id(number), "spinner"), |worker| {
        worker.stall_after = STALL_AFTER;
        worker.stall = stall;
    })
}

fn all(stall: OnStall, count: usize) -> Vec<ChildSpec> {
    (0..count).map(|number| watched(number, stall)).collect()
}

fn stalled(fact: &Fact) -> bool {
    matches!(fact, Fact::Stalled { .. })
}

fn goes_on(fact: &Fact) -> bool {
    matches!(fact, Fact::GoesOn { .. })
}

fn let_go(fact: &Fact) -> bool {
    matches!(fact, Fact::LetGo { .. })
}

#[test]
fn a_life_that_holds_its_thread_is_told_of_once_and_so_is_that_it_goes_on() {
    with_kernel(all(OnStall::Report, 2), |held| async move {
        held.tell(0, Order::Spin(Arc::default()));

        let told = held.facts(1, stalled).await;
        let stall = held.slot(0).stall().expect("it is told of");
        held.brake.let_go.store(true, Ordering::SeqCst);
        held.facts(1, goes_on).await;

        let Some(Fact::Stalled {
            path: whose,
            incarnation,
            what,
            held_ms,
            in_hand,
        }) = told.first()
        else {
            panic!("{told:?}")
        };
        assert_eq!(
            (whose, *incarnation, *what),
            (&path(0), 1, StallKind::HoldsThread)
        );
        assert_eq!(*in_hand, Some("spin"));
        assert!(u128::from(*held_ms) >= STALL_AFTER.as_millis());
        assert_eq!((stall.incarnation, stall.in_hand), (1, Some("spin")));
        assert_eq!(held.slot(0).stall(), None);
        assert_eq!(held.facts_so_far(stalled).len(), 1);
        // It had handled one message before, and still lives its first life.
        assert_eq!(held.count(0).await, (1, 1));
        held.kernel.shutdown().await;
    });
}

#[test]
fn many_short_messages_in_a_poll_are_no_stall() {
    with_kernel(all(OnStall::Abandon, 1), |held| async move {
        // Together they take much longer than a stall, and fit into one poll.
        for _ in 0..40 {
            held.tell(0, Order::Work(STALL_AFTER / 10));
        }

        assert_eq!(held.count(0).await, (40, 1));
        assert!(held.facts_so_far(stalled).is_empty());
        held.kernel.shutdown().await;
    });
}

#[test]
fn an_abandoned_slot_goes_on_and_nothing_that_its_dead_life_does_has_an_effect() {
    with_kernel(all(OnStall::Abandon, 4), |held| async move {
        let own = Arc::new(AtomicBool::new(false));
        held.tell(0, Order::Spin(Arc::clone(&own)));
        held.spinning(1).await;

        // It waits while the first life is stuck, and is the second's.
        let answer = held.count(0).await;

        let slot = held.slot(0);
        assert_eq!(answer, (0, 2));
        assert_eq!((slot.abandoned(), held.kernel.abandoned()), (1, 1));
        let exit = &slot.history()[0];
        assert_eq!(
            (exit.reason.kind, exit.in_hand),
            (ExitKind::Stalled, Some("spin"))
        );
        let why = exit.reason.to_string();
        assert!(
            why.contains("with `spin` in hand, and was cut off"),
            "{why}"
        );
        let letter = held.kernel.dead_letters().get(1).expect("it is kept");
        assert_eq!((letter.name, &letter.path), ("spin", &path(0)));
        assert!(letter.message.is_none() && letter.debug.is_none());

        own.store(true, Ordering::SeqCst);
        held.facts(1, let_go).await;

        assert_eq!((slot.abandoned(), held.kernel.abandoned()), (0, 0));
        let late = held.brake.late.lock().unwrap().clone();
        assert_eq!(late, vec!["Err(Revoked)"; 4]);
        assert_eq!(held.kernel.dead_letters().total(), 1);
        assert_eq!(held.count(0).await, (1, 2));
        held.kernel.shutdown().await;
    });
}

#[test]
fn who_is_innocent_goes_on_with_all_its_state_when_every_thread_is_stuck() {
    let mut children = all(OnStall::Report, WORK_THREADS);
    children.extend(spinners(WORK_THREADS..=WORK_THREADS));
    with_kernel(children, |held| async move {
        assert_eq!(held.count(WORK_THREADS).await, (0, 1));
        held.hold_every_thread().await;

        let answer = held.count(WORK_THREADS).await;

        assert!(
            !held.brake.let_go.load(Ordering::SeqCst),
            "the threads are held"
        );
        assert_eq!(
            answer,
            (1, 1),
            "it is the same life, which had one message before"
        );
        // One for each that is stuck, and no more.
        while held.threads.spare() > SPARE_THREADS - WORK_THREADS {
            tokio::task::yield_now().await;
        }
        held.brake.let_go.store(true, Ordering::SeqCst);
        held.facts(WORK_THREADS, goes_on).await;
        held.kernel.shutdown().await;
    });
}

#[test]
fn no_more_than_max_abandoned_are_cut_off_until_one_lets_go() {
    let one = |config| KernelConfig {
        max_abandoned: 1,
        ..config
    };
    with_config(all(OnStall::Abandon, 2), one, |held| async move {
        let own = Arc::new(AtomicBool::new(false));
        held.tell(0, Order::Spin(Arc::clone(&own)));
        held.runs(0, 2).await;

        held.tell(1, Order::Spin(Arc::default()));
        held.facts(1, |fact| matches!(fact, Fact::Crowded { abandoned: 1 }))
            .await;

        assert_eq!(
            (held.kernel.abandoned(), held.kernel.max_abandoned()),
            (1, 1)
        );
        assert_eq!(held.slot(1).incarnation(), 1);
        assert_eq!(held.slot(1).stall().unwrap().in_hand, Some("spin"));
        own.store(true, Ordering::SeqCst);
        held.runs(1, 2).await;
        assert_eq!((held.slot(0).abandoned(), held.slot(1).abandoned()), (0, 1));
        held.kernel.shutdown().await;
    });
}

#[test]
fn a_killed_life_that_holds_its_thread_is_cut_off_without_a_stop() {
    let never = |config| KernelConfig {
        kill_grace: Duration::from_secs(3_600),
        ..config
    };
    with_config(spinners(0..1), never, |held| async move {
        held.kernel.set_kill_grace(STALL_AFTER);
        held.tell(0, Order::Spin(Arc::default()));
        held.spinning(1).await;

        let killed = held
            .kernel
            .kill(&path(0), Some("unplug test".to_owned()))
            .await;
        held.runs(0, 2).await;

        assert_eq!(killed, Ok(Done::Killed));
        assert!(
            !held.brake.let_go.load(Ordering::SeqCst),
            "the thread is held"
        );
        let exit = &held.slot(0).history()[0].reason;
        assert_eq!(exit.kind, ExitKind::Killed);
        assert!(
            exit.to_string()
                .starts_with("killed: unplug test; it held its thread"),
            "{exit}"
        );
        assert_eq!(held.slot(0).abandoned(), 1);
        held.kernel.shutdown().await;
    });
}

#[test]
fn a_start_that_holds_its_thread_is_cut_off_like_any_other() {
    let blocker = |stall| {
        let child = worker(ChildSpec::worker(id(1), "blocker"), |worker| {
            worker.stall_after = STALL_AFTER;
            worker.stall = stall;
        });
        ChildSpec {
            backoff: Some(Default::default()),
            ..child
        }
    };
    // Beside others it starts by the express, alone it does not.
    for siblings in [0, 3] {
        let mut children = vec![blocker(OnStall::Abandon)];
        children.extend(spinners(2..2 + siblings));
        with_kernel(children, |held| async move {
            held.runs(1, 1).await;

            let slot = held.slot(1);
            assert!(
                !held.brake.let_go.load(Ordering::SeqCst),
                "the thread is held"
            );
            let exit = &slot.history()[0];
            assert_eq!(
                (exit.reason.kind, exit.failed_start),
                (ExitKind::Stalled, true)
            );
            assert_eq!((slot.abandoned(), slot.starts()), (1, 2));
            held.brake.let_go.store(true, Ordering::SeqCst);
            held.facts(1, let_go).await;
            assert_eq!((slot.abandoned(), slot.state()), (0, SlotState::Running));
            held.kernel.shutdown().await;
        });
    }
}

#[test]
fn a_stop_that_holds_its_thread_is_cut_off_before_its_time_is_over() {
    let child = ChildSpec {
        shutdown: unity_supervisors::spec::Shutdown::Infinity,
        ..watched(0, OnStall::Abandon)
    };
    with_kernel(vec![child], |held| async move {
        held.tell(0, Order::SpinAtStop);
        // A stop overtakes what waits: it is heard of first.
        assert_eq!(held.count(0).await, (1, 1));

        let stopped = held.kernel.stop(&path(0)).await;

        assert_eq!(stopped, Ok(Done::Stopped));
        let slot = held.slot(0);
        assert_eq!((slot.state(), slot.abandoned()), (SlotState::Stopped, 1));
        assert_eq!(slot.history()[0].reason.kind, ExitKind::Stalled);
        assert_eq!(
            held.kernel.dead_letters().total(),
            0,
            "no message was in hand"
        );
        held.brake.let_go.store(true, Ordering::SeqCst);
        held.facts(1, let_go).await;
        held.kernel.shutdown().await;
    });
}

#[test]
fn a_task_that_holds_its_thread_is_cut_off_with_its_life() {
    with_kernel(all(OnStall::Abandon, 1), |held| async move {
        held.tell(0, Order::SpinBeside(Arc::default()));

        held.runs(0, 2).await;

        let slot = held.slot(0);
        assert!(
            !held.brake.let_go.load(Ordering::SeqCst),
            "the thread is held"
        );
        assert_eq!(slot.history()[0].reason.kind, ExitKind::Stalled);
        assert_eq!(slot.abandoned(), 1);
        assert_eq!(
            held.kernel.dead_letters().total(),
            0,
            "no message was in hand"
        );
        held.brake.let_go.store(true, Ordering::SeqCst);
        held.facts(1, let_go).await;
        held.kernel.shutdown().await;
    });
}

#[test]
fn who_says_that_it_will_be_busy_is_not_stalled() {
    let mut children = all(OnStall::Abandon, 1);
    children.push(watched(1, OnStall::Report));
    with_kernel(children, |held| async move {
        let hour = Duration::from_secs(3_600);
        held.tell(0, Order::SpinFor(hour, Arc::default()));
        held.spinning(1).await;
        held.tell(1, Order::Spin(Arc::default()));

        // The one that came later is told of; the one that said so is not.
        let told = held.facts(1, stalled).await;

        assert!(matches!(&told[..], [Fact::Stalled { path: whose, .. }] if *whose == path(1)));
        assert_eq!(held.slot(0).stall(), None);
        held.brake.let_go.store(true, Ordering::SeqCst);
        held.kernel.shutdown().await;
        assert!(
            held.facts_so_far(|fact| matches!(fact, Fact::CutOff { .. }))
                .is_empty()
        );
    });
}

#[test]
fn supervisors_answer_and_restart_while_every_thread_is_stuck() {
    let mut children = all(OnStall::Report, WORK_THREADS);
    let group = unity_supervisors::spec::SupervisorSpec::default();
    children.push(ChildSpec::supervisor(id(9), group));
    // Nobody is let go for them.
    with_kernel(children, |held| async move {
        held.hold_every_thread().await;

        let killed = held.kernel.kill(&path(9), None).await;
        held.runs(9, 2).await;
        let tree = held.kernel.tree(None).and_then(|view| view.tree);

        assert_eq!(killed, Ok(Done::Killed));
        assert_eq!(tree.map(|tree| tree.path), Some(ActorPath::root()));
        assert!(
            !held.brake.let_go.load(Ordering::SeqCst),
            "the threads are held"
        );
        held.brake.let_go.store(true, Ordering::SeqCst);
        held.kernel.shutdown().await;
    });
}

/// A child with a thread of its own.
fn alone(number: usize, stall: OnStall) -> ChildSpec {
    worker(watched(number, stall), |worker| {
        worker.runtime = RunsOn::Own
    })
}

#[test]
fn a_child_with_a_thread_of_its_own_holds_no_other_and_takes_it_along_at_its_end() {
    let mut children = spinners(1..4);
    children.insert(0, alone(0, OnStall::Report));
    with_kernel(children, |held| async move {
        assert_eq!(held.threads.own(), 1);
        held.tell(0, Order::Spin(Arc::default()));
        held.facts(1, stalled).await;

        let answer = held.count(1).await;

        assert_eq!((answer, held.threads.spare()), ((0, 1), SPARE_THREADS));
        held.brake.let_go.store(true, Ordering::SeqCst);
        assert_eq!(held.count(0).await, (1, 1));
        assert_eq!(
            held.kernel.restart(&path(0)).await,
            Ok(Done::Started { incarnation: 2 })
        );
        assert_eq!(held.count(0).await, (0, 2));
        held.kernel.stop(&path(0)).await.expect("it stops");
        while held.threads.own() > 0 {
            tokio::task::yield_now().await;
        }
        held.kernel.shutdown().await;
    });
}

#[test]
fn a_stuck_thread_of_its_own_is_left_behind_and_the_next_life_has_a_fresh_one() {
    with_kernel(vec![alone(0, OnStall::Abandon)], |held| async move {
        held.tell(0, Order::Spin(Arc::default()));

        let answer = held.count(0).await;

        assert_eq!(
            (answer, held.threads.own(), held.slot(0).abandoned()),
            ((0, 2), 2, 1)
        );
        held.brake.let_go.store(true, Ordering::SeqCst);
        held.facts(1, let_go).await;
        while held.threads.own() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(held.count(0).await, (1, 2));
        held.kernel.shutdown().await;
    });
}

/// A child that is asked for its health.
fn asked(number: usize, stall: OnStall) -> ChildSpec {
    worker(ChildSpec::worker(id(number), "spinner"), |worker| {
        worker.stall = stall;
        worker.health = Some(HealthSpec {
            every: Duration::from_millis(5),
            timeout: Duration::from_millis(5),
            fails: 3,
        });
    })
}

#[test]
fn who_does_not_answer_for_its_health_is_told_of_until_it_does() {
    with_kernel(vec![asked(0, OnStall::Report)], |held| async move {
        held.tell(0, Order::Await);

        held.facts(1, stalled).await;
        let stall = held.slot(0).stall().expect("it is told of");
        held.brake.let_go.store(true, Ordering::SeqCst);
        held.facts(1, goes_on).await;

        assert_eq!(
            (stall.what, stall.in_hand),
            (StallKind::NoAnswer, Some("await"))
        );
        assert_eq!(held.count(0).await, (1, 1));
        held.kernel.shutdown().await;
    });
}

#[test]
fn who_does_not_answer_for_its_health_is_ended_where_its_spec_says_so() {
    with_kernel(vec![asked(0, OnStall::Abandon)], |held| async move {
        held.tell(0, Order::Await);

        let answer = held.count(0).await;

        let exit = &held.slot(0).history()[0];
        assert_eq!((answer, exit.reason.kind), ((0, 2), ExitKind::Stalled));
        let why = exit.reason.to_string();
        assert!(
            why.contains("did not answer 3 times in a row with `await` in hand"),
            "{why}"
        );
        // It held no thread: nothing is left behind.
        assert_eq!((held.slot(0).abandoned(), held.kernel.abandoned()), (0, 0));
        held.brake.let_go.store(true, Ordering::SeqCst);
        held.kernel.shutdown().await;
    });
}
