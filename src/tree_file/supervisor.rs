//! Lowers a supervisor, the root included, and its children in order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use unity_supervisors::spec::{AutoShutdown, Shutdown, Strategy, SupervisorSpec, Template};

use super::child::Lowered;
use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::node::{Entry, Node, Value, shown};
use super::reader::Reader;
use super::source::Span;
use super::template::PARTITIONS_MAX;

pub(super) const STRATEGIES: [(&str, Strategy); 3] = [
    ("one_for_one", Strategy::OneForOne),
    ("one_for_all", Strategy::OneForAll),
    ("rest_for_one", Strategy::RestForOne),
];

pub(super) const AUTO_SHUTDOWNS: [(&str, AutoShutdown); 3] = [
    ("never", AutoShutdown::Never),
    ("any_significant", AutoShutdown::AnySignificant),
    ("all_significant", AutoShutdown::AllSignificant),
];

/// What a child must know of its supervisor and its siblings.
pub(super) struct Owner<'o> {
    /// The supervisor's path.
    pub(super) path: &'o str,
    /// The children in start order: their place and where their id stands. First ones win.
    pub(super) ids: HashMap<String, (usize, Span)>,
    /// Children that run already, for a child that is added to a running tree.
    pub(super) running: &'o [unity_supervisors::path::ChildId],
    /// What the supervisor does about the others when one fails.
    pub(super) strategy: Strategy,
    /// When the supervisor ends because of significant children; `None` if what it says is at fault.
    pub(super) auto_shutdown: Option<AutoShutdown>,
}

/// The supervisor's own time to stop, and where it stands.
pub(super) type Own = Option<(Shutdown, Span)>;

impl Reader<'_> {
    /// Lowers the keys of a supervisor; `at` is where to point for it as a whole.
    pub(super) fn supervisor(
        &mut self,
        fields: Fields<'_>,
        path: &str,
        own: Own,
        at: Span,
    ) -> SupervisorSpec {
        let mut spec = SupervisorSpec::default();
        if let Some(strategy) = self.choice(fields.get("strategy"), &STRATEGIES) {
            spec.strategy = strategy;
        }
        if let Some(intensity) = self.integer(fields.get("intensity"), 0..=u32::MAX) {
            spec.intensity = intensity;
        }
        if let Some(period) = self.positive(fields.get("period")) {
            spec.period = period;
        }
        let auto_shutdown = match fields.get("auto_shutdown") {
            Some(entry) => self.choice(Some(entry), &AUTO_SHUTDOWNS),
            None => Some(AutoShutdown::default()),
        };
        spec.auto_shutdown = auto_shutdown.unwrap_or_default();
        let faults = self.faults();
        self.beside_template(fields, &spec);
        if fields.has("template") {
            // What else it says is at fault, and was told.
            spec.auto_shutdown = AutoShutdown::Never;
        }
        let max_children = self.integer(fields.get("max_children"), 0..=u32::MAX);
        let max_children = max_children.and_then(|max| usize::try_from(max).ok());
        let partitions = self.integer(fields.get("partitions"), 1..=PARTITIONS_MAX);
        spec.partitions = partitions.filter(|_| fields.has("template"));
        let template = fields.get("template");
        let template = template.and_then(|entry| self.template(entry, path));
        let listed = fields.get("children");
        let listed = listed.map(|list| self.children(list, path, spec.strategy, auto_shutdown));
        spec.template = template.as_ref().map(|child| {
            let child = child.spec.clone();
            Arc::new(Template {
                child,
                max_children,
            })
        });
        let lowered = match template {
            Some(child) => vec![child],
            None => listed.unwrap_or_default(),
        };
        // What is at fault below has defaults here, which would make for wrong warnings.
        if self.faults() == faults {
            let at = fields.get("intensity").map_or(at, |entry| entry.node.span);
            self.check_budget(&spec, &lowered, path, at);
            self.check_auto_shutdown(fields, &spec, &lowered);
        }
        if let Some((Shutdown::Timeout(most), span)) = own {
            self.check_shutdowns(&lowered, most, span);
        }
        match (&spec.template, spec.partitions) {
            (None, _) => {
                let children = lowered.into_iter().map(|child| child.spec);
                spec.children = children.map(Arc::new).collect();
            }
            (Some(template), Some(count)) => {
                spec.children = SupervisorSpec::partitioned(&template.child, count).children;
                spec.template = None;
            }
            (Some(_), None) => {}
        }
        spec
    }

    /// Lowers a list of children.
    fn children(
        &mut self,
        list: &Entry,
        path: &str,
        strategy: Strategy,
        auto_shutdown: Option<AutoShutdown>,
    ) -> Vec<Lowered> {
        let items = match &list.node.value {
            Value::List(items) => self.items(items),
            Value::Null => Vec::new(),
            _ => {
                let help = "write each child as `- id: …`, with its keys indented below".to_owned();
                self.wrong_type(list, "a list of children", Some(help));
                return Vec::new();
            }
        };
        if items.is_empty() && matches!(&list.node.value, Value::List(items) if !items.is_empty()) {
            // An include that failed, which was reported, or one of an empty list.
            return Vec::new();
        }
        if items.is_empty() {
            self.report(
                Diagnostic::new(
                    Code::NoChildren,
                    format!("the supervisor {path} has no children"),
                )
                .at(list.key.span, "an empty list")
                .help("add a child, or leave it so if children are spawned later"),
            );
        }
        let owner = Owner {
            path,
            ids: self.ids(&items, path),
            running: &[],
            strategy,
            auto_shutdown,
        };
        self.depth += 2;
        let lowered = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| self.child(item, index, &owner))
            .collect();
        self.depth -= 2;
        lowered
    }

    /// The ids of a list of children; reports those that stand twice.
    fn ids(&mut self, items: &[Node], path: &str) -> HashMap<String, (usize, Span)> {
        let mut ids: HashMap<String, (usize, Span)> = HashMap::with_capacity(items.len());
        let mut taken = None;
        for (index, item) in items.iter().enumerate() {
            let Some(entry) = item.get("id") else {
                continue;
            };
            let Some(id) = entry.node.as_text() else {
                continue;
            };
            let Some((_, first)) = ids.get(id) else {
                ids.insert(id.to_owned(), (index, entry.node.span));
                self.homes
                    .entry(id.to_owned())
                    .or_insert_with(|| path.to_owned());
                continue;
            };
            // An anchor that is used twice has its id in one place: point at its uses.
            let at_id = entry.node.span;
            let again = if at_id == *first { item.span } else { at_id };
            let message = format!("two children of {path} have the id `{}`", shown(id));
            let fault = Diagnostic::new(Code::DuplicateId, message);
            let fault = match self.files.included_twice(*first, again) {
                Some((first, again)) => fault
                    .at(again, "included here again")
                    .related(first, "first included here")
                    .help("include the file once, or put a copy with other ids beside it"),
                None => fault
                    .at(again, "here again")
                    .related(*first, "first here")
                    .help(match self.suggests() {
                        true => format!(
                            "give one of them another id, such as `{}`",
                            free_id(id, taken.get_or_insert_with(|| all_ids(items)))
                        ),
                        false => "give one of them another id".to_owned(),
                    }),
            };
            self.report(fault);
        }
        ids
    }

    /// Warns of a supervisor that waits for the end of significant children and has none.
    fn check_auto_shutdown(
        &mut self,
        fields: Fields<'_>,
        spec: &SupervisorSpec,
        children: &[Lowered],
    ) {
        let entry = fields.get("auto_shutdown");
        let waits = spec.auto_shutdown != AutoShutdown::Never && !children.is_empty();
        if let Some(entry) = entry.filter(|_| waits)
            && !children.iter().any(|child| child.spec.significant)
        {
            self.report(
                Diagnostic::new(
                    Code::NoSignificantChild,
                    "`auto_shutdown` has no effect: no child is significant",
                )
                .at(entry.node.span, "waits for the end of significant children")
                .help("give the child whose end is to end this supervisor `significant: true`"),
            );
        }
    }

    /// Warns of children that may stop for longer than their supervisor.
    fn check_shutdowns(&mut self, children: &[Lowered], most: Duration, own: Span) {
        let longer: Vec<&Lowered> = children
            .iter()
            .filter(|child| is_longer(child.spec.shutdown, most))
            .collect();
        let Some(first) = longer.first() else { return };
        let id = &first.spec.id;
        let time = match first.spec.shutdown {
            Shutdown::Timeout(time) => super::format_duration(time),
            _ => "for ever".to_owned(),
        };
        let most = super::format_duration(most);
        let others = longer.len() - 1;
        let mut warning = Diagnostic::new(
            Code::ShutdownTooLong,
            format!("`{id}` may take longer to stop than its supervisor"),
        )
        .at(
            first.shutdown_at.unwrap_or(first.id_at),
            format!("may take {time}"),
        )
        .related(own, format!("killed with all of its children after {most}"));
        if others > 0 {
            warning = warning.note(format!("so may {others} more of its children"));
        }
        let help = "give the supervisor `shutdown: infinity`, its default, or the child less time";
        self.report(warning.help(help));
    }
}

/// Whether a child may stop for longer than `most`.
pub(super) fn is_longer(shutdown: Shutdown, most: Duration) -> bool {
    match shutdown {
        Shutdown::Timeout(time) => time > most,
        Shutdown::Infinity => true,
        Shutdown::BrutalKill => false,
    }
}

/// An id like `id` that no item has: `host2` for `host`.
fn free_id(id: &str, taken: &HashSet<&str>) -> String {
    let stem = id.trim_end_matches(|c: char| c.is_ascii_digit());
    let made = (2..).map(|number: u32| format!("{}{number}", shown(stem)));
    made.take(taken.len() + 1)
        .find(|made| !taken.contains(made.as_str()))
        .unwrap_or_default()
}

/// All ids of a list of children.
fn all_ids(items: &[Node]) -> HashSet<&str> {
    let ids = items.iter().filter_map(|item| item.get("id"));
    ids.filter_map(|entry| entry.node.as_text()).collect()
}
