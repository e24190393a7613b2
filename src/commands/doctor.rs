//! `uk doctor`: whether what a kernel stands on is sound; with `--bundle` all that a running kernel knows, in a file.

use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use rustix::fs::{Access, access};
use serde_json::{Value, json};

use super::Command;
use crate::arguments::{Arg, ArgKind, Args};
use crate::bundle::{self, Cause};
use crate::cli::{Caller, block_on};
use crate::error::{Code, CommandError, EXIT_DIFFERENCE};
use crate::screen::{Line, Screen, Tone, list, text};
use crate::socket;

pub(super) const COMMAND: Command = Command {
    about: "Check what a kernel stands on; with --bundle write down all it knows",
    help: "A bundle is one JSON file: tree, histories, settings without secrets, the last events, counts of dead \
           letters, versions, the machine. `uk why --bundle FILE` reads it anywhere. A kernel writes one by itself when it \
           enters safe mode or gives up, its guard when it dies; the last 8 are kept in the data folder. \
           Exit code 9 if a check is false.\n\n\
           Examples: uk doctor, uk doctor --bundle, uk doctor --bundle crash.json",
    args: &[
        Arg::optional(
            "file",
            ArgKind::File,
            "where to; else into the kernel's data folder",
        )
        .stays(),
        Arg::for_client("bundle", "write a bundle of the running kernel"),
    ],
    show,
    exit: |document| {
        let is_bad = |check: &Value| check.get("ok") == Some(&Value::Bool(false));
        if list(document, "checks").iter().any(is_bad) {
            EXIT_DIFFERENCE
        } else {
            0
        }
    },
    attend: Some(attend),
    ..Command::reading(&["doctor"], |kernel, _| {
        async move {
            let cause = Cause {
                kind: "asked",
                text: "`uk doctor --bundle`".to_owned(),
            };
            Ok(bundle::of_kernel(&kernel, &cause))
        }
        .boxed()
    })
};

fn attend(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let file = args.text("file").map(PathBuf::from);
    match (args.flag("bundle"), file) {
        (true, file) => write(caller, args, file),
        (false, None) => caller.print(&COMMAND, &check(caller)),
        (false, Some(file)) => Err(CommandError::usage(format!(
            "`{}` is a file, and only a bundle goes into one",
            file.display()
        ))
        .hint(format!("write `uk doctor --bundle {}`", file.display()))),
    }
}

fn write(caller: &Caller, args: &Args, file: Option<PathBuf>) -> Result<u8, CommandError> {
    let client = caller.kernel()?;
    let document = block_on(client.call(&COMMAND, args))??;
    let written = match file {
        Some(file) => bundle::write(&file, &document).map(|()| file),
        None => {
            let folder = document.pointer("/boot/data_dir").and_then(Value::as_str);
            bundle::store(folder.unwrap_or(".").as_ref(), &document)
        }
    };
    let file = written.map_err(|error| {
        CommandError::new(Code::Failed, format!("cannot write {error}"))
            .hint("name a file that can be written, as in `uk doctor --bundle /tmp/crash.json`")
    })?;
    caller.print(
        &COMMAND,
        &json!({ "version": 1, "bundle": file.display().to_string() }),
    )
}

/// What commonly fails, and whether it would now.
fn check(caller: &Caller) -> Value {
    let running = socket::running();
    let name = caller
        .name
        .clone()
        .or_else(|| running.first().map(|held| held.name.clone()));
    let data = caller.data_dir.clone();
    let data = data.unwrap_or_else(|| socket::data_folder(name.as_deref().unwrap_or("kernel")));
    let sockets = socket::check_folder();
    let shell = Path::new("/bin/sh").exists();
    let checks = [
        json!({
            "name": "sockets", "ok": sockets.is_ok(), "what": socket::folder().display().to_string(),
            "hint": sockets.err().map(|error| format!("{error}; set XDG_RUNTIME_DIR to a folder of yours")),
        }),
        json!({
            "name": "data", "ok": is_writable(&data), "what": data.display().to_string(),
            "hint": "make it writable, or name another with --data-dir",
        }),
        json!({
            "name": "shell", "ok": shell, "what": "/bin/sh",
            "hint": "children of kind `process` need it: it ends them if the kernel dies",
        }),
    ];
    let kernels = running.iter().map(|held| {
        json!({ "name": held.name, "pid": held.pid, "socket": held.socket.display().to_string() })
    });
    let bundles = bundle::stored(&data).into_iter();
    json!({
        "version": 1,
        "versions": bundle::versions(),
        "checks": checks,
        "kernels": kernels.collect::<Vec<_>>(),
        "bundles": bundles.map(|file| file.display().to_string()).collect::<Vec<_>>(),
    })
}

/// Whether the folder, or the nearest above it that is there, can be written to.
fn is_writable(folder: &Path) -> bool {
    let there = folder.ancestors().find(|folder| folder.exists());
    there.is_some_and(|folder| folder.is_dir() && access(folder, Access::WRITE_OK).is_ok())
}

fn show(document: &Value, screen: &Screen) -> String {
    if document.get("bundle").is_some() {
        let file = text(document, "bundle");
        return format!("wrote {file}\nnext: uk why --bundle {file}\n");
    }
    let mut out = String::new();
    let mut row = |tone: Tone, sign: &str, name: &str, what: &str| {
        let mut line = Line::new();
        line.push(tone, sign);
        line.push(Tone::Plain, &format!(" {name}"));
        line.pad_to(12);
        line.push(Tone::Plain, what);
        out.push_str(&line.wrap(screen, 12));
    };
    let versions = document.get("versions").unwrap_or(&Value::Null);
    let version = ["uk", "rustc", "os", "kernel"].map(|key| text(versions, key));
    let [uk, rustc, os, kernel] = version;
    row(
        Tone::Good,
        "✓",
        "versions",
        &format!("uk {uk}, {rustc}; {os}, Linux {kernel}"),
    );
    for check in list(document, "checks") {
        let (name, what) = (text(check, "name"), text(check, "what"));
        if check.get("ok") == Some(&Value::Bool(true)) {
            row(Tone::Good, "✓", name, what);
        } else {
            row(Tone::Bad, "✗", name, what);
            row(Tone::Plain, " ", "", text(check, "hint"));
        }
    }
    for kernel in list(document, "kernels") {
        let pid = kernel
            .get("pid")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        row(
            Tone::Plain,
            "·",
            "kernel",
            &format!(
                "{} runs (pid {pid}, {})",
                text(kernel, "name"),
                text(kernel, "socket")
            ),
        );
    }
    for file in list(document, "bundles") {
        row(
            Tone::Plain,
            "·",
            "bundle",
            file.as_str().unwrap_or_default(),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_as_writable_as_the_one_above_it() {
        let folder = std::env::temp_dir();

        assert!(is_writable(&folder.join("not/there/yet")));
        assert!(!is_writable(Path::new("/proc/self/status/x")));
        assert!(!is_writable(Path::new("/proc/sys/x")) || rustix::process::geteuid().is_root());
    }
}
