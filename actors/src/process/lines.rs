//! What a command writes, as lines, without ever holding it up.
//!
//! A command that publishes has the lines of its standard output that may be events passed on whole and without a limit to
//! how many, in order; it is held up while they cannot be published, so that none is lost.
//!
//! The pipes are always read on, at full speed; what is limited is what is passed on. A line over
//! [`LINE_LEN_MAX`] bytes is cut, bytes that are not UTF-8 are replaced, and of a flood
//! [`LINES_PER_SECOND_MAX`] lines a second are passed on per stream and the rest is counted. Whatever was
//! left out is said in the line, or in a line of its own in brackets.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::Instant;
use unity_supervisors::bus::EVENT_LEN_MAX;

use super::unsafe_calls::watched;

/// The longest line that is passed on whole, in bytes.
pub const LINE_LEN_MAX: usize = 8 * 1024;

/// How many lines of one stream are passed on in a second.
pub const LINES_PER_SECOND_MAX: u32 = 1_000;

/// How much is read at a time, in bytes.
const CHUNK_LEN: usize = 16 * 1024;

/// How much is still read after the end of the command, in bytes. A pipe holds 64 KiB unless the command
/// made it larger, up to this; more can only come from another process that has the pipe.
const REST_LEN_MAX: usize = 1 << 20;

const SECOND: Duration = Duration::from_secs(1);

/// Where a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// `stdout` or `stderr`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The kernel's end of one stream.
#[derive(Debug)]
pub(super) struct LineReader {
    pipe: AsyncFd<OwnedFd>,
    chunk: Box<[u8]>,
    lines: Lines,
    open: bool,
    /// Where lines go that may be events.
    spoken_to: Option<mpsc::Sender<Said>>,
}

/// What a command that publishes has said.
#[derive(Debug)]
pub(super) enum Said {
    /// A line of JSON that may be an event.
    Json(String),
    /// Any other line.
    Line(Stream, String),
    /// One that began as JSON and is longer than an event may be.
    TooLong,
}

impl LineReader {
    pub(super) fn new(pipe: OwnedFd, stream: Stream) -> io::Result<Self> {
        rustix::fs::fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        let pipe = watched(pipe)?;
        let chunk = vec![0; CHUNK_LEN].into_boxed_slice();
        Ok(Self {
            pipe,
            chunk,
            lines: Lines::new(stream),
            open: true,
            spoken_to: None,
        })
    }

    /// Has lines that may be events passed on to `listener` from now on.
    pub(super) fn speak_to(&mut self, listener: mpsc::Sender<Said>) {
        self.lines.spoken = Some(VecDeque::new());
        self.spoken_to = Some(listener);
    }

    /// Passes on what may be events, and waits until there is room. Can be dropped at any point.
    async fn speak(&mut self) {
        let (Some(spoken), Some(listener)) = (&mut self.lines.spoken, &self.spoken_to) else {
            return;
        };
        while !spoken.is_empty() {
            // Taken out only once it can be passed on.
            let Ok(room) = listener.reserve().await else {
                return spoken.clear();
            };
            if let Some(said) = spoken.pop_front() {
                room.send(said);
            }
        }
    }

    /// Passes lines on until the other end is closed by all who have it. Can be dropped at any point and
    /// called again.
    pub(super) async fn read(&mut self, on_line: &impl Fn(Stream, &str)) {
        // What a read that was dropped had left.
        self.speak().await;
        while self.open {
            let summary_due = self.lines.limit.summary_due();
            let filled = tokio::select! {
                biased;
                ready = self.pipe.readable() => match ready {
                    Ok(mut guard) => {
                        let read = guard.try_io(|pipe| read_chunk(pipe.get_ref(), &mut self.chunk));
                        match read {
                            Ok(read) => self.take(read, on_line),
                            Err(_would_block) => false,
                        }
                    }
                    Err(error) => self.take(Err(error), on_line),
                },
                () = until(summary_due) => {
                    self.lines.summarize(on_line);
                    false
                }
            };
            self.speak().await;
            if filled {
                // There is probably more: let others have their turn first.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Passes on what is in the pipe now, and no more: for after the end of the command, when others may
    /// still hold the pipe open.
    pub(super) async fn finish(&mut self, on_line: &impl Fn(Stream, &str)) {
        let mut left = REST_LEN_MAX / CHUNK_LEN;
        while self.open && left > 0 {
            left -= 1;
            self.speak().await;
            match read_chunk(self.pipe.get_ref(), &mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                read => {
                    self.take(read, on_line);
                }
            }
        }
        self.close(on_line);
        self.speak().await;
    }

    /// Splits what was read; says whether the chunk was full.
    fn take(&mut self, read: io::Result<usize>, on_line: &impl Fn(Stream, &str)) -> bool {
        let filled = matches!(read, Ok(CHUNK_LEN));
        match read {
            Ok(0) => self.close(on_line),
            Ok(len) => {
                let bytes = self.chunk.get(..len).unwrap_or_default();
                self.lines.feed(bytes, Instant::now(), on_line);
            }
            Err(error) => {
                let stream = self.lines.stream.as_str();
                tracing::warn!(%error, stream, "cannot read the output of a command any more");
                self.close(on_line);
            }
        }
        filled
    }

    fn close(&mut self, on_line: &impl Fn(Stream, &str)) {
        if std::mem::replace(&mut self.open, false) {
            self.lines.finish(Instant::now(), on_line);
        }
    }
}

fn read_chunk(pipe: &OwnedFd, chunk: &mut [u8]) -> io::Result<usize> {
    match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut *chunk)) {
        Ok(len) => Ok(len),
        Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error.into()),
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => pending().await,
    }
}

/// Makes lines of bytes.
#[derive(Debug)]
struct Lines {
    stream: Stream,
    /// The beginning of a line whose end was not read yet; at most [`LINE_LEN_MAX`] bytes, or [`EVENT_LEN_MAX`] where it
    /// may be an event.
    partial: Vec<u8>,
    /// Whether the line was passed on as cut, and its rest is skipped.
    cut: bool,
    limit: Limit,
    /// Lines that may be events and were not passed on yet, where somebody wants them.
    spoken: Option<VecDeque<Said>>,
}

impl Lines {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            partial: Vec::new(),
            cut: false,
            limit: Limit::default(),
            spoken: None,
        }
    }

    fn feed(&mut self, bytes: &[u8], now: Instant, on_line: &impl Fn(Stream, &str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.split_last() {
                Some((b'\n', text)) => {
                    self.append(text, now, on_line);
                    self.end_line(now, on_line);
                }
                _ => self.append(piece, now, on_line),
            }
        }
    }

    /// Passes on a line without an end, and what was left out.
    fn finish(&mut self, now: Instant, on_line: &impl Fn(Stream, &str)) {
        if !self.partial.is_empty() {
            self.end_line(now, on_line);
        }
        self.summarize(on_line);
    }

    fn append(&mut self, text: &[u8], now: Instant, on_line: &impl Fn(Stream, &str)) {
        if self.cut {
            return;
        }
        let first = self.partial.first().or(text.first());
        let may_be_event = self.spoken.is_some() && first == Some(&b'{');
        let len_max = if may_be_event {
            EVENT_LEN_MAX
        } else {
            LINE_LEN_MAX
        };
        let room = len_max - self.partial.len();
        if let Some(fits) = text.get(..room)
            && text.len() > room
        {
            self.partial.extend_from_slice(fits);
            self.cut = true;
            if let Some(spoken) = self.spoken.as_mut().filter(|_| may_be_event) {
                spoken.push_back(Said::TooLong);
                self.partial.clear();
                return;
            }
            self.pass_on(now, on_line);
        } else {
            self.partial.extend_from_slice(text);
        }
    }

    fn end_line(&mut self, now: Instant, on_line: &impl Fn(Stream, &str)) {
        if std::mem::replace(&mut self.cut, false) {
            return;
        }
        if self.partial.last() == Some(&b'\r') {
            self.partial.pop();
        }
        if let Some(spoken) = &mut self.spoken
            && let Some(event) = as_event(&self.partial)
        {
            spoken.push_back(Said::Json(event.to_owned()));
            return self.partial.clear();
        }
        if self.partial.len() > LINE_LEN_MAX {
            self.partial.truncate(LINE_LEN_MAX);
            self.cut = true;
            self.pass_on(now, on_line);
            self.cut = false;
            return;
        }
        self.pass_on(now, on_line);
    }

    fn pass_on(&mut self, now: Instant, on_line: &impl Fn(Stream, &str)) {
        if let Some(left_out) = self.limit.admit(now) {
            self.say_left_out(left_out, on_line);
            let text = String::from_utf8_lossy(whole_characters(&self.partial));
            if self.cut {
                on_line(
                    self.stream,
                    &format!("{text} [cut: longer than {LINE_LEN_MAX} bytes]"),
                );
            } else {
                on_line(self.stream, &text);
            }
        }
        self.partial.clear();
    }

    fn summarize(&mut self, on_line: &impl Fn(Stream, &str)) {
        let left_out = std::mem::take(&mut self.limit.left_out);
        self.say_left_out(left_out, on_line);
    }

    fn say_left_out(&self, left_out: u64, on_line: &impl Fn(Stream, &str)) {
        if left_out > 0 {
            let lines = if left_out == 1 { "line" } else { "lines" };
            let limit = format!("more than {LINES_PER_SECOND_MAX} in a second");
            on_line(
                self.stream,
                &format!("[left out {left_out} {lines}: {limit}]"),
            );
        }
    }
}

/// A line of JSON that names a topic.
fn as_event(line: &[u8]) -> Option<&str> {
    /// Of the rest only the form is looked at.
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow, alias = "channel")]
        topic: Option<&'a RawValue>,
    }
    if line.first() != Some(&b'{') {
        return None;
    }
    let line = std::str::from_utf8(line).ok()?;
    let head: Head<'_> = serde_json::from_str(line).ok()?;
    head.topic.map(|_| line)
}

/// Leaves out a last character that is not complete.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => {
            bytes.get(..error.valid_up_to()).unwrap_or_default()
        }
        _ => bytes,
    }
}

/// Decides which lines are passed on: in each second that begins with a line, so many.
#[derive(Debug, Default)]
struct Limit {
    window_start: Option<Instant>,
    passed: u32,
    left_out: u64,
}

impl Limit {
    /// Whether a line that was read at `now` is passed on; if so, how many were left out before it and are not
    /// yet spoken of.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self
            .window_start
            .is_none_or(|start| now.duration_since(start) >= SECOND)
        {
            self.window_start = Some(now);
            self.passed = 0;
        }
        if self.passed >= LINES_PER_SECOND_MAX {
            self.left_out += 1;
            return None;
        }
        self.passed += 1;
        Some(std::mem::take(&mut self.left_out))
    }

    /// When it must be said that lines were left out, if some were.
    fn summary_due(&self) -> Option<Instant> {
        let start = self.window_start?;
        (self.left_out > 0).then(|| start + SECOND)
    }
}

/// Admits so many a second, and forgets the rest.
#[derive(Debug, Default)]
pub(super) struct Limiter(Limit);

impl Limiter {
    /// Whether one more is admitted now.
    pub(super) fn admits(&mut self) -> bool {
        self.0.admit(Instant::now()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// What comes of `chunks`.
    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let said = RefCell::new(Vec::new());
        let note = |_: Stream, line: &str| said.borrow_mut().push(line.to_owned());
        let mut lines = Lines::new(Stream::Stdout);
        let now = Instant::now();
        for chunk in chunks {
            lines.feed(chunk, now, &note);
        }
        lines.finish(now, &note);
        said.into_inner()
    }

    #[test]
    fn lines_are_put_together_whatever_the_chunks() {
        let rows: [(&[&[u8]], &[&str]); 7] = [
            (&[], &[]),
            (&[b"a\nb\n"], &["a", "b"]),
            (&[b"a", b"b\nc"], &["ab", "c"]),
            (&[b"\n\n"], &["", ""]),
            (&[b"a\r\nb\r", b"\n"], &["a", "b"]),
            (&[b"\xc3", b"\xa9\n"], &["\u{e9}"]),
            (&[b"a\xffb\n", b"\xe2\x82"], &["a\u{fffd}b", ""]),
        ];
        for (chunks, expected) in rows {
            assert_eq!(split(chunks), expected, "{chunks:?}");
        }
    }

    #[test]
    fn a_line_over_the_limit_is_cut_once_and_between_characters() {
        let whole = vec![b'x'; LINE_LEN_MAX];
        let mut long = vec![b'x'; LINE_LEN_MAX - 1];
        long.extend("\u{e9}".repeat(LINE_LEN_MAX).bytes());

        let lines = split(&[&whole, b"\n", &long, b"\nnext\n"]);

        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].len(), LINE_LEN_MAX);
        assert_eq!(
            lines[1].trim_start_matches('x'),
            " [cut: longer than 8192 bytes]"
        );
        assert_eq!(lines[2], "next");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_counted_and_the_count_is_said_before_the_next_line() {
        let said = RefCell::new(Vec::new());
        let note = |_: Stream, line: &str| said.borrow_mut().push(line.to_owned());
        let mut lines = Lines::new(Stream::Stderr);

        lines.feed("y\n".repeat(1_500).as_bytes(), Instant::now(), &note);
        tokio::time::advance(Duration::from_millis(999)).await;
        lines.feed(b"still the same second\n", Instant::now(), &note);
        assert_eq!(said.borrow().len(), 1_000);
        tokio::time::advance(Duration::from_millis(1)).await;
        lines.feed(b"the next second\n", Instant::now(), &note);

        assert_eq!(
            said.borrow()[1_000..],
            [
                "[left out 501 lines: more than 1000 in a second]",
                "the next second"
            ]
        );
        assert_eq!(lines.limit.summary_due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_count_is_said_when_the_flood_ends_in_silence() {
        let said = RefCell::new(Vec::new());
        let note = |_: Stream, line: &str| said.borrow_mut().push(line.to_owned());
        let (read_end, write_end) = rustix::pipe::pipe().unwrap();
        let mut reader = LineReader::new(read_end, Stream::Stdout).unwrap();
        rustix::io::write(&write_end, "y\n".repeat(1_002).as_bytes()).unwrap();

        // Time is paused: this hour passes as soon as everything is silent.
        let reading = tokio::time::timeout(Duration::from_secs(3600), reader.read(&note));

        assert!(reading.await.is_err(), "the pipe is still open");
        assert_eq!(
            said.borrow().last().unwrap(),
            "[left out 2 lines: more than 1000 in a second]"
        );
    }
}
