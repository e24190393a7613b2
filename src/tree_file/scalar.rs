//! What a scalar without quotes means: [`resolve`].
//!
//! The core schema of YAML 1.2, but with one spelling each: `true`, `false`, `null` and `~`. All of
//! `yes`, `no`, `on`, `off` and `True` are texts.

use std::rc::Rc;

use super::node::Value;

/// The value of a scalar that stands without quotes.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        ".inf" | "+.inf" => Value::Float(f64::INFINITY),
        "-.inf" => Value::Float(f64::NEG_INFINITY),
        ".nan" => Value::Float(f64::NAN),
        _ => number(text).unwrap_or_else(|| text_value(text, true)),
    }
}

/// A text.
pub(super) fn text_value(text: &str, plain: bool) -> Value {
    Value::Text {
        text: Rc::from(text),
        plain,
    }
}

fn number(text: &str) -> Option<Value> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return in_base(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return in_base(digits, 8);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let integer = text.parse::<i128>().ok().filter(|value| fits_json(*value));
        return integer
            .map(Value::Int)
            .or_else(|| text.parse().ok().map(Value::Float));
    }
    is_float(unsigned)
        .then(|| text.parse().ok().map(Value::Float))
        .flatten()
}

fn in_base(digits: &str, base: u32) -> Option<Value> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        return None;
    }
    i128::from_str_radix(digits, base)
        .ok()
        .filter(|value| fits_json(*value))
        .map(Value::Int)
}

fn fits_json(value: i128) -> bool {
    i64::try_from(value).is_ok() || u64::try_from(value).is_ok()
}

/// Digits with one point among, before or after them, and perhaps an exponent.
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let power = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && power.is_none_or(|text| !text.is_empty() && digits(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_typed_by_the_core_schema_with_one_spelling_each() {
        for (text, expected) in [
            ("", "Null"),
            ("~", "Null"),
            ("null", "Null"),
            ("Null", "text"),
            ("true", "Bool(true)"),
            ("True", "text"),
            ("yes", "text"),
            ("off", "text"),
            ("5", "Int(5)"),
            ("-5", "Int(-5)"),
            ("+5", "Int(5)"),
            ("007", "Int(7)"),
            ("0x1f", "Int(31)"),
            ("0o17", "Int(15)"),
            ("18446744073709551615", "Int(18446744073709551615)"),
            ("18446744073709551616", "Float(1.8446744073709552e19)"),
            ("1.5", "Float(1.5)"),
            (".5", "Float(0.5)"),
            ("5.", "Float(5.0)"),
            ("1e3", "Float(1000.0)"),
            ("1.e-3", "Float(0.001)"),
            (".inf", "Float(inf)"),
            (".", "text"),
            ("-", "text"),
            ("1e", "text"),
            ("1_000", "text"),
            ("0x", "text"),
            ("5s", "text"),
            ("1.2.3", "text"),
            ("inf", "text"),
            ("nan", "text"),
            ("e5", "text"),
        ] {
            let value = resolve(text);
            let found = match value {
                Value::Text { plain: true, .. } => "text".to_owned(),
                other => format!("{other:?}"),
            };
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
