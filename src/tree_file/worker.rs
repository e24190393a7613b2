//! Lowers what is particular to a worker: its kind, settings and mailbox.

use std::sync::Arc;

use unity_supervisors::path::ChildId;
use unity_supervisors::priority::Priority;
use unity_supervisors::spec::{ChildKind, ChildSpec, MailboxSpec, OnRestart, Overflow, StateSpec};

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::keys;
use super::node::{Entry, Value, shown};
use super::reader::Reader;

pub(super) const OVERFLOWS: [(&str, Overflow); 4] = [
    ("block", Overflow::Block),
    ("reject", Overflow::Reject),
    ("drop_oldest", Overflow::DropOldest),
    ("drop_newest", Overflow::DropNewest),
];
pub(super) const ON_RESTART: [(&str, OnRestart); 2] =
    [("keep", OnRestart::Keep), ("drop", OnRestart::Drop)];

impl Reader<'_> {
    /// Lowers a worker; `sorted` is false for a child that may not be one.
    pub(super) fn worker(&mut self, fields: Fields<'_>, id: ChildId, sorted: bool) -> ChildSpec {
        let kind = self
            .word(fields.get("kind").filter(|_| sorted))
            .unwrap_or_default();
        let known = self.kinds.iter().any(|name| name == kind);
        let unknown = |entry: &&Entry| entry.node.as_text().is_some() && !known;
        if let Some(entry) = fields.get("kind").filter(unknown) {
            self.unknown_kind(entry, kind);
        }
        let settings = self.settings(fields, known.then_some(kind));
        let mailbox = fields.get("mailbox").map(|entry| self.mailbox(entry));
        let state = fields
            .get("state")
            .and_then(|entry| self.state(entry, known.then_some(kind)));
        let mut spec = ChildSpec::worker(id, kind);
        if let ChildKind::Worker(worker) = &mut spec.what {
            worker.settings = settings;
            worker.state = state;
            worker.place = self.place(fields).map(Arc::new);
            if let Some(mailbox) = mailbox {
                worker.mailbox = Arc::new(mailbox);
            }
            self.stalls(fields, worker);
        }
        spec
    }

    fn unknown_kind(&mut self, entry: &Entry, kind: &str) {
        const SHOWN_MAX: usize = 12;
        let near = self.suggest(kind, self.kinds.iter().map(String::as_str));
        if self.is_elsewhere && !kind.is_empty() {
            let help = match near {
                Some(near) => format!("did you mean `{}`?", near.word),
                None => "make sure that its node has this kind".to_owned(),
            };
            self.report(
                Diagnostic::new(
                    Code::KindElsewhere,
                    format!("the kind `{}` is not known here", shown(kind)),
                )
                .at(entry.node.span, "the node that it lives on may know it")
                .note("its settings are not checked here")
                .help(help),
            );
            return;
        }
        let fix = near.and_then(|near| self.respell(entry.node.span, kind, near));
        let help = match near {
            Some(near) => format!("did you mean `{}`?", near.word),
            None if self.kinds.is_empty() => "there are no kinds".to_owned(),
            None => {
                let more = if self.kinds.len() > SHOWN_MAX {
                    ", …"
                } else {
                    ""
                };
                let some: Vec<&str> = self
                    .kinds
                    .iter()
                    .take(SHOWN_MAX)
                    .map(String::as_str)
                    .collect();
                format!("the kinds are: {}{more}", some.join(", "))
            }
        };
        self.report(
            Diagnostic::new(Code::UnknownKind, format!("unknown kind `{}`", shown(kind)))
                .at(entry.node.span, "no kind has this name")
                .help(help)
                .fix(fix),
        );
    }

    /// How it keeps its state, if it does.
    fn state(&mut self, entry: &Entry, kind: Option<&str>) -> Option<StateSpec> {
        let mut state = StateSpec::default();
        let fields = match &entry.node.value {
            Value::Map(_) => self.fields(&entry.node, "`state`")?,
            _ => {
                let help = "write `state: { keep: true }`".to_owned();
                self.wrong_type(entry, "a mapping", Some(help));
                return None;
            }
        };
        self.only_keys(fields, &keys::names(keys::STATE), "`state`");
        if let Some(every) = self.positive(fields.get("every")) {
            state.every = every;
        }
        if self.boolean(fields.get("keep")) == Some(false) {
            return None;
        }
        if let Some(kind) = kind.filter(|kind| !self.sources.kinds.keeps_state(kind)) {
            let message = format!("the kind `{kind}` has no state to keep");
            self.report(
                Diagnostic::new(Code::NoStateToKeep, message)
                    .at(entry.key.span, "each of its lives begins anew")
                    .help("take out `state`"),
            );
        }
        Some(state)
    }

    fn mailbox(&mut self, entry: &Entry) -> MailboxSpec {
        let mut mailbox = MailboxSpec::default();
        let fields = match &entry.node.value {
            Value::Null => return mailbox,
            Value::Map(_) => self.fields(&entry.node, "`mailbox`"),
            _ => {
                let help = "write `mailbox: { capacity: 1024 }`".to_owned();
                self.wrong_type(entry, "a mapping", Some(help));
                None
            }
        };
        let Some(fields) = fields else { return mailbox };
        self.only_keys(fields, &keys::names(keys::MAILBOX), "`mailbox`");
        if let Some(capacity) = self.capacity(fields.get("capacity")) {
            mailbox.capacity = capacity;
        }
        if let Some(lanes) = fields.get("lanes") {
            self.lanes(lanes, &mut mailbox);
        }
        if let Some(overflow) = self.choice(fields.get("overflow"), &OVERFLOWS) {
            mailbox.overflow = overflow;
        }
        if let Some(timeout) = self.duration(fields.get("send_timeout")) {
            mailbox.send_timeout = timeout;
        }
        if let Some(on_restart) = self.choice(fields.get("on_restart"), &ON_RESTART) {
            mailbox.on_restart = on_restart;
        }
        if let Some(retry) = self.integer(fields.get("retry"), 0..=u32::MAX) {
            mailbox.retry = retry;
        }
        if let Some(fairness) = self.integer(fields.get("fairness"), 1..=u32::MAX) {
            mailbox.fairness = fairness;
        }
        mailbox.ttl = self.positive(fields.get("ttl"));
        mailbox
    }

    fn lanes(&mut self, entry: &Entry, mailbox: &mut MailboxSpec) {
        let Some(fields) = self.fields(&entry.node, "`lanes`") else {
            return;
        };
        let names = Priority::ALL.map(Priority::as_str);
        self.only_keys(fields, &names, "`lanes`");
        for lane in Priority::ALL {
            if let Some(capacity) = self.capacity(fields.get(lane.as_str())) {
                mailbox.lanes.insert(lane, capacity);
            }
        }
    }

    fn capacity(&mut self, entry: Option<&Entry>) -> Option<usize> {
        self.integer(entry, 1..=u32::MAX)
            .and_then(|capacity| usize::try_from(capacity).ok())
    }
}
