//! What is drawn again and again: `uk top` and `uk tree --watch`, and messages that are traced.

use serde_json::Value;

use crate::harness::{Rig, signal};
use crate::terminal::Terminal;

#[test]
fn top_is_sorted_by_keys_and_leaves_the_terminal_as_it_was() {
    let rig = Rig::boot();
    for _ in 0..3 {
        rig.json(&["kill", "/group/two"]);
    }
    let mut terminal = Terminal::run(
        &rig.folder,
        &["top", "/group", "--sort", "depth"],
        80,
        "xterm",
    );

    terminal.until("wait ▾");
    terminal.until("/group/one");
    terminal.until("/group/two");
    terminal.types("s");
    // Only what differs is drawn: the rows have changed places.
    terminal.until("two");
    terminal.types("q");

    assert_eq!(terminal.wait().code(), Some(0));
    assert!(terminal.is_as_it_was());
}

#[test]
fn whatever_ends_a_live_view_the_terminal_is_as_it_was() {
    for (ending, code) in [("ctrl-c", 0), ("signal", 0), ("kernel", 5)] {
        let rig = Rig::boot();
        let mut terminal = Terminal::run(&rig.folder, &["tree", "-w"], 40, "xterm");
        // Word by word: blanks are not drawn where there was nothing.
        terminal.until("normal");
        terminal.until("quits");

        match ending {
            "ctrl-c" => terminal.types("\x03"),
            "signal" => signal(terminal.process(), "TERM"),
            _ => rig.signal("KILL"),
        }

        assert_eq!(terminal.wait().code(), Some(code), "{ending}");
        assert!(terminal.is_as_it_was(), "{ending}");
    }
}

#[test]
fn a_dumb_terminal_gets_plain_frames() {
    let rig = Rig::boot();
    for args in [&["tree", "--watch"][..], &["top"]] {
        let mut terminal = Terminal::run(&rig.folder, args, 80, "dumb");

        let first = terminal.until("slow");
        terminal.until("rig · normal");
        assert!(!first.contains('\x1b'), "{first:?}");
        terminal.types("\x03");

        assert_eq!(terminal.wait().code(), Some(0), "{args:?}");
    }
}

/// Asks an actor again and again, until the file has a line that is as wanted; returns all its lines.
fn until_traced(rig: &Rig, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    for _ in 0..2_000 {
        rig.uk(&["ask", "/a", r#"{"echo": 1}"#]);
        let text = rig.folder.text("traced");
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines: Vec<Value> = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        if lines.iter().any(&wanted) {
            return lines;
        }
    }
    panic!("it was never traced: {}", rig.folder.text("traced"));
}

#[test]
fn a_trace_shows_each_message_follows_the_actor_and_ends_by_itself() {
    let rig = Rig::boot();
    let args = ["trace", "/a", "--limit", "2000", "--for", "1h", "--json"];
    let out = std::fs::File::create(rig.folder.path().join("traced")).unwrap();
    let mut trace = rig.folder.command(&args).stdout(out).spawn().unwrap();

    let lines = until_traced(&rig, |line| line["message"] == "echo");
    assert_eq!(
        (&lines[0]["outcome"], &lines[0]["lane"]),
        (&"done".into(), &"normal".into())
    );
    rig.json(&["tell", "/a", r#"{"panic": "ouch"}"#]);
    let lines = until_traced(&rig, |line| line["incarnation"] == 2);
    let panic = lines
        .iter()
        .find(|line| line["message"] == "panic")
        .unwrap();
    assert_eq!(panic["outcome"], "panic");
    // Suspended and resumed, it is still traced.
    rig.json(&["suspend", "/a"]);
    rig.json(&["resume", "/a"]);
    let seen = rig.folder.text("traced").lines().count();
    rig.json(&["tell", "/a", r#"{"count": null}"#]);
    let lines = until_traced(&rig, |line| line["message"] == "count");
    assert!(lines.len() > seen, "{lines:?}");

    trace.kill().unwrap();
    trace.wait().unwrap();
    assert_eq!(rig.uk(&["ask", "/a", r#"{"echo": 1}"#]).code, 0);
}

#[test]
fn a_trace_has_a_limit_and_says_which() {
    let rig = Rig::boot();
    let args = ["trace", "/a", "--limit", "1", "--for", "1h", "--json"];
    let out = std::fs::File::create(rig.folder.path().join("traced")).unwrap();
    let mut trace = rig.folder.command(&args).stdout(out).spawn().unwrap();

    let lines = until_traced(&rig, |line| line["ended"] == "limit");

    assert_eq!(trace.wait().unwrap().code(), Some(0));
    assert_eq!((lines.len(), &lines[0]["message"]), (2, &"echo".into()));
    let said = rig.uk(&["trace", "--topic", "sensor.*", "--for", "1ms"]);
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    for (args, why) in [
        (&["trace"][..], "nothing is named"),
        (&["trace", "/a", "--topic", "x"], "are given both"),
        (&["trace", "/group"], "is a supervisor"),
        (&["trace", "/a", "--for", "2h"], "2h is not 0ms to 1h"),
    ] {
        let said = rig.uk(args);
        assert_eq!(said.out, "", "{said:?}");
        assert!(said.code == 2 && said.err.contains(why), "{said:?}");
    }
}

#[test]
fn what_keeps_threads_busy_is_timed_only_while_somebody_looks() {
    let rig = Rig::boot();
    let busy = |args: &[&str]| {
        rig.uk(&["ask", "/a", r#"{"echo": 1}"#]);
        rig.json(args)["tree"]["mailbox"]["busy_us"]
            .as_u64()
            .unwrap()
    };

    assert_eq!(busy(&["tree", "/a"]), 0);
    assert_eq!(busy(&["tree", "/a"]), 0);
    let mut looks = (0..2_000).map(|_| busy(&["tree", "/a", "--timed", "1h"]));

    assert!(looks.any(|busy| busy > 0));
    let handled = &rig.json(&["tree", "/a"])["tree"]["mailbox"]["handled"];
    assert!(handled.as_u64() >= Some(3), "{handled}");
}
