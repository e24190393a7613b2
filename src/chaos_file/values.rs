//! Single values of a plan: rates, paths, names.

use serde_json::{Map, Value as Json};
use unity_actors::chaos::plan::{NODE_FORM, NodePattern, Rate};
use unity_supervisors::stream::StreamName;

use crate::nearest::near;
use crate::tree_file::node::{Entry, Value, shown};
use crate::tree_file::reader::Reader;
use crate::tree_file::{Code, Diagnostic};

/// So many names are told where none is near.
const NAMES_MAX: usize = 20;

impl Reader<'_> {
    pub(super) fn rate(&mut self, entry: &Entry) -> Option<String> {
        let text = match &entry.node.value {
            Value::Text { text, .. } => text.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            _ => {
                self.wrong_type(
                    entry,
                    "a rate",
                    Some("write how many a second, as in `5/s`".to_owned()),
                );
                return None;
            }
        };
        if let Ok(rate) = text.parse::<Rate>() {
            return Some(rate.to_string());
        }
        let number = text.split(|c: char| !c.is_ascii_digit() && c != '.').next();
        let bare =
            number.filter(|number| *number == text || text.trim_end_matches("ec").ends_with("/s"));
        let meant = bare
            .map(|number| format!("{number}/s"))
            .filter(|meant| meant.parse::<Rate>().is_ok());
        let help = match &meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "write how many a second, above 0 and at most 1000, as in `5/s` or `0.5/s`"
                .to_owned(),
        };
        let message = format!(
            "`{}`: `{}` is no rate",
            shown(&entry.key.text),
            shown(&text)
        );
        let fault = Diagnostic::new(Code::PlanRate, message);
        self.report(
            fault
                .at(entry.node.span, "expected so many a second")
                .help(help),
        );
        None
    }

    /// A text of some form; `what` it must be, and what to do.
    pub(super) fn parsed(
        &mut self,
        entry: &Entry,
        is_one: impl Fn(&str) -> bool,
        (what, help): (&str, &str),
    ) -> Option<Json> {
        let text = self.word(Some(entry))?.to_owned();
        if is_one(&text) {
            return Some(text.into());
        }
        let rooted = format!("/{}", text.trim().trim_matches('/'));
        let help = match is_one(&rooted) {
            true => format!("did you mean `{}`?", shown(&rooted)),
            false => help.to_owned(),
        };
        let fault = Diagnostic::new(Code::PlanPath, format!("`{}` is no {what}", shown(&text)));
        self.report(
            fault
                .at(entry.node.span, format!("expected a {what}"))
                .help(help),
        );
        None
    }

    pub(super) fn kind_name(&mut self, entry: &Entry) -> Option<String> {
        let name = self.word(Some(entry))?.to_owned();
        if self.kinds.contains(&name) {
            return Some(name);
        }
        let near = near(&name, self.kinds.iter().map(String::as_str));
        let help = match near {
            Some(near) => format!("did you mean `{}`?", near.word),
            None => {
                let some: Vec<&str> = self
                    .kinds
                    .iter()
                    .take(NAMES_MAX)
                    .map(String::as_str)
                    .collect();
                format!("the kinds are: {}", some.join(", "))
            }
        };
        let fix = near.and_then(|near| self.respell(entry.node.span, &name, near));
        let fault = Diagnostic::new(Code::PlanKind, format!("unknown kind `{}`", shown(&name)));
        let fault = fault.at(entry.node.span, "no kind has this name");
        self.report(fault.help(help).fix(fix));
        None
    }

    pub(super) fn peer_name(&mut self, entry: &Entry) -> Option<String> {
        let name = self.word(Some(entry))?.to_owned();
        if NodePattern::try_from(name.clone()).is_ok() {
            return Some(name);
        }
        let message = format!("`{}` is no name of a node", shown(&name));
        let fault = Diagnostic::new(Code::PlanNode, message);
        let fault = fault.at(entry.node.span, "expected a name, or a pattern of names");
        self.report(fault.help(format!(
            "{NODE_FORM}; or take out `node`, and chance picks one"
        )));
        None
    }

    pub(super) fn stream_name(&mut self, entry: &Entry) -> Option<String> {
        let name = self.word(Some(entry))?.to_owned();
        if StreamName::new(&name).is_ok() {
            return Some(name);
        }
        let message = format!("`{}` cannot be the name of a stream", shown(&name));
        let label = "expected 1 to 128 of A-Z a-z 0-9 _ - . : with a letter or a digit first";
        let fault = Diagnostic::new(Code::BadStreamName, message).at(entry.node.span, label);
        self.report(fault.help("`uk streams list` shows those that there are"));
        None
    }

    pub(super) fn label_texts(&mut self, entry: &Entry) -> Option<Json> {
        let fields = self.fields(&entry.node, "`labels`")?;
        let mut found = Map::new();
        for label in fields.entries {
            let text = self.word(Some(label)).map(str::to_owned);
            found.extend(text.map(|text| (label.key.text.to_string(), text.into())));
        }
        Some(found.into())
    }
}
