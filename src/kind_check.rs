//! Lets the reader of tree files look into the table of kinds.

use serde_json::Value;
use unity_supervisors::Kinds;

use crate::tree_file::{KindCheck, PathStep, SettingsFault};

/// A table of kinds, as the reader of tree files wants to see it.
#[derive(Debug)]
pub struct KnownKinds<'a>(pub &'a Kinds);

impl KindCheck for KnownKinds<'_> {
    fn names(&self) -> Vec<String> {
        self.0.names().map(str::to_owned).collect()
    }

    fn check(&self, kind: &str, settings: &Value) -> Result<(), Vec<SettingsFault>> {
        let Some(kind) = self.0.get(kind) else {
            return Ok(());
        };
        kind.check(settings).map_err(|error| {
            vec![SettingsFault {
                path: steps(&error.path),
                what: error.what,
                expected: error.expected,
            }]
        })
    }
}

/// Reads `backoff.min` and `command[1]`.
fn steps(path: &str) -> Vec<PathStep> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let mut pieces = part.split('[');
        if let Some(key) = pieces.next().filter(|key| !key.is_empty()) {
            steps.push(PathStep::Key(key.to_owned()));
        }
        let indexes = pieces.filter_map(|piece| piece.trim_end_matches(']').parse().ok());
        steps.extend(indexes.map(PathStep::Index));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_into_settings_is_read_step_by_step() {
        let key = |key: &str| PathStep::Key(key.to_owned());

        assert_eq!(steps(""), []);
        assert_eq!(steps("every"), [key("every")]);
        assert_eq!(steps("backoff.min"), [key("backoff"), key("min")]);
        assert_eq!(steps("command[1]"), [key("command"), PathStep::Index(1)]);
        assert_eq!(
            steps("a[0][2].b"),
            [key("a"), PathStep::Index(0), PathStep::Index(2), key("b")]
        );
    }
}
