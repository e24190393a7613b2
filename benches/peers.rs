//! `cargo bench --bench peers`: our rows with the peers beside us, interleaved in one run.
//!
//! Each framework is a process of its own (`benches/peers/`, ours is this program called with `--ours`),
//! so that no feature of one is linked into another. Rounds go row by row and framework by framework;
//! what is printed is the median of the rounds, its spread, and our ratio to each peer.
//!
//! Arguments after `--`: `--rounds N` (5), `--seconds S` (1), `--rows a,b`, `--json`.

mod ours;

use std::collections::BTreeMap;
use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// What is measured together, and the rows that it gives.
const GROUPS: [(&str, &[&str]); 6] = [
    ("tell_1_1", &["tell_1_1"]),
    ("tell_4_1", &["tell_4_1"]),
    ("ask", &["ask_p50", "ask_p99"]),
    ("ask_outside", &["ask_outside_p50", "ask_outside_p99"]),
    ("spawn", &["spawn_ordered"]),
    ("restart", &["restart_p50", "restart_p99"]),
];

const FRAMEWORKS: [&str; 3] = ["ours", "ractor", "kameo"];

struct Options {
    rounds: usize,
    seconds: String,
    rows: Option<Vec<String>>,
    json: bool,
}

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`; a peer's process never sees it.
    let arguments: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    if let Some((_, rest)) = arguments.split_first()
        && arguments.first().is_some_and(|word| word == "--ours")
    {
        return ours::run(rest);
    }
    match bench(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "progress and errors of a bench")]
fn complain(text: &str) {
    eprintln!("{text}");
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        rounds: 5,
        seconds: "1".to_owned(),
        rows: None,
        json: false,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .cloned()
                .with_context(|| format!("{word} needs a value"))
        };
        match word.as_str() {
            "--json" => options.json = true,
            "--rounds" => options.rounds = value()?.parse().context("--rounds is a number")?,
            "--seconds" => options.seconds = value()?,
            "--rows" => options.rows = Some(value()?.split(',').map(str::to_owned).collect()),
            other => bail!("unknown argument {other}: --rounds, --seconds, --rows or --json"),
        }
    }
    Ok(options)
}

/// Values by row and framework.
type Samples = BTreeMap<String, BTreeMap<String, Vec<f64>>>;

fn bench(arguments: &[String]) -> Result<()> {
    let options = parse(arguments)?;
    let programs = build_peers()?;
    let mut samples = Samples::new();
    let mut units = BTreeMap::new();
    let wanted = |rows: &[&str]| {
        options
            .rows
            .as_ref()
            .is_none_or(|only| rows.iter().any(|row| only.iter().any(|o| o == row)))
    };
    for round in 1..=options.rounds {
        for (group, rows) in GROUPS.iter().filter(|(_, rows)| wanted(rows)) {
            complain(&format!("round {round} of {}: {group}", options.rounds));
            for framework in FRAMEWORKS {
                for line in measure(&programs, framework, group, &options.seconds)? {
                    let row = line.get("row").and_then(Value::as_str).unwrap_or_default();
                    let value = line
                        .get("value")
                        .and_then(Value::as_f64)
                        .unwrap_or(f64::NAN);
                    let unit = line.get("unit").and_then(Value::as_str).unwrap_or_default();
                    if rows.contains(&row) {
                        units.insert(row.to_owned(), unit.to_owned());
                        let row = samples.entry(row.to_owned()).or_default();
                        row.entry(framework.to_owned()).or_default().push(value);
                    }
                }
            }
        }
    }
    let text = if options.json {
        document(&samples, &units)
    } else {
        table(&samples, &units)
    };
    writeln!(io::stdout().lock(), "{text}").context("stdout")
}

/// The peers' programs, built as their own lock file says.
fn build_peers() -> Result<BTreeMap<&'static str, PathBuf>> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/Cargo.toml");
    let target = env::current_exe()?
        .ancestors()
        .find(|folder| folder.ends_with("release"))
        .and_then(Path::parent)
        .map(|target| target.join("peers"))
        .context("a bench is built for release")?;
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--release",
            "--locked",
            "--bins",
            "--manifest-path",
        ])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target)
        .stdout(Stdio::null())
        .status()
        .context("cargo cannot be started")?;
    if !built.success() {
        bail!("the peers in benches/peers do not build");
    }
    let release = target.join("release");
    Ok(BTreeMap::from([
        ("ours", env::current_exe()?),
        ("ractor", release.join("ractor_peer")),
        ("kameo", release.join("kameo_peer")),
    ]))
}

/// One process; its lines.
fn measure(
    programs: &BTreeMap<&'static str, PathBuf>,
    framework: &str,
    group: &str,
    seconds: &str,
) -> Result<Vec<Value>> {
    let program = programs.get(framework).context("a known framework")?;
    let mut command = Command::new("timeout");
    command.arg("120").arg(program);
    if framework == "ours" {
        command.arg("--ours");
    }
    let output = command
        .args(["--rows", group, "--seconds", seconds])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    if !output.status.success() {
        bail!("{framework} failed in {group}: {}", output.status);
    }
    String::from_utf8(output.stdout)?
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("{framework}: {line}")))
        .collect()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Half the distance between the extremes, as a share of the median.
fn spread(values: &[f64]) -> f64 {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (high - low) / 2.0 / median(values)
}

fn document(samples: &Samples, units: &BTreeMap<String, String>) -> String {
    let rows: serde_json::Map<String, Value> = samples
        .iter()
        .map(|(row, by_framework)| {
            let figure = |framework: &str| by_framework.get(framework).map(|values| median(values));
            let peers: serde_json::Map<String, Value> = FRAMEWORKS
                .iter()
                .filter(|framework| **framework != "ours")
                .map(|framework| ((*framework).to_owned(), json!(figure(framework))))
                .collect();
            let entry = json!({ "unit": units.get(row), "ours": figure("ours"), "peers": peers });
            (row.clone(), entry)
        })
        .collect();
    json!({ "rows": rows }).to_string()
}

fn table(samples: &Samples, units: &BTreeMap<String, String>) -> String {
    let mut lines = vec![
        "| row | unit | ours | ractor | kameo | ours / ractor | ours / kameo |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    for (row, by_framework) in samples {
        let unit = units.get(row).map_or("", String::as_str);
        let cell = |framework: &str| {
            by_framework
                .get(framework)
                .map_or("–".to_owned(), |values| {
                    format!(
                        "{} ±{:.0} %",
                        figure(median(values)),
                        spread(values) * 100.0
                    )
                })
        };
        let ratio = |peer: &str| match (by_framework.get("ours"), by_framework.get(peer)) {
            (Some(ours), Some(peer)) => format!("{:.2} ×", median(ours) / median(peer)),
            _ => "–".to_owned(),
        };
        lines.push(format!(
            "| {row} | {unit} | {} | {} | {} | {} | {} |",
            cell("ours"),
            cell("ractor"),
            cell("kameo"),
            ratio("ractor"),
            ratio("kameo")
        ));
    }
    lines.join("\n")
}

/// Three digits that matter, with k and M.
fn figure(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.2} M", value / 1e6),
        value if value >= 1e4 => format!("{:.0} k", value / 1e3),
        value if value >= 100.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}
