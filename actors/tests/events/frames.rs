//! `sensor.frames`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use unity_supervisors::spec::{ChildKind, ChildSpec, MailboxSpec, Restart};
use unity_supervisors::{
    Actor, Context, Delivery, Event, Exit, ExitKind, Kernel, KernelConfig, Message, Next, Start,
};

use crate::harness::{Ear, boot, child, config, path, spawn, until_state};

/// A camera of small pictures that ends after so many.
fn camera(limit: u64, more: Value) -> ChildSpec {
    let mut settings = json!({"camera": {"width": 16, "height": 8, "fps": 50}, "limit": limit});
    for (key, value) in more.as_object().unwrap() {
        settings[key] = value.clone();
    }
    let mut child = child("front", "sensor.frames", settings);
    child.restart = Restart::Transient;
    child
}

fn frame(event: &Event) -> u64 {
    event.data["frame"].as_u64().unwrap()
}

async fn pictures(seed: u64) -> Vec<Vec<u8>> {
    let kernel = boot(KernelConfig { seed, ..config() }, vec![]).await;
    let ear = Ear::on(&kernel, "sensor.camera.front");
    spawn(&kernel, camera(3, json!({}))).await;
    let heard = ear.until(3).await;
    let bytes = heard
        .iter()
        .map(|event| event.blob().unwrap().bytes.to_vec());
    bytes.collect()
}

#[tokio::test(start_paused = true)]
async fn all_who_receive_a_frame_share_its_bytes() {
    let kernel = boot(config(), vec![]).await;
    let ears = [
        Ear::on(&kernel, "sensor.*"),
        Ear::on(&kernel, "sensor.camera.front"),
    ];

    spawn(&kernel, camera(4, json!({}))).await;
    let mut heard = Vec::new();
    for ear in &ears {
        heard.push(ear.until(4).await);
    }

    for (one, other) in heard[0].iter().zip(&heard[1]) {
        let (one, other) = (one.blob().unwrap(), other.blob().unwrap());
        assert_eq!(one.bytes.as_ptr(), other.bytes.as_ptr());
        assert_eq!(
            (one.bytes.len(), &*one.media_type),
            (16 * 8 * 3, "image/x-rgb8")
        );
    }
    // A frame is a window into the same bytes as the one before.
    let at = |number: usize| heard[0][number].blob().unwrap().bytes.as_ptr() as usize;
    assert_eq!(at(1) - at(0), 1);
    let first = &heard[0][0];
    assert_eq!(first.data, json!({"frame": 1, "width": 16, "height": 8}));
    assert!(first.extras.as_ref().unwrap().captured_at.is_some());
    until_state(&kernel, "/front", unity_supervisors::SlotState::Stopped).await;
    let exit = kernel.registry().get(&path("/front")).unwrap().last_exit();
    assert_eq!(exit.unwrap().reason.kind, ExitKind::Normal);
}

#[tokio::test(start_paused = true)]
async fn frames_depend_on_the_seed_and_differ() {
    let (one, again, other) = (pictures(7).await, pictures(7).await, pictures(8).await);

    assert_eq!(one, again);
    assert_ne!(one, other);
    assert_ne!(one[0], one[1]);
}

#[tokio::test(start_paused = true)]
async fn sound_comes_in_frames_of_samples() {
    let kernel = boot(config(), vec![]).await;
    let ear = Ear::on(&kernel, "sensor.audio.mic");
    let settings = json!({"audio": {"rate": 8000, "channels": 2, "every": "10ms"}});

    spawn(&kernel, child("mic", "sensor.frames", settings)).await;
    let heard = ear.until(2).await;

    let data = json!({"frame": 2, "rate": 8000, "channels": 2, "samples": 80});
    assert_eq!(heard[1].data, data);
    let blob = heard[1].blob().unwrap();
    assert_eq!(
        (blob.bytes.len(), &*blob.media_type),
        (80 * 2 * 2, "audio/x-s16le")
    );
}

/// Needs a second for each frame.
struct Slow(Vec<u64>);

#[derive(Debug, Message)]
enum SlowMessage {
    Event(Delivery),
}

impl Actor for Slow {
    type Message = SlowMessage;
    type Settings = unity_actors::log::LogSettings;

    async fn start(_: &Self::Settings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        ctx.subscribe("sensor.*", SlowMessage::Event)?;
        Ok(Start::Running(Self(Vec::new())))
    }

    async fn handle(
        &mut self,
        message: &mut SlowMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let SlowMessage::Event(event) = message;
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.0.push(frame(event));
        Ok(Next::Continue)
    }

    fn observe(&self) -> Value {
        json!(self.0)
    }
}

/// A kernel in which each frame takes a second, and there is room for four.
async fn slow(sensor: Value) -> Kernel {
    let config = KernelConfig {
        kinds: unity_actors::kinds().with::<Slow>("slow", "takes its time"),
        ..config()
    };
    let mut slow = child("slow", "slow", json!({}));
    let ChildKind::Worker(worker) = &mut slow.what else {
        unreachable!()
    };
    worker.mailbox = Arc::new(MailboxSpec {
        capacity: 4,
        ..MailboxSpec::default()
    });
    boot(config, vec![slow, camera(50, sensor)]).await
}

async fn handled(kernel: &Kernel, is_all: impl Fn(&[Value]) -> bool) -> Vec<u64> {
    let handled =
        crate::harness::observed(kernel, "/slow", |state| is_all(state.as_array().unwrap()));
    serde_json::from_value(handled.await).unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_is_too_slow_loses_frames_which_are_counted() {
    let kernel = slow(json!({})).await;

    until_state(&kernel, "/front", unity_supervisors::SlotState::Stopped).await;
    let stats = kernel.bus().stats();

    let of_it = stats.iter().find(|its| {
        its.topic
            .as_ref()
            .is_some_and(|its| its.as_str() == "sensor.camera.front")
    });
    let of_it = of_it.unwrap();
    assert_eq!(of_it.published, 50);
    assert_eq!(of_it.delivered + of_it.refused, 50);
    assert!(of_it.refused >= 40, "{of_it:?}");
    let taken = usize::try_from(of_it.delivered).unwrap();
    let handled = handled(&kernel, |frames| frames.len() == taken).await;
    assert!(handled.is_sorted(), "{handled:?}");
}

#[tokio::test(start_paused = true)]
async fn with_when_room_the_source_waits_and_nothing_is_lost() {
    let kernel = slow(json!({"when_room": true})).await;

    let handled = handled(&kernel, |frames| frames.len() == 50).await;

    assert_eq!(handled, (1..=50).collect::<Vec<u64>>());
    let refused: u64 = kernel.bus().stats().iter().map(|its| its.refused).sum();
    assert_eq!(refused, 0);
}
