//! Chance at work: senders that send, and acts that crash, kill, stop, start, spawn and delete.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::actor::SimMessage;
use super::world::{Event, World};
use super::{SimConfig, reloads, tasks, tree};
use crate::address::Address;
use crate::kernel::{Kernel, SYSTEM};
use crate::mailbox::SendError;
use crate::message::Message;
use crate::path::{ActorPath, ChildId};
use crate::priority::Priority;
use crate::slot::{Slot, SlotState};
use crate::spec::Restart;

/// How much memory a simulated kernel may use, as chance measures it.
pub(super) const MEMORY_LIMIT: u64 = 100;

/// Lets chance act, and the senders send, until both are through.
pub(super) async fn drive(
    kernel: &Kernel,
    world: &Arc<World>,
    rng: &mut fastrand::Rng,
    config: &SimConfig,
) {
    let senders: Vec<_> = (0..config.senders)
        .map(|sender| {
            let (kernel, world, rng) = (kernel.clone(), Arc::clone(world), rng.fork());
            crate::kernel::spawn_detached(send(kernel, world, rng, sender, config.messages))
        })
        .collect();
    for number in 0..config.acts {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..120))).await;
        act(kernel, world, rng, number).await;
        if world.reloads() && rng.u8(0..4) == 0 {
            reloads::reload(kernel, world, rng);
        }
        if rng.u8(0..8) == 0 {
            kernel.note_memory(rng.u64(0..MEMORY_LIMIT * 3 / 2));
        }
    }
    kernel.note_memory(0);
    for sender in senders {
        if let Err(error) = sender.await {
            world.act(&format!("a sender failed: {error}"));
        }
    }
}

/// Gives everything the time to come to rest, and lets those go on that were suspended.
pub(super) async fn quieten(kernel: &Kernel) {
    tokio::time::sleep(Duration::from_secs(120)).await;
    let mut found = Vec::new();
    if let Some(root) = kernel.root() {
        workers(&root, &mut found);
    }
    for slot in found {
        if slot.state() == SlotState::Suspended {
            // One that ended meanwhile is not suspended any more.
            drop(kernel.resume(slot.path()).await);
        }
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
}

/// All workers, in tree order.
pub(super) fn workers(slot: &Arc<Slot>, found: &mut Vec<Arc<Slot>>) {
    for child in slot.children() {
        if child.is_supervisor() {
            workers(&child, found);
        } else {
            found.push(child);
        }
    }
}

pub(super) fn supervisors(slot: &Arc<Slot>, found: &mut Vec<Arc<Slot>>) {
    found.push(Arc::clone(slot));
    for child in slot.children().iter().filter(|child| child.is_supervisor()) {
        supervisors(child, found);
    }
}

fn any_worker(kernel: &Kernel, rng: &mut fastrand::Rng) -> Option<Arc<Slot>> {
    let mut found = Vec::new();
    workers(&kernel.root()?, &mut found);
    rng.choice(found)
}

fn any_supervisor(kernel: &Kernel, rng: &mut fastrand::Rng) -> Option<Arc<Slot>> {
    let mut found = Vec::new();
    supervisors(&kernel.root()?, &mut found);
    rng.choice(found)
}

async fn send(kernel: Kernel, world: Arc<World>, mut rng: fastrand::Rng, sender: u64, count: u64) {
    for number in 0..count {
        if rng.u8(0..3) == 0 {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..60))).await;
        }
        let Some(slot) = any_worker(&kernel, &mut rng) else {
            continue;
        };
        let Some(address) = kernel.address::<SimMessage>(slot.path()) else {
            continue;
        };
        let lane = match rng.u8(0..8) {
            0 | 1 => Priority::High,
            2 => Priority::Low,
            3 => Priority::Deferred,
            _ => Priority::Normal,
        };
        let takes_ms = if rng.u8(0..8) == 0 { rng.u64(0..40) } else { 0 };
        let message = SimMessage::Work {
            sender,
            number,
            lane,
            takes_ms,
        };
        tell(&world, &address, message, rng.bool()).await;
    }
}

pub(super) async fn tell(
    world: &World,
    address: &Address<SimMessage>,
    message: SimMessage,
    wait: bool,
) {
    let sent = if wait {
        address.tell(message).await
    } else {
        address.try_tell(message)
    };
    match sent {
        Ok(()) => world.accepted(),
        // Only what may be shed is given back for want of memory.
        Err(SendError::Shed(message)) if message.priority() < Priority::Low => {
            let path = address.path().clone();
            world.event(Event::ShedWrongly { path });
        }
        Err(
            SendError::Full(_) | SendError::Shed(_) | SendError::NotRunning(_) | SendError::Gone(_),
        ) => {}
        Err(SendError::Revoked(_)) => world.act("a sender outside was taken for a dead life"),
    }
}

async fn act(kernel: &Kernel, world: &Arc<World>, rng: &mut fastrand::Rng, number: usize) {
    let dice = rng.u8(0..40);
    let target = if rng.u8(0..6) == 0 {
        any_supervisor(kernel, rng)
    } else {
        any_worker(kernel, rng)
    };
    let Some(slot) = target else { return };
    let path = slot.path().clone();
    match dice {
        0..=6 => {
            let message = match rng.u8(0..6) {
                0 => SimMessage::Panic,
                1 => SimMessage::Finish,
                2 | 3 => SimMessage::Hold {
                    for_ms: rng.u64(0..15_000),
                },
                _ => SimMessage::Crash,
            };
            world.act(&format!("tell {path} {}", message.name()));
            if let Some(address) = kernel.address::<SimMessage>(&path) {
                tell(world, &address, message, false).await;
            }
        }
        7..=10 => note(world, "kill", &path, kernel.kill(&path, None).await),
        11..=12 => in_background(kernel, world, path, "stop"),
        13..=14 => in_background(kernel, world, path, "start"),
        // A person may restart a temporary child; the checker takes a second life of one for a fault.
        15 if slot.spec().restart != Restart::Temporary => {
            in_background(kernel, world, path, "restart");
        }
        20..=29 => {
            let other =
                any_worker(kernel, rng).map_or_else(ActorPath::root, |slot| slot.path().clone());
            let message = match rng.u8(0..4) {
                0 => SimMessage::Unwatch,
                1 if world.has_links() => SimMessage::Link(other, rng.u8(0..4) == 0),
                _ => SimMessage::Watch(number as u64, other),
            };
            world.act(&format!("tell {path} {message:?}"));
            if let Some(address) = kernel.address::<SimMessage>(&path) {
                tell(world, &address, message, false).await;
            }
        }
        30..=31 => in_background(kernel, world, path, "suspend"),
        32 => in_background(kernel, world, path, "resume"),
        33..=38 => spawn_from(kernel, world, rng, number),
        18 => in_background(kernel, world, path, "release"),
        39 => {
            let first = rng.bool().then(|| rng.usize(0..20));
            world.act(&format!("spoil {path} {first:?}"));
            world.states().spoil(&path, first);
        }
        16 => {
            world.settings().by_hand(path.clone());
            note(world, "delete", &path, kernel.delete(&path).await);
        }
        17 => note(
            world,
            "release all",
            &ActorPath::root(),
            kernel.release_all().await,
        ),
        _ => spawn(kernel, world, rng, number),
    }
}

/// Requests that may take long: chance does not wait for them.
fn in_background(kernel: &Kernel, world: &Arc<World>, path: ActorPath, what: &'static str) {
    let (kernel, world) = (kernel.clone(), Arc::clone(world));
    drop(crate::kernel::spawn_detached(async move {
        let result = match what {
            "stop" => kernel.stop(&path).await,
            "start" => kernel.start_child(&path).await,
            "suspend" => kernel.suspend(&path).await,
            "resume" => kernel.resume(&path).await,
            "release" => kernel.release(&path).await,
            _ => kernel.restart(&path).await,
        };
        note(&world, what, &path, result);
    }));
}

fn spawn(kernel: &Kernel, world: &Arc<World>, rng: &mut fastrand::Rng, number: usize) {
    let Some(parent) = any_supervisor(kernel, rng).filter(|slot| slot.path().as_str() != SYSTEM)
    else {
        return;
    };
    let mut spec = tree::worker(rng, ChildId::known_number(1_000 + number));
    // Refused below a supervisor that never ends by itself, and where it is permanent.
    spec.significant = rng.u8(0..4) == 0;
    if world.reloads() {
        tree::simplify_child(&mut spec, false);
    }
    world.settings().by_hand(parent.path().child(&spec.id));
    let (kernel, world) = (kernel.clone(), Arc::clone(world));
    drop(crate::kernel::spawn_detached(async move {
        let result = kernel.spawn(parent.path(), spec).await;
        note(&world, "spawn under", parent.path(), result);
    }));
}

/// Adds a few children of a template in one go, or one that may have a name of its own; or a task.
fn spawn_from(kernel: &Kernel, world: &Arc<World>, rng: &mut fastrand::Rng, number: usize) {
    let mut found = Vec::new();
    if let Some(root) = kernel.root() {
        supervisors(&root, &mut found);
    }
    found.retain(|slot| {
        let spec = slot.spec();
        let spec = spec.as_supervisor();
        spec.is_some_and(|spec| spec.template.is_some())
    });
    let Some(parent) = rng.choice(found) else {
        return;
    };
    if tasks::has_tasks(&parent) {
        return tasks::run(kernel, world, rng, parent.path().clone(), number);
    }
    let id = rng.bool().then(|| ChildId::number(1_000 + number as u64));
    let settings = json!({ "stop_ms": rng.u64(0..300) });
    let many = rng.bool().then(|| rng.usize(0..6));
    let (kernel, world) = (kernel.clone(), Arc::clone(world));
    drop(crate::kernel::spawn_detached(async move {
        let path = parent.path();
        if let Some(count) = many {
            let children = std::iter::repeat_n((None, settings), count);
            let result = kernel.spawn_many(path, children).await;
            note(&world, "spawn many under", path, result);
        } else {
            let result = kernel.spawn_from(path, id, settings).await;
            note(&world, "spawn from", path, result);
        }
    }));
}

pub(super) fn note<T: std::fmt::Debug, E: std::fmt::Display>(
    world: &World,
    what: &str,
    path: &ActorPath,
    result: Result<T, E>,
) {
    match result {
        Ok(done) => world.act(&format!("{what} {path}: {done:?}")),
        Err(error) => world.act(&format!("{what} {path}: {error}")),
    }
}
