//! `uk config history`: the versions of the settings.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::clock::Timestamp;

use crate::arguments::{Arg, ArgKind, Args, milliseconds};
use crate::commands::Command;
use crate::error::CommandError;
use crate::screen::{Line, Screen, Tone, ago, list, number, text};
use crate::settings::history::{Cause, Version};
use crate::settings::service::Room;

/// How many versions are told of unless more are asked for.
const SHOWN: usize = 20;
/// How many changes of a version are drawn; `--json` has all.
const CHANGES_SHOWN: usize = 8;

pub(in crate::commands) const COMMAND: Command = Command {
    about: "List the versions of the settings: when, why, what changed, and whether it was good",
    help: "The newest comes first and is in force. A version is on probation until nothing that it changed has crashed for \
           the probation of the children that it changed; then it is good. One that another has replaced before that \
           is neither, one that was rolled back is passed over.\n\n\
           Example: uk config history --limit 5",
    args: &[Arg::option(
        "limit",
        ArgKind::Integer,
        "how many, the newest first; 20",
    )],
    show,
    ..Command::reading(&["config", "history"], |kernel, args| {
        async move { read(&kernel, &args).await }.boxed()
    })
};

async fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let limit = args.integer("limit").map(usize::try_from);
    let limit = limit.map_or(SHOWN, |limit| limit.unwrap_or(usize::MAX));
    let now = kernel.clock().wall();
    let room = kernel.shared::<Room>();
    room.read(|keeper| {
        let all = keeper.history().versions().count();
        let versions = keeper.history().versions().rev().take(limit);
        json!({
            "version": 1,
            "number": keeper.number(),
            "versions": versions.map(|version| entry(version, now)).collect::<Vec<_>>(),
            "kept": all,
        })
    })
    .await
}

/// A version as JSON.
pub(crate) fn entry(version: &Version, now: Timestamp) -> Value {
    let at = Timestamp::from_unix_ms(version.at_ms);
    json!({
        "number": version.number,
        "at": at,
        "ago_ms": milliseconds(at.age(now)),
        "state": version.state,
        "cause": version.cause,
        "because": because(version),
        "by": version.by,
        "changes": version.changes,
        "files": version.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
        "hash": version.hash,
    })
}

/// Why there is a version, in words.
fn because(version: &Version) -> String {
    match &version.cause {
        Cause::Boot => "the kernel started".to_owned(),
        Cause::File => "the file changed".to_owned(),
        Cause::Apply => format!("the file was applied by {}", version.by),
        Cause::Set => "settings were set".to_owned(),
        Cause::Unset => "settings were taken back".to_owned(),
        Cause::Rollback { of } => format!("somebody went back to version {of}"),
        Cause::RolledBack { of, path, why } => {
            format!("{path} crashed on probation ({why}): what version {of} gave it was taken back")
        }
        Cause::Spawn => "a child was spawned".to_owned(),
        Cause::Delete => "a child was deleted".to_owned(),
        Cause::Stop => "a child was stopped".to_owned(),
        Cause::Start => "a child was started".to_owned(),
    }
}

/// What became of a version, for people.
fn state(state: &str) -> (Tone, &'static str) {
    match state {
        "probation" => (Tone::Warn, "on probation"),
        "rolled_back" => (Tone::Bad, "rolled back"),
        "superseded" => (Tone::Dim, "replaced"),
        _ => (Tone::Good, "good"),
    }
}

fn show(document: &Value, screen: &Screen) -> String {
    let versions = list(document, "versions");
    let mut out = String::new();
    for version in versions {
        let is_in_force = number(version, "number") == number(document, "number");
        let mut line = Line::new();
        line.push(Tone::Bold, &format!("{:>3}", number(version, "number")));
        let (tone, said) = state(text(version, "state"));
        line.push(Tone::Plain, "  ");
        line.push(tone, said);
        line.pad_to(19);
        line.push(Tone::Dim, &ago(number(version, "ago_ms")));
        line.pad_to(29);
        line.push(Tone::Plain, text(version, "because"));
        if is_in_force {
            line.push(Tone::Good, "; in force");
        }
        out.push_str(&line.wrap(screen, 29));
        // What a rollback says of itself is its cause.
        let changes = match version.pointer("/cause/rolled_back") {
            Some(_) => &[],
            None => list(version, "changes"),
        };
        for change in changes.iter().take(CHANGES_SHOWN) {
            let mut line = Line::new();
            line.push(Tone::Plain, "     ");
            line.push(Tone::Plain, change.as_str().unwrap_or_default());
            out.push_str(&line.wrap(screen, 7));
        }
        let more = changes.len().saturating_sub(CHANGES_SHOWN);
        if more > 0 {
            out.push_str(&format!("     … and {more} more; --json has them\n"));
        }
    }
    let kept = number(document, "kept");
    let shown = u64::try_from(versions.len()).unwrap_or(u64::MAX);
    if versions.is_empty() {
        out.push_str("there are no versions yet: the first one comes with the first change\n");
    } else if kept > shown {
        out.push_str(&format!(
            "  … and {} older: uk config history --limit {kept}\n",
            kept - shown
        ));
    }
    out
}
