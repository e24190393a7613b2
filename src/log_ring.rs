//! The last lines of the log, for whoever asks a kernel that runs: [`LogRing`], and [`RingLayer`], which fills it.
//!
//! Tracing has one subscriber a process, so there is one ring a process; the kernel is handed it and nothing else finds it.
//! It holds what the log holds: the filter of the log stands before both. Bounded in lines and in bytes, the oldest go
//! first. A reader asks for what follows a number, so a slow one holds up nobody and grows nothing: it is told how many
//! it missed. Secrets are masked before a line is kept.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use unity_supervisors::Secrets;
use unity_supervisors::clock::{Clock, Timestamp};

/// How many lines are kept.
pub const LINES_MAX: usize = 2_048;
/// How many bytes the texts of all that are kept may have.
pub const BYTES_MAX: usize = 2 << 20;
/// The longest text of a line or of one of its fields, in bytes; the rest is cut off.
const TEXT_LEN_MAX: usize = 8 << 10;
/// How many lines a reader is given at once.
pub const BATCH_MAX: usize = 256;

/// A line of the log, in JSON `{"number", "time", "level", "path"?, "target", "text", "fields"?}`.
#[derive(Debug, Clone, Serialize)]
pub struct LogLine {
    /// Counts up from 1.
    pub number: u64,
    /// When.
    pub time: Timestamp,
    /// How grave it is: `error`, `warn`, `info`, `debug`, `trace`.
    #[serde(serialize_with = "level_word")]
    pub level: Level,
    /// Whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The part of the program that says it.
    pub target: &'static str,
    /// What it says.
    pub text: String,
    /// What it says besides.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

fn level_word<S: Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&level.as_str().to_ascii_lowercase())
}

impl LogLine {
    /// About how many bytes it takes.
    fn len(&self) -> usize {
        let path = self.path.as_ref().map_or(0, String::len);
        let fields = self.fields.iter().map(|(name, value)| {
            let value = value.as_str().map_or(size_of::<Value>(), str::len);
            name.len() + value
        });
        size_of::<Self>() + path + self.text.len() + fields.sum::<usize>()
    }
}

/// Which lines are wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// At least as grave as this.
    pub level: Level,
    /// About this path or what is below it; about anything, and about nothing, if none is given.
    pub path: Option<String>,
}

impl Wanted {
    /// Whether `line` is one of them.
    #[must_use]
    pub fn fits(&self, line: &LogLine) -> bool {
        if line.level > self.level {
            return false;
        }
        let Some(wanted) = self.path.as_deref().map(|path| path.trim_end_matches('/')) else {
            return true;
        };
        let rest = line
            .path
            .as_deref()
            .and_then(|path| path.strip_prefix(wanted));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// What a reader is given.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// How many there were before them that are no longer kept.
    pub missed: u64,
    /// Oldest first.
    pub lines: Vec<Arc<LogLine>>,
    /// What to ask for next: the number of the last line that was looked at.
    pub last: u64,
}

/// The last lines of a log; found with [`Kernel::shared`](unity_supervisors::Kernel::shared), empty where the log is
/// somebody else's.
#[derive(Debug)]
pub struct LogRing {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
    last: u64,
}

impl Default for LogRing {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }
}

impl LogRing {
    /// The number of the newest line; 0 if there was none.
    #[must_use]
    pub fn last(&self) -> u64 {
        *self.newest.borrow()
    }

    /// At most [`BATCH_MAX`] of those after the number `after`, as they are now.
    #[must_use]
    pub fn after(&self, after: u64) -> Lines {
        let kept = self.kept.lock();
        let first = kept.last + 1 - kept.lines.len() as u64;
        let begin = first.max(after.saturating_add(1));
        let known = usize::try_from(begin - first).unwrap_or(usize::MAX);
        let lines = kept.lines.iter().skip(known).take(BATCH_MAX);
        let lines: Vec<Arc<LogLine>> = lines.cloned().collect();
        Lines {
            missed: begin - after.saturating_add(1).min(begin),
            last: lines.last().map_or(after, |line| line.number),
            lines,
        }
    }

    /// The same, and waits until there is one. A number that is still to come counts as that of the newest line: it is from an
    /// earlier life of this process.
    pub async fn next(&self, after: u64) -> Lines {
        let mut newest = self.newest.subscribe();
        let after = after.min(*newest.borrow_and_update());
        if newest.wait_for(|newest| *newest > after).await.is_err() {
            // The sender is a part of `self`.
            std::future::pending::<()>().await;
        }
        self.after(after)
    }

    /// Those that are kept and wanted, the last `limit` of them, oldest first.
    #[must_use]
    pub fn kept(&self, wanted: &Wanted, limit: usize) -> Lines {
        let kept = self.kept.lock();
        let found = kept.lines.iter().rev().filter(|line| wanted.fits(line));
        let mut lines: Vec<Arc<LogLine>> = found.take(limit).cloned().collect();
        lines.reverse();
        Lines {
            missed: 0,
            lines,
            last: kept.last,
        }
    }

    fn keep(&self, mut line: LogLine) {
        let mut kept = self.kept.lock();
        kept.last += 1;
        line.number = kept.last;
        kept.bytes += line.len();
        kept.lines.push_back(Arc::new(line));
        while kept.lines.len() > LINES_MAX || kept.bytes > BYTES_MAX {
            let Some(oldest) = kept.lines.pop_front() else {
                break;
            };
            kept.bytes -= oldest.len();
        }
        // Under the lock, so that it never goes back.
        self.newest.send_replace(kept.last);
    }
}

/// Puts what is logged into a [`LogRing`].
#[derive(Debug)]
pub struct RingLayer {
    ring: Arc<LogRing>,
    secrets: Secrets,
    clock: Clock,
}

impl RingLayer {
    /// One that keeps lines without what `secrets` knows.
    #[must_use]
    pub fn new(ring: Arc<LogRing>, secrets: Secrets) -> Self {
        Self {
            ring,
            secrets,
            clock: Clock::real(),
        }
    }
}

impl<S: Subscriber> Layer<S> for RingLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut said = Said {
            secrets: &self.secrets,
            path: None,
            text: String::new(),
            fields: Map::new(),
        };
        event.record(&mut said);
        self.ring.keep(LogLine {
            number: 0,
            time: self.clock.wall(),
            level: *metadata.level(),
            path: said.path,
            target: metadata.target(),
            text: said.text,
            fields: said.fields,
        });
    }
}

/// Reads the fields of a record.
struct Said<'a> {
    secrets: &'a Secrets,
    path: Option<String>,
    text: String,
    fields: Map<String, Value>,
}

impl Said<'_> {
    fn put(&mut self, field: &Field, text: &str) {
        let mut text = self.secrets.mask(text).into_owned();
        if text.len() > TEXT_LEN_MAX {
            text.truncate(text.floor_char_boundary(TEXT_LEN_MAX));
            text.push('…');
        }
        match field.name() {
            "message" => self.text = text,
            "path" => self.path = Some(text),
            name => {
                self.fields.insert(name.to_owned(), Value::from(text));
            }
        }
    }

    fn put_value(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Said<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put_value(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put_value(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put_value(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put_value(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tracing_subscriber::layer::SubscriberExt;

    fn filled(log: impl FnOnce()) -> Arc<LogRing> {
        let ring = Arc::new(LogRing::default());
        let layer = RingLayer::new(Arc::clone(&ring), Secrets::default());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, log);
        ring
    }

    #[test]
    fn a_line_has_its_path_its_text_and_the_rest_as_fields() {
        let path = "/arm/driver";
        let ring = filled(|| {
            tracing::warn!(%path, restarts = 2, ok = true, "child exited");
        });

        let line = json!(*ring.after(0).lines[0]);

        assert_eq!(line["level"], "warn");
        assert_eq!(
            (&line["path"], &line["text"]),
            (&json!(path), &json!("child exited"))
        );
        assert_eq!(line["fields"], json!({ "restarts": 2, "ok": true }));
        assert!(
            line["target"]
                .as_str()
                .unwrap()
                .ends_with("log_ring::tests")
        );
    }

    #[test]
    fn the_last_lines_are_kept_and_a_slow_reader_is_told_what_it_missed() {
        let ring = filled(|| {
            for number in 0..LINES_MAX + 10 {
                tracing::info!(number, "line");
            }
        });

        let first = ring.after(3);
        let second = ring.after(first.last);
        let none = ring.after(ring.last());

        // Those with the numbers 4 to 10 are gone.
        assert_eq!((first.missed, first.lines[0].number), (7, 11));
        assert_eq!(
            (first.lines.len(), first.last),
            (BATCH_MAX, 10 + BATCH_MAX as u64)
        );
        assert_eq!((second.missed, second.lines[0].number), (0, first.last + 1));
        assert_eq!(
            (none.missed, none.lines.len(), none.last),
            (0, 0, ring.last())
        );
    }

    #[test]
    fn long_lines_are_cut_and_leave_sooner() {
        let long = "ä".repeat(TEXT_LEN_MAX);
        let ring = filled(|| {
            for _ in 0..LINES_MAX {
                tracing::info!("{long}");
            }
        });

        let kept = ring.kept.lock();
        assert!(kept.bytes <= BYTES_MAX && kept.lines.len() < LINES_MAX);
        assert!(kept.lines[0].text.ends_with("ä…"));
        assert!(kept.lines[0].text.len() <= TEXT_LEN_MAX + "…".len());
    }

    #[test]
    fn wanted_are_a_level_and_a_part_of_the_tree() {
        let ring = filled(|| {
            tracing::error!(path = "/arm", "one");
            tracing::warn!(path = "/arm/driver", "two");
            tracing::info!(path = "/arm/driver", "three");
            tracing::error!(path = "/army", "four");
            tracing::error!("five");
        });

        for (level, path, limit, expected) in [
            (Level::WARN, Some("/arm"), 9, vec!["one", "two"]),
            (Level::TRACE, Some("/arm/driver"), 9, vec!["two", "three"]),
            (Level::ERROR, Some("/"), 9, vec!["one", "four"]),
            (Level::ERROR, None, 2, vec!["four", "five"]),
        ] {
            let path = path.map(str::to_owned);
            let found = ring.kept(&Wanted { level, path }, limit);
            let texts: Vec<&str> = found.lines.iter().map(|line| &*line.text).collect();
            assert_eq!(texts, expected);
        }
    }

    #[tokio::test]
    async fn who_follows_is_woken_by_the_next_line() {
        let ring = filled(|| tracing::info!("old"));
        let waits = ring.next(u64::MAX);
        let says = async {
            let layer = RingLayer::new(Arc::clone(&ring), Secrets::default());
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || tracing::info!("new"));
        };

        let (next, ()) = tokio::join!(biased; waits, says);

        assert_eq!((next.missed, next.last), (0, 2));
        assert_eq!(next.lines[0].text, "new");
    }
}
