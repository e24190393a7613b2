//! `uk why`: what happened to a child, what was done about it, and what to do next.
//!
//! [`living`] and [`deleted`] make the document; a bundle holds that of each slot, and [`offline`] shows it.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::slot::{ExitRecord, Response, Slot};
use unity_supervisors::{ActorPath, ExitKind, Kernel, SlotState};

mod ladder;
mod offline;
pub(super) mod story;
pub(super) mod telling;

use super::{Command, need_of, stall, waits_for, waits_text};
use crate::arguments::{Arg, ArgKind, Args, Rule, Together, duration_text, milliseconds};
use crate::error::CommandError;
use crate::screen::{Line, Screen, Tone, ago, count, is_in_state, list, number, reason, text};
use crate::settings::rollbacks::Rollback;
use crate::settings::service::Room;

/// How many exits are drawn; `--json` has all that are kept.
const SHOWN: usize = 8;

pub(super) const COMMAND: Command = Command {
    about: "Why a child is as it is: its last exits, its budget, what to do",
    help: "Also tells of children that were deleted, as long as they are remembered. With --bundle it tells what a \
           kernel wrote down when it entered safe mode or gave up, its guard when it died, or `uk doctor --bundle`; no \
           kernel has to run for that, and without a path it tells of all that exited.\n\n\
           Examples: uk why /sensors/host, uk why --bundle crash.json /sensors/host",
    args: &[
        Arg::optional(
            "path",
            ArgKind::Path,
            "where in the tree, as in /sensors/host",
        ),
        Arg::option(
            "bundle",
            ArgKind::File,
            "a bundle to read instead of the kernel",
        )
        .stays(),
    ],
    rules: &[Rule::new(
        Together::Some(&["path"]),
        "`path` is missing",
        "say where in the tree, as in /sensors/host",
    )],
    show,
    is_of_all: true,
    attend: Some(offline::attend),
    ..Command::reading(&["why"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let path = args.the_path()?;
    // The latest that it had a part in; what is below it is told of there.
    let mut stories = story::of_kernel(kernel).into_iter();
    let story = stories.find(|story| story.has(&path));
    let began = story.as_ref().and_then(story::Story::cause);
    let began = began
        .map(|cause| &cause.path)
        .filter(|cause| **cause != path);
    let mut document = match kernel.registry().get(&path) {
        Some(slot) => living(kernel, &slot, began)?,
        None => deleted(kernel, &path)?,
    };
    if let (Some(document), Some(story)) = (document.as_object_mut(), &story) {
        document.insert("began".to_owned(), json!(began));
        document.insert("story".to_owned(), telling::document(kernel, story));
    }
    Ok(document)
}

/// The document of what is there. `began` is who began what came over it, if that was somebody else.
pub(crate) fn living(
    kernel: &Kernel,
    slot: &Slot,
    began: Option<&ActorPath>,
) -> Result<Value, CommandError> {
    let path = slot.path();
    let node = kernel
        .node(path)
        .ok_or_else(|| CommandError::not_found(path, kernel))?;
    // The kernel's own services are outside of every budget.
    let is_service = path.segments().next() == Some("system");
    let above = path.parent().filter(|_| !is_service);
    let above = above.and_then(|parent| kernel.node(&parent));
    let supervisor = above.map(|above| {
        json!({ "path": above.path, "strategy": above.strategy, "auto_shutdown": above.auto_shutdown,
                "restarts": above.restarts })
    });
    let history = slot.history();
    let need = waits_for(kernel, slot);
    let rollback = kernel.shared::<Room>().status().rollbacks.remove(path);
    let advice = advise(&Facts {
        need: need.as_ref().map(|need| (need.path(), need.state())),
        path,
        state: slot.state(),
        last: history.last(),
        exits: history.len(),
        is_safe: kernel.safe_reason().is_some(),
        is_worker: !slot.is_supervisor(),
        is_stalled: node.stall.is_some(),
        is_swapped: slot.swap().is_some(),
        rollback: rollback.as_ref(),
        began,
    });
    Ok(json!({
        "version": 1,
        "path": path,
        "kind": node.kind,
        "type": node.node_type,
        "state": node.state,
        "deleted": false,
        "incarnation": node.incarnation,
        "restart": node.restart,
        "significant": node.significant,
        "auto_shutdown": node.auto_shutdown,
        "restarts": node.restarts,
        "ladder": node.ladder,
        "rolled_back": rollback,
        "mailbox": node.mailbox,
        "abandoned": node.abandoned,
        "stall": node.stall,
        "supervisor": supervisor,
        "safe_reason": kernel.safe_reason(),
        "started_fresh": slot.fresh(),
        "waits_for": need.as_deref().map(need_of),
        "exits": exits(kernel, &history),
        "earlier_exits": exits(kernel, &earlier(kernel, path, &history)),
        "next": { "command": advice.command, "because": advice.because },
        "suggest": telling::suggestion(&advice.command, advice.because),
    }))
}

/// The exits of earlier slots at `path` that are remembered, oldest first.
fn earlier(kernel: &Kernel, path: &ActorPath, history: &[ExitRecord]) -> Vec<ExitRecord> {
    let tombstones = kernel.tombstones();
    let of_path = tombstones
        .into_iter()
        .filter(|tombstone| tombstone.path == *path);
    // A slot that is being buried is there twice.
    let is_known = |record: &ExitRecord| history.iter().any(|known| known.when == record.when);
    of_path
        .flat_map(|tombstone| tombstone.history)
        .filter(|record| !is_known(record))
        .collect()
}

pub(crate) fn deleted(kernel: &Kernel, path: &ActorPath) -> Result<Value, CommandError> {
    let tombstones = kernel.tombstones();
    let tombstone = tombstones
        .iter()
        .rev()
        .find(|tombstone| tombstone.path == *path);
    let tombstone = tombstone.ok_or_else(|| CommandError::not_found(path, kernel))?;
    let parent = path.parent().unwrap_or_else(ActorPath::root);
    let (command, because) = (
        format!("uk tree {parent}"),
        "it was deleted; this shows what is there",
    );
    Ok(json!({
        "version": 1,
        "path": path,
        "state": null,
        "deleted": true,
        "exits": exits(kernel, &tombstone.history),
        "next": { "command": command, "because": because },
        "suggest": telling::suggestion(&command, because),
    }))
}

fn exits(kernel: &Kernel, history: &[ExitRecord]) -> Vec<Value> {
    let now = kernel.clock().wall();
    let exits = history.iter().rev().map(|record| {
        let mut value = serde_json::to_value(record).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            object.insert(
                "ago_ms".to_owned(),
                Value::from(milliseconds(record.at.age(now))),
            );
        }
        value
    });
    exits.collect()
}

/// What an advice is made of.
struct Facts<'a> {
    path: &'a ActorPath,
    state: SlotState,
    last: Option<&'a ExitRecord>,
    exits: usize,
    /// What it waits for, and how that is.
    need: Option<(&'a ActorPath, SlotState)>,
    is_safe: bool,
    is_worker: bool,
    is_stalled: bool,
    /// Its ladder has other settings in force.
    is_swapped: bool,
    /// It has its former settings back.
    rollback: Option<&'a Rollback>,
    /// Who began what came over it.
    began: Option<&'a ActorPath>,
}

struct Advice {
    command: String,
    because: &'static str,
}

/// One thing to do next.
fn advise(facts: &Facts<'_>) -> Advice {
    let path = facts.path;
    let advice = |command: String, because| Advice { command, because };
    if facts.is_safe && (path.is_root() || facts.state == SlotState::Quarantined) {
        return advice(
            "uk release --all".to_owned(),
            "the kernel is in safe mode; once the cause is mended, this ends it",
        );
    }
    if let Some((need, state)) = facts.need {
        return match state {
            SlotState::Quarantined if facts.is_safe => advice(
                "uk release --all".to_owned(),
                "it waits for what is in quarantine; this ends safe mode",
            ),
            SlotState::Quarantined => advice(format!("uk release {need}"), "it waits for that"),
            SlotState::Restarting => advice(format!("uk why {need}"), "it waits for that"),
            _ => advice(format!("uk start {need}"), "it waits for that"),
        };
    }
    if facts.is_stalled {
        return advice(
            format!("uk kill {path}"),
            "it is stalled; this starts it anew, without the life that is stuck",
        );
    }
    let is_fixed = path.is_root() || path.as_str() == "/system";
    match facts.state {
        SlotState::Backoff if is_fixed => advice(
            "uk health".to_owned(),
            "it waits before its next start; this says how the kernel is",
        ),
        SlotState::Quarantined => advice(
            format!("uk release {path}"),
            "once the cause is mended, this starts it again",
        ),
        SlotState::Suspended => advice(
            format!("uk resume {path}"),
            "somebody suspended it; this has it take messages again",
        ),
        SlotState::Stopped | SlotState::Ignored => advice(format!("uk start {path}"), "it is down"),
        SlotState::Backoff => advice(
            format!("uk start {path}"),
            "it waits before its next start; this starts it now",
        ),
        SlotState::Running => advise_running(facts),
        _ => advice("uk tree --watch".to_owned(), "see whether it holds"),
    }
}

/// The same of one that runs.
fn advise_running(facts: &Facts<'_>) -> Advice {
    let path = facts.path;
    let advice = |command: String, because| Advice { command, because };
    match facts.last {
        _ if facts.is_swapped => advice(
            format!("uk release {path}"),
            "it runs with other settings; once the cause is mended, this brings its own back",
        ),
        _ if let Some(rollback) = facts.rollback => advice(
            format!("uk config diff {} {}", rollback.of, rollback.number),
            "it has its former settings back; this shows what it did not live with",
        ),
        _ if let Some(began) = facts.began => advice(
            format!("uk why {began}"),
            "it went down with that, which began it",
        ),
        Some(last) if last.in_hand.is_some() => advice(
            format!("uk dlq list --path {path}"),
            "the message it had in hand at its last crash is kept there",
        ),
        _ if !facts.is_worker => advice(
            format!("uk tree {path}"),
            "it runs; this shows how its children are",
        ),
        _ if facts.exits == 0 => advice(
            format!("uk state {path}"),
            "it never exited; this is what it says of itself",
        ),
        last if killed(last) => advice(
            format!("uk tree {path}"),
            "somebody killed it; it came back",
        ),
        _ => advice("uk tree --watch".to_owned(), "see whether it holds"),
    }
}

fn killed(last: Option<&ExitRecord>) -> bool {
    last.is_some_and(|last| {
        last.reason.kind == ExitKind::Killed && last.response == Response::Restarted
    })
}

fn show(document: &Value, screen: &Screen) -> String {
    let mut out = head(document, screen);
    out.push_str(&budget(document, screen));
    out.push_str(&ladder::show(document, screen));
    out.push_str(&rolled_back(document, screen));
    out.push_str(&significance(document, screen));
    let exits = list(document, "exits");
    let earlier = list(document, "earlier_exits");
    if exits.is_empty() && earlier.is_empty() {
        out.push_str("no exits so far\n");
    }
    out.push_str(&show_exits(exits, screen));
    if !earlier.is_empty() {
        out.push_str("before its supervisor was restarted\n");
        out.push_str(&show_exits(earlier, screen));
    }
    out.push_str(&neighbours(document, screen));
    let next = document.get("next").unwrap_or(&Value::Null);
    let mut line = Line::new();
    line.push(Tone::Dim, "next  ");
    line.push(Tone::Bold, text(next, "command"));
    line.push(Tone::Dim, &format!("  {}", text(next, "because")));
    out.push_str(&line.wrap(screen, 6));
    out
}

/// What others had to do with its last exits: who began it, and what went on in the tree.
fn neighbours(document: &Value, screen: &Screen) -> String {
    let Some(story) = document.get("story") else {
        return String::new();
    };
    if list(story, "with").is_empty() {
        return String::new();
    }
    let mut line = Line::new();
    match text(document, "began") {
        "" => line.push(Tone::Plain, "it began this:"),
        began => {
            line.push(Tone::Bold, began);
            line.push(Tone::Plain, " began it:");
        }
    }
    line.render(screen) + &telling::timeline(story, screen)
}

/// That it has its former settings back, and why.
fn rolled_back(document: &Value, screen: &Screen) -> String {
    let Some(rollback) = document.get("rolled_back").filter(|back| back.is_object()) else {
        return String::new();
    };
    let mut line = Line::new();
    line.push(Tone::Warn, "rolled back");
    let said = format!(
        ": it did not live with the settings of version {} ({}) and has its former ones",
        number(rollback, "of"),
        text(rollback, "why")
    );
    line.push(Tone::Plain, &said);
    line.wrap(screen, 2)
}

fn show_exits(exits: &[Value], screen: &Screen) -> String {
    let mut out = String::new();
    for exit in exits.iter().take(SHOWN) {
        out.push_str(&show_exit(exit, screen));
    }
    if exits.len() > SHOWN {
        out.push_str(&format!(
            "  … and {} older; --json has them\n",
            exits.len() - SHOWN
        ));
    }
    out
}

fn head(document: &Value, screen: &Screen) -> String {
    let mut line = Line::new();
    line.push(Tone::Bold, text(document, "path"));
    let kind = text(document, "kind");
    if !kind.is_empty() {
        line.push(Tone::Dim, &format!(" ({kind})"));
    }
    let state = text(document, "state");
    if document.get("deleted") == Some(&Value::Bool(true)) {
        line.push(Tone::Warn, " was deleted");
    } else {
        let waits = document.get("waits_for").and_then(waits_text);
        let tone = Tone::of_state(state);
        line.push(Tone::Plain, " ");
        line.push(tone, &waits.unwrap_or_else(|| is_in_state(state)));
        line.push(
            Tone::Dim,
            &format!(", life {}", number(document, "incarnation")),
        );
    }
    let mut out = line.wrap(screen, 2);
    let fresh = text(document, "started_fresh");
    if !fresh.is_empty() {
        let mut line = Line::new();
        line.push(Tone::Warn, "started fresh");
        line.push(Tone::Plain, &format!(": {fresh}"));
        out.push_str(&line.wrap(screen, 2));
    }
    if let Some(stall) = stall::said(document) {
        let mut line = Line::new();
        line.push(Tone::Bad, "stalled");
        line.push(Tone::Plain, &format!(": it {stall}"));
        out.push_str(&line.wrap(screen, 2));
    }
    let abandoned = number(document, "abandoned");
    if abandoned > 0 {
        let lives = if abandoned == 1 {
            "life of it is"
        } else {
            "lives of it are"
        };
        let text = format!("{abandoned} {lives} cut off, with a thread that is stuck");
        let mut line = Line::new();
        line.push(Tone::Bad, &text);
        out.push_str(&line.wrap(screen, 2));
    }
    let safe = text(document, "safe_reason");
    if !safe.is_empty() && (text(document, "path") == "/" || state == "quarantined") {
        let mut line = Line::new();
        line.push(Tone::Bad, "safe mode");
        line.push(Tone::Plain, &format!(": {safe}"));
        out.push_str(&line.wrap(screen, 2));
    }
    out
}

fn budget(document: &Value, screen: &Screen) -> String {
    let Some(supervisor) = document.get("supervisor").filter(|above| !above.is_null()) else {
        return outside_of_budgets(document);
    };
    let restarts = supervisor.get("restarts").unwrap_or(&Value::Null);
    let (used, intensity) = (number(restarts, "used"), number(restarts, "intensity"));
    let own = document
        .get("restarts")
        .map_or(0, |own| number(own, "total"));
    let mut line = Line::new();
    line.push(Tone::Plain, &format!("{}; ", times(own)));
    let tone = if used * 10 >= intensity * 8 && used > 0 {
        Tone::Bad
    } else {
        Tone::Plain
    };
    line.push(
        tone,
        &format!("{} of {intensity}", intensity.saturating_sub(used)),
    );
    let period = duration_text(number(restarts, "period_ms"));
    line.push(
        Tone::Plain,
        &format!(
            " restarts left in {period} for {}",
            text(supervisor, "path")
        ),
    );
    line.wrap(screen, 2)
}

/// What the end of a significant child does.
fn significance(document: &Value, screen: &Screen) -> String {
    if document.get("significant") != Some(&Value::Bool(true)) {
        return String::new();
    }
    let above = document.get("supervisor").unwrap_or(&Value::Null);
    let when = match text(above, "auto_shutdown") {
        "all_significant" => "ends once it and the other significant children have ended",
        _ => "ends when it has ended",
    };
    let mut line = Line::new();
    line.push(
        Tone::Plain,
        &format!("significant: {} {when}", text(above, "path")),
    );
    line.wrap(screen, 2)
}

/// For the kernel's own services: their restarts are counted, and nothing gives up because of them.
fn outside_of_budgets(document: &Value) -> String {
    let path = text(document, "path");
    if path != "/system" && !path.starts_with("/system/") {
        return String::new();
    }
    let own = document.get("restarts").unwrap_or(&Value::Null);
    let own = times(number(own, "total"));
    format!("{own}; the kernel's own services are outside of all budgets\n")
}

fn times(times: u64) -> String {
    match times {
        0 => "never restarted".to_owned(),
        1 => "restarted once in all".to_owned(),
        _ => format!("restarted {} in all", count(times, "time")),
    }
}

fn show_exit(exit: &Value, screen: &Screen) -> String {
    let why = exit.get("reason").unwrap_or(&Value::Null);
    let mut line = Line::new();
    line.push(Tone::Plain, "  ");
    line.push(Tone::Dim, &ago(number(exit, "ago_ms")));
    line.pad_to(14);
    line.push(Tone::Dim, &format!("life {}", number(exit, "incarnation")));
    line.pad_to(22);
    let is_start = exit.get("failed_start") == Some(&Value::Bool(true));
    line.push(
        Tone::Warn,
        &format!(
            "{}{}",
            if is_start { "start failed: " } else { "" },
            reason(why)
        ),
    );
    line.push(Tone::Plain, &format!(" → {}", action(exit)));
    let mut out = line.wrap(screen, 22);
    let ladder = ladder::of_exit(exit);
    let detail = [
        ("at ", text(why, "location")),
        ("had in hand: ", text(exit, "in_hand")),
        ("ladder: ", &ladder),
    ];
    for (label, text) in detail.into_iter().filter(|(_, text)| !text.is_empty()) {
        let mut line = Line::new();
        line.push(Tone::Plain, &" ".repeat(22));
        line.push(Tone::Dim, label);
        line.push(Tone::Plain, text);
        out.push_str(&line.wrap(screen, 22));
    }
    out
}

fn action(exit: &Value) -> String {
    match text(exit, "action") {
        "backoff" => format!("restart after {}", duration_text(number(exit, "pause_ms"))),
        "stop_failed" => "stopped, but not in order".to_owned(),
        "left_down" => "left down".to_owned(),
        "auto_shutdown" => "its supervisor shut itself down".to_owned(),
        "gave_up" => "its supervisor gave up".to_owned(),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_advice() {
        let path: ActorPath = "/a".parse().unwrap();
        let facts = |state, is_safe| Facts {
            rollback: None,
            began: None,
            path: &path,
            state,
            last: None,
            exits: 0,
            need: None,
            is_safe,
            is_worker: true,
            is_stalled: false,
            is_swapped: false,
        };

        for (state, is_safe, command) in [
            (SlotState::Quarantined, false, "uk release /a"),
            (SlotState::Quarantined, true, "uk release --all"),
            (SlotState::Stopped, false, "uk start /a"),
            (SlotState::Suspended, false, "uk resume /a"),
            (SlotState::Backoff, false, "uk start /a"),
            (SlotState::Running, false, "uk state /a"),
            (SlotState::Restarting, false, "uk tree --watch"),
        ] {
            assert_eq!(advise(&facts(state, is_safe)).command, command, "{state:?}");
        }
        let stalled = Facts {
            is_stalled: true,
            ..facts(SlotState::Running, false)
        };
        assert_eq!(advise(&stalled).command, "uk kill /a");
        let swapped = Facts {
            is_swapped: true,
            ..facts(SlotState::Running, false)
        };
        assert_eq!(advise(&swapped).command, "uk release /a");
        let began: ActorPath = "/b".parse().unwrap();
        let taken_along = Facts {
            began: Some(&began),
            ..facts(SlotState::Running, false)
        };
        assert_eq!(advise(&taken_along).command, "uk why /b");
        let root = ActorPath::root();
        let need: ActorPath = "/n".parse().unwrap();
        let of_root = Facts {
            path: &root,
            ..facts(SlotState::Running, true)
        };
        assert_eq!(advise(&of_root).command, "uk release --all");
        for (state, command) in [
            (SlotState::Stopped, "uk start /n"),
            (SlotState::Quarantined, "uk release /n"),
            (SlotState::Restarting, "uk why /n"),
        ] {
            let waiting = Facts {
                need: Some((&need, state)),
                ..facts(SlotState::Starting, false)
            };
            assert_eq!(advise(&waiting).command, command, "{state:?}");
        }
    }
}
