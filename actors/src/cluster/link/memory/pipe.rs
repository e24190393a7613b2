//! One direction of a connection in memory: bytes in order, each with the moment at which it arrives.
//!
//! As with TCP the writer goes on until so much is under way that nobody has read, or that nobody could tell it was read.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How much may be under way, in bytes.
pub(super) const ROOM: usize = 64 << 10;

/// What a way from one node to another is like.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Way {
    /// Whether nothing arrives.
    pub(super) is_cut: bool,
    /// How long bytes are under way.
    pub(super) latency: Duration,
    /// How much longer at most.
    pub(super) jitter: Duration,
}

impl Way {
    /// How long something takes that is sent now.
    pub(super) fn takes(self, rng: &mut fastrand::Rng) -> Duration {
        let jitter = u64::try_from(self.jitter.as_nanos()).unwrap_or(u64::MAX);
        let more = if jitter == 0 { 0 } else { rng.u64(0..=jitter) };
        self.latency.saturating_add(Duration::from_nanos(more))
    }
}

/// One direction, shared by who writes, who reads and the net.
pub(super) struct Pipe {
    pub(super) from: Arc<str>,
    pub(super) to: Arc<str>,
    flow: Mutex<Flow>,
}

struct Flow {
    /// What is under way; one without bytes is the end.
    chunks: VecDeque<Chunk>,
    /// How much that is, in bytes.
    queued: usize,
    /// What was read and could not be told to the writer, in bytes.
    untold: usize,
    /// When the last of them arrives.
    last: Instant,
    way: Way,
    /// Whether the way back is cut.
    is_back_cut: bool,
    rng: fastrand::Rng,
    /// Whether the writer has said that it is done.
    is_ended: bool,
    /// Whether the reader is gone.
    is_left: bool,
    is_reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Chunk {
    arrives: Instant,
    bytes: BytesMut,
}

/// What there is for a reader.
enum Found {
    /// Bytes, or the end.
    Something,
    /// Something, at that moment.
    At(Instant),
    /// Nothing that is known of.
    Nothing,
}

impl Pipe {
    pub(super) fn new(
        [from, to]: [Arc<str>; 2],
        way: Way,
        is_back_cut: bool,
        rng: fastrand::Rng,
    ) -> Arc<Self> {
        let flow = Flow {
            chunks: VecDeque::new(),
            queued: 0,
            untold: 0,
            last: Instant::now(),
            way,
            is_back_cut,
            rng,
            is_ended: false,
            is_left: false,
            is_reset: false,
            reader: None,
            writer: None,
        };
        let flow = Mutex::new(flow);
        Arc::new(Self { from, to, flow })
    }

    /// Makes the way something else, also for what is under way: but what has a moment to arrive at keeps it.
    pub(super) fn set(&self, way: Way, is_back_cut: bool) {
        self.change(|flow| {
            flow.way = way;
            flow.is_back_cut = is_back_cut;
            if !is_back_cut {
                flow.untold = 0;
            }
        });
    }

    /// Breaks it, for both sides and at once.
    pub(super) fn reset(&self) {
        self.change(|flow| {
            flow.is_reset = true;
            flow.chunks.clear();
        });
    }

    fn change(&self, change: impl FnOnce(&mut Flow)) {
        let mut flow = self.flow.lock();
        change(&mut flow);
        let woken = [flow.reader.take(), flow.writer.take()];
        drop(flow);
        woken.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Flow {
    fn find(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<Found> {
        if self.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.way.is_cut {
            return Ok(Found::Nothing);
        }
        let now = Instant::now();
        let mut found = Found::Nothing;
        while let Some(chunk) = self.chunks.front_mut() {
            if chunk.arrives > now {
                return Ok(match found {
                    Found::Nothing => Found::At(chunk.arrives),
                    found => found,
                });
            }
            found = Found::Something;
            let len = chunk.bytes.len().min(buf.remaining());
            if len == 0 {
                break;
            }
            buf.put_slice(chunk.bytes.get(..len).unwrap_or_default());
            chunk.bytes.advance(len);
            self.queued -= len;
            if self.is_back_cut {
                self.untold += len;
            }
            if chunk.bytes.is_empty() {
                self.chunks.pop_front();
            }
        }
        Ok(found)
    }

    /// Takes what there is room for; `None` if that is nothing.
    fn put(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        if self.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        // That the reader is gone is not known to one whom nothing reaches.
        if self.is_ended || (self.is_left && !self.is_back_cut) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = ROOM.saturating_sub(self.queued + self.untold);
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        if taken.is_empty() {
            return Ok(bytes.is_empty().then_some(0));
        }
        let arrives = self.arrival();
        self.queued += taken.len();
        match self.chunks.back_mut() {
            Some(chunk) if chunk.arrives == arrives => chunk.bytes.extend_from_slice(taken),
            _ => self.chunks.push_back(Chunk {
                arrives,
                bytes: taken.into(),
            }),
        }
        Ok(Some(taken.len()))
    }

    fn end(&mut self) {
        if !self.is_ended {
            self.is_ended = true;
            let arrives = self.arrival();
            let bytes = BytesMut::new();
            self.chunks.push_back(Chunk { arrives, bytes });
        }
    }

    /// When something arrives that is sent now: never before what was sent earlier.
    fn arrival(&mut self) -> Instant {
        let arrives = Instant::now() + self.way.takes(&mut self.rng);
        self.last = self.last.max(arrives);
        self.last
    }
}

/// Reads what arrives.
pub(super) struct PipeRead {
    pipe: Arc<Pipe>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl PipeRead {
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe, sleep: None }
    }
}

impl fmt::Debug for PipeRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PipeRead({} to {})", self.pipe.from, self.pipe.to)
    }
}

impl AsyncRead for PipeRead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let mut flow = self.pipe.flow.lock();
            let found = flow.find(buf)?;
            let writer = match found {
                Found::Something => flow.writer.take(),
                Found::At(_) | Found::Nothing => {
                    flow.reader = Some(cx.waker().clone());
                    None
                }
            };
            drop(flow);
            match found {
                Found::Something => {
                    writer.into_iter().for_each(Waker::wake);
                    return Poll::Ready(Ok(()));
                }
                Found::Nothing => return Poll::Pending,
                Found::At(moment) => {
                    let sleep = self
                        .sleep
                        .get_or_insert_with(|| Box::pin(sleep_until(moment)));
                    if sleep.deadline() != moment {
                        sleep.as_mut().reset(moment);
                    }
                    if sleep.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl Drop for PipeRead {
    fn drop(&mut self) {
        self.pipe.change(|flow| {
            flow.is_left = true;
            flow.chunks.clear();
            flow.queued = 0;
        });
    }
}

/// Writes what is to arrive.
pub(super) struct PipeWrite {
    pipe: Arc<Pipe>,
}

impl PipeWrite {
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe }
    }
}

impl fmt::Debug for PipeWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PipeWrite({} to {})", self.pipe.from, self.pipe.to)
    }
}

impl AsyncWrite for PipeWrite {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut flow = self.pipe.flow.lock();
        let Some(taken) = flow.put(bytes)? else {
            flow.writer = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let reader = flow.reader.take();
        drop(flow);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.change(Flow::end);
        Poll::Ready(Ok(()))
    }
}

impl Drop for PipeWrite {
    fn drop(&mut self) {
        self.pipe.change(Flow::end);
    }
}
