//! What data has to look like: a JSON Schema, and in plain words where something misses it.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;
use unity_supervisors::bus::Misfit;
use unity_supervisors::bus::catalog::DataCheck;

use crate::nearest::nearest;
use crate::screen::cut;
use crate::tree_file::PathStep;

/// After this many misfits nobody reads on.
const MISFITS_MAX: usize = 32;
/// How much of what somebody wrote is shown.
const SHOWN_MAX: usize = 60;

/// Where a schema is none, and why.
pub(super) type SchemaFault = (Vec<PathStep>, String);

/// Makes a check of a schema: draft 2020-12 unless its `$schema` names another. Nothing is ever fetched.
///
/// # Errors
/// All that is wrong with the schema.
pub(super) fn check_of(schema: &Value) -> Result<DataCheck, Vec<SchemaFault>> {
    let fault = |error: &ValidationError<'_>| (steps(error.instance_path()), words(error, schema));
    let of_form = match jsonschema::meta::validator_for(schema) {
        Ok(form) => form
            .iter_errors(schema)
            .map(|error| fault(&error))
            .collect(),
        Err(error) => vec![fault(&error)],
    };
    if !of_form.is_empty() {
        return Err(of_form);
    }
    // What is left is in the patterns and the references.
    let validator = jsonschema::validator_for(schema).map_err(|error| vec![fault(&error)])?;
    let schema = schema.clone();
    Ok(std::sync::Arc::new(move |data| {
        misfits(&validator, &schema, data)
    }))
}

fn misfits(validator: &Validator, schema: &Value, data: &Value) -> Result<(), Vec<Misfit>> {
    let misfit = |error: ValidationError<'_>| Misfit {
        place: error.instance_path().as_str().to_owned(),
        what: words(&error, schema),
    };
    let found: Vec<Misfit> = validator
        .iter_errors(data)
        .take(MISFITS_MAX)
        .map(misfit)
        .collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn steps(place: &Location) -> Vec<PathStep> {
    let step = |segment: LocationSegment<'_>| match segment {
        LocationSegment::Property(key) => PathStep::Key(key.into_owned()),
        LocationSegment::Index(index) => PathStep::Index(index),
    };
    place.segments().map(step).collect()
}

/// What is wrong, and what is expected.
fn words(error: &ValidationError<'_>, schema: &Value) -> String {
    match error.kind() {
        Kind::Required { property } => format!("{} is missing", shown(property)),
        Kind::Type { kind } => {
            format!("{} is not {}", shown(error.instance()), types(kind))
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let parent = error.schema_path().as_str().rsplit_once('/');
            let parent = parent.and_then(|(parent, _)| schema.pointer(parent));
            unknown_keys(unexpected, parent)
        }
        Kind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            let all: Vec<String> = options.iter().map(shown).collect();
            let value = shown(error.instance());
            format!(
                "{value} is not one of {}",
                cut(&all.join(", "), 4 * SHOWN_MAX)
            )
        }
        Kind::Constant { expected_value } => {
            format!(
                "{} is not {}",
                shown(error.instance()),
                shown(expected_value)
            )
        }
        Kind::Minimum { limit } => format!("{} is below {limit}", shown(error.instance())),
        Kind::Maximum { limit } => format!("{} is above {limit}", shown(error.instance())),
        Kind::ExclusiveMinimum { limit } => {
            format!("{} is not above {limit}", shown(error.instance()))
        }
        Kind::ExclusiveMaximum { limit } => {
            format!("{} is not below {limit}", shown(error.instance()))
        }
        Kind::Pattern { pattern } => {
            format!(
                "{} does not fit the pattern {pattern}",
                shown(error.instance())
            )
        }
        Kind::MinLength { limit } => format!("it has fewer than {limit} characters"),
        Kind::MaxLength { limit } => format!("it has more than {limit} characters"),
        Kind::MinItems { limit } => format!("it has fewer than {limit} items"),
        Kind::MaxItems { limit } => format!("it has more than {limit} items"),
        // The one place in the schema of schemas that has several forms and one list of words.
        // In the schema of schemas, the one place with two forms and a list of words.
        Kind::AnyOf { .. } if error.instance_path().as_str().ends_with("/type") => {
            no_type(error.instance())
        }
        Kind::AnyOf { .. } => format!("{} fits none of the forms", shown(error.instance())),
        Kind::Format { format } => {
            format!("{} is not of the form `{format}`", shown(error.instance()))
        }
        Kind::Referencing(_) => "what a `$ref` names is not in this schema".to_owned(),
        Kind::FalseSchema => "nothing may stand here".to_owned(),
        _ => cut(&error.masked_with("it").to_string(), 4 * SHOWN_MAX),
    }
}

/// What is wrong with a word for a type, then what to do.
fn no_type(word: &Value) -> String {
    const TYPES: [&str; 7] = [
        "string", "number", "integer", "boolean", "object", "array", "null",
    ];
    let near = word.as_str().and_then(|word| nearest(word, TYPES));
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the types are {}", TYPES.join(", ")),
    };
    format!("{} is no type; {help}", shown(word))
}

fn unknown_keys(unexpected: &[String], parent: Option<&Value>) -> String {
    let known = parent.and_then(|parent| parent.get("properties")?.as_object());
    let known: Vec<&str> = known
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    let one = |key: &String| match nearest(key, known.iter().copied()) {
        Some(near) => format!(
            "unknown key `{}`, did you mean `{near}`?",
            cut(key, SHOWN_MAX)
        ),
        None => format!("unknown key `{}`", cut(key, SHOWN_MAX)),
    };
    let all: Vec<String> = unexpected.iter().take(MISFITS_MAX).map(one).collect();
    all.join("; ")
}

fn types(kind: &TypeKind) -> String {
    let one = |kind: &str| match kind {
        "string" => "a text",
        "object" => "an object",
        "array" => "a list",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        _ => "`null`",
    };
    match kind {
        TypeKind::Single(kind) => one(&kind.to_string()).to_owned(),
        TypeKind::Multiple(kinds) => {
            let all: Vec<&str> = kinds.iter().map(|kind| one(&kind.to_string())).collect();
            all.join(" or ")
        }
    }
}

/// A value, short enough for a message.
fn shown(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    format!("`{}`", cut(&text, SHOWN_MAX))
}
