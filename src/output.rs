//! The one place that prints. A reader that goes away (`uk tree | head -1`) is no fault.

use std::io::{self, IsTerminal, Write};

use crate::error::{Code, CommandError};

/// Writes `text` to standard output.
///
/// # Errors
/// If it cannot be written, as on a full disk. A reader that went away is no error.
pub fn out(text: &str) -> Result<(), CommandError> {
    frame(text).map(drop)
}

/// Writes one of many texts to standard output. Returns whether somebody still reads them.
///
/// # Errors
/// If it cannot be written, as on a full disk.
pub fn frame(text: &str) -> Result<bool, CommandError> {
    match write(&mut io::stdout().lock(), text) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CommandError::new(
            Code::Failed,
            format!("cannot write to standard output: {error}"),
        )),
    }
}

/// Writes `text` to standard error, where there is nobody to tell that it cannot be written.
pub fn err(text: &str) {
    drop(write(&mut io::stderr().lock(), text));
}

fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes()).and_then(|()| to.flush())
}

/// Whether colours are wanted there: a terminal, and neither `NO_COLOR` nor a dumb one.
#[must_use]
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    takes_drawing(stream) && !set("NO_COLOR")
}

/// Whether something can be drawn there: a terminal that is not dumb.
#[must_use]
pub fn takes_drawing(stream: &impl IsTerminal) -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !is_dumb
}
