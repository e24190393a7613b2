//! Edits of random documents.

use super::*;

/// A document as text: a mapping, some of it in lines and some in braces, with comments.
fn document() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "-2.5",
        "true",
        "~",
        "plain",
        "two words",
        "'it''s'",
        "\"q\\n\"",
        "500ms",
        "\"${V}\"",
        "[1, x]",
        "{ k: 1, 'l': [2] }",
        "{}",
        "ü",
        "'#no'",
        "",
    ]);
    let flow = (leaf.clone(), leaf.clone()).prop_map(|(a, b)| format!("{{ a: {a}, b: {b} }}"));
    let block = prop::sample::select(vec![
        "|\n  # text\n  more\n",
        ">-\n  folded\n  text\n",
        "\n  - 1\n  # item\n  - x: 2\n",
        "|+\n  kept\n\n",
        "plain\n  and more\n",
    ]);
    let value = prop_oneof![
        4 => leaf.prop_map(|leaf| Block::Inline(leaf.to_owned())),
        1 => flow.prop_map(Block::Inline),
        1 => block.prop_map(|block| Block::Lines(block.to_owned())),
    ];
    let tree = value.prop_recursive(3, 20, 4, |inner| {
        let members = prop::collection::vec((key(), inner, comment(), comment()), 1..4);
        members.prop_map(Block::Members)
    });
    let top = prop::collection::vec((key(), tree, comment(), comment()), 0..4);
    (top, comment(), any::<bool>(), any::<bool>()).prop_map(|(members, last, crlf, cut)| {
        let mut text = String::new();
        Block::Members(members).write(&mut text, 0);
        if last > 0 {
            text.push_str("# a: at the end\n");
        }
        if cut && !text.ends_with("\n\n") {
            text.truncate(text.trim_end().len());
        }
        if crlf {
            text.replace('\n', "\r\n")
        } else {
            text
        }
    })
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "long_key", "'d e'", "\"f\""])
}

fn comment() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0_u8), 1 => Just(1), 1 => Just(2)]
}

#[derive(Debug, Clone)]
enum Block {
    Inline(String),
    Lines(String),
    Members(Vec<(&'static str, Block, u8, u8)>),
}

impl Block {
    fn write(&self, out: &mut String, indent: usize) {
        let pad = " ".repeat(indent);
        match self {
            Self::Inline(text) => out.push_str(text),
            Self::Lines(text) => {
                let text = text
                    .trim_end_matches('\n')
                    .replace('\n', &format!("\n{pad}"));
                out.push_str(&text);
            }
            Self::Members(members) => {
                let mut seen = Vec::new();
                for (key, block, above, beside) in members {
                    if seen.contains(key) {
                        continue;
                    }
                    seen.push(*key);
                    match above {
                        1 => out.push_str(&format!("{pad}# about {key}\n")),
                        2 => out.push_str(&format!("{pad}# new: 5\n\n")),
                        _ => {}
                    }
                    out.push_str(&format!("{pad}{key}:"));
                    match block {
                        Self::Members(_) => {
                            out.push_str(if *beside > 0 { "  # opens\n" } else { "\n" });
                            block.write(out, indent + 2);
                        }
                        Self::Inline(_) => {
                            out.push(' ');
                            block.write(out, indent);
                            out.push_str(if *beside > 0 { " # beside\n" } else { "\n" });
                        }
                        Self::Lines(_) => {
                            out.push(' ');
                            block.write(out, indent);
                            out.push('\n');
                        }
                    }
                }
            }
        }
    }
}

fn keys() -> impl Strategy<Value = Vec<&'static str>> {
    let key = prop::sample::select(vec!["a", "b", "c", "d e", "f", "new", "k", "x: y"]);
    prop::collection::vec(key, 1..4)
}

fn value() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(7),
        json!(-0.5),
        json!("text"),
        json!("10s"),
        json!("it's # \"odd\": {x}, [y]\n\tü"),
        json!(""),
        json!("true"),
        json!(null),
        json!([1, "a b", { "k": null }]),
        json!({ "k": 1, "l m": "~" }),
        json!({}),
    ])
}

/// The lines that hold a comment alone; `# text` is none, it stands in a text.
fn comment_lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with('#') && *line != "# text")
        .collect()
}

/// Whether a refusal is one that this document may have.
fn may_refuse(error: &EditError) -> bool {
    match error {
        EditError::NotMapping { .. } => true,
        EditError::ByHand { why, .. } => why.contains("there are comments in"),
        EditError::Faulty(_) | EditError::NotThere(_) => false,
    }
}

proptest! {
    #[test]
    fn what_is_set_is_read_and_all_else_stays(text in document(), keys in keys(), value in value()) {
        let before = Layout::of(&text).map_err(TestCaseError::fail)?;
        let after = match set(&text, At::Top, &keys, &value) {
            Ok(after) => after,
            Err(error) => {
                prop_assert!(may_refuse(&error), "{}\n{}", error, text);
                return Ok(());
            }
        };

        let mut expected = before.value;
        put(&mut expected, &[], &keys, &value);
        prop_assert_eq!(Layout::of(&after).map_err(TestCaseError::fail)?.value, expected, "{}", after);
        let lines = comment_lines(&after);
        let mut kept = lines.iter();
        prop_assert!(comment_lines(&text).iter().all(|line| kept.any(|kept| kept == line)), "{}", after);
        let feeds = if text.contains("\r\n") { after.matches('\n').count() } else { 0 };
        prop_assert_eq!(after.matches("\r\n").count(), feeds, "{:?}", after);

        let gone = match unset(&after, At::Top, &keys) {
            Ok(gone) => gone,
            Err(error) => {
                prop_assert!(may_refuse(&error), "{}\n{}", error, after);
                return Ok(());
            }
        };
        let mut expected = Layout::of(&after).map_err(TestCaseError::fail)?.value;
        take_out(&mut expected, &[], &keys);
        prop_assert_eq!(Layout::of(&gone).map_err(TestCaseError::fail)?.value, expected, "{}", gone);
        let lines = comment_lines(&gone);
        let mut kept = lines.iter();
        prop_assert!(comment_lines(&after).iter().all(|line| kept.any(|kept| kept == line)), "{}", gone);
    }
}
