//! Which children have their former settings back, and why: [`rollbacks`].

use std::collections::BTreeMap;

use serde::Serialize;
use unity_supervisors::path::ActorPath;

use super::history::{Cause, Version};

/// A child that has its former settings back, for it did not live through its probation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rollback {
    /// The version whose settings it did not live with.
    pub of: u64,
    /// The version with which it has its former ones back.
    pub number: u64,
    /// What happened to it.
    pub why: String,
}

/// The children that were rolled back and whose settings were not changed since. `versions` are in order.
#[must_use]
pub fn rollbacks<'a>(versions: impl Iterator<Item = &'a Version>) -> BTreeMap<ActorPath, Rollback> {
    let mut found = BTreeMap::new();
    for version in versions {
        if let Cause::RolledBack { of, path, why } = &version.cause {
            let (of, why, number) = (*of, why.clone(), version.number);
            found.insert(path.clone(), Rollback { of, number, why });
        } else {
            // The next start of a kernel passes over what was rolled back, and each change names its child first.
            found.retain(|path: &ActorPath, _| {
                let is_of = |line: &String| line.split(' ').next() == Some(path.as_str());
                !version.changes.iter().any(is_of)
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::history::{ContentHash, State};
    use crate::settings::overlay::Overlay;

    fn version(number: u64, cause: Cause, change: &str) -> Version {
        Version {
            number,
            at_ms: 0,
            cause,
            by: String::new(),
            files: Vec::new(),
            hash: ContentHash::of(&[]),
            overlay: Overlay::default(),
            changes: vec![change.to_owned()],
            state: State::Good,
        }
    }

    #[test]
    fn a_child_counts_as_rolled_back_until_its_settings_are_changed_again() {
        let path: ActorPath = "/a".parse().unwrap();
        let back = Cause::RolledBack {
            of: 2,
            path: path.clone(),
            why: "error: boom".to_owned(),
        };
        let mut versions = vec![
            version(2, Cause::File, "/a every 1s → 2s, live"),
            version(3, back, "/a has its former settings back"),
            version(4, Cause::File, "/ab every 1s → 2s, live"),
        ];

        let rollback = Rollback {
            of: 2,
            number: 3,
            why: "error: boom".to_owned(),
        };
        assert_eq!(
            rollbacks(versions.iter()),
            BTreeMap::from([(path, rollback)])
        );

        versions.push(version(5, Cause::Set, "/a every 1s → 3s, live"));
        assert_eq!(rollbacks(versions.iter()), BTreeMap::new());
    }
}
