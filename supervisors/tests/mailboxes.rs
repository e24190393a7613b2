//! Mailboxes and priorities (DESIGN, sections 4 and 5) through the public surface.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use unity_supervisors::dead_letter::DeadReason;
use unity_supervisors::spec::{
    ChildKind, ChildSpec, MailboxSpec, OnRestart, Overflow, SupervisorSpec, TreeSpec,
};
use unity_supervisors::{
    Actor, ActorPath, Address, AskError, ChildId, Context, Exit, Kernel, KernelConfig, Kinds,
    Message, Next, NoAnswer, Priority, Reply, Runtimes, SendError, Start,
};

#[path = "mailboxes/memory.rs"]
mod memory;

/// How much memory an office may use.
const LIMIT: u64 = 1_000;

/// What a worker handled, and a gate that it waits at before each message.
struct Desk {
    handled: Mutex<Vec<u64>>,
    gate: Semaphore,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

#[derive(Debug)]
enum Job {
    /// A number to be written down.
    Note(u64, Priority),
    /// A number to be written down, after which the life ends.
    Crash(u64),
    /// Answered with how many were written down.
    Count(Reply<usize>),
    /// The same, when there is nothing else to do.
    CountLater(Reply<usize>),
    /// Its reply is taken out, then the life ends.
    TakeAndCrash(Reply<usize>),
    /// Answers nothing.
    Mute(Reply<usize>),
    /// Sends so many to itself; answers how many were accepted.
    TellMyself(u64, Reply<u64>),
}

impl Message for Job {
    fn priority(&self) -> Priority {
        match self {
            Self::Note(_, priority) => *priority,
            Self::CountLater(_) => Priority::Deferred,
            _ => Priority::Normal,
        }
    }

    fn name(&self) -> &'static str {
        "job"
    }

    fn reply(&mut self) -> Option<&mut dyn unity_supervisors::message::ReplyPort> {
        match self {
            Self::Note(..) | Self::Crash(_) => None,
            Self::Count(reply)
            | Self::CountLater(reply)
            | Self::TakeAndCrash(reply)
            | Self::Mute(reply) => Some(reply),
            Self::TellMyself(_, reply) => Some(reply),
        }
    }
}

struct Clerk {
    desk: Arc<Desk>,
}

impl Actor for Clerk {
    type Message = Job;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self {
            desk: ctx.kernel().shared::<Desk>(),
        }))
    }

    async fn handle(&mut self, job: &mut Job, ctx: &mut Context<Self>) -> Result<Next, Exit> {
        self.desk.gate.acquire().await?.forget();
        match job {
            Job::Note(number, _) => self.desk.handled.lock().unwrap().push(*number),
            Job::Crash(number) => {
                self.desk.handled.lock().unwrap().push(*number);
                return Err(Exit::error("told to"));
            }
            Job::Count(reply) | Job::CountLater(reply) => {
                reply.send(self.desk.handled.lock().unwrap().len())
            }
            Job::TakeAndCrash(reply) => {
                drop(reply.take());
                return Err(Exit::error("told to"));
            }
            Job::Mute(_) => {}
            Job::TellMyself(count, reply) => {
                let myself = ctx.myself();
                let mut accepted = 0;
                for number in 0..*count {
                    match myself.tell(Job::Note(number, Priority::Normal)).await {
                        Ok(()) => accepted += 1,
                        Err(error) => assert!(matches!(error, SendError::Full(_)), "{error:?}"),
                    }
                }
                reply.send(accepted);
            }
        }
        Ok(Next::Continue)
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            handled: Mutex::default(),
            gate: Semaphore::new(0),
        }
    }
}

/// A kernel of one clerk, whose gate lets nothing through yet.
struct Office {
    kernel: Kernel,
    desk: Arc<Desk>,
    clerk: Address<Job>,
    path: ActorPath,
}

impl Office {
    async fn open(mailbox: MailboxSpec) -> Self {
        Self::of(mailbox, Some(LIMIT)).await
    }

    async fn of(mailbox: MailboxSpec, memory_limit: Option<u64>) -> Self {
        let mut child = ChildSpec::worker(ChildId::new("clerk").unwrap(), "clerk");
        if let ChildKind::Worker(worker) = &mut child.what {
            worker.mailbox = Arc::new(mailbox);
        }
        let root = SupervisorSpec {
            intensity: 1_000_000,
            children: vec![Arc::new(child)],
            ..SupervisorSpec::default()
        };
        let tree = TreeSpec {
            name: "office".to_owned(),
            test: true,
            root,
        };
        let kinds = Kinds::new().with::<Clerk>("clerk", "writes numbers down");
        let desk = Arc::new(Desk::default());
        let config = KernelConfig {
            memory_limit,
            ..KernelConfig::new(Runtimes::current(), kinds, 1)
        }
        .with_shared(Arc::clone(&desk));
        let kernel = Kernel::start(config, tree).await.unwrap();
        kernel.booted().await;
        let path: ActorPath = "/clerk".parse().unwrap();
        let clerk = kernel.address(&path).unwrap();
        Self {
            kernel,
            desk,
            clerk,
            path,
        }
    }

    fn note(&self, number: u64) -> Result<(), SendError<Job>> {
        self.clerk.try_tell(Job::Note(number, Priority::Normal))
    }

    /// Lets everything through, and waits until what was sent before is handled.
    async fn handled(&self) -> Vec<u64> {
        self.desk.gate.add_permits(1_000_000);
        let last = |reply| Job::Count(reply);
        self.clerk
            .ask(Duration::from_secs(3_600), last)
            .await
            .unwrap();
        self.desk.handled.lock().unwrap().clone()
    }

    /// Waits until the clerk holds a message in hand, so that nothing it is sent later overtakes it.
    async fn until_busy(&self) {
        while self
            .kernel
            .tree(Some(&self.path))
            .unwrap()
            .tree
            .unwrap()
            .mailbox
            .unwrap()
            .depth
            > 0
        {
            tokio::task::yield_now().await;
        }
    }

    fn reasons(&self) -> Vec<DeadReason> {
        self.kernel
            .dead_letters()
            .list()
            .iter()
            .map(|letter| letter.reason)
            .collect()
    }
}

#[tokio::test]
async fn messages_of_one_sender_are_handled_in_order() {
    let office = Office::open(MailboxSpec::default()).await;

    for number in 0..1_000 {
        office.note(number).unwrap();
    }

    assert_eq!(office.handled().await, (0..1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn lanes_go_by_priority_and_a_waiting_lane_has_its_turn() {
    let office = Office::open(MailboxSpec {
        fairness: 3,
        ..MailboxSpec::default()
    })
    .await;
    office.note(0).unwrap();
    office.until_busy().await;

    for number in 10..16 {
        office
            .clerk
            .try_tell(Job::Note(number, Priority::Low))
            .unwrap();
    }
    for number in 20..26 {
        office
            .clerk
            .try_tell(Job::Note(number, Priority::Critical))
            .unwrap();
    }

    office.desk.gate.add_permits(1_000);
    office.until_busy().await;
    office
        .clerk
        .ask(Duration::from_secs(5), Job::Count)
        .await
        .unwrap();
    let handled = office.desk.handled.lock().unwrap().clone();
    assert_eq!(
        handled[..9],
        [0, 20, 21, 22, 10, 23, 24, 25, 11],
        "{handled:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_blocks_its_sender_until_there_is_room_or_its_patience_is_over() {
    let send_timeout = Duration::from_millis(500);
    let mailbox = MailboxSpec {
        capacity: 4,
        send_timeout,
        ..MailboxSpec::default()
    };
    let office = Office::open(mailbox).await;
    office.note(0).unwrap();
    office.until_busy().await;
    for number in 1..5 {
        office.note(number).unwrap();
    }

    assert!(matches!(
        office.note(5),
        Err(SendError::Full(Job::Note(5, _)))
    ));
    let started = tokio::time::Instant::now();
    let sent = office.clerk.tell(Job::Note(5, Priority::Normal)).await;
    assert!(
        matches!(sent, Err(SendError::Full(Job::Note(5, _)))),
        "{sent:?}"
    );
    assert_eq!(started.elapsed(), send_timeout);

    let (sent, ()) = tokio::join!(office.clerk.tell(Job::Note(6, Priority::Normal)), async {
        tokio::task::yield_now().await;
        office.desk.gate.add_permits(4);
    });
    sent.unwrap();
    assert_eq!(office.handled().await, [0, 1, 2, 3, 4, 6]);
}

#[tokio::test]
async fn each_overflow_rule_does_what_it_says() {
    for (overflow, handled, reasons) in [
        (Overflow::Reject, vec![0, 1, 2], vec![]),
        (
            Overflow::DropNewest,
            vec![0, 1, 2],
            vec![DeadReason::DroppedNewest; 2],
        ),
        (
            Overflow::DropOldest,
            vec![0, 3, 4],
            vec![DeadReason::DroppedOldest; 2],
        ),
    ] {
        // The question at the end has a lane of its own size.
        let mailbox = MailboxSpec {
            capacity: 2,
            overflow,
            ..MailboxSpec::default()
        };
        let office = Office::open(mailbox).await;
        office.note(0).unwrap();
        office.until_busy().await;

        let sent: Vec<bool> = (1..5).map(|number| office.note(number).is_ok()).collect();

        assert_eq!(
            sent,
            [
                true,
                true,
                overflow != Overflow::Reject,
                overflow != Overflow::Reject
            ]
        );
        office.desk.gate.add_permits(1_000);
        office.until_busy().await;
        assert_eq!(office.handled().await, handled, "{overflow:?}");
        assert_eq!(office.reasons(), reasons);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waited_for_longer_than_its_ttl_is_a_dead_letter() {
    let mailbox = MailboxSpec {
        ttl: Some(Duration::from_secs(1)),
        ..MailboxSpec::default()
    };
    let office = Office::open(mailbox).await;
    office.note(0).unwrap();
    office.until_busy().await;
    office.note(1).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    office.note(2).unwrap();

    assert_eq!(office.handled().await, [0, 2]);
    assert_eq!(office.reasons(), [DeadReason::Expired]);
}

#[tokio::test]
async fn what_waits_survives_a_crash_and_the_message_in_hand_becomes_a_dead_letter() {
    let office = Office::open(MailboxSpec::default()).await;
    office.note(0).unwrap();
    office.clerk.try_tell(Job::Crash(1)).unwrap();
    office.note(2).unwrap();

    assert_eq!(office.handled().await, [0, 1, 2]);
    assert_eq!(office.reasons(), [DeadReason::Crashed]);
    let letter = office.kernel.dead_letters().list().remove(0);
    assert_eq!(letter.path.as_str(), "/clerk");
    assert_eq!(
        letter.exit.as_ref().unwrap().text.as_deref(),
        Some("told to")
    );
    assert_eq!(letter.debug.as_deref(), Some("Crash(1)"));
}

#[tokio::test]
async fn a_mailbox_that_drops_at_restart_begins_empty() {
    let mailbox = MailboxSpec {
        on_restart: OnRestart::Drop,
        ..MailboxSpec::default()
    };
    let office = Office::open(mailbox).await;
    office.clerk.try_tell(Job::Crash(0)).unwrap();
    office.until_busy().await;
    office.note(1).unwrap();
    office.desk.gate.add_permits(1);
    while office
        .kernel
        .registry()
        .get(&office.path)
        .unwrap()
        .incarnation()
        < 2
    {
        tokio::task::yield_now().await;
    }
    office.note(2).unwrap();

    assert_eq!(office.handled().await, [0, 2]);
    assert_eq!(
        office.reasons(),
        [DeadReason::Crashed, DeadReason::DroppedAtRestart]
    );
}

#[tokio::test]
async fn a_message_is_tried_again_as_often_as_retry_says_and_stays_in_front() {
    let office = Office::open(MailboxSpec {
        retry: 2,
        ..MailboxSpec::default()
    })
    .await;
    office.clerk.try_tell(Job::Crash(7)).unwrap();
    office.note(8).unwrap();

    assert_eq!(office.handled().await, [7, 7, 7, 8]);
    assert_eq!(office.reasons(), [DeadReason::Crashed]);
    let slot = office.kernel.registry().get(&office.path).unwrap();
    assert_eq!(slot.retried(), 2);
}

#[tokio::test]
async fn a_message_whose_reply_was_taken_is_not_tried_again() {
    let office = Office::open(MailboxSpec {
        retry: 9,
        ..MailboxSpec::default()
    })
    .await;
    office.desk.gate.add_permits(100);

    let asked = office
        .clerk
        .ask(Duration::from_secs(5), Job::TakeAndCrash)
        .await;

    assert!(
        matches!(asked, Err(AskError::NoAnswer(NoAnswer::Unanswered))),
        "{asked:?}"
    );
    assert_eq!(office.handled().await, Vec::<u64>::new());
    assert_eq!(office.reasons(), [DeadReason::Crashed]);
}

#[tokio::test]
async fn an_asker_hears_at_once_when_there_will_be_no_answer() {
    let office = Office::open(MailboxSpec::default()).await;
    office.desk.gate.add_permits(100);

    let muted = office.clerk.ask(Duration::from_secs(5), Job::Mute).await;
    assert!(
        matches!(muted, Err(AskError::NoAnswer(NoAnswer::Unanswered))),
        "{muted:?}"
    );

    office.kernel.stop(&office.path).await.unwrap();
    let refused = office.clerk.ask(Duration::from_secs(5), Job::Count).await;
    assert!(
        matches!(refused, Err(AskError::NotSent(SendError::NotRunning(_)))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_full_mailbox_never_makes_an_actor_wait_for_itself() {
    let office = Office::open(MailboxSpec {
        capacity: 3,
        ..MailboxSpec::default()
    })
    .await;
    office.desk.gate.add_permits(100);

    let asked = office
        .clerk
        .ask(Duration::from_secs(5), |reply| Job::TellMyself(10, reply));

    assert_eq!(asked.await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_send_follows_the_state_of_the_slot() {
    let office = Office::open(MailboxSpec::default()).await;
    office.note(0).unwrap();
    office.until_busy().await;
    office.note(1).unwrap();
    office.kernel.kill(&office.path, None).await.unwrap();
    office.note(2).unwrap();

    office.kernel.stop(&office.path).await.unwrap();
    assert!(matches!(office.note(3), Err(SendError::NotRunning(_))));
    assert!(office.reasons().contains(&DeadReason::Stopped));

    office.kernel.start_child(&office.path).await.unwrap();
    office.note(4).unwrap();
    office.kernel.stop(&office.path).await.unwrap();
    office.kernel.delete(&office.path).await.unwrap();
    assert!(matches!(office.note(5), Err(SendError::Gone(_))));
    let again = ChildSpec::worker(ChildId::new("clerk").unwrap(), "clerk");
    office
        .kernel
        .spawn(&ActorPath::root(), again)
        .await
        .unwrap();
    assert!(
        matches!(office.note(6), Err(SendError::Gone(_))),
        "the old address stays gone"
    );
}

/// The promise of the core: 10,000 crashes under load, and every message that waited is handled once and in
/// the order of its sender.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_crashes_under_load_lose_no_waiting_message() {
    const SENDERS: u64 = 4;
    const MESSAGES: u64 = 20_000;
    const CRASHES: u64 = 10_000;
    let office = Office::open(MailboxSpec {
        capacity: 512,
        ..MailboxSpec::default()
    })
    .await;
    office.desk.gate.add_permits(1 << 30);

    let send = |sender: u64| {
        let clerk = office.clerk.clone();
        async move {
            for number in 0..MESSAGES {
                let job = Job::Note(sender * MESSAGES + number, Priority::Normal);
                clerk.tell(job).await.unwrap();
            }
        }
    };
    let crash = async {
        for number in 0..CRASHES {
            let job = Job::Crash(SENDERS * MESSAGES + number);
            office.clerk.tell(job).await.unwrap();
        }
    };
    tokio::join!(crash, send(0), send(1), send(2), send(3));
    let handled = office.handled().await;

    let mut by_sender: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for number in &handled {
        by_sender
            .entry(number / MESSAGES)
            .or_default()
            .push(number % MESSAGES);
    }
    for sender in 0..SENDERS {
        assert_eq!(
            by_sender[&sender],
            (0..MESSAGES).collect::<Vec<_>>(),
            "sender {sender}"
        );
    }
    assert_eq!(by_sender[&SENDERS], (0..CRASHES).collect::<Vec<_>>());
    assert_eq!(
        office.kernel.dead_letters().total(),
        CRASHES,
        "only those in hand"
    );
    let slot = office.kernel.registry().get(&office.path).unwrap();
    assert_eq!(slot.incarnation(), CRASHES + 1);
}

/// A message whose `Debug` panics once it was touched, as code of its author may.
#[derive(Default)]
struct Touchy(bool);

impl std::fmt::Debug for Touchy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        assert!(!self.0, "a panic while a message is printed");
        f.write_str("Touchy")
    }
}

#[derive(Debug, Message)]
enum Provocation {
    Touch(Touchy),
    Still(Reply<bool>),
}

struct Saint;

impl Actor for Saint {
    type Message = Provocation;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self))
    }

    async fn handle(
        &mut self,
        message: &mut Provocation,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            Provocation::Touch(touchy) => {
                touchy.0 = true;
                panic!("in the middle of it");
            }
            Provocation::Still(reply) => reply.send(true),
        }
        Ok(Next::Continue)
    }
}

#[tokio::test]
async fn a_message_that_panics_when_it_is_printed_takes_nothing_along() {
    let mut child = ChildSpec::worker(ChildId::new("saint").unwrap(), "saint");
    if let ChildKind::Worker(worker) = &mut child.what {
        Arc::make_mut(&mut worker.mailbox).retry = 3;
    }
    let root = SupervisorSpec {
        children: vec![Arc::new(child)],
        ..SupervisorSpec::default()
    };
    let tree = TreeSpec {
        name: "saints".to_owned(),
        test: true,
        root,
    };
    let kinds = Kinds::new().with::<Saint>("saint", "bears it");
    let config = KernelConfig::new(Runtimes::current(), kinds, 1);
    let kernel = Kernel::start(config, tree).await.unwrap();
    kernel.booted().await;
    let saint = kernel
        .address::<Provocation>(&"/saint".parse().unwrap())
        .unwrap();

    saint
        .tell(Provocation::Touch(Touchy::default()))
        .await
        .unwrap();

    assert!(
        saint
            .ask(Duration::from_secs(5), Provocation::Still)
            .await
            .unwrap()
    );
    let letters = kernel.dead_letters().list();
    assert_eq!(
        letters.len(),
        1,
        "once, and not tried again: the handler changed it"
    );
    assert_eq!(
        (letters[0].reason, letters[0].debug.as_deref()),
        (DeadReason::Crashed, None)
    );
    kernel.shutdown().await;
}
