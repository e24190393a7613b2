//! What may stand after a key of plain settings: [`Form`]; how it is read, and what it is in a JSON Schema.

use tracing_subscriber::EnvFilter;
use unity_actors::alarms::{OFF, SHARE_PATTERN, parse_share};

use std::ops::RangeInclusive;
use std::time::Duration;

use super::*;
use crate::socket::{self, NAME_LEN_MAX};

/// What may stand after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `true` or `false`.
    Bool,
    /// An integer of at least and at most so much.
    Integer(u32, u32),
    /// An integer of at least and at most so much, or `off`.
    IntegerOrOff(u32, u32),
    /// Whole percents, or `off`.
    ShareOrOff,
    /// A duration.
    Duration,
    /// A duration above zero.
    DurationAboveZero,
    /// How long somebody may say nothing: from 200ms to 60s.
    Silence,
    /// A size, or nothing.
    SizeOrNone,
    /// Any text.
    Text,
    /// Any text, or nothing.
    TextOrNone,
    /// An address and a port to listen on, or nothing.
    AddressOrNone,
    /// Hosts with ports, a list or a text with commas between; or nothing.
    PlacesOrNone,
    /// A filter of the log.
    LogFilter,
    /// A name of a node, or nothing.
    NameOrNone,
    /// A mapping of texts.
    Labels,
}

/// The words for levels of the log.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Form {
    /// In words.
    pub(crate) fn expected(self) -> String {
        let words = match self {
            Self::Bool => "`true` or `false`",
            Self::Integer(least, most) => return format!("an integer from {least} to {most}"),
            Self::IntegerOrOff(least, most) => {
                return format!("an integer from {least} to {most}, or `off`");
            }
            Self::ShareOrOff => "a share from `1%` to `100%`, or `off`",
            Self::Duration => "a duration, as in `50ms`",
            Self::DurationAboveZero => "a duration above zero, as in `5s`",
            Self::Silence => "a duration from `200ms` to `60s`",
            Self::PlacesOrNone => {
                "a list of hosts with ports, as in `[edge-1.local:4697]`, or `null`"
            }
            Self::SizeOrNone => "a size, as in `512MiB`, or `null`",
            Self::Text => "a text",
            Self::TextOrNone => "a text, or `null`",
            Self::AddressOrNone => "an address and a port, as in `127.0.0.1:8080`, or `null`",
            Self::LogFilter => "a filter of the log, as in `info` or `warn,unity_kernel=debug`",
            Self::NameOrNone => "a name, as in `robot-1`, or `null`",
            Self::Labels => "a mapping of texts",
        };
        words.to_owned()
    }

    /// Whether nothing at all says something: that there is none.
    pub(crate) fn may_be_nothing(self) -> bool {
        matches!(
            self,
            Self::SizeOrNone
                | Self::NameOrNone
                | Self::TextOrNone
                | Self::AddressOrNone
                | Self::PlacesOrNone
        )
    }

    /// Whether `off` says something: that there is no limit.
    fn may_be_off(self) -> bool {
        matches!(self, Self::IntegerOrOff(..) | Self::ShareOrOff)
    }

    /// Whether `5` is a text here.
    pub(crate) fn is_text(self) -> bool {
        !matches!(
            self,
            Self::Bool | Self::Integer(..) | Self::IntegerOrOff(..)
        )
    }

    /// What an editor checks.
    pub(crate) fn schema(self) -> Json {
        let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
        let form = match self {
            Self::Bool => json!({ "type": "boolean" }),
            Self::Integer(least, most) | Self::IntegerOrOff(least, most) => {
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            Self::ShareOrOff => text(SHARE_PATTERN),
            Self::Duration => text(duration::PATTERN),
            Self::Silence => text(SILENCE_PATTERN),
            Self::PlacesOrNone => {
                let list = format!("^ *{PLACE_PATTERN} *(, *{PLACE_PATTERN} *)*$");
                let place = text(&format!("^{PLACE_PATTERN}$"));
                json!({ "anyOf": [{ "type": "array", "items": place }, text(&list)] })
            }
            Self::DurationAboveZero => text(&duration::PATTERN.replace("[0-9]+", "0*[1-9][0-9]*")),
            Self::SizeOrNone => text(size::PATTERN),
            Self::TextOrNone => json!({ "type": "string" }),
            Self::AddressOrNone => {
                text(r"^(([0-9]{1,3}\.){3}[0-9]{1,3}|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$")
            }
            Self::Text | Self::LogFilter => return json!({ "type": "string" }),
            Self::NameOrNone => {
                let more = NAME_LEN_MAX - 1;
                text(&format!("^[A-Za-z0-9_-][A-Za-z0-9_.-]{{0,{more}}}$"))
            }
            Self::Labels => json!({
                "type": ["object", "null"],
                "additionalProperties": { "type": "string" },
            }),
        };
        let mut forms = vec![form];
        if self.may_be_nothing() {
            forms.push(json!({ "type": "null" }));
        }
        if self.may_be_off() {
            forms.push(json!({ "const": OFF }));
        }
        forms.push(json!({ "$ref": "#/$defs/variable" }));
        json!({ "anyOf": forms })
    }
}

impl Reader<'_> {
    /// What stands after a key as JSON, in the one way that settings write it; `None` if it does not fit, which is told.
    pub(super) fn form(&mut self, form: &Form, entry: &Entry) -> Option<Json> {
        let written = Some(entry);
        if form.may_be_nothing() && matches!(entry.node.value, Value::Null) {
            return Some(Json::Null);
        }
        let is_off = matches!(&entry.node.value, Value::Text { text, .. } if **text == *OFF);
        if form.may_be_off() && is_off {
            return Some(OFF.into());
        }
        Some(match form {
            Form::Bool => self.boolean(written)?.into(),
            Form::Integer(least, most) | Form::IntegerOrOff(least, most) => {
                self.integer(written, *least..=*most)?.into()
            }
            Form::ShareOrOff => self.share(entry)?.into(),
            Form::Duration => duration::format_duration(self.duration(written)?).into(),
            Form::DurationAboveZero => duration::format_duration(self.positive(written)?).into(),
            Form::Silence => self.silence(entry)?.into(),
            Form::PlacesOrNone => return self.places(entry),
            Form::SizeOrNone => self.size(entry)?.into(),
            Form::Text | Form::TextOrNone => self.word(written)?.into(),
            Form::AddressOrNone => self.address(entry)?.into(),
            Form::LogFilter => self.log_filter(entry)?.into(),
            Form::NameOrNone => self.node_name(entry)?.into(),
            // Read key by key.
            Form::Labels => return None,
        })
    }

    fn silence(&mut self, entry: &Entry) -> Option<String> {
        let duration = self.duration(Some(entry))?;
        let said = duration::format_duration(duration);
        if SILENCE.contains(&duration) {
            return Some(said);
        }
        self.out_of_range(entry, &said, "a duration from 200ms to 60s");
        None
    }

    /// Hosts with ports, as one text with commas between; of an empty list nothing.
    fn places(&mut self, entry: &Entry) -> Option<Json> {
        let mut texts: Vec<String> = Vec::new();
        match &entry.node.value {
            Value::List(items) => {
                for item in items.iter() {
                    let item = Entry {
                        key: entry.key.clone(),
                        node: item.clone(),
                    };
                    texts.push(self.word(Some(&item))?.to_owned());
                }
            }
            _ => {
                let text = self.word(Some(entry))?;
                texts.extend(text.split(',').map(|one| one.trim().to_owned()));
            }
        }
        if let Some(text) = texts.iter().find(|text| !is_place(text)) {
            let what = format!("`{}` is no host with a port", shown(text));
            let help = "write each as in `edge-1.local:4697`, or `null` for none";
            self.refuse(
                entry,
                Code::SystemAddress,
                &what,
                "expected hosts, a colon and a port after each",
                help,
            );
            return None;
        }
        match texts.is_empty() {
            true => Some(Json::Null),
            false => Some(texts.join(", ").into()),
        }
    }

    pub(crate) fn size(&mut self, entry: &Entry) -> Option<String> {
        let text = match &entry.node.value {
            Value::Text { text, .. } => text.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            _ => {
                let help = "write an integer and a unit, as in `512MiB`".to_owned();
                self.wrong_type(entry, "a size", Some(help));
                return None;
            }
        };
        match size::parse_size(&text) {
            Ok(bytes) => Some(size::format_size(bytes)),
            Err(refusal) => {
                let (what, help) = halves(&refusal);
                let help = help.unwrap_or("write an integer and a unit, as in `512MiB`");
                self.refuse(entry, Code::SystemSize, what, "expected a size", help);
                None
            }
        }
    }

    fn share(&mut self, entry: &Entry) -> Option<String> {
        let text = match &entry.node.value {
            Value::Text { text, .. } => text.to_string(),
            _ => {
                let help = "write a share, as in `80%`, or `off`".to_owned();
                self.wrong_type(entry, "a share", Some(help));
                return None;
            }
        };
        let share = parse_share(&text);
        if share.is_none() {
            let what = format!("`{}` is no share", shown(&text));
            let help = "write a share, as in `80%`, or `off`";
            self.refuse(
                entry,
                Code::SystemRange,
                &what,
                "expected `1%` to `100%`",
                help,
            );
        }
        share.map(|share| format!("{share}%"))
    }

    fn log_filter(&mut self, entry: &Entry) -> Option<String> {
        let text = self.word(Some(entry))?.to_owned();
        // A lone word that is no level counts as a target, and hardly ever is meant as one.
        let slip = text
            .split(',')
            .filter(|word| !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)))
            .find_map(|word| nearest(word, LEVELS));
        let (what, help) = match (EnvFilter::try_new(&text), slip) {
            (Ok(_), None) => return Some(text),
            (_, Some(level)) => (
                format!("`{}` is no filter of the log", shown(&text)),
                format!("did you mean `{level}`?"),
            ),
            (Err(_), None) => (
                format!("`{}` is no filter of the log", shown(&text)),
                format!(
                    "write a level ({}), or targets with levels as in `warn,unity_kernel=debug`",
                    LEVELS.join(", ")
                ),
            ),
        };
        self.refuse(
            entry,
            Code::LogFilter,
            &what,
            "expected levels, or targets with levels",
            &help,
        );
        None
    }

    fn node_name(&mut self, entry: &Entry) -> Option<String> {
        let name = self.word(Some(entry))?.to_owned();
        if socket::of_name(&name).is_ok() {
            return Some(name);
        }
        let what = format!("`{}` cannot be the name of a node", shown(&name));
        let label = "expected 1 to 64 of the characters A-Z a-z 0-9 _ - and inner dots";
        let help = "write another name, or `null` for the one in the tree file";
        self.refuse(entry, Code::SystemName, &what, label, help);
        None
    }

    fn address(&mut self, entry: &Entry) -> Option<String> {
        let text = self.word(Some(entry))?.to_owned();
        if text.parse::<std::net::SocketAddr>().is_ok() {
            return Some(text);
        }
        let what = format!("`{}` is no address to listen on", shown(&text));
        let label = "expected an address in digits, a colon and a port";
        let help = "write 127.0.0.1:8080 for this machine alone, 0.0.0.0:8443 for all, or `null`";
        self.refuse(entry, Code::SystemAddress, &what, label, help);
        None
    }

    fn refuse(&mut self, entry: &Entry, code: Code, what: &str, label: &str, help: &str) {
        let message = format!("`{}`: {what}", shown(&entry.key.text));
        let fault = Diagnostic::new(code, message).at(entry.node.span, label);
        self.report(fault.help(help));
    }
}

/// How long somebody may say nothing at least, and at most.
const SILENCE: RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(60);
const SILENCE_PATTERN: &str =
    "^0*(([2-9][0-9]{2}|[1-9][0-9]{3}|[1-5][0-9]{4}|60000)ms|([1-9]|[1-5][0-9]|60)s|1m)$";

/// A host with a port, as a regular expression.
const PLACE_PATTERN: &str = r"([A-Za-z0-9_.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}";

/// Whether it is an address in digits or a name, with a port.
pub(crate) fn is_place(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_port = !port.starts_with('+') && port.parse::<u16>().is_ok();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_named = !host.is_empty() && host.len() <= 253 && host.bytes().all(is_name);
    is_port && (is_named || host.starts_with('[') && text.parse::<std::net::SocketAddr>().is_ok())
}

/// The house form: what is wrong, then what to do.
fn halves(refusal: &str) -> (&str, Option<&str>) {
    match refusal
        .split_once("; ")
        .or_else(|| refusal.split_once(": "))
    {
        Some((what, help)) => (what, Some(help)),
        None => (refusal, None),
    }
}
