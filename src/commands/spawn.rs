//! `uk spawn`: adds a child as the last of a supervisor, or children of its template.

use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use unity_supervisors::spec::{AutoShutdown, Strategy, SupervisorSpec, Template};
use unity_supervisors::{ActorPath, ChildId, Done, Kernel, KernelError, RequestError};

use super::{Command, SAVE, done, saved, show_done};
use crate::arguments::{Arg, ArgKind, Args, Form, Rule, Together};
use crate::error::{Code, CommandError};
use crate::kind_check::KnownKinds;
use crate::screen::{Screen, Tone, list};
use crate::settings::keeper::Act;
use crate::tree_file::effective::place_json;
use crate::tree_file::{Home, JsonChild, child_from_json};

mod many;

pub(super) const COMMAND: Command = Command {
    about: "Add a child to a supervisor and start it",
    help: "It is the last in start order and lives until its supervisor is restarted, with --save for good. A value after \
           --set is JSON if it parses as JSON, else text; dots lead into objects. --spec takes any other key \
           that a child has in a tree file.\n\n\
           Where the supervisor has a template, a child is made from that: no kind, --set is laid over the template's \
           settings, and without --id it is called by the next free number. --count makes many at once.\n\n\
           Example: uk spawn sensor.host --under /sensors --id host2 --set every=500ms\n\
           Example: uk spawn probe --under /mind --id extra --spec '{\"backoff\": {\"min\": \"1s\"}}'\n\
           Example: uk spawn --under /cameras --id front --set fps=10\n\
           Example: uk spawn --under /cameras --count 1000",
    args: &[
        Arg::optional(
            "kind",
            ArgKind::Kind,
            "what it is made from, as in sensor.host; none where there is a template",
        ),
        Arg::needed("under", ArgKind::Supervisor, "its supervisor"),
        Arg::option("id", ArgKind::Form(Form::Id), "its id there"),
        Arg::option(
            "set",
            ArgKind::Settings,
            "a setting, key=value; as often as wanted",
        ),
        Arg::option(
            "count",
            ArgKind::Integer,
            "so many children of the template, at most 100000 at once",
        )
        .within(1, many::COUNT_MAX),
        Arg::option(
            "restart",
            ArgKind::Word(&["permanent", "transient", "temporary"]),
            "when it is restarted; permanent",
        ),
        Arg::option(
            "spec",
            ArgKind::Object,
            "an object with other keys of a child",
        ),
        SAVE,
    ],
    rules: &[Rule::new(
        Together::NotBoth("id", "count"),
        "`id` names one child, `count` makes many",
        "leave one of them out: with --count they are called by numbers",
    )],
    show,
    exit: many::exit,
    ..Command::administering(&["spawn"], |kernel, args| run(kernel, args).boxed())
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
    let spec = supervisor.spec();
    let Some(above) = spec.as_supervisor() else {
        return Err(not_done(KernelError::NotASupervisor(under)));
    };
    let Some(template) = &above.template else {
        return spawn(&kernel, &args, &under, above).await;
    };
    if args.text("kind").is_some() {
        return Err(not_done(KernelError::HasTemplate(under)));
    }
    if args.flag(SAVE.name) {
        let message =
            format!("`save`: children of the template of `{under}` come and go, none is kept");
        return Err(CommandError::conflict(message)
            .hint("leave it out, or write a child of its own into the file"));
    }
    if let Some(option) = ["spec", "restart"]
        .into_iter()
        .find(|option| args.get(option).is_some())
    {
        let message =
            format!("`{option}`: the template of `{under}` says that for all of its children");
        return Err(CommandError::conflict(message)
            .hint("leave it out; --set lays settings over the template's"));
    }
    if args.get("set").is_some() && template.child.as_worker().is_none() {
        let message =
            format!("`set`: the template of `{under}` is a supervisor, which has no settings");
        return Err(CommandError::conflict(message)
            .hint(format!("leave it out: `uk spawn --under {under}`")));
    }
    let settings = args.get("set").cloned().unwrap_or_default();
    check_settings(&kernel, &under, template, settings.clone())?;
    if args.get("count").is_some() {
        return many::run(&kernel, &args, &under, &settings).await;
    }
    let id = args.text("id").map(read_id).transpose()?;
    let spawned = kernel.spawn_from(&under, id, settings).await;
    let (path, spawned) = match spawned {
        Ok((path, done)) => (path, Ok(done)),
        Err(error) => (under, Err(error)),
    };
    spawned_one(&kernel, &path, spawned)
}

/// Checks settings that are laid over those of a template, to say of a slip what was probably meant.
fn check_settings(
    kernel: &Kernel,
    under: &ActorPath,
    template: &Template,
    settings: Value,
) -> Result<(), CommandError> {
    let child = template.child(Template::id(), settings);
    let Some(worker) = child.as_worker() else {
        return Ok(());
    };
    let child = json!({
        "id": child.id, "kind": worker.kind, "settings": worker.settings,
        "place": place_json(worker.place.as_deref()),
    });
    let home = Home {
        node: kernel.name(),
        supervisor: under,
        siblings: &[],
        strategy: Strategy::OneForOne,
        auto_shutdown: AutoShutdown::Never,
    };
    read_child(kernel, &child, &home).map(drop)
}

/// Reads a child by the rules of a file.
fn read_child(kernel: &Kernel, child: &Value, home: &Home<'_>) -> Result<JsonChild, CommandError> {
    child_from_json(child, home, &KnownKinds(kernel.kinds()))
        .map_err(|faults| CommandError::new(Code::Invalid, faults.join("\n       ")))
}

/// Adds a child that says itself what it is.
async fn spawn(
    kernel: &Kernel,
    args: &Args,
    under: &ActorPath,
    above: &SupervisorSpec,
) -> Result<Value, CommandError> {
    let says_what = |spec: &Value| {
        ["kind", "children", "template"]
            .iter()
            .any(|key| spec.get(key).is_some())
    };
    if let Some(kind) = args.text("kind") {
        // Another node may know it.
        let is_placed = args
            .get("spec")
            .is_some_and(|spec| spec.get("place").is_some());
        if kernel.kinds().get(kind).is_none() && !is_placed {
            return Err(CommandError::no_such_kind(kind, kernel));
        }
    } else if !args.get("spec").is_some_and(says_what) {
        return Err(CommandError::of_kernel(
            KernelError::NoTemplate(under.clone()),
            kernel,
        ));
    }
    if args.get("count").is_some() {
        let message = format!("`count`: `{under}` has no template that many could be made from");
        let hint = "spawn them one by one, each with an --id of its own";
        return Err(CommandError::conflict(message).hint(hint));
    }
    let child = child_json(args)?;
    if child.get("id").is_none() {
        return Err(CommandError::conflict(
            "`id` is missing: only children of a template are numbered",
        )
        .hint("add --id NAME"));
    }
    let siblings = kernel.which(under);
    let siblings = siblings.map_err(|error| CommandError::of_kernel(error, kernel))?;
    let siblings: Vec<ChildId> = siblings.into_iter().map(|child| child.id).collect();
    let home = Home {
        node: kernel.name(),
        supervisor: under,
        siblings: &siblings,
        strategy: above.strategy,
        auto_shutdown: above.auto_shutdown,
    };
    let JsonChild { spec, warnings } = read_child(kernel, &child, &home)?;
    let path = under.child(&spec.id);
    let mut document = if args.flag(SAVE.name) {
        let parent = under.clone();
        saved(kernel, Act::Spawn { parent, child }, "`uk spawn --save`").await?;
        let incarnation = kernel.registry().get(&path).map(|slot| slot.incarnation());
        let incarnation = incarnation.unwrap_or_default();
        spawned_one(kernel, &path, Ok(Done::Started { incarnation }))?
    } else {
        let spawned = kernel.spawn(under, spec).await;
        spawned_one(kernel, &path, spawned)?
    };
    if let Some(object) = document.as_object_mut() {
        object.insert("warnings".to_owned(), warnings.into());
    }
    Ok(document)
}

/// What is answered about one child.
fn spawned_one(
    kernel: &Kernel,
    path: &ActorPath,
    spawned: Result<Done, KernelError>,
) -> Result<Value, CommandError> {
    let has_not_started = matches!(
        spawned,
        Err(KernelError::Refused {
            error: RequestError::StartFailed(_),
            ..
        })
    );
    let is_fixed = matches!(spawned, Err(KernelError::Fixed(_)));
    done(kernel, path, spawned).map_err(|error| {
        if has_not_started {
            error.hint("nothing was added: mend it and spawn it again")
        } else if is_fixed {
            error.hint("name another supervisor with --under: `uk tree` shows them")
        } else {
            error
        }
    })
}

fn read_id(text: &str) -> Result<ChildId, CommandError> {
    ChildId::new(text).map_err(|error| CommandError::usage(error.to_string()))
}

fn show(document: &Value, screen: &Screen) -> String {
    if document.get("asked").is_some() {
        return many::show(document, screen);
    }
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
        Some(Value::Object(keys)) => keys.clone(),
        _ => Map::new(),
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
            return Err(CommandError::conflict(format!(
                "`{key}` is given twice, also in --spec"
            )));
        }
    }
    Ok(json!(child))
}
