//! `uk chaos simulate`: a whole kernel of a tree file, broken by a plan from each of many seeds, without a kernel and in no real
//! time.

mod plan_file;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;
use unity_actors::chaos::plan::Plan;
use unity_actors::chaos::shrink::{Shrunk, shrink};
use unity_actors::chaos::simulate::{Simulated, Simulation, default_plan, not_played};
use unity_supervisors::spec::TreeSpec;

use super::chaos::file;
use super::{Command, check, config};
use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::Caller;
use crate::error::{Code, CommandError, EXIT_DIFFERENCE};
use crate::output;
use crate::screen::{count, printable, thousands};

/// How long the plan is that is taken where none is named.
const LASTS: Duration = Duration::from_secs(60);

pub(super) const COMMAND: Command = Command {
    about: "Break a simulated kernel of a tree from many seeds, and check its promises",
    help: "Needs no kernel. The tree's workers are played, with all rules of the file kept: restart, strategy, budget, \
           shutdown, backoff, mailbox, needs, ladders. Disk, processes and the kernel's own end are simulated too. \
           The same tree, plan and seed give the same log, to the byte.\n\n\
           Exits 9 if a seed breaks a promise. Then the shortest list of acts that still breaks it is written \
           beside the tree file as a plan, which plays it again. Without --plan every fault there is strikes, within all budgets.\n\n\
           Example: uk chaos simulate robot.yaml --seeds 1..10000\n\
           Example: uk chaos simulate robot.yaml --seeds 7 --log",
    args: &[
        Arg::required("file", ArgKind::File, "a tree file"),
        Arg::option(
            "plan",
            ArgKind::File,
            "the name of a plan, as in storm, or its file",
        ),
        Arg::needed(
            "seeds",
            ArgKind::Text,
            "the seeds, first and last: 1..10000, or one: 7",
        ),
        Arg::option(
            "for",
            ArgKind::Duration,
            "how long each is, where no plan says so; 60s",
        ),
        Arg::option("log", ArgKind::Flag, "print all that happens; of one seed"),
        check::SECRETS_DIR,
        config::FOLDER,
    ],
    ..Command::local(&["chaos", "simulate"], run)
};

fn run(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let seeds = Seeds::of(args.text("seeds").unwrap_or_default())?;
    if args.flag("log") && seeds.count() > 1 {
        let error = CommandError::usage("--log is for one seed, and these are more");
        return Err(error.hint(format!("as in: --seeds {} --log", seeds.first)));
    }
    let file = args.text("file").unwrap_or_default();
    let Some(tree) = read_tree(args, file)? else {
        return Ok(Code::Invalid.exit());
    };
    let simulation = Simulation {
        keeps_log: args.flag("log"),
        ..Simulation::new(tree, read_plan(caller, args)?)
    };
    let in_vain = in_vain(&simulation.plan)?;
    if !caller.json {
        output::err(&in_vain);
    }
    if simulation.keeps_log {
        return show_log(caller, &simulation, seeds.first);
    }
    let begun = Instant::now();
    let tried = try_all(&simulation, seeds, !caller.json);
    let took = begun.elapsed();
    let broken = match &tried.broken {
        Some(found) => Some(Broken::of(&simulation, found, args)?),
        None => None,
    };
    if caller.json {
        let document = document(seeds, &simulation, &tried, took, broken.as_ref());
        output::out(&format!("{document}\n"))?;
    } else {
        output::out(&told(seeds, &simulation, &tried, took, broken.as_ref()))?;
    }
    Ok(if broken.is_some() { EXIT_DIFFERENCE } else { 0 })
}

/// What is said of faults that cannot be simulated.
///
/// # Errors
/// If the plan has no others.
fn in_vain(plan: &Plan) -> Result<String, CommandError> {
    let faults = not_played(plan);
    if faults.is_empty() {
        return Ok(String::new());
    }
    let names: Vec<String> = faults.iter().map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    let why = "a simulated kernel has no other nodes";
    if plan.faults().all(|fault| faults.contains(fault.name())) {
        let message = format!("the plan `{}` cannot be simulated: {why}", plan.name);
        return Err(CommandError::new(Code::Failed, message)
            .hint(format!("{names}: `uk chaos run` strikes with them")));
    }
    Ok(format!("{names} strike nobody: {why}\n"))
}

/// The seeds from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seeds {
    first: u64,
    last: u64,
}

impl Seeds {
    fn of(text: &str) -> Result<Self, CommandError> {
        let wrong = |why: &str| {
            let error = CommandError::usage(format!("`--seeds {}`: {why}", printable(text)));
            error.hint("name the first and the last, as in 1..10000, or one, as in 7")
        };
        let number = |text: &str| {
            let number = text.trim().parse::<u64>();
            number.map_err(|_| wrong(&format!("`{}` is no seed", printable(text))))
        };
        let (first, last) = match text.split_once("..") {
            None => (number(text)?, number(text)?),
            Some((first, last)) => (number(first)?, number(last)?),
        };
        if last < first {
            return Err(wrong("the last is before the first"));
        }
        if last - first >= SEEDS_MAX {
            let most = thousands(SEEDS_MAX);
            return Err(wrong(&format!("more than {most} seeds at a time")));
        }
        Ok(Self { first, last })
    }

    fn count(self) -> u64 {
        self.last - self.first + 1
    }
}

/// How many seeds are taken at a time.
const SEEDS_MAX: u64 = 1_000_000_000;

/// The tree of the file; `None` if it is at fault, which is told by then.
fn read_tree(args: &Args, file: &str) -> Result<Option<TreeSpec>, CommandError> {
    let secrets = check::places(args)?.to_look_at().secrets();
    let kinds = unity_actors::kinds().with_secrets(secrets);
    let checked = check::read(Some(file), "", &kinds);
    if checked.tree.is_none() {
        output::err(&checked.render(output::wants_colour(&std::io::stderr())));
        output::err(&format!("{}: {}\n", printable(file), checked.summary()));
    }
    Ok(checked.tree)
}

fn read_plan(caller: &Caller, args: &Args) -> Result<Plan, CommandError> {
    let lasts = args.duration("for");
    match args.text("plan") {
        Some(_) if lasts.is_some() => {
            let error = CommandError::usage("--for is for simulations without a plan");
            Err(error.hint("the `for` of a plan's phases says how long it is"))
        }
        Some(plan) => file::load(plan, caller, args),
        None if lasts.is_some_and(|lasts| lasts.is_zero()) => {
            let error = CommandError::usage("--for 0s leaves no time to strike");
            Err(error.hint("as in --for 60s"))
        }
        None => Ok(default_plan(lasts.unwrap_or(LASTS))),
    }
}

fn show_log(caller: &Caller, simulation: &Simulation, seed: u64) -> Result<u8, CommandError> {
    let found = simulation.run(seed);
    if caller.json {
        let violations: Vec<Value> = violations(&found).collect();
        let document = json!({ "seed": seed, "log": found.log, "broken": violations });
        output::out(&format!("{document}\n"))?;
    } else {
        output::out(&format!("{}\n", found.log.join("\n")))?;
    }
    let is_well = found.violations.is_empty();
    Ok(if is_well { 0 } else { EXIT_DIFFERENCE })
}

/// What came of the seeds that were tried.
#[derive(Debug, Default)]
struct Tried {
    seeds: u64,
    acts: u64,
    kernels: u64,
    acknowledged: u64,
    /// The first seed that breaks a promise.
    broken: Option<Simulated>,
}

/// Tries all seeds on all cores, in order; no more of them once one breaks a promise.
fn try_all(simulation: &Simulation, seeds: Seeds, tells: bool) -> Tried {
    let next = AtomicU64::new(seeds.first);
    let is_over = AtomicBool::new(false);
    let tried = Mutex::new(Tried::default());
    let progress = Progress::of(seeds, tells);
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > seeds.last {
                return;
            }
            let found = simulation.run(seed);
            let mut tried = tried.lock();
            tried.seeds += 1;
            tried.acts += found.acts.len() as u64;
            tried.kernels += found.kernels;
            tried.acknowledged += found.acknowledged;
            progress.tell(tried.seeds);
            if !found.violations.is_empty() {
                is_over.store(true, Ordering::Relaxed);
                let before = tried.broken.as_ref();
                // Several cores may each have found one; those of lower seeds were begun before.
                if before.is_none_or(|before| found.seed < before.seed) {
                    tried.broken = Some(found);
                }
            }
        }
    };
    let cores = available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for _ in 1..cores.min(seeds.count()) {
            scope.spawn(work);
        }
        work();
    });
    progress.end();
    tried.into_inner()
}

/// Says on standard error how far it is: in one line of a terminal, else at each tenth.
struct Progress {
    count: u64,
    tells: bool,
    is_terminal: bool,
}

impl Progress {
    fn of(seeds: Seeds, tells: bool) -> Self {
        Self {
            count: seeds.count(),
            tells: tells && seeds.count() > 1,
            is_terminal: output::takes_drawing(&std::io::stderr()),
        }
    }

    fn tell(&self, done: u64) {
        let step = if self.is_terminal { 100 } else { 10 };
        let step = self.count.div_ceil(step);
        if self.tells && (done.is_multiple_of(step) || done == self.count) {
            let (done, count) = (thousands(done), thousands(self.count));
            let line = format!("{done} of {count} seeds");
            output::err(&match self.is_terminal {
                true => format!("\r{line}"),
                false => format!("{line}\n"),
            });
        }
    }

    fn end(&self) {
        if self.tells && self.is_terminal {
            output::err("\r\x1b[K");
        }
    }
}

/// A promise that was broken, and how it is broken again.
#[derive(Debug)]
struct Broken {
    seed: u64,
    all: Vec<Value>,
    checker: &'static str,
    what: String,
    /// The plan that was written, and what is in it.
    shrunk: Option<(PathBuf, Shrunk)>,
    replay: String,
}

impl Broken {
    fn of(simulation: &Simulation, found: &Simulated, args: &Args) -> Result<Self, CommandError> {
        let first = found.violations.first();
        let shrunk = first.and_then(|first| shrink(simulation, found, first));
        let file = args.text("file").unwrap_or_default();
        let seed = found.seed;
        let shrunk = match shrunk {
            None => None,
            Some(shrunk) => {
                let stem = Path::new(file).with_extension("");
                let to = PathBuf::from(format!("{}.seed-{seed}.yaml", stem.display()));
                plan_file::write(&to, &shrunk.plan)?;
                Some((to, shrunk))
            }
        };
        let plan = shrunk.as_ref().map(|(to, _)| to.display().to_string());
        let plan = plan.or_else(|| args.text("plan").map(str::to_owned));
        let plan = plan.map_or_else(String::new, |plan| format!(" --plan {plan}"));
        Ok(Self {
            seed,
            all: violations(found).collect(),
            checker: first.map_or("", |first| first.checker()),
            what: first.map_or_else(String::new, ToString::to_string),
            shrunk,
            replay: format!("uk chaos simulate {file}{plan} --seeds {seed} --log"),
        })
    }

    fn to_json(&self) -> Value {
        let plan = self.shrunk.as_ref().map(|(to, shrunk)| {
            json!({
                "file": to.display().to_string(),
                "acts": shrunk.plan.acts,
                "acts_before": shrunk.acts_before,
                "simulations": shrunk.runs,
            })
        });
        json!({
            "seed": self.seed, "checker": self.checker, "what": self.what, "all": self.all,
            "plan": plan, "replay": self.replay,
        })
    }
}

fn violations(found: &Simulated) -> impl Iterator<Item = Value> {
    let all = found.violations.iter();
    all.map(|broken| json!({ "checker": broken.checker(), "what": broken.to_string() }))
}

fn document(
    seeds: Seeds,
    simulation: &Simulation,
    tried: &Tried,
    took: Duration,
    broken: Option<&Broken>,
) -> Value {
    json!({
        "tree": simulation.tree.name, "plan": simulation.plan.name,
        "first": seeds.first, "last": seeds.last,
        "seeds": tried.seeds, "acts": tried.acts, "kernels": tried.kernels,
        "acknowledged": tried.acknowledged,
        "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "broken": broken.map(Broken::to_json),
    })
}

fn told(
    seeds: Seeds,
    simulation: &Simulation,
    tried: &Tried,
    took: Duration,
    broken: Option<&Broken>,
) -> String {
    let tree = printable(&simulation.tree.name);
    let plan = printable(&simulation.plan.name);
    let done = format!(
        "{} of `{tree}` by the plan `{plan}` in {:.1} s: {}, {}, {} in the stream",
        count(tried.seeds, "seed"),
        took.as_secs_f64(),
        count(tried.acts, "fault"),
        count(tried.kernels, "kernel"),
        count(tried.acknowledged, "event"),
    );
    let Some(broken) = broken else {
        let (first, last) = (seeds.first, seeds.last);
        let which = match seeds.count() {
            1 => format!("seed {first} breaks no promise"),
            _ => format!("no seed of {first}..{last} breaks a promise"),
        };
        return format!("{which}\n{done}\n");
    };
    let mut out = format!(
        "seed {} breaks a promise of {}: {}\n",
        broken.seed, broken.checker, broken.what
    );
    if broken.all.len() > 1 {
        let others = count(broken.all.len() as u64 - 1, "other fault");
        out.push_str(&format!("  and {others}: --json lists them\n"));
    }
    match &broken.shrunk {
        Some((to, shrunk)) => out.push_str(&format!(
            "  {} of {} still break it; they are in {}\n",
            count(shrunk.plan.acts.len() as u64, "act"),
            thousands(shrunk.acts_before as u64),
            printable(&to.display().to_string()),
        )),
        None => out.push_str("  its acts alone do not break it, the plan with its chance does\n"),
    }
    out.push_str(&format!("  again: {}\n{done}\n", printable(&broken.replay)));
    out
}

#[cfg(test)]
mod tests;
