//! Lets the reader of tree files look into the table of kinds.

use serde_json::Value;
use unity_supervisors::kind::SettingsError;
use unity_supervisors::secret::Unwise;
use unity_supervisors::{Kinds, SecretError, Secrets};

use crate::tree_file::{KindCheck, PathStep, SettingsFault};

/// After this many faults the settings of one child are not looked at any further.
const FAULTS_MAX: usize = 32;

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
        let faults = all_faults(&|settings| kind.check(settings, self.0.secrets()), settings);
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    fn check_elsewhere(&self, kind: &str, settings: &Value) -> Result<(), Vec<SettingsFault>> {
        let Some(kind) = self.0.get(kind) else {
            return Ok(());
        };
        // What is kept under the same name on this machine says nothing of that on the other.
        let none = Secrets::default();
        let mut faults = all_faults(&|settings| kind.check(settings, &none), settings);
        faults.retain(|fault| !fault.what.starts_with("the secret `"));
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    fn keeps_state(&self, kind: &str) -> bool {
        self.0.get(kind).is_none_or(|kind| kind.keeps_state())
    }

    fn secret(&self, name: &str) -> Result<Option<Unwise>, SecretError> {
        self.0.secrets().look(name)
    }

    fn about(&self, kind: &str) -> String {
        self.0
            .get(kind)
            .map(|kind| kind.about().to_owned())
            .unwrap_or_default()
    }

    fn schema(&self, kind: &str) -> Value {
        self.0
            .get(kind)
            .map_or_else(|| Value::Bool(true), |kind| kind.settings_schema())
    }
}

/// All that does not fit. A check stops at the first fault, so what is at fault is taken out of a copy and the
/// copy checked again.
fn all_faults(
    check: &dyn Fn(&Value) -> Result<(), SettingsError>,
    settings: &Value,
) -> Vec<SettingsFault> {
    let mut rest = settings.clone();
    let mut removed: Vec<String> = Vec::new();
    let mut lacks_known = false;
    let mut faults: Vec<SettingsFault> = Vec::new();
    while faults.len() < FAULTS_MAX
        && let Err(error) = check(&rest)
    {
        let missing = quoted(&error.what, "missing field ");
        if missing.is_some_and(|missing| removed.iter().any(|key| key == missing)) {
            break;
        }
        let path = steps(&error.path);
        let first = match path.first() {
            Some(PathStep::Key(key)) => Some(key.as_str()),
            _ => None,
        };
        let unknown = quoted(&error.what, "unknown field ");
        let is_of_all = first.is_none() && unknown.is_none() && missing.is_none();
        if is_of_all && lacks_known {
            // It may be at fault only for what was taken out.
            break;
        }
        lacks_known |= first.is_some() && unknown.is_none();
        let offender = [first, unknown]
            .into_iter()
            .flatten()
            .find(|key| rest.get(key).is_some())
            .map(str::to_owned);
        faults.push(SettingsFault {
            path,
            what: error.what,
            expected: error.expected,
        });
        let (Some(key), Some(object)) = (offender, rest.as_object_mut()) else {
            break;
        };
        object.remove(&key);
        removed.push(key);
    }
    faults
}

/// The name in backquotes after `lead`, with which `text` begins.
fn quoted<'a>(text: &'a str, lead: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(lead)?.strip_prefix('`')?;
    rest.split_once('`').map(|(name, _)| name)
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
    fn all_faults_of_settings_are_found_and_each_once() {
        let kinds = unity_actors::kinds();
        let settings = serde_json::json!({ "command": 5, "comand": ["a"], "stop_signal": 9 });

        let faults = KnownKinds(&kinds).check("process", &settings).unwrap_err();

        let mut at: Vec<_> = faults
            .iter()
            .filter_map(|fault| fault.path.first())
            .collect();
        at.sort_by_key(|step| format!("{step:?}"));
        let key = |key: &str| PathStep::Key(key.to_owned());
        assert_eq!(
            at,
            [&key("comand"), &key("command"), &key("stop_signal")],
            "{faults:?}"
        );
    }

    #[test]
    fn what_is_at_fault_for_another_fault_alone_is_not_told() {
        let kinds = unity_actors::kinds();
        let check = |settings| {
            let faults = KnownKinds(&kinds).check("sensor.frames", &settings);
            faults.unwrap_err().len()
        };

        assert_eq!(check(serde_json::json!({ "audio": { "rate": 1 } })), 1);
        assert_eq!(check(serde_json::json!({ "fps": 30 })), 2);
    }

    #[test]
    fn the_secrets_of_another_node_are_not_looked_for_here() {
        let kinds = unity_actors::kinds();
        let check = |settings| {
            let faults = KnownKinds(&kinds).check_elsewhere("process", &settings);
            let faults = faults.err().unwrap_or_default();
            let at = faults.iter().map(|fault| fault.what.clone());
            at.collect::<Vec<_>>()
        };
        let command = serde_json::json!(["run", "${secret:TOKEN}"]);

        assert_eq!(check(serde_json::json!({ "command": command })), [""; 0]);
        let others = check(serde_json::json!({ "command": command, "stop_signal": 9 }));
        assert_eq!(others.len(), 1, "{others:?}");
        let missing = check(serde_json::json!({ "env": { "A": "${secret:TOKEN}" } }));
        assert_eq!(missing, ["missing field `command`"]);
    }

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
