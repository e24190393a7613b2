//! TLS between nodes: each shows a certificate of the CA that both trust, and is known by the name in it.
//!
//! The name is that of a node and not of a host, since a node may move. So a client takes whatever name the certificate
//! has, and whoever uses the connection compares it with the one that it wants. TLS 1.3 alone, and no session is gone on
//! with later: a certificate is looked at whenever a connection is opened.

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf, split};
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::Wire;

type Certificates = Vec<CertificateDer<'static>>;

/// Who a node is and whom it trusts: its certificate, the key of that, and the CA of all nodes.
#[derive(Clone)]
pub struct Identity {
    name: String,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.name).finish()
    }
}

impl Identity {
    /// Reads it from three PEM files.
    ///
    /// # Errors
    /// One of them cannot be read or is something else, the key is of another certificate, the certificate has no name, has
    /// run out, or is of another CA: other nodes would refuse it one by one.
    pub fn read(ca: &Path, cert: &Path, key: &Path) -> io::Result<Self> {
        let (identity, cas, certs) = Self::load(ca, cert, key)?;
        let (own, between) = certs.split_first().ok_or(io::ErrorKind::InvalidData)?;
        check(own, between, &cas, UnixTime::now()).map_err(|what| {
            let expected = format!(
                "it is to be signed by the CA of {}, for servers and clients",
                ca.display()
            );
            unusable(cert, &what, &expected)
        })?;
        Ok(identity)
    }

    /// Reads it without a look at whether others would take it.
    pub(super) fn load(
        ca: &Path,
        cert: &Path,
        key: &Path,
    ) -> io::Result<(Self, Certificates, Certificates)> {
        let pem = "it is to be PEM";
        let cas = certificates(ca)?;
        let added = store(&cas);
        let roots =
            added.map_err(|error| unusable(ca, &error, "it is to be the certificate of a CA"))?;
        let certs = certificates(cert)?;
        let Some(name) = certs.first().and_then(name_in) else {
            let expected = "its first DNS name is to be that of the node";
            return Err(unusable(cert, &"it names nobody", expected));
        };
        let secret =
            PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error, pem))?;
        let fits = |error: Error| {
            let expected = format!("it is to be the key of {}", cert.display());
            unusable(key, &error, &expected)
        };

        let provider = Arc::new(ring::default_provider());
        let anyone = AnyNode {
            roots: roots.clone(),
            algorithms: provider.signature_verification_algorithms,
        };
        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(anyone))
            .with_client_auth_cert(certs.clone(), secret.clone_key())
            .map_err(fits)?;
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?
            .with_client_cert_verifier(verifier(Arc::new(roots.clone()), &provider)?)
            .with_single_cert(certs.clone(), secret)
            .map_err(fits)?;
        server.send_tls13_tickets = 0;

        let (client, server) = (Arc::new(client), Arc::new(server));
        let identity = Self {
            name,
            client,
            server,
        };
        Ok((identity, cas, certs))
    }

    /// The name in its certificate.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn open(&self, stream: TcpStream, peer: String) -> io::Result<Wire> {
        // It is not sent, and no name is compared with it.
        let anyone = ServerName::try_from("node").map_err(io::Error::other)?;
        let stream = TlsConnector::from(self.client.clone())
            .connect(anyone, stream)
            .await;
        secured(stream.map_err(handshake)?.into(), peer)
    }

    pub(super) async fn take_in(&self, stream: TcpStream, peer: String) -> io::Result<Wire> {
        let stream = TlsAcceptor::from(self.server.clone()).accept(stream).await;
        secured(stream.map_err(handshake)?.into(), peer)
    }
}

/// The first DNS name in a certificate, which is the name of a node.
pub(crate) fn name_in(cert: &CertificateDer<'_>) -> Option<String> {
    let cert = webpki::EndEntityCert::try_from(cert).ok()?;
    let name = cert.valid_dns_names().next()?;
    (!name.contains('*')).then(|| name.to_owned())
}

/// Whether both sides of a connection take a certificate at `now`, if they trust `cas`; or what is wrong with it.
pub(crate) fn check(
    own: &CertificateDer<'_>,
    between: &[CertificateDer<'_>],
    cas: &[CertificateDer<'static>],
    now: UnixTime,
) -> Result<(), String> {
    let provider = ring::default_provider();
    let algorithms = provider.signature_verification_algorithms.all;
    let checked = store(cas).and_then(|roots| {
        let cert = ParsedCertificate::try_from(own)?;
        verify_server_cert_signed_by_trust_anchor(&cert, &roots, between, now, algorithms)?;
        let as_client = verifier(Arc::new(roots), &Arc::new(provider)).map_err(other)?;
        as_client.verify_client_cert(own, between, now).map(drop)
    });
    checked.map_err(|error| match error {
        Error::InvalidCertificate(fault) => about("it", &fault),
        error => error.to_string(),
    })
}

fn store(cas: &[CertificateDer<'static>]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for root in cas {
        roots.add(root.clone())?;
    }
    Ok(roots)
}

fn other(error: io::Error) -> Error {
    Error::General(error.to_string())
}

fn certificates(file: &Path) -> io::Result<Certificates> {
    let pem = "it is to be PEM";
    let certs =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certs = certs.map_err(|error| unusable(file, &error, pem))?;
    if certs.is_empty() {
        return Err(unusable(file, &"there is no certificate in it", pem));
    }
    Ok(certs)
}

fn unusable(file: &Path, error: &dyn fmt::Display, expected: &str) -> io::Error {
    io::Error::other(format!(
        "{} cannot be used for TLS: {error}; {expected}",
        file.display()
    ))
}

fn verifier(
    roots: Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> io::Result<Arc<dyn ClientCertVerifier>> {
    WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(io::Error::other)
}

fn secured(stream: TlsStream<TcpStream>, peer: String) -> io::Result<Wire> {
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().and_then(<[_]>::first);
    let Some(name) = shown.and_then(name_in) else {
        return Err(denied("the certificate of the other side names nobody"));
    };
    let (read, write) = split(stream);
    Ok(Wire {
        read: Box::new(Explained(read)),
        write: Box::new(write),
        peer,
        certified: Some(name),
    })
}

/// Any node whose certificate is of the CA: which one it is, is asked afterwards.
#[derive(Debug)]
struct AnyNode {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyNode {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let cert = ParsedCertificate::try_from(end_entity)?;
        let all = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&cert, &self.roots, intermediates, now, all)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn denied(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, text.into())
}

fn handshake(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset => {
            let text = "the other side has hung up before TLS was agreed on; does it speak TLS?";
            io::Error::new(error.kind(), text)
        }
        _ => explained(error),
    }
}

/// What is wrong with TLS, for people.
fn explained(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|error| error.downcast_ref());
    match cause {
        Some(Error::InvalidCertificate(fault)) => {
            denied(about("the certificate of the other side", fault))
        }
        Some(Error::NoCertificatesPresented) => denied("the other side shows no certificate"),
        Some(Error::InvalidMessage(_) | Error::InappropriateMessage { .. }) => {
            io::Error::new(io::ErrorKind::InvalidData, "the other side speaks no TLS")
        }
        Some(Error::AlertReceived(alert)) => denied(match alert {
            AlertDescription::UnknownCA | AlertDescription::DecryptError => {
                "the other side trusts another CA than that of this node's certificate".to_owned()
            }
            AlertDescription::CertificateExpired => {
                "the other side says that this node's certificate has run out".to_owned()
            }
            AlertDescription::CertificateRequired => {
                "the other side takes nobody without a certificate".to_owned()
            }
            alert => format!("the other side ends TLS: {alert:?}"),
        }),
        Some(error) => io::Error::new(io::ErrorKind::InvalidData, format!("TLS fails: {error}")),
        None => error,
    }
}

fn about(whose: &str, fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("{whose} has run out")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("{whose} is not valid yet")
        }
        // One of a CA with the same name, and of one with another.
        CertificateError::BadSignature | CertificateError::UnknownIssuer => {
            format!("{whose} is of another CA")
        }
        fault => format!("{whose} is not valid: {fault}"),
    }
}

/// With TLS 1.3 a client hears with what it reads first that its certificate is refused.
struct Explained<R>(R);

impl<R: AsyncRead + Unpin> AsyncRead for Explained<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf).map_err(explained)
    }
}
