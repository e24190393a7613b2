use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;

const HERE: &str = "127.0.0.1:0";

/// A CA in a folder of its own, which goes with it.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new(test: &str, name: &str) -> Self {
        let folder = format!("uk-tls-{test}-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate and its key, valid until the end of `year`.
    fn issue(&self, names: &[&str], year: i32) -> [PathBuf; 2] {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let file = format!("{}-{year}", names.join("-"));
        let [cert, key] =
            ["pem", "key.pem"].map(|ending| self.folder.join(format!("{file}.{ending}")));
        let secret = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(year, 12, 31);
        let made = params.signed_by(&secret, &self.issuer).unwrap();
        std::fs::write(&cert, made.pem()).unwrap();
        std::fs::write(&key, secret.serialize_pem()).unwrap();
        [cert, key]
    }

    fn identity(&self, name: &str) -> Identity {
        let [cert, key] = self.issue(&[name], 4000);
        Identity::read(&self.ca(), &cert, &key).unwrap()
    }

    /// One that other nodes have reason to refuse.
    fn doubtful(&self, trusts: &Self, year: i32) -> Identity {
        let [cert, key] = self.issue(&["doubtful"], year);
        Identity::load(&trusts.ca(), &cert, &key).unwrap().0
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn with(identity: Identity) -> TcpLink {
    TcpLink::new(Some(identity))
}

async fn taken_in(listener: &mut Box<dyn Listener>) -> io::Result<Wire> {
    listener.accept().await?.wire.await
}

/// What the client has and what the server has of a connection between them.
async fn meet(client: &TcpLink, server: &TcpLink) -> [io::Result<Wire>; 2] {
    let mut listener = server.listen(HERE).await.unwrap();
    let connecting = client.connect(&listener.address());
    let (near, far) = tokio::join!(connecting, taken_in(&mut listener));
    [near, far]
}

/// That bytes go both ways, more than fits into any buffer.
async fn check_flow(near: &mut Wire, far: &mut Wire) {
    let sent: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let (mut there, mut back) = (vec![0; sent.len()], vec![0; sent.len()]);
    let written = async {
        near.write.write_all(&sent).await.unwrap();
        near.write.flush().await.unwrap();
    };
    let answered = async {
        far.read.read_exact(&mut there).await.unwrap();
        far.write.write_all(&there).await.unwrap();
        far.write.flush().await.unwrap();
    };
    let read = async { near.read.read_exact(&mut back).await.map(drop).unwrap() };
    tokio::join!(written, answered, read);
    assert!(back == sent);
}

fn text<T>(result: io::Result<T>) -> String {
    result.err().unwrap().to_string()
}

/// What is said to a client whose certificate was refused: it hears of that when it reads.
async fn heard(wire: io::Result<Wire>) -> String {
    text(wire.unwrap().read.read(&mut [0]).await)
}

#[tokio::test]
async fn without_certificates_nodes_of_one_machine_talk() {
    let link = TcpLink::new(None);

    let [near, far] = meet(&link, &link).await;

    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    check_flow(&mut near, &mut far).await;
    assert_eq!([&near.certified, &far.certified], [&None, &None]);
    drop(far);
    assert_eq!(near.read.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn with_certificates_of_one_ca_each_knows_the_others_name() {
    let ca = Authority::new("good", "ours");
    let (client, server) = (with(ca.identity("edge-1")), with(ca.identity("hub")));

    let [near, far] = meet(&client, &server).await;

    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    assert_eq!(near.certified.as_deref(), Some("hub"));
    assert_eq!(far.certified.as_deref(), Some("edge-1"));
    assert!(far.peer.starts_with("127.0.0.1:"), "{}", far.peer);
    check_flow(&mut near, &mut far).await;
    near.write.shutdown().await.unwrap();
    assert_eq!(far.read.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_name_is_the_first_of_the_certificate() {
    let ca = Authority::new("names", "ours");
    let [cert, key] = ca.issue(&["127.0.0.1", "edge-1", "other"], 4000);
    let identity = Identity::read(&ca.ca(), &cert, &key).unwrap();

    assert_eq!(identity.name(), "edge-1");
}

#[tokio::test]
async fn another_ca_is_refused_whether_or_not_it_has_the_same_name() {
    let ours = Authority::new("ca-1", "ours");
    for name in ["ours", "theirs"] {
        let theirs = Authority::new("ca-2", name);
        let good = with(ours.identity("hub"));

        // Neither trusts the other: the client, which looks first, says so.
        let [near, far] = meet(&good, &with(theirs.identity("x"))).await;
        assert_eq!(
            text(near),
            "the certificate of the other side is of another CA"
        );
        let told = "the other side trusts another CA than that of this node's certificate";
        assert_eq!(text(far), told);

        // The client trusts the server, and the server does not trust the client.
        let [near, far] = meet(&with(theirs.doubtful(&ours, 4000)), &good).await;
        assert_eq!(
            text(far),
            "the certificate of the other side is of another CA"
        );
        assert_eq!(heard(near).await, told);
    }
}

#[tokio::test]
async fn a_certificate_that_has_run_out_is_refused() {
    let ca = Authority::new("old", "ours");
    let (good, old) = (with(ca.identity("hub")), with(ca.doubtful(&ca, 2020)));
    let refused = "the certificate of the other side has run out";
    let told = "the other side says that this node's certificate has run out";

    let [near, far] = meet(&good, &old).await;
    assert_eq!(text(near), refused);
    assert_eq!(text(far), told);

    let [near, far] = meet(&old, &good).await;
    assert_eq!(text(far), refused);
    assert_eq!(heard(near).await, told);
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let ca = Authority::new("none", "ours");
    let mut listener = with(ca.identity("hub")).listen(HERE).await.unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca.ca()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(listener.address()).await.unwrap();

    let name = ServerName::try_from("hub").unwrap();
    let (near, far) = tokio::join!(connector.connect(name, stream), taken_in(&mut listener));

    assert_eq!(text(far), "the other side shows no certificate");
    let error = near.unwrap().read(&mut [0]).await.unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
}

#[tokio::test]
async fn who_speaks_no_tls_to_a_port_with_it_is_refused() {
    let ca = Authority::new("plain", "ours");
    let server = with(ca.identity("hub"));
    let mut listener = server.listen(HERE).await.unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut words = vec![
        b"GET / HTTP/1.1\r\nhost: hub\r\n\r\n".to_vec(),
        vec![0, 0, 0, 16, 1, 0, b'u', b'n', b'i', b't', b'y'],
    ];
    words.extend((0..50).map(|_| {
        let mut word = vec![0; 64];
        rng.fill(&mut word);
        word
    }));

    for word in words {
        let mut near = TcpLink::new(None)
            .connect(&listener.address())
            .await
            .unwrap();
        near.write.write_all(&word).await.unwrap();
        near.write.shutdown().await.unwrap();
        let error = taken_in(&mut listener).await.unwrap_err();
        let kinds = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
        assert!(kinds.contains(&error.kind()), "{word:?}: {error:?}");
        assert!(
            error.to_string().contains("TLS"),
            "{word:?}: {error}, {:?}",
            error.kind()
        );
    }

    let client = with(ca.identity("edge-1"));
    let (near, far) = tokio::join!(client.connect(&listener.address()), taken_in(&mut listener));
    check_flow(&mut near.unwrap(), &mut far.unwrap()).await;
}

#[tokio::test]
async fn a_port_without_tls_is_no_place_for_who_speaks_it() {
    let ca = Authority::new("port", "ours");
    let client = with(ca.identity("edge-1"));
    let mut listener = TcpLink::new(None).listen(HERE).await.unwrap();
    let address = listener.address();

    let answers = async {
        let mut far = taken_in(&mut listener).await.unwrap();
        far.read.read_exact(&mut [0; 5]).await.unwrap();
        far.write.write_all(b"what is that?").await.unwrap();
        // Until the other side is gone.
        drop(far.read.read_to_end(&mut Vec::new()).await);
    };
    let (near, ()) = tokio::join!(client.connect(&address), answers);
    assert_eq!(text(near), "the other side speaks no TLS");

    let hangs_up = async {
        let mut far = taken_in(&mut listener).await.unwrap();
        far.read.read_exact(&mut [0; 5]).await.unwrap();
    };
    let (near, ()) = tokio::join!(client.connect(&address), hangs_up);
    let hung_up = "the other side has hung up before TLS was agreed on; does it speak TLS?";
    assert_eq!(text(near), hung_up);
}

#[tokio::test]
async fn those_who_say_nothing_hold_nobody_up() {
    let ca = Authority::new("silent", "ours");
    let mut listener = with(ca.identity("hub")).listen(HERE).await.unwrap();
    let client = with(ca.identity("edge-1"));
    let (mut silent, mut waiting) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        silent.push(TcpStream::connect(listener.address()).await.unwrap());
        waiting.push(listener.accept().await.unwrap().wire);
    }

    let nobody = futures_util::future::select_all(waiting);
    let (near, far) = tokio::select! {
        biased;
        (wire, ..) = nobody => panic!("{wire:?}"),
        both = async { tokio::join!(client.connect(&listener.address()), taken_in(&mut listener)) } => both,
    };

    check_flow(&mut near.unwrap(), &mut far.unwrap()).await;
    assert_eq!(silent.len(), 50);
}

#[tokio::test]
async fn who_hangs_up_in_the_middle_is_one_clear_line() {
    let ca = Authority::new("half", "ours");
    let mut listener = with(ca.identity("hub")).listen(HERE).await.unwrap();
    drop(TcpStream::connect(listener.address()).await.unwrap());

    let far = taken_in(&mut listener).await;

    let hung_up = "the other side has hung up before TLS was agreed on; does it speak TLS?";
    assert_eq!(text(far), hung_up);
}

#[tokio::test]
async fn beyond_this_machine_there_is_no_way_without_tls() {
    let link = TcpLink::new(None);
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7946", "[2001:db8::1]:1"] {
        let expected = format!(
            "{address} is beyond this machine, where nodes need TLS: give each a certificate of one CA, which \
             `uk node ca` makes"
        );
        assert_eq!(text(link.connect(address).await), expected);
        assert_eq!(text(link.listen(address).await.map(drop)), expected);
    }
    for address in [
        "127.0.0.1:1",
        "127.8.9.10:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        assert!(link.resolve(address).await.is_ok(), "{address}");
    }

    let ca = Authority::new("beyond", "ours");
    let link = with(ca.identity("hub"));
    assert!(link.resolve("192.0.2.1:7946").await.is_ok());
}

#[tokio::test]
async fn what_is_no_address_is_said_to_be_none() {
    let link = TcpLink::new(None);
    for address in ["edge-1", "edge-1:99999", ""] {
        let expected = format!("{address} is no address: one is a host and a port, `edge-1:7946`");
        assert_eq!(text(link.connect(address).await), expected);
        assert_eq!(text(link.listen(address).await.map(drop)), expected);
    }
}

#[tokio::test]
async fn each_address_of_a_name_is_tried_in_turn() {
    let mut listener = TcpLink::new(None).listen(HERE).await.unwrap();
    let good: SocketAddr = listener.address().parse().unwrap();
    // That nobody has while this holds it without listening.
    let held = TcpSocket::new_v4().unwrap();
    held.bind(HERE.parse().unwrap()).unwrap();
    let bad = held.local_addr().unwrap();

    let stream = reach("edge-1:1", &[bad, good]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), good);
    let error = reach("edge-1:1", &[bad]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().starts_with("edge-1:1: "), "{error}");

    let by_name = format!("localhost:{}", good.port());
    let (near, _) = tokio::join!(TcpLink::new(None).connect(&by_name), listener.accept());
    assert_eq!(near.unwrap().peer, by_name);
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let link = TcpLink::new(None);
    let first = link.listen(HERE).await.unwrap();

    let error = link.listen(&first.address()).await.err().unwrap();

    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with(&first.address()), "{error}");
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let ours = Authority::new("files-1", "ours");
    let theirs = Authority::new("files-2", "theirs");
    let [cert, key] = ours.issue(&["hub"], 4000);
    let [old, old_key] = ours.issue(&["hub"], 2020);
    let [nobody, nobody_key] = ours.issue(&["127.0.0.1"], 4000);
    let [wild, wild_key] = ours.issue(&["*.hub"], 4000);
    let [_, other_key] = ours.issue(&["other"], 4000);
    let [missing, empty, noise] = ["missing", "empty", "noise"].map(|name| ours.folder.join(name));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&noise, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    let ca = ours.ca();

    let rows = [
        [&missing, &cert, &key, &missing],
        [&empty, &cert, &key, &empty],
        [&noise, &cert, &key, &noise],
        [&ca, &missing, &key, &missing],
        [&ca, &empty, &key, &empty],
        [&ca, &key, &key, &key],
        [&ca, &cert, &missing, &missing],
        [&ca, &cert, &cert, &cert],
        [&ca, &cert, &other_key, &other_key],
        [&ca, &old, &old_key, &old],
        [&ca, &nobody, &nobody_key, &nobody],
        [&ca, &wild, &wild_key, &wild],
        [&theirs.ca(), &cert, &key, &cert],
    ];
    let said: Vec<String> = rows
        .iter()
        .map(|[ca, cert, key, named]| {
            let said = text(Identity::read(ca, cert, key));
            let begin = format!("{} cannot be used for TLS: ", named.display());
            let said = said.strip_prefix(&begin).map(str::to_owned);
            said.unwrap_or_else(|| panic!("not about {}", named.display()))
        })
        .collect();

    let has = |row: usize, words: &str| assert!(said[row].contains(words), "{row}: {}", said[row]);
    has(0, "it is to be PEM");
    has(1, "there is no certificate in it; it is to be PEM");
    has(4, "there is no certificate in it; it is to be PEM");
    has(8, &format!("it is to be the key of {}", cert.display()));
    has(
        9,
        &format!(
            "it has run out; it is to be signed by the CA of {}",
            ca.display()
        ),
    );
    has(
        10,
        "it names nobody; its first DNS name is to be that of the node",
    );
    has(11, "it names nobody");
    has(12, "it is of another CA; it is to be signed by the CA of ");
}
