//! What is seen and said of the demo.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;
use unity_actors::chaos::report::Report;
use unity_supervisors::bus::{Event, Place, Refused, Subscriber};
use unity_supervisors::{ActorPath, Kernel};

use crate::commands::tree;
use crate::output;
use crate::screen::{Line, Screen, Tone, count, number, rough, text, thousands, wrapped_table};

/// How many of the last strikes are shown.
const STRIKES_SHOWN: usize = 6;

/// What has happened so far.
#[derive(Debug)]
pub(super) struct Scene {
    seed: u64,
    begun: Instant,
    tells: bool,
    said: Mutex<String>,
    strikes: Mutex<VecDeque<String>>,
    struck: AtomicU64,
    fallbacks: AtomicU64,
}

impl Scene {
    pub(super) fn new(seed: u64, tells: bool) -> Self {
        Self {
            seed,
            begun: Instant::now(),
            tells,
            said: Mutex::default(),
            strikes: Mutex::default(),
            struck: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
        }
    }

    /// Says something to whoever looks.
    pub(super) fn say(&self, words: &str) {
        words.clone_into(&mut self.said.lock());
        self.tell(words);
    }

    fn tell(&self, words: &str) {
        if self.tells {
            let at = self.begun.elapsed().as_secs_f64();
            output::err(&format!("{at:>5.1}s  {words}\n"));
        }
    }

    /// Somebody was struck.
    fn struck(&self, fault: &str, path: &str) {
        self.struck.fetch_add(1, Ordering::Relaxed);
        let strike = format!("{fault:<10}  {path}");
        self.tell(&strike);
        let at = self.begun.elapsed().as_secs_f64();
        let mut strikes = self.strikes.lock();
        if strikes.len() >= STRIKES_SHOWN {
            strikes.pop_front();
        }
        strikes.push_back(format!("{at:>5.1}s  {strike}"));
    }

    /// A model fell back.
    pub(super) fn fell_back(&self, path: &ActorPath, settings: &Value) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
        let size = settings
            .get("size")
            .and_then(Value::as_str)
            .unwrap_or_default();
        self.say(&format!(
            "{path} crashed too often: its ladder swaps in the {size} model."
        ));
    }

    /// The robot as it is.
    pub(super) fn draw(&self, kernel: &Kernel, screen: Screen) -> String {
        let mut out = String::new();
        let mut head = Line::new();
        head.push(Tone::Bold, "a rescue robot in a storm");
        let passed = self.begun.elapsed().as_secs();
        let struck = self.struck.load(Ordering::Relaxed);
        head.push(
            Tone::Dim,
            &format!("  {passed} s, seed {}, struck {struck} times", self.seed),
        );
        out.push_str(&head.render(&screen));
        let mut said = Line::new();
        said.push(Tone::Plain, &self.said.lock());
        out.push_str(&said.wrap(&screen, 0));
        out.push('\n');
        if let Some(document) = kernel
            .tree(None)
            .and_then(|tree| serde_json::to_value(tree).ok())
        {
            out.push_str(&tree::render(&document, &screen, false));
        }
        out.push('\n');
        for strike in &*self.strikes.lock() {
            let mut line = Line::new();
            line.push(Tone::Dim, strike);
            out.push_str(&line.render(&screen));
        }
        out
    }

    /// What came of it.
    pub(super) fn end(&self, kernel: &Kernel, report: &Report, returned: u64) -> Value {
        let uptime = u64::try_from(kernel.uptime().as_millis()).unwrap_or(u64::MAX);
        json!({
            "version": 1,
            "seed": self.seed,
            "outcome": report.outcome,
            "why": report.why,
            "kills": report.kills,
            "recovered": report.recovered,
            "recovery_ms": report.recovery_ms,
            "sent": report.sent,
            "in_hand": report.in_hand,
            "lost": report.lost,
            "fell_back": self.fallbacks.load(Ordering::Relaxed),
            "returned": returned,
            "availability": report.availability,
            "kernel_uptime_ms": uptime,
        })
    }
}

/// Hears of each strike.
impl Subscriber for Scene {
    fn name(&self) -> String {
        "the demo".to_owned()
    }

    fn deliver(&self, event: &Arc<Event>, _: Option<&Place>) -> Result<(), Refused> {
        let act = event.data.get("act").unwrap_or(&Value::Null);
        // A fault that has nothing to say is its name, another one a key.
        let fault = act.get("fault").and_then(|fault| {
            let named = fault.as_object().and_then(|fault| fault.keys().next());
            fault.as_str().or(named.map(String::as_str))
        });
        if let (Some(fault), None) = (fault, act.get("refused")) {
            self.struck(fault, text(act, "path"));
        }
        Ok(())
    }
}

/// The last lines of the demo, each computed.
pub(crate) fn last_lines(end: &Value, screen: &Screen) -> String {
    let all_back = number(end, "recovered") == number(end, "kills");
    let tone = |is_good: bool| if is_good { Tone::Good } else { Tone::Bad };
    let recovery = end.get("recovery_ms").unwrap_or(&Value::Null);
    let ms = |key: &str| {
        recovery
            .get(key)
            .and_then(Value::as_f64)
            .unwrap_or_default()
    };
    let up = end
        .get("availability")
        .and_then(Value::as_f64)
        .unwrap_or_default();
    let rows = [
        (
            "kills",
            tone(all_back),
            thousands(number(end, "kills")),
            format!(
                "{} back; p50 {} ms, p99 {} ms, the slowest {} ms",
                thousands(number(end, "recovered")),
                ms("p50"),
                ms("p99"),
                ms("max")
            ),
        ),
        (
            "lost",
            tone(number(end, "lost") == 0),
            thousands(number(end, "lost")),
            format!(
                "of {}; {} in hand at a crash, kept as dead letters",
                count(number(end, "sent"), "message"),
                thousands(number(end, "in_hand"))
            ),
        ),
        (
            "models",
            Tone::Plain,
            thousands(number(end, "fell_back")),
            format!(
                "times one fell back to small; {} large again",
                match number(end, "returned") {
                    1 => "1 is".to_owned(),
                    many => format!("{many} are"),
                }
            ),
        ),
        (
            "up",
            Tone::Plain,
            format!("{:.2} %", up * 100.0),
            "of the time, over all that must be".to_owned(),
        ),
        (
            "kernel",
            Tone::Good,
            rough(number(end, "kernel_uptime_ms")),
            "up, one process, never restarted".to_owned(),
        ),
    ];
    let rows = rows.map(|(name, tone, figure, said)| {
        vec![
            (Tone::Plain, name.to_owned()),
            (tone, figure),
            (Tone::Dim, said),
        ]
    });
    wrapped_table(&rows, screen)
}
