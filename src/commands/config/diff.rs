//! `uk config diff`: what is laid over the file, or what two versions differ in.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;
use unity_supervisors::reload::diff;
use unity_supervisors::spec::TreeSpec;

use super::plan;
use crate::arguments::{Arg, ArgKind, Args};
use crate::commands::Command;
use crate::error::{Code, CommandError, EXIT_DIFFERENCE};
use crate::kind_check::KnownKinds;
use crate::screen::{Line, Screen, Tone, list, number, text};
use crate::settings::describe::describe;
use crate::settings::keeper::Keeper;
use crate::settings::layers;
use crate::settings::overlay::{Layer, lay_over};
use crate::settings::service::Room;

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Show what was changed live over the file, or what two versions differ in",
    help: "Without a version it shows what is laid over the file, saved and unsaved, and what of it has no effect any more. \
           With one it shows how that differs from what is in force, with two how the second differs from the first, key by \
           key. Exit code 9 if there is a difference.\n\n\
           Example: uk config diff\n\
           Example: uk config diff 3 5",
    args: &[
        Arg::optional(
            "from",
            ArgKind::Integer,
            "the number of a version, as in `uk config history`",
        ),
        Arg::optional("to", ArgKind::Integer, "another; what is in force"),
    ],
    show,
    exit: |document| {
        let is_some = |part: &&str| !list(document, part).is_empty();
        match [
            "changes",
            "rolled_back",
            "saved",
            "unsaved",
            "without_effect",
        ]
        .iter()
        .any(is_some)
        {
            true => EXIT_DIFFERENCE,
            false => 0,
        }
    },
    ..Command::reading(&["config", "diff"], |kernel, args| {
        async move { read(&kernel, &args).await }.boxed()
    })
};

async fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let room = kernel.shared::<Room>();
    let (from, to) = (args.integer("from"), args.integer("to"));
    room.read(|keeper| match from {
        None => Ok(over_the_file(kernel, keeper)),
        Some(from) => versions(kernel, keeper, from, to),
    })
    .await?
}

/// What was changed live.
fn over_the_file(kernel: &Kernel, keeper: &Keeper) -> Value {
    let known = KnownKinds(kernel.kinds());
    let file = layers::as_written(keeper, kernel.kinds());
    let put_back = &keeper.base().tree;
    let (saved, saved_left) = lay_over(put_back, keeper.overlay().ops(Layer::Saved), &known);
    let (unsaved, unsaved_left) = lay_over(&saved, keeper.overlay().ops(Layer::Unsaved), &known);
    let left = |layer: &str, left: Vec<crate::settings::overlay::Left>| -> Vec<Value> {
        let left = left.iter().map(|left| {
            json!({ "layer": layer, "op": left.op, "what": left.op.to_string(), "why": left.why.to_string() })
        });
        left.collect()
    };
    let without_effect = [left("saved", saved_left), left("unsaved", unsaved_left)].concat();
    json!({
        "version": 1,
        "number": keeper.number(),
        "file": keeper.source().name(),
        "rolled_back": differences(&file, put_back),
        "saved": differences(put_back, &saved),
        "unsaved": differences(&saved, &unsaved),
        "without_effect": without_effect,
    })
}

/// What two versions differ in.
fn versions(
    kernel: &Kernel,
    keeper: &Keeper,
    from: u64,
    to: Option<u64>,
) -> Result<Value, CommandError> {
    let before = tree(kernel, keeper, from)?;
    let after = match to {
        Some(to) => tree(kernel, keeper, to)?,
        None => {
            let known = KnownKinds(kernel.kinds());
            keeper.overlay().lay_over(&keeper.base().tree, &known).0
        }
    };
    Ok(json!({
        "version": 1, "from": from, "to": to.unwrap_or(keeper.number()), "changes": differences(&before, &after),
    }))
}

/// What a version wanted.
fn tree(kernel: &Kernel, keeper: &Keeper, number: u64) -> Result<TreeSpec, CommandError> {
    let unknown = |error: crate::settings::history::VersionError| {
        CommandError::new(Code::NotFound, error.to_string()).hint("`uk config history` lists them")
    };
    let version = keeper.history().get(number).map_err(unknown)?;
    let texts = keeper.history().texts(number).map_err(unknown)?;
    let base = match keeper.source().read_kept(&texts, kernel.kinds()) {
        None => keeper.base().tree.clone(),
        Some(reading) => match reading.base {
            Some(base) => base.tree,
            None => {
                let message = format!("version {number} cannot be read any more");
                return Err(CommandError::new(Code::Invalid, message)
                    .shown(reading.checked.render(false))
                    .hint("what it needs has changed, such as a variable or a kind"));
            }
        },
    };
    let known = KnownKinds(kernel.kinds());
    Ok(version.overlay.lay_over(&base, &known).0)
}

fn differences(before: &TreeSpec, after: &TreeSpec) -> Vec<Value> {
    let mut changes = describe(&diff(&before.root, &after.root), before, after);
    // Nothing is done here.
    let objects = changes.iter_mut().filter_map(Value::as_object_mut);
    objects.for_each(|change| drop(change.remove("how")));
    changes
}

fn show(document: &Value, screen: &Screen) -> String {
    if document.get("from").is_some() {
        let (from, to) = (number(document, "from"), number(document, "to"));
        let changes = list(document, "changes");
        if changes.is_empty() {
            return format!("versions {from} and {to} say the same\n");
        }
        return plan::table(changes, screen);
    }
    let mut out = String::new();
    for (part, title) in [
        (
            "rolled_back",
            "put back by a rollback, until the file changes",
        ),
        ("saved", "saved, over the file for good"),
        ("unsaved", "until the kernel stops"),
    ] {
        let changes = list(document, part);
        if !changes.is_empty() {
            out.push_str(&format!("{}\n", screen.paint(Tone::Bold, title)));
            out.push_str(&plan::table(changes, screen));
        }
    }
    for left in list(document, "without_effect") {
        let mut line = Line::new();
        line.push(Tone::Warn, "no effect");
        let layer = match text(left, "layer") {
            "saved" => " (saved)",
            _ => "",
        };
        line.push(
            Tone::Plain,
            &format!("  {}{layer}: {}", text(left, "what"), text(left, "why")),
        );
        out.push_str(&line.wrap(screen, 11));
    }
    if out.is_empty() {
        out = format!(
            "nothing was changed live: what runs is what {} says\n",
            text(document, "file")
        );
    }
    out
}
