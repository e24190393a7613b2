//! Rows of the catalog of events.

use super::Text::Events;
use super::*;
use crate::event_file;
use crate::kind_check::KnownKinds;

pub(super) fn load(text: &str) -> Checked {
    let kinds = unity_supervisors::Kinds::new();
    let sources = Sources {
        read: &|_, _| Ok(text.as_bytes().to_vec()),
        env: &env,
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    };
    of_another(event_file::check_file(Path::new("events.yaml"), &sources))
}

pub(super) const ROWS: &[Row] = &[
    (
        Code::UnknownEventKey,
        Events("version: 1\nevent: {}\n"),
        "2:1 event",
        &["not a key of a catalog of events", "did you mean `events`?"],
    ),
    (
        Code::UnknownEventKey,
        Events(
            "version: 1\nevents:\n  a: { persist: { mode: async, retain: 1d, retention: {} } }\n",
        ),
        "3:32 retain",
        &[
            "not a key of `persist`",
            "the keys of `persist` are: mode, stream, retention",
        ],
    ),
    (
        Code::EventValueType,
        Events("- a\n"),
        "1:1 ",
        &["a catalog of events must be a mapping, found a list"],
    ),
    (
        Code::EventValueType,
        Events("version: 1\nevents: [a]\n"),
        "2:9 [a]",
        &["`events` must be a mapping"],
    ),
    (
        Code::EventValueType,
        Events("version: 1\nevents: { a: durable }\n"),
        "2:14 durable",
        &["`a` must be a mapping, found the text `durable`"],
    ),
    (
        Code::EventValueType,
        Events("version: 1\nevents: { a: { persist: true } }\n"),
        "2:25 true",
        &["must be a word or a mapping", "write `persist: durable`"],
    ),
    (
        Code::EventValueType,
        Events("version: 1\nevents: { a: { schema: object } }\n"),
        "2:24 object",
        &["as in `schema: { type: object }`"],
    ),
    (
        Code::EventValueType,
        Events("version: 1\nstrict: yes\nevents: {}\n"),
        "2:9 yes",
        &["write `true`, without quotes"],
    ),
    (
        Code::EventKeyMissing,
        Events("events: {}\n"),
        "1:1 events",
        &[
            "`version` is missing",
            "a catalog of events begins with its version",
        ],
    ),
    (
        Code::EventKeyMissing,
        Events("version: 1\nstrict: true\n"),
        "1:1 version",
        &["`events` is missing", "or `events: {}`"],
    ),
    (
        Code::EventKeyMissing,
        Events("version: 1\nevents: { a: { persist: { stream: b, retention: {} } } }\n"),
        "2:27 stream",
        &["`mode` is missing", "`mode: durable` (when it is on disk)"],
    ),
    (
        Code::EventVersion,
        Events("version: 2\nevents: {}\n"),
        "1:10 2",
        &["a later one needs a later kernel"],
    ),
    (
        Code::BadTopic,
        Events("version: 1\nevents: { sensor/camera: }\n"),
        "2:11 sensor/camera",
        &[
            "neither a topic nor a pattern",
            "did you mean `sensor.camera`?",
        ],
    ),
    (
        Code::BadTopic,
        Events("version: 1\nevents: { \"sensor.cam*\": }\n"),
        "2:11 \"sensor.cam*\"",
        &["a word may be `*` as a whole"],
    ),
    (
        Code::BadSchema,
        Events("version: 1\nevents: { a: { schema: { type: objekt } } }\n"),
        "2:32 objekt",
        &["`objekt` is no type", "did you mean `object`?"],
    ),
    (
        Code::BadSchema,
        Events("version: 1\nevents: { a: { schema: { properties: { x: { minimum: low } } } } }\n"),
        "2:54 low",
        &["`properties.x.minimum`: `low` is not a number"],
    ),
    (
        Code::BadSchema,
        Events("version: 1\nevents: { a: { schema: { pattern: \"(\" } } }\n"),
        "2:35 \"(\"",
        &["`pattern`"],
    ),
    (
        Code::BadSchema,
        Events("version: 1\nevents: { a: { schema: { $ref: \"https://example.com/x\" } } }\n"),
        "2:16 schema",
        &["what a `$ref` names is not in this schema"],
    ),
    (
        Code::EventDuration,
        Events("version: 1\nevents: { a: { persist: { mode: async, retention: { age: 30 } } } }\n"),
        "2:58 30",
        &["`30` has no unit", "did you mean `30s`?"],
    ),
    (
        Code::EventSize,
        Events(
            "version: 1\nevents: { a: { persist: { mode: async, retention: { bytes: 30 } } } }\n",
        ),
        "2:60 30",
        &["`30` has no unit", "did you mean `30MiB`?"],
    ),
    (
        Code::EventRange,
        Events("version: 1\nevents: { a: { persist: { mode: async, retention: { age: 0s } } } }\n"),
        "2:58 0s",
        &["a duration above zero"],
    ),
    (
        Code::EventWord,
        Events("version: 1\nevents: { a: { priority: hihg } }\n"),
        "2:26 hihg",
        &["did you mean `high`?"],
    ),
    (
        Code::EventWord,
        Events("version: 1\nevents: { a: { persist: forever } }\n"),
        "2:25 forever",
        &["`persist` cannot be `forever`", "write durable or async"],
    ),
    (
        Code::BadStreamName,
        Events(
            "version: 1\nevents: { a: { persist: { mode: async, stream: \"a b\", retention: {} } } }\n",
        ),
        "2:48 \"a b\"",
        &[
            "`a b` cannot be the name of a stream",
            "as in `sensor:camera`",
        ],
    ),
    (
        Code::BadStreamName,
        Events("version: 1\nevents: { \"*\": { persist: async } }\n"),
        "2:18 persist",
        &["has no family to name its stream", "stream: NAME"],
    ),
    (
        Code::RetentionDiffers,
        Events(
            "version: 1\nevents:\n  a.b: { persist: { mode: async, retention: { age: 1d } } }\n  a.c: { persist: { mode: async, retention: { length: 5 } } }\n",
        ),
        "4:34 retention",
        &[
            "stream `a` is kept in two ways",
            "here 5 events",
            "here 1d",
            "say it once",
        ],
    ),
    (
        Code::BadPublisher,
        Events("version: 1\nevents: { a: { publishers: [/a, bridge] } }\n"),
        "2:33 bridge",
        &["the text `bridge` is not a path", "as in /sensors/host"],
    ),
    (
        Code::StreamUnbounded,
        Events("version: 1\nevents: { a.b: { persist: durable }, a.c: { persist: async } }\n"),
        "2:18 persist",
        &[
            "nothing bounds stream `a`",
            "`retention: {}` if all is to be kept",
        ],
    ),
];
