//! `uk which`: the children of a supervisor.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::{Command, SUPERVISOR};
use crate::arguments::Args;
use crate::error::CommandError;
use crate::screen::{Screen, Tone, list, number, table, text};

pub(super) const COMMAND: Command = Command {
    about: "List the children of a supervisor, all of them",
    help: "In start order, each with its state and its life. What is below them `uk tree` shows.\n\n\
           Example: uk which /sensors",
    args: &[SUPERVISOR],
    show,
    ..Command::reading(&["which"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let path = args.the_path()?;
    let children = kernel.which(&path);
    let children = children.map_err(|error| CommandError::of_kernel(error, kernel))?;
    Ok(json!({ "version": 1, "path": path, "children": children }))
}

fn show(document: &Value, screen: &Screen) -> String {
    let children = list(document, "children");
    if children.is_empty() {
        return format!("{} has no children\n", text(document, "path"));
    }
    let row = |child: &Value| {
        let (state, kind) = (text(child, "state"), text(child, "kind"));
        let kind = if kind.is_empty() { "supervisor" } else { kind };
        let life = match number(child, "incarnation") {
            0 => String::new(),
            life => format!("life {life}"),
        };
        vec![
            (Tone::Plain, text(child, "path").to_owned()),
            (Tone::Dim, kind.to_owned()),
            (Tone::of_state(state), state.to_owned()),
            (Tone::Dim, life),
        ]
    };
    table(&children.iter().map(row).collect::<Vec<_>>(), screen)
}
