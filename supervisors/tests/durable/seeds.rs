//! Whatever chance does to readers, their supervisors and their kernels, every event is handled and in order.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Builder;
use unity_supervisors::spec::{ChildSpec, MailboxSpec};

use super::world::{
    ReaderMessage, Store, World, child, firsts, numbers, path, set, supervisor, with_mailbox,
};

/// How many events, and how many kernels, of one seed.
const EVENTS: i64 = 120;
const KERNELS: usize = 3;

fn tree(rng: &mut fastrand::Rng) -> Vec<ChildSpec> {
    let mut reader = |id: &str| {
        let spec = MailboxSpec {
            capacity: rng.usize(1..9),
            ..MailboxSpec::default()
        };
        let mut child = with_mailbox(child(id, "last_ack"), spec);
        set(&mut child, "takes_ms", json!(rng.u64(0..3)));
        child
    };
    let (a, b, c) = (reader("a"), reader("b"), reader("c"));
    vec![
        a,
        supervisor("calm", 1_000, vec![b]),
        supervisor("rash", 1, vec![c]),
    ]
}

const READERS: [(&str, &str); 3] = [("a", "/a"), ("b", "/calm/b"), ("c", "/rash/c")];

/// One act of chance; what it asks for may not be possible just now.
async fn act(world: &World, rng: &mut fastrand::Rng) {
    let (_, reader) = *rng.choice(&READERS).unwrap();
    let at = path(reader);
    match rng.u8(0..8) {
        0..3 => drop(world.kernel.kill(&at, None).await),
        3 => drop(
            world
                .kernel
                .kill(&path(&reader[..reader.rfind('/').unwrap().max(1)]), None)
                .await,
        ),
        4 => drop(world.kernel.restart(&at).await),
        5 => {
            drop(world.kernel.stop(&at).await);
            drop(world.kernel.start_child(&at).await);
        }
        _ => {
            if let Some(address) = world.kernel.address::<ReaderMessage>(&at) {
                drop(address.try_tell(ReaderMessage::Crash));
            }
        }
    }
}

async fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let store = Store::new();
    let tree = tree(&mut rng);
    let mut handled: Vec<(String, Value)> = Vec::new();
    let mut published = 0;
    for kernel in 1..=KERNELS {
        let world = World::boot(&store, tree.clone()).await;
        let until = EVENTS * i64::try_from(kernel).unwrap() / i64::try_from(KERNELS).unwrap();
        while published < until {
            match rng.u8(0..6) {
                0 => act(&world, &mut rng).await,
                1 => tokio::time::sleep(Duration::from_millis(rng.u64(0..4))).await,
                2 => tokio::task::yield_now().await,
                _ => {
                    world.publish(published).await;
                    published += 1;
                }
            }
        }
        if kernel == KERNELS {
            for (group, _) in READERS {
                world.caught_up(group).await;
            }
        } else if rng.bool() {
            world.kernel.kill_all();
        }
        world.end().await;
        handled.extend(world.heard.done.lock().drain(..));
        let letters = world.kernel.dead_letters().list();
        let events = letters.iter().filter(|letter| letter.name == "event");
        assert_eq!(events.count(), 0, "seed {seed}: {letters:?}");
    }
    for (_, reader) in READERS {
        let its = handled.iter().filter(|(who, _)| who == reader);
        let its: Vec<Value> = its.map(|(_, data)| data.clone()).collect();
        assert_eq!(
            firsts(&its),
            numbers(0..EVENTS),
            "seed {seed}, {reader}: {its:?}"
        );
    }
}

#[test]
fn every_event_is_handled_in_order_whatever_chance_does() {
    for seed in 0..seeds() {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(seed));
    }
}

/// A fifth of those of the simulation, which are smaller.
fn seeds() -> u64 {
    let asked = std::env::var("UK_SIM_SEEDS");
    asked.map_or(200, |seeds| seeds.parse::<u64>().unwrap() / 5)
}
