//! Completion through the binary and through the shells themselves.

use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use crate::harness::{Folder, Rig};

/// What is completed after these words, the last of them unfinished.
fn complete(folder: &Folder, words: &[&str]) -> Vec<String> {
    let said = folder.uk(&[&["__complete", "zsh", "uk"], words].concat());
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{words:?}");
    let values = said.out.lines().filter_map(|line| line.split('\t').next());
    values.map(str::to_owned).collect()
}

#[test]
fn paths_of_the_kernel_that_runs_are_completed_however_it_is_named() {
    let rig = Rig::boot();
    let socket = rig.socket();
    let socket = socket.to_str().unwrap();

    for named in [
        &[][..],
        &["--name", "rig"],
        &["--socket", socket],
        &["--name=rig"],
    ] {
        let words = [named, &["kill", "/group/"]].concat();
        assert_eq!(
            complete(&rig.folder, &words),
            ["/group/one", "/group/two"],
            "{named:?}"
        );
    }
    assert_eq!(complete(&rig.folder, &["--name", ""]), ["rig"]);
    rig.json(&["events", "publish", "sensor.lab.door", "1"]);
    for (words, expected) in [
        (&["events", "tail", "sensor.l"][..], "sensor.lab.door"),
        (&["events", "show", "sensor.audio"], "sensor.audio.*"),
        (
            &["events", "publish", "perception.user"],
            "perception.user_input",
        ),
        (&["streams", "read", "sens"], "sensor"),
    ] {
        assert_eq!(complete(&rig.folder, words), [expected], "{words:?}");
    }
    let said = rig.uk(&["__complete", "fish", "uk", "kill", "/a"]);
    assert_eq!(said.out, "/a\tprobe, running\n");
}

#[test]
fn without_a_kernel_there_are_no_paths_and_no_errors() {
    let folder = Folder::new();

    for words in [
        &["kill", "/"][..],
        &["--socket", "/nope/uk.sock", "kill", "/"],
        &["--name", "../up", "kill", "/"],
        &["--name", ""],
    ] {
        assert!(complete(&folder, words).is_empty(), "{words:?}");
    }
    assert_eq!(complete(&folder, &["kill", "--rea"]), ["--reason"]);
}

#[test]
fn a_kernel_that_never_answers_does_not_hold_up_a_completion() {
    let folder = Folder::new();
    let socket = folder.path().join("deaf.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let socket = socket.to_str().unwrap();
    // A command waits for ten seconds. It is asked first, so that the completion overtakes it.
    let mut patient = folder
        .command(&["--socket", socket, "tree"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let first = listener.accept().unwrap();

    let found = complete(&folder, &["--socket", socket, "kill", "/"]);

    // It has asked, and nobody has hung up on either of them.
    let second = listener.accept().unwrap();
    assert!(found.is_empty(), "{found:?}");
    assert!(
        patient.try_wait().unwrap().is_none(),
        "the completion waited as long as a command"
    );
    drop((first, second));
    patient.wait().unwrap();
}

/// Runs a script in a shell that finds `uk`, in the folder of a kernel; `None` where the shell is not installed.
fn in_shell(rig: &Rig, shell: &str, option: &str, script: &str) -> Option<String> {
    let uk = rig.folder.command(&[]);
    let bin = std::path::Path::new(uk.get_program()).parent().unwrap();
    let path = format!(
        "{}:{}",
        bin.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut command = Command::new(shell);
    command
        .args([option, "-c"])
        .arg(script)
        .env("PATH", path)
        .env("HOME", rig.folder.path());
    for (name, value) in uk.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(rig.folder.path()).stdin(Stdio::null());
    let output = match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skipped(shell);
            return None;
        }
        output => output.unwrap(),
    };
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{script}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[expect(clippy::print_stderr, reason = "says what is left out")]
fn skipped(shell: &str) {
    eprintln!("skipped: {shell} is not installed");
}

/// What is typed, and what the word at the cursor becomes.
const ROWS: &[(&str, &str)] = &[
    ("uk ki", "kill"),
    ("uk kill /group/o", "/group/one"),
    ("uk --name rig kill /group/o", "/group/one"),
    ("uk spawn sensor.h", "sensor.host"),
    ("uk spawn sensor.host --set ev", "every="),
    ("uk spawn probe --under /g", "/group"),
    ("uk which /g", "/group"),
    ("uk spawn probe --restart tr", "transient"),
    ("uk check --eff", "--effective"),
    ("uk check tre", "tree.yaml"),
];

/// The same where the shell takes an option and its value for one word.
const WHOLE_WORDS: &[(&str, &str)] = &[
    ("uk --name=r", "--name=rig"),
    ("uk --socket=tre", "--socket=tree.yaml"),
];

#[test]
fn bash_completes() {
    let rig = Rig::boot();
    for (line, expected) in ROWS
        .iter()
        .chain(&[("uk --name=r", "rig"), ("uk --socket=tre", "tree.yaml")])
    {
        let words = line.replace('=', " = ");
        let script = format!(
            r#"eval "$(uk completions bash)"
            COMP_WORDS=({words}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
            _uk uk "${{COMP_WORDS[COMP_CWORD]}}" ""
            printf '%s\n' "${{COMPREPLY[@]}}""#
        );
        let Some(said) = in_shell(&rig, "bash", "--norc", &script) else {
            return;
        };
        assert_eq!(said, format!("{expected}\n"), "{line}");
    }
}

#[test]
fn fish_completes() {
    let rig = Rig::boot();
    for (line, expected) in ROWS.iter().chain(WHOLE_WORDS) {
        let script = format!("uk completions fish | source; complete -C'{line}'");
        let Some(said) = in_shell(&rig, "fish", "--no-config", &script) else {
            return;
        };
        let values: Vec<&str> = said
            .lines()
            .filter_map(|line| line.split('\t').next())
            .collect();
        assert_eq!(values, [*expected], "{line}");
    }
}

#[test]
fn zsh_completes() {
    let rig = Rig::boot();
    for (line, expected) in ROWS.iter().chain(WHOLE_WORDS) {
        // A terminal of its own, in which the line is typed with a tab; then its text is written to a file.
        let setup = r#"
            autoload -Uz compinit && compinit -u -D
            eval "$(uk completions zsh)"
            show() { print -r -- "$BUFFER" > shown; BUFFER=exit; zle accept-line }
            zle -N show && bindkey '^X' show && unset zle_bracketed_paste && PS1=""
        "#;
        rig.folder.file("setup.zsh", setup);
        let script = format!(
            r#"zmodload zsh/zpty
            zpty typed zsh -f -i
            zpty -w typed 'source ./setup.zsh'
            zpty -w -n typed $'{line}\t\x18'
            while zpty -r typed > /dev/null; do :; done
            cat shown"#
        );
        let Some(said) = in_shell(&rig, "zsh", "-f", &script) else {
            return;
        };
        let last = said.trim_end().rsplit(' ').next();
        assert_eq!(last, Some(*expected), "{line}: {said}");
    }
}
