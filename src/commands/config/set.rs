//! `uk config set` and `unset`: changes settings of a child while it runs.

use futures_util::FutureExt;
use serde_json::Value;
use unity_supervisors::{ActorPath, Kernel};

use super::{DRY_RUN, FOLDER, TARGET, TREE, did_you_mean, known_keys, plan, worker};
use crate::arguments::{Arg, ArgKind, Args, Form, Rule, Together};
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::screen::Screen;
use crate::settings::keeper::{Act, Ask, Target};
use crate::settings::service::ask;

mod system;

pub(in crate::commands) const SET: Command = Command {
    about: "Change settings of a child while it runs",
    help: "A value is JSON if it parses as JSON, else text; dots lead into mappings; `null` takes a key out. The child takes \
           the new settings as it runs, or is restarted with them; if it refuses them, nothing is changed. Without an option \
           they last until the kernel stops, with --save for good, over whatever the file says, with --write they go into \
           the file, whose comments stay. Those of `system` always go into its file, which a kernel that runs sees.\n\n\
           Example: uk config set /sensors/host every=2s\n\
           Example: uk config set system log=debug --tree robot.yaml\n\
           Example: uk config set /bridge env.LEVEL=debug health.every=5s --save --dry-run",
    args: &[
        TARGET,
        Arg::required(
            "settings",
            ArgKind::Settings,
            "a setting, as in every=2s; as often as wanted",
        )
        .within(1, u64::MAX),
        Arg::option(
            "save",
            ArgKind::Flag,
            "for good: it outlives the kernel and changes of the file",
        ),
        Arg::option("write", ArgKind::Flag, "into the file, comments kept"),
        DRY_RUN,
        TREE,
        FOLDER,
    ],
    rules: &[Rule::new(
        Together::NotBoth("save", "write"),
        "--save and --write are given both",
        "--save lays it over the file, --write puts it into the file",
    )],
    show,
    attend: Some(|caller, args| super::attend(caller, args, &SET, system::set)),
    ..Command::administering(&["config", "set"], |kernel, args| {
        async move { set(&kernel, &args).await }.boxed()
    })
};

pub(in crate::commands) const UNSET: Command = Command {
    about: "Take back settings that were set live, or out of the file",
    help: "What was set live, saved or not, is taken back; what the file or the kind says is in force again. With --write \
           the key is taken out of the file.\n\n\
           Example: uk config unset /sensors/host every",
    args: &[
        TARGET,
        Arg::required(
            "keys",
            ArgKind::Many(Form::Key),
            "a key, as in health.every",
        ),
        Arg::option("write", ArgKind::Flag, "out of the file, comments kept"),
        DRY_RUN,
        TREE,
        FOLDER,
    ],
    show,
    attend: Some(|caller, args| super::attend(caller, args, &UNSET, system::unset)),
    ..Command::administering(&["config", "unset"], |kernel, args| {
        async move { unset(&kernel, &args).await }.boxed()
    })
};

async fn set(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let (slot, kind) = worker(kernel, args)?;
    let path = slot.path().clone();
    let to = match (args.flag("save"), args.flag("write")) {
        (true, _) => Target::Saved,
        (false, true) => Target::File,
        (false, false) => Target::Unsaved,
    };
    let settings = args.get("settings").and_then(Value::as_object).cloned();
    let settings = settings.unwrap_or_default();
    for key in settings.keys() {
        check_key(kernel, &path, &kind, key)?;
    }
    let act = Act::Set { path, settings, to };
    let (dry_run, by) = (args.flag(DRY_RUN.name), "`uk config set`".to_owned());
    ask(kernel, Ask { act, dry_run, by }).await
}

async fn unset(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let (slot, _) = worker(kernel, args)?;
    let path = slot.path().clone();
    let keys = args.get("keys").and_then(Value::as_array);
    let keys = keys.into_iter().flatten().filter_map(Value::as_str);
    let keys = keys.map(|key| key.split('.').map(str::to_owned).collect());
    let act = Act::Unset {
        path,
        keys: keys.collect(),
        write: args.flag("write"),
    };
    let (dry_run, by) = (args.flag(DRY_RUN.name), "`uk config unset`".to_owned());
    ask(kernel, Ask { act, dry_run, by }).await
}

/// Refuses a key that the kind does not know, and says which was probably meant.
fn check_key(kernel: &Kernel, path: &ActorPath, kind: &str, key: &str) -> Result<(), CommandError> {
    let schema = kernel.kinds().get(kind).map(|kind| kind.settings_schema());
    let is_closed =
        |schema: &Value| schema.get("additionalProperties") == Some(&Value::Bool(false));
    let known = known_keys(kernel, kind);
    if !schema.as_ref().is_some_and(is_closed) || known.iter().any(|known| known == key) {
        return Ok(());
    }
    let message = format!("`{key}` is no setting of {path}, which is of kind `{kind}`");
    Err(CommandError::new(Code::Invalid, message).hint(did_you_mean(key, kind, &known)))
}

fn show(document: &Value, screen: &Screen) -> String {
    if document.get("file").is_some() {
        return system::show(document, screen);
    }
    plan::show(document, screen)
}
