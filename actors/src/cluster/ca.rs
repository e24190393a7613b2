//! The CA of a group of nodes: [`Ca`], and the certificates that it gives them.
//!
//! A node is known by the name in its certificate. What is issued cannot be taken back: who has lost a key makes a new CA and
//! gives each node a new certificate, while `ca.pem` holds both until all have one.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, remove_file};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, DnsName, UnixTime};
use unity_supervisors::clock::Timestamp;

use super::link::tcp::{check, name_in};

#[cfg(test)]
mod tests;

/// The certificate of the CA, which each node trusts.
pub const CA_FILE: &str = "ca.pem";
/// Its key, which no node needs.
pub const CA_KEY_FILE: &str = "ca.key.pem";
/// For how many days a certificate is valid, if nothing else is said.
pub const DAYS: u32 = 825;
/// For how many it may be at most.
pub const DAYS_MAX: u32 = 36_500;

/// For how many the CA is.
const CA_DAYS: u32 = 3_650;
const DAY: Duration = Duration::from_secs(86_400);

/// Why there is no CA or no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file that is to be made is there.
    #[error("{} is there already, and is not written over", .0.display())]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {error}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file holds something else.
    #[error("{} is not what `uk node ca` makes: {why}", .file.display())]
    Content {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A node cannot be called that in a certificate.
    #[error(
        "`{0}` is no name for a certificate: one has letters, digits, `-` and `.`, as in edge-1"
    )]
    Name(String),
    /// No time that a certificate can be valid.
    #[error("a certificate is valid for 1 to {DAYS_MAX} days, not for {0}")]
    Days(u32),
    /// A certificate cannot be made.
    #[error("no certificate can be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// A CA that can sign.
pub struct Ca {
    file: PathBuf,
    cert: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ca").field(&self.file).finish()
    }
}

impl Ca {
    /// Makes one in `folder`, which is made too if it is not there.
    ///
    /// # Errors
    /// [`CaError`], and nothing is left behind.
    pub fn create(folder: &Path, now: Timestamp) -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let mut params = about_ca(&key);
        last(&mut params, now, CA_DAYS);
        let cert = params.self_signed(&key)?;
        let file = folder.join(CA_FILE);
        write_pair(
            [&file, &folder.join(CA_KEY_FILE)],
            [&cert.pem(), &key.serialize_pem()],
        )?;
        let cert = cert.der().clone();
        let issuer = Issuer::new(params, key);
        Ok(Self { file, cert, issuer })
    }

    /// The one that [`create`](Self::create) has made in `folder`.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn open(folder: &Path) -> Result<Self, CaError> {
        let [file, key_file] = [CA_FILE, CA_KEY_FILE].map(|name| folder.join(name));
        let key = read(&key_file)?;
        let key = KeyPair::from_pem(&key).map_err(|error| CaError::Content {
            file: key_file,
            why: error.to_string(),
        })?;
        let cert = CertificateDer::from_pem_slice(read(&file)?.as_bytes());
        let cert = cert.map_err(|error| CaError::Content {
            file: file.clone(),
            why: error.to_string(),
        })?;
        let issuer = Issuer::new(about_ca(&key), key);
        Ok(Self { file, cert, issuer })
    }

    /// Makes a certificate for the node `name` and its key, in `folder`, which is made too if it is not there. Returns where
    /// both are: `NAME.pem` and `NAME.key.pem`.
    ///
    /// # Errors
    /// [`CaError`], and nothing is left behind.
    pub fn issue(
        &self,
        name: &str,
        folder: &Path,
        days: u32,
        now: Timestamp,
    ) -> Result<(PathBuf, PathBuf), CaError> {
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(CaError::Days(days));
        }
        let no_name = || CaError::Name(name.to_owned());
        DnsName::try_from(name).map_err(|_| no_name())?;
        let mut params = CertificateParams::default();
        let san = name.try_into().map_err(|_| no_name())?;
        params.subject_alt_names = vec![SanType::DnsName(san)];
        params.distinguished_name = called(name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        last(&mut params, now, days);
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        self.check(cert.der(), now)?;
        if name_in(cert.der()).as_deref() != Some(name) {
            return Err(no_name());
        }

        let [file, key_file] =
            ["pem", "key.pem"].map(|ending| folder.join(format!("{name}.{ending}")));
        write_pair([&file, &key_file], [&cert.pem(), &key.serialize_pem()])?;
        Ok((file, key_file))
    }

    /// Looks at a certificate as nodes will: the CA's own may be of another key.
    fn check(&self, cert: &CertificateDer<'_>, now: Timestamp) -> Result<(), CaError> {
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now.unix_ms()));
        let checked = check(cert, &[], std::slice::from_ref(&self.cert), now);
        checked.map_err(|error| CaError::Content {
            file: self.file.clone(),
            why: format!("what {CA_KEY_FILE} signs is refused by who trusts it, as {error}"),
        })
    }
}

/// All of a CA but when it is valid. Its name follows from its key, so that it need not be read from its certificate.
fn about_ca(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let id = params.key_identifier(key);
    let id: String = id
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    params.distinguished_name = called(&format!("UnityKernel nodes {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

/// From when until when it is. It begins a day ago, as the clocks of nodes differ.
fn last(params: &mut CertificateParams, now: Timestamp, days: u32) {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.unix_ms() / 1000);
    params.not_before = now - DAY;
    params.not_after = now + DAY * days;
}

fn read(file: &Path) -> Result<String, CaError> {
    std::fs::read_to_string(file).map_err(failed(file))
}

fn failed(file: &Path) -> impl FnOnce(io::Error) -> CaError {
    let file = file.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::AlreadyExists => CaError::Exists(file),
        _ => CaError::File { file, error },
    }
}

/// Writes a certificate and its key, both or none, in the place of nothing.
fn write_pair([cert, key]: [&Path; 2], [cert_pem, key_pem]: [&str; 2]) -> Result<(), CaError> {
    if let Some(folder) = cert.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(failed(folder))?;
    }
    // The key first: a certificate without its key would be taken for a whole pair.
    write(key, key_pem, 0o600)?;
    write(cert, cert_pem, 0o644).inspect_err(|_| undo(key))
}

fn write(file: &Path, text: &str, mode: u32) -> Result<(), CaError> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(mode).open(file);
    let mut opened: File = opened.map_err(failed(file))?;
    let written = opened
        .write_all(text.as_bytes())
        .and_then(|()| opened.sync_all());
    written.map_err(|error| {
        undo(file);
        failed(file)(error)
    })
}

fn undo(file: &Path) {
    if let Err(error) = remove_file(file) {
        tracing::warn!(file = %file.display(), %error, "what was made in vain cannot be removed");
    }
}
