//! The console: over a pipe, with a line as an argument, and on a terminal.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Folder, Rig, signal};
use crate::terminal::Terminal;

#[test]
fn a_console_runs_lines_and_quitting_it_stops_nothing() {
    let rig = Rig::boot();

    let lines = "# a comment\n\ntree /a\nask /a {\"echo\": {\"x\": 1}} --timeout 2s\nkill /a --reason 'a b'\nexit\nkill /b\n";
    let said = rig.folder.uk_with_input(&["console"], lines);

    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.starts_with("rig · normal"), "{said:?}");
    assert!(said.out.contains("\"x\": 1") && said.out.contains("/a killed"));
    assert!(!said.out.contains("/b killed") && !said.out.contains("rig>"));
    assert_eq!(
        rig.json(&["why", "/a"])["exits"][0]["reason"]["text"],
        "a b"
    );
}

#[test]
fn a_piped_console_stops_at_the_first_error_with_its_code() {
    let rig = Rig::boot();

    for (line, code) in [
        ("kill /nope", 4),
        ("kil /a", 2),
        ("tell /a 'x", 2),
        ("console", 2),
        ("run", 2),
    ] {
        let said = rig
            .folder
            .uk_with_input(&["console"], &format!("{line}\ntree\n"));
        assert_eq!(said.code, code, "{said:?}");
        assert_eq!(said.out, "", "{said:?}");
    }
}

#[test]
fn a_leading_uk_is_passed_over() {
    let rig = Rig::boot();

    let said = rig
        .folder
        .uk_with_input(&["console"], "uk tree /a\nuk kil /a\n");

    assert!(said.out.starts_with("rig · normal"), "{said:?}");
    assert!(said.err.contains("'kil'"), "{said:?}");
}

#[test]
fn the_console_has_the_same_help() {
    let rig = Rig::boot();

    let said = rig.folder.uk_with_input(&["console"], "help\nhelp kill\n");

    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("why") && said.out.contains("Kill an actor"));
}

#[test]
fn a_console_that_loses_its_kernel_says_so() {
    let rig = Rig::boot();

    let said = rig.folder.uk_with_input(&["console"], "shutdown\ntree\n");

    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.err.contains("no kernel is running at"), "{said:?}");
    assert_eq!(Folder::new().uk_with_input(&["console"], "tree\n").code, 5);
}

#[test]
fn a_line_as_an_argument_is_run_up_to_its_first_error() {
    let rig = Rig::boot();

    let said = rig
        .folder
        .uk(&["console", "-e", "tree /a; cd group; kill one; which ."]);

    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.starts_with("rig · normal"), "{said:?}");
    assert!(said.out.contains("/group/one killed"), "{said:?}");
    assert!(said.out.contains("/group/two"), "{said:?}");
    let said = rig.folder.uk(&["console", "-e", "kill /nope; tree"]);
    assert_eq!((said.code, said.out.as_str()), (4, ""));
}

#[test]
fn paths_are_meant_from_where_one_is() {
    let rig = Rig::boot();

    let lines = "cd group\nstop one\nstart $_\ntell ../a {\"echo\": 1} # why not\ntree\ncd ..\ncd nope\ncd /\n";
    let said = rig.folder.uk_with_input(&["console"], lines);

    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.out.contains("/group/one stopped"), "{said:?}");
    assert!(said.out.contains("/group/one started"), "{said:?}");
    assert!(said.out.contains("told /a\n"), "{said:?}");
    assert!(said.out.contains("\n/group"), "{said:?}");
    assert!(said.err.contains("`/nope`"), "{said:?}");
    let said = rig.folder.uk_with_input(&["console"], "kill $_\n");
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("no path was named yet"), "{said:?}");
}

#[test]
fn only_what_reads_can_be_watched() {
    let rig = Rig::boot();

    for (line, why) in [
        ("watch kill /a", "changes something"),
        ("watch events tail '*'", "goes on by itself"),
        ("watch check tree.yaml", "does not ask the kernel"),
        ("watch cd /a", "no command that reads"),
    ] {
        let said = rig.folder.uk(&["console", "-e", line]);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}");
        assert!(said.err.contains(why), "{said:?}");
    }
}

#[test]
fn on_a_terminal_tab_completes_and_notices_stand_above_the_prompt() {
    let rig = Rig::boot();
    let mut terminal = Terminal::run(&rig.folder, &["console"], 80, "xterm");

    terminal.until("rig:/> ");
    terminal.types("cd gr\t\r");
    terminal.until("rig:/group> ");
    terminal.types("kill on\t\r");
    terminal.until("/group/one killed");
    terminal.until("rig:/group> ");
    terminal.types("half a line");
    terminal.until("half a line");
    rig.json(&["tell", "/b", r#"{"panic": "ouch"}"#]);
    terminal.until("/b crashed (panic: ouch): restarted");
    // What was begun is still there, and is given up.
    terminal.until("half a line");
    terminal.types("\x03");
    terminal.until("\r\n");
    terminal.until("rig:/group> ");
    terminal.types("tell ../a {\"ec\t");
    terminal.until("{\"echo\": null}");
    terminal.types("\x03");
    terminal.until("\r\n");
    terminal.until("rig:/group> ");
    terminal.types("tree\r");
    terminal.until("rig · normal");
    terminal.until("rig:/group> ");
    terminal.types("exit\r");

    assert_eq!(terminal.wait().code(), Some(0));
    assert!(terminal.is_as_it_was());
}

#[test]
fn what_was_typed_is_kept_for_its_owner_without_secrets() {
    let rig = Rig::boot();
    let mut terminal = Terminal::run(&rig.folder, &["console"], 80, "xterm");

    terminal.until("rig:/> ");
    terminal.types("tree /a\r");
    terminal.until("rig · normal");
    terminal.until("rig:/> ");
    terminal.types("tell /a {\"echo\": \"token=abc\"}\r");
    terminal.until("told /a");
    terminal.until("rig:/> ");
    terminal.types("\x04");
    assert_eq!(terminal.wait().code(), Some(0));

    let file = rig.folder.path().join("unity-kernel/rig/console_history");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "tree /a\n");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut terminal = Terminal::run(&rig.folder, &["console"], 80, "xterm");
    terminal.until("rig:/> ");
    terminal.types("\x1b[A\r");
    terminal.until("rig · normal");
}

#[test]
fn ctrl_c_ends_what_runs_and_not_the_console() {
    let rig = Rig::boot();
    rig.json(&["suspend", "/a"]);
    for (waiting, term) in [(1, "xterm"), (2, "dumb")] {
        let mut terminal = Terminal::run(&rig.folder, &["console"], 80, term);

        terminal.until("rig:/> ");
        terminal.types("ask /a {\"echo\": 1} --timeout 60s\r");
        rig.until(&["tree", "/a"], |tree| {
            tree["tree"]["mailbox"]["depth"] == waiting
        });
        terminal.types("\x03");
        terminal.until("interrupted");
        terminal.until("rig:/> ");
        terminal.types("tree /b\r");
        terminal.until("rig · normal");
        terminal.until("rig:/> ");
        terminal.types("exit\r");
        assert_eq!(terminal.wait().code(), Some(0), "{term}");
        assert!(terminal.is_as_it_was());
    }
}

#[test]
fn losing_the_kernel_ends_no_console_that_is_typed_in() {
    let mut rig = Rig::boot();
    for term in ["xterm", "dumb"] {
        let mut terminal = Terminal::run(&rig.folder, &["console"], 80, term);
        terminal.until("rig:/> ");

        rig.signal("TERM");
        assert_eq!(rig.wait().code(), Some(0));
        terminal.types("tree\r");
        terminal.until("no kernel is running at");
        terminal.until("rig:/> ");
        rig.process = Rig::spawn(&rig.folder, &[]);
        rig.until(&["tree"], |tree| tree["mode"] != "booting");
        terminal.types("tree /a\r");
        terminal.until("rig · normal");
        terminal.until("rig:/> ");
        terminal.types("exit\r");

        assert_eq!(terminal.wait().code(), Some(0), "{term}");
    }
}

#[test]
fn a_narrow_terminal_leaves_room_to_type() {
    let rig = Rig::boot();
    let mut terminal = Terminal::run(&rig.folder, &["console"], 20, "xterm");

    terminal.until("rig:/> ");
    terminal.types("cd group/one\r");
    terminal.until("…/one> ");
    terminal.types("kill .\r");
    terminal.until("killed");
    terminal.until("…/one> ");
    terminal.types("\x04");

    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn a_signal_that_ends_the_console_leaves_the_terminal_as_it_was() {
    let rig = Rig::boot();
    let mut terminal = Terminal::run(&rig.folder, &["console"], 80, "xterm");
    terminal.until("rig:/> ");
    assert!(!terminal.is_as_it_was(), "a line is edited");

    signal(terminal.process(), "TERM");

    assert_eq!(terminal.wait().code(), Some(143));
    assert!(terminal.is_as_it_was());
}
