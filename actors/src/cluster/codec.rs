//! What nodes say to each other, and how it is written: the one file of the cluster that knows of bincode.
//!
//! A frame is four bytes of length, big endian, the version byte of its form and the frame in bincode. A form that is out in
//! the world is never changed: fields and variants are added in a next version, and the golden files beside the tests hold
//! what this one looks like. JSON travels as bytes, since bincode cannot read what describes itself.
//!
//! Lengths are checked before a frame is written and before room is made for one that is read.

use std::collections::BTreeMap;
use std::fmt;

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use bincode::serde::decode_from_slice;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(test)]
mod tests;

/// The version of this form.
pub const VERSION: u8 = 1;
/// The longest frame between nodes that know each other, in bytes without its length.
pub const FRAME_LEN_MAX: usize = 16 << 20;
/// The longest frame of somebody who has not shown yet who they are.
pub const GREETING_LEN_MAX: usize = 4 << 10;
/// How long the labels of a node may be together, names and values, in bytes.
pub const LABELS_LEN_MAX: usize = 16 << 10;
/// The longest message to an actor, in bytes.
pub const MESSAGE_LEN_MAX: usize = 1 << 20;
/// How long the length is.
pub const PREFIX_LEN: usize = 4;

/// Why there is no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Of another version of this program.
    #[error("its frames are of version {0}, and this kernel reads version {VERSION}")]
    Version(u8),
    /// Longer than it may be.
    #[error("a frame of {len} bytes is longer than the {max} that it may have")]
    TooLong {
        /// How long it is.
        len: usize,
        /// How long it may be.
        max: usize,
    },
    /// It has another form.
    #[error("it is no frame: {0}")]
    Shape(String),
}

/// Bytes, written in one piece.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        // Not as a buffer, for which room would be made before it is known that they are there.
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Whatever a node says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// The first word of who opened the connection.
    Hello(HelloV1),
    /// The answer: prove it.
    Challenge(ChallengeV1),
    /// That it knows the cookie.
    Proof(ProofV1),
    /// That it is welcome, and that this side knows the cookie as well.
    Welcome(WelcomeV1),
    /// That it is not.
    Refused(RefusalV1),
    /// Whether the other side is there.
    Ping {
        /// A number, given back.
        number: u64,
    },
    /// It is.
    Pong {
        /// That of the ping.
        number: u64,
        /// What its wall clock shows, in microseconds since 1970.
        wall_us: i64,
    },
    /// From now on this number stands for that actor.
    Target {
        /// The number.
        number: u32,
        /// Whom it stands for.
        to: TargetV1,
    },
    /// The number stands for nobody any more.
    Forget {
        /// The number.
        number: u32,
    },
    /// A message to an actor.
    Tell {
        /// The number of the actor.
        target: u32,
        /// The message in JSON.
        body: Blob,
    },
    /// A message that is answered.
    Ask {
        /// What its answer names.
        id: u64,
        /// The number of the actor.
        target: u32,
        /// How long it waits.
        timeout_ms: u64,
        /// The message in JSON.
        body: Blob,
    },
    /// So much of what was sent to an actor is out of the way: there is room for as much again.
    Room {
        /// The number of the actor.
        target: u32,
        /// How much, in bytes as [`cost`] counts them.
        bytes: u64,
    },
    /// Messages to an actor that were not delivered.
    Lost {
        /// The number of the actor.
        target: u32,
        /// How many.
        messages: u64,
        /// Why.
        fault: FaultV1,
    },
    /// Something that the other node is to do.
    Call {
        /// What its answer names.
        id: u64,
        /// How long the caller waits.
        timeout_ms: u64,
        /// What it is.
        call: CallV1,
    },
    /// What became of it.
    Answer {
        /// That of the ask or call.
        id: u64,
        /// The answer, whose form belongs to what was called.
        answer: Result<Blob, FaultV1>,
    },
    /// Nobody waits for an answer any more.
    Cancel {
        /// That of the ask, call or tail.
        id: u64,
    },
    /// A call that is answered by many documents.
    Tail {
        /// What its items name.
        id: u64,
        /// What it is.
        call: CallV1,
        /// For how many documents there is room.
        room: u32,
    },
    /// One of them.
    Item {
        /// That of the tail.
        id: u64,
        /// The document in JSON.
        body: Blob,
    },
    /// There is room for so many more.
    More {
        /// That of the tail.
        id: u64,
        /// How many.
        items: u32,
    },
    /// There are no more.
    Over {
        /// That of the tail.
        id: u64,
        /// Why, if it is not that all are told.
        fault: Option<FaultV1>,
    },
    /// Whether the node takes no new children from now on.
    Draining {
        /// Whether it is so.
        draining: bool,
    },
    /// The connection ends, and why.
    Bye {
        /// Why.
        why: String,
    },
    /// What the node is good for has changed: these are its labels from now on.
    Labels {
        /// All of them.
        labels: BTreeMap<String, String>,
    },
}

/// Who opens a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloV1 {
    /// Says that this is a kernel: [`MAGIC`].
    pub magic: [u8; 8],
    /// Its name.
    pub name: String,
    /// Its epoch: larger with each start of the kernel.
    pub epoch: u64,
    /// What it makes up for this connection.
    pub nonce: [u8; 32],
    /// Where it can be reached, if it listens.
    pub address: Option<String>,
}

/// What a hello begins with.
pub const MAGIC: [u8; 8] = *b"unityker";

/// What the other one makes up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeV1 {
    /// Its name.
    pub name: String,
    /// Its epoch.
    pub epoch: u64,
    /// What it makes up for this connection.
    pub nonce: [u8; 32],
}

/// That the first knows the cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofV1 {
    /// A keyed hash of both names, epochs and nonces.
    pub proof: [u8; 32],
    /// More about it.
    pub about: AboutV1,
}

/// That the second does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WelcomeV1 {
    /// A keyed hash of the same, under another word.
    pub proof: [u8; 32],
    /// More about it.
    pub about: AboutV1,
}

/// What a node says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboutV1 {
    /// The version of its kernel.
    pub version: String,
    /// What it is marked with.
    pub labels: BTreeMap<String, String>,
    /// The kinds that it can make children of.
    pub kinds: Vec<String>,
    /// Whether it takes no new children.
    pub draining: bool,
}

/// Why a connection is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalV1 {
    /// For programs: what is wrong.
    pub code: String,
    /// For people.
    pub text: String,
}

/// Whom a message goes to: a slot, not only a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetV1 {
    /// The epoch of the node that it is on.
    pub epoch: u64,
    /// Its path there.
    pub path: String,
    /// The serial number of its slot; none takes whichever is there.
    pub slot: Option<u64>,
    /// The life in whose name is sent, if it is that of a placed child.
    pub from: Option<FenceV1>,
}

/// Which life of a placed child. Of two the greater is the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FenceV1 {
    /// The epoch of the node that placed it.
    pub epoch: u64,
    /// A number which that node gives once.
    pub number: u64,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultV1 {
    /// For programs: `not_found`, `timed_out` …
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// What one node has another do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallV1 {
    /// A command of the kernel, with its arguments in JSON; answered by its document.
    Command {
        /// Its words, with blanks between.
        name: String,
        /// Its arguments, a JSON object.
        args: Blob,
    },
    /// Which slot is at a path; answered by its serial number, eight bytes, little endian.
    Resolve {
        /// The path.
        path: String,
    },
    /// An event, as a line of JSON.
    Publish {
        /// The line.
        line: Blob,
        /// The life in whose name it is published, if it is that of a placed child.
        from: Option<FenceV1>,
    },
    /// Starts a child here; answered when it runs.
    Place(Box<PlaceV1>),
    /// Ends a child that was placed here; answered when it has ended.
    End {
        /// Which.
        fence: FenceV1,
        /// How long it may take; none kills it.
        within_ms: Option<u64>,
    },
    /// What of these is still to live; answered by those that are, in bincode.
    Renew {
        /// Those that are held.
        held: Vec<FenceV1>,
        /// Whether these are all: what is not among them has ended.
        is_all: bool,
    },
    /// A placed child ended.
    Exited {
        /// Which.
        fence: FenceV1,
        /// Why, in JSON.
        reason: Blob,
    },
    /// The state of a placed child; none forgets it.
    Keep {
        /// Which.
        fence: FenceV1,
        /// Its snapshot.
        state: Option<Blob>,
    },
}

/// A child to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceV1 {
    /// Where it is in the tree of the node that places it.
    pub path: String,
    /// Which life of it.
    pub fence: FenceV1,
    /// For how long it may live without being renewed.
    pub lease_ms: u64,
    /// The name of its kind.
    pub kind: String,
    /// Its settings, a JSON object, with the placeholders of its secrets.
    pub settings: Blob,
    /// What it is marked with.
    pub labels: BTreeMap<String, String>,
    /// The state that it begins with.
    pub state: Option<Blob>,
    /// How often its state is kept.
    pub state_every_ms: Option<u64>,
    /// How long its start may take; none is for ever.
    pub start_timeout_ms: Option<u64>,
    /// How long its end may take when it is stopped in order; 0 kills it.
    pub shutdown_ms: u64,
    /// How long it may hold its thread.
    pub stall_after_ms: u64,
    /// Whether it is cut off then.
    pub abandons: bool,
    /// Whether it has a thread of its own.
    pub own_thread: bool,
    /// Its mailbox.
    pub mailbox: MailboxV1,
}

/// The bounds of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxV1 {
    /// Messages a lane, most urgent first.
    pub lanes: [u64; 5],
    /// What happens to a message for which there is no room: block, reject, drop the oldest, drop the newest.
    pub overflow: u8,
    /// How long a sender waits for room.
    pub send_timeout_ms: u64,
    /// How many times a message in hand at a crash is tried again.
    pub retry: u32,
    /// After how many messages taken above it a waiting lane has its turn.
    pub fairness: u32,
    /// How long a message may wait.
    pub ttl_ms: Option<u64>,
}

/// What a message counts in the room of its target: its bytes and what holds them.
#[must_use]
pub fn cost(body_len: usize) -> u64 {
    body_len as u64 + 64
}

/// How much more bincode counts against its limit than was written, at most: a number has its full width there.
const WIDTH_MAX: usize = 8;

fn config<const LIMIT: usize>() -> Configuration<LittleEndian, Varint, Limit<LIMIT>> {
    standard().with_limit::<LIMIT>()
}

/// Appends a frame to `buffer`, with its length. Where it is too long nothing is appended.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn encode(frame: &Frame, buffer: &mut Vec<u8>) -> Result<(), FrameError> {
    let begin = buffer.len();
    buffer.extend([0; PREFIX_LEN]);
    buffer.push(VERSION);
    let written = bincode::serde::encode_into_std_write(frame, buffer, standard());
    let len = buffer.len() - begin - PREFIX_LEN;
    let fault = match written {
        Ok(_) if len <= FRAME_LEN_MAX => None,
        Ok(_) => Some(FrameError::TooLong {
            len,
            max: FRAME_LEN_MAX,
        }),
        Err(error) => Some(FrameError::Shape(error.to_string())),
    };
    if let Some(fault) = fault {
        buffer.truncate(begin);
        return Err(fault);
    }
    let prefix = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(place) = buffer.get_mut(begin..begin + PREFIX_LEN) {
        place.copy_from_slice(&prefix);
    }
    Ok(())
}

/// How long the frame is that `bytes` begin with, without its length; `None` where that is not known yet.
///
/// # Errors
/// [`FrameError::TooLong`] if it is longer than `max`.
pub fn length(bytes: &[u8], max: usize) -> Result<Option<usize>, FrameError> {
    let Some(prefix) = bytes.first_chunk::<PREFIX_LEN>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(*prefix) as usize;
    if len > max {
        return Err(FrameError::TooLong { len, max });
    }
    Ok(Some(len))
}

/// The frame of these bytes, all of them, without its length.
///
/// # Errors
/// [`FrameError`].
pub fn decode(bytes: &[u8]) -> Result<Frame, FrameError> {
    let (version, rest) = bytes
        .split_first()
        .ok_or_else(|| FrameError::Shape("it is empty".to_owned()))?;
    if *version != VERSION {
        return Err(FrameError::Version(*version));
    }
    read(rest)
}

/// Values that answers carry, in bincode.
///
/// # Errors
/// [`FrameError::Shape`].
pub fn pack<T: Serialize>(value: &T) -> Result<Blob, FrameError> {
    bincode::serde::encode_to_vec(value, standard())
        .map(Blob)
        .map_err(|error| FrameError::Shape(error.to_string()))
}

/// What [`pack`] has packed.
///
/// # Errors
/// [`FrameError::Shape`].
pub fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, FrameError> {
    // Room for a text is made before it is known to be there: for a stranger, no more than a greeting may need.
    let decoded = if bytes.len() <= GREETING_LEN_MAX {
        decode_from_slice(bytes, config::<{ GREETING_LEN_MAX * WIDTH_MAX }>())
    } else {
        decode_from_slice(bytes, config::<{ FRAME_LEN_MAX * WIDTH_MAX }>())
    };
    match decoded {
        Ok((value, len)) if len == bytes.len() => Ok(value),
        Ok(_) => Err(FrameError::Shape("there is more than it needs".to_owned())),
        Err(error) => Err(FrameError::Shape(error.to_string())),
    }
}
