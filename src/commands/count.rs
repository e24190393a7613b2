//! `uk count`: how many children a supervisor has.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_supervisors::Kernel;

use super::{Command, SUPERVISOR};
use crate::arguments::Args;
use crate::error::CommandError;
use crate::screen::{Line, Screen, Tone, children, number, text, thousands};

pub(super) const COMMAND: Command = Command {
    about: "How many children a supervisor has, and how many run",
    help: "Its own children, not what is below them.\n\nExample: uk count /sensors",
    args: &[SUPERVISOR],
    show,
    ..Command::reading(&["count"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let path = args.the_path()?;
    let counts = kernel.count(&path);
    let counts = counts.map_err(|error| CommandError::of_kernel(error, kernel))?;
    let slot = kernel.registry().get(&path);
    let spec = slot
        .as_ref()
        .and_then(|slot| slot.spec().as_supervisor().cloned());
    let max_children = spec
        .and_then(|spec| spec.template)
        .and_then(|template| template.max_children);
    Ok(json!({
        "version": 1,
        "path": path,
        "specs": counts.specs,
        "active": counts.active,
        "supervisors": counts.supervisors,
        "workers": counts.workers,
        "max_children": max_children,
    }))
}

/// `/cams  64 children of at most 64, 63 run, 64 workers`
fn show(document: &Value, screen: &Screen) -> String {
    let of = |key: &str| number(document, key);
    let mut line = Line::new();
    line.push(Tone::Bold, text(document, "path"));
    line.push(Tone::Plain, &format!("  {}", children(of("specs"))));
    if document.get("max_children").is_some_and(Value::is_u64) {
        let most = thousands(of("max_children"));
        line.push(Tone::Dim, &format!(" of at most {most}"));
    }
    line.push(
        Tone::Plain,
        &format!(", {} running", thousands(of("active"))),
    );
    if of("supervisors") > 0 && of("workers") > 0 {
        let (workers, supervisors) = (thousands(of("workers")), thousands(of("supervisors")));
        line.push(
            Tone::Dim,
            &format!(" (workers {workers}, supervisors {supervisors})"),
        );
    }
    line.wrap(screen, 2)
}
