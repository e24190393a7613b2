//! `uk chaos plan`: whom a plan would touch, and with what. It has no effect.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_actors::chaos::plan::{Fault, Phase, Plan, Probe};
use unity_actors::chaos::service;
use unity_actors::chaos::target::{Spared, Wanted, all, nodes};
use unity_supervisors::{ActorPath, Kernel};

use super::{Command, DOCUMENT, FOR_ARG, RATE_ARG, RULES, file, plan_of, runs};
use crate::arguments::Args;
use crate::cli::{Caller, block_on};
use crate::commands::config;
use crate::error::CommandError;
use crate::screen::{Line, Screen, Tone, count, list, number, rough, text};

/// How many of those that are struck, and of those that are not, a document names.
const NAMED_MAX: usize = 500;
/// How many are drawn.
const SHOWN: usize = 12;

pub(in super::super) const PLAN: Command = Command {
    about: "Show whom a run would strike, and with what",
    help: "Without a file it is the usual plan of `uk chaos run`. Who is spared is listed with the reason. Nothing is \
           touched.\n\n\
           Example: uk chaos plan storm",
    args: &[file::PLAN, FOR_ARG, RATE_ARG, DOCUMENT, config::FOLDER],
    rules: RULES,
    show: show_plan,
    attend: Some(attend),
    ..Command::reading(&["chaos", "plan"], |kernel, args| {
        async move { Ok(touched(&kernel, &plan_of(&args)?)) }.boxed()
    })
};

fn attend(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let mut args = args.clone();
    if let Some(plan) = file::read(caller, &args)? {
        args.insert(DOCUMENT.name, plan);
    }
    let client = caller.kernel()?;
    let document = block_on(client.call(&PLAN, &args))??;
    caller.print(&PLAN, &document)
}

/// What a plan would touch now.
fn touched(kernel: &Kernel, plan: &Plan) -> Value {
    let (mut targets, mut spared) = (BTreeMap::new(), BTreeMap::new());
    for phase in &plan.phases {
        for chance in &phase.faults {
            look(
                kernel,
                plan,
                phase,
                &chance.fault,
                &mut targets,
                &mut spared,
            );
        }
    }
    for act in &plan.acts {
        if let Some(path) = &act.path {
            if kernel.registry().get(path).is_none() {
                spared.insert(path.clone(), "nothing is there".to_owned());
                continue;
            }
            let faults: &mut BTreeSet<&str> = targets.entry(path.clone()).or_default();
            faults.insert(act.fault.name());
        }
    }
    spared.retain(|path, _| !targets.contains_key(path));
    let struck = targets.iter().take(NAMED_MAX);
    let named = struck.map(|(path, faults)| json!({ "path": path, "faults": faults }));
    let left = spared.iter().take(NAMED_MAX);
    let left = left.map(|(path, why)| json!({ "path": path, "why": why }));
    json!({
        "version": 1,
        "plan": plan.name,
        "about": plan.about,
        "kernel": kernel.name(),
        "needs_yes": !kernel.is_test(),
        "for_ms": u64::try_from(plan.lasts().as_millis()).unwrap_or(u64::MAX),
        "max_down": plan.targets.max_down,
        "phases": plan.phases.iter().map(of_phase).collect::<Vec<_>>(),
        "acts": plan.acts.len(),
        "node": plan.faults().filter(|fault| fault.is_of_node() && fault.trouble().is_none()).map(Fault::name).collect::<BTreeSet<_>>(),
        "links": links(kernel, plan),
        "probes": plan.probes.iter().map(Probe::name).collect::<Vec<_>>(),
        "targets": named.collect::<Vec<_>>(),
        "targets_count": targets.len(),
        "spared": left.collect::<Vec<_>>(),
        "spared_count": spared.len(),
        "refused": refused(kernel, plan),
    })
}

/// What a run on this kernel would not do, each with the reason.
fn refused(kernel: &Kernel, plan: &Plan) -> Vec<Value> {
    let is_refused = plan.kills_kernel() && !runs(kernel).is_guarded();
    let refused =
        is_refused.then(|| json!({ "fault": Fault::KillKernel.name(), "why": service::NO_GUARD }));
    let refused = refused.into_iter();
    let of_links = plan.faults().filter(|fault| fault.trouble().is_some());
    let of_links = of_links.filter_map(|fault| {
        let why = nodes(kernel, fault, u32::MAX, &BTreeSet::new()).err()?;
        Some(json!({ "fault": fault.name(), "why": why }))
    });
    let mut all: Vec<Value> = refused.chain(of_links).collect();
    all.dedup();
    all
}

/// The nodes the links to which may be struck, each with what.
fn links(kernel: &Kernel, plan: &Plan) -> Vec<Value> {
    let mut links: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for fault in plan.faults().filter(|fault| fault.trouble().is_some()) {
        let found = nodes(kernel, fault, u32::MAX, &BTreeSet::new());
        for node in found.unwrap_or_default() {
            links.entry(node).or_default().insert(fault.name());
        }
    }
    let links = links.iter();
    links
        .map(|(node, faults)| json!({ "node": node, "faults": faults }))
        .collect()
}

fn look(
    kernel: &Kernel,
    plan: &Plan,
    phase: &Phase,
    fault: &Fault,
    targets: &mut BTreeMap<ActorPath, BTreeSet<&'static str>>,
    spared: &mut BTreeMap<ActorPath, String>,
) {
    if fault.is_of_node() {
        return;
    }
    let wanted = Wanted {
        targets: phase.targets.as_ref().unwrap_or(&plan.targets),
        fault,
        budget: phase.budget,
        within: plan.settles_within.0,
        struck: &BTreeSet::new(),
    };
    for (slot, why) in all(kernel, &wanted) {
        // A supervisor is meant only where a plan says so.
        if slot.is_supervisor() && why == Some(Spared::Kind) {
            continue;
        }
        match why {
            None => {
                targets
                    .entry(slot.path().clone())
                    .or_default()
                    .insert(fault.name());
            }
            Some(why) => {
                let spared = spared.entry(slot.path().clone());
                spared.or_insert_with(|| why.to_string());
            }
        }
    }
}

fn of_phase(phase: &Phase) -> Value {
    let total: u32 = phase.faults.iter().map(|chance| chance.weight).sum();
    let faults = phase.faults.iter().map(|chance| {
        let percent = u64::from(chance.weight) * 100 / u64::from(total.max(1));
        json!({ "fault": chance.fault.name(), "percent": percent })
    });
    json!({
        "name": phase.name,
        "for_ms": u64::try_from(phase.takes.0.as_millis()).unwrap_or(u64::MAX),
        "rate": phase.rate.to_string(),
        "budget": phase.budget,
        "faults": faults.collect::<Vec<_>>(),
    })
}

/// Draws it.
pub(super) fn show_plan(document: &Value, screen: &Screen) -> String {
    let mut out = String::new();
    let mut line = Line::new();
    line.push(Tone::Bold, text(document, "plan"));
    let takes = rough(number(document, "for_ms"));
    let on = text(document, "kernel");
    line.push(Tone::Plain, &format!(" on {on}, {takes}"));
    if !text(document, "about").is_empty() {
        line.push(Tone::Plain, &format!(": {}", text(document, "about")));
    }
    out.push_str(&line.wrap(screen, 2));
    for phase in list(document, "phases") {
        out.push_str(&show_phase(phase, screen));
    }
    let probes: Vec<&str> = list(document, "probes")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if !probes.is_empty() {
        out.push_str(&format!(
            "  ends at once unless these hold: {}\n",
            probes.join(", ")
        ));
    }
    let node: Vec<&str> = list(document, "node")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if !node.is_empty() {
        out.push_str(&format!("strikes the whole node: {}\n", node.join(", ")));
    }
    for link in list(document, "links") {
        let faults = list(link, "faults").iter().filter_map(Value::as_str);
        let faults: Vec<&str> = faults.collect();
        let node = text(link, "node");
        out.push_str(&format!(
            "may strike the link to {node}: {}\n",
            faults.join(", ")
        ));
    }
    for refused in list(document, "refused") {
        let (fault, why) = (text(refused, "fault"), text(refused, "why"));
        let mut line = Line::new();
        line.push(Tone::Warn, &format!("`{fault}` is refused: {why}"));
        out.push_str(&line.wrap(screen, 2));
    }
    let struck = number(document, "targets_count");
    let at_once = number(document, "max_down");
    out.push_str(&format!(
        "may strike {}, at most {at_once} at a time\n",
        count(struck, "actor")
    ));
    draw(&mut out, list(document, "targets"), struck, |target| {
        let faults = list(target, "faults").iter().filter_map(Value::as_str);
        faults.collect::<Vec<_>>().join(", ")
    });
    let spared = number(document, "spared_count");
    if spared > 0 {
        out.push_str(&format!("spares {}\n", count(spared, "actor")));
        let why = |its: &Value| text(its, "why").to_owned();
        draw(&mut out, list(document, "spared"), spared, why);
    }
    if document.get("needs_yes") == Some(&Value::Bool(true)) {
        out.push_str("this is no test kernel: a run needs --yes\n");
    }
    out
}

fn show_phase(phase: &Value, screen: &Screen) -> String {
    let faults: Vec<String> = list(phase, "faults")
        .iter()
        .map(|fault| format!("{} {} %", text(fault, "fault"), number(fault, "percent")))
        .collect();
    let takes = rough(number(phase, "for_ms"));
    let mut line = Line::new();
    line.push(Tone::Plain, &format!("  {} {takes}, ", text(phase, "name")));
    match faults.is_empty() {
        true => line.push(Tone::Dim, "nothing is struck"),
        false => line.push(
            Tone::Plain,
            &format!(
                "{} within {} % of each budget: {}",
                text(phase, "rate"),
                number(phase, "budget"),
                faults.join(", ")
            ),
        ),
    }
    line.wrap(screen, 4)
}

fn draw(out: &mut String, all: &[Value], total: u64, about: impl Fn(&Value) -> String) {
    for its in all.iter().take(SHOWN) {
        out.push_str(&format!("  {}  {}\n", text(its, "path"), about(its)));
    }
    let shown = u64::try_from(all.len().min(SHOWN)).unwrap_or(u64::MAX);
    if total > shown {
        out.push_str(&format!(
            "  … and {} more; --json has them\n",
            total - shown
        ));
    }
}
