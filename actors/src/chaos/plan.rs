//! Plans: what is broken, where, how fast, and what must hold meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use unity_supervisors::{ActorPath, ChildId};

use crate::cluster::Trouble;
use crate::duration::DurationText;

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of this form: 1.
    pub version: u32,
    /// What it is called.
    pub name: String,
    /// What it shows, in one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Who may be struck, unless a phase says otherwise.
    #[serde(default)]
    pub targets: Targets,
    /// What follows what.
    #[serde(default)]
    pub phases: Vec<Phase>,
    /// What must hold before, during and after it. Where one does not, the run ends at once and undoes all that it did.
    #[serde(default)]
    pub probes: Vec<Probe>,
    /// What is struck when, without chance: how a run is played again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts: Vec<Act>,
    /// How long to wait at the end until all that must be up is.
    #[serde(default = "settles_within")]
    pub settles_within: DurationText,
}

/// The name of the plan of a run without a file.
pub const USUAL: &str = "usual";

impl Plan {
    /// The plan of a run without a file: one phase as long and as fast as that, of faults that end lives, within 80 % of each
    /// supervisor's budget.
    #[must_use]
    pub fn usual(takes: Duration, rate: Rate) -> Self {
        let lasts = |ms| DurationText(Duration::from_millis(ms));
        let slow = SlowStart {
            by: lasts(100),
            lasts: lasts(1_000),
        };
        let chance = |fault, weight| Chance { fault, weight };
        let storm = Phase {
            name: "storm".to_owned(),
            takes: DurationText(takes),
            rate,
            faults: vec![
                chance(Fault::Kill, 6),
                chance(Fault::Panic, 2),
                chance(Fault::Error, 2),
                chance(Fault::SlowStart(slow), 1),
            ],
            targets: None,
            budget: budget(),
        };
        Self {
            version: 1,
            name: USUAL.to_owned(),
            about: "Lives end in all ways, within 80 % of each supervisor's budget".to_owned(),
            targets: Targets::default(),
            phases: vec![storm],
            probes: vec![Probe::PermanentUp {
                within: settles_within(),
            }],
            acts: Vec::new(),
            settles_within: settles_within(),
        }
    }

    /// How long and how fast it is, if it is the [usual](Self::usual) one, which says nothing else.
    #[must_use]
    pub fn as_usual(&self) -> Option<(Duration, Rate)> {
        let storm = self.phases.first()?;
        let (takes, rate) = (storm.takes.0, storm.rate);
        (*self == Self::usual(takes, rate)).then_some((takes, rate))
    }

    /// How long it strikes; where it has acts alone, until the last of them is over.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        let phases = self.phases.iter().map(|phase| phase.takes.0).sum();
        let acts = self.acts.iter();
        let acts = acts.map(|act| act.at.0.saturating_add(act.fault.lasts()));
        match self.phases.is_empty() {
            true => acts.max().unwrap_or_default(),
            false => phases,
        }
    }

    /// All faults that it may strike with, as often as it names them.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        let drawn = self.phases.iter().flat_map(|phase| &phase.faults);
        let drawn = drawn.map(|chance| &chance.fault);
        drawn.chain(self.acts.iter().map(|act| &act.fault))
    }

    /// Whether it kills the kernel.
    #[must_use]
    pub fn kills_kernel(&self) -> bool {
        self.faults().any(|fault| *fault == Fault::KillKernel)
    }
}

fn settles_within() -> DurationText {
    DurationText(Duration::from_secs(30))
}

/// Who may be struck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Targets {
    /// Those at these paths, and below.
    pub paths: Vec<PathPattern>,
    /// Those of these kinds; all unless some are named.
    pub kinds: Vec<String>,
    /// Those that have all of these labels.
    pub labels: BTreeMap<String, String>,
    /// None at these paths, or below.
    pub spare: Vec<PathPattern>,
    /// How many may be down at a time because of it.
    #[schemars(range(min = 1))]
    pub max_down: u32,
    /// Whether essential children may be struck.
    pub essential: bool,
    /// Whether the kernel's own services may be: those that `paths` names.
    pub system: bool,
}

impl Default for Targets {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            kinds: Vec::new(),
            labels: BTreeMap::new(),
            spare: Vec::new(),
            max_down: 8,
            essential: false,
            system: false,
        }
    }
}

/// A part of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// What it is called.
    pub name: String,
    /// How long it takes.
    #[serde(rename = "for")]
    pub takes: DurationText,
    /// How many faults a second, as in `5/s`.
    #[serde(default)]
    pub rate: Rate,
    /// Which faults chance draws from; none is a time of rest.
    #[serde(default)]
    pub faults: Vec<Chance>,
    /// Who may be struck, if not those of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,
    /// How much of a supervisor's restarts may be used, in percent of its budget. Above 100 it gives up.
    #[serde(default = "budget")]
    #[schemars(range(min = 1))]
    pub budget: u32,
}

fn budget() -> u32 {
    80
}

/// A fault, and how often it is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chance {
    /// Which.
    pub fault: Fault,
    /// How often, beside the others.
    #[serde(default = "weight")]
    #[schemars(range(min = 1))]
    pub weight: u32,
}

fn weight() -> u32 {
    1
}

/// What is struck when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// How long after the beginning of the run.
    pub at: DurationText,
    /// With what.
    pub fault: Fault,
    /// Who; a fault of the whole node strikes nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub path: Option<ActorPath>,
}

/// Something that is broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// It is killed.
    Kill,
    /// Its handler panics.
    Panic,
    /// Its handler returns an error.
    Error,
    /// It takes no message for so long.
    Hang(Lasts),
    /// It holds its thread for so long.
    Busy(Lasts),
    /// It is killed, and its next starts take longer.
    SlowStart(SlowStart),
    /// It is killed, and its next starts fail.
    FailStart(FailStart),
    /// Its mailbox is full for so long, or is sent this message so often.
    Flood(Flood),
    /// Messages to it are lost.
    Drop(Share),
    /// Messages to it come later.
    Delay(Delay),
    /// Messages to it come twice.
    Double(Share),
    /// It is given settings that are bad.
    BadSwap(BadSwap),
    /// The wall clock of the node is set ahead, or back.
    ClockJump(ClockJump),
    /// Memory seems to be used up to so many percent of the limit.
    Memory(Share),
    /// No byte more can be written.
    DiskFull(Lasts),
    /// What is written cannot be brought onto the disk.
    SyncFails(Lasts),
    /// Its program is stopped for so long: of a `process` only.
    StopProcess(Lasts),
    /// Its program is killed: of a `process` only.
    KillProcess,
    /// The kernel is killed. Its guard starts it again.
    KillKernel,
    /// Nothing passes between this node and another; each connection seems to be there until its heartbeat says otherwise.
    Cut(Cut),
    /// Nothing passes one way between this node and another.
    CutOneWay(CutOneWay),
    /// What passes between this node and another takes longer, each way, in its order.
    SlowLink(SlowLink),
}

/// A node that is cut off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Which, of those that are attached; chance picks one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NodePattern")]
    pub node: Option<NodePattern>,
    /// For so long.
    #[serde(rename = "for")]
    pub lasts: DurationText,
}

/// A node that is cut off one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CutOneWay {
    /// Which, of those that are attached; chance picks one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NodePattern")]
    pub node: Option<NodePattern>,
    /// What does not pass.
    pub direction: Direction,
    /// For so long.
    #[serde(rename = "for")]
    pub lasts: DurationText,
}

/// A way, as seen from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the other node to this one.
    Inbound,
    /// From this node to the other.
    Outbound,
}

/// A node that is far away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowLink {
    /// Which, of those that are attached; chance picks one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NodePattern")]
    pub node: Option<NodePattern>,
    /// How much longer, each way.
    pub by: DurationText,
    /// For so long.
    #[serde(rename = "for")]
    pub lasts: DurationText,
}

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lasts {
    /// For so long.
    #[serde(rename = "for")]
    pub lasts: DurationText,
}

/// A fault of some messages in a hundred, or of a part of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// How many in a hundred.
    #[schemars(range(min = 1, max = 100))]
    pub percent: u8,
    /// For so long.
    #[serde(rename = "for")]
    pub lasts: DurationText,
}

/// Starts that take longer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowStart {
    /// How much longer.
    pub by: DurationText,
    /// For so long.
    #[serde(rename = "for")]
    pub lasts: DurationText,
}

/// Starts that fail.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailStart {
    /// How many.
    #[schemars(range(min = 1))]
    pub times: u32,
}

/// A mailbox that is full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    /// For so long.
    #[serde(rename = "for")]
    pub lasts: DurationText,
    /// Sent as often as there is room, in place of room that is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Value>,
}

/// Messages that come later.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// How much later.
    pub by: DurationText,
    /// For so long.
    #[serde(rename = "for")]
    pub lasts: DurationText,
}

/// Settings that are bad.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BadSwap {
    /// What is laid over its settings. Without it, something that no kind takes, which is to be refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Value>,
    /// After how long its own settings are put back, unless the kernel has done so before.
    #[serde(rename = "for", default = "swap_lasts")]
    pub lasts: DurationText,
}

fn swap_lasts() -> DurationText {
    DurationText(Duration::from_secs(2))
}

/// A clock that jumps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockJump {
    /// How far.
    pub by: DurationText,
    /// Back, and not ahead.
    #[serde(default)]
    pub back: bool,
    /// For so long.
    #[serde(rename = "for")]
    pub lasts: DurationText,
}

impl Fault {
    /// Its name in files and reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Panic => "panic",
            Self::Error => "error",
            Self::Hang(_) => "hang",
            Self::Busy(_) => "busy",
            Self::SlowStart(_) => "slow_start",
            Self::FailStart(_) => "fail_start",
            Self::Flood(_) => "flood",
            Self::Drop(_) => "drop",
            Self::Delay(_) => "delay",
            Self::Double(_) => "double",
            Self::BadSwap(_) => "bad_swap",
            Self::ClockJump(_) => "clock_jump",
            Self::Memory(_) => "memory",
            Self::DiskFull(_) => "disk_full",
            Self::SyncFails(_) => "sync_fails",
            Self::StopProcess(_) => "stop_process",
            Self::KillProcess => "kill_process",
            Self::KillKernel => "kill_kernel",
            Self::Cut(_) => "cut",
            Self::CutOneWay(_) => "cut_one_way",
            Self::SlowLink(_) => "slow_link",
        }
    }

    /// What it does to the link to another node, if that is what it strikes.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Cut(_) => Some(Trouble::Cut),
            Self::CutOneWay(its) => Some(match its.direction {
                Direction::Inbound => Trouble::CutInbound,
                Direction::Outbound => Trouble::CutOutbound,
            }),
            Self::SlowLink(its) => Some(Trouble::Slow(its.by.0)),
            _ => None,
        }
    }

    /// The link to which node it strikes, if that is said.
    #[must_use]
    pub fn node(&self) -> Option<&NodePattern> {
        match self {
            Self::Cut(Cut { node, .. })
            | Self::CutOneWay(CutOneWay { node, .. })
            | Self::SlowLink(SlowLink { node, .. }) => node.as_ref(),
            _ => None,
        }
    }

    /// The same for the link to the node of that name.
    #[must_use]
    pub fn at_node(mut self, name: &str) -> Self {
        if let Self::Cut(Cut { node, .. })
        | Self::CutOneWay(CutOneWay { node, .. })
        | Self::SlowLink(SlowLink { node, .. }) = &mut self
        {
            *node = Some(NodePattern(name.to_owned()));
        }
        self
    }

    /// Whether it strikes the whole node, or its links, and nobody in it: it has no path.
    #[must_use]
    pub fn is_of_node(&self) -> bool {
        self.trouble().is_some()
            || matches!(
                self,
                Self::ClockJump(_)
                    | Self::Memory(_)
                    | Self::DiskFull(_)
                    | Self::SyncFails(_)
                    | Self::KillKernel
            )
    }

    /// How many exits its target has by it, which its supervisor's budget pays for.
    #[must_use]
    pub fn exits(&self) -> u32 {
        match self {
            Self::Kill | Self::Panic | Self::Error | Self::KillProcess | Self::SlowStart(_) => 1,
            Self::FailStart(fail) => fail.times.saturating_add(1),
            // The life that takes them may crash of them once, before they are put back.
            Self::BadSwap(_) => 1,
            _ => 0,
        }
    }

    /// How long it lasts; zero if it is over at once.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        match self {
            Self::Hang(its) | Self::Busy(its) | Self::DiskFull(its) | Self::SyncFails(its) => {
                its.lasts.0
            }
            Self::StopProcess(its) => its.lasts.0,
            Self::SlowStart(its) => its.lasts.0,
            Self::Flood(its) => its.lasts.0,
            Self::Drop(its) | Self::Double(its) | Self::Memory(its) => its.lasts.0,
            Self::Delay(its) => its.lasts.0,
            Self::ClockJump(its) => its.lasts.0,
            Self::BadSwap(its) => its.lasts.0,
            Self::Cut(its) => its.lasts.0,
            Self::CutOneWay(its) => its.lasts.0,
            Self::SlowLink(its) => its.lasts.0,
            _ => Duration::ZERO,
        }
    }
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// Every permanent child that was up before is up, but for those that are on their way for no longer than this.
    PermanentUp {
        /// How long one may be on its way.
        within: DurationText,
    },
    /// An actor answers.
    Ask {
        /// Which.
        #[schemars(with = "String")]
        path: ActorPath,
        /// What it is asked.
        message: Value,
        /// How long the slowest in a hundred may take.
        p99: DurationText,
    },
    /// An actor goes on to handle messages.
    GoesOn {
        /// Which.
        #[schemars(with = "String")]
        path: ActorPath,
        /// How long it may handle none.
        within: DurationText,
    },
    /// No consumer of a stream is further behind.
    Lag {
        /// Which.
        stream: String,
        /// How many entries.
        most: u64,
    },
    /// The process uses no more memory.
    Memory {
        /// In mebibytes.
        #[schemars(range(min = 1))]
        most_mib: u64,
    },
}

impl Probe {
    /// What it is called in reports.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::PermanentUp { .. } => "permanent_up".to_owned(),
            Self::Ask { path, .. } => format!("ask {path}"),
            Self::GoesOn { path, .. } => format!("goes_on {path}"),
            Self::Lag { stream, .. } => format!("lag {stream}"),
            Self::Memory { .. } => "memory".to_owned(),
        }
    }
}

/// So many a second: `5/s`, `0.5/s`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(f64);

impl Rate {
    /// So many a second.
    ///
    /// # Errors
    /// A text, if that is not above 0 and at most 1000.
    pub fn per_second(count: f64) -> Result<Self, String> {
        if count > 0.0 && count <= 1000.0 {
            Ok(Self(count))
        } else {
            Err(format!("`{count}/s` is no rate: {RATE_FORM}"))
        }
    }

    /// As it is typed on a command line, where only integers are: `5/s`, `30/m`.
    #[must_use]
    pub fn typed(self) -> String {
        let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0)];
        let whole = units.iter().find_map(|(unit, per)| {
            let count = self.0 * per;
            // What was divided before does not come out even to the last bit.
            let is_whole = (count - count.round()).abs() < 1e-6 && count >= 0.5;
            is_whole.then(|| format!("{count:.0}/{unit}"))
        });
        whole.unwrap_or_else(|| self.to_string())
    }

    /// How long it is from one to the next.
    #[must_use]
    pub fn pause(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.0)
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self(1.0)
    }
}

/// What a rate looks like.
const RATE_FORM: &str = "write how many a second, above 0 and at most 1000, as in `5/s`";

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = text.strip_suffix("/s").and_then(|count| count.parse().ok());
        count
            .ok_or_else(|| format!("`{text}` is no rate: {RATE_FORM}"))
            .and_then(Self::per_second)
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?/s$" })
    }
}

/// A path in which a segment may be `*`, any one. It stands for what is there and for all below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern(String);

impl PathPattern {
    /// Whether it stands for what is at `path`.
    #[must_use]
    pub fn covers(&self, path: &ActorPath) -> bool {
        self.begins(path.segments())
    }

    /// Whether it stands for all that `other` stands for.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.begins(other.segments())
    }

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    fn begins<'p>(&self, mut there: impl Iterator<Item = &'p str>) -> bool {
        let mut wanted = self.segments();
        wanted.all(|wanted| there.next().is_some_and(|id| wanted == "*" || wanted == id))
    }
}

impl TryFrom<String> for PathPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Stars stand where an id may.
        let path = text.replace('*', "any");
        match path.parse::<ActorPath>() {
            Ok(_)
                if !text.contains("**")
                    && text.split('/').all(|id| id == "*" || !id.contains('*')) =>
            {
                Ok(Self(text))
            }
            _ => Err(format!(
                "`{text}` is no pattern of paths: write a path from the root in which a whole segment may be `*`, as in `/robot/*/camera`; all below it are meant too"
            )),
        }
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for PathPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PathPattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^/" })
    }
}

/// The name of a node, in which a `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodePattern(String);

impl NodePattern {
    /// Whether it stands for the node of that name.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return self.0 == name;
        };
        let mut parts: Vec<&str> = rest.split('*').collect();
        let last = parts.pop().unwrap_or_default();
        let Some(mut left) = name
            .strip_prefix(first)
            .and_then(|rest| rest.strip_suffix(last))
        else {
            return false;
        };
        parts.into_iter().all(|part| match left.split_once(part) {
            Some((_, after)) => {
                left = after;
                true
            }
            None => false,
        })
    }
}

impl TryFrom<String> for NodePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match ChildId::new(text.replace('*', "a")) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(format!("`{text}` is no name of a node: {NODE_FORM}")),
        }
    }
}

/// What the name of a node looks like.
pub const NODE_FORM: &str =
    "write one as `uk node list` shows it, in which `*` is any text, as in `edge-*`";

impl From<NodePattern> for String {
    fn from(pattern: NodePattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for NodePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for NodePattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NodePattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_*-]+$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_the_name_of_a_node_is_any_text() {
        for (pattern, name, covers) in [
            ("edge-1", "edge-1", true),
            ("edge-1", "edge-12", false),
            ("edge-*", "edge-12", true),
            ("edge-*", "hedge-1", false),
            ("*", "a", true),
            ("*-1", "edge-1", true),
            ("e*g*1", "edge-1", true),
            ("e*z*1", "edge-1", false),
            ("ab*ba", "aba", false),
        ] {
            let pattern = NodePattern::try_from(pattern.to_owned()).unwrap();
            assert_eq!(pattern.covers(name), covers, "{pattern} {name}");
        }
        for wrong in ["", "/a", "a b", "a.b"] {
            assert!(NodePattern::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
