//! `uk spawn`: adds a child as the last of a supervisor.

use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use unity_supervisors::{ChildId, Kernel, KernelError, RequestError};

use super::{Command, done, show_done};
use crate::arguments::{Arg, ArgKind, Args};
use crate::error::{Code, CommandError};
use crate::kind_check::KnownKinds;
use crate::screen::{Screen, Tone, list};
use crate::tree_file::{Home, child_from_json};

pub(super) const COMMAND: Command = Command {
    about: "Add a child to a supervisor and start it",
    help: "It is the last in start order and lives until its supervisor is restarted. A value after --set is \
           JSON if it parses as JSON, else text; dots lead into objects. --spec takes any other key \
           that a child has in a tree file.\n\n\
           Example: uk spawn sensor.host --under /sensors --id host2 --set every=500ms\n\
           Example: uk spawn probe --under /mind --id extra --spec '{\"backoff\": {\"min\": \"1s\"}}'",
    args: &[
        Arg::required(
            "kind",
            ArgKind::Kind,
            "what it is made from, as in sensor.host",
        ),
        Arg::needed("under", ArgKind::Path, "its supervisor"),
        Arg::needed("id", ArgKind::Text, "its id there"),
        Arg::option(
            "set",
            ArgKind::Settings,
            "a setting, key=value; as often as wanted",
        ),
        Arg::option(
            "restart",
            ArgKind::Word(&["permanent", "transient", "temporary"]),
            "when it is restarted; permanent",
        ),
        Arg::option(
            "spec",
            ArgKind::Json,
            "an object with other keys of a child",
        ),
    ],
    show,
    ..Command::changing(&["spawn"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let under = args
        .path("under")
        .ok_or_else(|| CommandError::usage("`under` is missing"))?;
    let not_done = |error| CommandError::of_kernel(error, &kernel);
    let supervisor = kernel
        .registry()
        .get(&under)
        .ok_or_else(|| not_done(KernelError::NotFound(under.clone())))?;
    let Some(above) = supervisor.spec().as_supervisor() else {
        return Err(not_done(KernelError::NotASupervisor(under)));
    };
    let kind = args.text("kind").unwrap_or_default();
    if kernel.kinds().get(kind).is_none() {
        return Err(CommandError::no_such_kind(kind, &kernel));
    }
    let siblings: Vec<ChildId> = supervisor
        .children()
        .iter()
        .map(|child| child.id().clone())
        .collect();
    let home = Home {
        supervisor: &under,
        siblings: &siblings,
        auto_shutdown: above.auto_shutdown,
    };
    let child = child_from_json(&child_json(&args)?, &home, &KnownKinds(kernel.kinds()))
        .map_err(|faults| CommandError::new(Code::Invalid, faults.join("\n       ")))?;
    let path = under.child(&child.spec.id);
    let spawned = kernel.spawn(&under, child.spec).await;
    let has_not_started = matches!(
        spawned,
        Err(KernelError::Refused {
            error: RequestError::StartFailed(_),
            ..
        })
    );
    let is_fixed = matches!(spawned, Err(KernelError::Fixed(_)));
    let mut document = done(&kernel, &path, spawned).map_err(|error| {
        if has_not_started {
            error.hint("nothing was added: mend it and spawn it again")
        } else if is_fixed {
            error.hint("name another supervisor with --under: `uk tree` shows them")
        } else {
            error
        }
    })?;
    if let Some(object) = document.as_object_mut() {
        object.insert("warnings".to_owned(), child.warnings.into());
    }
    Ok(document)
}

fn show(document: &Value, screen: &Screen) -> String {
    let mut out = show_done(document, screen);
    for warning in list(document, "warnings").iter().filter_map(Value::as_str) {
        out.push_str(&format!(
            "{}: {warning}\n",
            screen.paint(Tone::Warn, "warning")
        ));
    }
    out
}

fn child_json(args: &Args) -> Result<Value, CommandError> {
    let mut child = match args.get("spec") {
        None => Map::new(),
        Some(Value::Object(keys)) => keys.clone(),
        Some(_) => return Err(CommandError::usage("`spec` is not a JSON object")),
    };
    for (name, key) in [
        ("kind", "kind"),
        ("id", "id"),
        ("set", "settings"),
        ("restart", "restart"),
    ] {
        if let Some(value) = args.get(name)
            && child.insert(key.to_owned(), value.clone()).is_some()
        {
            return Err(CommandError::usage(format!(
                "`{key}` is given twice, also in --spec"
            )));
        }
    }
    Ok(json!(child))
}
