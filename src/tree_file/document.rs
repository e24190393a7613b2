//! Lowers a whole file: its version, the node's name and the root supervisor.

use unity_supervisors::path::ChildId;
use unity_supervisors::spec::{SupervisorSpec, TreeSpec};

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::keys;
use super::node::{Entry, Node, Value};
use super::reader::Reader;

/// The node's name unless the file says otherwise.
pub(super) const NAME: &str = "kernel";

impl Reader<'_> {
    /// Lowers a parsed file.
    pub(super) fn document(&mut self, root: &Node) -> Option<TreeSpec> {
        if let Value::List(_) = root.value {
            self.report(
                Diagnostic::new(
                    Code::WrongType,
                    "a tree file must be a mapping, found a list",
                )
                .at(root.span, "expected `version: 1` and `tree:`")
                .help("a list of children is a file to `include`: check the file that does"),
            );
            return None;
        }
        let fields = self.fields(root, "a tree file")?;
        for entry in fields.entries {
            self.top_key(entry, fields.entries);
        }
        self.version(fields, &keys::names(keys::FILE), "a tree file");
        let name = match self.word(fields.get("name")).zip(fields.get("name")) {
            Some((name, entry)) => self.id(name, entry.node.span, "the name of a node"),
            None => None,
        };
        self.node = match (&name, fields.has("name")) {
            (None, true) => None,
            (name, _) => Some(name.as_ref().map_or(NAME, ChildId::as_str).to_owned()),
        };
        Some(TreeSpec {
            name: name.map_or_else(|| NAME.to_owned(), String::from),
            test: self.boolean(fields.get("test")).unwrap_or_default(),
            root: self.root(fields),
        })
    }

    fn top_key(&mut self, entry: &Entry, beside: &[Entry]) {
        let key = &*entry.key.text;
        let known = keys::names(keys::FILE);
        if known.contains(&key) {
            return;
        }
        if keys::owner(key) != Some(keys::Owner::Supervisor) {
            return self.unknown_key(entry, beside, &known, "a tree file");
        }
        self.report(
            Diagnostic::new(Code::UnknownKey, format!("unknown key `{key}`"))
                .at(entry.key.span, "a key of the root supervisor")
                .help(format!("move `{key}` below `tree:` and indent it")),
        );
    }

    /// Checks the version of `what`: `a tree file`.
    pub(crate) fn version(&mut self, fields: Fields<'_>, known: &[&str], what: &str) {
        let Some(entry) = fields.get("version") else {
            if self.has_misspelt(fields, "version", known) {
                return;
            }
            self.report(
                Diagnostic::new(Code::MissingKey, "`version` is missing")
                    .at(fields.head, format!("{what} begins with its version"))
                    .help("write `version: 1` in the first line"),
            );
            return;
        };
        match &entry.node.value {
            Value::Int(1) => {}
            Value::Int(other) => {
                let message = format!("the version `{other}` of the format is not known");
                self.report(
                    Diagnostic::new(Code::Version, message)
                        .at(entry.node.span, "expected 1")
                        .help("write `version: 1`; a later one needs a later kernel"),
                );
            }
            _ => {
                let help = Some("write `version: 1`".to_owned());
                let meant = Some(("1", "1".to_owned()));
                self.wrong_type_but(entry, "the integer 1", help, meant);
            }
        }
    }

    fn root(&mut self, file: Fields<'_>) -> SupervisorSpec {
        let Some(entry) = file.get("tree") else {
            if self.has_misspelt(file, "tree", &keys::names(keys::FILE)) {
                return SupervisorSpec::default();
            }
            self.report(
                Diagnostic::new(Code::MissingKey, "`tree` is missing")
                    .at(file.head, "a tree file has a root supervisor")
                    .help("add `tree:` with `children:` below it"),
            );
            return SupervisorSpec::default();
        };
        let fields = match &entry.node.value {
            Value::Map(_) => self.fields(&entry.node, "`tree`"),
            Value::Broken => None,
            _ => {
                let help = "write `children:` below `tree:`, indented".to_owned();
                self.wrong_type(entry, "a mapping", Some(help));
                None
            }
        };
        let Some(fields) = fields else {
            return SupervisorSpec::default();
        };
        for entry in fields.entries {
            self.root_key(entry, fields.entries);
        }
        let known = keys::of(Some(keys::Owner::Supervisor), true);
        if !fields.has("children")
            && !fields.has("template")
            // Where it stands a level too far out, that is what is said.
            && !file.has("children")
            && !file.has("template")
            && !self.has_misspelt(fields, "children", &known)
            && !self.has_misspelt(fields, "template", &known)
        {
            self.report(
                Diagnostic::new(Code::MissingKey, "the root has no `children`")
                    .at(entry.key.span, "the root supervisor")
                    .help("add `children:`, or `children: []` for none"),
            );
        }
        self.supervisor(fields, "/", None, entry.key.span)
    }

    fn root_key(&mut self, entry: &Entry, beside: &[Entry]) {
        let key = &*entry.key.text;
        let (of, help) = match keys::owner(key) {
            Some(keys::Owner::Supervisor) => return,
            None => {
                let known = keys::of(Some(keys::Owner::Supervisor), true);
                return self.unknown_key(entry, beside, &known, "the root supervisor");
            }
            Some(keys::Owner::Child) => ("a child", "nothing supervises the root: take it out"),
            Some(keys::Owner::Worker) => ("a worker", "put it on a child of the root"),
        };
        self.report(
            Diagnostic::new(Code::WrongOwner, format!("`{key}` is a key of {of}"))
                .at(entry.key.span, "this is the root supervisor")
                .help(help),
        );
    }
}
