//! Lowers one child: what it is, the keys that every child has, and whether the others are its own.

use std::collections::BTreeMap;

use unity_supervisors::path::ChildId;
use unity_supervisors::spec::{AutoShutdown, Backoff, ChildKind, ChildSpec, Restart, Shutdown};

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::keys;
use super::node::{Entry, Node, Value, shown};
use super::reader::Reader;
use super::source::Span;
use super::supervisor::{self, Owner};
use super::{format_duration, place};

pub(super) const RESTARTS: [(&str, Restart); 3] = [
    ("permanent", Restart::Permanent),
    ("transient", Restart::Transient),
    ("temporary", Restart::Temporary),
];

/// A child and the places that warnings point at.
pub(super) struct Lowered {
    pub(super) spec: ChildSpec,
    pub(super) id_at: Span,
    pub(super) shutdown_at: Option<Span>,
    pub(super) backoff_at: Option<Span>,
}

impl Reader<'_> {
    /// Lowers the child at `index` of its supervisor. `None` if it has no id or is nothing.
    pub(super) fn child(
        &mut self,
        node: &Node,
        index: usize,
        owner: &Owner<'_>,
    ) -> Option<Lowered> {
        let fields = self.fields(node, "a child")?;
        let id = self.child_id(fields, owner);
        self.child_of(fields, id, index, owner)
    }

    /// Lowers a child whose id was read.
    pub(super) fn child_of(
        &mut self,
        fields: Fields<'_>,
        id: Option<ChildId>,
        index: usize,
        owner: &Owner<'_>,
    ) -> Option<Lowered> {
        let sort = self.sort(fields, id.as_ref());
        self.child_keys(fields, sort);
        self.is_elsewhere = sort == Some(keys::Owner::Worker) && place::is_elsewhere(fields);
        // A child without an id is checked all the same, under a name that nobody sees.
        let name = id.clone().or_else(|| ChildId::new("unnamed").ok())?;
        let at = fields
            .get("id")
            .map_or(fields.head, |entry| entry.node.span);
        let shutdown = self.shutdown(fields.get("shutdown"));
        let shutdown_at = fields.get("shutdown").map(|entry| entry.node.span);
        let mut spec = if sort == Some(keys::Owner::Supervisor) {
            let path = match owner.path {
                "/" => format!("/{name}"),
                above => format!("{above}/{name}"),
            };
            let own = shutdown.zip(shutdown_at);
            let supervisor = self.supervisor(fields, &path, own, at);
            ChildSpec::supervisor(name, supervisor)
        } else {
            self.worker(fields, name, sort.is_some())
        };
        if let Some(shutdown) = shutdown {
            spec.shutdown = shutdown;
        }
        self.common(fields, &mut spec, index, owner);
        self.check_place(fields, &spec, owner);
        self.on_crash(fields, &mut spec, owner);
        self.is_elsewhere = false;
        if sort == Some(keys::Owner::Supervisor) {
            self.check_supervisor(fields, &spec);
        }
        id.filter(|_| sort.is_some())?;
        let backoff_at = fields.get("backoff").map(|entry| entry.key.span);
        Some(Lowered {
            spec,
            id_at: at,
            shutdown_at,
            backoff_at,
        })
    }

    /// The keys that every child has.
    fn common(
        &mut self,
        fields: Fields<'_>,
        spec: &mut ChildSpec,
        index: usize,
        owner: &Owner<'_>,
    ) {
        let restart = fields.get("restart");
        let restart = restart.map(|entry| (entry, self.choice(Some(entry), &RESTARTS)));
        if let Some((_, Some(restart))) = restart {
            spec.restart = restart;
        }
        if let Some(significant) = self.boolean(fields.get("significant")) {
            spec.significant = significant;
        }
        if let Some(entry) = fields.get("significant").filter(|_| spec.significant) {
            let restart = match restart {
                Some((_, None)) => None,
                Some((entry, _)) => Some(entry.node.span),
                None => Some(entry.key.span),
            };
            self.check_significant(entry, spec, restart, owner);
        }
        if let Some(entry) = fields.get("start_timeout") {
            if entry.node.as_text() == Some("infinity") {
                spec.start_timeout = None;
            } else if let Some(timeout) = self.positive_or(Some(entry), " or infinity") {
                spec.start_timeout = Some(timeout);
            }
        }
        if let Some(probation) = self.positive(fields.get("probation")) {
            spec.probation = probation;
        }
        if let Some(essential) = self.boolean(fields.get("essential")) {
            spec.essential = essential;
        }
        if let Some(entry) = fields
            .get("essential")
            .filter(|_| spec.essential && owner.path != "/")
        {
            self.report(
                Diagnostic::new(Code::EssentialBelowRoot, "`essential` has no effect here")
                    .at(entry.key.span, "not a child of the root")
                    .help("mark the child of the root that this one is below, or take it out"),
            );
        }
        if let Some(entry) = fields.get("backoff") {
            spec.backoff = self.backoff(entry);
        }
        if let Some(entry) = fields.get("labels") {
            spec.labels = self.labels(entry);
        }
        if let Some(entry) = fields.get("needs") {
            spec.needs = self.needs(entry, spec.id.as_str(), index, owner);
        }
    }

    /// Reports a child that cannot be significant. `restart` is where it says that it is restarted, or where to point
    /// if it does not; `None` if what it says is at fault.
    fn check_significant(
        &mut self,
        entry: &Entry,
        spec: &ChildSpec,
        restart: Option<Span>,
        owner: &Owner<'_>,
    ) {
        let (id, path) = (&spec.id, owner.path);
        if owner.auto_shutdown == Some(AutoShutdown::Never) {
            self.report(
                Diagnostic::new(
                    Code::SignificantNever,
                    format!("`{id}` is significant, and {path} never ends because of its children"),
                )
                .at(entry.key.span, "nothing would come of it")
                .help(format!(
                    "give {path} `auto_shutdown: any_significant`, or take out `significant`"
                )),
            );
        }
        if let Some(at) = restart.filter(|_| spec.restart == Restart::Permanent) {
            self.report(
                Diagnostic::new(
                    Code::SignificantPermanent,
                    format!("`{id}` is significant and permanent"),
                )
                .at(at, "restarted after every exit, so it never stays down")
                .help(
                    "give it `restart: transient` to end its supervisor when it ends in order, \
                     `temporary` whenever it ends",
                ),
            );
        }
    }

    fn child_id(&mut self, fields: Fields<'_>, owner: &Owner<'_>) -> Option<ChildId> {
        let Some(entry) = fields.get("id") else {
            if self.has_misspelt(fields, "id", &keys::of(None, false)) {
                return None;
            }
            self.report(
                Diagnostic::new(
                    Code::MissingKey,
                    format!("a child of {} has no `id`", owner.path),
                )
                .at(fields.head, "this child")
                .help("add `id:` with a name that is unique in its supervisor"),
            );
            return None;
        };
        let text = self.word(Some(entry))?;
        let id = self.id(text, entry.node.span, "an id")?;
        if owner.path == "/" && text == "system" {
            self.report(
                Diagnostic::new(
                    Code::ReservedId,
                    "a child of the root cannot be called `system`",
                )
                .at(
                    entry.node.span,
                    "the kernel's own services live under /system",
                )
                .help("give it another id"),
            );
        }
        Some(id)
    }

    /// Whether a child is a worker or a supervisor; `None` if it is neither.
    fn sort(&mut self, fields: Fields<'_>, id: Option<&ChildId>) -> Option<keys::Owner> {
        let child = id.map_or_else(|| "a child".to_owned(), |id| format!("`{id}`"));
        let children = ["children", "template"]
            .into_iter()
            .find_map(|key| fields.get(key));
        match (fields.get("kind"), children) {
            (Some(_), None) => Some(keys::Owner::Worker),
            (None, Some(_)) => Some(keys::Owner::Supervisor),
            (Some(kind), Some(children)) => {
                let key = &children.key.text;
                self.report(
                    Diagnostic::new(
                        Code::KindAndChildren,
                        format!("{child} has `kind` and `{key}`"),
                    )
                    .at(kind.key.span, "`kind` makes it a worker")
                    .related(children.key.span, format!("`{key}` makes it a supervisor"))
                    .help("take out one of them, or make them two children"),
                );
                Some(keys::Owner::Supervisor)
            }
            (None, None) => {
                let known = keys::of(None, false);
                if ["kind", "children", "template"]
                    .iter()
                    .any(|key| self.has_misspelt(fields, key, &known))
                {
                    return None;
                }
                let at = fields
                    .get("id")
                    .map_or(fields.head, |entry| entry.node.span);
                let message = format!("{child} has neither `kind` nor `children`");
                let fault = Diagnostic::new(Code::NeitherKindNorChildren, message)
                    .at(at, "neither a worker nor a supervisor");
                let is_supervisors = |key: &str| keys::owner(key) == Some(keys::Owner::Supervisor);
                let mut entries = fields.entries.iter();
                self.report(
                    match entries.rfind(|entry| is_supervisors(&entry.key.text)) {
                        Some(entry) => fault
                            .related(entry.key.span, "a key of a supervisor")
                            .help("add `children:` or `template:`"),
                        None => {
                            fault.help("add `kind:` for a worker or `children:` for a supervisor")
                        }
                    },
                );
                None
            }
        }
    }

    /// Reports keys that are unknown or belong to the other sort of child.
    fn child_keys(&mut self, fields: Fields<'_>, sort: Option<keys::Owner>) {
        // What has both sorts of keys is at fault for that alone.
        let both = fields.has("kind") && (fields.has("children") || fields.has("template"));
        for entry in fields.entries {
            match (keys::owner(&entry.key.text), sort) {
                (None, Some(keys::Owner::Worker)) if place::is_grant(&entry.key.text) => {
                    self.beside_place(entry, fields);
                }
                (None, _) => {
                    let what = match sort {
                        Some(keys::Owner::Worker) => "a worker",
                        Some(_) => "a supervisor",
                        None => "a child",
                    };
                    self.unknown_key(entry, fields.entries, &keys::of(sort, false), what);
                }
                (Some(keys::Owner::Child), _) | (_, None) => {}
                (Some(owner), Some(sort)) if owner == sort || both => {}
                (Some(_), Some(sort)) => self.wrong_owner(entry, sort, fields),
            }
        }
    }

    fn wrong_owner(&mut self, entry: &Entry, sort: keys::Owner, fields: Fields<'_>) {
        let key = &entry.key.text;
        let (belongs, is) = match sort {
            keys::Owner::Worker => ("supervisor", "worker, it has a `kind`"),
            _ if fields.has("template") => ("worker", "supervisor, it has a `template`"),
            _ => ("worker", "supervisor, it has `children`"),
        };
        self.report(
            Diagnostic::new(Code::WrongOwner, format!("`{key}` is a key of a {belongs}"))
                .at(entry.key.span, format!("this child is a {is}"))
                .help(match sort {
                    keys::Owner::Worker => {
                        format!("put `{key}` on the supervisor above, or take it out")
                    }
                    _ if fields.has("template") => {
                        format!("put `{key}` into the `template`, or take it out")
                    }
                    _ => format!("put `{key}` on the workers below, or take it out"),
                }),
        );
    }

    fn shutdown(&mut self, entry: Option<&Entry>) -> Option<Shutdown> {
        match entry?.node.as_text() {
            Some("brutal_kill") => Some(Shutdown::BrutalKill),
            Some("infinity") => Some(Shutdown::Infinity),
            _ => self
                .duration_or(entry, ", brutal_kill or infinity")
                .map(Shutdown::Timeout),
        }
    }

    fn backoff(&mut self, entry: &Entry) -> Option<Backoff> {
        let fields = match &entry.node.value {
            Value::Map(_) => self.fields(&entry.node, "`backoff`")?,
            _ => {
                let help = "write `backoff: { min: 100ms, max: 10s }`".to_owned();
                self.wrong_type(entry, "a mapping", Some(help));
                return None;
            }
        };
        self.only_keys(fields, &keys::names(keys::BACKOFF), "`backoff`");
        let mut backoff = Backoff::default();
        if let Some(min) = self.duration(fields.get("min")) {
            backoff.min = min;
        }
        if let Some(max) = self.positive(fields.get("max")) {
            backoff.max = max;
        }
        let expected = "a number of at least 1";
        if let Some(factor) = self.number(fields.get("factor"), 1.0..=f64::MAX, expected) {
            backoff.factor = factor;
        }
        let expected = "a number from 0 to 1";
        if let Some(jitter) = self.number(fields.get("jitter"), 0.0..=1.0, expected) {
            backoff.jitter = jitter;
        }
        if backoff.min > backoff.max {
            let given = |key: &str, value| {
                let default = if fields.has(key) { "" } else { ", the default" };
                format!("`{key}` ({}{default})", format_duration(value))
            };
            let (min, max) = (given("min", backoff.min), given("max", backoff.max));
            let at = fields
                .get("min")
                .map_or(entry.key.span, |entry| entry.node.span);
            let mut fault =
                Diagnostic::new(Code::BackoffOrder, format!("{min} is longer than {max}"))
                    .at(at, "the shortest pause");
            if let Some(max) = fields.get("max") {
                fault = fault.related(max.node.span, "the longest pause");
            }
            self.report(fault.help("make `min` shorter or `max` longer"));
        }
        Some(backoff)
    }

    /// Texts by name; none of those that are at fault.
    pub(super) fn labels(&mut self, entry: &Entry) -> BTreeMap<String, String> {
        if matches!(entry.node.value, Value::Null) {
            return BTreeMap::new();
        }
        let fields = self.fields(&entry.node, "`labels`");
        let entries = fields.iter().flat_map(|fields| fields.entries);
        let labels = entries.filter_map(|label| {
            let text = self.word(Some(label))?;
            Some((label.key.text.to_string(), text.to_owned()))
        });
        labels.collect()
    }

    /// Warns of what is allowed for a supervisor below another, but seldom meant.
    fn check_supervisor(&mut self, fields: Fields<'_>, spec: &ChildSpec) {
        let id = shown(spec.id.as_str());
        if let Some(entry) = fields
            .get("shutdown")
            .filter(|_| spec.shutdown != Shutdown::Infinity && !outlived(spec))
        {
            let when = match spec.shutdown {
                Shutdown::Timeout(time) => format!("after {}", format_duration(time)),
                _ => "at once".to_owned(),
            };
            self.report(
                Diagnostic::new(
                    Code::FiniteSupervisor,
                    format!("`{id}` may be killed while its children are still stopping"),
                )
                .at(
                    entry.node.span,
                    format!("killed {when}, with all that is below it"),
                )
                .help("take out `shutdown`: a supervisor's default is infinity"),
            );
        }
        if let Some(entry) = fields
            .get("restart")
            // One that ends itself is right to stay down.
            .filter(|_| spec.restart == Restart::Transient && !ends_itself(spec))
        {
            self.report(
                Diagnostic::new(
                    Code::TransientSupervisor,
                    format!("the supervisor `{id}` stays down when it gives up"),
                )
                .at(
                    entry.node.span,
                    "to `transient`, giving up is an orderly exit",
                )
                .note("it goes with all that is below it, and nothing above hears of it")
                .help("take out `restart`, so that what is above restarts it or gives up too"),
            );
        }
        if let Some(entry) = fields
            .get("auto_shutdown")
            .filter(|_| spec.restart == Restart::Permanent && ends_itself(spec))
        {
            self.report(
                Diagnostic::new(
                    Code::RestartedAfterEnd,
                    format!("the supervisor `{id}` is started again each time it ends itself"),
                )
                .at(
                    entry.node.span,
                    "it ends, and as a permanent child it is restarted",
                )
                .note("each time is charged to the budget of the supervisor above")
                .help(format!(
                    "give `{id}` `restart: transient`, so that it stays down then"
                )),
            );
        }
    }
}

/// Whether a supervisor's significant children can end it.
fn ends_itself(spec: &ChildSpec) -> bool {
    spec.as_supervisor()
        .is_some_and(|supervisor| supervisor.auto_shutdown != AutoShutdown::Never)
}

/// Whether a supervisor's children may stop for longer than itself, which is warned of as such.
fn outlived(spec: &ChildSpec) -> bool {
    let (Shutdown::Timeout(most), ChildKind::Supervisor(supervisor)) = (spec.shutdown, &spec.what)
    else {
        return false;
    };
    let listed = supervisor.children.iter().map(|child| &**child);
    let template = supervisor.template.iter().map(|template| &template.child);
    let mut children = listed.chain(template);
    children.any(|child| supervisor::is_longer(child.shutdown, most))
}
