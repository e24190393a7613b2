//! Why a command was not done: [`CommandError`], with the exit code and the HTTP status that belong to it.

use std::fmt;

use serde_json::{Value, json};
use unity_supervisors::kernel::BuildError;
use unity_supervisors::kind::Undelivered;
use unity_supervisors::{ActorPath, path::InvalidPath};
use unity_supervisors::{Kernel, KernelError, NoAnswer, RequestError};

use crate::nearest::nearest;
use crate::screen::printable;

/// What kind of failure it is; the exit code of `uk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The operation failed.
    Failed,
    /// It was called wrongly.
    Usage,
    /// It was called rightly, and not with what goes together or fits what is there.
    Conflict,
    /// A tree, settings or a child is not valid.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// No kernel answers.
    Unreachable,
    /// It is not allowed.
    Denied,
    /// It took too long.
    TimedOut,
    /// What was sent is too much.
    TooLarge,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Failed,
        Self::Usage,
        Self::Conflict,
        Self::Invalid,
        Self::NotFound,
        Self::Unreachable,
        Self::Denied,
        Self::TimedOut,
        Self::TooLarge,
    ];

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
        }
    }

    /// The exit code of `uk`.
    #[must_use]
    pub fn exit(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage | Self::Conflict | Self::TooLarge => 2,
            Self::Invalid => 3,
            Self::NotFound => 4,
            Self::Unreachable => 5,
            Self::Denied => 6,
            Self::TimedOut => 7,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Failed | Self::Conflict => 409,
            Self::Usage => 400,
            Self::Invalid => 422,
            Self::NotFound => 404,
            Self::Unreachable => 503,
            Self::Denied => 403,
            Self::TimedOut => 504,
            Self::TooLarge => 413,
        }
    }
}

/// The exit code for a difference that was found, a check that is false, or degraded health.
pub const EXIT_DIFFERENCE: u8 = 9;

/// Why a command was not done, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// What kind of failure it is.
    pub code: Code,
    /// What went wrong, naming the offender.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The same in a file, with a caret, where it is one that is at fault.
    pub shown: Option<String>,
}

impl serde::Serialize for CommandError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// What was typed may be told again, and is not to steer the terminal.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}

impl CommandError {
    /// An error without a hint.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            shown: None,
        }
    }

    /// Called wrongly.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Called rightly, and not with what goes together or fits what is there.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::Conflict, message)
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Shows it in the file that is at fault.
    #[must_use]
    pub fn shown(mut self, shown: impl Into<String>) -> Self {
        self.shown = Some(shown.into());
        self
    }

    /// `{"version":1,"error":{"code","message","hint"}}`, with `shown` where there is something.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut error =
            json!({ "code": self.code.as_str(), "message": self.message, "hint": self.hint });
        if let (Some(shown), Some(error)) = (&self.shown, error.as_object_mut()) {
            error.insert("shown".to_owned(), Value::from(shown.as_str()));
        }
        json!({ "version": 1, "error": error })
    }

    /// Reads what [`to_json`](Self::to_json) wrote; a code that is not known counts as `failed`.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let error = value.get("error")?;
        let word = error.get("code")?.as_str()?;
        let code = Code::ALL
            .into_iter()
            .find(|code| code.as_str() == word)
            .unwrap_or(Code::Failed);
        let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            code,
            message: text("message")?,
            hint: text("hint"),
            shown: text("shown"),
        })
    }

    /// For people: what is at fault as it is shown, `error: …`, then `hint: …`.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let (red, cyan, plain) = if colour {
            ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let shown = self.shown.iter();
        let mut text: String = shown
            .map(|shown| format!("{}\n\n", shown.trim_end()))
            .collect();
        text.push_str(&format!("{red}error{plain}: {}\n", lines(&self.message)));
        if let Some(hint) = &self.hint {
            text.push_str(&format!("{cyan}hint{plain}: {}\n", lines(hint)));
        }
        text
    }

    /// Translates what the kernel says, and looks for what was meant.
    #[must_use]
    pub fn of_kernel(error: KernelError, kernel: &Kernel) -> Self {
        let message = error.to_string();
        match error {
            KernelError::NotFound(path)
            | KernelError::Refused {
                path,
                error: RequestError::NotFound,
            }
            | KernelError::Undelivered {
                path,
                error: Undelivered::Gone,
            } => Self::not_found(&path, kernel),
            KernelError::Refused { path, error } => {
                let code = match error {
                    RequestError::NotAWorker => Code::Conflict,
                    _ => Code::Failed,
                };
                Self::new(code, message).hint(refusal_hint(&path, &error, kernel))
            }
            KernelError::Fixed(path) => {
                let hint = if path.is_root() {
                    "`uk shutdown` stops the kernel".to_owned()
                } else {
                    format!("`uk kill {path}` has it started again")
                };
                Self::new(Code::Failed, message).hint(hint)
            }
            KernelError::NotASupervisor(path) => Self::conflict(message).hint(format!(
                "name a supervisor; `uk tree {path}` shows what is there"
            )),
            KernelError::NotAWorker(path) => Self::conflict(message).hint(format!(
                "name one of its children: `uk tree {path}` shows them"
            )),
            KernelError::HasTemplate(path) => Self::conflict(message).hint(format!(
                "leave out the kind: `uk spawn --under {path} --set key=value`"
            )),
            KernelError::NoTemplate(path) => Self::conflict(message).hint(format!(
                "name a kind and an id: `uk spawn probe --under {path} --id NAME`"
            )),
            KernelError::NoPartition(path) | KernelError::TooManyPartitions { path, .. } => {
                Self::new(Code::Failed, message)
                    .hint(format!("`uk tree {path}` shows its partitions"))
            }
            KernelError::NotPartitioned(path) | KernelError::NoTasks(path) => {
                Self::conflict(message).hint(format!(
                    "name one that has; `uk tree {path}` shows what is there"
                ))
            }
            KernelError::Build(BuildError::UnknownKind { kind, .. }) => {
                Self::no_such_kind(&kind, kernel)
            }
            KernelError::Build(BuildError::Watchdog(_)) => Self::new(Code::Failed, message),
            KernelError::Build(_) => Self::new(Code::Invalid, message),
            KernelError::Message { .. } => Self::conflict(message),
            KernelError::Undelivered { path, error } => {
                Self::new(Code::Failed, message).hint(undelivered_hint(&path, &error))
            }
            KernelError::NoAnswer {
                path,
                error: NoAnswer::Timeout(_),
            } => Self::new(Code::TimedOut, message).hint(format!(
                "`uk tree {path}` shows what it is doing; --timeout waits longer"
            )),
            KernelError::NoAnswer { path, .. } => {
                Self::new(Code::Failed, message).hint(format!("`uk why {path}` says what happened"))
            }
        }
    }

    /// There is no kind of that name; the hint names the nearest, or all.
    #[must_use]
    pub fn no_such_kind(kind: &str, kernel: &Kernel) -> Self {
        let hint = match nearest(kind, kernel.kinds().names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!(
                    "the kinds are {}",
                    kernel.kinds().names().collect::<Vec<_>>().join(", ")
                )
            }
        };
        Self::new(Code::NotFound, format!("there is no kind `{kind}`")).hint(hint)
    }

    /// There is nothing at `path`; the hint names the nearest that is there.
    #[must_use]
    pub fn not_found(path: &ActorPath, kernel: &Kernel) -> Self {
        let paths: Vec<String> = kernel
            .registry()
            .paths()
            .iter()
            .map(ToString::to_string)
            .collect();
        let hint = match nearest(path.as_str(), paths.iter().map(String::as_str)) {
            Some(near) if near != path.as_str() => format!("did you mean `{near}`?"),
            _ => nearest_above(path, kernel),
        };
        Self::new(Code::NotFound, format!("there is no `{path}`")).hint(hint)
    }
}

impl From<InvalidPath> for CommandError {
    fn from(error: InvalidPath) -> Self {
        Self::usage(error.to_string())
    }
}

fn nearest_above(path: &ActorPath, kernel: &Kernel) -> String {
    let above = std::iter::successors(path.parent(), ActorPath::parent)
        .find_map(|above| kernel.registry().get(&above));
    let Some(above) = above else {
        return "`uk tree` shows what is there".to_owned();
    };
    let children: Vec<String> = above
        .children()
        .iter()
        .take(8)
        .map(|child| child.path().to_string())
        .collect();
    if children.is_empty() {
        format!("the nearest is `{}`, which has no children", above.path())
    } else {
        format!(
            "the nearest is `{}`; below it are {}",
            above.path(),
            children.join(", ")
        )
    }
}

fn undelivered_hint(path: &ActorPath, error: &Undelivered) -> String {
    match error {
        Undelivered::Shed => "`uk health` says how short it is, and where to look".to_owned(),
        Undelivered::NotRunning => format!("`uk why {path}` says what happened"),
        _ => format!("`uk tree {path}` shows how much waits"),
    }
}

/// What to do about what a supervisor refused.
#[must_use]
pub fn refusal_hint(path: &ActorPath, error: &RequestError, kernel: &Kernel) -> String {
    match error {
        RequestError::NotAWorker => format!("`uk which {path}` lists its children"),
        RequestError::MaxChildren(most) => {
            let above = path.parent().unwrap_or_else(ActorPath::root);
            let there = kernel.count(&above).map_or(0, |counts| counts.specs);
            if *most == 0 {
                return format!("raise `max_children` of {above} in the tree file");
            }
            format!(
                "{there} are there: `uk which {above}` lists them, `uk stop PATH` of one makes room"
            )
        }
        RequestError::Running | RequestError::AlreadyStarted => {
            format!("`uk stop {path}` stops it, `uk restart {path}` stops and starts it")
        }
        RequestError::Restarting => format!("`uk stop {path}` ends its restarts"),
        RequestError::NotRunning if path.is_root() || path.as_str() == "/system" => {
            "it is started again without being asked: `uk health` says how the kernel is".to_owned()
        }
        RequestError::NotRunning => {
            format!("`uk start {path}` starts it, `uk why {path}` says why")
        }
        RequestError::AlreadyPresent => {
            format!("`uk start {path}` starts it, `uk delete {path}` removes it")
        }
        RequestError::StartFailed(_) => format!("`uk why {path}` says what was tried"),
        RequestError::NotQuarantined => format!("`uk tree {path}` shows what it is doing"),
        _ => "`uk tree` shows what is there".to_owned(),
    }
}
