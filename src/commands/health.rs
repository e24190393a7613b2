//! `uk health`: whether all is well, and if not, what is not.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use unity_actors::alarms::{Alarm, Alarms};
use unity_actors::cluster::Cluster;
use unity_supervisors::kernel::memory::Shedding;
use unity_supervisors::view::StallView;
use unity_supervisors::{ActorPath, Kernel, Mode, SlotState};

use super::{Command, need_of, waits_for, waits_text};
use crate::arguments::milliseconds;
use crate::boot::NoStreams;
use crate::error::EXIT_DIFFERENCE;
use crate::screen::{Line, Screen, Tone, bytes, count, list, number, printable, rough, text};
use crate::settings::service::Room;

/// How many children that are not well are drawn; `--json` has all.
const SHOWN: usize = 20;

pub(super) const COMMAND: Command = Command {
    about: "Whether all is well; exit code 9 if not",
    help: "Degraded is: safe mode, a boot that is not over, a child that is in quarantine, being restarted or in \
           backoff, one that waits for another that is down, a life that holds its thread, or one that was cut off \
           because it does, memory so short that messages are shed, files of settings that could not be applied, an address where no other node can attach though it should, or an alarm \
           that stands: something is beyond its limit in `alarms` of system.yaml. A child \
           that somebody stopped is not.\n\n\
           With --node all it tells of each node that is attached; one that is down counts as degraded.\n\n\
           Example: uk health --json",
    show,
    is_of_all: true,
    exit: |document| {
        if text(document, "status") == "ok" {
            0
        } else {
            EXIT_DIFFERENCE
        }
    },
    ..Command::reading(&["health"], |kernel, _| {
        async move { Ok(read(&kernel)) }.boxed()
    })
};

fn read(kernel: &Kernel) -> Value {
    let now = Instant::now();
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    let mut unwell = Vec::new();
    let mut quarantined: Vec<ActorPath> = Vec::new();
    for path in kernel.registry().paths() {
        let Some(slot) = kernel.registry().get(&path) else {
            continue;
        };
        let state = slot.state();
        if !path.is_system() {
            *states.entry(state.as_str()).or_default() += 1;
        }
        let is_bad = matches!(
            state,
            SlotState::Quarantined | SlotState::Restarting | SlotState::Backoff
        );
        if state == SlotState::Quarantined {
            quarantined.push(path.clone());
        }
        let need = waits_for(kernel, &slot);
        let stall = StallView::of(&slot, now);
        if is_bad || slot.abandoned() > 0 || stall.is_some() || need.is_some() {
            let reason = slot.last_exit().map(|exit| exit.reason);
            let need = need.as_deref().map(need_of);
            unwell.push(json!({
                "path": path, "state": state, "abandoned": slot.abandoned(), "reason": reason, "waits_for": need,
                "stall": stall,
            }));
        }
    }
    let (abandoned, most) = (kernel.abandoned(), kernel.max_abandoned());
    let memory = kernel.memory();
    let is_short = memory.is_some_and(|memory| memory.shedding != Shedding::Nothing);
    let settings = kernel.shared::<Room>().status();
    let alarms: Vec<Value> = kernel
        .shared::<Alarms>()
        .standing()
        .iter()
        .map(alarm)
        .collect();
    let troubles = troubles(kernel, &settings.troubles);
    let is_well = unwell.is_empty()
        && abandoned == 0
        && !is_short
        && troubles.is_empty()
        && alarms.is_empty();
    let is_ok = kernel.mode() == Mode::Normal && is_well;
    json!({
        "version": 1,
        "status": if is_ok { "ok" } else { "degraded" },
        "node": kernel.name(),
        "mode": kernel.mode(),
        "safe_reason": kernel.safe_reason(),
        "uptime_ms": milliseconds(kernel.uptime()),
        "states": states,
        "quarantined": quarantined,
        "unwell": unwell,
        "abandoned": abandoned,
        "max_abandoned": most,
        "dead_letters": kernel.dead_letters().total(),
        "settings": { "number": settings.number, "troubles": troubles },
        "alarms": alarms,
        "memory": memory,
        "fullest": if is_short { fullest(kernel) } else { Value::Null },
    })
}

/// What of the kernel itself is not as it should be: its files of settings, its streams, where it listens for nodes.
fn troubles(kernel: &Kernel, settings: &impl Serialize) -> Vec<Value> {
    let settings = serde_json::to_value(settings).unwrap_or_default();
    let mut troubles = match settings {
        Value::Array(troubles) => troubles,
        _ => Vec::new(),
    };
    if let Some(why) = &kernel.shared::<NoStreams>().0 {
        troubles.push(json!({ "what": format!("it has no streams: {why}") }));
    }
    if let Some(why) = kernel.shared::<Cluster>().deaf() {
        let hint = "it is tried again every second; `uk node list` says when it listens";
        troubles.push(json!({ "what": why, "hint": hint }));
    }
    troubles
}

/// An alarm, what it says, and what to do.
fn alarm(alarm: &Alarm) -> Value {
    #[derive(Serialize)]
    struct Told<'a> {
        #[serde(flatten)]
        alarm: &'a Alarm,
        text: String,
        hint: &'a str,
    }
    let (text, hint) = (alarm.text(), alarm.kind.hint());
    json!(Told { alarm, text, hint })
}

/// The mailbox in which most messages wait; those of the kernel's own services never have many.
fn fullest(kernel: &Kernel) -> Value {
    let paths = kernel.registry().paths().into_iter();
    let paths = paths.filter(|path| !path.is_system());
    let slots = paths.filter_map(|path| kernel.registry().get(&path));
    let depths = slots.map(|slot| (slot.depth(), slot.path().clone()));
    match depths.max_by_key(|(depth, _)| *depth) {
        Some((depth, path)) if depth > 0 => json!({ "path": path, "depth": depth }),
        _ => Value::Null,
    }
}

fn show(document: &Value, screen: &Screen) -> String {
    let is_ok = text(document, "status") == "ok";
    let mut line = Line::new();
    line.push(Tone::Bold, text(document, "node"));
    line.push(Tone::Plain, " is ");
    line.push(
        if is_ok { Tone::Good } else { Tone::Bad },
        text(document, "status"),
    );
    let mode = match text(document, "mode") {
        "booting" => "still booting",
        "safe" => "safe mode",
        "normal" => "normal mode",
        other => other,
    };
    let up = rough(number(document, "uptime_ms"));
    line.push(Tone::Dim, &format!(" · {mode} · up {up}"));
    let mut out = line.wrap(screen, 2);
    let why = text(document, "safe_reason");
    if !why.is_empty() {
        out.push_str(&fact(screen, Tone::Bad, "safe mode", why));
    }
    out.push_str(&fact(screen, Tone::Plain, "states", &states(document)));
    let (abandoned, most) = (
        number(document, "abandoned"),
        number(document, "max_abandoned"),
    );
    if abandoned > 0 {
        let rest = match most.saturating_sub(abandoned) {
            0 => "none more is cut off until one lets go of its thread",
            _ => "their threads are stuck",
        };
        let said = format!("{abandoned} of {most} that may be; {rest}");
        out.push_str(&fact(screen, Tone::Bad, "abandoned", &said));
    }
    for child in list(document, "unwell").iter().take(SHOWN) {
        out.push_str(&unwell(child, screen));
    }
    out.push_str(&more(screen, list(document, "unwell").len()));
    if let Some(memory) = document.get("memory").filter(|memory| memory.is_object()) {
        out.push_str(&memory_line(memory, screen));
    }
    let troubles = document.pointer("/settings/troubles");
    for trouble in troubles.and_then(Value::as_array).into_iter().flatten() {
        out.push_str(&settings_trouble(trouble, screen));
    }
    out.push_str(&alarms(document, screen));
    let dead = number(document, "dead_letters");
    if dead > 0 {
        out.push_str(&fact(
            screen,
            Tone::Warn,
            "dead",
            &format!("{}; `uk dlq list`", count(dead, "letter")),
        ));
    }
    if !why.is_empty() {
        out.push_str("hint: once the cause is mended, `uk release --all` ends safe mode\n");
    }
    if is_short(document) {
        out.push_str(&memory_hint(document));
    }
    out
}

/// The alarms that stand, and of each sort of them what to do.
fn alarms(document: &Value, screen: &Screen) -> String {
    let (mut out, alarms) = (String::new(), list(document, "alarms"));
    for (at, alarm) in alarms.iter().take(SHOWN).enumerate() {
        out.push_str(&fact(screen, Tone::Bad, "alarm", text(alarm, "text")));
        let kind = text(alarm, "alarm");
        let next = alarms.get(at + 1).map_or("", |next| text(next, "alarm"));
        if next != kind || at + 1 == SHOWN {
            out.push_str(&fact(
                screen,
                Tone::Dim,
                "",
                &format!("hint: {}", text(alarm, "hint")),
            ));
        }
    }
    out.push_str(&more(screen, alarms.len()));
    out
}

/// Says that there are more than are drawn.
fn more(screen: &Screen, count: usize) -> String {
    match count.saturating_sub(SHOWN) {
        0 => String::new(),
        more => fact(
            screen,
            Tone::Dim,
            "…",
            &format!("and {more} more; --json has them"),
        ),
    }
}

fn is_short(document: &Value) -> bool {
    let memory = document.get("memory").unwrap_or(&Value::Null);
    !matches!(text(memory, "shedding"), "" | "nothing")
}

fn memory_line(memory: &Value, screen: &Screen) -> String {
    let (tone, sheds) = match text(memory, "shedding") {
        "low" => (Tone::Bad, "; `low` and `deferred` messages are shed"),
        "deferred" => (Tone::Warn, "; `deferred` messages are shed"),
        _ => (Tone::Plain, ""),
    };
    let size = |name: &str| bytes(number(memory, name));
    let (used, limit) = (size("used_bytes"), size("limit_bytes"));
    let so_far = match number(memory, "shed") {
        0 => String::new(),
        shed => format!(", {shed} so far"),
    };
    let said = format!("{used} of {limit}{sheds}{so_far}");
    fact(screen, tone, "memory", &said)
}

/// Where to look when memory is short, and what to do.
fn memory_hint(document: &Value) -> String {
    let fullest = document.get("fullest").unwrap_or(&Value::Null);
    let place = match text(fullest, "path") {
        "" => "nothing waits in mailboxes: an actor itself has grown".to_owned(),
        path => format!(
            "{path} has most waiting, {}",
            count(number(fullest, "depth"), "message")
        ),
    };
    format!("hint: {place}; restart what grows, or run the kernel with a higher --memory-limit\n")
}

/// What is wrong with the files of settings, with its place where it has one.
fn settings_trouble(trouble: &Value, screen: &Screen) -> String {
    let mut out = fact(screen, Tone::Bad, "settings", text(trouble, "what"));
    let shown = text(trouble, "shown");
    if shown.contains('\n') {
        // It is laid out already: each line as it is, but for what a screen would take for a command.
        for line in shown.lines() {
            out.push_str(&format!("    {}\n", printable(line)).replace("    \n", "\n"));
        }
    }
    let hint = text(trouble, "hint");
    if !hint.is_empty() {
        let mut line = Line::new();
        line.push(Tone::Plain, &format!("  hint: {hint}"));
        out.push_str(&line.wrap(screen, 8));
    }
    out
}

fn unwell(child: &Value, screen: &Screen) -> String {
    let (path, state) = (text(child, "path"), text(child, "state"));
    if let Some(waits) = child.get("waits_for").and_then(waits_text) {
        return fact(screen, Tone::Warn, "waiting", &format!("{path} {waits}"));
    }
    if let Some(stall) = super::stall::said(child) {
        return fact(screen, Tone::Bad, "stalled", &format!("{path} {stall}"));
    }
    let reason = child.get("reason").filter(|reason| !reason.is_null());
    let reason = reason.map(|why| format!(" ({})", crate::screen::reason(why)));
    let said = format!("{path}{}", reason.unwrap_or_default());
    fact(screen, Tone::of_state(state), state, &said)
}

fn fact(screen: &Screen, tone: Tone, name: &str, value: &str) -> String {
    let mut line = Line::new();
    line.push(Tone::Plain, "  ");
    line.push(tone, name);
    line.pad_to(14);
    line.push(Tone::Plain, value);
    line.wrap(screen, 14)
}

fn states(document: &Value) -> String {
    let states = document.get("states").and_then(Value::as_object);
    let words = states
        .into_iter()
        .flatten()
        .map(|(state, count)| format!("{count} {state}"));
    words.collect::<Vec<_>>().join(", ")
}
