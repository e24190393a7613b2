//! Which keys a plan has, and what may stand after them: the table that the reader goes by.
//!
//! A test holds it to the types of `unity_actors::chaos::plan`, which the JSON Schema is made of.

/// What may stand after a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// The version of the format, which is read by itself.
    Version,
    Text,
    Bool,
    /// An integer of at least and at most so much.
    Integer(u32, u32),
    Time,
    TimeAboveZero,
    Rate,
    Path,
    Pattern,
    Kind,
    /// The name of another node, or a pattern of such names.
    Node,
    /// One of these words.
    Word(&'static [&'static str]),
    Stream,
    /// A mapping of texts.
    Labels,
    /// Any value that JSON has.
    Any,
    List(&'static Form),
    Map(&'static Table),
    /// One of some things, each with keys of its own.
    OneOf(&'static Choice),
}

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// How it is written, if it must be there.
    pub(super) required: Option<&'static str>,
}

/// The keys of a mapping.
#[derive(Debug)]
pub(super) struct Table {
    /// What a message calls it.
    pub(super) what: &'static str,
    pub(super) keys: &'static [Key],
}

/// Things of which one is chosen.
#[derive(Debug)]
pub(super) struct Choice {
    /// What a message calls one of them.
    pub(super) what: &'static str,
    pub(super) all: &'static [Table],
}

const fn must(name: &'static str, form: Form, written: &'static str) -> Key {
    Key {
        name,
        form,
        required: Some(written),
    }
}

const fn may(name: &'static str, form: Form) -> Key {
    Key {
        name,
        form,
        required: None,
    }
}

const fn of(what: &'static str, keys: &'static [Key]) -> Table {
    Table { what, keys }
}

const FOR: Key = must("for", Form::TimeAboveZero, "for: 5s");
const PERCENT: Key = must("percent", Form::Integer(1, 100), "percent: 20");
const WITHIN: Key = must("within", Form::Time, "within: 5s");
const NODE: Key = may("node", Form::Node);
const PATH: Key = must("path", Form::Path, "path: /robot/camera");

pub(super) const PLAN: Table = of(
    "a chaos plan",
    &[
        must("version", Form::Version, "version: 1"),
        must("name", Form::Text, "name: storm"),
        may("about", Form::Text),
        may("targets", Form::Map(&TARGETS)),
        may("phases", Form::List(&Form::Map(&PHASE))),
        may("probes", Form::List(&Form::OneOf(&PROBES))),
        may("acts", Form::List(&Form::Map(&ACT))),
        may("settles_within", Form::Time),
    ],
);

pub(super) const TARGETS: Table = of(
    "`targets`",
    &[
        may("paths", Form::List(&Form::Pattern)),
        may("kinds", Form::List(&Form::Kind)),
        may("labels", Form::Labels),
        may("spare", Form::List(&Form::Pattern)),
        may("max_down", Form::Integer(1, u32::MAX)),
        may("essential", Form::Bool),
        may("system", Form::Bool),
    ],
);

pub(super) const PHASE: Table = of(
    "a phase",
    &[
        must("name", Form::Text, "name: storm"),
        FOR,
        may("rate", Form::Rate),
        may("faults", Form::List(&Form::Map(&CHANCE))),
        may("targets", Form::Map(&TARGETS)),
        may("budget", Form::Integer(1, u32::MAX)),
    ],
);

pub(super) const CHANCE: Table = of(
    "an item of `faults`",
    &[
        must("fault", Form::OneOf(&FAULTS), "fault: kill"),
        may("weight", Form::Integer(1, u32::MAX)),
    ],
);

pub(super) const ACT: Table = of(
    "an act",
    &[
        must("at", Form::Time, "at: 5s"),
        must("fault", Form::OneOf(&FAULTS), "fault: kill"),
        may("path", Form::Path),
    ],
);

pub(super) const FAULTS: Choice = Choice {
    what: "fault",
    all: &[
        of("kill", &[]),
        of("panic", &[]),
        of("error", &[]),
        of("hang", &[FOR]),
        of("busy", &[FOR]),
        of(
            "slow_start",
            &[must("by", Form::TimeAboveZero, "by: 1s"), FOR],
        ),
        of(
            "fail_start",
            &[must("times", Form::Integer(1, u32::MAX), "times: 2")],
        ),
        of("flood", &[FOR, may("message", Form::Any)]),
        of("drop", &[PERCENT, FOR]),
        of("delay", &[must("by", Form::TimeAboveZero, "by: 50ms"), FOR]),
        of("double", &[PERCENT, FOR]),
        of(
            "bad_swap",
            &[may("set", Form::Any), may("for", Form::TimeAboveZero)],
        ),
        of(
            "clock_jump",
            &[
                must("by", Form::TimeAboveZero, "by: 1h"),
                may("back", Form::Bool),
                FOR,
            ],
        ),
        of("memory", &[PERCENT, FOR]),
        of("disk_full", &[FOR]),
        of("sync_fails", &[FOR]),
        of("stop_process", &[FOR]),
        of("kill_process", &[]),
        of("kill_kernel", &[]),
        of("cut", &[NODE, FOR]),
        of(
            "cut_one_way",
            &[
                NODE,
                must(
                    "direction",
                    Form::Word(&["inbound", "outbound"]),
                    "direction: inbound",
                ),
                FOR,
            ],
        ),
        of(
            "slow_link",
            &[NODE, must("by", Form::TimeAboveZero, "by: 200ms"), FOR],
        ),
    ],
};

pub(super) const PROBES: Choice = Choice {
    what: "probe",
    all: &[
        of("permanent_up", &[WITHIN]),
        of(
            "ask",
            &[
                PATH,
                must("message", Form::Any, "message: { count: null }"),
                must("p99", Form::TimeAboveZero, "p99: 50ms"),
            ],
        ),
        of("goes_on", &[PATH, WITHIN]),
        of(
            "lag",
            &[
                must("stream", Form::Stream, "stream: sensor"),
                must("most", Form::Integer(0, u32::MAX), "most: 10000"),
            ],
        ),
        of(
            "memory",
            &[must(
                "most_mib",
                Form::Integer(1, u32::MAX),
                "most_mib: 512",
            )],
        ),
    ],
};
