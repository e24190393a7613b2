//! What is drawn again and again: `uk top` and `uk tree --watch`.

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
