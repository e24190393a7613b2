//! The parts of the robot: a lidar, models that follow a script, an interlock, and an arm that trusts nothing else.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use unity_actors::duration::DurationText;
use unity_supervisors::bus::{Draft, Topic};
use unity_supervisors::{Actor, Apply, Context, Delivery, Exit, Kinds, Message, Next, Start};

/// How many directions the lidar looks in.
const DIRECTIONS: usize = 36;
/// What is nearer than this is in the way, in centimetres.
const NEAR_CM: u64 = 40;

/// The kinds that are the demo's own.
pub(super) fn with_kinds(kinds: Kinds) -> Kinds {
    kinds
        .with::<Lidar>(
            "demo.lidar",
            "measures how far walls are, which are drawn from the seed",
        )
        .with::<Model>(
            "demo.model",
            "follows a script where a language model would think",
        )
        .with::<Interlock>(
            "demo.interlock",
            "says time and again that the arm may move",
        )
        .with::<Arm>(
            "demo.arm",
            "moves as planned while the interlock says that it may",
        )
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Beat {
    /// Time between two.
    interval: DurationText,
}

#[derive(Debug, Message)]
enum Tick {
    Tick,
}

/// Publishes a draft; one that finds no room is as a reading that nobody looked at.
async fn say<A: Actor>(ctx: &Context<A>, topic: &str, data: Value) -> Result<(), Exit> {
    let topic = Topic::new(topic).map_err(|error| Exit::error(error.to_string()))?;
    let said = ctx.publish(Draft::new(&topic, data)).await;
    said.map(|_| ())
        .map_err(|error| Exit::error(error.to_string()))
}

struct Lidar {
    rng: fastrand::Rng,
    walls: Vec<u64>,
    scan: u64,
}

impl Actor for Lidar {
    type Message = Tick;
    type Settings = Beat;

    async fn start(settings: &Beat, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        ctx.tell_every(settings.interval.0, || Tick::Tick);
        let mut rng = fastrand::Rng::with_seed(ctx.kernel().seed());
        let walls = (0..DIRECTIONS).map(|_| rng.u64(80..600)).collect();
        let scan = 0;
        Ok(Start::Running(Self { rng, walls, scan }))
    }

    async fn handle(&mut self, _: &mut Tick, ctx: &mut Context<Self>) -> Result<Next, Exit> {
        for wall in &mut self.walls {
            *wall = wall
                .saturating_add_signed(self.rng.i64(-20..=20))
                .clamp(20, 800);
        }
        self.scan += 1;
        let data = json!({ "scan": self.scan, "cm": self.walls });
        say(ctx, "sensor.lidar", data).await?;
        Ok(Next::Continue)
    }

    fn observe(&self) -> Value {
        json!({ "scan": self.scan })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Size {
    /// Thinks for longer, and further.
    Large,
    /// Is quick, and careful.
    Small,
}

impl Size {
    fn thinks_for(self) -> Duration {
        Duration::from_millis(match self {
            Self::Large => 5,
            Self::Small => 1,
        })
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ModelSettings {
    size: Size,
    /// The topic of what it says.
    publishes: String,
}

#[derive(Debug, Message)]
enum Thought {
    Scan(Delivery),
}

struct Model {
    size: Size,
    topic: String,
    thoughts: u64,
}

impl Actor for Model {
    type Message = Thought;
    type Settings = ModelSettings;

    async fn start(settings: &ModelSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        ctx.subscribe("sensor.lidar", Thought::Scan)?;
        Ok(Start::Running(Self {
            size: settings.size,
            topic: settings.publishes.clone(),
            thoughts: 0,
        }))
    }

    async fn handle(
        &mut self,
        thought: &mut Thought,
        ctx: &mut Context<Self>,
    ) -> Result<Next, Exit> {
        let Thought::Scan(scan) = thought;
        tokio::time::sleep(self.size.thinks_for()).await;
        let far = scan.data.get("cm").and_then(Value::as_array);
        let far = far.into_iter().flatten().filter_map(Value::as_u64);
        let widest = far.enumerate().max_by_key(|(_, cm)| *cm);
        let Some((direction, cm)) = widest else {
            return Ok(Next::Continue);
        };
        self.thoughts += 1;
        let step_cm = match self.size {
            Size::Large => cm / 2,
            Size::Small => cm / 8,
        };
        let turn = direction * 360 / DIRECTIONS;
        let data = json!({ "by": self.size, "turn": turn, "step_cm": step_cm });
        say(ctx, &self.topic, data).await?;
        Ok(Next::Continue)
    }

    async fn apply(&mut self, new: &ModelSettings, _: &mut Context<Self>) -> Apply {
        self.size = new.size;
        self.topic.clone_from(&new.publishes);
        Apply::Applied
    }

    fn observe(&self) -> Value {
        json!({ "size": self.size, "thoughts": self.thoughts })
    }
}

struct Interlock;

impl Actor for Interlock {
    type Message = Tick;
    type Settings = Beat;

    async fn start(settings: &Beat, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        ctx.tell_every(settings.interval.0, || Tick::Tick);
        Ok(Start::Running(Self))
    }

    async fn handle(&mut self, _: &mut Tick, ctx: &mut Context<Self>) -> Result<Next, Exit> {
        say(ctx, "robot.clear", json!({ "near_cm": NEAR_CM })).await?;
        Ok(Next::Continue)
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ArmSettings {
    /// For how long it trusts what the interlock said last.
    trusts: DurationText,
}

#[derive(Debug, Message)]
enum Motion {
    #[message(priority = "critical")]
    Clear(Delivery),
    Plan(Delivery),
}

struct Arm {
    trusts: Duration,
    cleared: Option<Instant>,
    moved: u64,
    held_back: u64,
}

impl Actor for Arm {
    type Message = Motion;
    type Settings = ArmSettings;

    async fn start(settings: &ArmSettings, ctx: &mut Context<Self>) -> Result<Start<Self>, Exit> {
        ctx.subscribe("robot.clear", Motion::Clear)?;
        ctx.subscribe("robot.plan", Motion::Plan)?;
        Ok(Start::Running(Self {
            trusts: settings.trusts.0,
            cleared: None,
            moved: 0,
            held_back: 0,
        }))
    }

    async fn handle(&mut self, motion: &mut Motion, _: &mut Context<Self>) -> Result<Next, Exit> {
        match motion {
            Motion::Clear(_) => self.cleared = Some(Instant::now()),
            Motion::Plan(_) => match self.cleared.is_some_and(|at| at.elapsed() <= self.trusts) {
                true => self.moved += 1,
                false => self.held_back += 1,
            },
        }
        Ok(Next::Continue)
    }

    fn observe(&self) -> Value {
        json!({ "moved": self.moved, "held_back": self.held_back })
    }
}
