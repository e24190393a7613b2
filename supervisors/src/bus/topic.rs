//! Names of what events are about: [`Topic`], and [`Pattern`], which names many.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::path::ActorPath;

/// The longest topic, and the longest pattern, in bytes.
pub const TOPIC_LEN_MAX: usize = 255;

/// What an event is about, in dotted words: `sensor.camera.front`. A word is of `A-Z a-z 0-9 _ -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(Arc<str>);

/// Why a text is not a [`Topic`] or a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// It names many, where one is wanted.
    #[error("`{0}` is a pattern, not a topic: a topic has no `*`, as in sensor.camera.front")]
    Pattern(String),
    /// It is none.
    #[error(
        "`{0}` is not a topic: a topic is words of A-Z a-z 0-9 _ - with dots between, as in sensor.camera.front, at most 255 bytes"
    )]
    Topic(String),
    /// It is no pattern.
    #[error(
        "`{0}` is not a pattern: a pattern is a topic in which a word may be `*`, as in sensor.* or *.ready"
    )]
    NoPattern(String),
}

fn is_word(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !word.is_empty() && word.bytes().all(fits)
}

impl Topic {
    /// Checks `text` and makes a topic of it.
    ///
    /// # Errors
    /// [`InvalidTopic`] if it has an empty word or a character that a word may not have, or is too long.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidTopic> {
        let text = text.as_ref();
        if text.len() <= TOPIC_LEN_MAX && text.split('.').all(is_word) {
            return Ok(Self(text.into()));
        }
        let text = text.to_owned();
        Err(if text.contains('*') {
            InvalidTopic::Pattern(text)
        } else {
            InvalidTopic::Topic(text)
        })
    }

    /// Where answers to `path` go: `reply.arm.driver`.
    pub(crate) fn of_replies(path: &ActorPath) -> Self {
        let mut text = "reply".to_owned();
        for id in path.segments() {
            text.push('.');
            text.push_str(id);
        }
        Self(text.into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its first word: `sensor`.
    #[must_use]
    pub fn family(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        Self::new(text)
    }
}

impl TryFrom<String> for Topic {
    type Error = InvalidTopic;

    fn try_from(text: String) -> Result<Self, InvalidTopic> {
        Self::new(text)
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.0.as_ref().to_owned()
    }
}

/// Names the topics that fit it: a word `*` is one word, a last word `*` is one or more, `*` alone is all. So `sensor.*`
/// fits `sensor.camera.front`, and not `sensor`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// Checks `text` and makes a pattern of it.
    ///
    /// # Errors
    /// [`InvalidTopic`].
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidTopic> {
        let text = text.as_ref();
        let fits = |word: &str| word == "*" || is_word(word);
        if text.len() <= TOPIC_LEN_MAX && text.split('.').all(fits) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidTopic::NoPattern(text.to_owned()))
        }
    }

    /// The pattern that all topics fit.
    #[must_use]
    pub fn all() -> Self {
        Self("*".into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic that it is, if it has no `*`.
    #[must_use]
    pub fn as_topic(&self) -> Option<Topic> {
        (!self.0.contains('*')).then(|| Topic(Arc::clone(&self.0)))
    }

    /// Its words.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether `topic` fits it.
    #[must_use]
    pub fn fits(&self, topic: &str) -> bool {
        let (mut words, mut its) = (self.words().peekable(), topic.split('.'));
        loop {
            match (words.next(), its.next()) {
                (Some("*"), Some(_)) if words.peek().is_none() => return true,
                (Some("*"), Some(_)) => {}
                (Some(word), Some(other)) if word == other => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }

    /// Whether there can be a topic that fits both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let (mut words, mut others) = (self.words().peekable(), other.words().peekable());
        loop {
            match (words.next(), others.next()) {
                (Some("*"), Some(_)) if words.peek().is_none() => return true,
                (Some(_), Some("*")) if others.peek().is_none() => return true,
                (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
                (Some(word), Some(other)) if word == other => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }

    /// Whether all topics that fit `other` fit it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let (mut words, mut others) = (self.words().peekable(), other.words().peekable());
        loop {
            match (words.next(), others.next()) {
                (Some("*"), Some(_)) if words.peek().is_none() => return true,
                // The other goes on for as long as it likes here.
                (Some(_), Some("*")) if others.peek().is_none() => return false,
                (Some("*"), Some(_)) => {}
                (Some(word), Some(other)) if word == other => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }

    /// How narrow it is: of two patterns that fit a topic the one with the greater says more about it. Literal words count
    /// before their number does.
    #[must_use]
    pub fn narrowness(&self) -> (usize, usize) {
        let literal = self.words().filter(|word| *word != "*").count();
        (literal, self.words().count())
    }
}

impl From<&Topic> for Pattern {
    fn from(topic: &Topic) -> Self {
        Self(Arc::clone(&topic.0))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Pattern {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        Self::new(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidTopic;

    fn try_from(text: String) -> Result<Self, InvalidTopic> {
        Self::new(text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_star_is_one_word_and_at_the_end_one_or_more() {
        let rows = [
            ("sensor.*", "sensor.camera.front", true),
            ("sensor.*", "sensor.camera", true),
            ("sensor.*", "sensor", false),
            ("sensor.*.front", "sensor.camera.front", true),
            ("sensor.*.front", "sensor.front", false),
            ("sensor.*.front", "sensor.a.b.front", false),
            ("*", "a", true),
            ("*", "a.b.c", true),
            ("*.ready", "arm.ready", true),
            ("*.ready", "arm.left.ready", false),
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.b", "a", false),
            ("a.*.*", "a.b", false),
            ("a.*.*", "a.b.c.d", true),
        ];
        for (its, topic, fits) in rows {
            assert_eq!(pattern(its).fits(topic), fits, "{its} {topic}");
        }
    }

    #[test]
    fn patterns_meet_where_a_topic_fits_both() {
        let rows = [
            ("sensor.*", "sensor.camera.*", true),
            ("sensor.*", "sensor", false),
            ("*.front", "sensor.*", true),
            ("*.front", "sensor.*.front", false),
            ("a.*.c", "a.b.*", true),
            ("a.*.c", "a.b.d", false),
            ("*", "a.b.c", true),
            ("a", "a", true),
        ];
        for (one, other, meet) in rows {
            assert_eq!(pattern(one).meets(&pattern(other)), meet, "{one} {other}");
            assert_eq!(pattern(other).meets(&pattern(one)), meet, "{other} {one}");
        }
    }

    #[test]
    fn a_pattern_covers_what_all_its_topics_fit() {
        let rows = [
            ("*", "a.*", true),
            ("a.*", "*", false),
            ("a.*", "a.b.*", true),
            ("a.*", "a", false),
            ("a.*", "a.*", true),
            ("*.b", "a.b", true),
            ("*.b", "a.*", false),
            ("a.*.c", "a.*.c", true),
            ("a.*.c", "a.*.*", false),
            ("a.*.*", "a.*", false),
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
        ];
        for (its, other, covers) in rows {
            assert_eq!(
                pattern(its).covers(&pattern(other)),
                covers,
                "{its} {other}"
            );
        }
    }

    #[test]
    fn what_is_no_topic_says_so() {
        assert!(matches!(
            Topic::new("sensor.*"),
            Err(InvalidTopic::Pattern(_))
        ));
        for text in ["", ".", "a.", ".a", "a..b", "a b", "ä", &"x".repeat(256)] {
            assert!(
                matches!(Topic::new(text), Err(InvalidTopic::Topic(_))),
                "{text}"
            );
            assert!(Pattern::new(text).is_err(), "{text}");
        }
        assert!(Pattern::new("a.b*").is_err());
    }
}
