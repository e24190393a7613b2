//! Resources: what an assistant reads most, each the document of a reading command.

use rmcp::model::{Resource, ResourceTemplate};
use serde_json::Value;

use super::door::Door;
use crate::arguments::Args;
use crate::commands::Command;
use crate::error::CommandError;
use crate::rights::Who;
use crate::screen::{list, text};

/// The address, the command, and what it is.
const FIXED: &[(&str, &[&str], &str)] = &[
    ("uk://tree", &["tree"], "What runs, and how"),
    (
        "uk://health",
        &["health"],
        "Whether all is well, and what is not",
    ),
    (
        "uk://crashes",
        &["crashes"],
        "What crashed, one story for each cause",
    ),
    ("uk://logs", &["logs"], "The last lines of the log"),
    (
        "uk://events",
        &["events", "list"],
        "Which events there are, and how many came by",
    ),
];
/// How the addresses of explanations begin; a path follows.
const WHY: &str = "uk://why";

/// The fixed ones, and why each actor is unwell that is.
pub(super) async fn all(door: &Door, who: Option<&Who>) -> Result<Vec<Resource>, CommandError> {
    let fixed = FIXED.iter().map(|(uri, _, about)| {
        let name = uri.trim_start_matches("uk://");
        resource((*uri).to_owned(), name.to_owned(), about)
    });
    let mut resources: Vec<Resource> = fixed.collect();
    if let Some(health) = Command::find(&["health"]) {
        let health = door.call(health, &Args::default(), who).await?.document;
        let paths = list(&health, "unwell")
            .iter()
            .map(|child| text(child, "path"));
        resources.extend(paths.map(|path| {
            resource(
                format!("{WHY}{path}"),
                format!("why {path}"),
                "It is unwell: why, and what to do",
            )
        }));
    }
    Ok(resources)
}

fn resource(uri: String, name: String, about: &str) -> Resource {
    let mut resource = Resource::new(uri, name);
    resource.description = Some(about.to_owned());
    resource.mime_type = Some("application/json".to_owned());
    resource
}

/// Why any actor is as it is.
pub(super) fn why() -> ResourceTemplate {
    ResourceTemplate::new(format!("{WHY}{{+path}}"), "why")
}

/// The command whose document a resource is.
pub(super) fn find(uri: &str) -> Option<(&'static Command, Args)> {
    let mut args = Args::default();
    if let Some(path) = uri.strip_prefix(WHY) {
        args.insert(
            "path",
            Value::from(path.parse::<unity_supervisors::ActorPath>().ok()?.as_str()),
        );
        return Some((Command::find(&["why"])?, args));
    }
    let (_, words, _) = FIXED.iter().find(|(its, _, _)| *its == uri)?;
    Some((Command::find(words)?, args))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_is_a_command() {
        for (uri, words, _) in FIXED {
            assert_eq!(find(uri).unwrap().0.words, *words);
        }
        let (why, args) = find("uk://why/arm/driver").unwrap();
        assert_eq!(
            (why.words, args.text("path")),
            (&["why"][..], Some("/arm/driver"))
        );
        for uri in [
            "uk://why",
            "uk://nothing",
            "file:///etc/passwd",
            "uk://why/a b",
        ] {
            assert!(find(uri).is_none(), "{uri}");
        }
    }
}
