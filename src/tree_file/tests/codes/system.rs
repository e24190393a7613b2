//! Rows of the kernel's own settings.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::Text::{System, Variable};
use super::*;
use crate::kind_check::KnownKinds;
use crate::settings::system::{self, Flags, FolderFrom};

pub(super) fn load(files: &Owned) -> Checked {
    let kinds = unity_supervisors::Kinds::new();
    let sources = Sources {
        read: &|_, _| Ok(files[0].1.clone()),
        env: &env,
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    };
    of_another(system::check_file(Path::new("system.yaml"), &sources))
}

pub(super) fn load_variable(name: &str, value: &[u8]) -> Checked {
    if name == "UK_CONFIG_DIR" {
        let folder = FolderFrom::Named(str::from_utf8(value).unwrap().into());
        return of_another(system::load(&folder, std::iter::empty(), &Flags::default()));
    }
    let variable = (OsString::from(name), OsString::from_vec(value.to_vec()));
    let variables = std::iter::once(variable);
    of_another(system::load(
        &FolderFrom::Nowhere,
        variables,
        &Flags::default(),
    ))
}

pub(super) const ROWS: &[Row] = &[
    (
        Code::UnknownSystemKey,
        System("history:\n  kep: 5\n"),
        "2:3 kep",
        &[
            "unknown key `kep`",
            "not a key of `history`",
            "did you mean `keep`?",
        ],
    ),
    (
        Code::UnknownSystemKey,
        System("tree: {}\n"),
        "1:1 tree",
        &[
            "not a key of system.yaml",
            "the keys of system.yaml are: log, memory_limit",
            "watch, history, alarms, dispatcher",
        ],
    ),
    (
        Code::UnknownSystemKey,
        System("keep: 5\n"),
        "1:1 keep",
        &["the keys of system.yaml are"],
    ),
    (
        Code::SystemType,
        System("history:\n  keep: ten\n"),
        "2:9 ten",
        &["`keep` must be an integer, found the text `ten`"],
    ),
    (
        Code::SystemType,
        System("- log\n"),
        "1:1 ",
        &["system.yaml must be a mapping, found a list"],
    ),
    (
        Code::SystemType,
        System("watch: off\n"),
        "1:8 off",
        &["`watch` must be a mapping, found the text `off`"],
    ),
    (
        Code::SystemType,
        System("watch: { enabled: yes }\n"),
        "1:19 yes",
        &["write `true`, without quotes"],
    ),
    (
        Code::SystemType,
        System("log:\n"),
        "1:1 log",
        &["`log` must be a text, found nothing"],
    ),
    (
        Code::SystemType,
        System("labels: { bay: 7 }\n"),
        "1:16 7",
        &["put it in quotes: \"7\""],
    ),
    (
        Code::SystemType,
        System("memory_limit: [1]\n"),
        "1:15 [1]",
        &["`memory_limit` must be a size, found a list"],
    ),
    (
        Code::SystemType,
        Variable("UK_HISTORY__KEEP", b"ten"),
        "1:18 ten",
        &[
            "`UK_HISTORY__KEEP` must be an integer",
            "the environment:1:18",
        ],
    ),
    (
        Code::SystemDuration,
        System("kill_grace: 5\n"),
        "1:13 5",
        &["`5` has no unit", "did you mean `5s`?"],
    ),
    (
        Code::SystemDuration,
        System("history: { max_age: 3w }\n"),
        "1:21 3w",
        &["`3w` is not a duration"],
    ),
    (
        Code::SystemDuration,
        Variable("UK_KILL_GRACE", b"soon"),
        "1:15 soon",
        &["`soon` is not a duration"],
    ),
    (
        Code::SystemSize,
        System("memory_limit: 512\n"),
        "1:15 512",
        &["`512` has no unit", "did you mean `512MiB`?"],
    ),
    (
        Code::SystemSize,
        System("memory_limit: 2 gigs\n"),
        "1:15 2 gigs",
        &["is not a size", "B, KiB, MiB"],
    ),
    (
        Code::SystemSize,
        System("memory_limit: 0MiB\n"),
        "1:15 0MiB",
        &["no room at all"],
    ),
    (
        Code::SystemRange,
        System("history: { keep: 0 }\n"),
        "1:18 0",
        &["`keep` must be an integer of at least 1, found `0`"],
    ),
    (
        Code::SystemRange,
        System("max_abandoned: 257\n"),
        "1:16 257",
        &["at most 256"],
    ),
    (
        Code::SystemRange,
        System("apply_timeout: 0s\n"),
        "1:16 0s",
        &["a duration above zero"],
    ),
    (
        Code::LogFilter,
        System("log: debgu\n"),
        "1:6 debgu",
        &["did you mean `debug`?"],
    ),
    (
        Code::LogFilter,
        System("log: unity_kernel=loud\n"),
        "1:6 unity_kernel=loud",
        &["no filter of the log", "write a level (off, error"],
    ),
    (
        Code::LogFilter,
        Variable("UK_LOG", b"wran"),
        "1:8 wran",
        &["did you mean `warn`?"],
    ),
    (
        Code::SystemName,
        System("name: robot one\n"),
        "1:7 robot one",
        &["cannot be the name of a node", "A-Z a-z 0-9"],
    ),
    (
        Code::SystemAddress,
        System("http: { listen: localhost:8080 }\n"),
        "1:17 localhost:8080",
        &[
            "no address to listen on",
            "127.0.0.1:8080 for this machine alone",
        ],
    ),
    (
        Code::SystemAddress,
        System("nodes: { seeds: [\"edge-1:4697\", edge-2] }\n"),
        "1:17 [\"edge-1:4697\", edge-2]",
        &[
            "`edge-2` is no host with a port",
            "each as in `edge-1.local:4697`",
        ],
    ),
    (
        Code::SystemRange,
        System("nodes: { heartbeat: 2m }\n"),
        "1:21 2m",
        &["a duration from 200ms to 60s"],
    ),
    (
        Code::ConfigFolder,
        Variable("UK_CONFIG_DIR", b"/no/such/folder"),
        "",
        &[
            "the folder /no/such/folder: there is none",
            "--config-dir or UK_CONFIG_DIR",
        ],
    ),
    (
        Code::ConfigFolder,
        Variable("UK_CONFIG_DIR", b"/dev/null"),
        "",
        &["it is a file"],
    ),
    (
        Code::VariableNotUtf8,
        Variable("UK_NAME", b"\xff"),
        "1:1 UK_NAME",
        &["the variable `UK_NAME` is not UTF-8"],
    ),
    (
        Code::UnknownVariable,
        Variable("UK_HISTORY_KEEP", b"5"),
        "1:1 UK_HISTORY_KEEP",
        &["did you mean `UK_HISTORY__KEEP`?"],
    ),
    (
        Code::UnknownVariable,
        Variable("UK_FAVOURITE_COLOUR", b"s3cret"),
        "1:1 UK_FAVOURITE_COLOUR",
        &["means nothing here", "lists all that mean something"],
    ),
];
