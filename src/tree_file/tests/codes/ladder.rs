//! Rows of `on_crash`.

use super::Text::{Children, Supervisor, Worker};
use super::{Code, Row};

pub(super) const ROWS: &[Row] = &[
    (
        Code::StepNeverReached,
        Worker(
            "on_crash:\n  - { after: 3, within: 1m, quarantine: true }\n  - { after: 5, within: 1m, swap: { a: 1 } }",
        ),
        "9:13 after",
        &[
            "step 2 of `on_crash` can never be reached",
            "stays down here until it is released",
            "put the quarantine last, or take out step 2",
        ],
    ),
    (
        Code::StepNeverReached,
        Worker(
            "backoff: { min: 1s, jitter: 0 }\non_crash: [{ after: 5, within: 7s, swap: { a: 1 } }]",
        ),
        "8:27 5",
        &[
            "its pauses allow 4 crashes in 7s",
            "crash 5 comes at least 1s + 2s + 4s + 8s = 15s after crash 1, more than 7s",
            "`after: 4` or less",
        ],
    ),
    (
        Code::StepNotWaitedFor,
        Worker(
            "on_crash:\n  - { after: 5, within: 1m, swap: { a: 1 } }\n  - { after: 3, within: 2m, quarantine: true }",
        ),
        "9:20 3",
        &[
            "step 2 of `on_crash` asks for no more than step 1",
            "3 crashes within 2m have happened by then",
            "step 1 takes 5 crashes within 1m",
            "`after: 6` or more",
        ],
    ),
    (
        Code::StepActions,
        Worker("on_crash: [{ after: 3, within: 1m }]"),
        "7:20 after",
        &[
            "step 1 of `on_crash` does nothing",
            "add `swap: { key: value }`",
        ],
    ),
    (
        Code::StepActions,
        Worker("on_crash: [{ after: 3, within: 1m, quarantine: false }]"),
        "7:20 after",
        &["neither `swap` nor `quarantine: true`"],
    ),
    (
        Code::StepActions,
        Worker("on_crash: [{ after: 3, within: 1m, swap: last_good, quarantine: true }]"),
        "7:59 quarantine",
        &["has `swap` and `quarantine`", "make them two steps"],
    ),
    (
        Code::SwapMisfit,
        Children(
            "- id: h\n  kind: sensor.host\n  on_crash: [{ after: 1, within: 1m, swap: { every: 5s, evry: 2s } }]",
        ),
        "6:61 evry",
        &[
            "step 1 of `on_crash`: unknown key `evry`",
            "did you mean `every`?",
        ],
    ),
    (
        Code::SwapMisfit,
        Children(
            "- id: h\n  kind: sensor.host\n  settings: { every: 1s }\n  on_crash: [{ after: 1, within: 1m, swap: { every: 5 } }]",
        ),
        "7:57 5",
        &["`5` has no unit", "did you mean `5s`?"],
    ),
    (
        Code::QuarantineInGroup,
        Children(
            "- id: s\n  strategy: one_for_all\n  children:\n    - { id: w, kind: probe, on_crash: [{ after: 3, within: 1m, quarantine: true }] }",
        ),
        "7:68 quarantine",
        &["`w` cannot be quarantined: /s is one_for_all"],
    ),
    (
        Code::LadderTemporary,
        Worker("restart: temporary\non_crash: [{ after: 3, within: 1m, quarantine: true }]"),
        "8:7 on_crash",
        &["is never restarted", "its first crash is its end"],
    ),
    (
        Code::WrongOwner,
        Supervisor("on_crash: [{ after: 3, within: 1m, quarantine: true }]"),
        "6:7 on_crash",
        &["`on_crash` is a key of a worker"],
    ),
    (
        Code::WrongType,
        Worker("on_crash: { after: 3, within: 1m, quarantine: true }"),
        "7:19 after",
        &[
            "`on_crash` must be a list of steps",
            "on_crash: [{ after: 3",
        ],
    ),
    (
        Code::WrongType,
        Worker("on_crash: [{ after: 3, within: 1m, swap: [small] }]"),
        "7:48 [small]",
        &["`swap` must be a mapping of settings or `last_good`"],
    ),
    (
        Code::WrongType,
        Worker("on_crash: [down]"),
        "7:18 down",
        &["step 1 of `on_crash` must be a mapping"],
    ),
    (
        Code::OutOfRange,
        Worker("on_crash: [{ after: 0, within: 1m, quarantine: true }]"),
        "7:27 0",
        &[
            "`after` must be an integer of at least 1",
            "help: write an integer of at least 1 More",
        ],
    ),
    (
        Code::OutOfRange,
        Worker("on_crash: [{ after: 3, within: 0s, quarantine: true }]"),
        "7:38 0s",
        &["a duration above zero"],
    ),
    (
        Code::MissingKey,
        Worker("on_crash: [{ after: 3, quarantine: true }]"),
        "7:20 after",
        &["step 1 of `on_crash` has no `within`", "such as 60s"],
    ),
    (
        Code::MissingKey,
        Worker("on_crash: [{ within: 3s, quarantine: true }]"),
        "7:20 within",
        &["step 1 of `on_crash` has no `after`"],
    ),
    (
        Code::UnknownKey,
        Worker("on_crash: [{ after: 3, within: 1m, quarantin: true }]"),
        "7:42 quarantin",
        &[
            "not a key of step 1 of `on_crash`",
            "did you mean `quarantine`?",
        ],
    ),
    (
        Code::UnknownWord,
        Worker("on_crash: [{ after: 3, within: 1m, swap: lastgood }]"),
        "7:48 lastgood",
        &["`swap` cannot be `lastgood`", "did you mean `last_good`?"],
    ),
];
