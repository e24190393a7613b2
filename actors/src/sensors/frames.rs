//! `sensor.frames`: a synthetic camera or microphone, for trees that run where there is none.
//!
//! Each frame is a window into one piece of noise that is drawn when it starts, so that a frame costs no more than its event:
//! its bytes are shared by all who receive it, and by the frames around it. What is drawn depends on the kernel's seed and
//! the path alone. Frames are counted from 1 in each life.
//!
//! Who has no room for a frame loses it, which the bus counts, unless `when_room` is set: then the source waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use unity_supervisors::bus::{BLOB_LEN_MAX, Blob, Draft, InvalidTopic, Topic};
use unity_supervisors::clock::Clock;
use unity_supervisors::{
    Actor, ActorPath, Apply, Context, Exit, Message, Next, Reply, SettingsHandle, Start,
};

use super::{Outlet, topic_of};
use crate::bounds;
use crate::duration::DurationText;
use crate::heartbeat::done;

/// Settings of `sensor.frames`: `camera` or `audio`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct FramesSettings {
    /// Pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<Camera>,
    /// Sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<Audio>,
    /// What it publishes; `sensor.camera.ID` or `sensor.audio.ID` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub topic: Option<Topic>,
    /// Whether it waits until all who listen have room, rather than have those who have none lose frames.
    #[serde(default)]
    pub when_room: bool,
    /// After so many frames it ends in order; never unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Pictures, three bytes (red, green, blue) a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Points in a line, 1 to 8192.
    #[serde(deserialize_with = "bounds::integer::<_, 1, 8_192>")]
    pub width: u32,
    /// Lines, 1 to 8192.
    #[serde(deserialize_with = "bounds::integer::<_, 1, 8_192>")]
    pub height: u32,
    /// Pictures in a second, 1 to 1000.
    #[serde(default = "fps", deserialize_with = "bounds::integer::<_, 1, 1_000>")]
    pub fps: u32,
}

/// Sound, two bytes (little-endian, signed) a sample of each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// Samples in a second, 1000 to 384000.
    #[serde(
        default = "rate",
        deserialize_with = "bounds::integer::<_, 1_000, 384_000>"
    )]
    pub rate: u32,
    /// Channels, 1 to 32.
    #[serde(default = "channels", deserialize_with = "bounds::integer::<_, 1, 32>")]
    pub channels: u32,
    /// How long a frame is, 1 ms to 1 s.
    #[serde(
        default = "every",
        deserialize_with = "bounds::duration::<_, 1, 1_000>"
    )]
    pub every: DurationText,
}

fn fps() -> u32 {
    30
}

fn rate() -> u32 {
    16_000
}

fn channels() -> u32 {
    1
}

fn every() -> DurationText {
    DurationText(Duration::from_millis(20))
}

impl<'de> Deserialize<'de> for FramesSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = Self::deserialize(deserializer)?;
        settings.check().map_err(D::Error::custom)?;
        Ok(settings)
    }
}

impl Serialize for FramesSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl FramesSettings {
    /// What no field alone can say.
    fn check(&self) -> Result<(), String> {
        if self.camera.is_some() == self.audio.is_some() {
            return Err("one of `camera` and `audio` is wanted, as in \
                 `camera: { width: 640, height: 480, fps: 30 }` or `audio: { rate: 16000, channels: 1, every: 20ms }`"
                .to_owned());
        }
        match self.frame_len() {
            len if len > BLOB_LEN_MAX => Err(format!(
                "a frame would have {len} bytes, and may have {BLOB_LEN_MAX}; take a smaller one"
            )),
            _ => Ok(()),
        }
    }

    /// How many bytes a frame has.
    fn frame_len(&self) -> usize {
        let len = match (&self.camera, &self.audio) {
            (Some(camera), _) => u64::from(camera.width) * u64::from(camera.height) * 3,
            (None, Some(audio)) => u64::from(audio.channels) * audio.samples() * 2,
            (None, None) => 0,
        };
        usize::try_from(len).unwrap_or(usize::MAX)
    }

    fn period(&self) -> Duration {
        match (&self.camera, &self.audio) {
            (Some(camera), _) => Duration::from_secs(1) / camera.fps,
            (None, audio) => audio.map_or(every(), |audio| audio.every).0,
        }
    }

    fn media_type(&self) -> &'static str {
        match &self.camera {
            Some(_) => "image/x-rgb8",
            None => "audio/x-s16le",
        }
    }

    /// What is said of frame `number`.
    fn data(&self, number: u64) -> Value {
        match (&self.camera, &self.audio) {
            (Some(camera), _) => {
                json!({ "frame": number, "width": camera.width, "height": camera.height })
            }
            (None, audio) => {
                json!({
                    "frame": number,
                    "rate": audio.map(|audio| audio.rate),
                    "channels": audio.map(|audio| audio.channels),
                    "samples": audio.map(|audio| audio.samples()),
                })
            }
        }
    }

    fn topic_at(&self, path: &ActorPath) -> Result<Topic, InvalidTopic> {
        let what = match &self.camera {
            Some(_) => "camera",
            None => "audio",
        };
        topic_of(path, what, self.topic.as_ref())
    }
}

impl Audio {
    /// How many samples of each channel a frame has; one at least.
    fn samples(&self) -> u64 {
        let ms = u64::try_from(self.every.0.as_millis()).unwrap_or(u64::MAX);
        (u64::from(self.rate) * ms / 1_000).max(1)
    }
}

/// The noise that frames are windows into.
struct Noise {
    blob: Blob,
    frame_len: usize,
}

impl Noise {
    fn new(settings: &FramesSettings, seed: u64, path: &ActorPath) -> Self {
        let frame_len = settings.frame_len();
        // Twice a frame: as many windows as a frame has bytes, before they come again.
        let mut bytes = vec![0; frame_len * 2];
        fastrand::Rng::with_seed(seed ^ hash(path.as_str())).fill(&mut bytes);
        let media_type = settings.media_type().into();
        let bytes = bytes.into();
        let blob = Blob { media_type, bytes };
        Self { blob, frame_len }
    }

    fn frame(&self, number: u64) -> Blob {
        let at = number % u64::try_from(self.frame_len).unwrap_or(u64::MAX).max(1);
        let at = usize::try_from(at).unwrap_or_default();
        Blob {
            media_type: Arc::clone(&self.blob.media_type),
            bytes: self.blob.bytes.slice(at..at + self.frame_len),
        }
    }
}

/// FNV-1a: the same in every build, unlike the standard library's.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Messages of `sensor.frames`.
#[derive(Debug, Message)]
#[message(json)]
pub enum FramesMessage {
    /// How many frames this life has published.
    Count(Reply<u64>),
}

/// Publishes frames.
#[derive(Debug)]
pub struct Frames {
    topic: Topic,
    published: Arc<AtomicU64>,
}

impl Actor for Frames {
    type Message = FramesMessage;
    type Settings = FramesSettings;

    async fn start(
        settings: &FramesSettings,
        ctx: &mut Context<Self>,
    ) -> Result<Start<Self>, Exit> {
        let published = Arc::<AtomicU64>::default();
        let topic = settings.topic_at(ctx.path())?;
        let source = Source {
            outlet: Outlet::new(ctx, topic.clone()),
            clock: ctx.kernel().clock(),
            seed: ctx.kernel().seed(),
            path: ctx.path().clone(),
            published: Arc::clone(&published),
        };
        let settings = ctx.settings();
        ctx.spawn(source.run(settings));
        Ok(Start::Running(Self { topic, published }))
    }

    async fn handle(
        &mut self,
        message: &mut FramesMessage,
        _: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        match message {
            FramesMessage::Count(reply) => reply.send(self.published.load(Ordering::Relaxed)),
        }
        Ok(Next::Continue)
    }

    async fn apply(&mut self, new: &FramesSettings, ctx: &mut Context<Self>) -> Apply {
        match new.topic_at(ctx.path()) {
            Ok(topic) if topic == self.topic => Apply::Applied,
            Ok(_) => Apply::Restart,
            Err(error) => Apply::Rejected(error.to_string()),
        }
    }

    fn observe(&self) -> Value {
        json!({ "topic": self.topic, "published": self.published.load(Ordering::Relaxed) })
    }
}

/// What publishes, beside the handlers: a source that waits for room still answers.
struct Source {
    outlet: Outlet,
    clock: Clock,
    seed: u64,
    path: ActorPath,
    published: Arc<AtomicU64>,
}

impl Source {
    async fn run(mut self, mut handle: SettingsHandle<FramesSettings>) -> Result<(), Exit> {
        loop {
            let settings = Arc::clone(handle.get());
            let noise = Noise::new(&settings, self.seed, &self.path);
            let period = settings.period();
            let mut beat = interval_at(Instant::now() + period, period);
            // What could not be published in time is not made up for: a camera has no frames to catch up with.
            beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    biased;
                    _another = handle.changed() => break,
                    _at = beat.tick() => self.publish(&settings, &noise).await?,
                }
            }
        }
    }

    async fn publish(&mut self, settings: &FramesSettings, noise: &Noise) -> Result<(), Exit> {
        let number = self.published.load(Ordering::Relaxed) + 1;
        let mut draft = Draft::new(&self.outlet.topic, settings.data(number));
        let extras = draft.extras();
        extras.blob = Some(noise.frame(number));
        extras.captured_at = Some(self.clock.wall());
        self.outlet.say(draft, settings.when_room).await;
        self.published.store(number, Ordering::Relaxed);
        match settings.limit {
            Some(limit) if number >= limit => Err(Exit(done(limit))),
            _ => Ok(()),
        }
    }
}
