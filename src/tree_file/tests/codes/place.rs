//! Rows of what is said of children that live on other nodes.

use super::Text::{Children, Supervisor, Whole, Worker};
use super::{Code, Row};

pub(super) const ROWS: &[Row] = &[
    (
        Code::PlaceUnnamed,
        Worker("place: { node: edge-1, labels: { gpu: \"true\" } }"),
        "7:30 labels",
        &["`place` has `node` and `labels`", "take out one of them"],
    ),
    (
        Code::PlaceUnnamed,
        Worker("place: { lease: 5s }"),
        "7:7 place",
        &["`place` names no node", "add `node: NAME`"],
    ),
    (
        Code::PlaceUnnamed,
        Worker("place: {}"),
        "7:7 place",
        &["neither `node` nor `labels`"],
    ),
    (
        Code::PlaceUnnamed,
        Worker("place: { labels: {} }"),
        "7:16 labels",
        &[
            "the `labels` of `place` are empty",
            "`labels: { gpu: \"true\" }`",
        ],
    ),
    (
        Code::PlaceUnnamed,
        Worker("place:\n  labels:"),
        "8:9 labels",
        &["every node would fit"],
    ),
    (
        Code::PlaceHere,
        Whole(
            "version: 1\nname: edge-1\ntree:\n  children:\n    - { id: a, kind: probe, place: { node: edge-1 } }\n",
        ),
        "5:44 edge-1",
        &["the node whose tree this is", "take out `place`"],
    ),
    (
        Code::PlaceHere,
        Worker("place: { node: kernel }"),
        "7:22 kernel",
        &["expected another node"],
    ),
    (
        Code::PlaceElsewhere,
        Worker("place: { node: edge-1, failover: elsewhere }"),
        "7:40 elsewhere",
        &[
            "no other node than `edge-1`",
            "expected wait or none",
            "only this node fits",
            "`labels` instead of `node`",
        ],
    ),
    (
        Code::EssentialPlaced,
        Worker("essential: true\nplace: { node: edge-1 }"),
        "8:7 place",
        &["is essential, and lives on another node"],
    ),
    (
        Code::KindElsewhere,
        Children("- { id: a, kind: arm.driver, settings: { b: 1 }, place: { node: edge-1 } }"),
        "4:22 arm.driver",
        &[
            "`arm.driver` is not known here",
            "its settings are not checked here",
            "make sure that its node has this kind",
        ],
    ),
    (
        Code::KindElsewhere,
        Children("- { id: a, kind: prob, place: { labels: { gpu: \"true\" } } }"),
        "4:22 prob",
        &["did you mean `probe`?"],
    ),
    (
        Code::UnknownKind,
        Children("- { id: a, kind: arm.driver, place: here }"),
        "4:22 arm.driver",
        &["no kind has this name"],
    ),
    (
        Code::UnknownKind,
        Children("- { id: a, kind: \"\", place: { node: edge-1 } }"),
        "4:22 \"\"",
        &["unknown kind ``"],
    ),
    (
        Code::WrongOwner,
        Supervisor("place: { node: edge-1 }"),
        "6:7 place",
        &[
            "`place` is a key of a worker",
            "put `place` on the workers below",
        ],
    ),
    (
        Code::WrongOwner,
        Children("- { id: s, template: { kind: probe }, place: { node: edge-1 } }"),
        "4:43 place",
        &["put `place` into the `template`"],
    ),
    (
        Code::WrongOwner,
        Whole("version: 1\ntree:\n  place: { node: edge-1 }\n  children: [{ id: a, kind: log }]\n"),
        "3:3 place",
        &["put it on a child of the root"],
    ),
    (
        Code::WrongType,
        Worker("place: edge-1"),
        "7:14 edge-1",
        &["a mapping or `here`", "write `place: { node: edge-1 }`"],
    ),
    (
        Code::WrongType,
        Worker("place: a/b"),
        "7:14 a/b",
        &["write `place: { node: NAME }`"],
    ),
    (
        Code::WrongType,
        Worker("place: [edge-1]"),
        "7:14 [edge-1]",
        &["found a list", "write `place: { node: NAME }`"],
    ),
    (
        Code::WrongType,
        Worker("place:"),
        "7:7 place",
        &["found nothing"],
    ),
    (
        Code::WrongType,
        Worker("place: { labels: { gpu: true } }"),
        "7:31 true",
        &["`gpu` must be a text", "put it in quotes: \"true\""],
    ),
    (
        Code::WrongType,
        Worker("place: { labels: gpu }"),
        "7:24 gpu",
        &["`labels` must be a mapping"],
    ),
    (
        Code::UnknownWord,
        Worker("place: hre"),
        "7:14 hre",
        &["did you mean `here`?"],
    ),
    (
        Code::UnknownWord,
        Worker("place: { node: edge-1, failover: wat }"),
        "7:40 wat",
        &["did you mean `wait`?", "wait, elsewhere or none"],
    ),
    (
        Code::UnknownKey,
        Worker("place: { nod: edge-1 }"),
        "7:16 nod",
        &["not a key of `place`", "did you mean `node`?"],
    ),
    (
        Code::UnknownKey,
        Worker("lease: 5s\nplace: { node: edge-1 }"),
        "7:7 lease",
        &[
            "a key of `place`",
            "it belongs in here",
            "move `lease` into `place`",
        ],
    ),
    (
        Code::UnknownKey,
        Worker("node: edge-1"),
        "7:7 node",
        &["write `place: { node: … }`"],
    ),
    (
        Code::BadId,
        Worker("place: { node: \"edge 1\" }"),
        "7:22 \"edge 1\"",
        &["cannot be the name of a node", "did you mean `edge_1`?"],
    ),
    (
        Code::BadDuration,
        Worker("place: { node: edge-1, lease: 5 }"),
        "7:37 5",
        &["has no unit"],
    ),
    (
        Code::OutOfRange,
        Worker("place: { node: edge-1, lease: 999ms }"),
        "7:37 999ms",
        &["`lease` must be a duration from 1s to 1h"],
    ),
    (
        Code::OutOfRange,
        Worker("place: { node: edge-1, lease: 61m }"),
        "7:37 61m",
        &["take out `lease` for its default"],
    ),
    (
        Code::SecretPlace,
        Worker("place: { labels: { site: \"${secret:TOKEN}\" } }"),
        "7:33 ${secret:TOKEN}",
        &["stands outside of settings"],
    ),
    (
        Code::SecretName,
        Worker("place: { node: edge-1 }\nsettings: { a: \"${secret:}\" }"),
        "8:23 ${secret:}",
        &["does not name a secret"],
    ),
    (
        Code::BadSettings,
        Children("- { id: a, kind: sensor.host, settings: { evry: 1s }, place: { node: edge-1 } }"),
        "4:47 evry",
        &["did you mean `every`?"],
    ),
];
