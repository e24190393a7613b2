//! The rows a process can measure, and its arguments.
//!
//! A row is what is printed; a [`Measurement`] is one run, which yields one row or two. `--rows`
//! takes either name. Several rows of one measurement come from one run.

use std::time::Duration;

/// What `--help` and a wrong argument print on stderr.
pub(crate) const USAGE: &str = "\
usage: <framework>_peer [--rows ROW,...] [--seconds SECONDS]

rows: tell_1_1, tell_4_1,
      ask (ask_p50, ask_p99), ask_outside (ask_outside_p50, ask_outside_p99),
      spawn (spawn_ordered), batch (spawn_batch),
      group (group_1000), restart (restart_p50, restart_p99), crash (crash_1000),
      idle (idle_bytes; alone in its process), critical (critical_wait),
      remote_tell (remote_tell_64), remote_ask (remote_ask_p50, remote_ask_p99),
      stalled (stalled_peer_bytes; alone in its process); default: all
seconds: how long each measurement lasts after its warm-up, above 0 and up to 3600; default: 1

With --serve it is the receiver of another process, which calls it so.";

const SECONDS_MAX: f64 = 3_600.0;

/// Why the arguments cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// No measurement and no row has this name.
    #[error("unknown row `{0}`")]
    UnknownRow(String),
    /// No option has this name.
    #[error("unknown option `{0}`")]
    UnknownOption(String),
    /// The option stands last, without its value.
    #[error("`{0}` needs a value")]
    MissingValue(String),
    /// The time is no number, or out of range.
    #[error("`--seconds {0}` is no number above 0 and up to 3600")]
    Seconds(String),
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measurement {
    TellOneToOne,
    TellFourToOne,
    Ask,
    AskOutside,
    Spawn,
    Batch,
    Group,
    Restart,
    Crash,
    Idle,
    Critical,
    RemoteTell,
    RemoteAsk,
    Stalled,
}

impl Measurement {
    const ALL: [Self; 14] = [
        Self::TellOneToOne,
        Self::TellFourToOne,
        Self::Ask,
        Self::AskOutside,
        Self::Spawn,
        Self::Batch,
        Self::Group,
        Self::Restart,
        Self::Crash,
        Self::Idle,
        Self::Critical,
        Self::RemoteTell,
        Self::RemoteAsk,
        Self::Stalled,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::TellOneToOne => "tell_1_1",
            Self::TellFourToOne => "tell_4_1",
            Self::Ask => "ask",
            Self::AskOutside => "ask_outside",
            Self::Spawn => "spawn",
            Self::Batch => "batch",
            Self::Group => "group",
            Self::Restart => "restart",
            Self::Crash => "crash",
            Self::Idle => "idle",
            Self::Critical => "critical",
            Self::RemoteTell => "remote_tell",
            Self::RemoteAsk => "remote_ask",
            Self::Stalled => "stalled",
        }
    }

    fn rows(self) -> &'static [&'static str] {
        match self {
            Self::TellOneToOne => &["tell_1_1"],
            Self::TellFourToOne => &["tell_4_1"],
            Self::Ask => &["ask_p50", "ask_p99"],
            Self::AskOutside => &["ask_outside_p50", "ask_outside_p99"],
            Self::Spawn => &["spawn_ordered"],
            Self::Batch => &["spawn_batch"],
            Self::Group => &["group_1000"],
            Self::Restart => &["restart_p50", "restart_p99"],
            Self::Crash => &["crash_1000"],
            Self::Idle => &["idle_bytes"],
            Self::Critical => &["critical_wait"],
            Self::RemoteTell => &["remote_tell_64"],
            Self::RemoteAsk => &["remote_ask_p50", "remote_ask_p99"],
            Self::Stalled => &["stalled_peer_bytes"],
        }
    }

    /// Whether it needs a receiver in another process, and a runtime with sockets.
    pub(crate) fn is_remote(self) -> bool {
        matches!(self, Self::RemoteTell | Self::RemoteAsk | Self::Stalled)
    }
}

/// A measurement to run and which of its rows to print.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) measurement: Measurement,
    pub(crate) rows: Vec<&'static str>,
}

/// What the process was asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Options {
    Help,
    /// The process is the receiver of another one.
    Serve,
    Measure {
        requests: Vec<Request>,
        time: Duration,
    },
}

/// Reads the arguments, without the program's name. Measurements run in the order in which they
/// are first named.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Options, OptionsError> {
    let mut arguments = arguments.into_iter();
    let mut requests = Vec::new();
    let mut time = Duration::from_secs(1);
    while let Some(option) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| OptionsError::MissingValue(option.clone()))
        };
        match option.as_str() {
            "-h" | "--help" => return Ok(Options::Help),
            "--serve" => return Ok(Options::Serve),
            "--rows" => {
                for name in value()?.split(',') {
                    add_row(&mut requests, name)?;
                }
            }
            "--seconds" => time = parse_seconds(value()?)?,
            _ => return Err(OptionsError::UnknownOption(option)),
        }
    }
    if requests.is_empty() {
        for measurement in Measurement::ALL {
            add_row(&mut requests, measurement.name())?;
        }
    }
    Ok(Options::Measure { requests, time })
}

fn add_row(requests: &mut Vec<Request>, name: &str) -> Result<(), OptionsError> {
    let (measurement, rows) = Measurement::ALL
        .into_iter()
        .find_map(|measurement| {
            if measurement.name() == name {
                return Some((measurement, measurement.rows()));
            }
            let row = measurement.rows().iter().find(|row| **row == name)?;
            Some((measurement, std::slice::from_ref(row)))
        })
        .ok_or_else(|| OptionsError::UnknownRow(name.to_owned()))?;
    match requests
        .iter_mut()
        .find(|request| request.measurement == measurement)
    {
        Some(request) => {
            let missing = rows
                .iter()
                .filter(|row| !request.rows.contains(row))
                .copied();
            let missing: Vec<_> = missing.collect();
            request.rows.extend(missing);
        }
        None => requests.push(Request {
            measurement,
            rows: rows.to_vec(),
        }),
    }
    Ok(())
}

fn parse_seconds(text: String) -> Result<Duration, OptionsError> {
    text.parse()
        .ok()
        .filter(|seconds| *seconds > 0.0 && *seconds <= SECONDS_MAX)
        .map(Duration::from_secs_f64)
        .ok_or(OptionsError::Seconds(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<Options, OptionsError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn request(measurement: Measurement, rows: &[&'static str]) -> Request {
        Request {
            measurement,
            rows: rows.to_vec(),
        }
    }

    #[test]
    fn a_group_asks_for_all_its_rows_and_a_row_for_itself() {
        let options = parse_words("--rows restart,ask_p99 --seconds 0.5").unwrap();

        let requests = vec![
            request(Measurement::Restart, &["restart_p50", "restart_p99"]),
            request(Measurement::Ask, &["ask_p99"]),
        ];
        assert_eq!(
            options,
            Options::Measure {
                requests,
                time: Duration::from_millis(500)
            }
        );
    }

    #[test]
    fn rows_of_one_measurement_are_one_request() {
        let options = parse_words("--rows ask_p99,ask,ask_p50").unwrap();

        let requests = vec![request(Measurement::Ask, &["ask_p99", "ask_p50"])];
        assert_eq!(
            options,
            Options::Measure {
                requests,
                time: Duration::from_secs(1)
            }
        );
    }

    #[test]
    fn without_rows_every_measurement_runs() {
        let Options::Measure { requests, .. } = parse_words("").unwrap() else {
            panic!()
        };

        let measurements: Vec<_> = requests.iter().map(|request| request.measurement).collect();
        assert_eq!(measurements, Measurement::ALL);
    }

    #[test]
    fn a_receiver_measures_nothing() {
        assert_eq!(parse_words("--serve"), Ok(Options::Serve));
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let table = [
            (
                "--rows tell_9_9",
                OptionsError::UnknownRow("tell_9_9".to_owned()),
            ),
            ("--rows ask,", OptionsError::UnknownRow(String::new())),
            ("--row ask", OptionsError::UnknownOption("--row".to_owned())),
            ("--rows", OptionsError::MissingValue("--rows".to_owned())),
            ("--seconds 0", OptionsError::Seconds("0".to_owned())),
            ("--seconds nan", OptionsError::Seconds("nan".to_owned())),
            ("--seconds inf", OptionsError::Seconds("inf".to_owned())),
        ];

        for (line, error) in table {
            assert_eq!(parse_words(line), Err(error), "{line}");
        }
    }

    #[test]
    fn the_usage_names_every_row() {
        for measurement in Measurement::ALL {
            for row in measurement.rows() {
                assert!(USAGE.contains(row), "{row}");
            }
            assert!(USAGE.contains(measurement.name()));
        }
    }
}
