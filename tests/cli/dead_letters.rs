//! `uk dlq` as people use it.

use serde_json::json;

use crate::harness::Rig;

/// Has `/a` crash so often; returns once all are listed.
fn letters(rig: &Rig, count: usize) {
    for number in 1..=count {
        let message = json!({ "crash": format!("ouch {number}") }).to_string();
        rig.json(&["tell", "/a", &message]);
    }
    rig.until(&["dlq", "list"], |list| {
        list["letters"].as_array().unwrap().len() == count
    });
}

#[test]
fn letters_are_listed_sent_again_and_dropped() {
    let rig = Rig::boot();
    letters(&rig, 4);

    let none = rig.uk(&["dlq", "list", "--path", "/b"]).out;
    assert!(none.contains("4 dead letters; none to show"), "{none}");
    let none = rig.json(&["dlq", "list", "--reason", "expired"]);
    assert_eq!(none["letters"], json!([]));
    assert!(rig.uk(&["tree"]).out.contains("4 dead letters"));

    let sent = rig.json(&["dlq", "retry", "2", "1", "2", "--to", "/b"]);
    assert_eq!((&sent["retried"], &sent["refused"]), (&json!(2), &json!(0)));
    let listed = rig.until(&["dlq", "list", "--path", "/b"], |list| {
        list["letters"].as_array().unwrap().len() == 2
    });
    assert_eq!(listed["kept"], 4);
    let dropped = rig.uk(&["dlq", "drop", "3"]);
    assert_eq!(
        (dropped.code, dropped.out.as_str()),
        (0, "dropped 1 dead letter\n")
    );
    let old = rig.json(&["dlq", "drop", "--all", "--before", "1h"]);
    assert_eq!(old["dropped"], 0);
    let rest = rig.json(&["dlq", "drop", "--all", "--path", "/b"]);
    assert_eq!(rest["dropped"], 2);
    assert_eq!(rig.json(&["dlq", "list"])["kept"], 1);
}

#[test]
fn letters_and_what_became_of_them_outlive_the_kernel() {
    let mut rig = Rig::boot();
    letters(&rig, 3);
    rig.json(&["dlq", "drop", "2"]);
    rig.json(&["shutdown"]);
    rig.wait();

    rig.process = Rig::spawn(&rig.folder, &[]);
    let rig = rig.until_booted();
    rig.json(&["tell", "/b", r#"{"crash": "later"}"#]);
    let listed = rig.until(&["dlq", "list"], |list| {
        list["letters"].as_array().unwrap().len() == 3
    });

    let numbers: Vec<_> = listed["letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| (letter["id"].as_u64().unwrap(), letter["path"].clone()))
        .collect();
    let expected = [(4, json!("/b")), (3, json!("/a")), (1, json!("/a"))];
    assert_eq!(numbers, expected);
    assert_eq!((&listed["total"], &listed["kept"]), (&json!(1), &json!(3)));
    let letter = rig.json(&["dlq", "show", "3"]);
    assert_eq!(letter["letter"]["message"], json!({ "crash": "ouch 3" }));
}

#[test]
fn what_cannot_be_sent_again_stays_and_says_why() {
    let rig = Rig::boot();
    letters(&rig, 2);
    rig.json(&["stop", "/b"]);

    let down = rig.uk(&["dlq", "retry", "--all", "--to", "/b"]);
    assert_eq!(down.code, 1, "{down:?}");
    assert!(
        down.out.contains("sent 0 dead letters again; 2 stay"),
        "{down:?}"
    );
    assert!(
        down.out.contains("not running") && down.out.contains("uk why /b"),
        "{down:?}"
    );
    let gone = rig.uk(&["dlq", "retry", "1", "--to", "/c"]);
    assert!(
        gone.code == 1 && gone.out.contains("there is no `/c`"),
        "{gone:?}"
    );
    let misfit = rig.uk(&["dlq", "retry", "1", "--message", r#"{"shout": 1}"#]);
    assert!(
        misfit.code == 1 && misfit.out.contains("expected"),
        "{misfit:?}"
    );
    assert_eq!(rig.json(&["dlq", "list"])["kept"], 2);
}

#[test]
fn what_is_typed_wrongly_says_what_would_be_right() {
    let rig = Rig::boot();
    letters(&rig, 1);

    for (args, code, said, hint) in [
        (&["retry"][..], 2, "no letter is named", "--all"),
        (&["drop"], 2, "no letter is named", "--all"),
        (
            &["retry", "one"],
            2,
            "`one` is not the number",
            "first column",
        ),
        (
            &["drop", "1", "--all"],
            2,
            "letters are named, and --all is given",
            "narrows",
        ),
        (
            &["drop", "1", "--before", "1h"],
            2,
            "--before is given",
            "narrows",
        ),
        (
            &["drop", "--all", "--before", "soon"],
            2,
            "`soon` is not a time",
            "2h",
        ),
        (
            &["retry", "1", "9"],
            4,
            "there is no dead letter 9",
            "uk dlq list",
        ),
        (
            &["retry", "--all", "--message", "count"],
            2,
            "goes with one letter",
            "number",
        ),
        (&["list", "--reason", "boredom"], 2, "boredom", "gave_up"),
    ] {
        let typed = rig.uk(&[&["dlq"], args].concat());
        assert_eq!(typed.code, code, "{args:?}: {typed:?}");
        assert!(
            typed.err.contains(said) && typed.err.contains(hint),
            "{args:?}: {typed:?}"
        );
    }
    assert_eq!(rig.json(&["dlq", "list"])["kept"], 1);
}
