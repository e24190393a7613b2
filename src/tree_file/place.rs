//! Lowers `place`: on which other node a worker lives, and what is done when that one cannot be reached.
//!
//! Only a worker can be placed: what lives elsewhere has no children here. Whether there is such a node, and whether it
//! has the kind, is found when the child is started; nodes come and go without the file.

use std::time::Duration;

use unity_supervisors::path::ChildId;
use unity_supervisors::spec::{ChildSpec, Failover, Place, PlaceAt};

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::effective::quoted_key;
use super::fields::Fields;
use super::node::{Entry, Value, shown};
use super::reader::Reader;
use super::supervisor::Owner;
use super::{format_duration, keys};

/// The place of a child that lives where its tree is.
pub(super) const HERE: &str = "here";

pub(super) const FAILOVERS: [(&str, Failover); 3] = [
    ("wait", Failover::Wait),
    ("elsewhere", Failover::Elsewhere),
    ("none", Failover::None),
];

/// What a lease looks like, for a JSON Schema: 1 s to 1 h in each unit.
pub(super) const LEASE_PATTERN: &str = "^0*(([1-9][0-9]{3,5}|[12][0-9]{6}|3[0-5][0-9]{5}|3600000)ms|([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)s|([1-9]|[1-5][0-9]|60)m|1h)$";

/// Whether a child says that it lives on another node, be it at fault about which.
pub(super) fn is_elsewhere(fields: Fields<'_>) -> bool {
    let place = fields.get("place").map(|entry| &entry.node.value);
    matches!(place, Some(Value::Map(_)))
}

/// Whether a key stands in a `place` and can be mistaken for nothing else.
pub(super) fn is_grant(key: &str) -> bool {
    matches!(key, "node" | "lease" | "failover")
}

impl Reader<'_> {
    /// Reports a key of a place that stands beside it.
    pub(super) fn beside_place(&mut self, entry: &Entry, fields: Fields<'_>) {
        let key = &entry.key.text;
        let fault = Diagnostic::new(Code::UnknownKey, format!("unknown key `{key}`"))
            .at(entry.key.span, "a key of `place`");
        self.report(match fields.get("place") {
            Some(place) => fault
                .related(place.key.span, "it belongs in here")
                .help(format!("move `{key}` into `place`")),
            None => fault.help(format!("write `place: {{ {key}: … }}`")),
        });
    }

    /// Lowers the place of a worker; `None` if it lives here.
    pub(super) fn place(&mut self, fields: Fields<'_>) -> Option<Place> {
        let entry = fields.get("place")?;
        match &entry.node.value {
            Value::Map(_) => {}
            Value::Text { text, .. } if &**text == HERE => return None,
            Value::Text { text, .. } => {
                self.bare_place(entry, text);
                return None;
            }
            _ => {
                let help = "write `place: { node: NAME }`, or take it out".to_owned();
                self.wrong_type(entry, "a mapping or `here`", Some(help));
                return None;
            }
        }
        let fields = self.fields(&entry.node, "`place`")?;
        self.only_keys(fields, &keys::names(keys::PLACE), "`place`");
        let at = self.place_at(entry, fields);
        let lease = self.lease(fields.get("lease"));
        let failover = self.choice(fields.get("failover"), &FAILOVERS);
        if let (Some(PlaceAt::Node(node)), Some(Failover::Elsewhere)) = (&at, failover) {
            self.nowhere_else(node, fields);
        }
        Some(Place {
            at: at?,
            lease: lease.unwrap_or(Place::LEASE),
            failover: failover.unwrap_or_default(),
        })
    }

    /// Reports a text where a mapping should be: the name of a node, or `here` with a slip in it.
    fn bare_place(&mut self, entry: &Entry, text: &str) {
        if self.suggest(text, [HERE]).is_some() {
            return self.unknown_word(entry, text, &[HERE]);
        }
        let meant = ChildId::new(text).ok();
        let meant = meant.map(|node| format!("{{ node: {} }}", quoted_key(node.as_str())));
        let help = match &meant {
            Some(meant) => format!("write `place: {meant}`"),
            None => "write `place: { node: NAME }`".to_owned(),
        };
        let meant = meant.map(|meant| (text, meant));
        self.wrong_type_but(entry, "a mapping or `here`", Some(help), meant);
    }

    fn place_at(&mut self, entry: &Entry, fields: Fields<'_>) -> Option<PlaceAt> {
        match (fields.get("node"), fields.get("labels")) {
            (Some(node), None) => self.place_node(node).map(PlaceAt::Node),
            (None, Some(labels)) => self.place_labels(labels),
            (Some(node), Some(labels)) => {
                self.report(
                    Diagnostic::new(Code::PlaceUnnamed, "`place` has `node` and `labels`")
                        .at(labels.key.span, "says what a node must have to fit")
                        .related(node.key.span, "says which node it is")
                        .help("take out one of them"),
                );
                None
            }
            (None, None) => {
                let known = keys::names(keys::PLACE);
                let is_misspelt = ["node", "labels"]
                    .iter()
                    .any(|key| self.has_misspelt(fields, key, &known));
                if !is_misspelt {
                    self.report(
                        Diagnostic::new(Code::PlaceUnnamed, "`place` names no node")
                            .at(entry.key.span, "neither `node` nor `labels`")
                            .help("add `node: NAME`, or `labels: { key: text }` of nodes that fit"),
                    );
                }
                None
            }
        }
    }

    fn place_node(&mut self, entry: &Entry) -> Option<ChildId> {
        let text = self.word(Some(entry))?;
        let node = self.id(text, entry.node.span, "the name of a node")?;
        if self.node.as_deref() == Some(node.as_str()) {
            let message = format!("`{node}` is the node whose tree this is");
            self.report(
                Diagnostic::new(Code::PlaceHere, message)
                    .at(entry.node.span, "expected another node")
                    .help("take out `place`: without it the child lives here"),
            );
            return None;
        }
        Some(node)
    }

    fn place_labels(&mut self, entry: &Entry) -> Option<PlaceAt> {
        let is_empty = match &entry.node.value {
            Value::Map(entries) => entries.is_empty(),
            value => matches!(value, Value::Null),
        };
        if is_empty {
            self.report(
                Diagnostic::new(Code::PlaceUnnamed, "the `labels` of `place` are empty")
                    .at(entry.key.span, "every node would fit")
                    .help("name what it must have, as in `labels: { gpu: \"true\" }`"),
            );
            return None;
        }
        let labels = self.labels(entry);
        (!labels.is_empty()).then_some(PlaceAt::Labels(labels))
    }

    fn lease(&mut self, entry: Option<&Entry>) -> Option<Duration> {
        let lease = self.duration(entry)?;
        let (least, most) = (Place::LEASE_MIN, Place::LEASE_MAX);
        if !(least..=most).contains(&lease) {
            let (least, most) = (format_duration(least), format_duration(most));
            let found = format!("`{}`", format_duration(lease));
            self.out_of_range(
                entry?,
                &found,
                &format!("a duration from {least} to {most}"),
            );
            return None;
        }
        Some(lease)
    }

    /// Reports that a child of one certain node cannot go to another.
    fn nowhere_else(&mut self, node: &ChildId, fields: Fields<'_>) {
        let (Some(failover), Some(at)) = (fields.get("failover"), fields.get("node")) else {
            return;
        };
        self.report(
            Diagnostic::new(
                Code::PlaceElsewhere,
                format!("there is no other node than `{node}` for it to go to"),
            )
            .at(failover.node.span, "expected wait or none")
            .related(at.key.span, "only this node fits")
            .help("say with `labels` instead of `node` which nodes fit, or take out `failover`"),
        );
    }

    /// Warns of a child that is to go on whatever happens and lives where this kernel has no say.
    pub(super) fn check_place(&mut self, fields: Fields<'_>, spec: &ChildSpec, owner: &Owner<'_>) {
        let is_placed = spec
            .as_worker()
            .is_some_and(|worker| worker.place.is_some());
        if let Some(entry) = fields
            .get("place")
            .filter(|_| is_placed && spec.essential && owner.path == "/")
        {
            let id = shown(spec.id.as_str());
            self.report(
                Diagnostic::new(
                    Code::EssentialPlaced,
                    format!("`{id}` is essential, and lives on another node"),
                )
                .at(entry.key.span, "gone whenever that node cannot be reached")
                .help("take out `place`, or `essential`"),
            );
        }
    }
}
