//! Tests of the reading as a whole: what a file becomes, and every code that it can raise.

use std::io;
use std::path::Path;

use serde_json::Value;
use unity_supervisors::SecretSource;
use unity_supervisors::secret::SecretProblem;

use super::*;

mod codes;
mod conformance;
mod effective;
mod explain;
mod grow;
mod json;
mod limits;
mod lowering;
mod mend;
mod mutations;
mod render;
mod schema;
mod snapshots;

/// Files in memory; one of the names ends in an error of the system.
pub(super) struct Memory<'a>(pub(super) &'a [(&'a str, &'a [u8])]);

impl Memory<'_> {
    pub(super) fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let name = path.to_string_lossy();
        let kind = match &*name {
            name if name == "folder" || name.ends_with('/') => io::ErrorKind::IsADirectory,
            "denied.yaml" => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::NotFound,
        };
        let found = self.0.iter().find(|(file, _)| *file == name);
        let bytes = found
            .map(|(_, bytes)| *bytes)
            .ok_or(io::Error::from(kind))?;
        Ok(bytes[..bytes.len().min(max)].to_vec())
    }
}

/// Secrets, one of each sort.
pub(super) struct Vault;

impl SecretSource for Vault {
    fn read(&self, name: &str) -> Result<String, SecretError> {
        let (problem, what) = match name {
            "TOKEN" | "SHARED_TOKEN" => return Ok("s3cret-value".to_owned()),
            "EMPTY_TOKEN" => (SecretProblem::Unusable, "is empty"),
            "ROBOT_TOKEN" => (SecretProblem::NotHere, "is missing"),
            _ => (SecretProblem::Missing, "is missing"),
        };
        Err(SecretError {
            problem,
            what: format!("the secret `{name}` {what}"),
            help: format!("set UK_SECRET_{name}"),
        })
    }

    fn look(&self, name: &str) -> Result<Option<Unwise>, SecretError> {
        let unwise = || Unwise {
            what: format!("the secret `{name}` is open to every user"),
            help: "close its file".to_owned(),
        };
        self.read(name)
            .map(|_| (name == "SHARED_TOKEN").then(unwise))
    }
}

/// A table of kinds: `probe` takes anything, `sensor.host` an `every` and a `list` of numbers.
pub(super) struct Kinds;

impl KindCheck for Kinds {
    fn keeps_state(&self, kind: &str) -> bool {
        kind != "log"
    }

    fn secret(&self, name: &str) -> Result<Option<Unwise>, SecretError> {
        Vault.look(name)
    }

    fn names(&self) -> Vec<String> {
        ["probe", "sensor.host", "process", "log"]
            .map(str::to_owned)
            .to_vec()
    }

    fn check(&self, kind: &str, settings: &Value) -> Result<(), Vec<SettingsFault>> {
        let mut faults = Vec::new();
        let mut fault = |path: Vec<PathStep>, what: &str, expected: &[&str]| {
            let expected = expected.iter().map(|word| (*word).to_owned()).collect();
            faults.push(SettingsFault {
                path,
                what: what.to_owned(),
                expected,
            });
        };
        let key = |key: &str| PathStep::Key(key.to_owned());
        match kind {
            "sensor.host" => {
                for (name, value) in settings.as_object().unwrap() {
                    match name.as_str() {
                        "every" if value.is_string() => {}
                        "every" if value.is_array() => {
                            let what = "invalid type: sequence, expected a duration, such as `5s`";
                            fault(vec![key("every")], what, &[]);
                        }
                        "every" => {
                            let what = "`5` has no unit; did you mean `5s`?";
                            fault(vec![key("every")], what, &[]);
                        }
                        "list" => {
                            for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                                if !item.is_number() {
                                    let path = vec![key("list"), PathStep::Index(at)];
                                    fault(path, "expected a number", &[]);
                                }
                            }
                        }
                        other => {
                            let what = format!("unknown field `{other}`");
                            fault(vec![key(other)], &what, &["every", "list"]);
                        }
                    }
                }
            }
            "process" if settings.get("command").is_none() => {
                fault(vec![key("command")], "missing field `command`", &[]);
            }
            _ => {}
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    fn schema(&self, kind: &str) -> Value {
        let number = json!({ "type": "array", "items": { "type": "number" } });
        match kind {
            "sensor.host" => json!({
                "type": "object",
                "properties": { "every": { "type": "string" }, "list": number },
                "additionalProperties": false,
            }),
            "process" => json!({ "type": "object", "required": ["command"] }),
            _ => json!({ "type": "object" }),
        }
    }
}

pub(super) fn env(name: &str) -> Option<String> {
    match name {
        "COUNT" => Some("7".to_owned()),
        "HOST" => Some("edge".to_owned()),
        _ => None,
    }
}

/// Loads `main` from files in memory.
pub(super) fn load_files(main: &str, files: &[(&str, &[u8])]) -> Checked {
    load_within(main, files, Limits::default())
}

pub(super) fn load_within(main: &str, files: &[(&str, &[u8])], limits: Limits) -> Checked {
    let memory = Memory(files);
    let read = |path: &Path, max: usize| memory.read(path, max);
    load(
        Path::new(main),
        &Sources {
            read: &read,
            env: &env,
            kinds: &Kinds,
            limits,
        },
    )
}

/// A reading of something else as if it were one of a tree.
pub(super) fn of_another<T>(checked: Checked<T>) -> Checked {
    Checked {
        tree: checked.tree.map(|_| super::effective::default_tree()),
        diagnostics: checked.diagnostics,
        files: checked.files,
    }
}

/// Loads one file.
pub(super) fn load_one(text: &str) -> Checked {
    load_files("tree.yaml", &[("tree.yaml", text.as_bytes())])
}

/// The tree of a file without faults.
pub(super) fn tree(text: &str) -> TreeSpec {
    let checked = load_one(text);
    checked
        .tree
        .clone()
        .unwrap_or_else(|| panic!("{}", checked.render(false)))
}

/// A file of one worker with more keys.
pub(super) fn worker(keys: &str) -> String {
    format!(
        "version: 1\ntree:\n  intensity: 9\n  children:\n    - id: a\n      kind: probe\n{}",
        indented(keys, 6)
    )
}

/// A file of one supervisor of one worker, with more keys for the supervisor.
pub(super) fn supervisor(keys: &str) -> String {
    let child = "children: [{ id: w, kind: probe }]\n";
    format!(
        "version: 1\ntree:\n  children:\n    - id: s\n{}",
        indented(&format!("{child}{keys}"), 6)
    )
}

fn indented(keys: &str, by: usize) -> String {
    keys.lines()
        .map(|line| format!("{}{line}\n", " ".repeat(by)))
        .collect()
}
