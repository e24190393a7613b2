use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use unity_supervisors::clock::Clock;

use super::*;
use crate::cluster::link::tcp::{Identity, TcpLink};
use crate::cluster::link::{Link as _, Wire};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("uk-ca-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        drop(fs::remove_dir_all(&folder));
        Self(folder)
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.0) else {
            return Vec::new();
        };
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn mode(&self, name: &str) -> u32 {
        let about = fs::metadata(self.0.join(name)).unwrap();
        about.permissions().mode() & 0o777
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn now() -> Timestamp {
    Clock::real().wall()
}

fn days_ago(days: i64) -> Timestamp {
    Timestamp::from_unix_us(now().unix_us() - days * 86_400 * 1_000_000)
}

fn identity(ca: &Ca, folder: &Folder, name: &str) -> Identity {
    let (cert, key) = ca.issue(name, &folder.0, DAYS, now()).unwrap();
    Identity::read(&folder.0.join(CA_FILE), &cert, &key).unwrap()
}

#[tokio::test]
async fn nodes_talk_with_what_is_issued_by_one_that_is_made_and_one_that_is_opened() {
    let folder = Folder::new("talk");
    let made = Ca::create(&folder.0, now()).unwrap();
    let hub = TcpLink::new(Some(identity(&made, &folder, "hub")));
    let opened = Ca::open(&folder.0).unwrap();
    let edge = TcpLink::new(Some(identity(&opened, &folder, "edge-1.site_2")));

    let mut listener = hub.listen("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let taken_in = async { listener.accept().await.unwrap().wire.await.unwrap() };
    let (near, far) = tokio::join!(edge.connect(&address), taken_in);

    let (mut near, mut far): (Wire, Wire) = (near.unwrap(), far);
    assert_eq!(near.certified.as_deref(), Some("hub"));
    assert_eq!(far.certified.as_deref(), Some("edge-1.site_2"));
    near.write.write_all(b"there").await.unwrap();
    near.write.flush().await.unwrap();
    let mut read = [0; 5];
    far.read.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"there");
}

#[test]
fn keys_are_for_their_owner_alone() {
    let folder = Folder::new("modes");
    let ca = Ca::create(&folder.0, now()).unwrap();

    let (cert, key) = ca.issue("edge-1", &folder.0, DAYS, now()).unwrap();

    assert_eq!(cert, folder.0.join("edge-1.pem"));
    assert_eq!(key, folder.0.join("edge-1.key.pem"));
    let names = ["ca.key.pem", "ca.pem", "edge-1.key.pem", "edge-1.pem"];
    assert_eq!(folder.names(), names);
    for (name, mode) in names.into_iter().zip([0o600, 0o644].into_iter().cycle()) {
        assert_eq!(folder.mode(name) & !mode, 0, "{name}");
    }
}

#[test]
fn nothing_is_written_over_and_nothing_is_left_behind() {
    let folder = Folder::new("over");
    let ca = Ca::create(&folder.0, now()).unwrap();
    ca.issue("edge-1", &folder.0, DAYS, now()).unwrap();
    let before: Vec<_> = folder
        .names()
        .iter()
        .map(|name| fs::read(folder.0.join(name)).unwrap())
        .collect();

    let again = Ca::create(&folder.0, now()).unwrap_err();
    let twice = ca.issue("edge-1", &folder.0, DAYS, now()).unwrap_err();
    fs::write(folder.0.join("edge-2.pem"), "mine").unwrap();
    let half = ca.issue("edge-2", &folder.0, DAYS, now()).unwrap_err();

    let expected = |name: &str| {
        let file = folder.0.join(name);
        format!(
            "{} is there already, and is not written over",
            file.display()
        )
    };
    assert_eq!(again.to_string(), expected("ca.key.pem"));
    assert_eq!(twice.to_string(), expected("edge-1.key.pem"));
    assert_eq!(half.to_string(), expected("edge-2.pem"));
    assert_eq!(folder.names().last().unwrap(), "edge-2.pem");
    assert!(!folder.names().contains(&"edge-2.key.pem".to_owned()));
    for (name, before) in folder.names().iter().zip(before) {
        assert_eq!(fs::read(folder.0.join(name)).unwrap(), before, "{name}");
    }
}

#[test]
fn a_certificate_lasts_as_long_as_is_said() {
    let folder = Folder::new("days");
    let ca = Ca::create(&folder.0, days_ago(40)).unwrap();
    // Issued 30 days ago.
    let rows = [("good", 31, None), ("old", 29, Some("it has run out"))];
    for (name, days, fault) in rows {
        let issued = ca.issue(name, &folder.0, days, days_ago(30));
        let (cert, key) = issued.unwrap();
        let read = Identity::read(&folder.0.join(CA_FILE), &cert, &key);
        let said = read.err().map(|error| error.to_string());
        assert_eq!(said.is_some(), fault.is_some(), "{name}: {said:?}");
        assert!(said.unwrap_or_default().contains(fault.unwrap_or_default()));
    }
    for days in [0, DAYS_MAX + 1, u32::MAX] {
        let refused = ca.issue("no", &folder.0, days, now()).unwrap_err();
        let expected = format!("a certificate is valid for 1 to 36500 days, not for {days}");
        assert_eq!(refused.to_string(), expected);
    }
    ca.issue("long", &folder.0, DAYS_MAX, now()).unwrap();
}

#[test]
fn what_is_no_name_gets_no_certificate() {
    let folder = Folder::new("names");
    let ca = Ca::create(&folder.0, now()).unwrap();
    let long = "x".repeat(64);
    for name in [
        "",
        "../edge",
        "a b",
        "*.edge",
        "127.0.0.1",
        "-",
        "é",
        "a..b",
        &long,
    ] {
        let refused = ca.issue(name, &folder.0, DAYS, now()).unwrap_err();
        assert!(
            matches!(&refused, CaError::Name(said) if said == name),
            "{refused}"
        );
    }
    assert_eq!(folder.names(), ["ca.key.pem", "ca.pem"]);
}

#[test]
fn what_is_no_ca_is_not_opened_or_signs_nothing() {
    let folder = Folder::new("none");
    let other = Folder::new("none-other");
    let missing = Ca::open(&folder.0).unwrap_err();
    assert!(matches!(missing, CaError::File { ref file, .. } if file.ends_with(CA_KEY_FILE)));

    Ca::create(&folder.0, now()).unwrap();
    Ca::create(&other.0, now()).unwrap();
    let [file, key] = [CA_FILE, CA_KEY_FILE].map(|name| folder.0.join(name));
    fs::copy(other.0.join(CA_KEY_FILE), &key).unwrap();
    let mixed = Ca::open(&folder.0).unwrap();
    let refused = mixed.issue("edge-1", &folder.0, DAYS, now()).unwrap_err();
    let expected = format!(
        "{} is not what `uk node ca` makes: what ca.key.pem signs is refused by who trusts it, as it is of another CA",
        file.display()
    );
    assert_eq!(refused.to_string(), expected);
    assert_eq!(folder.names(), ["ca.key.pem", "ca.pem"]);

    for broken in [&file, &key] {
        let whole = fs::read(broken).unwrap();
        fs::write(broken, "no PEM").unwrap();
        let error = Ca::open(&folder.0).unwrap_err();
        assert!(
            matches!(&error, CaError::Content { file, .. } if file == broken),
            "{error}"
        );
        fs::write(broken, whole).unwrap();
    }
}
