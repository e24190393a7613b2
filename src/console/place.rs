//! Where in the tree one is, and what a path means there: [`Place`].

use unity_supervisors::ActorPath;

use crate::arguments::{ArgKind, SYSTEM, of_node};
use crate::error::CommandError;

/// The word that stands for the path that was named last.
pub(crate) const LAST: &str = "$_";

/// A place in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The node that this is on, if not that of the console.
    pub node: Option<String>,
    /// Where one is.
    pub path: ActorPath,
    /// The path that was named last, on the same node.
    pub last: Option<ActorPath>,
}

impl Place {
    /// The root.
    #[must_use]
    pub fn root() -> Self {
        Self {
            last: None,
            ..Self::at(None, ActorPath::root())
        }
    }

    /// A place, as one who has named it last.
    #[must_use]
    pub fn at(node: Option<String>, path: ActorPath) -> Self {
        Self {
            node,
            last: Some(path.clone()),
            path,
        }
    }

    /// What `text` means as an argument of this kind. What is no path stays as it is.
    ///
    /// # Errors
    /// If it stands for the path that was named last, and none was.
    pub(crate) fn meant(&self, kind: ArgKind, text: &str) -> Result<String, CommandError> {
        let is_relative = text.starts_with('.') || text.starts_with(LAST);
        match kind {
            // Nothing is no path, least of all to where one is.
            _ if text.is_empty() => Ok(String::new()),
            // What is on another node is not near.
            _ if of_node(text).0.is_some() => Ok(text.to_owned()),
            ArgKind::Path | ArgKind::Supervisor => self.absolute(text),
            ArgKind::Target if text != SYSTEM => self.absolute(text),
            // A word may be a kind as well.
            ArgKind::Schema if is_relative => self.absolute(text),
            _ => Ok(text.to_owned()),
        }
    }

    /// `text` from the root on, behind the node that this is on. What cannot be a path is for others to refuse.
    ///
    /// # Errors
    /// If it stands for the path that was named last, and none was.
    pub(crate) fn absolute(&self, text: &str) -> Result<String, CommandError> {
        if let Some(rest) = text.strip_prefix(LAST)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            let last = self.last.as_ref().ok_or_else(|| {
                CommandError::usage(format!(
                    "no path was named yet that `{LAST}` could stand for"
                ))
            })?;
            return Ok(self.on_node(&joined(last.as_str(), rest.trim_start_matches('/'))));
        }
        Ok(self.on_node(&joined(self.path.as_str(), text)))
    }

    fn on_node(&self, path: &str) -> String {
        match &self.node {
            Some(node) => format!("{node}:{path}"),
            None => path.to_owned(),
        }
    }
}

/// `text` as it is meant at `base`.
fn joined(base: &str, text: &str) -> String {
    let whole = match text.strip_prefix('/') {
        // Two slashes are a slip, which is told where paths are read.
        Some(rest) if rest.starts_with('/') => return text.to_owned(),
        Some(_) => text.to_owned(),
        None => format!("{base}/{text}"),
    };
    let mut segments: Vec<&str> = Vec::new();
    for segment in whole.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

/// How `path` is written by who has begun to write it as `current`; `None` if it cannot become that.
pub(crate) fn written(place: &Place, current: &str, path: &str) -> Option<String> {
    let lead = current
        .rfind('/')
        .map_or("", |at| current.get(..=at).unwrap_or_default());
    let base = place.absolute(lead).ok()?;
    let rest = path.strip_prefix(base.trim_end_matches('/'))?;
    let rest = rest.strip_prefix('/').filter(|rest| !rest.is_empty())?;
    Some(format!("{lead}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Place {
        let (node, path) = of_node(path);
        Place {
            last: Some("/arm/driver".parse().unwrap()),
            ..Place::at(node.map(str::to_owned), path.parse().unwrap())
        }
    }

    #[test]
    fn a_path_is_meant_from_where_one_is() {
        for (place, text, meant) in [
            ("/", "sensors", "/sensors"),
            ("/", ".", "/"),
            ("/", "..", "/"),
            ("/sensors", "host", "/sensors/host"),
            ("/sensors", ".", "/sensors"),
            ("/sensors", "./host", "/sensors/host"),
            ("/sensors", "..", "/"),
            ("/sensors/deep", "../../arm/x", "/arm/x"),
            ("/sensors", "../../../x", "/x"),
            ("/sensors", "/arm", "/arm"),
            ("/sensors", "/arm/../mind/", "/mind"),
            ("/sensors", "a b", "/sensors/a b"),
            ("/sensors", "//x", "//x"),
            ("/sensors", "$_", "/arm/driver"),
            ("/sensors", "$_/../gripper", "/arm/gripper"),
            ("/sensors", "$_x", "/sensors/$_x"),
            ("edge-1:/", "sensors", "edge-1:/sensors"),
            ("edge-1:/sensors", "..", "edge-1:/"),
            ("edge-1:/sensors", "/arm", "edge-1:/arm"),
            ("edge-1:/sensors", "$_", "edge-1:/arm/driver"),
        ] {
            assert_eq!(at(place).absolute(text).unwrap(), meant, "{place} {text}");
        }
        assert!(Place::root().absolute("$_").is_err());
    }

    #[test]
    fn a_path_is_written_as_it_was_begun() {
        for (place, current, path, expected) in [
            ("/sensors", "h", "/sensors/host", Some("host")),
            ("/sensors", "../a", "/arm", Some("../arm")),
            ("/sensors", "h", "/arm", None),
            ("edge-1:/", "s", "edge-1:/sensors", Some("sensors")),
            ("edge-1:/", "/s", "edge-1:/sensors", Some("/sensors")),
            ("edge-1:/sensors", "h", "edge-1:/sensors/host", Some("host")),
        ] {
            let written = written(&at(place), current, path);
            assert_eq!(written.as_deref(), expected, "{place} {current} {path}");
        }
    }

    #[test]
    fn only_arguments_that_are_paths_are_meant_as_such() {
        let place = at("/sensors");
        for (kind, text, meant) in [
            (ArgKind::Path, "host", "/sensors/host"),
            (ArgKind::Supervisor, ".", "/sensors"),
            (ArgKind::Target, "host", "/sensors/host"),
            (ArgKind::Target, "system", "system"),
            (ArgKind::Target, "./system", "/sensors/system"),
            (ArgKind::Path, "", ""),
            (ArgKind::Path, "edge-1:/a", "edge-1:/a"),
            (ArgKind::Schema, "probe", "probe"),
            (ArgKind::Schema, "./probe", "/sensors/probe"),
            (ArgKind::Text, "..", ".."),
            (ArgKind::File, "robot.yaml", "robot.yaml"),
        ] {
            assert_eq!(place.meant(kind, text).unwrap(), meant, "{kind:?} {text}");
        }
    }

    #[test]
    fn paths_are_offered_as_they_are_begun() {
        let written = |place, current, path| super::written(&at(place), current, path);

        assert_eq!(written("/", "", "/a/b").as_deref(), Some("a/b"));
        assert_eq!(written("/a", "b", "/a/b").as_deref(), Some("b"));
        assert_eq!(written("/a", "b/", "/a/b/c").as_deref(), Some("b/c"));
        assert_eq!(written("/a", "../", "/x/y").as_deref(), Some("../x/y"));
        assert_eq!(written("/a", "/", "/x").as_deref(), Some("/x"));
        assert_eq!(
            written("/a", "$_/", "/arm/driver/x").as_deref(),
            Some("$_/x")
        );
        assert_eq!(written("/a", "", "/ab"), None);
        assert_eq!(written("/a", "", "/a"), None);
    }
}
