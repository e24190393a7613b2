//! The log of a kernel, and how its filter changes while it runs: [`Log`].

use std::io::{self, Write};
use std::sync::Arc;

use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use unity_supervisors::Secrets;

use crate::boot::KernelLog;
use crate::log_ring::{LogRing, RingLayer};
use crate::output;
use crate::screen::Screen;
use crate::settings::system::LogSwitch;

/// The log of the kernel, written by a thread of its own: a terminal that is stopped, or a pipe that nobody reads,
/// loses lines and never holds up the kernel.
pub(super) struct Log {
    pub(super) lines: Masked,
    /// What the kernel knows of it; nothing where a program that embeds this has a log of its own.
    pub(super) kernel: KernelLog,
    /// Writes out what is left when it is dropped.
    _last_lines: WorkerGuard,
}

/// How many lines wait to be written before more are lost.
const LOG_LINES_MAX: usize = 8_192;

impl Log {
    /// Starts it with a filter that was found to be one.
    pub(super) fn start(screen: Screen, filter: &str, secrets: Secrets) -> Self {
        let (lines, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(LOG_LINES_MAX)
            .thread_name("uk-log")
            .finish(std::io::stderr());
        let ring = Arc::new(LogRing::default());
        let kept = RingLayer::new(Arc::clone(&ring), secrets.clone());
        let lines = Masked { lines, secrets };
        let writer = lines.clone();
        let (log, switch) = writing(screen, filter, move || writer.clone());
        let log = log.with(kept);
        // A program that embeds this has a log of its own already; then that one stays.
        let is_ours = tracing::subscriber::set_global_default(log).is_ok();
        Self {
            lines,
            kernel: KernelLog {
                switch: is_ours.then_some(switch),
                ring,
            },
            _last_lines: guard,
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let lost = self.lines.lines.error_counter().dropped_lines();
        if lost > 0 {
            output::err(&format!(
                "{lost} lines of the log were lost: nobody read them in time\n"
            ));
        }
    }
}

/// Lines of the log, without secrets.
#[derive(Clone)]
pub(super) struct Masked {
    lines: NonBlocking,
    secrets: Secrets,
}

impl Write for Masked {
    /// Takes all of it: an event comes in one piece, so no secret is parted.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        self.lines.write_all(self.secrets.mask(&text).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }
}

/// What writes the log, and what changes its filter.
fn writing<W>(screen: Screen, filter: &str, writer: W) -> (impl Subscriber + Send + Sync, LogSwitch)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(screen.colour)
        .with_writer(writer)
        .with_target(false)
        .log_internal_errors(false)
        .with_filter_reloading();
    let handle = log.reload_handle();
    let switch: LogSwitch = Arc::new(move |filter| {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    });
    (log.finish(), switch)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_filter_of_a_log_can_be_changed_and_a_wrong_one_changes_nothing() {
        let lines = Lines::default();
        let writer = lines.clone();
        let (log, switch) = writing(Screen::plain(80), "warn", move || writer.clone());

        tracing::subscriber::with_default(log, || {
            for (step, filter) in ["warn", "info", "a=loud", "off"].into_iter().enumerate() {
                assert_eq!(switch(filter).is_ok(), filter != "a=loud");
                tracing::info!("info {step}");
                tracing::warn!("warn {step}");
            }
        });

        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let said: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once("Z  "))
            .map(|(_, said)| said.trim())
            .collect();
        let expected = [
            "WARN warn 0",
            "INFO info 1",
            "WARN warn 1",
            "INFO info 2",
            "WARN warn 2",
        ];
        assert_eq!(said, expected);
    }
}
