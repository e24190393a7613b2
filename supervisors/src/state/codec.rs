//! How a snapshot is stored: the one file that knows of bincode and of the checksum.
//!
//! `UKS`, the version of this form, four bytes of CRC-32 over all that follows, then in bincode the kind, the version of
//! the kind's state, and the state. A form that is out in the world is never changed: the next one has another version.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest snapshot, in bytes.
pub const SNAPSHOT_LEN_MAX: usize = 16 << 20;
const MAGIC: [u8; 3] = *b"UKS";
const VERSION: u8 = 1;
const HEAD_LEN: usize = 8;

/// Why what is stored does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Too short, or begins with something else.
    #[error("it is no snapshot")]
    NoSnapshot,
    /// Of another version of this program.
    #[error("its form is version {0}, and this kernel reads version {VERSION}")]
    Version(u8),
    /// Torn, or changed by somebody.
    #[error("its checksum does not match: it was torn or changed")]
    Checksum,
    /// Of another kind.
    #[error("it is of the kind `{0}`")]
    Kind(String),
    /// Of another version of the kind.
    #[error("it is version {found} of the kind's state, which is at version {expected}")]
    StateVersion {
        /// What is stored.
        found: u32,
        /// What the kind reads.
        expected: u32,
    },
    /// Does not have the form that the actor expects.
    #[error("it does not have the form that is expected: {0}")]
    Shape(String),
}

/// What is stored behind the head, in version 1.
#[derive(Serialize, Deserialize)]
struct FrameV1 {
    kind: String,
    state_version: u32,
    state: Vec<u8>,
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<SNAPSHOT_LEN_MAX>()
}

/// A value as bytes.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(value, config());
    let bytes = bytes.map_err(|error| CodecError::Shape(error.to_string()))?;
    if bytes.len() > SNAPSHOT_LEN_MAX {
        let what = format!("{} bytes are more than {SNAPSHOT_LEN_MAX}", bytes.len());
        return Err(CodecError::Shape(what));
    }
    Ok(bytes)
}

/// A value of its bytes, all of them.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    match bincode::serde::decode_from_slice(bytes, config()) {
        Ok((value, len)) if len == bytes.len() => Ok(value),
        Ok(_) => Err(CodecError::Shape("there is more than it needs".to_owned())),
        Err(error) => Err(CodecError::Shape(error.to_string())),
    }
}

/// A state in the form in which it is stored.
pub(super) fn frame(kind: &str, state_version: u32, state: Vec<u8>) -> Result<Vec<u8>, CodecError> {
    let body = encode(&FrameV1 {
        kind: kind.to_owned(),
        state_version,
        state,
    })?;
    let mut framed = Vec::with_capacity(HEAD_LEN + body.len());
    framed.extend(MAGIC);
    framed.push(VERSION);
    framed.extend(crc32fast::hash(&body).to_le_bytes());
    framed.extend(body);
    Ok(framed)
}

/// The state in what is stored, if it is of this kind and version.
pub(super) fn unframe(
    kind: &str,
    state_version: u32,
    stored: &[u8],
) -> Result<Vec<u8>, CodecError> {
    let (head, body) = stored
        .split_first_chunk::<HEAD_LEN>()
        .ok_or(CodecError::NoSnapshot)?;
    let [m0, m1, m2, version, sum @ ..] = *head;
    if [m0, m1, m2] != MAGIC {
        return Err(CodecError::NoSnapshot);
    }
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    if crc32fast::hash(body) != u32::from_le_bytes(sum) {
        return Err(CodecError::Checksum);
    }
    let frame: FrameV1 = decode(body)?;
    if frame.kind != kind {
        return Err(CodecError::Kind(frame.kind));
    }
    if frame.state_version != state_version {
        return Err(CodecError::StateVersion {
            found: frame.state_version,
            expected: state_version,
        });
    }
    Ok(frame.state)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 1 is for ever: a kernel that cannot read this has broken what people have on their disks.
    const GOLDEN: &[u8] = b"UKS\x01\xec\xae\x75\xed\x05probe\x02\x02\x07\x09";

    #[test]
    fn a_snapshot_is_stored_in_the_form_of_version_1() {
        let stored = frame("probe", 2, vec![7, 9]).unwrap();

        assert_eq!(stored, GOLDEN);
        assert_eq!(unframe("probe", 2, GOLDEN), Ok(vec![7, 9]));
    }

    #[test]
    fn what_does_not_fit_is_told_apart() {
        let stored = frame("probe", 2, vec![7, 9]).unwrap();
        let mut other = stored.clone();
        other[3] = 9;
        assert_eq!(unframe("probe", 2, &other), Err(CodecError::Version(9)));
        assert_eq!(unframe("probe", 2, b"{}"), Err(CodecError::NoSnapshot));
        assert_eq!(
            unframe("log", 2, &stored),
            Err(CodecError::Kind("probe".to_owned()))
        );
        assert!(matches!(
            unframe("probe", 3, &stored),
            Err(CodecError::StateVersion {
                found: 2,
                expected: 3
            })
        ));
        assert!(decode::<String>(&[7, 9]).is_err() && decode::<u8>(&[7, 9]).is_err());
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_found() {
        let stored = frame("probe", 2, vec![7, 9]).unwrap();
        for len in 0..stored.len() {
            assert!(unframe("probe", 2, &stored[..len]).is_err(), "cut at {len}");
        }
        for bit in 0..stored.len() * 8 {
            let mut flipped = stored.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unframe("probe", 2, &flipped).is_err(), "bit {bit}");
        }
    }
}
