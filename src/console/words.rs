//! How a line of the console falls into commands and words: [`commands`], and [`cursor`] for one that is not finished.
//!
//! As in a shell: blanks part words, `'…'`, `"…"` and backslashes keep them together, `;` ends a command, a word that begins
//! with `#` begins a comment. A word that begins with `{` or `[` is JSON and goes to the end of its value; if it is not
//! valid, to the end of the line.

use serde_json::Value;

use crate::error::CommandError;

/// A piece of a line.
enum Piece {
    /// A word, and where it began.
    Word(String, usize),
    /// The end of a command.
    End,
}

/// What stands before the cursor of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The words of the command before the one that the cursor is in.
    pub(super) words: Vec<String>,
    /// The one that it is in; empty after a blank.
    pub(super) current: String,
    /// Where that one begins.
    pub(super) start: usize,
}

/// The words of each command of a line.
///
/// # Errors
/// A quote that is not closed, a backslash at the end.
pub fn commands(line: &str) -> Result<Vec<Vec<String>>, CommandError> {
    let mut commands = vec![Vec::new()];
    let mut at = 0;
    while let Some((piece, after)) = piece(line, at)? {
        at = after;
        match (piece, commands.last_mut()) {
            (Piece::Word(word, _), Some(command)) => command.push(word),
            _ => commands.push(Vec::new()),
        }
    }
    commands.retain(|command| !command.is_empty());
    Ok(commands)
}

/// What stands before the end of `line`; `None` in a comment and in a word with quotes, where nothing can be completed.
pub(super) fn cursor(line: &str) -> Option<Cursor> {
    let (mut words, mut at) = (Vec::new(), 0);
    while let Some((piece, after)) = piece(line, at).ok()? {
        at = after;
        match piece {
            Piece::End => words.clear(),
            Piece::Word(word, start) if after == line.len() => {
                // With quotes or backslashes it is not what it means.
                let is_plain = line.get(start..) == Some(word.as_str());
                return is_plain.then_some(Cursor {
                    words,
                    current: word,
                    start,
                });
            }
            Piece::Word(word, _) => words.push(word),
        }
    }
    let rest = line.get(at..).unwrap_or_default();
    rest.trim_start().is_empty().then(|| Cursor {
        words,
        current: String::new(),
        start: line.len(),
    })
}

/// The next piece from `at` on, and where it ends; `None` at the end of the line.
fn piece(line: &str, at: usize) -> Result<Option<(Piece, usize)>, CommandError> {
    let rest = line.get(at..).unwrap_or_default();
    let trimmed = rest.trim_start();
    let start = at + rest.len() - trimmed.len();
    let (text, length) = match trimmed.chars().next() {
        None | Some('#') => return Ok(None),
        Some(';') => return Ok(Some((Piece::End, start + 1))),
        Some('{' | '[') => json_word(trimmed),
        Some(_) => shell_word(trimmed)?,
    };
    Ok(Some((Piece::Word(text, start), start + length)))
}

fn json_word(rest: &str) -> (String, usize) {
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let end = match values.next() {
        Some(Ok(_)) => values.byte_offset(),
        Some(Err(_)) | None => rest.len(),
    };
    (rest.get(..end).unwrap_or(rest).to_owned(), end)
}

fn shell_word(rest: &str) -> Result<(String, usize), CommandError> {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() || c == ';' => return Ok((word, at)),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => match chars.next() {
                Some((_, escaped)) => word.push(escaped),
                None => return Err(CommandError::usage("the line ends with a backslash")),
            },
            (_, c) => word.push(c),
        }
    }
    match quote {
        Some(open) => Err(CommandError::usage(format!("a quote {open} is not closed"))),
        None => Ok((word, rest.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_a_shell_does() {
        for (line, words) in [
            ("tree", vec!["tree"]),
            ("  kill   /a  ", vec!["kill", "/a"]),
            (
                "kill /a --reason 'un plug'",
                vec!["kill", "/a", "--reason", "un plug"],
            ),
            (
                r#"kill /a --reason "say \"hi\"""#,
                vec!["kill", "/a", "--reason", r#"say "hi""#],
            ),
            (r"a\ b ''", vec!["a b", ""]),
            ("a'b'c", vec!["abc"]),
            ("tree /a # and what it is", vec!["tree", "/a"]),
            ("tell /a x#y '#z'", vec!["tell", "/a", "x#y", "#z"]),
        ] {
            assert_eq!(commands(line).unwrap(), [words], "{line}");
        }
        for line in ["'a", "\"a", "a\\"] {
            assert!(commands(line).is_err(), "{line}");
        }
        for line in ["", "  ", "# nothing", ";", " ; # x"] {
            assert!(commands(line).unwrap().is_empty(), "{line}");
        }
    }

    #[test]
    fn a_semicolon_ends_a_command_but_not_in_quotes_or_json() {
        assert_eq!(
            commands("tree; health;;why /a;").unwrap(),
            [vec!["tree"], vec!["health"], vec!["why", "/a"]]
        );
        assert_eq!(
            commands(r#"kill /a --reason 'a; b'; tell /b {"echo": ";"};tree"#).unwrap(),
            [
                vec!["kill", "/a", "--reason", "a; b"],
                vec!["tell", "/b", r#"{"echo": ";"}"#],
                vec!["tree"]
            ]
        );
    }

    #[test]
    fn json_needs_no_quotes() {
        assert_eq!(
            commands(r#"ask /a {"echo": {"a b": [1, 2]}} --timeout 2s"#).unwrap(),
            [[
                "ask",
                "/a",
                r#"{"echo": {"a b": [1, 2]}}"#,
                "--timeout",
                "2s"
            ]]
        );
        assert_eq!(
            commands("tell /a {echo: 1").unwrap(),
            [["tell", "/a", "{echo: 1"]]
        );
        assert_eq!(
            commands(r#"tell /a '{"echo": 1}'"#).unwrap(),
            [["tell", "/a", r#"{"echo": 1}"#]]
        );
    }

    #[test]
    fn the_word_at_the_cursor_is_told_from_those_before_it() {
        let of = |line| {
            let found = cursor(line)?;
            Some((found.words.join(" "), found.current, found.start))
        };
        let some =
            |words: &str, current: &str, start| Some((words.to_owned(), current.to_owned(), start));

        assert_eq!(of(""), some("", "", 0));
        assert_eq!(of("ki"), some("", "ki", 0));
        assert_eq!(of("kill "), some("kill", "", 5));
        assert_eq!(of("tree; kill /a"), some("kill", "/a", 11));
        assert_eq!(of("tree;"), some("", "", 5));
        assert_eq!(of("tell a {\"ec"), some("tell a", "{\"ec", 7));
        assert_eq!(of("kill 'a b' x"), some("kill a b", "x", 11));
        for line in ["kill 'a", "kill 'a'", "tree # ki"] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
