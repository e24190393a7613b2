//! Tokens, logins and sessions: what a caller shows to be somebody. [`Tokens`].
//!
//! A token is 256 bits of the machine's chance, so its SHA-256 is all that is kept: nothing slower is needed for what
//! cannot be guessed. Tokens are in a file that its owner alone reads; logins, which are used once, and the sessions that
//! they open are in memory, and end with the kernel.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use unity_supervisors::clock::Timestamp;

use super::{Bounds, Scope, Who};
use crate::disk::RealDisk;
use crate::error::{Code, CommandError};
use crate::settings::sealed::{self, ContentHash};

/// How many tokens there may be.
pub const TOKENS_MAX: usize = 1_000;
/// How long the code of a login is good for.
pub const LOGIN_WITHIN: Duration = Duration::from_secs(120);
/// How many logins wait at most; of more the oldest is forgotten.
const LOGINS_MAX: usize = 16;
/// How long a session lasts that is not used.
const SESSION_IDLE: Duration = Duration::from_secs(12 * 3_600);
/// How many sessions there are at most; of more the one that was not used for longest ends.
const SESSIONS_MAX: usize = 256;

/// A token, without what is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Token {
    /// Its name in lists and in the audit.
    pub id: String,
    /// What is shown, hashed.
    hash: ContentHash,
    /// How much it may do.
    pub scope: Scope,
    /// What it is bound to.
    #[serde(flatten)]
    pub bounds: Bounds,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is good no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What its maker wrote to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Token {
    fn who(&self) -> Who {
        Who {
            name: self.id.as_str().into(),
            scope: self.scope,
            bounds: self.bounds.clone(),
        }
    }

    /// For lists: nothing of what is shown.
    #[must_use]
    pub fn to_json(&self, now: Timestamp) -> Value {
        json!({
            "id": self.id, "scope": self.scope, "topics": self.bounds.topics, "paths": self.bounds.paths,
            "created_at": self.created_at, "expires_at": self.expires_at, "note": self.note,
            "expired": self.is_expired(now),
        })
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// What a token is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How much it may do.
    pub scope: Scope,
    /// What it is bound to.
    pub bounds: Bounds,
    /// From when on it is good no more.
    pub expires_at: Option<Timestamp>,
    /// What its maker writes to it.
    pub note: Option<String>,
}

/// Why somebody is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// No token or session of this kernel is that.
    Wrong,
    /// It was one.
    Expired,
}

/// Which tokens a kernel knows, and who is logged in. Found with [`Kernel::shared`](unity_supervisors::Kernel::shared).
#[derive(Debug, Default)]
pub struct Tokens {
    file: Option<PathBuf>,
    /// Why the file cannot be used.
    trouble: Option<String>,
    known: Mutex<BTreeMap<ContentHash, Token>>,
    logins: Mutex<Vec<Login>>,
    sessions: Mutex<BTreeMap<ContentHash, Session>>,
}

#[derive(Debug)]
struct Login {
    hash: ContentHash,
    since: Instant,
    /// The id of the token that asked for it, if one did.
    token: Option<String>,
}

#[derive(Debug)]
struct Session {
    who: Arc<Who>,
    used: Instant,
}

#[derive(Serialize, Deserialize)]
struct File {
    tokens: Vec<Token>,
}

impl Tokens {
    /// Those in a data folder. A file that cannot be used is left alone and told; nobody has a token then.
    #[must_use]
    pub fn open(data_dir: &Path) -> Self {
        let file = data_dir.join("tokens");
        let (known, trouble) = match sealed::read::<File>(&file) {
            Ok(found) => (found.map(|file| file.tokens).unwrap_or_default(), None),
            Err(why) => (Vec::new(), Some(format!("{} {why}", file.display()))),
        };
        if let Some(why) = &trouble {
            tracing::error!(%why, "no token is known");
        }
        let known = known.into_iter().map(|token| (token.hash, token)).collect();
        Self {
            file: Some(file),
            trouble,
            known: Mutex::new(known),
            ..Self::default()
        }
    }

    /// Makes one; returns it, and what is shown, which is not kept. Those that are over are dropped.
    ///
    /// # Errors
    /// If there are too many, or it cannot be written down: then there is none.
    pub fn create(&self, wanted: Wanted, now: Timestamp) -> Result<(Token, String), CommandError> {
        let secret = secret()?;
        let mut known = self.known.lock();
        // Those that are over are good for nothing any more, and make room.
        let mut new = known.clone();
        new.retain(|_, token| !token.is_expired(now));
        if new.len() >= TOKENS_MAX {
            let message = format!("there are {TOKENS_MAX} tokens already");
            return Err(CommandError::new(Code::Failed, message)
                .hint("`uk token revoke ID` takes one away"));
        }
        let id = loop {
            let id = format!("t-{:06x}", fastrand::u32(..1 << 24));
            // Not that of one that was dropped either: it is in the audit, and may have streams open.
            if known.values().all(|token| token.id != id) {
                break id;
            }
        };
        let shown = format!("uk_{secret}");
        let token = Token {
            id,
            hash: ContentHash::of(shown.as_bytes()),
            scope: wanted.scope,
            bounds: wanted.bounds,
            created_at: now,
            expires_at: wanted.expires_at,
            note: wanted.note,
        };
        new.insert(token.hash, token.clone());
        self.write(&new)?;
        *known = new;
        Ok((token, shown))
    }

    /// Takes one away; `false` if there is none of this id. Its holder is nobody from now on.
    ///
    /// # Errors
    /// If that cannot be written down: then it is still there.
    pub fn revoke(&self, id: &str) -> Result<bool, CommandError> {
        let mut known = self.known.lock();
        let mut new = known.clone();
        new.retain(|_, token| token.id != id);
        if new.len() == known.len() {
            return Ok(false);
        }
        self.write(&new)?;
        *known = new;
        Ok(true)
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Token> {
        let mut all: Vec<Token> = self.known.lock().values().cloned().collect();
        all.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        all
    }

    fn write(&self, known: &BTreeMap<ContentHash, Token>) -> Result<(), CommandError> {
        let failed = |why: String| CommandError::new(Code::Failed, why);
        if let Some(why) = &self.trouble {
            return Err(failed(why.clone()).hint("move that file away; tokens are then made anew"));
        }
        let Some(file) = &self.file else {
            return Ok(());
        };
        let tokens = known.values().cloned().collect();
        sealed::write(&RealDisk, file, &File { tokens }).map_err(|error| failed(error.to_string()))
    }

    /// Who shows this token.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn who(&self, shown: &str, now: Timestamp) -> Result<Arc<Who>, Unknown> {
        let known = self.known.lock();
        match known.get(&ContentHash::of(shown.as_bytes())) {
            None => Err(Unknown::Wrong),
            Some(token) if token.is_expired(now) => Err(Unknown::Expired),
            Some(token) => Ok(Arc::new(token.who())),
        }
    }

    /// A code that opens one session, once, and not for long, asked for by somebody of this name. What a token asked for is
    /// its own session: it may the same, and ends with it.
    ///
    /// # Errors
    /// If the machine has no chance to give.
    pub fn new_login(&self, by: &str) -> Result<String, CommandError> {
        let code = secret()?;
        let mut logins = self.logins.lock();
        if logins.len() == LOGINS_MAX {
            logins.remove(0);
        }
        logins.push(Login {
            hash: ContentHash::of(code.as_bytes()),
            since: Instant::now(),
            token: is_token(by).then(|| by.to_owned()),
        });
        Ok(code)
    }

    /// Opens a session with the code of a login; returns what its holder shows from then on.
    #[must_use]
    pub fn log_in(&self, code: &str, now: Timestamp) -> Option<String> {
        let hash = ContentHash::of(code.as_bytes());
        let mut logins = self.logins.lock();
        let at = logins.iter().position(|login| login.hash == hash)?;
        let login = logins.remove(at);
        drop(logins);
        if login.since.elapsed() > LOGIN_WITHIN {
            return None;
        }
        let shown = secret().ok()?;
        let who = Arc::new(match login.token {
            Some(id) => self.with_id(&id, now)?,
            None => Who {
                name: "the page".into(),
                scope: Scope::Admin,
                bounds: Bounds::default(),
            },
        });
        let mut sessions = self.sessions.lock();
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                sessions.remove(&oldest);
            }
        }
        let used = Instant::now();
        sessions.insert(ContentHash::of(shown.as_bytes()), Session { who, used });
        Some(shown)
    }

    /// Whether who was somebody still is: their token was not revoked, and is not over.
    pub(crate) fn is_still(&self, who: &Who, now: Timestamp) -> bool {
        !is_token(&who.name) || self.with_id(&who.name, now).is_some()
    }

    /// The holder of a token that is good.
    fn with_id(&self, id: &str, now: Timestamp) -> Option<Who> {
        let known = self.known.lock();
        let token = known.values().find(|token| token.id == id)?;
        (!token.is_expired(now)).then(|| token.who())
    }

    /// Who shows this session.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn session(&self, shown: &str, now: Timestamp) -> Result<Arc<Who>, Unknown> {
        let hash = ContentHash::of(shown.as_bytes());
        let mut sessions = self.sessions.lock();
        let session = sessions.get_mut(&hash).ok_or(Unknown::Wrong)?;
        if session.used.elapsed() > SESSION_IDLE || !self.is_still(&session.who, now) {
            sessions.remove(&hash);
            return Err(Unknown::Expired);
        }
        session.used = Instant::now();
        Ok(Arc::clone(&session.who))
    }
}

/// Whether a name is the id of a token.
fn is_token(name: &str) -> bool {
    name.starts_with("t-")
}

/// 256 bits that nobody can guess, as 64 hexadecimal digits.
fn secret() -> Result<String, CommandError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        CommandError::new(
            Code::Failed,
            format!("the machine gives no random bytes: {error}"),
        )
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(expires_at: Option<Timestamp>) -> Wanted {
        Wanted {
            scope: Scope::Operate,
            bounds: Bounds::default(),
            expires_at,
            note: None,
        }
    }

    #[test]
    fn a_token_is_known_until_it_is_revoked_or_expires() {
        let tokens = Tokens::default();
        let (early, late) = (Timestamp::from_secs(10), Timestamp::from_secs(20));
        let (token, shown) = tokens.create(wanted(Some(late)), early).unwrap();

        assert_eq!(&*tokens.who(&shown, early).unwrap().name, token.id);
        assert_eq!(tokens.who(&shown, late), Err(Unknown::Expired));
        assert_eq!(tokens.who("uk_0", early), Err(Unknown::Wrong));
        assert!(tokens.revoke(&token.id).unwrap() && !tokens.revoke(&token.id).unwrap());
        assert_eq!(tokens.who(&shown, early), Err(Unknown::Wrong));
    }

    #[test]
    fn tokens_that_are_over_make_room() {
        let tokens = Tokens::default();
        let (early, late) = (Timestamp::from_secs(10), Timestamp::from_secs(20));
        for _ in 0..TOKENS_MAX {
            tokens.create(wanted(Some(late)), early).unwrap();
        }
        assert!(tokens.create(wanted(None), early).is_err());

        let (made, _) = tokens.create(wanted(None), late).unwrap();

        let left: Vec<String> = tokens.list().into_iter().map(|token| token.id).collect();
        assert_eq!(left, [made.id]);
    }

    #[test]
    fn what_is_shown_is_not_written_down() {
        let folder = std::env::temp_dir().join(format!("uk-tokens-{}", std::process::id()));
        let now = Timestamp::from_secs(10);
        let (_, shown) = Tokens::open(&folder).create(wanted(None), now).unwrap();

        let text = std::fs::read_to_string(folder.join("tokens")).unwrap();
        let found = Tokens::open(&folder).who(&shown, now);
        std::fs::remove_dir_all(&folder).unwrap();

        let secret = shown.trim_start_matches("uk_");
        assert!(found.is_ok() && !text.contains(secret), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_opens_one_session_once_and_in_time() {
        let (tokens, now) = (Tokens::default(), Timestamp::from_secs(10));
        let code = tokens.new_login("uid 7").unwrap();
        let shown = tokens.log_in(&code, now).unwrap();

        assert!(tokens.session(&shown, now).is_ok());
        assert_eq!(tokens.log_in(&code, now), None);
        let late = tokens.new_login("uid 7").unwrap();
        tokio::time::advance(LOGIN_WITHIN + Duration::from_secs(1)).await;
        assert_eq!(tokens.log_in(&late, now), None);
        tokio::time::advance(SESSION_IDLE).await;
        assert_eq!(tokens.session(&shown, now), Err(Unknown::Expired));
    }

    #[test]
    fn a_session_ends_with_the_token_that_opened_it() {
        let tokens = Tokens::default();
        let (early, late) = (Timestamp::from_secs(10), Timestamp::from_secs(20));
        let (token, _) = tokens.create(wanted(Some(late)), early).unwrap();
        let login = || tokens.new_login(&token.id).unwrap();
        let (first, second, unused) = (login(), login(), login());

        let shown = tokens.log_in(&first, early).unwrap();
        assert_eq!(*tokens.session(&shown, early).unwrap(), token.who());
        assert_eq!(tokens.session(&shown, late), Err(Unknown::Expired));

        let shown = tokens.log_in(&second, early).unwrap();
        tokens.revoke(&token.id).unwrap();
        assert_eq!(tokens.session(&shown, early), Err(Unknown::Expired));
        assert_eq!(tokens.log_in(&unused, early), None);
    }
}
