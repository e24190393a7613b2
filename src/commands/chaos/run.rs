//! `uk chaos run`: begins a run, follows it, and shows its report.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use unity_actors::chaos::report::Source;
use unity_actors::chaos::runs::{Chaos, Refused, Wish};
use unity_actors::chaos::service::{self, ChaosMessage};
use unity_supervisors::{Address, Kernel};

use super::plan::{PLAN, show_plan};
use super::{
    Command, DOCUMENT, FOR_ARG, RATE_ARG, REPORT, RULES, STOP, exit, far, file, plan_of, runs,
    show_run, under_way,
};
use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::{Caller, block_on};
use crate::client::Client;
use crate::commands::config;
use crate::error::{Code, CommandError};
use crate::output;
use crate::screen::text;
use crate::watch::interrupted;

/// How long the service may take to begin.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);
/// How often is looked how far it is.
const LOOK: Duration = Duration::from_millis(100);
/// How long a kernel that was killed by its own run may take to be there again.
const RETURNS_WITHIN: Duration = Duration::from_secs(60);

/// What the caller says of the file that it has read.
const SOURCE: &str = "source";

pub(in super::super) const RUN: Command = Command {
    about: "Break things on purpose and report what came of it",
    help: "Kills workers of the tree, has them panic, fail, hang and start slowly, within 80 % of what each supervisor's budget \
           allows, so that nothing gives up; the kernel's own services and essential children are spared. A plan says \
           otherwise. Probes are sent numbered messages meanwhile, or four probes that are added for that time. It shows first \
           whom it may strike. Ctrl-C stops it, undoes all faults and reports.\n\n\
           --above adds a second beyond: the root's children are killed until the kernel is in safe mode; essential children \
           have to answer there, and after a release all has to be up again.\n\n\
           Exits 9 if something did not come back, was lost, doubled or overtaken, or if a probe of the plan did not hold, \
           and 1 if there was nothing that could be struck.\n\n\
           Example: uk chaos run --for 60s --rate 5/s --seed 7 --yes\n\
           Example: uk chaos run storm --seed 7",
    args: &[
        file::PLAN,
        FOR_ARG,
        RATE_ARG,
        Arg::option(
            "seed",
            ArgKind::Integer,
            "what chance begins with; drawn if not given",
        ),
        DOCUMENT,
        config::FOLDER,
        Arg::option(
            "above",
            ArgKind::Flag,
            "in the end go above all budgets, into safe mode and back",
        ),
        Arg::option(
            "yes",
            ArgKind::Flag,
            "yes, on this kernel; needed unless its file says `test: true`",
        ),
        Arg::option(
            "detach",
            ArgKind::Flag,
            "do not wait for its end: `uk chaos report` has it",
        ),
        Arg::internal(SOURCE, ArgKind::Json, "where its caller has read the plan"),
    ],
    rules: RULES,
    show: show_run,
    exit,
    attend: Some(attend),
    ..Command::changing(&["chaos", "run"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let plan = plan_of(&args)?;
    if !kernel.is_test() && !args.flag("yes") {
        let message = format!("`{}` is not a test kernel", kernel.name());
        return Err(CommandError::conflict(message)
            .hint("chaos breaks what runs here: add --yes if that is wanted"));
    }
    let wish = Wish {
        plan,
        seed: args
            .integer("seed")
            .unwrap_or_else(|| fastrand::u64(..1 << 32)),
        above: args.flag("above"),
        source: source(&args)?,
    };
    let (chaos, run) = begin(&kernel, wish).await?;
    if args.flag("detach")
        && let Some(progress) = chaos.progress().filter(|under| under.run == run)
    {
        return Ok(under_way(&progress));
    }
    let report = chaos.ended(&run).await;
    report.map(|report| json!(report)).ok_or_else(|| {
        let message = format!("the run {run} ended before it struck");
        CommandError::new(Code::Failed, message).hint("`uk why /system/chaos` says why")
    })
}

/// Where the plan came from: from whoever called, or with the call itself.
fn source(args: &Args) -> Result<Option<Source>, CommandError> {
    let said = match (args.get(SOURCE), args.get(DOCUMENT.name)) {
        (Some(said), Some(_)) => said.clone(),
        (None, Some(document)) => json!({ "document": document }),
        _ => return Ok(None),
    };
    serde_json::from_value(said)
        .map(Some)
        .map_err(|error| file::invalid("`source`", &error))
}

/// Begins a run, and returns what knows of it, and its name.
pub(crate) async fn begin(
    kernel: &Kernel,
    wish: Wish,
) -> Result<(Arc<Chaos>, String), CommandError> {
    let path = service::PATH.parse().ok();
    let service: Option<Address<ChaosMessage>> = path.and_then(|path| kernel.address(&path));
    let service = service
        .ok_or_else(|| CommandError::new(Code::Failed, "this kernel has no service for chaos"))?;
    let begun = service
        .ask(BEGINS_WITHIN, |begun| {
            ChaosMessage::Begin(Box::new(wish), begun)
        })
        .await
        .map_err(|error| CommandError::new(Code::Failed, error.to_string()))?;
    let run = begun.map_err(|refused| not_begun(&refused))?;
    Ok((runs(kernel), run))
}

fn not_begun(refused: &Refused) -> CommandError {
    let (code, hint) = match refused {
        Refused::Busy(_) => (
            Code::Failed,
            "`uk chaos report` says how far it is, `uk chaos stop` ends it",
        ),
        Refused::Mode(_) => (Code::Failed, "chaos needs a tree that is well: `uk health`"),
        Refused::Ends => (
            Code::Conflict,
            "leave out --above, or run the kernel without --exit-on-give-up",
        ),
        Refused::Empty(_) => (
            Code::Invalid,
            "give it `phases`, each with a `for` and some `faults`",
        ),
    };
    CommandError::new(code, refused.to_string()).hint(hint)
}

fn attend(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let mut args = args.clone();
    if let Some(plan) = file::read(caller, &args)? {
        if args.get(DOCUMENT.name).is_some() {
            return Err(CommandError::conflict("a plan does not go with --document")
                .hint("one of them says what the run does"));
        }
        args.insert(DOCUMENT.name, plan);
        let file = json!({ "plan": args.text(file::PLAN.name), "config_dir": args.text(config::FOLDER.name) });
        args.insert(SOURCE, json!({ "file": file }));
    }
    let kills_kernel = plan_of(&args)?.kills_kernel();
    let client = caller.kernel()?;
    let document = block_on(async {
        if !caller.json {
            let touched = client.call(&PLAN, &args).await?;
            output::err(&show_plan(&touched, &caller.screen));
            output::err("\n");
        }
        let detach = args.flag("detach");
        args.insert("detach", Value::Bool(true));
        let begun = client.call(&RUN, &args).await?;
        match detach {
            true => Ok(begun),
            false => follow(caller, &client, &begun, kills_kernel).await,
        }
    })??;
    caller.print(&RUN, &document)
}

/// Follows a run to its end. Ctrl-C stops it, and the report comes all the same.
async fn follow(
    caller: &Caller,
    client: &Client,
    begun: &Value,
    kills_kernel: bool,
) -> Result<Value, CommandError> {
    let run = text(begun, "run").to_owned();
    let mut which = Args::default();
    which.insert("run", Value::from(run.as_str()));
    let mut interrupts = std::pin::pin!(interrupted(caller.interrupts.as_deref()));
    let mut is_stopped = false;
    let mut last_seen = Instant::now();
    loop {
        tokio::select! {
            biased;
            told = &mut interrupts, if !is_stopped => {
                told?;
                is_stopped = true;
                // It may have ended just now.
                drop(client.call(&STOP, &Args::default()).await);
            }
            () = sleep(LOOK) => {}
        }
        match client.call(&REPORT, &which).await {
            Ok(document) if document.get("state").is_some() => {
                last_seen = Instant::now();
                progress(caller, &format!("{run} {}", far(&document)));
            }
            Ok(report) => {
                progress(caller, "");
                return Ok(report);
            }
            Err(error) => {
                let is_gone = matches!(error.code, Code::Unreachable | Code::TimedOut);
                if !(kills_kernel && is_gone && last_seen.elapsed() < RETURNS_WITHIN) {
                    progress(caller, "");
                    return Err(error);
                }
                progress(
                    caller,
                    &format!("{run} has killed its kernel, and waits for the next"),
                );
            }
        }
    }
}

/// Shows how far it is on a terminal, in one line that is written over.
fn progress(caller: &Caller, said: &str) {
    if !caller.json && io::stderr().is_terminal() {
        output::err(&format!("\r\x1b[K{said}"));
    }
}
