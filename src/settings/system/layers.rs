//! Where settings are said, and what is in force of it: [`load`].
//!
//! The layers, lowest first: defaults, the `system.yaml` in this program, the one in the folder of settings, the files of
//! its `system.d/` in the order of their names, the environment, flags. The `config` crate lays them over each other, and
//! this file is its home; what is said is read by the rules of tree files, so that each fault is told with its place.
//!
//! Considered: that crate's own reading of YAML and of the environment. It knows no places, stops at the first fault, and
//! takes `"5"` for 5.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Map, Source, Value, ValueKind};
use serde_json::Value as Json;
use unity_actors::size::SizeText;

use super::{KEYS, Key, SHIPPED, SystemSettings};
use crate::cli::env_path;
use crate::tree_file::plain::{Form, Found, PlainReader, with_sources};
use crate::tree_file::{Checked, Sources};

/// The name of the file of settings.
pub const FILE: &str = "system.yaml";
/// The folder beside it whose files are laid over it.
pub(super) const DROP_INS: &str = "system.d";
/// What files of settings end in.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// The folder beside the tree file that settings are looked for in.
const FOLDER: &str = "config";
/// Variables that are no settings, and mean something to whoever runs `uk`.
const OTHER_VARIABLES: [&str; 4] = [
    "UK_SOCKET",
    "UK_DATA_DIR",
    "UK_CONFIG_DIR",
    "UK_SECRETS_DIR",
];
/// What the variables of secrets begin with.
const SECRET: &str = "UK_SECRET_";
/// Variables that the build and the tests of this project set, `cargo run` among them.
const BUILD_VARIABLES: [&str; 15] = [
    "UK_CASES",
    "UK_CRATES",
    "UK_KILLS",
    "UK_NODE_SEED",
    "UK_NODE_SEEDS",
    "UK_RUSTC",
    "UK_SIM_FIRST",
    "UK_CHAOS_SEEDS",
    "UK_SOAK_FOR",
    "UK_SIM_SEEDS",
    "UK_SNAPSHOTS",
    "UK_STORMS",
    "UK_STREAM_SEED",
    "UK_STREAM_SEEDS",
    "UK_TARGET",
];
/// What the variables of labels begin with; the rest is the name in lower case.
const LABEL: &str = "UK_LABELS__";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of a file.
    File(Place),
    /// A variable of the environment.
    Variable(String),
    /// A flag, with its dashes.
    Flag(&'static str),
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => write!(f, "{}:{}", place.file.display(), place.line),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A value that a layer has for a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The way to it: `[history, keep]`.
    pub key: Vec<String>,
    /// The value.
    pub value: Json,
    /// Where it is said.
    pub origin: Origin,
}

/// What flags of a command line say.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--memory-limit`, in bytes.
    pub memory_limit: Option<u64>,
    /// `--exit-on-give-up`
    pub exit_on_give_up: bool,
    /// `--listen`
    pub listen: Option<String>,
    /// `--name`
    pub name: Option<String>,
    /// `--node-listen`
    pub node_listen: Option<String>,
    /// `--node-cookie-file`
    pub node_cookie_file: Option<String>,
    /// `--label`, by name.
    pub labels: BTreeMap<String, String>,
}

/// What named the folder of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderFrom {
    /// Somebody did, so it has to be there.
    Named(PathBuf),
    /// It is where it is looked for, should it be there.
    Usual(PathBuf),
    /// Nothing did.
    Nowhere,
}

impl FolderFrom {
    /// The folder.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Named(folder) | Self::Usual(folder) => Some(folder),
            Self::Nowhere => None,
        }
    }
}

/// The folder of settings: the one that a flag or the environment names, else `config/` beside the tree file.
#[must_use]
pub fn folder_of(flag: Option<&Path>, tree: Option<&Path>) -> FolderFrom {
    let named = flag.map(Path::to_owned);
    match (named.or_else(|| env_path("UK_CONFIG_DIR")), tree) {
        (Some(folder), _) => FolderFrom::Named(folder),
        (None, Some(tree)) => FolderFrom::Usual(tree.with_file_name(FOLDER)),
        (None, None) => FolderFrom::Nowhere,
    }
}

/// The settings in force, and all that is said about them.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is in force.
    pub settings: SystemSettings,
    /// What is said, the lowest layer first.
    pub said: Vec<Said>,
}

/// Why a key has the value that it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// Its name: `history.keep`, `labels.site`.
    pub name: String,
    /// The entry of the table that it belongs to.
    pub key: &'static str,
    /// The value in force.
    pub value: Json,
    /// Where that is said.
    pub origin: Origin,
    /// What it would be without that, and so on down to the default.
    pub lower: Vec<(Json, Origin)>,
}

impl Loaded {
    /// Explains all keys, or the one called `name`, or those of the mapping of that name. Empty if there is none.
    #[must_use]
    pub fn explain(&self, name: Option<&str>) -> Vec<Explained> {
        let mut names: Vec<(String, &'static Key)> = Vec::new();
        for key in KEYS {
            let said = self.said.iter().map(|said| said.key.join("."));
            let below = format!("{}.", key.name);
            let labels = said.filter(|name| name.starts_with(&below));
            for name in std::iter::once(key.name.to_owned())
                .filter(|_| key.form != Form::Labels)
                .chain(labels)
            {
                if !names.iter().any(|(known, _)| *known == name) {
                    names.push((name, key));
                }
            }
        }
        let wanted = |known: &str| {
            name.is_none_or(|name| {
                known == name
                    || known
                        .strip_prefix(name)
                        .is_some_and(|rest| rest.starts_with('.'))
            })
        };
        let names = names.into_iter().filter(|(name, _)| wanted(name));
        names
            .filter_map(|(name, key)| self.explained(name, key))
            .collect()
    }

    fn explained(&self, name: String, key: &'static Key) -> Option<Explained> {
        let said = self.said.iter().rev();
        let said = said.filter(|said| said.key.join(".") == name);
        let mut said = said.map(|said| (said.value.clone(), said.origin.clone()));
        let (value, origin) = said.next()?;
        let lower = said.collect();
        Some(Explained {
            name,
            key: key.name,
            value,
            origin,
            lower,
        })
    }
}

/// Reads all layers.
///
/// `variables` are those of the environment; only what begins with `UK_` is looked at.
#[must_use]
pub fn load(
    folder: &FolderFrom,
    variables: impl Iterator<Item = (OsString, OsString)>,
    flags: &Flags,
) -> Checked<Loaded> {
    with_sources(|sources| {
        let mut layers = Layers::new(sources);
        layers.shipped();
        layers.folder(folder);
        layers.environment(variables);
        layers.flags(flags);
        layers.finish()
    })
}

/// Whether `path` is a file of settings and no tree: its name is `system`, or its folder is a `system.d`.
#[must_use]
pub fn is_system_file(path: &Path) -> bool {
    let is_drop_in = path
        .parent()
        .and_then(Path::file_name)
        .is_some_and(|folder| folder == DROP_INS);
    let is_named = path.file_stem() == Path::new(FILE).file_stem();
    has_ending(path) && (is_named || is_drop_in)
}

/// Reads one file of settings.
#[must_use]
pub fn check_file(path: &Path, sources: &Sources<'_>) -> Checked<Loaded> {
    let mut layers = Layers::new(sources);
    let found = layers.reader.file(path);
    layers.add(found, |line| file_origin(path, line));
    layers.finish()
}

fn has_ending(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

fn file_origin(path: &Path, line: usize) -> Origin {
    Origin::File(Place {
        file: path.to_owned(),
        line,
    })
}

/// What holds where nobody says anything.
fn defaults() -> Vec<Said> {
    let settings = SystemSettings::default();
    let keys = KEYS.iter().filter(|key| key.form != Form::Labels);
    keys.map(|key| Said {
        key: way(key.name),
        value: key.value(&settings),
        origin: Origin::Default,
    })
    .collect()
}

fn way(name: &str) -> Vec<String> {
    name.split('.').map(str::to_owned).collect()
}

struct Layers<'a> {
    reader: PlainReader<'a>,
    said: Vec<Said>,
}

impl<'a> Layers<'a> {
    fn new(sources: &'a Sources<'a>) -> Self {
        let keys = KEYS.iter().map(|key| (key.name, &key.form));
        Self {
            reader: PlainReader::new(sources, FILE, keys),
            said: defaults(),
        }
    }

    fn add(&mut self, found: Vec<Found>, origin: impl Fn(usize) -> Origin) {
        self.said.extend(found.into_iter().map(|found| Said {
            origin: origin(found.line),
            key: found.key,
            value: found.value,
        }));
    }

    fn shipped(&mut self) {
        let name = Path::new("the built-in system.yaml");
        let found = self.reader.text(name, SHIPPED);
        self.add(found, |line| file_origin(name, line));
    }

    fn folder(&mut self, folder: &FolderFrom) {
        let (path, is_named) = match folder {
            FolderFrom::Named(path) => (path, true),
            FolderFrom::Usual(path) => (path, false),
            FolderFrom::Nowhere => return,
        };
        match fs::metadata(path) {
            Ok(what) if what.is_dir() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => return,
            Ok(_) if !is_named => return,
            Ok(_) => {
                let help = "name the folder that `system.yaml` is in";
                return self.reader.no_folder(path, "it is a file", help);
            }
            Err(error) => {
                let help = "name another with --config-dir or UK_CONFIG_DIR, or make it";
                return self.reader.no_folder(path, &plain_words(&error), help);
            }
        }
        self.file(&path.join(FILE));
        for file in self.drop_ins(&path.join(DROP_INS)) {
            self.file(&file);
        }
    }

    /// The files of `system.d`, in the order of their names.
    fn drop_ins(&mut self, folder: &Path) -> Vec<PathBuf> {
        let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    let help = "make it a folder that this user can read, or take it away";
                    self.reader.no_folder(folder, &plain_words(&error), help);
                }
                return Vec::new();
            }
        };
        let names = entries.iter().map(fs::DirEntry::file_name);
        let mut names: Vec<OsString> = names
            // What begins with a dot is an editor's own.
            .filter(|name| !name.to_string_lossy().starts_with('.') && has_ending(Path::new(name)))
            .collect();
        names.sort();
        names.into_iter().map(|name| folder.join(name)).collect()
    }

    /// Reads a file, should it be there.
    fn file(&mut self, path: &Path) {
        let found = self.reader.file_if_there(path);
        self.add(found, |line| file_origin(path, line));
    }

    fn environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) {
        let variables = variables.filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let others = OTHER_VARIABLES.iter().chain(&BUILD_VARIABLES);
            let is_other =
                name.starts_with(SECRET) || others.into_iter().any(|other| *other == name);
            (name.starts_with("UK_") && !is_other && !value.is_empty()).then_some((name, value))
        });
        let mut variables: Vec<(String, OsString)> = variables.collect();
        variables.sort();
        let known: HashMap<String, &'static Key> =
            KEYS.iter().map(|key| (key.variable(), key)).collect();
        for (name, value) in variables {
            let label = name.strip_prefix(LABEL).filter(|label| !label.is_empty());
            let (way, form) = match (known.get(&name), label) {
                (Some(key), _) if key.form != Form::Labels => (way(key.name), key.form),
                (_, Some(label)) => {
                    let label = label.to_ascii_lowercase();
                    (vec!["labels".to_owned(), label], Form::Text)
                }
                _ => {
                    let names = known.keys().map(String::as_str).chain(OTHER_VARIABLES);
                    self.reader.unknown_variable(&name, names);
                    continue;
                }
            };
            let Some(text) = value.to_str() else {
                self.reader.no_text(&name);
                continue;
            };
            let found = self.reader.variable(&name, text, way, &form);
            self.add(found, |_| Origin::Variable(name.clone()));
        }
    }

    fn flags(&mut self, flags: &Flags) {
        let limit = flags.memory_limit.map(|bytes| SizeText(bytes).to_string());
        let give_up = flags.exit_on_give_up.then_some(true);
        let all = [
            ("memory_limit", "--memory-limit", limit.map(Json::from)),
            (
                "exit_on_give_up",
                "--exit-on-give-up",
                give_up.map(Json::from),
            ),
            (
                "http.listen",
                "--listen",
                flags.listen.clone().map(Json::from),
            ),
            ("name", "--name", flags.name.clone().map(Json::from)),
            (
                "nodes.listen",
                "--node-listen",
                flags.node_listen.clone().map(Json::from),
            ),
            (
                "nodes.cookie_file",
                "--node-cookie-file",
                flags.node_cookie_file.clone().map(Json::from),
            ),
        ];
        self.said
            .extend(flags.labels.iter().map(|(name, value)| Said {
                key: vec!["labels".to_owned(), name.clone()],
                value: value.as_str().into(),
                origin: Origin::Flag("--label"),
            }));
        for (key, flag, value) in all {
            self.said.extend(value.map(|value| Said {
                key: way(key),
                value,
                origin: Origin::Flag(flag),
            }));
        }
    }

    fn finish(self) -> Checked<Loaded> {
        let Self { reader, said } = self;
        // Also where there are faults: then what is in force is thrown away.
        let settings = in_force(&said).unwrap_or_default();
        reader.finish(Loaded { settings, said })
    }
}

/// Lays what is said over each other.
fn in_force(said: &[Said]) -> Result<SystemSettings, ConfigError> {
    let layers = said.iter().cloned().map(Layer);
    let config = layers.fold(Config::builder(), |config, layer| config.add_source(layer));
    config.build()?.try_deserialize()
}

/// One value, as the `config` crate wants to see it.
#[derive(Debug, Clone)]
struct Layer(Said);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let said = &self.0;
        let origin = said.origin.to_string();
        let kind = match &said.value {
            Json::Bool(value) => ValueKind::Boolean(*value),
            Json::Number(number) => number.as_u64().map_or(ValueKind::Nil, ValueKind::U64),
            Json::String(text) => ValueKind::String(text.clone()),
            Json::Null | Json::Array(_) | Json::Object(_) => ValueKind::Nil,
        };
        let mut value = Value::new(Some(&origin), kind);
        let mut keys = said.key.iter().rev();
        let last = keys.next().cloned().unwrap_or_default();
        let mut map = Map::from([(last, value)]);
        for key in keys {
            value = Value::new(Some(&origin), map);
            map = Map::from([(key.clone(), value)]);
        }
        Ok(map)
    }
}

fn plain_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is none".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotADirectory => "it is no folder".to_owned(),
        _ => error.to_string(),
    }
}
