//! The task of a connection: reads, writes, pings, and does what the other side asks for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::incoming::Incoming;
use super::{Pace, Serve, Session};
use crate::cluster::codec::{self, FRAME_LEN_MAX, Frame, LABELS_LEN_MAX, PREFIX_LEN};
use crate::cluster::link::{WireRead, WireWrite};
use crate::cluster::nodes::labels_len;

/// How many pings fit into the time of the heartbeat.
const PINGS: u32 = 4;
/// How long the last words have to go out.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How much is read at once.
const READ_LEN: usize = 64 << 10;

/// Runs a connection until it ends, and says why it did. `read` is what was read of it already, behind the greeting.
pub(in crate::cluster) async fn run(
    session: &Arc<Session>,
    read: (WireRead, BytesMut),
    mut write: WireWrite,
    serve: Arc<dyn Serve>,
    pace: Pace,
) -> String {
    let heard = Mutex::new(Heard {
        last: Instant::now(),
        pinged: None,
    });
    let why = {
        let reading = reading(session, read, serve, &heard);
        let writing = writing(session, &mut write);
        let beating = beating(session, &heard, pace);
        tokio::select! {
            biased;
            why = session.ended() => why,
            why = reading => why,
            why = writing => why,
            why = beating => why,
        }
    };
    session.end(&why);
    last_words(session, &mut write).await;
    why
}

/// When the other side was heard of last, and the ping that it has still to answer.
struct Heard {
    last: Instant,
    pinged: Option<(u64, Instant)>,
}

async fn writing(session: &Session, write: &mut WireWrite) -> String {
    let mut buffer = Vec::new();
    loop {
        buffer = match session.outbox.take(std::mem::take(&mut buffer)).await {
            Some(buffer) => buffer,
            None => return "it was closed".to_owned(),
        };
        if let Err(error) = write.write_all(&buffer).await {
            return broken(&error);
        }
        match write.flush().now_or_never() {
            Some(Ok(())) => {}
            Some(Err(error)) => return broken(&error),
            // A slow link holds it back; more may go behind it meanwhile.
            None => tokio::select! {
                biased;
                flushed = write.flush() => if let Err(error) = flushed {
                    return broken(&error);
                },
                () = session.outbox.when_filled() => {}
            },
        }
    }
}

fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the other side closed it".to_owned(),
        _ => format!("the connection broke: {error}"),
    }
}

/// Pings, and gives up on who says nothing.
async fn beating(session: &Session, heard: &Mutex<Heard>, pace: Pace) -> String {
    let every = pace.heartbeat / PINGS;
    let mut number = 0;
    loop {
        let (is_silent, has_answered) = {
            let heard = heard.lock();
            let silent_for = heard.last.elapsed();
            (silent_for >= pace.heartbeat, heard.pinged.is_none())
        };
        if is_silent {
            return format!("it said nothing for {:?}", pace.heartbeat);
        }
        if has_answered {
            number += 1;
            heard.lock().pinged = Some((number, Instant::now()));
            session.outbox.push_small(&Frame::Ping { number });
        }
        tokio::time::sleep(every).await;
    }
}

async fn reading(
    session: &Arc<Session>,
    (mut read, mut buffer): (WireRead, BytesMut),
    serve: Arc<dyn Serve>,
    heard: &Mutex<Heard>,
) -> String {
    let mut incoming = Incoming::new(session, serve);
    loop {
        loop {
            let frame = match next_frame(&mut buffer, FRAME_LEN_MAX) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return format!("it is no node: {error}"),
            };
            if let Err(why) = take(session, &mut incoming, frame, heard) {
                return why;
            }
        }
        incoming.settle();
        if buffer.capacity() - buffer.len() < READ_LEN / 2 {
            buffer.reserve(READ_LEN);
        }
        // What is under way first: there is no more of it than was let in.
        tokio::select! {
            biased;
            () = incoming.work() => {}
            got = read.read_buf(&mut buffer) => match got {
                Ok(0) => return "the other side closed it".to_owned(),
                Ok(_) => heard.lock().last = Instant::now(),
                Err(error) => return broken(&error),
            },
        }
    }
}

/// Takes the first frame out of what was read, if it is there to its end.
pub(in crate::cluster) fn next_frame(
    buffer: &mut BytesMut,
    max: usize,
) -> Result<Option<Frame>, codec::FrameError> {
    let Some(len) = codec::length(buffer, max)? else {
        return Ok(None);
    };
    if buffer.len() < PREFIX_LEN + len {
        return Ok(None);
    }
    let mut frame = buffer.split_to(PREFIX_LEN + len);
    let body = frame.split_off(PREFIX_LEN);
    codec::decode(&body).map(Some)
}

/// Takes the answer to a ping for what it says of the way and of the clock at its end.
fn answered(
    session: &Session,
    incoming: &Incoming,
    heard: &Mutex<Heard>,
    number: u64,
    wall_us: i64,
) {
    let pinged = {
        let mut heard = heard.lock();
        heard.pinged.take_if(|(asked, _)| *asked == number)
    };
    let Some((_, at)) = pinged else { return };
    *session.answered.lock() = Some(at);
    let rtt_us = u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX);
    session.rtt_us.store(rtt_us, Ordering::Relaxed);
    let half = i64::try_from(rtt_us / 2).unwrap_or_default();
    let skew = wall_us.saturating_sub(incoming.wall_us() - half);
    session.skew_us.store(skew, Ordering::Relaxed);
}

/// Does what a frame says.
///
/// # Errors
/// Why the connection ends.
fn take(
    session: &Arc<Session>,
    incoming: &mut Incoming,
    frame: Frame,
    heard: &Mutex<Heard>,
) -> Result<(), String> {
    match frame {
        Frame::Ping { number } => {
            let wall_us = incoming.wall_us();
            session.outbox.push_small(&Frame::Pong { number, wall_us });
        }
        Frame::Pong { number, wall_us } => {
            answered(session, incoming, heard, number, wall_us);
        }
        Frame::Room { target, bytes } => {
            let target = session.open.lock().numbers.get(&target).cloned();
            // Nobody sends to it any more.
            let Some(target) = target.and_then(|target| target.upgrade()) else {
                return Ok(());
            };
            let permits = usize::try_from(bytes).unwrap_or(usize::MAX);
            let held = target.room.available_permits();
            if permits.saturating_add(held) > usize::try_from(super::ROOM).unwrap_or(usize::MAX) {
                return Err("it gave more room than there is".to_owned());
            }
            target.room.add_permits(permits);
        }
        Frame::Lost {
            messages, fault, ..
        } => {
            tracing::warn!(node = session.node(), messages, %fault, "messages to another node were not delivered");
        }
        Frame::Answer { id, answer } => {
            // Nobody waits any more where it was late.
            if let Some(asked) = session.open.lock().asked.remove(&id) {
                drop(asked.send(answer));
            }
        }
        Frame::Item { id, body } => {
            let open = session.open.lock();
            let full = open
                .tails
                .get(&id)
                .is_some_and(|tail| tail.try_send(Ok(body)).is_err() && !tail.is_closed());
            if full {
                return Err("it told more than there was room for".to_owned());
            }
        }
        Frame::Over { id, fault } => {
            if let (Some(tail), Some(fault)) = (session.open.lock().tails.remove(&id), fault) {
                // There is a place for the last word.
                drop(tail.try_send(Err(fault)));
            }
        }
        Frame::Draining { draining } => {
            session.is_draining.store(draining, Ordering::Relaxed);
            incoming.note_change();
        }
        Frame::Labels { labels } => {
            if labels_len(&labels) > LABELS_LEN_MAX {
                return Err(format!(
                    "its labels are longer than {LABELS_LEN_MAX} bytes together"
                ));
            }
            *session.labels.lock() = Arc::new(labels);
            incoming.note_change();
        }
        Frame::Bye { why } => return Err(why),
        Frame::Refused(refusal) => return Err(refusal.text),
        frame => return incoming.take(frame),
    }
    Ok(())
}

/// What is said last goes out, and why.
async fn last_words(session: &Session, write: &mut WireWrite) {
    let why = session.over().unwrap_or_default();
    let mut buffer = Vec::new();
    let bye = codec::encode(&Frame::Bye { why }, &mut buffer);
    let said = async {
        if let Some(rest) = session.outbox.take(Vec::new()).await {
            write.write_all(&rest).await?;
        }
        if bye.is_ok() {
            write.write_all(&buffer).await?;
        }
        write.shutdown().await
    };
    if !matches!(tokio::time::timeout(LAST_WORDS, said).await, Ok(Ok(()))) {
        tracing::debug!(
            node = session.node(),
            "a connection was closed by this side alone"
        );
    }
}
