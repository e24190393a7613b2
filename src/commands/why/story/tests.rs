use tokio::time::Instant;
use unity_supervisors::ExitReason;
use unity_supervisors::clock::Timestamp;

use super::*;

/// An exit: so many milliseconds after the first one, whose, why, and what was done.
type Row<'a> = (u64, &'a str, ExitReason, Response);

fn error(text: &str) -> ExitReason {
    ExitReason::error(text)
}

fn gave_up() -> ExitReason {
    ExitReason::with_text(ExitKind::GaveUp, "more than 1 restart")
}

/// The stories of `rows` below a `/group` that is `one_for_all`, each as its cause and the parts with their paths.
fn told(rows: &[Row<'_>]) -> Vec<String> {
    let begin = Instant::now();
    let exits = rows.iter().map(|(ms, path, reason, response)| Exit {
        path: path.parse().unwrap(),
        record: ExitRecord {
            at: Timestamp::from_unix_ms(*ms),
            when: begin + Duration::from_millis(*ms),
            incarnation: 1,
            failed_start: reason.text.as_deref() == Some("no device"),
            reason: reason.clone(),
            in_hand: None,
            response: response.clone(),
            ladder: None,
        },
    });
    let stories = stories(exits.collect(), |parent| parent.as_str() == "/group");
    let tell = |story: &Story| {
        let parts = story
            .exits
            .iter()
            .map(|(part, exit)| format!("{part:?} {}", exit.path));
        parts.collect::<Vec<_>>().join(", ")
    };
    stories.iter().map(tell).collect()
}

/// What is shown, the exits, and the stories that they make.
type Case<'a> = (&'a str, &'a [Row<'a>], &'a [&'a str]);

fn check(cases: &[Case<'_>]) {
    for (what, exits, expected) in cases {
        assert_eq!(told(exits), *expected, "{what}");
    }
}

#[test]
fn one_cause_is_one_story() {
    use Response::{Backoff, Restarted};
    let rows: &[Case<'_>] = &[
        (
            "the same again, and another reason",
            &[
                (0, "/a", error("x"), Restarted),
                (50_000, "/a", error("x"), Restarted),
                (51_000, "/a", error("y"), Restarted),
                (200_000, "/a", error("y"), Restarted),
            ],
            &["Cause /a, Again /a", "Cause /a", "Cause /a"],
        ),
        (
            "a pause and a start that fails belong to it",
            &[
                (0, "/a", error("unplugged"), Backoff { pause_ms: 100_000 }),
                (100_001, "/a", error("no device"), Backoff { pause_ms: 1 }),
            ],
            &["Cause /a, Again /a"],
        ),
        (
            "two at the same time for reasons of their own",
            &[
                (0, "/a", error("x"), Restarted),
                (1, "/b", error("y"), Restarted),
            ],
            &["Cause /a", "Cause /b"],
        ),
        (
            "a link ends both for one reason",
            &[
                (0, "/a", error("x"), Restarted),
                (1, "/m/b", error("x"), Restarted),
            ],
            &["Cause /a, Linked /m/b"],
        ),
        (
            "a killed one without a reason is linked to nobody",
            &[
                (0, "/a", ExitReason::killed(), Restarted),
                (1, "/b", ExitReason::killed(), Restarted),
            ],
            &["Cause /a", "Cause /b"],
        ),
    ];
    check(rows);
}

#[test]
fn what_goes_down_together_is_one_story() {
    use Response::{GaveUp, LeftDown, Restarted, Stopped};
    let rows: &[Case<'_>] = &[
        (
            "a grandchild that takes two supervisors with it",
            &[
                (0, "/arm/hand/finger", error("x"), Restarted),
                (10, "/arm/hand/finger", error("x"), GaveUp),
                (11, "/arm/hand/thumb", ExitReason::shutdown(), Stopped),
                (12, "/arm/hand", gave_up(), GaveUp),
                (13, "/arm/elbow", ExitReason::shutdown(), Stopped),
                (14, "/arm", gave_up(), Restarted),
                (20, "/arm/hand/finger", error("x"), Restarted),
            ],
            &[
                "Cause /arm/hand/finger, Again /arm/hand/finger, Along /arm/hand/thumb, Above /arm/hand, \
               Along /arm/elbow, Above /arm, Again /arm/hand/finger",
            ],
        ),
        (
            "a supervisor that is killed ends after those below",
            &[
                (0, "/arm/hand/finger", ExitReason::shutdown(), Stopped),
                (1, "/arm", ExitReason::killed(), Restarted),
            ],
            &["Along /arm/hand/finger, Cause /arm"],
        ),
        (
            "a group that is stopped together",
            &[
                (0, "/group/a", error("x"), Restarted),
                (1, "/group/b", ExitReason::shutdown(), Stopped),
                (2, "/b", ExitReason::shutdown(), Stopped),
            ],
            &["Cause /group/a, Along /group/b"],
        ),
        (
            "what a person stops, or what is done, is no story",
            &[
                (0, "/a", ExitReason::shutdown(), Stopped),
                (1, "/b", ExitReason::normal(), LeftDown),
                (30_000, "/c", error("x"), Restarted),
            ],
            &["Cause /c"],
        ),
    ];
    check(rows);
}

#[test]
fn a_story_knows_its_cause_its_end_and_whom_it_is_about() {
    let begin = Instant::now();
    let exit = |path: &str, response| Exit {
        path: path.parse().unwrap(),
        record: ExitRecord {
            at: Timestamp::from_secs(0),
            when: begin,
            incarnation: 1,
            failed_start: false,
            reason: error("x"),
            in_hand: None,
            response,
            ladder: None,
        },
    };
    let story = Story {
        exits: vec![
            (Part::Along, exit("/arm/b", Response::Stopped)),
            (Part::Cause, exit("/arm/a", Response::GaveUp)),
            (Part::Above, exit("/arm", Response::Restarted)),
            (Part::Along, exit("/arm/c", Response::Stopped)),
        ],
    };

    assert_eq!(story.cause().unwrap().path.as_str(), "/arm/a");
    assert_eq!(story.last().unwrap().path.as_str(), "/arm");
    for (path, is_about) in [
        ("/arm", true),
        ("/arm/c", true),
        ("/", true),
        ("/arm/d", false),
    ] {
        assert_eq!(story.touches(&path.parse().unwrap()), is_about, "{path}");
    }
}
