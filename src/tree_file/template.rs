//! Lowers a template: the child that all children of a supervisor are made from.

use std::collections::HashMap;

use unity_supervisors::spec::{AutoShutdown, Strategy, SupervisorSpec, Template};

use super::child::Lowered;
use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::node::{Entry, Value};
use super::reader::Reader;
use super::supervisor::Owner;

/// How many partitions there may be: more would be no sharing of a load, but a slip of the hand.
pub(super) const PARTITIONS_MAX: u32 = 65_536;

impl Reader<'_> {
    /// Reports what a supervisor has beside a `template` that does not go with one, and a bound without one.
    pub(super) fn beside_template(&mut self, fields: Fields<'_>, spec: &SupervisorSpec) {
        let (children, max) = (fields.get("children"), fields.get("max_children"));
        self.beside_partitions(fields);
        let Some(template) = fields.get("template") else {
            if let (Some(_), Some(max)) = (children, max) {
                let message = "`max_children` bounds a `template`, and there is none";
                self.report(
                    Diagnostic::new(Code::MaxWithoutTemplate, message)
                        .at(max.key.span, "its children are listed")
                        .help("take it out, or make the children from a `template`"),
                );
            }
            return;
        };
        if let Some(children) = children {
            let message = "a supervisor has `children` and `template`";
            self.report(
                Diagnostic::new(Code::TemplateAndChildren, message)
                    .at(children.key.span, "these children are each their own")
                    .related(template.key.span, "these are made while it runs, all alike")
                    .help("take out one of them, or make them two supervisors"),
            );
        }
        if let Some(entry) = fields
            .get("strategy")
            .filter(|_| spec.strategy != Strategy::OneForOne)
        {
            let message = format!("`{}` does not go with a `template`", spec.strategy.as_str());
            self.report(
                Diagnostic::new(Code::TemplateStrategy, message)
                    .at(entry.node.span, "expected one_for_one")
                    .related(template.key.span, "its children are no group with an order")
                    .help("take out `strategy`, or list the children under `children:`"),
            );
        }
        if let Some(entry) = fields
            .get("auto_shutdown")
            .filter(|_| spec.auto_shutdown != AutoShutdown::Never)
        {
            let message = "`auto_shutdown` does not go with a `template`";
            self.report(
                Diagnostic::new(Code::TemplateAutoShutdown, message)
                    .at(entry.node.span, "expected never")
                    .related(template.key.span, "none of its children is significant")
                    .help("take out `auto_shutdown`, or list the children under `children:`"),
            );
        }
    }

    /// Reports `partitions` that have no template, or a bound beside them.
    fn beside_partitions(&mut self, fields: Fields<'_>) {
        let Some(partitions) = fields.get("partitions") else {
            return;
        };
        let at = partitions.key.span;
        let fault = if !fields.has("template") {
            let message = "`partitions` are made from a `template`, and there is none";
            Diagnostic::new(Code::PartitionsAlone, message)
                .at(at, "its children are listed")
                .help("take it out, or write what each is under `template:`")
        } else if let Some(max) = fields.get("max_children") {
            let message = "`partitions` and `max_children` do not go together";
            Diagnostic::new(Code::PartitionsAlone, message)
                .at(max.key.span, "bounds children that come and go")
                .related(at, "there are as many as this says, always")
                .help("take out one of them")
        } else {
            return;
        };
        self.report(fault);
    }

    /// Lowers the template of the supervisor at `path`.
    pub(super) fn template(&mut self, entry: &Entry, path: &str) -> Option<Lowered> {
        let Value::Map(entries) = &entry.node.value else {
            let help = "write `template: { kind: … }`".to_owned();
            self.wrong_type(entry, "a mapping", Some(help));
            return None;
        };
        let mut kept = entries.to_vec();
        kept.retain(|entry| {
            let why = self.why_not_in_template(entry, path);
            if let Some(why) = &why {
                self.report(why.clone());
            }
            why.is_none()
        });
        let fields = Fields {
            entries: &kept,
            head: entry.key.span,
        };
        let owner = Owner {
            path,
            ids: HashMap::new(),
            running: &[],
            strategy: Strategy::OneForOne,
            auto_shutdown: Some(AutoShutdown::Never),
        };
        self.depth += 1;
        let lowered = self.child_of(fields, Some(Template::id()), 0, &owner);
        self.depth -= 1;
        lowered
    }

    /// What is wrong about a key that cannot be the same for all children of a template.
    fn why_not_in_template(&self, entry: &Entry, path: &str) -> Option<Diagnostic> {
        let key = &*entry.key.text;
        let (label, help) = match key {
            "id" => (
                "each child has one of its own",
                format!("take it out: `uk spawn --under {path} --id NAME` gives one"),
            ),
            "needs" => (
                "its children start in no order",
                "take it out, or put it on the supervisor".to_owned(),
            ),
            "essential" => (
                "no child of a template is more essential than the others",
                match path {
                    "/" => "take it out, or list the essential children under `children:`",
                    _ => "take it out, or put it on the supervisor",
                }
                .to_owned(),
            ),
            // That it is not says what is the case, and what OTP takes.
            "significant" if matches!(entry.node.value, Value::Bool(true)) => (
                "the end of one of many ends no supervisor",
                "take it out, or list the children under `children:`".to_owned(),
            ),
            _ => return None,
        };
        let message = format!("`{key}` makes no sense in a `template`");
        Some(
            Diagnostic::new(Code::NotInTemplate, message)
                .at(entry.key.span, label)
                .help(help),
        )
    }
}
