//! What only shows in several values of a plan together, or in none that is wrong by itself.

use serde_json::Value as Json;
use unity_actors::chaos::plan::{Fault, PathPattern, Targets};

use crate::tree_file::fields::Fields;
use crate::tree_file::reader::Reader;
use crate::tree_file::{Code, Diagnostic};

impl Reader<'_> {
    /// Warns where `spare` takes all away that `paths` gives.
    pub(super) fn spared(&mut self, fields: Fields<'_>, found: &Json) {
        let Ok(targets) = serde_json::from_value::<Targets>(found.clone()) else {
            return;
        };
        // Whose paths are not named may be anywhere below the root.
        let mut paths = targets.paths;
        if paths.is_empty() {
            paths.extend(PathPattern::try_from("/*".to_owned()));
        }
        let is_spared = |path: &PathPattern| targets.spare.iter().any(|spare| spare.includes(path));
        if let Some(entry) = fields.get("spare").filter(|_| paths.iter().all(is_spared)) {
            let warning = Diagnostic::new(Code::AllSpared, "nobody is left who could be struck");
            let warning = warning.at(entry.key.span, "this spares all that `paths` names");
            self.report(warning.help("spare less, or name paths that are not below those"));
        }
    }

    /// Whether an act has a target exactly when its fault strikes one.
    pub(super) fn struck(&mut self, fields: Fields<'_>, found: &Json) {
        let Some(fault) = found.get("fault") else {
            return;
        };
        let Ok(fault) = serde_json::from_value::<Fault>(fault.clone()) else {
            return;
        };
        let (name, path) = (fault.name(), fields.get("path"));
        let told = match (fault.is_of_node(), path) {
            (true, Some(path)) if fault.trouble().is_some() => (
                format!("`{name}` strikes a link, and nobody in this node"),
                (path.key.span, "it has no target here"),
                "take out `path`, and name a node with `node`",
            ),
            (true, Some(path)) => (
                format!("`{name}` strikes the whole node, and nobody in it"),
                (path.key.span, "it has no target"),
                "take out `path`",
            ),
            (false, None) => (
                format!("nothing says whom `{name}` strikes"),
                (fields.head, "this act has no `path`"),
                "add `path: /robot/camera`, or draw it by chance in a phase",
            ),
            _ => return,
        };
        let (message, (span, label), help) = told;
        self.report(
            Diagnostic::new(Code::ActTarget, message)
                .at(span, label)
                .help(help),
        );
    }
}
