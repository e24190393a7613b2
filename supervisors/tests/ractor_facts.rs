//! What our supervisors stand on in ractor 0.16.5. When an upgrade breaks one of these, `supervisor.rs` has to be read
//! again before anything else is believed.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

/// What the actor under test is told.
enum Told {
    Say(u32),
    Panic,
    Fail,
}

impl ractor::Message for Told {}

/// Says what it hears, and that it is dropped: the state of an actor.
struct Talker(mpsc::Sender<String>);

impl Drop for Talker {
    fn drop(&mut self) {
        drop(self.0.try_send("dropped".to_owned()));
    }
}

struct Plain;

impl Actor for Plain {
    type Msg = Told;
    type State = Talker;
    type Arguments = Option<mpsc::Sender<String>>;

    async fn pre_start(
        &self,
        myself: ActorRef<Told>,
        heard: Self::Arguments,
    ) -> Result<Talker, ActorProcessingErr> {
        myself.send_message(Told::Say(0))?;
        Ok(Talker(heard.ok_or("told to fail")?))
    }

    async fn handle(
        &self,
        _: ActorRef<Told>,
        message: Told,
        state: &mut Talker,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Told::Say(number) => Ok(state.0.try_send(number.to_string())?),
            Told::Panic => panic!("in the middle of it"),
            Told::Fail => Err("told to fail".into()),
        }
    }
}

async fn talker() -> (ActorRef<Told>, mpsc::Receiver<String>) {
    let (sender, heard) = mpsc::channel(8);
    let spawned = Actor::spawn(None, Plain, Some(sender)).await;
    (spawned.expect("it starts").0, heard)
}

#[tokio::test]
async fn what_an_actor_sends_itself_in_its_start_comes_before_all_others() {
    let (actor, mut heard) = talker().await;

    actor.send_message(Told::Say(1)).unwrap();

    assert_eq!(heard.recv().await.as_deref(), Some("0"));
    assert_eq!(heard.recv().await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_panic_an_error_and_a_stop_drop_the_state_once_and_end_the_actor() {
    for end in [Some(Told::Panic), Some(Told::Fail), None] {
        let (actor, mut heard) = talker().await;
        assert_eq!(heard.recv().await.as_deref(), Some("0"));

        match end {
            Some(told) => actor.send_message(told).unwrap(),
            None => actor.stop(None),
        }

        assert_eq!(heard.recv().await.as_deref(), Some("dropped"));
        assert_eq!(heard.recv().await, None);
        actor.wait(None).await.unwrap();
        assert!(actor.send_message(Told::Say(2)).is_err());
    }
}

#[tokio::test]
async fn a_failed_start_is_an_error_of_the_spawn() {
    assert!(Actor::spawn(None, Plain, None).await.is_err());
}
