//! Stories in plain words: as a document, and drawn.

use serde_json::{Value, json};
use unity_supervisors::slot::{ExitRecord, Response};
use unity_supervisors::{ActorPath, ExitKind, Kernel, SlotState};

use super::ladder;
use super::story::{Exit, Part, Story};
use crate::arguments::{duration_text, milliseconds};
use crate::screen::{Line, Screen, Tone, ago, count, is_in_state, list, number, text};

/// How many lines of a story are drawn; `--json` has all.
const DRAWN: usize = 12;

/// A thing to do: a text, and the command as its words.
pub(crate) fn suggestion(command: &str, why: &str) -> Value {
    let words: Vec<&str> = command.split_whitespace().collect();
    json!({ "text": why, "command": words })
}

/// The document of a story.
pub(crate) fn document(kernel: &Kernel, story: &Story) -> Value {
    let (Some(cause), Some(last)) = (story.cause(), story.last()) else {
        return Value::Null;
    };
    let now = kernel.clock().wall();
    let ago_ms = |record: &ExitRecord| milliseconds(record.at.age(now));
    let state = |path: &ActorPath| kernel.registry().get(path).map(|slot| slot.state());
    let others = story.exits.iter().map(|(_, exit)| &exit.path);
    let mut with: Vec<&ActorPath> = others.filter(|path| **path != cause.path).collect();
    with.sort();
    with.dedup();
    let times = story
        .exits
        .iter()
        .filter(|(_, exit)| exit.path == cause.path)
        .count();
    let timeline: Vec<Value> = steps(story)
        .iter()
        .map(|step| {
            let record = &step.exit.record;
            json!({
                "time": record.at, "ago_ms": ago_ms(record), "path": step.exit.path, "times": step.times,
                "text": step.text(),
            })
        })
        .collect();
    let is_safe = kernel.safe_reason().is_some();
    let (command, because) = advise(cause, last, is_safe, state);
    json!({
        "path": cause.path,
        "reason": cause.record.reason,
        "in_hand": cause.record.in_hand,
        "text": format!("{} {}", cause.path, what(&cause.record)),
        "times": times,
        "first": story.exits.first().map(|(_, exit)| exit.record.at),
        "last": last.record.at,
        "ago_ms": ago_ms(&last.record),
        "with": with,
        "timeline": timeline,
        "now": { "path": last.path, "state": state(&last.path), "text": how_now(cause, last, state) },
        "suggest": suggestion(&command, because),
    })
}

/// Exits of a story that are told in one line.
struct Step<'a> {
    part: Part,
    exit: &'a Exit,
    times: usize,
}

/// The exits of a story, the same ones that follow each other taken together.
fn steps(story: &Story) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for (part, exit) in &story.exits {
        let is_same = |step: &&mut Step<'_>| {
            let (one, other) = (&step.exit.record, &exit.record);
            step.exit.path == exit.path
                && one.reason == other.reason
                && std::mem::discriminant(&one.response) == std::mem::discriminant(&other.response)
                && one.ladder.is_none()
                && other.ladder.is_none()
        };
        match steps.last_mut().filter(is_same) {
            Some(step) => {
                step.times += 1;
                step.exit = exit;
            }
            None => steps.push(Step {
                part: *part,
                exit,
                times: 1,
            }),
        }
    }
    steps
}

impl Step<'_> {
    /// `crashed: ouch, 3 times; it was started again`
    fn text(&self) -> String {
        let record = &self.exit.record;
        if self.part == Part::Along {
            return "was stopped with it".to_owned();
        }
        let times = match self.times {
            1 => String::new(),
            times => format!(", {}", count(times as u64, "time")),
        };
        format!("{}{times}; {}", what(record), done(self.exit))
    }
}

/// What happened to it: `crashed: ouch`.
fn what(record: &ExitRecord) -> String {
    let reason = &record.reason;
    let said = reason
        .text
        .as_ref()
        .map(|text| format!(": {text}"))
        .unwrap_or_default();
    if record.failed_start {
        return format!("did not start{said}");
    }
    let verb = match reason.kind {
        ExitKind::Normal => "ended",
        ExitKind::Shutdown => "was stopped",
        ExitKind::Killed => "was killed",
        ExitKind::Error => "crashed",
        ExitKind::Panic => "panicked",
        ExitKind::Stalled => "was stuck",
        ExitKind::GaveUp => "gave up",
        ExitKind::NodeDown => "lost its node",
    };
    let place = reason
        .location
        .as_ref()
        .map(|place| format!(" at {place}"))
        .unwrap_or_default();
    format!("{verb}{said}{place}")
}

/// What was done about it.
fn done(exit: &Exit) -> String {
    let record = &exit.record;
    let parent = exit.path.parent().unwrap_or_else(ActorPath::root);
    let done = match &record.response {
        Response::Restarted => "it was started again".to_owned(),
        Response::Backoff { pause_ms } => {
            format!("it was to start again after {}", duration_text(*pause_ms))
        }
        Response::RolledBack => "it was started again with its former settings".to_owned(),
        Response::LeftDown => "it was left down".to_owned(),
        Response::Stopped | Response::StopFailed => "it was stopped".to_owned(),
        Response::Deleted => "it was deleted".to_owned(),
        Response::Quarantined => "it was put into quarantine".to_owned(),
        Response::GaveUp => format!("its supervisor {parent} gave up"),
        Response::AutoShutdown => format!("its supervisor {parent} shut itself down"),
    };
    match &record.ladder {
        Some(note) => {
            let note = json!({ "ladder": note });
            format!("{done} ({})", ladder::of_exit(&note))
        }
        None => done,
    }
}

/// How those are now that began and ended it.
fn how_now(cause: &Exit, last: &Exit, state: impl Fn(&ActorPath) -> Option<SlotState>) -> String {
    let of = |path: &ActorPath| match state(path) {
        Some(state) => format!("{path} {}", is_in_state(state.as_str())),
        None => format!("{path} is no more"),
    };
    if cause.path == last.path {
        return of(&last.path);
    }
    format!("{}, {}", of(&last.path), of(&cause.path))
}

/// One thing to do about a story.
fn advise(
    cause: &Exit,
    last: &Exit,
    is_safe: bool,
    state: impl Fn(&ActorPath) -> Option<SlotState>,
) -> (String, &'static str) {
    let both = [&last.path, &cause.path];
    let in_state = |wanted: SlotState| both.iter().find(|path| state(path) == Some(wanted));
    let path = &cause.path;
    if is_safe && in_state(SlotState::Quarantined).is_some() {
        return (
            "uk release --all".to_owned(),
            "the kernel is in safe mode; once the cause is mended, this ends it",
        );
    }
    if let Some(path) = in_state(SlotState::Quarantined) {
        return (
            format!("uk release {path}"),
            "once the cause is mended, this starts it again",
        );
    }
    if let Some(path) = in_state(SlotState::Backoff) {
        return (
            format!("uk start {path}"),
            "it waits before its next start; this starts it now",
        );
    }
    if let Some(path) = in_state(SlotState::Stopped) {
        return (format!("uk start {path}"), "it is down; this starts it");
    }
    if state(path).is_none() {
        let parent = path.parent().unwrap_or_else(ActorPath::root);
        return (
            format!("uk tree {parent}"),
            "it was deleted; this shows what is there",
        );
    }
    if cause.record.in_hand.is_some() {
        return (
            format!("uk dlq list --path {path}"),
            "the message it had in hand is kept there",
        );
    }
    if cause.record.reason.kind == ExitKind::Killed {
        return (
            format!("uk tree {path}"),
            "somebody killed it; this shows whether it holds",
        );
    }
    (format!("uk logs {path}"), "what it said before")
}

/// A story as lines: who began it, what came of it.
pub(crate) fn timeline(story: &Value, screen: &Screen) -> String {
    let mut out = String::new();
    let steps = list(story, "timeline");
    for (at, step) in steps.iter().enumerate() {
        // Of a long one the beginning and the end.
        if steps.len() > DRAWN && at == DRAWN / 2 {
            let left_out = steps.len() - DRAWN;
            out.push_str(&format!(
                "  … {} more; --json has them\n",
                count(left_out as u64, "step")
            ));
        }
        if steps.len() > DRAWN && at >= DRAWN / 2 && at < steps.len() - DRAWN / 2 {
            continue;
        }
        let mut line = Line::new();
        line.push(Tone::Plain, "  ");
        line.push(Tone::Dim, &ago(number(step, "ago_ms")));
        line.pad_to(14);
        line.push(Tone::Bold, text(step, "path"));
        line.push(Tone::Plain, &format!(" {}", text(step, "text")));
        out.push_str(&line.wrap(screen, 16));
    }
    out
}

/// `next  uk logs /a  what it said before`
pub(crate) fn next(suggest: &Value, screen: &Screen) -> String {
    let words = list(suggest, "command").iter().filter_map(Value::as_str);
    let mut line = Line::new();
    line.push(Tone::Dim, "next  ");
    line.push(Tone::Bold, &words.collect::<Vec<_>>().join(" "));
    line.push(Tone::Dim, &format!("  {}", text(suggest, "text")));
    line.wrap(screen, 6)
}
