//! Rows of the file and its syntax, and of includes.

use super::Text::{Files, Including, Made, Whole, Worker};
use super::{Code, Owned, Row, children};

pub(super) const ROWS: &[Row] = &[
    (
        Code::Missing,
        Files(&[("gone.yaml", b"")]),
        "",
        &["gone.yaml does not exist", "spelling"],
    ),
    (
        Code::Missing,
        Including("c.yaml", b""),
        "4:16 c.yaml",
        &["c.yaml does not exist", "included here"],
    ),
    (
        Code::Unreadable,
        Files(&[("denied.yaml", b"")]),
        "",
        &["permission denied"],
    ),
    (
        Code::Folder,
        Files(&[("folder", b"")]),
        "",
        &["folder is a folder", "name a file in it"],
    ),
    (
        Code::Empty,
        Whole(""),
        "",
        &["tree.yaml is empty", "begin with `version: 1`"],
    ),
    (
        Code::Empty,
        Whole("# nothing\n---\n"),
        "",
        &["tree.yaml is empty"],
    ),
    (
        Code::Empty,
        Including("b.yaml", b""),
        "4:16 b.yaml",
        &["b.yaml is empty", "`[]` for none"],
    ),
    (
        Code::NotUtf8,
        Files(&[("tree.yaml", b"version: 1\nname: caf\xe9\n")]),
        "2:10 \u{fffd}",
        &["the byte 0xe9 at offset 20", "save it as UTF-8"],
    ),
    (
        Code::NotUtf8,
        Files(&[("tree.yaml", b"\xff\xfev\0")]),
        "1:1 \u{fffd}",
        &["it looks like UTF-16"],
    ),
    (
        Code::TooLarge,
        Made(too_large),
        "",
        &["larger than 4194304 bytes"],
    ),
    (
        Code::Syntax,
        Whole("a: [1\n"),
        "1:4 [",
        &["`[` is not closed", "add the closing bracket"],
    ),
    (
        Code::Syntax,
        Whole("a: [1, 2\nb: 3\n"),
        "1:4 [",
        &["`[` is not closed", "so this cannot be read", "add `]`"],
    ),
    (
        Code::Syntax,
        Whole("a:\n\t- b\n"),
        "2:2 -",
        &["a tab cannot indent a line", "with spaces"],
    ),
    (
        Code::Syntax,
        Whole("a: \"b\u{1b}[31m\"\n"),
        "1:6 \u{1b}",
        &["the control character U+001B cannot stand", "`\\u001b`"],
    ),
    (
        Code::Syntax,
        Whole("a: b\n# c\0d\n"),
        "2:4 \0",
        &["the control character U+0000 cannot stand", "can hold it"],
    ),
    (
        Code::Syntax,
        Whole("v\0e\0r\0s\0"),
        "1:2 \0",
        &["the control character U+0000", "looks like UTF-16"],
    ),
    (
        Code::Syntax,
        Whole("a: b: c\n"),
        "1:5 :",
        &["a `:` cannot stand here", "in quotes"],
    ),
    (
        Code::Syntax,
        Whole("a: 1\nbcd\n"),
        "2:1 bcd",
        &["a key has no `:`", "with a space after"],
    ),
    (
        Code::Syntax,
        Whole("a: 1\nb c # d\n"),
        "2:1 b c",
        &["a key has no `:`", "write `b: c`"],
    ),
    (
        Code::Syntax,
        Whole("a:\n  - b\n c: 1\n"),
        "3:2 c",
        &["does not fit the lines above"],
    ),
    (
        Code::Syntax,
        Whole("a: - b\n"),
        "1:4 -",
        &["begin the list on the next line"],
    ),
    (
        Code::Syntax,
        Whole("a: @x\n"),
        "1:4 @",
        &["no value can begin with `@`"],
    ),
    (
        Code::Syntax,
        Whole("b: \"open\nc: 3\nd: 4\n"),
        "1:4 \"",
        &["this quote has no partner"],
    ),
    (
        Code::Syntax,
        Whole("a: { b: ${N:-3} }\n"),
        "1:10 {",
        &["put a `${…}` in quotes"],
    ),
    (
        Code::Syntax,
        Whole("{\"a\":1}\n{\"b\":2}\n"),
        "2:1 {",
        &["goes on after its end"],
    ),
    (
        Code::Syntax,
        Whole("a: 'it's'\n"),
        "1:8 s",
        &["after its closing quote"],
    ),
    (
        Code::Syntax,
        Whole("a: x\n b: 2\n"),
        "2:2 b",
        &[
            "`b` is read as a part of the text above it",
            "indent `b` like",
        ],
    ),
    (
        Code::Syntax,
        Whole("a:x\nb: 2\n"),
        "2:1 b",
        &["write a space after the colon: `a: x`"],
    ),
    (
        Code::Syntax,
        Whole("{\"a\": \"x\" \"b\": 5}"),
        "1:11 \"",
        &["a comma or a closing bracket is missing"],
    ),
    (
        Code::Syntax,
        Whole("a: }\n"),
        "1:4 }",
        &["this bracket closes nothing"],
    ),
    (
        Code::SeveralDocuments,
        Whole("a: 1\n---\nb: 2\n"),
        "2:1 ---",
        &["a file of its own"],
    ),
    (
        Code::TooDeep,
        Made(too_deep),
        "1:65 [",
        &["more than 64 deep", "flatter"],
    ),
    (
        Code::UnknownAlias,
        Worker("settings: &common {}\nlabels: *comon"),
        "8:15 *comon",
        &["did you mean `*common`?"],
    ),
    (
        Code::UnknownAlias,
        Worker("settings: &x { a: *x }"),
        "7:25 *x",
        &["contains itself"],
    ),
    (
        Code::DuplicateKey,
        Worker("kind: log"),
        "7:7 kind",
        &["stands twice", "first here"],
    ),
    (
        Code::ComplexKey,
        Worker("settings: { [a]: 1 }"),
        "7:19 [a]",
        &["a list cannot be a key"],
    ),
    (
        Code::ComplexKey,
        Worker("settings: { : 1 }"),
        "7:19 ",
        &["a colon has no key before it"],
    ),
    (
        Code::UnknownTag,
        Worker("settings: { a: !env B }"),
        "7:22 !env",
        &["unknown tag `!env`"],
    ),
    (
        Code::UnknownTag,
        Worker("settings: { a: !!int x }"),
        "7:22 !!int",
        &["the value is a text"],
    ),
    (
        Code::BadMerge,
        Worker("<<: 5"),
        "7:11 5",
        &["cannot merge the integer `5`"],
    ),
    (
        Code::VariableUnset,
        Worker("settings: { a: \"x ${NONE}\" }"),
        "7:25 ${NONE}",
        &["`NONE` is not set", "${NONE:-default}"],
    ),
    (
        Code::VariableForm,
        Worker("settings: { a: \"${A-b}\" }"),
        "7:23 ${A-b}",
        &["is not a variable", "`${NAME:-default}`"],
    ),
];

pub(super) const INCLUDES: &[Row] = &[
    (
        Code::TooManyNodes,
        Made(bomb),
        "12:16 *e",
        &["more than 200000 values", "an alias"],
    ),
    (
        Code::TooManyFiles,
        Made(many_files),
        "68:16 b.yaml",
        &["more than 64 files are included"],
    ),
    (
        Code::IncludeTooDeep,
        Made(chain),
        "1:12 \"9\"",
        &["nested more than 8 deep"],
    ),
    (
        Code::IncludeCycle,
        Including("b.yaml", b"- include: ./b.yaml\n"),
        "1:12 ./b.yaml",
        &["./b.yaml includes itself", "take out one of the includes"],
    ),
    (
        Code::BadInclude,
        Including("b.yaml", b"version: 1\ntree: {}\n"),
        "1:1 version",
        &["must be a list of children", "included here"],
    ),
    (
        Code::BadInclude,
        Including("b.yaml", b"children: []\nname: x\n"),
        "2:1 name",
        &["`name` cannot stand in an included file"],
    ),
    (
        Code::BadInclude,
        Including("b.yaml\n  id: x", b"[]"),
        "5:7 id",
        &["an `include` stands alone"],
    ),
];

fn too_large() -> Owned {
    vec![("tree.yaml".to_owned(), vec![b' '; (4 << 20) + 1])]
}

fn too_deep() -> Owned {
    let text = format!("{}{}", "[".repeat(65), "]".repeat(65));
    vec![("tree.yaml".to_owned(), text.into_bytes())]
}

/// Each level is ten times the one before: a million values from six short lines.
fn bomb() -> Owned {
    let mut text = children("- id: a\n  kind: probe\n  settings:\n");
    text.push_str("        a: &a [0,0,0,0,0,0,0,0,0,0]\n");
    for (name, of) in [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d"), ("f", "e")] {
        let ten = vec![format!("*{of}"); 10].join(",");
        text.push_str(&format!("        {name}: &{name} [{ten}]\n"));
    }
    vec![("tree.yaml".to_owned(), text.into_bytes())]
}

fn many_files() -> Owned {
    let main = children(&"- include: b.yaml\n".repeat(65));
    vec![
        ("tree.yaml".to_owned(), main.into_bytes()),
        ("b.yaml".to_owned(), b"[]".to_vec()),
    ]
}

fn chain() -> Owned {
    let main = children("- include: \"1\"\n");
    let links = (1..10).map(|at| {
        let next = format!("- include: \"{}\"\n", at + 1);
        (at.to_string(), next.into_bytes())
    });
    std::iter::once(("tree.yaml".to_owned(), main.into_bytes()))
        .chain(links)
        .collect()
}
