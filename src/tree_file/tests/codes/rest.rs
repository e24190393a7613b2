//! Rows of warnings and of secrets.

use super::Text::{Children, Supervisor, Whole, Worker};
use super::{Code, Row};

pub(super) const WARNINGS: &[Row] = &[
    (
        Code::FiniteSupervisor,
        Supervisor("shutdown: 9s"),
        "6:17 9s",
        &["killed after 9s", "default is infinity"],
    ),
    (
        Code::TransientSupervisor,
        Supervisor("restart: transient"),
        "6:16 transient",
        &["stays down when it gives up"],
    ),
    (
        Code::ShutdownTooLong,
        Supervisor("shutdown: 2s"),
        "5:24 w",
        &["may take 5s", "after 2s"],
    ),
    (
        Code::BudgetNeverSpent,
        Whole(
            "version: 1\ntree:\n  intensity: 9\n  period: 10s\n  children:\n    - id: cam\n      kind: probe\n      backoff: { min: 1s, max: 60s, jitter: 0.2 }\n",
        ),
        "3:14 9",
        &[
            "crash 5 of `cam` comes at least 800ms + 1600ms + 3200ms + 6400ms = 12s after crash 1",
            "more than 10s",
            "at most 4 restarts in 10s, not more than 9",
            "`intensity: 3` or less",
        ],
    ),
    (
        Code::BudgetNeverSpent,
        Children(
            "- id: s\n  intensity: 9\n  max_children: 4\n  template: { kind: probe, backoff: { min: 5s } }",
        ),
        "5:18 9",
        &["crash 3 of a child comes at least 4s + 8s = 12s after crash 1"],
    ),
    (
        Code::ShutdownTooLong,
        Children("- id: s\n  shutdown: 2s\n  template: { kind: probe }"),
        "6:7 template",
        &[
            "`template` may take longer to stop",
            "may take 5s",
            "after 2s",
        ],
    ),
    (
        Code::NoChildren,
        Whole("version: 1\ntree: { children: [] }\n"),
        "2:9 children",
        &["the supervisor / has no children"],
    ),
    (
        Code::EssentialBelowRoot,
        Children("- id: s\n  children: [{ id: w, kind: probe, essential: true }]"),
        "5:40 essential",
        &["has no effect here"],
    ),
    (
        Code::StrayQuote,
        Worker("settings: { a: [b, echo c; sleep 1\"] }"),
        "7:41 \"",
        &["a text ends with a quote", "put one before `echo c"],
    ),
    (
        Code::SwallowedItem,
        Worker("settings:\n  a:\n    - b\n     - c"),
        "10:12 - c",
        &["read as a part of the text above", "like the item above"],
    ),
    (
        Code::NoSignificantChild,
        Supervisor("restart: transient\nauto_shutdown: any_significant"),
        "7:22 any_significant",
        &["has no effect: no child is significant"],
    ),
    (
        Code::RestartedAfterEnd,
        Children(
            "- id: s\n  auto_shutdown: all_significant\n  children: [{ id: w, kind: probe, restart: transient, significant: true }]",
        ),
        "5:22 all_significant",
        &[
            "`s` is started again each time",
            "charged to the budget",
            "`restart: transient`",
        ],
    ),
    (
        Code::SwapChangesNothing,
        Worker("on_crash: [{ after: 3, within: 1m, swap: {} }]"),
        "7:42 swap",
        &[
            "step 1 of `on_crash` changes nothing",
            "the same as its settings",
        ],
    ),
    (
        Code::SwapChangesNothing,
        Worker(
            "on_crash:\n  - { after: 3, within: 1m, swap: { fps: 5 } }\n  - { after: 5, within: 1m, swap: { fps: 5 } }",
        ),
        "9:35 swap",
        &["the same as what step 1 lays there"],
    ),
    (
        Code::QuarantineEssential,
        Worker("essential: true\non_crash: [{ after: 3, within: 1m, quarantine: true }]"),
        "8:42 quarantine",
        &["ends in quarantine", "even in safe mode"],
    ),
    (
        Code::SecretNotHere,
        Worker("settings: { a: \"${secret:ROBOT_TOKEN}\" }"),
        "7:23 ${secret:ROBOT_TOKEN}",
        &["`ROBOT_TOKEN` is missing", "not on this machine"],
    ),
    (
        Code::SecretOpen,
        Worker("settings: { a: [{ b: \"x ${secret:SHARED_TOKEN}\" }] }"),
        "7:31 ${secret:SHARED_TOKEN}",
        &["open to every user", "close its file"],
    ),
];

pub(super) const SECRETS: &[Row] = &[
    (
        Code::SecretPlace,
        Worker("labels: { a: \"b ${secret:TOKEN}\" }"),
        "7:23 ${secret:TOKEN}",
        &["stands outside of settings", "would not be secret"],
    ),
    (
        Code::SecretPlace,
        Worker("shutdown: ${secret:TOKEN}"),
        "7:17 ${secret:TOKEN}",
        &["`settings` of a worker only"],
    ),
    (
        Code::SecretPlace,
        Children("- { id: \"${secret:TOKEN}\", kind: probe }"),
        "4:14 ${secret:TOKEN}",
        &["a variable of the environment here"],
    ),
    (
        Code::SecretName,
        Worker("settings: { a: \"${secret:}\" }"),
        "7:23 ${secret:}",
        &["does not name a secret", "at most 64 letters"],
    ),
    (
        Code::SecretName,
        Worker("settings: { a: \"${secret:../../etc/passwd}\" }"),
        "7:23 ${secret:../../etc/passwd}",
        &["the first no `.`"],
    ),
    (
        Code::SecretName,
        Worker("settings: { a: \"${secret:TOKEN:-none}\" }"),
        "7:23 ${secret:TOKEN:-none}",
        &["write `${secret:NAME}`"],
    ),
    (
        Code::SecretMissing,
        Worker("settings: { a: \"Bearer ${secret:TOKN}\" }"),
        "7:30 ${secret:TOKN}",
        &["the secret `TOKN` is missing", "set UK_SECRET_TOKN"],
    ),
    (
        Code::SecretMissing,
        Worker("settings: { a: \"${UNSET:-${secret:TOKN}}\" }"),
        "7:32 ${secret:TOKN}",
        &["no such secret"],
    ),
    (
        Code::SecretUnusable,
        Worker("settings: { a: \"${secret:EMPTY_TOKEN}\" }"),
        "7:23 ${secret:EMPTY_TOKEN}",
        &["is empty"],
    ),
];
