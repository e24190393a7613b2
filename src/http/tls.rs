//! TLS for who listens beyond this machine: the certificate of the settings, or one that the kernel signs itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::disk::{RealDisk, replace};
use crate::settings::system::HttpSettings;

/// What the kernel's own certificate and its key are called in the data folder.
const OWN: [&str; 2] = ["http.cert.pem", "http.key.pem"];

/// What speaks TLS as the settings say.
pub(super) fn acceptor(settings: &HttpSettings, data_dir: &Path) -> io::Result<TlsAcceptor> {
    let (cert, key) = match (&settings.cert, &settings.key) {
        (Some(cert), Some(key)) => (PathBuf::from(cert), PathBuf::from(key)),
        (None, None) => own(settings, data_dir)?,
        (cert, _) => {
            let missing = if cert.is_some() {
                "http.key"
            } else {
                "http.cert"
            };
            return Err(io::Error::other(format!(
                "`{missing}` is missing: a certificate and its key belong together"
            )));
        }
    };
    let unusable = |file: &Path| {
        let file = file.display().to_string();
        move |error: &dyn std::fmt::Display| {
            io::Error::other(format!(
                "{file} cannot be used for TLS: {error}; it is to be PEM"
            ))
        }
    };
    let certs =
        CertificateDer::pem_file_iter(&cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certs = certs.map_err(|error| unusable(&cert)(&error))?;
    if certs.is_empty() {
        return Err(unusable(&cert)(&"there is no certificate in it"));
    }
    let secret = PrivateKeyDer::from_pem_file(&key).map_err(|error| unusable(&key)(&error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(certs, secret)
        .map_err(|error| unusable(&cert)(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The kernel's own certificate, made once for the names that it has then.
fn own(settings: &HttpSettings, data_dir: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let [cert, key] = OWN.map(|name| data_dir.join(name));
    if cert.exists() && key.exists() {
        return Ok((cert, key));
    }
    let hosts = settings.hosts.as_deref().unwrap_or_default();
    let hosts = hosts
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty());
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"]
        .into_iter()
        .chain(hosts)
        .map(str::to_owned)
        .collect();
    names.extend(
        rustix::system::uname()
            .nodename()
            .to_str()
            .ok()
            .map(str::to_owned),
    );
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    // The key first: a certificate without its key would be taken for a whole pair.
    replace(&RealDisk, &key, made.signing_key.serialize_pem().as_bytes())?;
    replace(&RealDisk, &cert, made.cert.pem().as_bytes())?;
    tracing::warn!(cert = %cert.display(), "made a certificate; its readers have to be told to trust it");
    Ok((cert, key))
}
