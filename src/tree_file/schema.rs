//! The JSON Schema of tree files, for editors: [`schema`].
//!
//! It is made of the table of keys, the specs' defaults and the kinds, so it says what the reader
//! does: what the reader accepts is valid, and what it refuses for a key, a type, a word or a form
//! is not. What needs more than one place (ids that are there twice, `needs`), other files, the
//! environment or arithmetic is left to `uk check`. Wherever a variable can stand for a value a
//! text with `${` is valid.

use serde_json::{Map, Value, json};
use unity_actors::duration;
use unity_supervisors::path::ID_LEN_MAX;
use unity_supervisors::priority::Priority;
use unity_supervisors::spec::{
    AutoShutdown, Backoff, ChildSpec, Failover, HealthSpec, MailboxSpec, Place, StateSpec,
    Strategy, SupervisorSpec, Template,
};

use super::KindCheck;
use super::effective::{self, Item};
use super::keys::{self, Form, Key, Optional, Owner};
use super::{ladder, place};

/// The schema of tree files with these kinds, draft 2020-12.
///
/// `#/$defs/included` is the schema of a file that is included.
#[must_use]
pub fn schema(kinds: &dyn KindCheck) -> Value {
    let tree = effective::default_tree();
    let file = mapping(keys::FILE, &[&effective::file(&tree)], kinds);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "UnityKernel tree file",
        "description": "What a kernel runs: a tree of supervisors and workers.",
        "required": ["version", "tree"],
        "$defs": definitions(kinds),
    });
    extend(&mut schema, file);
    schema
}

fn definitions(kinds: &dyn KindCheck) -> Value {
    let mut definitions = json!({
        "variable": variable_definition(
            "A text with variables of the environment, ${NAME} or ${NAME:-default}, or in settings with secrets: ${secret:NAME}.",
        ),
        "children": {
            "type": "array",
            "items": { "$ref": "#/$defs/child" },
        },
        "included": {
            "description": "An included file: a list of children, or `children` with one.",
            "anyOf": [
                { "$ref": "#/$defs/children" },
                {
                    "type": "object",
                    "properties": { "children": { "$ref": "#/$defs/children" } },
                    "required": ["children"],
                    "additionalProperties": false,
                },
            ],
        },
        "root": root(kinds),
        "child": child(kinds),
        "template": template(kinds),
    });
    for kind in kinds.names() {
        let mut schema = with_variables(&kinds.schema(&kind));
        let name = definition_of(&kind);
        move_references(&mut schema, &format!("#/$defs/{name}"));
        extend(&mut definitions, json!({ name: schema }));
    }
    definitions
}

/// A text that stands for a value of any type.
pub(super) fn variable_definition(description: &str) -> Value {
    json!({
        "description": description,
        "type": "string",
        "pattern": "(^|[^$])\\$\\{",
    })
}

/// The name of the definition of the settings of a kind.
fn definition_of(kind: &str) -> String {
    format!("{kind}.settings")
}

fn root(kinds: &dyn KindCheck) -> Value {
    let spec = SupervisorSpec::default();
    let defaults = effective::supervisor_items(&spec);
    let own = keys::CHILD
        .iter()
        .filter(|(owner, _)| *owner == Owner::Supervisor);
    let mut root = mapping(own.map(|(_, key)| key), &[&defaults], kinds);
    extend(&mut root, listed_or_made());
    root
}

/// What goes with `children`, and what with a `template`: one of the two is there.
fn listed_or_made() -> Value {
    let word = |word: &str| or_variable(json!({ "const": word }));
    let (one_for_one, never) = (
        word(Strategy::OneForOne.as_str()),
        word(AutoShutdown::Never.as_str()),
    );
    json!({
        "if": { "required": ["template"] },
        "then": {
            "properties": { "children": false, "strategy": one_for_one, "auto_shutdown": never },
            "not": { "required": ["max_children", "partitions"] },
        },
        "else": { "properties": { "max_children": false, "partitions": false }, "required": ["children"] },
    })
}

/// What children are made from: the keys of a child that can be the same for all, then what goes together with which.
fn template(kinds: &dyn KindCheck) -> Value {
    let keys = keys::CHILD.iter().map(|(_, key)| key);
    let keys = keys.filter(|key| !keys::NOT_IN_TEMPLATE.contains(&key.name));
    let mut template = any_child(keys, kinds);
    if let Some(significant) = template.pointer_mut("/properties/significant") {
        extend(significant, or_variable(json!({ "const": false })));
    }
    extend(&mut template, sorts(kinds));
    template
}

/// A mapping of keys of a child of either sort.
fn any_child<'k>(keys: impl IntoIterator<Item = &'k Key>, kinds: &dyn KindCheck) -> Value {
    let worker = ChildSpec::worker(Template::id(), "");
    let supervisor = ChildSpec::supervisor(Template::id(), SupervisorSpec::default());
    let defaults = [
        &effective::child_items(&worker),
        &effective::child_items(&supervisor),
    ];
    mapping(keys, &defaults, kinds)
}

/// A child: all keys, then what goes together with which.
fn child(kinds: &dyn KindCheck) -> Value {
    let mut child = any_child(keys::CHILD.iter().map(|(_, key)| key), kinds);
    let include = json!({
        "type": "string",
        "description": "A file with a list of children that stand in its place; the path begins at the folder of this file.",
    });
    if let Some(properties) = child.get_mut("properties") {
        extend(properties, json!({ "include": include }));
    }
    // What never stays down cannot be significant.
    let significant = json!({
        "if": { "properties": { "significant": { "const": true } }, "required": ["significant"] },
        "then": {
            "properties": { "restart": { "not": { "const": "permanent" } } },
            "required": ["restart"],
        },
    });
    let mut sorts = sorts(kinds);
    extend(
        &mut sorts,
        json!({ "required": ["id"], "allOf": [significant] }),
    );
    extend(
        &mut child,
        json!({
            "if": { "required": ["include"] },
            "then": { "maxProperties": 1 },
            "else": sorts,
        }),
    );
    child
}

/// What makes a worker, and what a supervisor.
fn sorts(kinds: &dyn KindCheck) -> Value {
    let names = kinds.names();
    let of_kinds = names.iter().map(|kind| of_kind(kind, kinds));
    let rules: Vec<Value> = of_kinds.chain([known_here(kinds)]).collect();
    let worker = json!({ "properties": without(Owner::Supervisor), "allOf": rules });
    let mut supervisor = json!({ "properties": without(Owner::Worker) });
    extend(&mut supervisor, listed_or_made());
    json!({ "if": { "required": ["kind"] }, "then": worker, "else": supervisor })
}

/// No key of the other sort of child.
fn without(other: Owner) -> Value {
    let keys = keys::CHILD.iter().filter(|(owner, _)| *owner == other);
    let none = keys.map(|(_, key)| (key.name.to_owned(), Value::Bool(false)));
    Value::Object(none.collect())
}

/// What the settings of one kind are.
fn of_kind(kind: &str, kinds: &dyn KindCheck) -> Value {
    let settings = json!({ "$ref": format!("#/$defs/{}", definition_of(kind)) });
    let schema = kinds.schema(kind);
    let required = schema.get("required").and_then(Value::as_array);
    let then = match required.is_some_and(|required| !required.is_empty()) {
        true => json!({ "properties": { "settings": settings }, "required": ["settings"] }),
        false => json!({ "properties": { "settings": or_nothing(settings) } }),
    };
    json!({
        "if": { "properties": { "kind": { "const": kind } }, "required": ["kind"] },
        "then": then,
    })
}

/// A mapping of keys; what is not the same among the defaults is told in the description.
fn mapping<'k>(
    keys: impl IntoIterator<Item = &'k Key>,
    defaults: &[&Vec<(&'static str, Item<'_>)>],
    kinds: &dyn KindCheck,
) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let found = defaults.iter().filter_map(|items| {
            let found = items.iter().find(|(name, _)| *name == key.name);
            found.map(|(_, item)| item)
        });
        let mut schema = form(&key.form, kinds);
        extend(
            &mut schema,
            described(key, &found.collect::<Vec<_>>(), kinds),
        );
        properties.insert(key.name.to_owned(), schema);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// What an editor shows of a key: its description and its default.
fn described(key: &Key, defaults: &[&Item<'_>], kinds: &dyn KindCheck) -> Value {
    let mut about = key.about.to_owned();
    if matches!(key.form, Form::Kind) {
        for kind in kinds.names() {
            about.push_str(&format!("\n\n`{kind}`: {}", kinds.about(&kind)));
        }
    }
    let mut described = Map::new();
    match defaults {
        // These must be said: what the specs have here is an example.
        _ if matches!(key.form, Form::Version | Form::Kind) || key.name == "id" => {}
        [Item::Value(worker), Item::Value(supervisor)] if worker != supervisor => {
            let (worker, supervisor) = (bare(worker), bare(supervisor));
            about.push_str(&format!(
                " Default: {worker}; of a supervisor {supervisor}."
            ));
        }
        [Item::Value(one), ..] => {
            described.insert("default".to_owned(), one.clone());
        }
        _ => {}
    }
    described.insert("description".to_owned(), Value::from(about));
    Value::Object(described)
}

fn bare(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn form(form: &Form, kinds: &dyn KindCheck) -> Value {
    match form {
        Form::Version => or_variable(json!({ "const": 1 })),
        Form::Id => {
            let pattern = format!("^[A-Za-z0-9_-]{{1,{ID_LEN_MAX}}}$");
            or_variable(json!({ "type": "string", "pattern": pattern }))
        }
        Form::Bool => or_variable(json!({ "type": "boolean" })),
        Form::Integer(least, most) => integer(*least, *most),
        Form::Number(least, most) if *most == f64::MAX => {
            or_variable(json!({ "type": "number", "minimum": least }))
        }
        Form::Number(least, most) => {
            or_variable(json!({ "type": "number", "minimum": least, "maximum": most }))
        }
        Form::Words(words) => or_variable(json!({ "enum": words() })),
        Form::Duration { positive, words } => time(*positive, words),
        // What another node has nobody knows here; see `known_here`.
        Form::Kind => json!({
            "anyOf": [{ "enum": kinds.names() }, { "type": "string", "minLength": 1 }],
        }),
        Form::Settings => or_nothing(json!({ "type": "object" })),
        Form::Labels => {
            or_nothing(json!({ "type": "object", "additionalProperties": { "type": "string" } }))
        }
        Form::Ids => or_nothing(json!({ "type": "array", "items": { "type": "string" } })),
        Form::Children => or_nothing(json!({ "$ref": "#/$defs/children" })),
        Form::Template => json!({ "$ref": "#/$defs/template" }),
        Form::Root => json!({ "$ref": "#/$defs/root" }),
        Form::Lanes => {
            let lanes = Priority::ALL.map(|lane| (lane.as_str().to_owned(), integer(1, u32::MAX)));
            let lanes = Map::from_iter(lanes);
            json!({ "type": "object", "properties": lanes, "additionalProperties": false })
        }
        Form::Ladder => or_nothing(json!({ "type": "array", "items": step(kinds) })),
        Form::Swap => json!({
            "anyOf": [{ "type": "object" }, { "const": ladder::LAST_GOOD }, variable()],
        }),
        Form::Map(keys, optional) => {
            let backoff = effective::backoff_items(&Backoff::default());
            let mailbox = effective::mailbox_items(&MailboxSpec::default());
            let state = effective::kept_items(&StateSpec::default());
            let health = effective::health_items(&HealthSpec::default());
            let map = mapping(*keys, &[&backoff, &mailbox, &state, &health], kinds);
            match optional {
                Optional::Yes => or_nothing(map),
                Optional::No => map,
                Optional::Off => json!({ "anyOf": [map, { "enum": ["off", false] }, variable()] }),
            }
        }
        Form::Place => json!({ "anyOf": [place(kinds), { "const": place::HERE }, variable()] }),
        Form::Marks => json!({
            "type": "object",
            "additionalProperties": { "type": "string" },
            "minProperties": 1,
        }),
        Form::Lease => or_variable(json!({ "type": "string", "pattern": place::LEASE_PATTERN })),
    }
}

/// Another node that a child lives on: it is named in one way, and where it is named, no other one fits.
fn place(kinds: &dyn KindCheck) -> Value {
    let grant = effective::grant_items(Place::LEASE, Failover::default());
    let mut place = mapping(keys::PLACE, &[&grant], kinds);
    let elsewhere = json!({ "const": Failover::Elsewhere.as_str() });
    extend(
        &mut place,
        json!({
            "oneOf": [{ "required": ["node"] }, { "required": ["labels"] }],
            "if": { "required": ["node"] },
            "then": { "properties": { "failover": { "not": elsewhere } } },
        }),
    );
    place
}

/// The kind of a child that lives here is one of those that there are.
fn known_here(kinds: &dyn KindCheck) -> Value {
    json!({
        "if": { "properties": { "place": { "type": "object" } }, "required": ["place"] },
        "else": { "properties": { "kind": or_variable(json!({ "enum": kinds.names() })) } },
    })
}

/// A step of a ladder: it does one thing.
fn step(kinds: &dyn KindCheck) -> Value {
    let mut step = mapping(keys::STEP, &[], kinds);
    let quarantine = json!({
        "properties": { "quarantine": or_variable(json!({ "const": true })) },
        "required": ["quarantine"],
    });
    extend(
        &mut step,
        json!({ "required": keys::STEP_REQUIRED, "oneOf": [{ "required": ["swap"] }, quarantine] }),
    );
    step
}

fn integer(least: u32, most: u32) -> Value {
    or_variable(json!({ "type": "integer", "minimum": least, "maximum": most }))
}

fn time(positive: bool, words: &[&str]) -> Value {
    let pattern = if positive {
        duration::PATTERN.replace("[0-9]+", "0*[1-9][0-9]*")
    } else {
        duration::PATTERN.to_owned()
    };
    let mut forms = vec![json!({ "type": "string", "pattern": pattern })];
    if !words.is_empty() {
        forms.push(json!({ "enum": words }));
    }
    forms.push(variable());
    json!({ "anyOf": forms })
}

fn variable() -> Value {
    json!({ "$ref": "#/$defs/variable" })
}

fn or_variable(schema: Value) -> Value {
    json!({ "anyOf": [schema, variable()] })
}

/// What may also be nothing, as a variable may be.
fn or_nothing(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }, variable()] })
}

/// The schema of a kind's settings, with variables wherever a scalar may stand.
fn with_variables(schema: &Value) -> Value {
    let Value::Object(members) = schema else {
        return schema.clone();
    };
    let mut made = Map::new();
    for (key, value) in members {
        let (key, value) = match (key.as_str(), value) {
            // A text with a variable may fit several of them.
            ("oneOf" | "anyOf", Value::Array(forms)) => {
                let mut forms: Vec<Value> = forms.iter().map(with_variables).collect();
                forms.dedup();
                ("anyOf", Value::Array(forms))
            }
            ("properties" | "$defs", Value::Object(named)) => {
                let named = named.iter();
                let named = named.map(|(name, schema)| (name.clone(), with_variables(schema)));
                (key.as_str(), Value::Object(named.collect()))
            }
            ("items" | "additionalProperties", schema) => (key.as_str(), with_variables(schema)),
            // Only the schema of tree files as a whole has one.
            ("$schema" | "title", _) => continue,
            (key, value) => (key, value.clone()),
        };
        made.insert(key.to_owned(), value);
    }
    if !is_scalar(&made) {
        return Value::Object(made);
    }
    let outside = ["description", "default", "examples"];
    let (told, form): (Map<_, _>, Map<_, _>) = made
        .into_iter()
        .partition(|(key, _)| outside.contains(&key.as_str()));
    let mut schema = or_variable(Value::Object(form));
    extend(&mut schema, Value::Object(told));
    schema
}

/// Whether a schema is of a scalar that is not any text.
fn is_scalar(schema: &Map<String, Value>) -> bool {
    let of_type = |wanted: &Value| {
        let types = ["integer", "number", "boolean", "null"];
        types.iter().any(|word| wanted.as_str() == Some(word))
    };
    let is_typed = schema.get("type").is_some_and(|types| match types {
        Value::Array(types) => types.iter().any(of_type),
        one => of_type(one),
    });
    let narrows = [
        "enum",
        "const",
        "pattern",
        "format",
        "minLength",
        "maxLength",
    ];
    is_typed || narrows.iter().any(|key| schema.contains_key(*key))
}

/// Makes references to the root of a schema point into its place, `root`.
fn move_references(schema: &mut Value, root: &str) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match value.as_str().and_then(|text| text.strip_prefix('#')) {
                    Some(way) if key == "$ref" && way != "/$defs/variable" => {
                        *value = Value::from(format!("{root}{way}"));
                    }
                    _ => move_references(value, root),
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| move_references(item, root)),
        _ => {}
    }
}

/// Adds the members of another object.
fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
