//! What our life cycles stand on in ractor 0.16.5. When an upgrade breaks one of these, `shell.rs`, `job.rs` and
//! `supervisor.rs` have to be read again before anything else is believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{Notify, mpsc};

/// ractor's message type: never looked at.
struct Nothing;

impl ractor::Message for Nothing {}

/// Tells what it hears of its children.
struct Listener(mpsc::Sender<String>);

impl Actor for Listener {
    type Msg = Nothing;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Nothing>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Nothing>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let heard = match event {
            SupervisionEvent::ActorStarted(_) => "started".to_owned(),
            SupervisionEvent::ActorTerminated(_, _, why) => format!("terminated {why:?}"),
            SupervisionEvent::ActorFailed(_, error) => format!("failed {error}"),
            _ => return Ok(()),
        };
        Ok(self.0.send(heard).await?)
    }
}

/// What a child does in its `post_start`, where our lives are.
enum Does {
    Wait,
    Fail,
    Panic,
}

struct Child {
    does: Does,
    lives: Arc<AtomicBool>,
    began: Arc<Notify>,
}

/// Says when it is dropped.
struct Alive(Arc<AtomicBool>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Actor for Child {
    type Msg = Nothing;
    type State = ();
    type Arguments = bool;

    async fn pre_start(&self, _: ActorRef<Nothing>, fail: bool) -> Result<(), ActorProcessingErr> {
        if fail {
            Err("told to fail".into())
        } else {
            Ok(())
        }
    }

    async fn post_start(
        &self,
        _: ActorRef<Nothing>,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.lives.store(true, Ordering::SeqCst);
        let _alive = Alive(Arc::clone(&self.lives));
        self.began.notify_one();
        match self.does {
            Does::Wait => std::future::pending().await,
            Does::Fail => Err("the life is over".into()),
            Does::Panic => panic!("in the middle of it"),
        }
    }
}

/// A supervisor, and what it hears.
async fn listener() -> (ActorCell, mpsc::Receiver<String>) {
    let (sender, heard) = mpsc::channel(8);
    let spawned = Actor::spawn(None, Listener(sender), ()).await;
    (spawned.expect("a listener starts").0.get_cell(), heard)
}

/// A child that is in its `post_start`, and whether what it holds there lives.
async fn child(does: Does, supervisor: &ActorCell) -> (ActorCell, Arc<AtomicBool>) {
    let (lives, began) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let child = Child {
        does,
        lives: Arc::clone(&lives),
        began: Arc::clone(&began),
    };
    let spawned = Actor::spawn_linked(None, child, false, supervisor.clone()).await;
    began.notified().await;
    (spawned.expect("a child starts").0.get_cell(), lives)
}

#[tokio::test]
async fn a_kill_drops_what_post_start_holds_before_the_supervisor_hears_of_it() {
    let (supervisor, mut heard) = listener().await;
    let (child, lives) = child(Does::Wait, &supervisor).await;

    child.kill();

    assert_eq!(heard.recv().await.unwrap(), "terminated Some(\"killed\")");
    assert!(!lives.load(Ordering::SeqCst));
}

#[tokio::test]
async fn an_error_or_a_panic_in_post_start_is_a_failure_and_never_a_start() {
    for (does, expected) in [
        (Does::Fail, "failed the life is over"),
        (Does::Panic, "failed in the middle of it"),
    ] {
        let (supervisor, mut heard) = listener().await;
        let (_child, lives) = child(does, &supervisor).await;

        assert_eq!(heard.recv().await.unwrap(), expected);
        assert!(!lives.load(Ordering::SeqCst));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_pre_start_is_an_error_of_the_spawn_and_no_event() {
    let (supervisor, mut heard) = listener().await;
    let child = Child {
        does: Does::Wait,
        lives: Arc::default(),
        began: Arc::default(),
    };

    let spawned = Actor::spawn_linked(None, child, true, supervisor).await;

    assert!(spawned.is_err());
    let event = tokio::time::timeout(Duration::from_secs(60), heard.recv()).await;
    assert!(event.is_err(), "{event:?}");
}

#[tokio::test]
async fn the_end_of_a_supervisor_ends_what_is_linked_to_it() {
    let (supervisor, _heard) = listener().await;
    let (child, lives) = child(Does::Wait, &supervisor).await;

    supervisor.stop(None);
    child.wait(None).await.unwrap();

    assert!(!lives.load(Ordering::SeqCst));
}

#[tokio::test]
async fn nothing_is_sent_to_or_linked_to_an_actor_that_has_ended() {
    let (supervisor, _heard) = listener().await;
    supervisor.stop_and_wait(None, None).await.unwrap();

    assert!(supervisor.send_message(Nothing).is_err());
    let child = Child {
        does: Does::Wait,
        lives: Arc::default(),
        began: Arc::default(),
    };
    assert!(
        Actor::spawn_linked(None, child, false, supervisor)
            .await
            .is_err()
    );
}
