//! What is broken on purpose breaks as the real thing does, and is as it was once that is undone.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use unity_supervisors::clock::{Clock, Timestamp};
use unity_supervisors::dead_letter::DeadReason;
use unity_supervisors::fault::{LifeFault, RouteFault, StartFault};
use unity_supervisors::spec::{ChildSpec, MailboxSpec, Overflow, SupervisorSpec, TreeSpec};
use unity_supervisors::{
    Actor, ActorPath, Address, ChildId, Context, Exit, ExitKind, Kernel, KernelConfig, Kinds,
    Message, Next, Reply, Runtimes, SendError, SlotState, Start,
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

#[derive(Debug, Message)]
#[message(json)]
enum Order {
    Note(u64),
    Noted(Reply<Vec<u64>>),
}

struct Worker(Vec<u64>);

impl Actor for Worker {
    type Message = Order;
    type Settings = NoSettings;

    async fn start(_: &NoSettings, _: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        Ok(Start::Running(Self(Vec::new())))
    }

    async fn handle(&mut self, order: &mut Order, _: &mut Context<Self>) -> Result<Next, Exit> {
        match order {
            Order::Note(number) => self.0.push(*number),
            Order::Noted(reply) => reply.send(self.0.clone()),
        }
        Ok(Next::Continue)
    }
}

fn path() -> ActorPath {
    "/worker".parse().unwrap()
}

async fn boot() -> (Kernel, Address<Order>) {
    boot_with(Overflow::Block).await
}

async fn boot_with(overflow: Overflow) -> (Kernel, Address<Order>) {
    let kinds = Kinds::new().with::<Worker>("worker", "notes numbers");
    let mut child = ChildSpec::worker(ChildId::new("worker").unwrap(), "worker");
    if let unity_supervisors::spec::ChildKind::Worker(worker) = &mut child.what {
        worker.mailbox = Arc::new(MailboxSpec {
            capacity: 8,
            send_timeout: SECOND,
            overflow,
            ..MailboxSpec::default()
        });
    }
    let tree = TreeSpec {
        name: "test".to_owned(),
        test: true,
        root: SupervisorSpec {
            intensity: 1_000,
            children: vec![Arc::new(child)],
            ..SupervisorSpec::default()
        },
    };
    let config = KernelConfig {
        clock: Clock::simulated(Timestamp::from_secs(1_767_225_600)),
        memory_limit: Some(1 << 30),
        ..KernelConfig::new(Runtimes::current(), kinds, 1)
    };
    let kernel = Kernel::start(config, tree).await.unwrap();
    kernel.booted().await;
    let address = kernel.address(&path()).unwrap();
    (kernel, address)
}

async fn noted(address: &Address<Order>) -> Vec<u64> {
    address
        .ask(Duration::from_secs(60), Order::Noted)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_life_panics_or_fails_with_the_next_message_in_hand() {
    for (fault, kind, text) in [
        (LifeFault::Panic, ExitKind::Panic, "chaos: panic"),
        (LifeFault::Error, ExitKind::Error, "chaos: error"),
    ] {
        let (kernel, address) = boot().await;
        address.try_tell(Order::Note(1)).unwrap();
        address.try_tell(Order::Note(2)).unwrap();

        assert_eq!(kernel.break_life(&path(), fault).unwrap(), 1);

        assert_eq!(noted(&address).await, [2], "{fault:?}");
        let slot = kernel.registry().get(&path()).unwrap();
        let exit = slot.last_exit().unwrap();
        assert_eq!(slot.incarnation(), 2);
        assert_eq!(exit.reason.kind, kind);
        assert_eq!(exit.reason.text.as_deref(), Some(text));
        let letters = kernel.dead_letters().list();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].reason, DeadReason::Crashed);
        assert_eq!(letters[0].message.as_ref().unwrap().get(), r#"{"note":1}"#);
    }
}

#[tokio::test(start_paused = true)]
async fn a_life_that_hangs_goes_on_after_that_and_loses_nothing() {
    let (kernel, address) = boot().await;
    let begun = tokio::time::Instant::now();
    kernel
        .break_life(&path(), LifeFault::Hang(5 * SECOND))
        .unwrap();
    address.try_tell(Order::Note(1)).unwrap();

    assert_eq!(noted(&address).await, [1]);

    assert_eq!(begun.elapsed(), 5 * SECOND);
    assert_eq!(kernel.registry().get(&path()).unwrap().incarnation(), 1);
    // A kill ends it at once.
    kernel
        .break_life(&path(), LifeFault::Hang(500 * SECOND))
        .unwrap();
    tokio::task::yield_now().await;
    kernel.kill(&path(), None).await.unwrap();
    assert_eq!(noted(&address).await, Vec::<u64>::new());
    assert!(begun.elapsed() < 6 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn starts_fail_as_often_as_they_are_to_and_take_longer() {
    let (kernel, address) = boot().await;
    let fault = StartFault {
        slow: 2 * SECOND,
        fail: 3,
    };
    let begun = tokio::time::Instant::now();
    let undo = kernel.break_starts(&path(), fault).unwrap();
    kernel.kill(&path(), None).await.unwrap();

    noted(&address).await;

    let slot = kernel.registry().get(&path()).unwrap();
    assert_eq!((slot.starts(), slot.incarnation()), (5, 2));
    assert_eq!(begun.elapsed(), 4 * 2 * SECOND);
    let exit = slot.last_exit().unwrap();
    assert_eq!(exit.reason.text.as_deref(), Some("chaos: this start fails"));
    drop(undo);
    kernel.kill(&path(), None).await.unwrap();
    noted(&address).await;
    assert_eq!(begun.elapsed(), 4 * 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn messages_are_dropped_and_kept_as_dead_letters() {
    let (kernel, address) = boot().await;
    let fault = RouteFault {
        drop: 50,
        seed: 7,
        ..RouteFault::default()
    };
    let (undo, counts) = kernel.break_route(&path(), fault).unwrap();
    for number in 0..100 {
        address.tell(Order::Note(number)).await.unwrap();
    }
    drop(undo);
    address.tell(Order::Note(100)).await.unwrap();

    let arrived = noted(&address).await;

    let dropped = usize::try_from(counts.dropped()).unwrap();
    assert!((30..70).contains(&dropped), "{dropped}");
    assert_eq!(arrived.len() + dropped, 101);
    assert!(arrived.is_sorted() && arrived.ends_with(&[100]));
    let letters = kernel.dead_letters().list();
    assert_eq!(letters.len(), dropped);
    assert!(
        letters
            .iter()
            .all(|letter| letter.reason == DeadReason::Fault && letter.message.is_some())
    );
}

#[tokio::test(start_paused = true)]
async fn messages_are_doubled_but_questions_are_not() {
    let (kernel, address) = boot().await;
    let fault = RouteFault {
        double: 100,
        ..RouteFault::default()
    };
    let (undo, counts) = kernel.break_route(&path(), fault).unwrap();
    address.tell(Order::Note(1)).await.unwrap();
    address.tell(Order::Note(2)).await.unwrap();

    assert_eq!(noted(&address).await, [1, 1, 2, 2]);
    assert_eq!(counts.doubled(), 2);
    drop(undo);
    address.tell(Order::Note(3)).await.unwrap();
    assert_eq!(noted(&address).await, [1, 1, 2, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn messages_come_later_in_their_order_and_all_at_once_when_that_is_undone() {
    let (kernel, address) = boot().await;
    let begun = tokio::time::Instant::now();
    let fault = RouteFault {
        delay: 3 * SECOND,
        ..RouteFault::default()
    };
    let (undo, counts) = kernel.break_route(&path(), fault).unwrap();
    for number in 0..4 {
        address.tell(Order::Note(number)).await.unwrap();
    }
    assert_eq!(noted(&address).await, [0, 1, 2, 3]);
    assert_eq!(begun.elapsed(), 3 * SECOND);
    // As many as there is room for, and no more.
    for number in 4..16 {
        address.tell(Order::Note(number)).await.unwrap();
    }
    assert_eq!((counts.delayed(), counts.dropped()), (5 + 8, 4));
    drop(undo);
    assert_eq!(noted(&address).await, (0..12).collect::<Vec<_>>());
    assert_eq!(begun.elapsed(), 3 * SECOND);
    // One that is delayed while its slot is deleted is kept as a dead letter.
    let (undo, _) = kernel.break_route(&path(), fault).unwrap();
    address.tell(Order::Note(16)).await.unwrap();
    kernel.stop(&path()).await.unwrap();
    kernel.delete(&path()).await.unwrap();
    drop(undo);
    let last = kernel.dead_letters().list().pop().unwrap();
    assert_eq!(last.message.as_ref().unwrap().get(), r#"{"note":16}"#);
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_has_no_room_until_that_is_undone() {
    let (kernel, address) = boot().await;
    let undo = kernel.fill_mailbox(&path()).unwrap();
    let refused = address.try_tell(Order::Note(1));
    assert!(matches!(refused, Err(SendError::Full(_))));
    let waits = address.tell(Order::Note(2));
    let mends = async {
        tokio::time::sleep(SECOND / 2).await;
        drop(undo);
    };
    let (told, ()) = futures_util::join!(waits, mends);
    told.unwrap();
    for number in 3..10 {
        address.try_tell(Order::Note(number)).unwrap();
    }
    assert_eq!(noted(&address).await, (2..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_that_drops_keeps_nobody_waiting() {
    for (overflow, reason) in [
        (Overflow::DropOldest, DeadReason::DroppedOldest),
        (Overflow::DropNewest, DeadReason::DroppedNewest),
    ] {
        let (kernel, address) = boot_with(overflow).await;
        let undo = kernel.fill_mailbox(&path()).unwrap();
        // Nothing waits that could make room.
        address.try_tell(Order::Note(1)).unwrap();
        drop(undo);
        address.try_tell(Order::Note(2)).unwrap();
        assert_eq!(noted(&address).await, [2]);
        let letters = kernel.dead_letters().list();
        assert_eq!((letters.len(), letters[0].reason), (1, reason));
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_jumps_and_comes_back() {
    let (kernel, _) = boot().await;
    let before = kernel.clock().wall();
    let ahead = kernel.jump_clock(3_600_000_000);
    assert_eq!(before.age(kernel.clock().wall()), 3600 * SECOND);
    let back = kernel.jump_clock(-7_200_000_000);
    assert_eq!(kernel.clock().wall().age(before), 3600 * SECOND);
    drop(ahead);
    drop(back);
    assert_eq!(kernel.clock().wall(), before);
}

#[tokio::test(start_paused = true)]
async fn memory_seems_to_be_short_and_is_not_any_more() {
    let (kernel, _) = boot().await;
    let shedding = || json!(kernel.memory().unwrap().shedding);
    kernel.note_memory(1 << 20);
    let undo = kernel.pretend_memory(95).unwrap();
    assert_eq!(shedding(), "deferred");
    kernel.note_memory(1 << 20);
    assert_eq!(shedding(), "deferred");
    drop(undo);
    assert_eq!(shedding(), "nothing");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_worker_cannot_be_broken() {
    let (kernel, _) = boot().await;
    let nowhere: ActorPath = "/nowhere".parse().unwrap();
    let said = kernel.break_life(&nowhere, LifeFault::Panic).unwrap_err();
    assert_eq!(said.to_string(), "there is no `/nowhere`");
    let said = kernel
        .break_life(&ActorPath::root(), LifeFault::Panic)
        .unwrap_err();
    assert_eq!(
        said.to_string(),
        "`/` is a supervisor: it takes no messages"
    );
    kernel.stop(&path()).await.unwrap();
    assert_eq!(
        kernel.registry().get(&path()).unwrap().state(),
        SlotState::Stopped
    );
    assert!(kernel.break_life(&path(), LifeFault::Panic).is_err());
}
