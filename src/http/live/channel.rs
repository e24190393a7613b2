//! A ring of frames that readers go along, each at its own pace.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

/// How many frames, and how many bytes of them, are kept.
const FRAMES_MAX: usize = 256;
const BYTES_MAX: usize = 4 << 20;

/// What is written for all who ask for the same.
#[derive(Debug)]
pub(super) struct Channel {
    /// Tells this channel from one that was there before.
    epoch: u32,
    /// Whether its readers begin with the whole of something.
    has_whole: bool,
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    /// The number of the newest frame.
    newest: u64,
    frames: VecDeque<Frame>,
    len: usize,
    /// The whole of what the frames up to the newest change.
    whole: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Frame {
    bytes: Bytes,
    /// Whether a whole that is newer says it too.
    is_in_whole: bool,
}

impl Ring {
    /// The number of the oldest frame that is kept.
    fn oldest(&self) -> u64 {
        self.newest + 1 - self.frames.len() as u64
    }

    /// Those that are kept of the frames after this one.
    fn after(&self, number: u64) -> impl Iterator<Item = &Frame> {
        let skip = (number + 1).saturating_sub(self.oldest());
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        self.frames.iter().skip(skip)
    }
}

impl Channel {
    pub(super) fn new(epoch: u32, has_whole: bool) -> Self {
        let (newest, _) = watch::channel(0);
        Self {
            epoch,
            has_whole,
            ring: Mutex::default(),
            newest,
        }
    }

    /// Adds a frame; the oldest go where there are too many. A `change` is one of the whole.
    pub(super) fn write(&self, event: &str, data: &str) {
        let mut ring = self.ring.lock();
        ring.newest += 1;
        let bytes = Bytes::from(format!(
            "id: {}-{}\nevent: {event}\ndata: {data}\n\n",
            self.epoch, ring.newest
        ));
        ring.len += bytes.len();
        let is_in_whole = event == "change";
        ring.frames.push_back(Frame { bytes, is_in_whole });
        while ring.frames.len() > FRAMES_MAX || (ring.len > BYTES_MAX && ring.frames.len() > 1) {
            let gone = ring.frames.pop_front();
            ring.len -= gone.map_or(0, |gone| gone.bytes.len());
        }
    }

    /// What a reader begins with that knows nothing: as it is when the next frame is written.
    pub(super) fn set_whole(&self, whole: Option<Arc<str>>) {
        self.ring.lock().whole = whole;
    }

    /// Wakes the readers, if there is something new.
    pub(super) fn tell(&self) {
        let newest = self.ring.lock().newest;
        // The first look writes nothing, but there is a whole from then on.
        self.newest.send_if_modified(|known| {
            let is_new = *known != newest || newest == 0;
            *known = newest;
            is_new
        });
    }

    /// A reader, which had this frame last.
    pub(super) fn reader(&self, last: Option<&str>) -> Read {
        let ring = self.ring.lock();
        let at = last.and_then(|last| {
            let (epoch, number) = last.split_once('-')?;
            let number: u64 = number.parse().ok()?;
            let is_kept = epoch == self.epoch.to_string()
                && number + 1 >= ring.oldest()
                && number <= ring.newest;
            is_kept.then_some(number)
        });
        let lost = last
            .filter(|_| at.is_none())
            .map(|_| "it was away for too long, or the kernel has started again");
        Read {
            at,
            from: at.unwrap_or(ring.newest),
            lost,
            newest: self.newest.subscribe(),
        }
    }
}

/// How far one reader is.
#[derive(Debug)]
pub(super) struct Read {
    /// The frame that it had last; none if it knows nothing.
    at: Option<u64>,
    /// The frame after which all that no whole says is for it.
    from: u64,
    /// Why it knows nothing any more.
    lost: Option<&'static str>,
    newest: watch::Receiver<u64>,
}

impl Read {
    /// What comes next, as soon as there is something.
    pub(super) async fn next(&mut self, channel: &Channel) -> Bytes {
        loop {
            self.newest.borrow_and_update();
            if let Some(bytes) = self.take(channel) {
                return bytes;
            }
            // The channel outlives its readers.
            if self.newest.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn take(&mut self, channel: &Channel) -> Option<Bytes> {
        let ring = channel.ring.lock();
        let Some(at) = self.at else {
            return self.begin(channel, &ring);
        };
        if at == ring.newest {
            return None;
        }
        if at + 1 < ring.oldest() {
            (self.at, self.from) = (None, at);
            self.lost = Some("it reads too slowly");
            return self.begin(channel, &ring);
        }
        let frames: Vec<Bytes> = ring.after(at).map(|frame| frame.bytes.clone()).collect();
        self.at = Some(ring.newest);
        match frames.as_slice() {
            [one] => Some(one.clone()),
            many => Some(many.concat().into()),
        }
    }

    /// The whole, and that it comes anew where something was lost; before it what came meanwhile and is not in it.
    fn begin(&mut self, channel: &Channel, ring: &Ring) -> Option<Bytes> {
        if channel.has_whole && ring.whole.is_none() {
            // Nobody has looked yet.
            return None;
        }
        let mut text = String::new();
        if let Some(why) = self.lost.take() {
            text.push_str(&format!("event: resync\ndata: {{\"why\":\"{why}\"}}\n\n"));
        }
        for frame in ring.after(self.from).filter(|frame| !frame.is_in_whole) {
            text.push_str(&String::from_utf8_lossy(&frame.bytes));
        }
        if let Some(whole) = &ring.whole {
            text.push_str(&format!(
                "id: {}-{}\nevent: tree\ndata: {whole}\n\n",
                channel.epoch, ring.newest
            ));
        }
        self.at = Some(ring.newest);
        (!text.is_empty()).then(|| text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(read: &mut Read, channel: &Channel) -> String {
        String::from_utf8(read.next(channel).await.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_reader_goes_on_where_it_was() {
        let channel = Channel::new(7, true);
        let mut read = channel.reader(None);
        let mut early = Box::pin(read.next(&channel));
        assert!(futures_util::poll!(&mut early).is_pending());
        drop(early);
        channel.set_whole(Some("{}".into()));
        channel.tell();
        assert_eq!(
            next(&mut read, &channel).await,
            "id: 7-0\nevent: tree\ndata: {}\n\n"
        );
        channel.write("change", "1");
        channel.write("change", "2");
        channel.tell();
        let both = next(&mut read, &channel).await;
        assert_eq!(
            both,
            "id: 7-1\nevent: change\ndata: 1\n\nid: 7-2\nevent: change\ndata: 2\n\n"
        );
        let mut again = channel.reader(Some("7-1"));
        assert_eq!(
            next(&mut again, &channel).await,
            "id: 7-2\nevent: change\ndata: 2\n\n"
        );
    }

    #[tokio::test]
    async fn what_comes_before_the_first_look_is_not_missed() {
        let channel = Channel::new(7, true);
        channel.write("events", "0");
        let mut read = channel.reader(None);
        channel.set_whole(Some("{}".into()));
        channel.write("change", "1");
        channel.write("events", "2");
        channel.tell();

        assert_eq!(
            next(&mut read, &channel).await,
            "id: 7-3\nevent: events\ndata: 2\n\nid: 7-3\nevent: tree\ndata: {}\n\n"
        );
        channel.write("events", "4");
        channel.tell();
        assert_eq!(
            next(&mut read, &channel).await,
            "id: 7-4\nevent: events\ndata: 4\n\n"
        );
    }

    #[tokio::test]
    async fn one_that_was_away_for_too_long_begins_anew_and_is_told() {
        let channel = Channel::new(7, true);
        channel.set_whole(Some("{}".into()));
        let mut slow = channel.reader(None);
        next(&mut slow, &channel).await;
        for _ in 0..=FRAMES_MAX {
            channel.write("change", "1");
        }
        channel.tell();
        for read in [
            &mut slow,
            &mut channel.reader(Some("6-1")),
            &mut channel.reader(Some("x")),
        ] {
            let told = next(read, &channel).await;
            assert!(
                told.starts_with("event: resync") && told.contains("event: tree"),
                "{told}"
            );
        }
        let ring = channel.ring.lock();
        assert_eq!((ring.frames.len(), ring.oldest()), (FRAMES_MAX, 2));
    }

    #[test]
    fn a_ring_has_so_many_bytes_at_most() {
        let channel = Channel::new(7, true);
        for _ in 0..10 {
            channel.write("change", &"x".repeat(1 << 20));
        }
        assert!(channel.ring.lock().len <= BYTES_MAX);
    }
}
