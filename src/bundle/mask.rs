//! Takes secrets out of what is written down: [`Mask`].
//!
//! A value is a secret if its key looks like one, wherever the key stands: a key of a mapping, a `--token VALUE` or
//! `TOKEN=VALUE` of a command, the password in a URL, a `?key=` of its query. What was found in settings is taken out
//! of the texts of reasons as well. A secret that no key announces cannot be known.

use std::collections::BTreeSet;

use serde_json::Value;

/// What stands in the place of a secret.
const MASKED: &str = "***";
/// What a bundle says of this.
pub(super) const HOW: &str = "*** stands for a value whose key looks like a password, token, secret, key, credential or authorization; \
     in commands and URLs as well, and for what `${secret:NAME}` stands for. Another secret that no key announces is not masked: look before you pass this on";
/// Shorter ones are not looked for in other texts: they would stand in every word.
const SECRET_LEN_MIN: usize = 4;
/// How many are looked for in other texts.
const SECRETS_MAX: usize = 1_000;

/// Words that announce a secret, as a word of a key.
const WORDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "token",
    "secret",
    "secrets",
    "key",
    "apikey",
    "credential",
    "credentials",
    "authorization",
];

/// Whether what stands behind `key` is a secret: `apiKey`, `API_KEY`, `--token` are, `keyboard` and `max_tokens` are not.
pub(crate) fn is_secret(key: &str) -> bool {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in key.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase();
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
    }
    words.iter().any(|word| WORDS.contains(&word.as_str()))
}

/// Masks secrets, and remembers them.
#[derive(Debug, Default)]
pub(super) struct Mask {
    found: BTreeSet<String>,
}

impl Mask {
    /// Masks the secrets of settings.
    pub(super) fn settings(&mut self, value: &mut Value) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    if is_secret(key) {
                        self.hide(value);
                    } else {
                        self.settings(value);
                    }
                }
            }
            Value::Array(items) => {
                let mut is_announced = false;
                for item in items {
                    let announces = item.as_str().is_some_and(|text| {
                        text.starts_with('-') && !text.contains('=') && is_secret(text)
                    });
                    if is_announced {
                        self.hide(item);
                    } else {
                        self.settings(item);
                    }
                    is_announced = announces;
                }
            }
            Value::String(text) => *text = self.text(text),
            _ => {}
        }
    }

    /// Masks all texts and numbers below.
    fn hide(&mut self, value: &mut Value) {
        match value {
            Value::Object(object) => object.values_mut().for_each(|value| self.hide(value)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide(item)),
            Value::String(text) => {
                self.remember(text);
                MASKED.clone_into(text);
            }
            Value::Number(_) => *value = Value::from(MASKED),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn remember(&mut self, secret: &str) {
        if secret.len() >= SECRET_LEN_MIN && self.found.len() < SECRETS_MAX {
            self.found.insert(secret.to_owned());
        }
    }

    /// Masks `KEY=VALUE` and `--key VALUE` within a text, and the password of a URL.
    fn text(&mut self, text: &str) -> String {
        let is_between = |letter: char| letter.is_whitespace() || "'\";&?,".contains(letter);
        let mut masked = String::with_capacity(text.len());
        let mut is_announced = false;
        for piece in text.split_inclusive(is_between) {
            let word = piece.trim_end_matches(is_between);
            let (_, between) = piece.split_at(word.len());
            match word.split_once('=') {
                Some((key, value)) if is_secret(key) && !value.is_empty() => {
                    self.remember(value);
                    masked.push_str(&format!("{key}={MASKED}"));
                }
                _ if is_announced && !word.is_empty() => {
                    self.remember(word);
                    masked.push_str(MASKED);
                }
                _ => masked.push_str(&self.url(word)),
            }
            if !word.is_empty() {
                is_announced = word.starts_with("--") && !word.contains('=') && is_secret(word);
            }
            masked.push_str(between);
        }
        masked
    }

    /// `scheme://user:***@host`
    fn url(&mut self, word: &str) -> String {
        let parts = || {
            let (scheme, rest) = word.split_once("://")?;
            let (user, host) = rest.split_once('@')?;
            let (user, password) = user.split_once(':')?;
            (!user.contains('/') && !password.contains('/'))
                .then_some((scheme, user, password, host))
        };
        let Some((scheme, user, password, host)) = parts() else {
            return word.to_owned();
        };
        self.remember(password);
        format!("{scheme}://{user}:{MASKED}@{host}")
    }

    /// Masks what was found in the free texts of a document, and in all texts of its settings.
    pub(super) fn texts(&self, document: &mut Value) {
        self.replace(document, &|key| {
            matches!(key, "text" | "why" | "safe_reason")
        });
        if let Some(settings) = document.get_mut("settings") {
            self.replace(settings, &|_| true);
        }
    }

    /// Masks in the texts below whose key `is_free`; an item of a list has no key.
    fn replace(&self, value: &mut Value, is_free: &dyn Fn(&str) -> bool) {
        let text = |value: &mut Value, key: &str| match value {
            Value::String(text) if is_free(key) => {
                for secret in &self.found {
                    if text.contains(secret) {
                        *text = text.replace(secret, MASKED);
                    }
                }
            }
            value => self.replace(value, is_free),
        };
        match value {
            Value::Object(object) => object.iter_mut().for_each(|(key, value)| text(value, key)),
            Value::Array(items) => items.iter_mut().for_each(|item| text(item, "")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_is_what_its_key_announces() {
        for (settings, expected) in [
            (json!({"password": "hunter2"}), json!({"password": "***"})),
            (
                json!({"apiKey": "k-1", "url": "a"}),
                json!({"apiKey": "***", "url": "a"}),
            ),
            (
                json!({"env": {"OPENAI_API_KEY": "sk", "HOME": "/h"}}),
                json!({"env": {"OPENAI_API_KEY": "***", "HOME": "/h"}}),
            ),
            (
                json!({"secret": {"a": ["x", 5, true, null]}}),
                json!({"secret": {"a": ["***", "***", true, null]}}),
            ),
            (
                json!({"max_tokens": 5, "keyboard": "us", "monkey": 1}),
                json!({"max_tokens": 5, "keyboard": "us", "monkey": 1}),
            ),
            (
                json!(["a", "--token", "t", "b"]),
                json!(["a", "--token", "***", "b"]),
            ),
            (
                json!(["--api-key=k", "--key-file", "f"]),
                json!(["--api-key=***", "--key-file", "***"]),
            ),
            (
                json!("sh -c 'TOKEN=abc run --password p x'"),
                json!("sh -c 'TOKEN=*** run --password *** x'"),
            ),
            (
                json!("http://h/p?a=1&token=abc"),
                json!("http://h/p?a=1&token=***"),
            ),
            (
                json!("redis://me:pw@h:6379/0"),
                json!("redis://me:***@h:6379/0"),
            ),
            (json!("http://h:80/a@b"), json!("http://h:80/a@b")),
        ] {
            let mut masked = settings.clone();

            Mask::default().settings(&mut masked);

            assert_eq!(masked, expected, "{settings}");
        }
    }

    #[test]
    fn what_was_found_is_taken_out_of_texts_and_never_out_of_the_words_of_the_form() {
        let mut mask = Mask::default();
        mask.settings(&mut json!({"token": "running", "key": "abc"}));
        let mut document = json!({"state": "running", "reason": {"text": "401 for running, abc"}});

        mask.texts(&mut document);

        assert_eq!(
            document,
            json!({"state": "running", "reason": {"text": "401 for ***, abc"}})
        );
    }
}
