//! A framework's process: which measurements it has, its arguments, and its lines on stdout.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use std::{fmt, panic};

use tokio::runtime::{self, Runtime};

use crate::figure::{Figure, locked_version};
use crate::options::{self, Measurement, Options, USAGE};
use crate::peer::{CRASH_TEXT, Lanes, Messages, Nodes, Restarts, Spawns};
use crate::{lanes, messages, nodes, restarts, spawns};

const WORKERS: usize = 2;

type Run = fn(&Runtime, Duration) -> Vec<Figure>;

/// The measurements that a framework has, by what it implements.
pub struct Suite {
    framework: &'static str,
    version: String,
    runs: Vec<(Measurement, Run)>,
    serve: Option<fn(&Runtime) -> io::Result<()>>,
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Suite({} {})", self.framework, self.version)
    }
}

impl Suite {
    /// An empty suite. `framework` is the column, `package` what is measured in it, and `lock_file` the
    /// text of the `Cargo.lock` that the process was built with; it says the version.
    #[must_use]
    pub fn new(framework: &'static str, package: &str, lock_file: &str) -> Self {
        let version = locked_version(lock_file, package).unwrap_or("unknown");
        Self {
            framework,
            version: format!("{package} {version}"),
            runs: Vec::new(),
            serve: None,
        }
    }

    /// Adds the rows of [`Messages`].
    #[must_use]
    pub fn messages<P: Messages>(mut self) -> Self {
        self.runs.extend([
            (Measurement::TellOneToOne, messages::tell_1_1::<P> as Run),
            (Measurement::TellFourToOne, messages::tell_4_1::<P>),
            (Measurement::Ask, messages::ask::<P>),
            (Measurement::AskOutside, messages::ask_outside::<P>),
        ]);
        self
    }

    /// Adds the rows of [`Spawns`].
    #[must_use]
    pub fn spawns<P: Spawns>(mut self) -> Self {
        self.runs.extend([
            (Measurement::Spawn, spawns::spawn::<P> as Run),
            (Measurement::Batch, spawns::batch::<P>),
            (Measurement::Group, spawns::group::<P>),
            (Measurement::Idle, spawns::idle::<P>),
        ]);
        self
    }

    /// Adds the rows of [`Restarts`].
    #[must_use]
    pub fn restarts<P: Restarts>(mut self) -> Self {
        self.runs.extend([
            (Measurement::Restart, restarts::restart::<P> as Run),
            (Measurement::Crash, restarts::crash::<P>),
        ]);
        self
    }

    /// Adds the row of [`Lanes`].
    #[must_use]
    pub fn lanes<P: Lanes>(mut self) -> Self {
        self.runs
            .push((Measurement::Critical, lanes::critical::<P>));
        self
    }

    /// Adds the rows of [`Nodes`].
    #[must_use]
    pub fn nodes<P: Nodes>(mut self) -> Self {
        self.runs.extend([
            (Measurement::RemoteTell, nodes::tell::<P> as Run),
            (Measurement::RemoteAsk, nodes::ask::<P>),
            (Measurement::Stalled, nodes::stalled::<P>),
        ]);
        self.serve = Some(nodes::serve::<P>);
        self
    }

    /// Reads the arguments, without the program's name, measures, and prints one JSON line per row.
    /// A row that the framework does not have is left out.
    ///
    /// The exit code is 0, 2 for arguments that cannot be followed, or 1 if stdout is closed.
    ///
    /// # Panics
    /// If the framework breaks a promise, such as losing a message.
    pub fn run(&self, arguments: impl IntoIterator<Item = String>) -> ExitCode {
        match options::parse(arguments) {
            Ok(Options::Help) => {
                complain(USAGE);
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(&format!("error: {error}\n\n{USAGE}"));
                ExitCode::from(2)
            }
            Ok(Options::Serve) => {
                let serve = self.serve.map(|serve| serve(&runtime(true)));
                ExitCode::from(u8::from(!matches!(serve, Some(Ok(())))))
            }
            Ok(Options::Measure { requests, time }) => {
                silence_the_crash();
                for request in requests {
                    let run = self.runs.iter().find(|(it, _)| *it == request.measurement);
                    let runtime = runtime(request.measurement.is_remote());
                    let figures = run.map_or_else(Vec::new, |(_, run)| run(&runtime, time));
                    let wanted = figures
                        .iter()
                        .filter(|figure| request.rows.contains(&figure.row));
                    if let Err(error) = self.print(wanted) {
                        complain(&format!("error: stdout: {error}"));
                        return ExitCode::FAILURE;
                    }
                }
                ExitCode::SUCCESS
            }
        }
    }

    fn print<'a>(&self, figures: impl Iterator<Item = &'a Figure>) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        for figure in figures {
            writeln!(stdout, "{}", figure.json(self.framework, &self.version))?;
        }
        stdout.flush()
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a command's usage and errors belong there"
)]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// Thousands of reports of a wanted panic would be what is measured. All others stay.
fn silence_the_crash() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(CRASH_TEXT) {
            report(info);
        }
    }));
}

fn runtime(with_sockets: bool) -> Runtime {
    let mut builder = runtime::Builder::new_multi_thread();
    builder.worker_threads(WORKERS).enable_time();
    if with_sockets {
        // And with whatever else the framework has turned on.
        builder.enable_all();
    }
    builder.build().expect("two worker threads can be started")
}

/// The warm-up of a measurement that lasts `time`.
pub(crate) fn warm_up(time: Duration) -> Duration {
    (time / 5).clamp(Duration::from_millis(50), Duration::from_millis(500))
}

pub(crate) fn on_worker<T: Send + 'static>(
    runtime: &Runtime,
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    runtime
        .block_on(runtime.spawn(future))
        .expect("the measuring task does not panic")
}
