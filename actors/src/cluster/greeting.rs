//! How two nodes come to know each other: hello, challenge, proof, welcome.
//!
//! Who opened the connection says who it is; the other answers with something to prove; the first proves that it knows the
//! cookie, and only then the second does. A proof is HMAC-SHA-256 under the cookie over a word for the side, both names and epochs
//! and both nonces, so that it is good for one connection and one direction. What somebody says before they have proved
//! anything is at most [`GREETING_LEN_MAX`] long, and all of it has to be over within [`GREETS_WITHIN`].
//!
//! With TLS the name in the certificate has to be the name that is said.

use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use ring::hmac;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::codec::{
    self, AboutV1, ChallengeV1, Frame, GREETING_LEN_MAX, HelloV1, MAGIC, ProofV1, RefusalV1,
    WelcomeV1,
};
use super::link::{Wire, WireRead, WireWrite};
use super::session::{Peer, next_frame};

/// How long the whole of it may take.
pub const GREETS_WITHIN: Duration = Duration::from_secs(5);
/// The shortest cookie, in bytes.
pub const COOKIE_LEN_MIN: usize = 16;
/// The longest.
pub const COOKIE_LEN_MAX: usize = 1_024;

/// The longest frame in which a node says what it has, in bytes.
const ABOUT_LEN_MAX: usize = 64 << 10;

/// What nodes of one cluster share, and nobody else knows.
#[derive(Clone)]
pub struct Cookie(hmac::Key);

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(…)")
    }
}

/// Why a text is no cookie.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cookie is {COOKIE_LEN_MIN} to {COOKIE_LEN_MAX} bytes in one line, and this has {0}")]
pub struct InvalidCookie(pub usize);

impl Cookie {
    /// Checks a text, without the white space around it, and makes a cookie of it.
    ///
    /// # Errors
    /// [`InvalidCookie`].
    pub fn new(text: &str) -> Result<Self, InvalidCookie> {
        let text = text.trim();
        let fits = (COOKIE_LEN_MIN..=COOKIE_LEN_MAX).contains(&text.len()) && !text.contains('\n');
        if fits {
            Ok(Self::of(text.as_bytes()))
        } else {
            Err(InvalidCookie(text.len()))
        }
    }

    /// The cookie of nodes that have none: on one machine, and in simulation.
    #[must_use]
    pub fn none() -> Self {
        Self::of(&[])
    }

    fn of(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }
}

/// This side of a greeting.
#[derive(Debug, Clone)]
pub(super) struct Me {
    pub(super) name: String,
    pub(super) epoch: u64,
    pub(super) address: Option<String>,
    pub(super) cookie: Cookie,
    pub(super) about: AboutV1,
    /// What is made up for this connection.
    pub(super) nonce: [u8; 32],
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// The connection broke, or was silent.
    Broken(String),
    /// This side refuses the other.
    Refuses(RefusalV1),
    /// The other side refuses this one.
    Refused(RefusalV1),
    /// There is a connection to the node of this name already.
    Duplicate(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) => f.write_str(why),
            Self::Refuses(why) => f.write_str(&why.text),
            Self::Refused(why) => write!(f, "it refuses: {}", why.text),
            Self::Duplicate(name) => write!(f, "there is a connection to `{name}` already"),
        }
    }
}

/// The code of a refusal because there is a connection already.
pub(super) const DUPLICATE: &str = "duplicate";

impl Failed {
    /// The same, of a greeting with the node of that name.
    fn with(self, name: &str) -> Self {
        match self {
            Self::Refuses(why) | Self::Refused(why) if why.code == DUPLICATE => {
                Self::Duplicate(name.to_owned())
            }
            other => other,
        }
    }
}

/// A refusal.
pub(super) fn refusal(code: &str, text: impl Into<String>) -> RefusalV1 {
    RefusalV1 {
        code: code.to_owned(),
        text: text.into(),
    }
}

/// What of this node a greeting needs.
pub(super) trait Host: Sync {
    /// Done once something can go to the node of that name and come back.
    fn there_and_back(&self, name: &str) -> impl Future<Output = ()> + Send;
    /// Has the last word on who it is.
    ///
    /// # Errors
    /// Why it is not let in.
    fn admit(&self, peer: &Peer) -> Result<(), RefusalV1>;
}

/// A connection on which all is said.
pub(super) struct Greeted {
    pub(super) peer: Peer,
    pub(super) read: (WireRead, BytesMut),
    pub(super) write: WireWrite,
}

/// A connection on which it is being said.
struct Talk {
    wire: Wire,
    buffer: BytesMut,
}

impl Talk {
    async fn say(&mut self, frame: &Frame) -> Result<(), Failed> {
        let mut bytes = Vec::new();
        codec::encode(frame, &mut bytes).map_err(|error| Failed::Broken(error.to_string()))?;
        let said = async {
            self.wire.write.write_all(&bytes).await?;
            self.wire.write.flush().await
        };
        said.await
            .map_err(|error| Failed::Broken(format!("the connection broke: {error}")))
    }

    async fn hear(&mut self, max: usize) -> Result<Frame, Failed> {
        loop {
            match next_frame(&mut self.buffer, max) {
                Ok(Some(Frame::Refused(why))) => return Err(Failed::Refused(why)),
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(error) => {
                    return Err(Failed::Refuses(refusal(
                        "no_node",
                        format!(
                            "what came from {} is no greeting of a node: {error}",
                            self.wire.peer
                        ),
                    )));
                }
            }
            let read = self.wire.read.read_buf(&mut self.buffer).await;
            match read {
                Ok(0) => return Err(Failed::Broken("the other side closed it".to_owned())),
                Ok(_) => {}
                Err(error) => {
                    return Err(Failed::Broken(format!("the connection broke: {error}")));
                }
            }
        }
    }

    fn out_of_turn(&self) -> Failed {
        let text = format!("what came from {} is out of turn", self.wire.peer);
        Failed::Refuses(refusal("no_node", text))
    }

    /// Tells the other side what this one has against it, if it does not know.
    async fn or_refuse<T>(&mut self, outcome: Result<T, Failed>) -> Result<T, Failed> {
        if let Err(Failed::Refuses(why)) = &outcome {
            // Whether it still hears that is its own affair.
            drop(self.say(&Frame::Refused(why.clone())).await);
            drop(self.wire.write.shutdown().await);
        }
        outcome
    }

    fn greeted(self, peer: Peer) -> Greeted {
        Greeted {
            peer,
            read: (self.wire.read, self.buffer),
            write: self.wire.write,
        }
    }

    fn certificate_fits(&self, name: &str) -> Result<(), Failed> {
        match &self.wire.certified {
            Some(certified) if certified != name => Err(Failed::Refuses(refusal(
                "certificate",
                format!(
                    "{} says that it is node `{name}`, and its certificate is that of `{certified}`",
                    self.wire.peer
                ),
            ))),
            _ => Ok(()),
        }
    }

    fn peer(&self, hello: (String, u64, Option<String>), about: AboutV1, is_ours: bool) -> Peer {
        let (name, epoch, address) = hello;
        Peer {
            name,
            epoch,
            address,
            wire: self.wire.peer.clone(),
            about,
            is_ours,
        }
    }
}

/// Greets over a connection that this side opened.
pub(super) async fn greet(wire: Wire, me: Me, host: &impl Host) -> Result<Greeted, Failed> {
    let mut talk = talk(wire);
    let mut name = String::new();
    let greeted = async {
        let hello = hello(&me);
        talk.say(&Frame::Hello(hello.clone())).await?;
        let Frame::Challenge(challenge) = talk.hear(GREETING_LEN_MAX).await? else {
            return Err(talk.out_of_turn());
        };
        talk.certificate_fits(&challenge.name)?;
        name.clone_from(&challenge.name);
        host.there_and_back(&name).await;
        let proof = prove(&me.cookie, b"opens", &hello, &challenge);
        let about = me.about.clone();
        talk.say(&Frame::Proof(ProofV1 { proof, about })).await?;
        let Frame::Welcome(welcome) = talk.hear(ABOUT_LEN_MAX).await? else {
            return Err(talk.out_of_turn());
        };
        if !is_proof(&me.cookie, b"takes", &hello, &challenge, &welcome.proof) {
            return Err(wrong_cookie(&talk.wire.peer));
        }
        let known = (
            challenge.name,
            challenge.epoch,
            Some(talk.wire.peer.clone()),
        );
        let peer = talk.peer(known, welcome.about, true);
        host.admit(&peer).map_err(Failed::Refuses)?;
        Ok(peer)
    };
    let greeted = greeted.await;
    let peer = talk.or_refuse(greeted).await;
    let peer = peer.map_err(|failed| failed.with(&name))?;
    Ok(talk.greeted(peer))
}

/// Is greeted over a connection that the other side opened.
pub(super) async fn be_greeted(wire: Wire, me: Me, host: &impl Host) -> Result<Greeted, Failed> {
    let mut talk = talk(wire);
    let mut name = String::new();
    let greeted = async {
        let Frame::Hello(hello) = talk.hear(GREETING_LEN_MAX).await? else {
            return Err(talk.out_of_turn());
        };
        if hello.magic != MAGIC {
            return Err(talk.out_of_turn());
        }
        name.clone_from(&hello.name);
        talk.certificate_fits(&hello.name)?;
        host.there_and_back(&hello.name).await;
        let challenge = ChallengeV1 {
            name: me.name.clone(),
            epoch: me.epoch,
            nonce: me.nonce,
        };
        talk.say(&Frame::Challenge(challenge.clone())).await?;
        let Frame::Proof(proof) = talk.hear(ABOUT_LEN_MAX).await? else {
            return Err(talk.out_of_turn());
        };
        if !is_proof(&me.cookie, b"opens", &hello, &challenge, &proof.proof) {
            return Err(wrong_cookie(&talk.wire.peer));
        }
        let known = (hello.name.clone(), hello.epoch, hello.address.clone());
        let peer = talk.peer(known, proof.about, false);
        host.admit(&peer).map_err(Failed::Refuses)?;
        let proof = prove(&me.cookie, b"takes", &hello, &challenge);
        let about = me.about.clone();
        talk.say(&Frame::Welcome(WelcomeV1 { proof, about }))
            .await?;
        Ok(peer)
    };
    let greeted = greeted.await;
    let peer = talk.or_refuse(greeted).await;
    let peer = peer.map_err(|failed| failed.with(&name))?;
    Ok(talk.greeted(peer))
}

fn talk(wire: Wire) -> Talk {
    Talk {
        wire,
        buffer: BytesMut::new(),
    }
}

fn hello(me: &Me) -> HelloV1 {
    HelloV1 {
        magic: MAGIC,
        name: me.name.clone(),
        epoch: me.epoch,
        nonce: me.nonce,
        address: me.address.clone(),
    }
}

fn wrong_cookie(peer: &str) -> Failed {
    Failed::Refuses(refusal(
        "cookie",
        format!("{peer} has another cookie; nodes of one cluster have the same"),
    ))
}

/// What is hashed: each part behind its length, so that no two ways of saying it are the same.
fn said(side: &[u8], hello: &HelloV1, challenge: &ChallengeV1) -> Vec<u8> {
    let mut bytes = Vec::new();
    let parts: [&[u8]; 7] = [
        side,
        hello.name.as_bytes(),
        &hello.epoch.to_be_bytes(),
        &hello.nonce,
        challenge.name.as_bytes(),
        &challenge.epoch.to_be_bytes(),
        &challenge.nonce,
    ];
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part);
    }
    bytes
}

fn prove(cookie: &Cookie, side: &[u8], hello: &HelloV1, challenge: &ChallengeV1) -> [u8; 32] {
    let tag = hmac::sign(&cookie.0, &said(side, hello, challenge));
    let mut proof = [0; 32];
    for (place, byte) in proof.iter_mut().zip(tag.as_ref()) {
        *place = *byte;
    }
    proof
}

fn is_proof(
    cookie: &Cookie,
    side: &[u8],
    hello: &HelloV1,
    challenge: &ChallengeV1,
    proof: &[u8; 32],
) -> bool {
    hmac::verify(&cookie.0, &said(side, hello, challenge), proof).is_ok()
}
