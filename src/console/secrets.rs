//! Which lines are not kept because a secret may be in them: [`may_hold_secret`].
//!
//! A line too many that is forgotten costs a person little; a secret that is kept may cost much. So what only looks like one
//! counts.

use crate::bundle::mask::is_secret;

/// Shorter ones are ids and names, also where they look as if nobody had chosen them.
const RANDOM_LEN_MIN: usize = 20;
/// What tokens of well-known services begin with.
const LEADS: [&str; 8] = [
    "sk-",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "AKIA",
    "eyJ",
];

/// Whether a line may hold a secret: a placeholder, a word that announces one, a password in a URL, or what looks as if no
/// person had chosen it.
pub(super) fn may_hold_secret(line: &str) -> bool {
    let has_placeholder = line.contains("${secret:");
    let is_between = |c: char| c.is_whitespace() || "'\"{}[]()<>,;=&?".contains(c);
    let mut words = line.split(is_between);
    has_placeholder || words.any(|word| announces(word) || has_password(word) || looks_random(word))
}

fn announces(word: &str) -> bool {
    // A path or a topic is no key, and `config get … key` neither.
    let word = word.trim_start_matches('-').trim_end_matches(':');
    !word.contains('/') && word != "key" && is_secret(word)
}

fn has_password(word: &str) -> bool {
    let host = word.split_once("://").map(|(_, host)| host);
    let who = host.and_then(|host| host.split_once('@'));
    who.is_some_and(|(who, _)| who.contains(':'))
}

fn looks_random(word: &str) -> bool {
    if LEADS.iter().any(|lead| word.starts_with(lead)) && word.len() >= RANDOM_LEN_MIN {
        return true;
    }
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-_+/.".contains(c);
    let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
    word.len() >= RANDOM_LEN_MIN
        && !word.starts_with('/')
        && word.chars().all(is_token)
        && has(char::is_ascii_digit)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_may_hold_secrets_are_told() {
        for line in [
            "spawn process --set env.AUTH=${secret:TOKEN}",
            "spawn x --set token=abc",
            "uk tree --token abc",
            r#"tell /a {"password": "hunter2"}"#,
            "config set /bridge env.API_KEY=1",
            "tell /a {\"echo\": \"sk-aaaaaaaaaaaaaaaaaaaaaaa\"}",
            "tell /a 'aB3aB3aB3aB3aB3aB3aB3aB3'",
            "config set /x url=redis://me:pw@h:6379/0",
        ] {
            assert!(may_hold_secret(line), "{line}");
        }
        for line in [
            "tree; health",
            "kill /sensors/host --reason 'unplug test'",
            "ask /users --key 7 {\"count\": null}",
            "events tail sensor.* --from 2026-11-20T21:30:00Z",
            "spawn probe --id worker-number-twenty-three",
            "config set system log=warn,unity_kernel=debug",
            "config set /x url=http://h:80/a",
        ] {
            assert!(!may_hold_secret(line), "{line}");
        }
    }
}
