//! The table of keys: what may stand after each, and when a change takes effect: [`KEYS`].

use serde_json::Value;

use super::{SystemSettings, schema};
use crate::tree_file::plain::Form;

/// When a change of a key takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// In the kernel that runs.
    AtOnce,
    /// When the kernel starts the next time.
    AtNextStart,
}

impl Effect {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at once",
            Self::AtNextStart => "at the next kernel start",
        }
    }
}

/// A key of the settings.
#[derive(Debug)]
pub struct Key {
    /// Its name with that of the mapping it stands in: `history.keep`.
    pub name: &'static str,
    /// What may stand after it.
    pub(crate) form: Form,
    /// When a change takes effect.
    pub effect: Effect,
}

const fn live(name: &'static str, form: Form) -> Key {
    let effect = Effect::AtOnce;
    Key { name, form, effect }
}

const fn fixed(name: &'static str, form: Form) -> Key {
    let effect = Effect::AtNextStart;
    Key { name, form, effect }
}

/// All keys, in the order of the settings.
pub static KEYS: &[Key] = &[
    live("log", Form::LogFilter),
    live("memory_limit", Form::SizeOrNone),
    fixed("max_abandoned", Form::Integer(0, 256)),
    live("kill_grace", Form::DurationAboveZero),
    live("apply_timeout", Form::DurationAboveZero),
    live("watch.enabled", Form::Bool),
    live("watch.debounce", Form::Duration),
    live("history.keep", Form::Integer(1, 100_000)),
    live("history.max_age", Form::DurationAboveZero),
    live("alarms.every", Form::DurationAboveZero),
    live("alarms.mailbox_depth", Form::ShareOrOff),
    live("alarms.restarts", Form::IntegerOrOff(1, 32)),
    live("alarms.restart_window", Form::DurationAboveZero),
    live("alarms.lag", Form::IntegerOrOff(1, u32::MAX)),
    live("alarms.disk", Form::ShareOrOff),
    live("alarms.memory", Form::ShareOrOff),
    live("alarms.temperature", Form::IntegerOrOff(1, 1_000)),
    live("dispatcher.critical", Form::Integer(1, 256)),
    live("dispatcher.high", Form::Integer(1, 256)),
    live("dispatcher.normal", Form::Integer(1, 256)),
    live("dispatcher.low", Form::Integer(1, 256)),
    live("dispatcher.deferred", Form::Integer(1, 256)),
    live("http.listen", Form::AddressOrNone),
    live("http.cert", Form::TextOrNone),
    live("http.key", Form::TextOrNone),
    live("http.hosts", Form::TextOrNone),
    fixed("nodes.listen", Form::AddressOrNone),
    fixed("nodes.cookie_file", Form::TextOrNone),
    fixed("nodes.ca", Form::TextOrNone),
    fixed("nodes.cert", Form::TextOrNone),
    fixed("nodes.key", Form::TextOrNone),
    fixed("nodes.seeds", Form::PlacesOrNone),
    fixed("nodes.heartbeat", Form::Silence),
    fixed("exit_on_give_up", Form::Bool),
    live("labels", Form::Labels),
    fixed("name", Form::NameOrNone),
];

/// The key of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

impl Key {
    /// What it means, in a line or two.
    #[must_use]
    pub fn about(&self) -> String {
        schema::described(self)
    }

    /// What may stand after it, in words: `an integer from 1 to 100000`.
    #[must_use]
    pub fn expected(&self) -> String {
        self.form.expected()
    }

    /// Its value in `settings`.
    #[must_use]
    pub fn value(&self, settings: &SystemSettings) -> Value {
        let all = serde_json::to_value(settings).unwrap_or(Value::Null);
        let pointer = format!("/{}", self.name.replace('.', "/"));
        all.pointer(&pointer).cloned().unwrap_or(Value::Null)
    }

    /// Its name in the environment: `UK_HISTORY__KEEP`. Labels have one each, `UK_LABELS__NAME`.
    #[must_use]
    pub fn variable(&self) -> String {
        let name = if self.form == Form::Labels {
            "labels.NAME"
        } else {
            self.name
        };
        format!("UK_{}", name.replace('.', "__").to_ascii_uppercase())
    }
}
