//! What is held up on one runtime does not hold up the other.

use std::sync::atomic::Ordering;
use std::time::Duration;

use unity_supervisors::spec::{Backoff, ChildSpec};
use unity_supervisors::{ActorPath, ChildId, Done, ExitKind, SlotState};

use crate::support::*;

#[test]
fn tree_and_kill_answer_while_every_work_thread_is_held() {
    with_kernel(spinners(0..=WORK_THREADS), |held| async move {
        let (kernel, brake) = (&held.kernel, &held.brake);
        held.hold_every_thread().await;

        let tree = kernel.tree(None).unwrap().tree.unwrap();
        let killed = kernel.kill(&path(WORK_THREADS), None).await;

        assert!(
            !brake.let_go.load(Ordering::SeqCst),
            "both answered while the threads were held"
        );
        assert_eq!(tree.children.len(), WORK_THREADS + 1);
        assert_eq!(killed, Ok(Done::Killed));
        brake.let_go.store(true, Ordering::SeqCst);
        let slot = kernel.registry().get(&path(WORK_THREADS)).unwrap();
        while slot.incarnation() < 2 || slot.state() != SlotState::Running {
            tokio::task::yield_now().await;
        }
        kernel.shutdown().await;
    });
}

#[test]
fn a_start_that_holds_its_thread_is_left_behind_and_tried_again() {
    let mut child = ChildSpec::worker(ChildId::new("b").unwrap(), "blocker");
    child.start_timeout = Some(Duration::from_millis(20));
    child.backoff = Some(Backoff::default());
    with_kernel(vec![child], |held| async move {
        let (kernel, brake) = (&held.kernel, &held.brake);
        let slot = kernel.registry().get(&"/b".parse().unwrap()).unwrap();
        while slot.state() != SlotState::Running {
            tokio::task::yield_now().await;
        }

        assert!(
            !brake.let_go.load(Ordering::SeqCst),
            "it runs while the first start still blocks"
        );
        assert_eq!(slot.abandoned(), 1);
        assert!(
            slot.history()[0]
                .reason
                .to_string()
                .contains("did not start within 20ms")
        );
        brake.let_go.store(true, Ordering::SeqCst);
        kernel.shutdown().await;
    });
}

#[test]
fn a_start_that_holds_its_thread_keeps_nobody_of_its_run_from_starting() {
    let mut blocker = ChildSpec::worker(ChildId::new("b").unwrap(), "blocker");
    blocker.start_timeout = Some(Duration::from_millis(150));
    blocker.backoff = Some(Backoff::default());
    let mut children = spinners(0..4);
    children.insert(2, blocker);
    with_kernel(children, |held| async move {
        let (kernel, brake) = (&held.kernel, &held.brake);
        let state = |path| kernel.registry().get(&path).unwrap().state();
        let blocked = "/b".parse().unwrap();

        // `with_kernel` waited for the boot: all but the one that blocks have started.
        assert!((0..4).all(|number| state(path(number)) == SlotState::Running));
        while state(ActorPath::clone(&blocked)) != SlotState::Running {
            tokio::task::yield_now().await;
        }

        let slot = kernel.registry().get(&blocked).unwrap();
        assert!(!brake.let_go.load(Ordering::SeqCst));
        assert_eq!(slot.abandoned(), 1);
        let reason = slot.history()[0].reason.to_string();
        assert!(reason.contains("did not start within 150ms"), "{reason}");
        brake.let_go.store(true, Ordering::SeqCst);
        kernel.shutdown().await;
    });
}

#[test]
fn a_run_of_children_is_asked_to_stop_while_every_work_thread_is_held() {
    with_kernel(spinners(0..5), |held| async move {
        let (kernel, brake) = (&held.kernel, &held.brake);
        held.hold_every_thread().await;
        let last = kernel.registry().get(&path(4)).unwrap();

        let release = async {
            // Only the control side can have asked: no work thread is free.
            while last.state() != SlotState::Stopping {
                tokio::task::yield_now().await;
            }
            brake.let_go.store(true, Ordering::SeqCst);
        };
        tokio::join!(kernel.shutdown(), release);

        assert_eq!(last.abandoned(), 0);
        assert_eq!(last.history()[0].reason.kind, ExitKind::Shutdown);
    });
}
