//! Finds the place of a child in the files of a tree: [`locate`].

use std::path::{Path, PathBuf};
use std::rc::Rc;

use unity_supervisors::path::{ActorPath, ChildId};

use super::layout::Layout;
use super::node::{Node, Value};
use super::reader::{Reader, plain};
use super::{PathStep, Sources};

/// The place of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The file, as the reading has it: the tree file or one that it includes.
    pub file: PathBuf,
    /// The text of that file.
    pub text: String,
    /// The steps from the top of that file to the child.
    pub steps: Vec<PathStep>,
}

/// Why a child has no place of its own in the files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// The files cannot be read.
    #[error("{0}; `uk check` says more")]
    Faulty(String),
    /// It is not in them.
    #[error("there is no `{child}` in {file}; `uk tree` lists the children that run")]
    Gone {
        /// The child.
        child: ActorPath,
        /// The tree file.
        file: String,
    },
    /// It is made from a template.
    #[error("`{child}` is made from a template: change the `template` of {above} in the file")]
    OfTemplate {
        /// The child.
        child: ActorPath,
        /// Its supervisor.
        above: ActorPath,
    },
    /// Its file is included more than once.
    #[error("{0} is included more than once: a change of it would change several children")]
    Twice(String),
    /// It stands in its file under another name.
    #[error("`{0}` is an alias of what stands elsewhere: change that, or write it out")]
    Alias(ActorPath),
}

enum Found {
    Child(Node),
    /// The supervisor above it makes its children from a template.
    Template(ActorPath),
}

/// Finds a child in the tree file at `path` and what it includes.
///
/// # Errors
/// [`NoPlace`].
pub fn locate(path: &Path, sources: &Sources<'_>, child: &ActorPath) -> Result<Located, NoPlace> {
    let mut reader = Reader::new(sources, true);
    let gone = || NoPlace::Gone {
        child: child.clone(),
        file: path.display().to_string(),
    };
    let root = reader.open(path, None);
    let tree = root.as_ref().and_then(|root| root.get("tree"));
    let found = tree.and_then(|tree| reader.find(&tree.node, &ActorPath::root(), child));
    let (_, diagnostics, files) = reader.finish(None::<()>);
    if let Some(fault) = diagnostics.iter().find(|found| !found.code.is_warning()) {
        return Err(NoPlace::Faulty(fault.in_one_line()));
    }
    let node = match found.ok_or_else(gone)? {
        Found::Child(node) => node,
        Found::Template(above) => {
            let child = child.clone();
            return Err(NoPlace::OfTemplate { child, above });
        }
    };
    let source = files.get(node.span.file).ok_or_else(gone)?;
    let same = files
        .iter()
        .filter(|file| plain(file.path()) == plain(source.path()));
    if same.count() > 1 {
        return Err(NoPlace::Twice(source.path().display().to_string()));
    }
    let layout = Layout::of(source.written()).map_err(NoPlace::Faulty)?;
    let steps = layout.steps_to(node.span.start);
    let steps = steps.ok_or_else(|| NoPlace::Alias(child.clone()))?;
    Ok(Located {
        file: source.path().to_owned(),
        text: source.written().to_owned(),
        steps,
    })
}

impl Reader<'_> {
    /// Walks all children below the supervisor at `above`, so that every include is seen, and finds `child`.
    fn find(&mut self, node: &Node, above: &ActorPath, child: &ActorPath) -> Option<Found> {
        if node.get("template").is_some() && above.contains(child) && above != child {
            return Some(Found::Template(above.clone()));
        }
        let list = match &node.get("children")?.node.value {
            Value::List(list) => Rc::clone(list),
            _ => return None,
        };
        let mut found = None;
        for item in self.items(&list) {
            let id = item.get("id").and_then(|entry| entry.node.as_text());
            let Some(id) = id.and_then(|id| ChildId::new(id).ok()) else {
                continue;
            };
            let path = above.child(&id);
            let below = self.find(&item, &path, child);
            let here = (path == *child).then_some(Found::Child(item));
            found = found.or(here).or(below);
        }
        found
    }
}
