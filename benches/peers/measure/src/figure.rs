//! One measured row and its JSON line.

use std::fmt;

use crate::histogram::Histogram;

/// A further field of a row, which explains its value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extra {
    Number(f64),
    Text(&'static str),
}

/// One row.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) row: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    pub(crate) extras: Vec<(&'static str, Extra)>,
}

impl Figure {
    /// The row as one line of JSON.
    pub(crate) fn json(&self, framework: &str, version: &str) -> String {
        let mut fields = vec![
            field("framework", Text(framework)),
            field("version", Text(version)),
            field("row", Text(self.row)),
            field("unit", Text(self.unit)),
            field("value", Number(self.value)),
        ];
        fields.extend(self.extras.iter().map(|(name, extra)| match extra {
            Extra::Number(number) => field(name, Number(*number)),
            Extra::Text(text) => field(name, Text(text)),
        }));
        format!("{{{}}}", fields.join(","))
    }
}

/// The median, with its further fields, and the 99th percentile as two rows.
pub(crate) fn percentiles(
    [p50, p99]: [&'static str; 2],
    latencies: &Histogram,
    extras: &[(&'static str, Extra)],
) -> Vec<Figure> {
    let samples = ("samples", Extra::Number(latencies.samples() as f64));
    [(p50, 50, extras), (p99, 99, &[])]
        .into_iter()
        .map(|(row, percent, extras)| Figure {
            row,
            unit: "us",
            value: latencies.percentile_us(percent),
            extras: [samples].into_iter().chain(extras.to_vec()).collect(),
        })
        .collect()
}

fn field(name: &str, value: impl fmt::Display) -> String {
    format!("\"{name}\":{value}")
}

/// Four significant places after the point and no exponent. JSON has no infinities: `null`.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_finite() {
            write!(formatter, "{}", (self.0 * 10_000.0).round() / 10_000.0)
        } else {
            formatter.write_str("null")
        }
    }
}

struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = self.0.replace('\\', "\\\\").replace('"', "\\\"");
        write!(formatter, "\"{escaped}\"")
    }
}

/// The version under which `name` stands in a lock file, which decides what is linked.
pub(crate) fn locked_version<'a>(lock_file: &'a str, name: &str) -> Option<&'a str> {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let (_, rest) = lock_file.split_once(&entry)?;
    rest.split_once('"').map(|(version, _)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_line_of_json() {
        let figure = Figure {
            row: "restart_p50",
            unit: "us",
            value: 3.900_04,
            extras: vec![
                ("samples", Extra::Number(2e9)),
                ("note", Extra::Text("a \"b\"")),
            ],
        };

        assert_eq!(
            figure.json("ractor", "0.16.5"),
            r#"{"framework":"ractor","version":"0.16.5","row":"restart_p50","unit":"us","#
                .to_owned()
                + r#""value":3.9,"samples":2000000000,"note":"a \"b\""}"#
        );
    }

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock_file = "[[package]]\nname = \"ractor\"\nversion = \"0.16.5\"\n";

        assert_eq!(locked_version(lock_file, "ractor"), Some("0.16.5"));
        assert_eq!(locked_version(lock_file, "tokio-nothing"), None);
    }
}
