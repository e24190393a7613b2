//! Names of children and where they live: [`ChildId`] and [`ActorPath`].
//!
//! A path is absolute and made of ids: `/sensors/host`. The root supervisor is `/`; the kernel's own
//! services live under `/system`. Paths on another node carry its name and come with nodes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest id of a child, in bytes.
pub const ID_LEN_MAX: usize = 64;

/// Where the children live that other nodes have placed here.
pub const GUESTS: &str = "/system/guests";

/// The id of a child within its supervisor: 1 to 64 of `A-Z a-z 0-9 _ -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChildId(Arc<str>);

/// Why a text is not a [`ChildId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id: an id is 1 to 64 of the characters A-Z a-z 0-9 _ -")]
pub struct InvalidId(pub String);

impl ChildId {
    /// Checks `text` and makes an id of it.
    ///
    /// # Errors
    /// [`InvalidId`] if `text` is empty, too long or has another character than an id may have.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
        let text = text.as_ref();
        let fits = (1..=ID_LEN_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId(text.to_owned()))
        }
    }

    /// An id that is written in the source.
    pub(crate) fn known(text: &'static str) -> Self {
        Self(text.into())
    }

    /// An id that is `n` and a number.
    pub(crate) fn known_number(number: usize) -> Self {
        Self(format!("n{number}").into())
    }

    /// The id that is a number.
    pub(crate) fn number(number: u64) -> Self {
        Self(number.to_string().into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ChildId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl TryFrom<String> for ChildId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl From<ChildId> for String {
    fn from(id: ChildId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// Where a slot is: `/` for the root, `/sensors/host` for a child of a child.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActorPath(Arc<str>);

/// Why a text is not an [`ActorPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// The text does not begin with `/`.
    #[error("`{0}` is not a path: a path begins with `/`, as in /sensors/host")]
    NotAbsolute(String),
    /// One of the segments is not an id.
    #[error("`{path}` is not a path: {id}")]
    Segment {
        /// The whole text.
        path: String,
        /// The segment that does not fit.
        id: InvalidId,
    },
}

impl ActorPath {
    /// The path of the root supervisor, `/`.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// The path of the supervisor above the root and the services, which no text names.
    pub(crate) fn top() -> Self {
        Self("".into())
    }

    /// The path of the child `id` of this path.
    #[must_use]
    pub fn child(&self, id: &ChildId) -> Self {
        if self.is_root() {
            Self(format!("/{id}").into())
        } else {
            Self(format!("{}/{id}", self.0).into())
        }
    }

    /// Whether this is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// The path of the supervisor above, or `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self.0.rfind('/') {
            _ if self.is_root() => None,
            Some(0) => Some(Self::root()),
            Some(at) => Some(Self(self.0.get(..at).unwrap_or("/").into())),
            None => None,
        }
    }

    /// The last segment, or `None` for the root.
    #[must_use]
    pub fn id(&self) -> Option<ChildId> {
        if self.is_root() {
            return None;
        }
        self.0
            .rsplit('/')
            .next()
            .and_then(|last| ChildId::new(last).ok())
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as text, shared.
    pub(crate) fn as_shared(&self) -> &Arc<str> {
        &self.0
    }

    /// The ids from the root down.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether it is `/system`, where the kernel's own services are, or lies below it.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.segments().next() == Some("system")
    }

    /// Whether it is that of a child which another node has placed here. They live apart from the root, whose budget is not
    /// theirs, and are of any kind.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        self.0
            .strip_prefix(GUESTS)
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether `other` is this path or lies below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.is_root()
            || other
                .0
                .strip_prefix(&*self.0)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for ActorPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(InvalidPath::NotAbsolute(text.to_owned()));
        };
        let is_root_alone = rest == "/";
        let rest = rest
            .strip_suffix('/')
            .filter(|_| !is_root_alone)
            .unwrap_or(rest);
        let mut path = Self::root();
        for segment in rest.split('/').filter(|_| !rest.is_empty()) {
            let id = ChildId::new(segment).map_err(|id| InvalidPath::Segment {
                path: text.to_owned(),
                id,
            })?;
            path = path.child(&id);
        }
        Ok(path)
    }
}

impl TryFrom<String> for ActorPath {
    type Error = InvalidPath;

    fn try_from(text: String) -> Result<Self, InvalidPath> {
        text.parse()
    }
}

impl From<ActorPath> for String {
    fn from(path: ActorPath) -> Self {
        path.0.as_ref().to_owned()
    }
}

impl fmt::Display for ActorPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ActorPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_parse_print_and_climb() {
        let path: ActorPath = "/sensors/host".parse().unwrap();

        assert_eq!(path.to_string(), "/sensors/host");
        assert_eq!(path.parent().unwrap().as_str(), "/sensors");
        assert_eq!(path.parent().unwrap().parent().unwrap(), ActorPath::root());
        assert_eq!(ActorPath::root().parent(), None);
        assert_eq!(path.id().unwrap().as_str(), "host");
        assert_eq!(
            "/sensors/".parse::<ActorPath>().unwrap().as_str(),
            "/sensors"
        );
    }

    #[test]
    fn a_path_contains_itself_and_what_is_below_but_no_neighbour() {
        let sensors: ActorPath = "/sensors".parse().unwrap();

        for (other, expected) in [
            ("/sensors", true),
            ("/sensors/host", true),
            ("/sensors2", false),
            ("/", false),
        ] {
            assert_eq!(
                sensors.contains(&other.parse().unwrap()),
                expected,
                "{other}"
            );
        }
        assert!(ActorPath::root().contains(&sensors));
    }

    #[test]
    fn texts_that_are_no_paths_are_refused() {
        for text in ["", "sensors", "/sen sors", "//x", "/ä"] {
            assert!(text.parse::<ActorPath>().is_err(), "{text:?}");
        }
        assert!(ChildId::new("a".repeat(65)).is_err());
        assert!(ChildId::new("").is_err());
    }
}
