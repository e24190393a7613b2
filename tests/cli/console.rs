//! The console over a pipe.

use crate::harness::{Folder, Rig};

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
