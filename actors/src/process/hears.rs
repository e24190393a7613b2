//! What a command has to do with events, as its settings say: [`TopicPattern`] and [`Hears`].

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use unity_supervisors::bus::{Pattern, Since};
use unity_supervisors::path::ChildId;

/// A pattern of topics, as in `sensor.*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopicPattern(pub Pattern);

impl JsonSchema for TopicPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TopicPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(\*|[A-Za-z0-9_-]+)(\.(\*|[A-Za-z0-9_-]+))*$",
            "examples": ["sensor.*"],
        })
    }
}

/// Events that a command gets: a pattern, or one with the name under which a durable subscription goes on after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hears {
    /// Which.
    pub pattern: Pattern,
    /// The name of its durable subscription, and where that begins; as it was written.
    pub durable: Option<(ChildId, Option<String>)>,
}

impl Hears {
    /// Where its durable subscription begins, if it is one.
    #[must_use]
    pub fn since(&self) -> Option<(&str, Since)> {
        let (name, since) = self.durable.as_ref()?;
        // It was read before.
        let since = since.as_deref().and_then(|since| since.parse().ok());
        Some((name.as_str(), since.unwrap_or_default()))
    }
}

/// The longer form.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Form {
    /// Which events, as in `order.*`.
    pattern: TopicPattern,
    /// The name under which it goes on after a restart of the command, or of the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    durable: Option<String>,
    /// Where it begins: `now`, `start`, `last_ack` (the default) or a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

impl Serialize for Hears {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((name, since)) = &self.durable else {
            return self.pattern.serialize(serializer);
        };
        let form = Form {
            pattern: TopicPattern(self.pattern.clone()),
            durable: Some(name.as_str().to_owned()),
            since: since.clone(),
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Hears {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HearsVisitor)
    }
}

/// Tells what is wrong, and not that no form fits.
struct HearsVisitor;

impl<'de> Visitor<'de> for HearsVisitor {
    type Value = Hears;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pattern such as `sensor.*`, or `{pattern, durable, since}`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Hears, E> {
        let pattern = Pattern::new(text).map_err(E::custom)?;
        let durable = None;
        Ok(Hears { pattern, durable })
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Hears, M::Error> {
        let form = Form::deserialize(MapAccessDeserializer::new(map))?;
        if let Some(since) = &form.since {
            since.parse::<Since>().map_err(de::Error::custom)?;
        }
        let durable = match (form.durable, form.since) {
            (Some(name), since) => {
                let name = ChildId::new(&name).map_err(|error| {
                    de::Error::custom(format!("the name of a durable subscription: {error}"))
                })?;
                Some((name, since))
            }
            (None, Some(_)) => {
                return Err(de::Error::custom(
                    "`since` is for a durable subscription: give it `durable: NAME` as well",
                ));
            }
            (None, None) => None,
        };
        let pattern = form.pattern.0;
        Ok(Hears { pattern, durable })
    }
}

impl JsonSchema for Hears {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hears".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (short, long) = (
            TopicPattern::json_schema(generator),
            Form::json_schema(generator),
        );
        json_schema!({ "anyOf": [short, long] })
    }
}
