//! Fills `${NAME}` and `${NAME:-default}` into a text: [`expand`].
//!
//! `$${` is `${` itself. A default may hold variables of its own, [`NESTING_MAX`] deep; what comes
//! from the environment is taken as it is and never looked at again. Secrets are not filled in here:
//! `${secret:NAME}` stays as it is, and what only looks like it is escaped.

use std::ops::Range;

use unity_supervisors::secret;

/// How deep defaults may hold variables.
const NESTING_MAX: usize = 8;

/// How many problems of a text are told.
const PROBLEMS_MAX: usize = 20;

/// What is wrong with a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// It is not set and has no default.
    Unset(String),
    /// It is a secret, where none may stand.
    SecretPlace,
    /// It is a secret with something that is no name.
    SecretName,
    /// It is no variable at all; the text says why.
    Form(&'static str),
}

/// A problem and the bytes of the text that it is about.
pub(super) type Found = (Range<usize>, Problem);

/// A text with its variables filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expanded {
    /// It holds no secret.
    Text(String),
    /// It holds placeholders for secrets: what [`secret::parts`] takes apart.
    Secret(String),
}

/// Fills the variables in, at most `room` bytes, or says what is wrong with them, at most [`PROBLEMS_MAX`]. Secrets may
/// stand there if `secrets`.
pub(super) fn expand(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    room: usize,
    secrets: bool,
) -> Result<Expanded, Vec<Found>> {
    let mut walk = Walk {
        env,
        room,
        secrets,
        before: String::new(),
        output: String::with_capacity(text.len()),
        problems: Vec::new(),
    };
    walk.text(text, 0, 0);
    if !walk.problems.is_empty() {
        Err(walk.problems)
    } else if walk.before.is_empty() {
        Ok(Expanded::Text(walk.output))
    } else {
        Ok(Expanded::Secret(
            walk.before + &secret::escape(&walk.output),
        ))
    }
}

struct Walk<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    room: usize,
    secrets: bool,
    /// All up to the last secret, escaped.
    before: String,
    /// What comes after it.
    output: String,
    problems: Vec<Found>,
}

impl Walk<'_> {
    /// Expands `text`, which begins at byte `offset` of the whole, onto the output.
    fn text(&mut self, text: &str, offset: usize, depth: usize) {
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(found) = rest.find("${") else {
                self.output.push_str(rest);
                return;
            };
            let (before, expression) = rest.split_at(found);
            if let Some(before) = before.strip_suffix('$') {
                self.output.push_str(before);
                self.output.push_str("${");
                at += found + 2;
                continue;
            }
            self.output.push_str(before);
            let start = offset + at + found;
            let Some(len) = closed(expression) else {
                let why = "it has no closing `}`";
                self.problems
                    .push((start..offset + text.len(), Problem::Form(why)));
                return;
            };
            let inner = expression.get(2..len - 1).unwrap_or_default();
            self.variable(inner, start, depth);
            at += found + len;
        }
    }

    /// Expands what stands between `${` and `}`; the `$` is byte `start` of the whole.
    fn variable(&mut self, inner: &str, start: usize, depth: usize) {
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        let whole = start..start + inner.len() + 3;
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if let Some(secret) = inner.strip_prefix("secret:") {
            self.secret(secret, whole);
        } else if !is_name(name) {
            let why = "a name has A-Z a-z 0-9 _, and no digit first";
            self.problems.push((whole, Problem::Form(why)));
        } else if depth >= NESTING_MAX {
            let why = "its defaults are nested too deep";
            self.problems.push((whole, Problem::Form(why)));
        } else {
            match (
                (self.env)(name).filter(|value| default.is_none() || !value.is_empty()),
                default,
            ) {
                (Some(value), _)
                    if self.before.len() + self.output.len() + value.len() > self.room =>
                {
                    let why = "with it the variables of this file stand for too much text";
                    self.problems.push((whole, Problem::Form(why)));
                }
                (Some(value), _) => self.output.push_str(&value),
                (None, Some(default)) => {
                    self.text(default, start + 2 + name.len() + 2, depth + 1);
                }
                (None, None) => self.problems.push((whole, Problem::Unset(name.to_owned()))),
            }
        }
    }
}

impl Walk<'_> {
    /// Leaves a secret as it is.
    fn secret(&mut self, name: &str, whole: Range<usize>) {
        let problem = if !self.secrets {
            Problem::SecretPlace
        } else if !secret::is_name(name) {
            Problem::SecretName
        } else if self.output.ends_with('$') {
            Problem::Form("with the `$` that comes to stand before it, it would be no secret")
        } else {
            let escaped = secret::escape(&std::mem::take(&mut self.output));
            self.before
                .push_str(&format!("{escaped}${{secret:{name}}}"));
            return;
        };
        self.problems.push((whole, problem));
    }
}

/// How long the `${…}` is that the text begins with, variables in its default counted in.
fn closed(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut last = '\0';
    for (at, c) in text.char_indices() {
        match c {
            '{' if last == '$' => open += 1,
            '}' => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        last = c;
    }
    None
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/me".to_owned()),
            "EMPTY" => Some(String::new()),
            "ODD" => Some("${HOME}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_filled_in() {
        for (text, expected) in [
            ("no variables: $5 $$", "no variables: $5 $$"),
            ("${HOME}/x", "/home/me/x"),
            ("${HOME}${HOME}", "/home/me/home/me"),
            ("${NONE:-3}", "3"),
            ("${NONE:-}", ""),
            ("${EMPTY:-3}", "3"),
            ("${EMPTY}", ""),
            ("${HOME:-3}", "/home/me"),
            ("${NONE:-${HOME}/y}", "/home/me/y"),
            ("${NONE:-a{b}c", "a{bc"),
            ("$${HOME}", "${HOME}"),
            ("$$${HOME}", "$${HOME}"),
            ("${ODD}", "${HOME}"),
        ] {
            let expected = Expanded::Text(expected.to_owned());
            assert_eq!(expand(text, &env, 1000, true), Ok(expected), "{text}");
        }
    }

    #[test]
    fn secrets_stay_as_they_are_and_nothing_else_becomes_one() {
        let env = |name: &str| match name {
            "EVIL" => Some("${secret:KEY}".to_owned()),
            "DOLLAR" => Some("$".to_owned()),
            _ => env(name),
        };
        for (text, expected) in [
            ("${secret:KEY}", "${secret:KEY}"),
            (
                "Bearer ${secret:a.b-c}${HOME}",
                "Bearer ${secret:a.b-c}/home/me",
            ),
            ("${NONE:-${secret:KEY}}", "${secret:KEY}"),
            ("${EVIL}${secret:KEY}", "$${secret:KEY}${secret:KEY}"),
            (
                "$${secret:A}${secret:B}$${secret:C}",
                "$${secret:A}${secret:B}$${secret:C}",
            ),
            ("${DOLLAR}{secret:A}${secret:B}", "$${secret:A}${secret:B}"),
        ] {
            let expected = Expanded::Secret(expected.to_owned());
            assert_eq!(expand(text, &env, 1000, true), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("${EVIL}", "${secret:KEY}"),
            ("$${secret:A}", "${secret:A}"),
        ] {
            let expected = Expanded::Text(expected.to_owned());
            assert_eq!(expand(text, &env, 1000, true), Ok(expected), "{text}");
        }
        let ambiguous = expand("${DOLLAR}${secret:A}", &env, 1000, true).unwrap_err();
        assert!(matches!(ambiguous[0], (_, Problem::Form(_))));
        let elsewhere = expand("${secret:A}", &env, 1000, false).unwrap_err();
        assert_eq!(elsewhere, [(0..11, Problem::SecretPlace)]);
    }

    #[test]
    fn what_variables_stand_for_has_a_bound_and_so_has_what_is_told() {
        let problems = expand(&"${HOME}".repeat(100), &env, 22, false).unwrap_err();
        let unset = expand(&"${NONE}".repeat(100), &env, 22, false).unwrap_err();

        assert!(matches!(problems[0], (_, Problem::Form(why)) if why.contains("too much text")));
        assert_eq!(unset.len(), PROBLEMS_MAX);
    }

    #[test]
    fn what_is_wrong_with_variables_is_told_with_its_place() {
        let deep = format!("{}{}", "${A:-".repeat(20), "}".repeat(20));
        for (text, expected) in [
            ("x ${NONE} y", "${NONE} Unset(\"NONE\")"),
            ("${NONE:-${ALSO}}", "${ALSO} Unset(\"ALSO\")"),
            ("${secret:}", "${secret:} SecretName"),
            ("x ${secret:../KEY}", "${secret:../KEY} SecretName"),
            ("${secret:A:-b}", "${secret:A:-b} SecretName"),
            ("${secret:${A}}", "${secret:${A}} SecretName"),
            ("${secret:A", "${secret:A Form"),
            ("ä${}", "${} Form"),
            ("${A-b}", "${A-b} Form"),
            ("${1}", "${1} Form"),
            ("x ${HOME", "${HOME Form"),
            (
                &deep,
                "${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-}}}}}}}}}}}} Form",
            ),
        ] {
            let problems = expand(text, &env, 1000, true).unwrap_err();
            let (range, problem) = &problems[0];
            let found = format!("{} {problem:?}", &text[range.clone()]);
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }
}
