//! Lowers `on_crash`, the ladder of a worker, and finds the steps that cannot do what they say.

use std::sync::Arc;
use std::time::Duration;

use unity_supervisors::spec::{
    Backoff, ChildKind, ChildSpec, Ladder, LadderAction, LadderStep, Restart, Strategy, WorkerSpec,
    lay_over,
};

use super::budget::{crashes_in, sum_of_pauses};
use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::node::{Entry, Node, Value};
use super::reader::Reader;
use super::source::Span;
use super::supervisor::Owner;
use super::{format_duration, keys};

/// The swap that brings the last good settings back.
pub(super) const LAST_GOOD: &str = "last_good";

/// A step and the places that faults point at.
struct Step<'n> {
    /// From 1.
    number: usize,
    spec: LadderStep,
    head: Span,
    after: &'n Entry,
    action: &'n Entry,
}

impl Step<'_> {
    fn is_quarantine(&self) -> bool {
        self.spec.action == LadderAction::Quarantine
    }

    /// `3 crashes within 1m`.
    fn when(&self) -> String {
        let crashes = crashes(self.spec.after.into());
        format!("{crashes} within {}", format_duration(self.spec.within))
    }
}

fn crashes(count: u64) -> String {
    match count {
        1 => "1 crash".to_owned(),
        count => format!("{count} crashes"),
    }
}

impl Reader<'_> {
    /// Lowers the ladder of a worker whose other keys were lowered.
    pub(super) fn on_crash(&mut self, fields: Fields<'_>, spec: &mut ChildSpec, owner: &Owner<'_>) {
        let (Some(entry), ChildKind::Worker(worker)) = (fields.get("on_crash"), &spec.what) else {
            return;
        };
        let faults = self.faults();
        let steps = self.steps(entry);
        if self.faults() == faults {
            let backoff = fields.get("backoff").map(|entry| entry.key.span);
            self.check_order(&steps);
            self.check_pauses(&steps, spec, backoff);
            self.check_swaps(&steps, worker);
        }
        self.check_child(&steps, entry, fields, spec, owner);
        let steps: Vec<LadderStep> = steps.into_iter().map(|step| step.spec).collect();
        if let ChildKind::Worker(worker) = &mut spec.what
            && !steps.is_empty()
        {
            worker.on_crash = Some(Arc::new(Ladder { steps }));
        }
    }

    fn steps<'n>(&mut self, entry: &'n Entry) -> Vec<Step<'n>> {
        let items = match &entry.node.value {
            Value::List(items) => items.iter().zip(1..),
            Value::Null => return Vec::new(),
            _ => {
                let help = "write `on_crash: [{ after: 3, within: 60s, quarantine: true }]`";
                self.wrong_type(entry, "a list of steps", Some(help.to_owned()));
                return Vec::new();
            }
        };
        items
            .filter_map(|(item, number)| self.step(item, number))
            .collect()
    }

    fn step<'n>(&mut self, node: &'n Node, number: usize) -> Option<Step<'n>> {
        let what = format!("step {number} of `on_crash`");
        let fields = self.fields(node, &what)?;
        self.only_keys(fields, &keys::names(keys::STEP), &what);
        let after = self.step_key(fields, "after", &what);
        let within = self.step_key(fields, "within", &what);
        let action = self.action(fields, &what);
        let spec = (
            self.integer(after, 1..=Ladder::CRASHES_MAX),
            self.positive(within),
            action,
        );
        let (Some(count), Some(within), Some((action, entry))) = spec else {
            return None;
        };
        Some(Step {
            number,
            spec: LadderStep {
                after: count,
                within,
                action,
            },
            head: fields.head,
            after: after?,
            action: entry,
        })
    }

    /// A key that every step has.
    fn step_key<'n>(&mut self, fields: Fields<'n>, key: &str, what: &str) -> Option<&'n Entry> {
        let entry = fields.get(key);
        if entry.is_none() && !self.has_misspelt(fields, key, &keys::names(keys::STEP)) {
            let help = match key {
                "after" => "add `after:` with the number of crashes that it takes",
                _ => "add `within:` with the time in which crashes count, such as 60s",
            };
            self.report(
                Diagnostic::new(Code::MissingKey, format!("{what} has no `{key}`"))
                    .at(fields.head, "this step")
                    .help(help),
            );
        }
        entry
    }

    /// The one thing that a step does.
    fn action<'n>(&mut self, fields: Fields<'n>, what: &str) -> Option<(LadderAction, &'n Entry)> {
        let (swap, quarantine) = (fields.get("swap"), fields.get("quarantine"));
        let quarantines = match quarantine {
            Some(entry) => self.boolean(Some(entry))?,
            None => false,
        };
        match (swap, quarantine.filter(|_| quarantines)) {
            (Some(entry), None) => self.swap(entry).map(|action| (action, entry)),
            (None, Some(entry)) => Some((LadderAction::Quarantine, entry)),
            (Some(swap), Some(quarantine)) => {
                let message = format!("{what} has `swap` and `quarantine`");
                self.report(
                    Diagnostic::new(Code::StepActions, message)
                        .at(quarantine.key.span, "keeps it down")
                        .related(swap.key.span, "starts it with other settings")
                        .help("make them two steps, or take out one of them"),
                );
                None
            }
            (None, None) => {
                let known = keys::names(keys::STEP);
                let is_misspelt = ["swap", "quarantine"]
                    .iter()
                    .any(|key| self.has_misspelt(fields, key, &known));
                if !is_misspelt {
                    let label = "neither `swap` nor `quarantine: true`";
                    self.report(
                        Diagnostic::new(Code::StepActions, format!("{what} does nothing"))
                            .at(fields.head, label)
                            .help("add `swap: { key: value }`, `swap: last_good` or `quarantine: true`"),
                    );
                }
                None
            }
        }
    }

    fn swap(&mut self, entry: &Entry) -> Option<LadderAction> {
        match &entry.node.value {
            Value::Map(_) => self.json(&entry.node).map(LadderAction::Swap),
            Value::Text { text, .. } if &**text == LAST_GOOD => Some(LadderAction::LastGood),
            Value::Text { text, .. } => {
                self.unknown_word(entry, text, &[LAST_GOOD]);
                None
            }
            _ => {
                let help = "write `swap: { key: value }` or `swap: last_good`".to_owned();
                self.wrong_type(entry, "a mapping of settings or `last_good`", Some(help));
                None
            }
        }
    }

    /// Reports steps that come after a quarantine, and those whose crashes were there before their turn.
    fn check_order(&mut self, steps: &[Step<'_>]) {
        for (at, step) in steps.iter().enumerate() {
            let number = step.number;
            let before = steps.iter().take(at);
            if let Some(end) = before.clone().find(|earlier| earlier.is_quarantine()) {
                let message = format!("step {number} of `on_crash` can never be reached");
                self.report(
                    Diagnostic::new(Code::StepNeverReached, message)
                        .at(step.head, "comes after a quarantine")
                        .related(
                            end.action.key.span,
                            "it stays down here until it is released",
                        )
                        .help(format!(
                            "put the quarantine last, or take out step {number}"
                        )),
                );
                continue;
            }
            let asks_no_less = |earlier: &&Step<'_>| {
                earlier.spec.after >= step.spec.after && earlier.spec.within <= step.spec.within
            };
            let mut before = before;
            if let Some(earlier) = before.find(asks_no_less) {
                let message = format!(
                    "step {number} of `on_crash` asks for no more than step {}",
                    earlier.number
                );
                let label = format!("{} have happened by then", step.when());
                self.report(
                    Diagnostic::new(Code::StepNotWaitedFor, message)
                        .at(step.after.node.span, label)
                        .related(
                            earlier.after.node.span,
                            format!("step {} takes {}", earlier.number, earlier.when()),
                        )
                        .note("crashes are counted over all steps, not anew for each")
                        .help(format!(
                            "write `after: {}` or more, or a shorter `within`",
                            earlier.spec.after.saturating_add(1)
                        )),
                );
            }
        }
    }

    /// Reports steps that ask for more crashes than the pauses between them let happen.
    fn check_pauses(&mut self, steps: &[Step<'_>], spec: &ChildSpec, at: Option<Span>) {
        let Some(backoff) = &spec.backoff else {
            return;
        };
        for step in steps {
            let Some(most) = most_crashes(backoff, step.spec.within, step.spec.after) else {
                continue;
            };
            let (number, within) = (step.number, format_duration(step.spec.within));
            let message = format!("step {number} of `on_crash` can never be reached");
            let label = format!("its pauses allow {} in {within}", crashes(most));
            let mut fault = Diagnostic::new(Code::StepNeverReached, message)
                .at(step.after.node.span, label)
                .note(format!(
                    "crash {} comes at least {} after crash 1, more than {within}",
                    most + 1,
                    sum_of_pauses(backoff, most),
                ))
                .help(format!(
                    "write `after: {most}` or less, a longer `within`, or shorter pauses"
                ));
            if let Some(at) = at {
                fault = fault.related(at, "the pauses between its crashes");
            }
            self.report(fault);
        }
    }

    /// Reports swaps that make no sense of the settings, and warns of those that leave them as they are.
    fn check_swaps(&mut self, steps: &[Step<'_>], worker: &WorkerSpec) {
        let is_known = self.kinds.contains(&worker.kind);
        if !is_known || !self.misfits(&worker.kind, &worker.settings).is_empty() {
            return;
        }
        let mut in_force = (worker.settings.clone(), "its settings".to_owned());
        for step in steps {
            let LadderAction::Swap(swap) = &step.spec.action else {
                // Which settings these are, nobody knows yet.
                in_force = (serde_json::Value::Null, String::new());
                continue;
            };
            let mut settings = worker.settings.clone();
            lay_over(&mut settings, swap.clone());
            if settings == in_force.0 {
                let (number, same) = (step.number, &in_force.1);
                let message = format!("the swap of step {number} of `on_crash` changes nothing");
                self.report(
                    Diagnostic::new(Code::SwapChangesNothing, message)
                        .at(step.action.key.span, format!("the same as {same}"))
                        .help("write what is to be different, or take out the step"),
                );
            }
            self.swapped_settings(&worker.kind, &settings, step.action, step.number);
            in_force = (settings, format!("what step {} lays there", step.number));
        }
    }

    /// Reports a ladder that does not go with its child or its supervisor.
    fn check_child(
        &mut self,
        steps: &[Step<'_>],
        entry: &Entry,
        fields: Fields<'_>,
        spec: &ChildSpec,
        owner: &Owner<'_>,
    ) {
        let id = &spec.id;
        if let Some(restart) = fields
            .get("restart")
            .filter(|_| spec.restart == Restart::Temporary && !steps.is_empty())
        {
            self.report(
                Diagnostic::new(
                    Code::LadderTemporary,
                    format!("`{id}` has a ladder and is never restarted"),
                )
                .at(entry.key.span, "says how it is restarted")
                .related(restart.node.span, "its first crash is its end")
                .help("take out `on_crash`, or give it `restart: transient`"),
            );
        }
        let Some(quarantine) = steps.iter().find(|step| step.is_quarantine()) else {
            return;
        };
        let at = quarantine.action.key.span;
        if owner.strategy == Strategy::OneForAll {
            let path = owner.path;
            self.report(
                Diagnostic::new(
                    Code::QuarantineInGroup,
                    format!("`{id}` cannot be quarantined: {path} is one_for_all"),
                )
                .at(at, "its siblings run only when it runs too")
                .help(format!(
                    "take out the step, so that the restart limit of {path} decides, or give \
                     {path} another `strategy`"
                )),
            );
        }
        if spec.essential && owner.path == "/" {
            self.report(
                Diagnostic::new(
                    Code::QuarantineEssential,
                    format!("`{id}` is essential, and its ladder ends in quarantine"),
                )
                .at(at, "keeps down what is to run even in safe mode")
                .help("take out the step, or `essential`"),
            );
        }
    }
}

/// How many crashes fit into `within` if `after` do not.
fn most_crashes(backoff: &Backoff, within: Duration, after: u32) -> Option<u64> {
    crashes_in(backoff, within, u64::from(after).saturating_sub(1))
}
