//! `uk chaos report` and `uk chaos list`: what runs came to.

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_actors::chaos::report::{self, Report};
use unity_actors::chaos::shelf::Summary;
use unity_supervisors::Kernel;

use super::{Command, exit, runs, show_run, under_way};
use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::{Caller, block_on};
use crate::error::{Code, CommandError};
use crate::output;
use crate::screen::{Screen, Tone, list, number, rough, table, text};

pub(in super::super) const REPORT: Command = Command {
    about: "What a run came to, or how far it is",
    help: "Without a run it is of the one under way, else of the last. Exits as the run did: 0 passed, 9 not, 1 if there was \
           nothing that could be struck; 0 while it is under way. The last 100 are kept in the data folder, in `chaos`, also \
           as Markdown and as a picture.\n\n\
           Example: uk chaos report r3 --svg r3.svg",
    args: &[
        Arg::optional(
            "run",
            ArgKind::Text,
            "which, as in r3; `uk chaos list` has them",
        ),
        Arg::for_client("markdown", "print it as Markdown"),
        Arg::option("svg", ArgKind::File, "draw its course into this file").stays(),
    ],
    show: show_run,
    exit,
    attend: Some(attend),
    ..Command::reading(&["chaos", "report"], |kernel, args| {
        async move { find(&kernel, &args) }.boxed()
    })
};

pub(in super::super) const LIST: Command = Command {
    about: "The runs that there were, newest first",
    help: "The last 100 are kept in the data folder, in `chaos`.\n\n\
           Example: uk chaos list",
    show: show_list,
    ..Command::reading(&["chaos", "list"], |kernel, _| {
        async move { Ok(list_of(&kernel)) }.boxed()
    })
};

fn attend(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let client = caller.kernel()?;
    let document = block_on(client.call(&REPORT, args))??;
    let (markdown, svg) = (args.flag("markdown"), args.text("svg"));
    if !markdown && svg.is_none() {
        return caller.print(&REPORT, &document);
    }
    let report: Report = serde_json::from_value(document.clone()).map_err(|_| {
        CommandError::new(Code::Failed, "the run is under way")
            .hint("`uk chaos stop` ends it; without --markdown and --svg it is shown how far it is")
    })?;
    if let Some(file) = svg {
        std::fs::write(file, report::svg::svg(&report))
            .map_err(|error| CommandError::new(Code::Failed, format!("{file}: {error}")))?;
        output::err(&format!("{file} is written\n"));
    }
    if markdown {
        output::out(&report::markdown::markdown(&report))?;
    }
    Ok(exit(&document))
}

fn find(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let (chaos, run) = (runs(kernel), args.text("run"));
    let under = chaos.progress();
    if let Some(progress) = under.filter(|under| run.is_none_or(|run| run == under.run)) {
        return Ok(under_way(&progress));
    }
    match (chaos.report(run), run) {
        (Some(report), _) => Ok(json!(report)),
        (None, Some(run)) => Err(CommandError::new(
            Code::NotFound,
            format!("there is no report of a run `{run}`"),
        )
        .hint("`uk chaos list` has those that are kept")),
        (None, None) => Err(
            CommandError::new(Code::NotFound, "there was no chaos run yet")
                .hint("`uk chaos plan` shows what one would touch, `uk chaos run` begins one"),
        ),
    }
}

fn list_of(kernel: &Kernel) -> Value {
    let chaos = runs(kernel);
    let under = chaos.progress().map(|progress| under_way(&progress));
    let ended: Vec<Summary> = chaos.shelf().list();
    json!({ "version": 1, "under_way": under, "runs": ended })
}

fn show_list(document: &Value, screen: &Screen) -> String {
    let runs = list(document, "runs");
    let under = document.get("under_way").filter(|under| under.is_object());
    let mut out: String = under
        .map(|under| show_run(under, screen))
        .unwrap_or_default();
    if runs.is_empty() {
        if out.is_empty() {
            out.push_str("no run has ended yet: `uk chaos plan` shows what one would touch\n");
        }
        return out;
    }
    let heads = [
        "run", "ended", "plan", "seed", "kills", "lost", "took", "began",
    ];
    let mut rows = vec![heads.map(|head| (Tone::Dim, head.to_owned())).to_vec()];
    for run in runs {
        let outcome = text(run, "outcome");
        let tone = match outcome {
            "passed" => Tone::Good,
            "failed" | "broken" => Tone::Bad,
            _ => Tone::Warn,
        };
        let number = |key| (Tone::Plain, number(run, key).to_string());
        rows.push(vec![
            (Tone::Bold, text(run, "run").to_owned()),
            (tone, outcome.to_owned()),
            (Tone::Plain, text(run, "plan").to_owned()),
            number("seed"),
            number("kills"),
            number("lost"),
            (Tone::Plain, rough(crate::screen::number(run, "took_ms"))),
            (Tone::Dim, text(run, "started_at").to_owned()),
        ]);
    }
    out.push_str(&table(&rows, screen));
    out
}
