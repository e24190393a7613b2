//! Dead letters in a stream: they outlive the kernel, and what becomes of them does too.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use unity_actors::dead_letters::desk::{Desk, GROUP, Letter, RetryError};
use unity_actors::dead_letters::{self, STREAM, Written};
use unity_supervisors::bus::Catalog;
use unity_supervisors::clock::{Clock, Timestamp};
use unity_supervisors::kind::Undelivered;
use unity_supervisors::secret::{SecretError, SecretSource, Secrets};
use unity_supervisors::spec::{ChildKind, ChildSpec, MailboxSpec, SupervisorSpec, TreeSpec};
use unity_supervisors::stream::{MemoryStreams, Position, Retention, StreamName, StreamStore};
use unity_supervisors::{
    Actor, ActorPath, ChildId, Context, Exit, Kernel, KernelConfig, KernelError, Kinds, Message,
    Next, Runtimes, Start,
};

/// Crashes with what it is told, or holds on to it.
struct Picky;

#[derive(Debug, Message)]
#[message(json)]
enum PickyMessage {
    Crash(Value),
    Take(Value),
    Hang,
}

impl Actor for Picky {
    type Message = PickyMessage;
    type Settings = Value;

    async fn start(_: &Value, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self))
    }

    async fn handle(
        &mut self,
        message: &mut PickyMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            PickyMessage::Crash(_) => Err(Exit::error("as asked")),
            PickyMessage::Take(_) => Ok(Next::Continue),
            PickyMessage::Hang => std::future::pending().await,
        }
    }
}

/// Says nothing in JSON.
struct Mute;

#[derive(Debug, Message)]
enum MuteMessage {
    Crash,
}

impl Actor for Mute {
    type Message = MuteMessage;
    type Settings = Value;

    async fn start(_: &Value, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self))
    }

    async fn handle(&mut self, _: &mut MuteMessage, _: &mut Context<Self>) -> Result<Next, Exit> {
        Err(Exit::error("as asked"))
    }
}

struct Store {
    clock: Clock,
    streams: Arc<MemoryStreams>,
}

impl Store {
    fn new() -> Self {
        let clock = Clock::simulated(Timestamp::from_secs(1_767_225_600));
        let streams = MemoryStreams::new(clock);
        Self { clock, streams }
    }

    async fn boot(&self) -> Kernel {
        self.boot_with(Secrets::default()).await
    }

    async fn boot_with(&self, secrets: Secrets) -> Kernel {
        let streams = Arc::clone(&self.streams) as Arc<dyn StreamStore>;
        boot(Some(streams), self.clock, secrets).await
    }
}

async fn boot(streams: Option<Arc<dyn StreamStore>>, clock: Clock, secrets: Secrets) -> Kernel {
    let kinds = Kinds::new()
        .with::<Picky>("picky", "is picky")
        .with::<Mute>("mute", "is mute")
        .with_secrets(secrets);
    let config = KernelConfig {
        service_kinds: dead_letters::with_kind(Kinds::new()),
        services: vec![dead_letters::child()],
        clock,
        streams,
        catalog: Catalog::default(),
        ..KernelConfig::new(Runtimes::current(), kinds, 7)
    };
    let worker = |id: &str, kind: &str| {
        let mut child = ChildSpec::worker(ChildId::new(id).unwrap(), kind);
        if let ChildKind::Worker(worker) = &mut child.what {
            worker.mailbox = Arc::new(MailboxSpec {
                capacity: 2,
                ..MailboxSpec::default()
            });
        }
        Arc::new(child)
    };
    let root = SupervisorSpec {
        children: vec![
            worker("a", "picky"),
            worker("b", "picky"),
            worker("m", "mute"),
        ],
        intensity: 10_000,
        ..SupervisorSpec::default()
    };
    let tree = TreeSpec {
        name: "test".to_owned(),
        test: true,
        root,
    };
    let kernel = Kernel::start(config, tree).await.unwrap();
    kernel.booted().await;
    kernel
}

fn path(text: &str) -> ActorPath {
    text.parse().unwrap()
}

/// Lets all be done that can be.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn crash(kernel: &Kernel, at: &str, with: Value) {
    kernel
        .tell(&path(at), json!({ "crash": with }))
        .await
        .unwrap();
    settle().await;
}

async fn newest(kernel: &Kernel) -> Vec<Letter> {
    let desk = Desk::look(kernel).await.unwrap();
    desk.newest(usize::MAX, |_| true).await.unwrap()
}

fn ids(letters: &[Letter]) -> Vec<u64> {
    letters.iter().map(|letter| letter.number).collect()
}

async fn get(kernel: &Kernel, id: u64) -> Letter {
    let desk = Desk::look(kernel).await.unwrap();
    desk.get(id).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn letters_outlive_the_kernel_and_their_numbers_go_on() {
    let store = Store::new();
    let first = store.boot().await;
    assert_eq!(ids(&newest(&first).await), Vec::<u64>::new());
    for number in 1..=3 {
        crash(&first, "/a", json!(number)).await;
    }
    assert_eq!(ids(&newest(&first).await), [3, 2, 1]);
    first.shutdown().await;

    let second = store.boot().await;
    crash(&second, "/b", json!(4)).await;

    let letters = newest(&second).await;
    assert_eq!(ids(&letters), [4, 3, 2, 1]);
    assert_eq!(second.dead_letters().total(), 1);
    for letter in letters {
        let of = if letter.number == 4 { "/b" } else { "/a" };
        assert_eq!(letter.path(), Some(path(of)));
        assert_eq!(
            letter.json.get("message"),
            Some(&json!({ "crash": letter.number }))
        );
        assert_eq!(letter.json.get("reason"), Some(&json!("crashed")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_killed_goes_on_where_it_was_and_doubles_nothing() {
    let store = Store::new();
    let kernel = store.boot().await;
    let mut kills = 0;

    for number in 1..=60 {
        kernel
            .tell(&path("/a"), json!({ "crash": number }))
            .await
            .unwrap();
        if number % 7 == 0 {
            let killed = kernel.kill(&path(dead_letters::PATH), None).await;
            kills += u32::from(killed.is_ok());
        }
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(kills > 0);

    let expected: Vec<u64> = (1..=60).rev().collect();
    assert_eq!(ids(&newest(&kernel).await), expected);
}

#[tokio::test(start_paused = true)]
async fn every_letter_of_many_is_found_by_its_number_until_it_is_settled() {
    let store = Store::new();
    let kernel = store.boot().await;
    for number in 1..=300 {
        kernel
            .tell(&path("/a"), json!({ "crash": number }))
            .await
            .unwrap();
        if number % 40 == 0 {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }
    settle().await;
    let all = newest(&kernel).await;

    let desk = Desk::work(&kernel).await.unwrap();
    for letter in &all {
        let found = desk.get(letter.number).await.unwrap().unwrap();
        assert_eq!(found.json, letter.json);
        assert!(desk.drop_letter(&found).await.unwrap());
        assert!(!desk.drop_letter(&found).await.unwrap());
        assert!(desk.get(letter.number).await.unwrap().is_none());
    }
    assert_eq!(desk.count().await.unwrap(), 0);
    for id in [0, 301, u64::MAX] {
        assert!(desk.get(id).await.unwrap().is_none());
    }
    // A flood is sampled, so not all of them have a letter.
    assert!(all.len() > 200, "{}", all.len());
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_stays_settled_over_kernel_starts() {
    let store = Store::new();
    let first = store.boot().await;
    for number in 1..=4 {
        crash(&first, "/a", json!(number)).await;
    }
    let desk = Desk::work(&first).await.unwrap();
    let (one, two) = (get(&first, 1).await, get(&first, 2).await);
    assert!(desk.drop_letter(&one).await.unwrap());
    let told = desk.retry(&two, None, Some(&json!({ "take": 2 }))).await;
    assert_eq!(told.unwrap(), path("/a"));
    drop(desk);
    settle().await;
    first.shutdown().await;

    let second = store.boot().await;

    assert_eq!(ids(&newest(&second).await), [4, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_refused_says_why_and_the_letter_stays() {
    let store = Store::new();
    let kernel = store.boot().await;
    crash(&kernel, "/a", json!(1)).await;
    let mute = kernel.address::<MuteMessage>(&path("/m")).unwrap();
    mute.tell(MuteMessage::Crash).await.unwrap();
    settle().await;
    kernel.stop(&path("/b")).await.unwrap();
    let desk = Desk::work(&kernel).await.unwrap();
    let (letter, mute) = (get(&kernel, 1).await, get(&kernel, 2).await);

    let down = desk.retry(&letter, Some(&path("/b")), None).await;
    let nowhere = desk.retry(&letter, Some(&path("/c")), None).await;
    let misfit = desk
        .retry(&letter, None, Some(&json!({ "shout": 1 })))
        .await;
    let nothing = desk.retry(&mute, None, None).await;

    let is_down = |error: &KernelError| {
        matches!(
            error,
            KernelError::Undelivered {
                error: Undelivered::NotRunning,
                ..
            }
        )
    };
    assert!(matches!(down, Err(RetryError::Refused(error)) if is_down(&error)));
    assert!(matches!(
        nowhere,
        Err(RetryError::Refused(KernelError::NotFound(_)))
    ));
    assert!(matches!(
        misfit,
        Err(RetryError::Refused(KernelError::Message { .. }))
    ));
    assert!(matches!(nothing, Err(RetryError::NoJson)));
    let open = newest(&kernel).await;
    assert_eq!(ids(&open), [2, 1]);
    assert!(open.iter().all(|letter| !letter.is_begun));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_a_kernel_did_not_survive_is_listed_as_cut_off() {
    let store = Store::new();
    let first = store.boot().await;
    crash(&first, "/a", json!(1)).await;
    assert_eq!(newest(&first).await.len(), 1);
    let stream = StreamName::new(STREAM).unwrap();
    let pending = store
        .streams
        .pending(&stream, GROUP, Position::START, 9)
        .await
        .unwrap();
    let position = pending.first().unwrap().position;
    // What it writes before it sends.
    let begun = store
        .streams
        .claim(&stream, GROUP, "retry", Duration::ZERO, &[position]);
    begun.await.unwrap();
    first.kill_all();
    first.ended().await;

    let second = store.boot().await;

    assert!(get(&second, 1).await.is_begun);
    let desk = Desk::work(&second).await.unwrap();
    let letter = desk.get(1).await.unwrap().unwrap();
    desk.retry(&letter, None, Some(&json!({ "take": 1 })))
        .await
        .unwrap();
    assert!(desk.get(1).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_while_a_retry_waits_for_room_leaves_the_letter_open() {
    for streams in [true, false] {
        let store = Store::new();
        let kernel = match streams {
            true => store.boot().await,
            false => boot(None, store.clock, Secrets::default()).await,
        };
        crash(&kernel, "/a", json!(1)).await;
        for _ in 0..3 {
            kernel.tell(&path("/b"), json!("hang")).await.unwrap();
            settle().await;
        }

        let desk = Desk::work(&kernel).await.unwrap();
        let letter = desk.get(1).await.unwrap().unwrap();
        let to = path("/b");
        let retry = desk.retry(&letter, Some(&to), None);
        let given_up = tokio::time::timeout(Duration::from_secs(1), retry).await;
        assert!(given_up.is_err());

        let open = newest(&kernel).await;
        assert_eq!(ids(&open), [1], "{streams}");
        assert!(!open.first().unwrap().is_begun);
    }
}

struct OneSecret;

impl SecretSource for OneSecret {
    fn read(&self, _: &str) -> Result<String, SecretError> {
        Ok("hunter2-hunter2".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_not_written_and_its_letter_is_not_sent_again_without_it() {
    let store = Store::new();
    let kernel = store.boot_with(Secrets::of(OneSecret)).await;
    let mut keeper = ChildSpec::worker(ChildId::new("keeper").unwrap(), "picky");
    if let ChildKind::Worker(worker) = &mut keeper.what {
        worker.settings = json!({ "token": "${secret:api}" });
    }
    kernel.spawn(&ActorPath::root(), keeper).await.unwrap();
    crash(&kernel, "/a", json!("with hunter2-hunter2 in it")).await;

    let desk = Desk::work(&kernel).await.unwrap();
    let letter = desk.get(1).await.unwrap().unwrap();

    assert!(!letter.json.to_string().contains("hunter2"), "{letter:?}");
    assert!(matches!(
        desk.retry(&letter, None, None).await,
        Err(RetryError::Masked)
    ));
    let instead = json!({ "take": 1 });
    assert!(desk.retry(&letter, None, Some(&instead)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_streams_the_list_is_what_there_is() {
    let kernel = boot(None, Clock::real(), Secrets::default()).await;
    for number in 1..=3 {
        crash(&kernel, "/a", json!(number)).await;
    }

    let desk = Desk::work(&kernel).await.unwrap();
    let (one, two) = (get(&kernel, 1).await, get(&kernel, 2).await);
    assert!(desk.drop_letter(&one).await.unwrap());
    let told = desk
        .retry(&two, Some(&path("/b")), Some(&json!({ "take": 2 })))
        .await;
    assert_eq!(told.unwrap(), path("/b"));

    assert_eq!(ids(&newest(&kernel).await), [3]);
    assert_eq!(desk.count().await.unwrap(), 1);
    assert!(matches!(
        desk.retry(&two, None, None).await,
        Err(RetryError::Settled)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_nothing_is_counted_and_holds_nobody_up() {
    let store = Store::new();
    let kernel = store.boot().await;
    crash(&kernel, "/a", json!(1)).await;
    store.streams.close().await;

    for number in 2..=4 {
        crash(&kernel, "/a", json!(number)).await;
    }

    assert_eq!(kernel.shared::<Written>().failed(), 3);
    assert_eq!(kernel.dead_letters().list().len(), 4);
    assert!(Desk::look(&kernel).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_its_stream_keeps_no_more_is_no_longer_there_to_be_settled() {
    let store = Store::new();
    let kernel = store.boot().await;
    for number in 1..=5 {
        crash(&kernel, "/a", json!(number)).await;
    }
    assert_eq!(newest(&kernel).await.len(), 5);
    let last_two = Retention {
        length: Some(2),
        ..Retention::default()
    };
    let stream = StreamName::new(STREAM).unwrap();
    store.streams.trim(&stream, last_two).await.unwrap();

    let desk = Desk::look(&kernel).await.unwrap();

    assert_eq!(ids(&newest(&kernel).await), [5, 4]);
    assert_eq!(desk.count().await.unwrap(), 2);
    assert!(desk.get(2).await.unwrap().is_none());
    assert!(desk.get(4).await.unwrap().is_some());
}
