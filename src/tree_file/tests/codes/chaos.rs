//! Rows of plans of chaos.

use super::Text::Chaos;
use super::*;
use crate::chaos_file;
use crate::kind_check::KnownKinds;

pub(super) fn load(text: &str) -> Checked {
    let kinds = unity_actors::kinds();
    let sources = Sources {
        read: &|_, _| Ok(text.as_bytes().to_vec()),
        env: &env,
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    };
    of_another(chaos_file::check_file(Path::new("plan.yaml"), &sources))
}

pub(super) const ROWS: &[Row] = &[
    (
        Code::UnknownPlanKey,
        Chaos("version: 1\nname: a\nphase: []\n"),
        "3:1 phase",
        &["not a key of a chaos plan", "did you mean `phases`?"],
    ),
    (
        Code::UnknownPlanKey,
        Chaos("version: 1\nname: a\nphases:\n  - { name: b, for: 5s, rates: 5/s }\n"),
        "4:25 rates",
        &["not a key of a phase", "did you mean `rate`?"],
    ),
    (
        Code::UnknownPlanKey,
        Chaos(
            "version: 1\nname: a\nacts:\n  - { at: 5s, fault: { hang: { for: 5s, of: 3 } }, path: /a }\n",
        ),
        "4:41 of",
        &["not a key of `hang`", "the keys of `hang` are: for"],
    ),
    (
        Code::PlanValueType,
        Chaos("- a\n"),
        "1:1 ",
        &["a chaos plan must be a mapping, found a list"],
    ),
    (
        Code::PlanValueType,
        Chaos("version: 1\nname: a\nphases: { storm: 5s }\n"),
        "3:11 storm",
        &["`phases` must be a list, found a mapping"],
    ),
    (
        Code::PlanValueType,
        Chaos("version: 1\nname: a\nphases:\n  - { name: b, for: 5s, faults: [kill] }\n"),
        "4:34 kill",
        &["`faults[0]` must be a mapping"],
    ),
    (
        Code::PlanValueType,
        Chaos(
            "version: 1\nname: a\nphases:\n  - { name: b, for: 5s, faults: [{ fault: { kill: {} } }] }\n",
        ),
        "4:45 kill",
        &["the fault `kill` has no keys", "write `kill`"],
    ),
    (
        Code::PlanValueType,
        Chaos(
            "version: 1\nname: a\nphases:\n  - { name: b, for: 5s, faults: [{ fault: { hang: 5s, kill: } }] }\n",
        ),
        "4:45 hang",
        &["a fault is one thing, found a mapping of 2 keys"],
    ),
    (
        Code::PlanValueType,
        Chaos("version: 1\nname: a\nphases:\n  - { name: b, for: 5s, faults: [{ fault: 5 }] }\n"),
        "4:43 5",
        &["`fault` must be a fault, found the integer `5`"],
    ),
    (
        Code::PlanKeyMissing,
        Chaos("name: a\nphases: [{ name: b, for: 5s }]\n"),
        "1:1 name",
        &[
            "`version` is missing",
            "a chaos plan begins with its version",
        ],
    ),
    (
        Code::PlanKeyMissing,
        Chaos("version: 1\nname: a\nphases:\n  - name: b\n"),
        "4:5 name",
        &["a phase has no `for`", "add `for: 5s`"],
    ),
    (
        Code::PlanKeyMissing,
        Chaos("version: 1\nname: a\nphases: [{ name: b, for: 5s, faults: [{ fault: hang }] }]\n"),
        "3:48 hang",
        &["has keys of its own", "write `hang: { for: 5s }`"],
    ),
    (
        Code::PlanKeyMissing,
        Chaos(
            "version: 1\nname: a\nphases: [{ name: b, for: 5s, faults: [{ fault: { drop: { for: 5s } } }] }]\n",
        ),
        "3:58 for",
        &["`drop` has no `percent`", "add `percent: 20`"],
    ),
    (
        Code::PlanVersion,
        Chaos("version: 2\nname: a\nphases: [{ name: b, for: 5s }]\n"),
        "1:10 2",
        &["write `version: 1`"],
    ),
    (
        Code::UnknownFault,
        Chaos("version: 1\nname: a\nphases: [{ name: b, for: 5s, faults: [{ fault: pannic }] }]\n"),
        "3:48 pannic",
        &["unknown fault `pannic`", "did you mean `panic`?"],
    ),
    (
        Code::UnknownFault,
        Chaos("version: 1\nname: a\nacts: [{ at: 5s, fault: { meteor: { for: 5s } } }]\n"),
        "3:27 meteor",
        &["the faults are: kill, panic"],
    ),
    (
        Code::UnknownProbe,
        Chaos(
            "version: 1\nname: a\nphases: [{ name: b, for: 5s }]\nprobes:\n  - permanent: { within: 5s }\n",
        ),
        "5:5 permanent",
        &["did you mean `permanent_up`?"],
    ),
    (
        Code::PlanRate,
        Chaos("version: 1\nname: a\nphases: [{ name: b, for: 5s, rate: 5 }]\n"),
        "3:36 5",
        &["`rate`: `5` is no rate", "did you mean `5/s`?"],
    ),
    (
        Code::PlanRate,
        Chaos("version: 1\nname: a\nphases: [{ name: b, for: 5s, rate: 5/sec }]\n"),
        "3:36 5/sec",
        &["did you mean `5/s`?"],
    ),
    (
        Code::PlanRate,
        Chaos("version: 1\nname: a\nphases: [{ name: b, for: 5s, rate: 0/s }]\n"),
        "3:36 0/s",
        &["write how many a second, above 0"],
    ),
    (
        Code::PlanPath,
        Chaos(
            "version: 1\nname: a\ntargets: { paths: [robot/*] }\nphases: [{ name: b, for: 5s }]\n",
        ),
        "3:20 robot/*",
        &["is no pattern of paths", "did you mean `/robot/*`?"],
    ),
    (
        Code::PlanPath,
        Chaos(
            "version: 1\nname: a\ntargets: { spare: [/robot/cam*] }\nphases: [{ name: b, for: 5s }]\n",
        ),
        "3:20 /robot/cam*",
        &["a whole segment may be `*`"],
    ),
    (
        Code::PlanPath,
        Chaos("version: 1\nname: a\nacts: [{ at: 5s, fault: kill, path: robot }]\n"),
        "3:37 robot",
        &["`robot` is no path", "did you mean `/robot`?"],
    ),
    (
        Code::PlanDuration,
        Chaos("version: 1\nname: a\nphases: [{ name: b, for: 5 sec }]\n"),
        "3:26 5 sec",
        &["did you mean `5s`?"],
    ),
    (
        Code::PlanRange,
        Chaos("version: 1\nname: a\nphases: [{ name: b, for: 0s }]\n"),
        "3:26 0s",
        &["`for` must be a duration above zero, found `0s`"],
    ),
    (
        Code::PlanRange,
        Chaos(
            "version: 1\nname: a\nacts: [{ at: 5s, fault: { memory: { percent: 120, for: 5s } } }]\n",
        ),
        "3:46 120",
        &[
            "`percent` must be at most 100, found `120`",
            "help: write at most 100",
        ],
    ),
    (
        Code::PlanRange,
        Chaos("version: 1\nname: a\ntargets: { max_down: 0 }\nphases: [{ name: b, for: 5s }]\n"),
        "3:22 0",
        &[
            "an integer of at least 1",
            "or take out `max_down` for its default",
        ],
    ),
    (
        Code::PlanKind,
        Chaos(
            "version: 1\nname: a\ntargets: { kinds: [sensor.hots] }\nphases: [{ name: b, for: 5s }]\n",
        ),
        "3:20 sensor.hots",
        &["unknown kind", "did you mean `sensor.host`?"],
    ),
    (
        Code::ActTarget,
        Chaos("version: 1\nname: a\nacts:\n  - { at: 5s, fault: kill }\n"),
        "4:7 at",
        &[
            "nothing says whom `kill` strikes",
            "add `path: /robot/camera`",
        ],
    ),
    (
        Code::ActTarget,
        Chaos(
            "version: 1\nname: a\nacts:\n  - { at: 5s, fault: { disk_full: { for: 5s } }, path: /a }\n",
        ),
        "4:50 path",
        &["`disk_full` strikes the whole node", "take out `path`"],
    ),
    (
        Code::ActTarget,
        Chaos(
            "version: 1\nname: a\nacts:\n  - { at: 5s, fault: { cut: { for: 5s } }, path: /a }\n",
        ),
        "4:44 path",
        &[
            "`cut` strikes a link, and nobody",
            "name a node with `node`",
        ],
    ),
    (
        Code::PlanNode,
        Chaos(
            "version: 1\nname: a\nacts:\n  - { at: 5s, fault: { cut: { node: /edge-1, for: 5s } } }\n",
        ),
        "4:37 /edge-1",
        &[
            "`/edge-1` is no name of a node",
            "as in `edge-*`",
            "take out `node`",
        ],
    ),
    (
        Code::PlanWord,
        Chaos(
            "version: 1\nname: a\nacts:\n  - { at: 5s, fault: { cut_one_way: { direction: inbond, for: 5s } } }\n",
        ),
        "4:50 inbond",
        &["did you mean `inbound`?"],
    ),
    (
        Code::PlanKeyMissing,
        Chaos("version: 1\nname: a\nacts:\n  - { at: 5s, fault: { slow_link: { for: 5s } } }\n"),
        "4:37 for",
        &["`slow_link` has no `by`", "add `by: 200ms`"],
    ),
    (
        Code::PlanEmpty,
        Chaos("version: 1\nname: a\n"),
        "1:1 version",
        &["it has neither phases nor acts", "add `phases:`"],
    ),
    (
        Code::PlanEmpty,
        Chaos("version: 1\nname: a\nphases: []\n"),
        "3:1 phases",
        &["it has neither phases nor acts"],
    ),
    (
        Code::AllSpared,
        Chaos(
            "version: 1\nname: a\ntargets: { paths: [/robot/*], spare: [/robot] }\nphases: [{ name: b, for: 5s }]\n",
        ),
        "3:31 spare",
        &["nobody is left who could be struck", "spare less"],
    ),
];
