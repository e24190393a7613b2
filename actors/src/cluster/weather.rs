//! Trouble on the way to a node, made on purpose: [`Trouble`], and the [`Weather`] of one way, which its connections consult.
//!
//! A cut is one of the cable, over any [`Link`](super::link::Link): who writes is not told and goes on until there is no room,
//! what arrives stays unread where it is, and nobody hears of an end, so that it is the heartbeat that notices. A connection
//! that is dropped while nothing goes out is therefore kept open until something does. A slow link holds bytes back each way, in
//! their order, and no more than [`LINE_LEN_MAX`] of them. Without trouble all this is one load of a flag.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use unity_supervisors::fault::Undo;

use super::link::{WireRead, WireWrite};

#[cfg(test)]
mod tests;

/// How much a slow link holds back each way, in bytes; who sends more waits.
const LINE_LEN_MAX: usize = 1 << 20;
/// The same in pieces, as they are written and arrive.
const PIECES_MAX: usize = 4_096;
/// How much of it is read at once.
const CHUNK_LEN: usize = 16 << 10;
/// How many halves of connections are kept open that ended during a cut; of more the oldest is closed.
const KEPT_MAX: usize = 64;

/// What is wrong with the way to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing passes, neither way.
    Cut,
    /// Nothing comes from it.
    CutInbound,
    /// Nothing gets to it.
    CutOutbound,
    /// All takes so much longer, each way.
    Slow(Duration),
}

impl Trouble {
    fn flags(self) -> u64 {
        match self {
            Self::Cut => CUT_IN | CUT_OUT,
            Self::CutInbound => CUT_IN,
            Self::CutOutbound => CUT_OUT,
            Self::Slow(_) => SLOW,
        }
    }
}

const CUT_IN: u64 = 1;
const CUT_OUT: u64 = 2;
const SLOW: u64 = 4;

/// How it is on the way to one node.
#[derive(Default)]
pub(super) struct Weather {
    /// All that is wrong, as flags: none in fair weather.
    flags: AtomicU64,
    sky: Mutex<Sky>,
    changed: Notify,
}

#[derive(Default)]
struct Sky {
    next: u64,
    troubles: BTreeMap<u64, Trouble>,
    /// How much longer all takes, all troubles added up.
    slower: Duration,
    /// The halves of connections that wait for better weather.
    waiting: Vec<Weak<AtomicWaker>>,
    /// Halves that were dropped while nothing could go out: nobody is to hear of that.
    kept: VecDeque<Box<dyn Any + Send>>,
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let troubles = &self.sky.lock().troubles;
        f.debug_tuple("Weather").field(troubles).finish()
    }
}

impl Weather {
    /// Has it be so until what this returns is dropped.
    pub(super) fn trouble(self: &Arc<Self>, trouble: Trouble) -> Undo {
        let mut number = 0;
        self.change(|sky| {
            sky.next += 1;
            number = sky.next;
            sky.troubles.insert(number, trouble);
        });
        let weather = Arc::clone(self);
        Undo::new(move || {
            weather.change(|sky| {
                sky.troubles.remove(&number);
            });
        })
    }

    fn change(&self, change: impl FnOnce(&mut Sky)) {
        let mut sky = self.sky.lock();
        change(&mut sky);
        let troubles = sky.troubles.values();
        let flags = troubles.clone().fold(0, |all, its| all | its.flags());
        let slower = troubles.map(|its| match its {
            Trouble::Slow(by) => *by,
            _ => Duration::ZERO,
        });
        sky.slower = slower.fold(Duration::ZERO, Duration::saturating_add);
        self.flags.store(flags, Ordering::Relaxed);
        let waiting = std::mem::take(&mut sky.waiting);
        let kept = match flags & CUT_OUT {
            0 => std::mem::take(&mut sky.kept),
            _ => VecDeque::new(),
        };
        drop(sky);
        // Their other ends hear of it now.
        drop(kept);
        for waker in waiting.iter().filter_map(Weak::upgrade) {
            waker.wake();
        }
        self.changed.notify_waiters();
    }

    fn has(&self, flags: u64) -> bool {
        self.flags.load(Ordering::Relaxed) & flags != 0
    }

    /// How much longer all takes, if it does.
    fn slower(&self) -> Option<Duration> {
        self.has(SLOW).then(|| self.sky.lock().slower)
    }

    /// Ready where nothing of `flags` is in the way; else whoever polls is woken once that changes.
    fn poll_clear(&self, flags: u64, waker: &Arc<AtomicWaker>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has(flags) {
            return Poll::Ready(());
        }
        self.wake_on_change(waker, cx);
        // It may have changed before that.
        match self.has(flags) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    fn wake_on_change(&self, waker: &Arc<AtomicWaker>, cx: &Context<'_>) {
        let mut sky = self.sky.lock();
        waker.register(cx.waker());
        sky.waiting.retain(|known| known.strong_count() > 0);
        let is_known = |known: &Weak<AtomicWaker>| known.as_ptr() == Arc::as_ptr(waker);
        if !sky.waiting.iter().any(is_known) {
            sky.waiting.push(Arc::downgrade(waker));
        }
    }

    /// Done once something has gone there and come back: what a new connection waits for.
    pub(super) async fn there_and_back(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            if !self.has(CUT_IN | CUT_OUT) {
                break;
            }
            changed.await;
        }
        if let Some(by) = self.slower() {
            sleep(by.saturating_mul(2)).await;
        }
    }

    /// Keeps what is dropped while nothing can go out.
    fn keep(&self, half: impl Any + Send) {
        let mut sky = self.sky.lock();
        if !self.has(CUT_OUT) {
            return;
        }
        sky.kept.push_back(Box::new(half));
        let oldest = (sky.kept.len() > KEPT_MAX).then(|| sky.kept.pop_front());
        drop(sky);
        drop(oldest);
    }
}

/// The weather on all ways. Where nobody has a use for it, it is fair.
#[derive(Default)]
pub(super) struct Weathers(Mutex<BTreeMap<String, Weak<Weather>>>);

impl Weathers {
    /// That on the way to a node, if anybody has a use for it.
    pub(super) fn known(&self, node: &str) -> Option<Arc<Weather>> {
        self.0.lock().get(node)?.upgrade()
    }

    /// That on the way to a node.
    pub(super) fn of(&self, node: &str) -> Arc<Weather> {
        let mut all = self.0.lock();
        if let Some(weather) = all.get(node).and_then(Weak::upgrade) {
            return weather;
        }
        all.retain(|_, weather| weather.strong_count() > 0);
        let weather = Arc::default();
        all.insert(node.to_owned(), Arc::downgrade(&weather));
        weather
    }
}

/// What a slow link holds back, one way.
#[derive(Default)]
struct Line {
    chunks: VecDeque<(Instant, Bytes)>,
    len: usize,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Line {
    fn is_full(&self) -> bool {
        self.len >= LINE_LEN_MAX || self.chunks.len() >= PIECES_MAX
    }

    fn push(&mut self, bytes: Bytes, by: Duration) {
        self.len += bytes.len();
        self.chunks.push_back((Instant::now() + by, bytes));
    }

    /// The first chunk, once its time has come; that is now where the link is slow no more. `None` if there is none.
    fn poll_first(&mut self, is_slow: bool, cx: &mut Context<'_>) -> Poll<Option<&mut Bytes>> {
        let Some((due, _)) = self.chunks.front() else {
            return Poll::Ready(None);
        };
        let due = *due;
        if is_slow && due > Instant::now() {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if sleep.deadline() != due {
                sleep.as_mut().reset(due);
            }
            ready!(sleep.as_mut().poll(cx));
        }
        Poll::Ready(self.chunks.front_mut().map(|(_, bytes)| bytes))
    }

    /// So much of the first chunk is on its way.
    fn advance(&mut self, len: usize) {
        let Some((_, bytes)) = self.chunks.front_mut() else {
            return;
        };
        bytes.advance(len);
        self.len -= len;
        if bytes.is_empty() {
            self.chunks.pop_front();
        }
    }
}

/// Half of a connection, in all weather.
pub(super) struct Sheltered<T: Send + 'static> {
    /// There until it is dropped.
    half: Option<T>,
    weather: Arc<Weather>,
    waker: Arc<AtomicWaker>,
    line: Line,
    /// The end, behind what is held back.
    ended: Option<io::Result<()>>,
}

/// Puts a connection under the weather.
pub(super) fn shelter(
    read: WireRead,
    write: WireWrite,
    weather: &Arc<Weather>,
) -> (WireRead, WireWrite) {
    (
        Box::new(Sheltered::new(read, weather)),
        Box::new(Sheltered::new(write, weather)),
    )
}

impl<T: Send + 'static> Sheltered<T> {
    fn new(half: T, weather: &Arc<Weather>) -> Self {
        Self {
            half: Some(half),
            weather: Arc::clone(weather),
            waker: Arc::default(),
            line: Line::default(),
            ended: None,
        }
    }
}

impl<T: Send + 'static> Drop for Sheltered<T> {
    fn drop(&mut self) {
        if let Some(half) = self.half.take()
            && self.weather.has(CUT_OUT)
        {
            self.weather.keep(half);
        }
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Sheltered<WireRead> {
    /// Takes in what has arrived, for later.
    fn take_in(&mut self, cx: &mut Context<'_>, by: Duration) {
        let mut bytes = [0; CHUNK_LEN];
        while self.ended.is_none() && !self.line.is_full() {
            let Some(read) = &mut self.half else { return };
            let mut buf = ReadBuf::new(&mut bytes);
            match Pin::new(read).poll_read(cx, &mut buf) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if buf.filled().is_empty() => self.ended = Some(Ok(())),
                Poll::Ready(Ok(())) => self.line.push(Bytes::copy_from_slice(buf.filled()), by),
                Poll::Ready(Err(error)) => self.ended = Some(Err(error)),
            }
        }
    }
}

impl AsyncRead for Sheltered<WireRead> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.weather.poll_clear(CUT_IN, &this.waker, cx));
        let slower = this.weather.slower();
        if let Some(by) = slower {
            this.take_in(cx, by);
            this.weather.wake_on_change(&this.waker, cx);
        }
        if let Some(bytes) = ready!(this.line.poll_first(slower.is_some(), cx)) {
            let len = bytes.len().min(buf.remaining());
            buf.put_slice(bytes.get(..len).unwrap_or_default());
            this.line.advance(len);
            return Poll::Ready(Ok(()));
        }
        match (this.ended.take(), slower, &mut this.half) {
            (Some(ended), _, _) => Poll::Ready(ended),
            (None, None, Some(read)) => Pin::new(read).poll_read(cx, buf),
            (None, Some(_), Some(_)) => Poll::Pending,
            (None, _, None) => Poll::Ready(Err(gone())),
        }
    }
}

impl Sheltered<WireWrite> {
    /// Writes what is held back, as its time comes. Ready when nothing is.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.weather.poll_clear(CUT_OUT, &self.waker, cx));
        let is_slow = self.weather.has(SLOW);
        if is_slow && !self.line.chunks.is_empty() {
            self.weather.wake_on_change(&self.waker, cx);
        }
        while let Some(bytes) = ready!(self.line.poll_first(is_slow, cx)) {
            let write = self.half.as_mut().ok_or_else(gone)?;
            let written = ready!(Pin::new(write).poll_write(cx, bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.line.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Sheltered<WireWrite> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let drained = this.poll_drain(cx)?;
        ready!(this.weather.poll_clear(CUT_OUT, &this.waker, cx));
        if let Some(by) = this.weather.slower() {
            if this.line.is_full() {
                return Poll::Pending;
            }
            let len = bytes.len().min(LINE_LEN_MAX - this.line.len);
            let bytes = Bytes::copy_from_slice(bytes.get(..len).unwrap_or_default());
            this.line.push(bytes, by);
            return Poll::Ready(Ok(len));
        }
        ready!(drained);
        let write = this.half.as_mut().ok_or_else(gone)?;
        Pin::new(write).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let write = this.half.as_mut().ok_or_else(gone)?;
        Pin::new(write).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let write = this.half.as_mut().ok_or_else(gone)?;
        Pin::new(write).poll_shutdown(cx)
    }
}
