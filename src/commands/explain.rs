//! `uk explain`: what a code of a fault or a warning means, and how it is mended.

use serde_json::{Value, json};

use super::Command;
use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::Caller;
use crate::error::{Code as Failure, CommandError};
use crate::nearest::nearest;
use crate::screen::{Line, Screen, Tone, list, text, wrapped_table};
use crate::tree_file::Code;
use crate::tree_file::explain::{MAIN, Part, explain};

pub(super) const COMMAND: Command = Command {
    about: "What a fault or a warning of a tree file means, with an example",
    help: "Without a code it lists all of them.\n\n\
           Example: uk explain UK0304",
    args: &[Arg::optional(
        "code",
        ArgKind::Code,
        "a code, as in error[UK0201]; upper or lower case",
    )],
    show,
    ..Command::local(&["explain"], run)
};

fn run(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let document = match args.text("code") {
        Some(written) => one(find(written)?),
        None => json!({
            "version": 1,
            "codes": Code::ALL.iter().map(|code| head(*code)).collect::<Vec<_>>(),
        }),
    };
    caller.print(&COMMAND, &document)
}

/// The code that was written, perhaps as `uk0201`, `0201`, `201` or `error[UK0201]`.
fn find(written: &str) -> Result<Code, CommandError> {
    let bare = written.to_ascii_uppercase();
    let bare = bare.split_once('[').map_or(bare.as_str(), |(_, code)| code);
    let digits = bare.trim_end_matches([']', ':']).trim_start_matches("UK");
    let wanted = format!("UK{digits:0>4}");
    let found = Code::ALL.iter().find(|code| code.as_str() == wanted);
    found.copied().ok_or_else(|| {
        let codes = Code::ALL.iter().map(|code| code.as_str());
        let hint = match nearest(&wanted, codes) {
            Some(near) => format!("did you mean `{near}`? `uk explain` lists all codes"),
            None => "`uk explain` lists all codes".to_owned(),
        };
        CommandError::new(Failure::NotFound, format!("there is no code `{written}`")).hint(hint)
    })
}

fn head(code: Code) -> Value {
    let level = if code.is_warning() {
        "warning"
    } else {
        "error"
    };
    json!({ "code": code.as_str(), "level": level, "meaning": code.meaning() })
}

/// `wrong` and `mended` are lists of files, the main one first.
fn one(code: Code) -> Value {
    let mut document = head(code);
    let parts = explain(code);
    let files = |is_wrong: bool| -> Vec<Value> {
        let of = parts.iter().filter_map(|part| match part {
            Part::File(example) if example.is_wrong == is_wrong => Some(example),
            _ => None,
        });
        of.map(|example| json!({ "file": example.file, "text": example.text }))
            .collect()
    };
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) | Part::Picture(text) => Some(text.trim_end_matches('\n')),
        Part::File(_) => None,
    });
    if let Some(object) = document.as_object_mut() {
        let text = texts.collect::<Vec<_>>().join("\n\n");
        object.insert("version".to_owned(), json!(1));
        object.insert("text".to_owned(), json!(text));
        object.insert("wrong".to_owned(), json!(files(true)));
        object.insert("mended".to_owned(), json!(files(false)));
    }
    document
}

fn show(document: &Value, screen: &Screen) -> String {
    let code = Code::ALL
        .iter()
        .find(|code| code.as_str() == text(document, "code"));
    match code {
        Some(code) => show_one(*code, screen),
        None => show_all(document, screen),
    }
}

fn tone(level: &str) -> Tone {
    match level {
        "warning" => Tone::Warn,
        _ => Tone::Bad,
    }
}

fn show_all(document: &Value, screen: &Screen) -> String {
    let row = |code: &Value| {
        let cell = |key: &str| text(code, key).to_owned();
        vec![
            (tone(text(code, "level")), cell("code")),
            (Tone::Dim, cell("level")),
            (Tone::Plain, cell("meaning")),
        ]
    };
    let rows: Vec<_> = list(document, "codes").iter().map(row).collect();
    let mut hint = Line::new();
    hint.push(
        Tone::Plain,
        "`uk explain CODE` says more about one, with an example",
    );
    format!("{}\n{}", wrapped_table(&rows, screen), hint.wrap(screen, 0))
}

fn show_one(code: Code, screen: &Screen) -> String {
    let mut title = Line::new();
    let level = if code.is_warning() {
        "warning"
    } else {
        "error"
    };
    title.push(tone(level), &format!("{level}[{}]", code.as_str()));
    title.push(Tone::Bold, &format!(": {}", code.meaning()));
    let mut out = title.wrap(screen, 2);
    // Prose is hard to read in longer lines.
    let page = Screen {
        width: screen.width.min(78),
        ..*screen
    };
    let mut side = None;
    for part in explain(code) {
        out.push('\n');
        match part {
            Part::Text(text) => {
                let mut line = Line::new();
                line.push(Tone::Plain, text);
                out.push_str(&line.wrap(&page, 0));
            }
            Part::Picture(text) => out.push_str(&indented(text)),
            Part::File(example) => {
                if side.replace(example.is_wrong) != Some(example.is_wrong) {
                    let heading = if example.is_wrong { "Wrong" } else { "Mended" };
                    out.push_str(&format!("{}\n\n", screen.paint(Tone::Bold, heading)));
                }
                if example.file != MAIN {
                    out.push_str(&format!("  {}\n\n", screen.paint(Tone::Dim, example.file)));
                }
                out.push_str(&indented(example.text));
            }
        }
    }
    out
}

/// The lines of a text, set off from what is around them.
fn indented(text: &str) -> String {
    let line = |line: &str| match line {
        "" => "\n".to_owned(),
        line => format!("    {line}\n"),
    };
    text.lines().map(line).collect()
}
