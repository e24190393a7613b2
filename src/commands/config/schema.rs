//! `uk config schema`: what settings may be, for editors and for people.

use futures_util::FutureExt;
use serde_json::Value;
use unity_supervisors::{Kernel, KernelError};

use super::has_no_settings;
use crate::arguments::{Arg, ArgKind, Args, SYSTEM};
use crate::cli::{Caller, block_on};
use crate::commands::Command;
use crate::error::CommandError;
use crate::settings::system;

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Print the JSON Schema of settings: of a child, a kind, or the kernel's own",
    help: "An editor with a YAML language server then completes keys, shows what they mean and marks what is wrong, \
           if the first line of a system.yaml is `# yaml-language-server: $schema=system.schema.json`.\n\n\
           Example: uk config schema system > system.schema.json\n\
           Example: uk config schema sensor.host",
    args: &[Arg::required(
        "target",
        ArgKind::Schema,
        "a child, as in /sensors/host, a kind, as in sensor.host, or `system`",
    )],
    attend: Some(attend),
    ..Command::reading(&["config", "schema"], |kernel, args| {
        async move { read(&kernel, &args) }.boxed()
    })
};

/// What is not about a child is the same without a kernel.
fn attend(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let target = args.text("target").unwrap_or_default();
    let kinds = unity_actors::kinds();
    let schema = if target == SYSTEM {
        system::schema()
    } else if let Some(kind) = kinds.get(target) {
        kind.settings_schema()
    } else {
        block_on(caller.kernel()?.call(&COMMAND, args))??
    };
    caller.print(&COMMAND, &schema)
}

fn read(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let target = args.text("target").unwrap_or_default();
    if target == SYSTEM {
        return Ok(system::schema());
    }
    let of_kind = |kind: &str| {
        let kind_found = kernel.kinds().get(kind);
        let schema = kind_found.map(|kind| kind.settings_schema());
        schema.ok_or_else(|| CommandError::no_such_kind(kind, kernel))
    };
    if !target.starts_with('/') {
        return of_kind(target);
    }
    let path = target.parse().map_err(CommandError::from)?;
    let Some(slot) = kernel.registry().get(&path) else {
        return Err(CommandError::of_kernel(KernelError::NotFound(path), kernel));
    };
    match slot.spec().as_worker() {
        Some(worker) => of_kind(&worker.kind),
        None => Err(has_no_settings(&path)),
    }
}
