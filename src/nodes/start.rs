//! What a node is told when its kernel boots: [`Node`], made of the settings `nodes`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use unity_actors::cluster::greeting::{COOKIE_LEN_MAX, COOKIE_LEN_MIN, Cookie};
use unity_actors::cluster::link::tcp::{Identity, TcpLink};
use unity_actors::cluster::{Cluster, NodeOptions};
use unity_supervisors::ChildId;
use unity_supervisors::clock::Clock;

use super::Runner;
use crate::disk::{RealDisk, replace};
use crate::settings::system::NodesSettings;

/// What the last epoch is called in the data folder.
const EPOCH: &str = "node-epoch";
/// The most that is read of a file that should hold a cookie, in bytes: with the white space around it.
const COOKIE_FILE_LEN_MAX: u64 = 4 << 10;

/// Why a kernel does not boot as a node.
#[derive(Debug, thiserror::Error)]
pub enum InvalidNodes {
    /// The file of the cookie cannot be one.
    #[error("the cookie file {}: {why}", .file.display())]
    Cookie {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        hint: String,
    },
    /// Of what belongs together for TLS something is missing.
    #[error("`nodes.{0}` is missing: `nodes.ca`, `nodes.cert` and `nodes.key` belong together")]
    HalfTls(&'static str),
    /// The certificate, its key or the CA cannot be used.
    #[error("{0}")]
    Tls(io::Error),
    /// The certificate is another node's.
    #[error("{} is the certificate of `{certified}`, and this node is `{node}`", .file.display())]
    OtherName {
        /// The file.
        file: PathBuf,
        /// The name in it.
        certified: String,
        /// That of the node.
        node: String,
    },
    /// What goes beyond this machine is not protected.
    #[error("`nodes.{key}` is {address}, which is beyond this machine and takes {missing}")]
    Open {
        /// The setting.
        key: &'static str,
        /// Where it leads.
        address: String,
        /// What is missing.
        missing: String,
    },
    /// Others could not write its name.
    #[error("a node that listens cannot be called `{0}`")]
    Name(String),
}

impl InvalidNodes {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Cookie { hint, .. } => hint.clone(),
            Self::HalfTls(_) => "name all three, or none; `uk node ca` makes them".to_owned(),
            Self::Tls(_) => {
                "`uk node ca issue NAME --dir DIR` makes a certificate and its key".to_owned()
            }
            Self::OtherName { node, .. } => {
                format!("`uk node ca issue {node} --dir DIR` makes one for this node")
            }
            Self::Open { .. } => {
                "make them with `uk node token --out FILE` and `uk node ca init DIR`, or \
                 listen on 127.0.0.1"
                    .to_owned()
            }
            Self::Name(_) => {
                "a name is 1 to 64 of A-Z a-z 0-9 _ -: give another with --name".to_owned()
            }
        }
    }
}

/// What was read of the settings, and is right.
#[derive(Debug)]
pub(crate) struct Node {
    cookie: Cookie,
    identity: Option<Identity>,
    listen: Option<String>,
    seeds: Vec<String>,
    heartbeat: Duration,
}

impl Node {
    /// Reads what the settings name.
    pub(crate) fn read(settings: &NodesSettings, name: &str) -> Result<Self, InvalidNodes> {
        let cookie = settings.cookie_file.as_deref().map(Path::new);
        let cookie = cookie.map(cookie_in).transpose()?;
        let identity = identity(settings, name)?;
        let seeds = settings.seeds.as_deref().unwrap_or_default().split(',');
        let seeds: Vec<String> = seeds
            .map(|seed| seed.trim().to_owned())
            .filter(|seed| !seed.is_empty())
            .collect();
        let listen = settings.listen.iter().map(|address| ("listen", address));
        let all = listen.chain(seeds.iter().map(|seed| ("seeds", seed)));
        if let Some((key, address)) = all.into_iter().find(|(_, address)| is_beyond(address)) {
            let missing = match (&cookie, &identity) {
                (Some(_), Some(_)) => None,
                (None, Some(_)) => Some("a cookie: `nodes.cookie_file`"),
                (Some(_), None) => Some("TLS: `nodes.ca`, `nodes.cert` and `nodes.key`"),
                (None, None) => Some(
                    "a cookie and TLS: `nodes.cookie_file`, `nodes.ca`, `nodes.cert` and `nodes.key`",
                ),
            };
            if let Some(missing) = missing {
                return Err(InvalidNodes::Open {
                    key,
                    address: address.clone(),
                    missing: missing.to_owned(),
                });
            }
        }
        if settings.listen.is_some() && ChildId::new(name).is_err() {
            return Err(InvalidNodes::Name(name.to_owned()));
        }
        Ok(Self {
            cookie: cookie.unwrap_or_else(Cookie::none),
            identity,
            listen: settings.listen.clone(),
            seeds,
            heartbeat: settings.heartbeat.0,
        })
    }

    /// What the kernel's nodes are kept in. Its epoch is on the disk before anybody is told of it.
    pub(crate) fn cluster(self, labels: BTreeMap<String, String>, data_dir: &Path) -> Cluster {
        let link = Arc::new(TcpLink::new(self.identity));
        Cluster::new(NodeOptions {
            labels,
            listen: self.listen,
            cookie: self.cookie,
            seeds: self.seeds,
            heartbeat: self.heartbeat,
            commands: Some(Arc::new(Runner)),
            ..NodeOptions::new(link, next_epoch(data_dir, &Clock::real()))
        })
    }
}

/// Whether an address surely leads beyond this machine. Of a name that is found out when it is resolved.
fn is_beyond(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = address
        .parse::<SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| host.parse::<IpAddr>());
    ip.is_ok_and(|ip| !ip.to_canonical().is_loopback())
}

/// The cookie in a file that is for its owner alone.
fn cookie_in(file: &Path) -> Result<Cookie, InvalidNodes> {
    let refuse = |why: String, hint: String| InvalidNodes::Cookie {
        file: file.to_owned(),
        why,
        hint,
    };
    let make = || format!("`uk node token --out {}` makes one", file.display());
    let unread = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => refuse("there is none".to_owned(), make()),
        io::ErrorKind::PermissionDenied => refuse(
            "permission denied".to_owned(),
            "it is for whoever runs the kernel to read".to_owned(),
        ),
        _ => refuse(error.to_string(), make()),
    };
    // Looked at first: to open what is no file may wait for ever.
    let what = fs::metadata(file).map_err(unread)?;
    if !what.is_file() {
        let is = if what.is_dir() { "a folder" } else { "no file" };
        return Err(refuse(format!("it is {is}"), make()));
    }
    let opened = File::open(file).map_err(unread)?;
    let mode = opened.metadata().map_err(unread)?.permissions().mode();
    if mode & 0o077 != 0 {
        let why = format!("others can read it (its mode is {:04o})", mode & 0o7777);
        let hint = format!(
            "`chmod 600 {}`, and change it if somebody has",
            file.display()
        );
        return Err(refuse(why, hint));
    }
    let mut text = Vec::new();
    let read = opened.take(COOKIE_FILE_LEN_MAX + 1).read_to_end(&mut text);
    read.map_err(unread)?;
    let text = String::from_utf8(text).map_err(|_| refuse("it is not UTF-8".to_owned(), make()))?;
    Cookie::new(&text).map_err(|_| {
        let len = text.trim().len();
        let why = match len {
            0 => "it is empty".to_owned(),
            len if len < COOKIE_LEN_MIN => {
                format!("a cookie of {len} bytes is too short, it takes {COOKIE_LEN_MIN}")
            }
            _ => format!("a cookie is one line of at most {COOKIE_LEN_MAX} bytes"),
        };
        refuse(why, make())
    })
}

fn identity(settings: &NodesSettings, name: &str) -> Result<Option<Identity>, InvalidNodes> {
    let path = |setting: &Option<String>| setting.as_deref().map(PathBuf::from);
    let (ca, cert, key) = (
        path(&settings.ca),
        path(&settings.cert),
        path(&settings.key),
    );
    let (ca, cert, key) = match (ca, cert, key) {
        (None, None, None) => return Ok(None),
        (Some(ca), Some(cert), Some(key)) => (ca, cert, key),
        (None, _, _) => return Err(InvalidNodes::HalfTls("ca")),
        (_, None, _) => return Err(InvalidNodes::HalfTls("cert")),
        (_, _, None) => return Err(InvalidNodes::HalfTls("key")),
    };
    let identity = Identity::read(&ca, &cert, &key).map_err(InvalidNodes::Tls)?;
    if identity.name() != name {
        return Err(InvalidNodes::OtherName {
            file: cert,
            certified: identity.name().to_owned(),
            node: name.to_owned(),
        });
    }
    Ok(Some(identity))
}

/// An epoch that is larger than all before, also where the clock was set back. A disk that does not keep it is no reason
/// not to boot: only a clock that is set back then as well makes others take this start for an earlier one.
fn next_epoch(data_dir: &Path, clock: &Clock) -> u64 {
    let file = data_dir.join(EPOCH);
    let last = fs::read_to_string(&file).ok();
    let last = last.and_then(|text| text.trim().parse::<u64>().ok());
    let now = u64::try_from(clock.wall().unix_us()).unwrap_or_default();
    let epoch = now.max(last.map_or(0, |last| last.saturating_add(1)));
    if let Err(error) = replace(&RealDisk, &file, format!("{epoch}\n").as_bytes()) {
        tracing::warn!(file = %file.display(), %error, "the epoch of this node is not kept");
    }
    epoch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_larger_than_the_last_whatever_the_clock_says() {
        let folder = std::env::temp_dir().join(format!("uk-epoch-{}", std::process::id()));
        let clock = Clock::real();

        let first = next_epoch(&folder, &clock);
        let second = next_epoch(&folder, &clock);
        let ahead = u64::MAX / 2;
        fs::write(folder.join(EPOCH), ahead.to_string()).unwrap();
        let third = next_epoch(&folder, &clock);
        let fourth = next_epoch(&folder, &clock);
        fs::write(folder.join(EPOCH), "what").unwrap();
        let fifth = next_epoch(&folder, &clock);

        fs::remove_dir_all(&folder).unwrap();
        assert!(second > first);
        assert_eq!((third, fourth), (ahead + 1, ahead + 2));
        assert!(fifth >= first && fifth < ahead);
    }

    #[test]
    fn only_what_is_surely_elsewhere_is_beyond() {
        for (address, is_beyond) in [
            ("127.0.0.1:1", false),
            ("127.9.9.9:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("localhost:1", false),
            ("edge-1.local:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("10.0.0.1:1", true),
        ] {
            assert_eq!(super::is_beyond(address), is_beyond, "{address}");
        }
    }
}
