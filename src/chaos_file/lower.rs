//! From the nodes of a file to a plan: each value by the table of keys.

use serde_json::{Map, Value as Json};
use unity_actors::chaos::plan::{PathPattern, Plan};
use unity_actors::duration::format_duration;
use unity_supervisors::ActorPath;

use super::keys::{ACT, Choice, Form, Key, PLAN, TARGETS, Table};
use crate::nearest::near;
use crate::tree_file::fields::Fields;
use crate::tree_file::node::{Entry, Key as NodeKey, Node, Value, shown};
use crate::tree_file::reader::Reader;
use crate::tree_file::source::Span;
use crate::tree_file::{Code, Diagnostic};

impl Reader<'_> {
    /// Lowers a parsed file.
    pub(super) fn plan(&mut self, root: Option<Node>) -> Option<Plan> {
        let plan = root.and_then(|root| self.whole_plan(&root));
        self.retell(0, |fault| {
            if fault.code == Code::Empty {
                fault.help = Some("begin with `version: 1`, `name:` and `phases:`".to_owned());
            }
            fault.code = own_code(fault.code);
            true
        });
        plan
    }

    fn whole_plan(&mut self, root: &Node) -> Option<Plan> {
        let fields = self.fields(root, PLAN.what)?;
        let told = self.told();
        let json = self.mapping(fields, &PLAN);
        let is_empty = |key| {
            fields
                .get(key)
                .is_none_or(|entry: &Entry| match &entry.node.value {
                    Value::List(items) => items.is_empty(),
                    value => matches!(value, Value::Null),
                })
        };
        let names: Vec<&str> = PLAN.keys.iter().map(|key| key.name).collect();
        let is_misspelt = |key| self.has_misspelt(fields, key, &names);
        if is_empty("phases") && is_empty("acts") && !is_misspelt("phases") && !is_misspelt("acts")
        {
            let span = fields.get("phases").or_else(|| fields.get("acts"));
            let span = span.map_or(fields.head, |entry| entry.key.span);
            let fault = Diagnostic::new(Code::PlanEmpty, "this plan does nothing");
            let fault = fault.at(span, "it has neither phases nor acts");
            self.report(fault.help(
                "add `phases:` with `- { name: storm, for: 60s, faults: [{ fault: kill }] }` below it",
            ));
        }
        match serde_json::from_value(Json::Object(json)) {
            Ok(plan) => Some(plan),
            Err(error) => {
                // What the table refuses was told. Should it let through what the types do not, that is told here.
                if self.told() == told {
                    let fault =
                        Diagnostic::new(Code::PlanValueType, format!("no chaos plan: {error}"));
                    let fault = fault.at(fields.head, "in this plan");
                    self.report(fault.help("`uk schema chaos` says what may stand where"));
                }
                None
            }
        }
    }

    /// The values of a mapping, those that fit.
    fn mapping(&mut self, fields: Fields<'_>, table: &'static Table) -> Map<String, Json> {
        let names: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
        let what = quoted(table.what);
        self.only_keys(fields, &names, &what);
        let mut found = Map::new();
        for key in table.keys {
            let value = match fields.get(key.name) {
                _ if matches!(key.form, Form::Version) => {
                    self.version(fields, &names, &what);
                    Some(1.into())
                }
                Some(entry) => self.keyed(key, entry),
                None => {
                    self.missing(key, fields, &names, &what);
                    None
                }
            };
            found.extend(value.map(|value| (key.name.to_owned(), value)));
        }
        found
    }

    fn missing(&mut self, key: &Key, fields: Fields<'_>, names: &[&str], what: &str) {
        let Some(written) = key
            .required
            .filter(|_| !self.has_misspelt(fields, key.name, names))
        else {
            return;
        };
        let fault = Diagnostic::new(Code::MissingKey, format!("`{}` is missing", key.name));
        let label = format!("{what} has no `{}`", key.name);
        self.report(
            fault
                .at(fields.head, label)
                .help(format!("add `{written}`")),
        );
    }

    /// The value of a key. Nothing at all is the same as no such key where it need not be there.
    fn keyed(&mut self, key: &'static Key, entry: &Entry) -> Option<Json> {
        let is_parts = matches!(key.form, Form::List(_) | Form::Map(_) | Form::Labels);
        if is_parts && matches!(entry.node.value, Value::Null) {
            return None;
        }
        let told = self.told();
        let value = self.value(&key.form, entry);
        if key.required.is_some() {
            self.retell(told, |fault| {
                let help = fault.help.take();
                fault.help = help.map(|help| match help.split_once(", or take out") {
                    Some((help, _)) => help.to_owned(),
                    None => help,
                });
                true
            });
        }
        value
    }

    fn value(&mut self, form: &'static Form, entry: &Entry) -> Option<Json> {
        let written = Some(entry);
        Some(match form {
            Form::Version => return None,
            Form::Text => self.word(written)?.into(),
            Form::Bool => self.boolean(written)?.into(),
            Form::Integer(least, most) => self.integer(written, *least..=*most)?.into(),
            Form::Time => format_duration(self.duration(written)?).into(),
            Form::TimeAboveZero => format_duration(self.positive(written)?).into(),
            Form::Rate => self.rate(entry)?.into(),
            Form::Path => {
                let help = "a path begins with `/`, as in /robot/camera";
                self.parsed(
                    entry,
                    |text| text.parse::<ActorPath>().is_ok(),
                    ("path", help),
                )?
            }
            Form::Pattern => {
                let is_one = |text: &str| PathPattern::try_from(text.to_owned()).is_ok();
                let help = "write a path in which a whole segment may be `*`, as in `/robot/*/camera`; all below it is meant too";
                self.parsed(entry, is_one, ("pattern of paths", help))?
            }
            Form::Kind => self.kind_name(entry)?.into(),
            Form::Node => self.peer_name(entry)?.into(),
            Form::Word(words) => {
                let words: Vec<(&str, &str)> = words.iter().map(|word| (*word, *word)).collect();
                self.choice(written, &words)?.into()
            }
            Form::Stream => self.stream_name(entry)?.into(),
            Form::Labels => self.label_texts(entry)?,
            Form::Any => self.json(&entry.node)?,
            Form::List(form) => self.list_of(form, entry)?,
            Form::Map(table) => self.table(table, entry)?,
            Form::OneOf(choice) => self.one_of(choice, entry)?,
        })
    }

    fn list_of(&mut self, form: &'static Form, entry: &Entry) -> Option<Json> {
        let Value::List(items) = &entry.node.value else {
            let key = shown(&entry.key.text);
            let help = format!("write `{key}:` and an item a line below it, each after `- `");
            self.wrong_type(entry, "a list", Some(help));
            return None;
        };
        let mut found = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let text = format!("{}[{at}]", entry.key.text);
            let item = Entry {
                key: NodeKey {
                    span: item.caret(),
                    text: text.into(),
                    merges: false,
                },
                node: item.clone(),
            };
            found.extend(self.value(form, &item));
        }
        Some(Json::Array(found))
    }

    fn table(&mut self, table: &'static Table, entry: &Entry) -> Option<Json> {
        let key = shown(&entry.key.text);
        let fields = self.fields(&entry.node, &format!("`{key}`"))?;
        let found = Json::Object(self.mapping(fields, table));
        if table.what == TARGETS.what {
            self.spared(fields, &found);
        }
        if table.what == ACT.what {
            self.struck(fields, &found);
        }
        Some(found)
    }

    /// One thing of several: its name alone, or its name and its keys.
    fn one_of(&mut self, choice: &'static Choice, entry: &Entry) -> Option<Json> {
        let (name, span, settings) = match &entry.node.value {
            Value::Text { text, .. } => (&**text, entry.node.span, None),
            Value::Map(entries) => match entries.as_slice() {
                [one] => (&*one.key.text, one.key.span, Some(one)),
                _ => {
                    let what = choice.what;
                    let message = format!(
                        "a {what} is one thing, found a mapping of {} keys",
                        entries.len()
                    );
                    let fault = Diagnostic::new(Code::WrongType, message);
                    let fault = fault.at(entry.node.caret(), format!("expected one {what}"));
                    self.report(fault.help(format!("write {}", choice.written())));
                    return None;
                }
            },
            _ => {
                let help = format!("write {}", choice.written());
                self.wrong_type(entry, &format!("a {}", choice.what), Some(help));
                return None;
            }
        };
        let Some(table) = choice.all.iter().find(|table| table.what == name) else {
            self.unknown_name(choice, name, span);
            return None;
        };
        self.settings_of(choice, table, span, settings)
    }

    /// The keys of the thing that was chosen; `span` is its name.
    fn settings_of(
        &mut self,
        choice: &Choice,
        table: &'static Table,
        span: Span,
        settings: Option<&Entry>,
    ) -> Option<Json> {
        let name = table.what;
        let written = table.written();
        match settings {
            None if table.keys.is_empty() => Some(name.into()),
            Some(_) if table.keys.is_empty() => {
                let message = format!("the {} `{name}` has no keys", choice.what);
                let fault = Diagnostic::new(Code::WrongType, message);
                self.report(
                    fault
                        .at(span, "expected this word alone")
                        .help(format!("write {written}")),
                );
                None
            }
            None => {
                let message = format!("the {} `{name}` has keys of its own", choice.what);
                let fault = Diagnostic::new(Code::MissingKey, message);
                self.report(
                    fault
                        .at(span, "nothing says how")
                        .help(format!("write {written}")),
                );
                None
            }
            Some(entry) => {
                let nothing = Fields {
                    entries: &[],
                    head: span,
                };
                let fields = match entry.node.value {
                    Value::Null => nothing,
                    _ => self.fields(&entry.node, &format!("`{name}`"))?,
                };
                let found = self.mapping(fields, table);
                Some(Json::Object(Map::from_iter([(
                    name.to_owned(),
                    found.into(),
                )])))
            }
        }
    }

    fn unknown_name(&mut self, choice: &Choice, name: &str, span: Span) {
        let names = || choice.all.iter().map(|table| table.what);
        let near = near(name, names());
        let help = match near {
            Some(near) => format!("did you mean `{}`?", near.word),
            None => format!(
                "the {}s are: {}",
                choice.what,
                names().collect::<Vec<_>>().join(", ")
            ),
        };
        let code = match choice.what {
            "probe" => Code::UnknownProbe,
            _ => Code::UnknownFault,
        };
        let fault = Diagnostic::new(code, format!("unknown {} `{}`", choice.what, shown(name)));
        let fix = near.and_then(|near| self.respell(span, name, near));
        let label = format!("no {} has this name", choice.what);
        self.report(fault.at(span, label).help(help).fix(fix));
    }
}

impl Choice {
    /// How the first of them is written.
    fn written(&self) -> String {
        self.all.first().map(Table::written).unwrap_or_default()
    }
}

impl Table {
    /// How it is written, with what must be there: `` `hang: { for: 5s }` ``.
    fn written(&self) -> String {
        let keys: Vec<&str> = self.keys.iter().filter_map(|key| key.required).collect();
        match (self.keys, keys.as_slice()) {
            ([], _) => format!("`{}`", self.what),
            (_, []) => format!("`{}: {{}}`", self.what),
            (_, keys) => format!("`{}: {{ {} }}`", self.what, keys.join(", ")),
        }
    }
}

/// A name in quotes, words as they are.
fn quoted(what: &str) -> String {
    match what.contains([' ', '`']) {
        true => what.to_owned(),
        false => format!("`{what}`"),
    }
}

/// The code of a fault of trees where it is one of a plan.
fn own_code(code: Code) -> Code {
    match code {
        Code::UnknownKey => Code::UnknownPlanKey,
        Code::WrongType => Code::PlanValueType,
        Code::MissingKey => Code::PlanKeyMissing,
        Code::Version => Code::PlanVersion,
        Code::BadDuration => Code::PlanDuration,
        Code::OutOfRange => Code::PlanRange,
        Code::UnknownWord => Code::PlanWord,
        other => other,
    }
}
