//! HTTP over TCP: who is let in, what they may do, and what is refused.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::harness::{Folder, Rig, TREE};
use crate::nodes;

/// A kernel that listens on a free port of this machine.
pub(crate) struct Web {
    pub(crate) rig: Rig,
    pub(crate) address: SocketAddr,
}

/// An answer: status, head and body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn cookie(&self) -> &str {
        let mut lines = self.head.lines();
        lines
            .find_map(|line| line.strip_prefix("set-cookie: "))
            .unwrap()
    }
}

impl Web {
    pub(crate) fn boot() -> Self {
        Self::listening("127.0.0.1:0")
    }

    fn listening(listen: &str) -> Self {
        let folder = Folder::new();
        folder.file("tree.yaml", TREE);
        let process = Rig::spawn(&folder, &["--listen", listen]);
        let rig = Rig { folder, process }.until_booted();
        let opened = rig.json(&["open"]);
        let address = opened["address"].as_str().unwrap().parse().unwrap();
        Self { rig, address }
    }

    pub(crate) fn token(&self, args: &[&str]) -> String {
        let made = self
            .rig
            .json(&[&["token", "create", "--scope"], args].concat());
        made["token"].as_str().unwrap().to_owned()
    }

    /// Sends a request with these lines in its head.
    fn send(&self, request: &str, heads: &[&str], body: &str) -> Answer {
        let stream = TcpStream::connect(self.address).unwrap();
        self.send_over(stream, request, heads, body)
    }

    pub(crate) fn send_over(
        &self,
        mut stream: TcpStream,
        request: &str,
        heads: &[&str],
        body: &str,
    ) -> Answer {
        let host = format!("host: localhost:{}", self.address.port());
        let mut head = format!(
            "{request} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        let named = heads.iter().any(|line| line.starts_with("host:"));
        for line in heads
            .iter()
            .copied()
            .chain((!named).then_some(host.as_str()))
        {
            head.push_str(&format!("{line}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        drop(stream.write_all(body.as_bytes()));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Answer {
            status: status.unwrap_or(0),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn as_token(&self, token: &str, request: &str, body: &str) -> Answer {
        self.send(request, &[&format!("authorization: Bearer {token}")], body)
    }

    /// The request that uses the link of `uk open`.
    fn login(&self, opened: &Value) -> String {
        let url = opened["url"].as_str().unwrap();
        let port = format!(":{}", self.address.port());
        format!("GET {}", url.split_once(&port).unwrap().1)
    }

    /// Logs in by the link of `uk open`; returns the head that its page sends from then on.
    fn log_in(&self, opened: &Value) -> String {
        let answer = self.send(&self.login(opened), &[], "");
        format!("cookie: {}", answer.cookie().split(';').next().unwrap())
    }

    /// Opens a stream, and reads from it a message at a time.
    pub(crate) fn follow(&self, token: &str, query: &str, last: Option<&str>) -> Follower {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let last = last
            .map(|last| format!("last-event-id: {last}\r\n"))
            .unwrap_or_default();
        let head = format!(
            "GET /api/v1/stream?{query} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n{last}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        Follower(BufReader::new(stream))
    }
}

pub(crate) struct Follower(BufReader<TcpStream>);

/// A message of a stream.
#[derive(Debug, Default)]
pub(crate) struct Message {
    id: String,
    pub(crate) event: String,
    data: Value,
}

impl Follower {
    /// The next message; `None` at the end of the stream.
    fn next(&mut self) -> Option<Message> {
        let mut message = Message::default();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut message.id),
                Some(("event", event)) => event.clone_into(&mut message.event),
                Some(("data", data)) => message.data = serde_json::from_str(data).unwrap(),
                _ if line == "\n" && !message.event.is_empty() => return Some(message),
                _ => {}
            }
        }
    }

    pub(crate) fn until(&mut self, is_wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            let message = self.next().unwrap();
            if is_wanted(&message) {
                return message;
            }
        }
    }
}

#[test]
fn who_shows_nothing_or_something_wrong_is_nobody() {
    let web = Web::boot();
    let revoked = web.rig.json(&["token", "create", "--scope", "admin"]);
    let expired = web.token(&["admin", "--expires", "1ms"]);
    web.rig
        .json(&["token", "revoke", revoked["id"].as_str().unwrap()]);

    for (heads, why) in [
        (vec![], "who is there?"),
        (
            vec!["authorization: Bearer uk_0"],
            "no token of this kernel",
        ),
        (vec!["authorization: Basic dTpw"], "no token of this kernel"),
        (
            vec![&*format!(
                "authorization: Bearer {}",
                revoked["token"].as_str().unwrap()
            )],
            "no token of this kernel",
        ),
        (
            vec![&*format!("authorization: Bearer {expired}")],
            "was good once",
        ),
        (
            vec![&*format!("cookie: uk_session_{}=0", web.address.port())],
            "no token of this kernel",
        ),
    ] {
        let answer = web.send("GET /api/v1/tree", &heads, "");
        assert_eq!(answer.status, 401, "{heads:?} {answer:?}");
        assert!(
            answer.body.contains(why) && answer.head.contains("www-authenticate: Bearer"),
            "{answer:?}"
        );
    }
    for open in ["/livez", "/readyz"] {
        assert_eq!(
            web.send(&format!("GET {open}"), &[], "").status,
            200,
            "{open}"
        );
    }
}

#[test]
fn a_guesser_is_slowed_down() {
    let web = Web::boot();
    let mut statuses = (0..40).map(|_| {
        web.send("GET /api/v1/tree", &["authorization: Bearer uk_0"], "")
            .status
    });

    assert!(statuses.any(|status| status == 429));
    let token = web.token(&["read"]);
    assert_eq!(web.as_token(&token, "GET /api/v1/tree", "").status, 200);
}

#[test]
fn a_token_may_what_its_scope_and_bounds_say() {
    let web = Web::boot();
    let (read, operate, admin) = (
        web.token(&["read"]),
        web.token(&["operate"]),
        web.token(&["admin"]),
    );
    let bound = web.token(&["operate", "--path", "/group", "--topic", "sensor.*"]);
    let life = |path: &str| web.rig.json(&["tree", path])["tree"]["incarnation"].clone();

    for (token, request, body, status) in [
        (&read, "GET /api/v1/tree", "", 200),
        (&read, "POST /api/v1/kill", r#"{"path":"/a"}"#, 403),
        // Rights come before the body.
        (&read, "POST /api/v1/kill", "no JSON", 403),
        (&read, "GET /api/v1/token/list", "", 403),
        (&operate, "POST /api/v1/kill", r#"{"path":"/b"}"#, 200),
        (&operate, "POST /api/v1/delete", r#"{"path":"/b"}"#, 403),
        (&operate, "POST /api/v1/shutdown", "", 403),
        (&admin, "POST /api/v1/stop", r#"{"path":"/b"}"#, 200),
        (&admin, "POST /api/v1/delete", r#"{"path":"/b"}"#, 200),
        (&bound, "POST /api/v1/kill", r#"{"path":"/a"}"#, 403),
        (&bound, "POST /api/v1/kill", r#"{"path":"/group/one"}"#, 200),
        (&bound, "GET /api/v1/tree", "", 403),
        (&bound, "GET /api/v1/tree?path=/group", "", 200),
        (&bound, "GET /api/v1/health", "", 200),
        (
            &bound,
            "POST /api/v1/events/publish",
            r#"{"topic":"sensor.x","data":1}"#,
            200,
        ),
        (
            &bound,
            "POST /api/v1/events/publish",
            r#"{"topic":"action.x","data":1}"#,
            403,
        ),
        (&bound, "GET /api/v1/stream?tree=true", "", 403),
    ] {
        let answer = web.as_token(token, request, body);
        assert_eq!(answer.status, status, "{request} {body} {answer:?}");
    }
    assert_eq!((life("/a"), life("/group/one")), (1.into(), 2.into()));
}

/// What a token for `/group` and `sensor.*` may not, whatever its scope, though each names something within.
const BEYOND: &[(&str, &str)] = &[
    // Where something goes does not say whose it was.
    ("dlq/retry", r#"{"all":true,"to":"/group/one"}"#),
    ("dlq/retry", r#"{"ids":["1"],"to":"/group/one"}"#),
    ("events/replay", r#"{"to":"/group/one"}"#),
    // There is one replay in a kernel.
    ("events/replay", r#"{"pattern":"sensor.*","stop":true}"#),
    // Nobody speaks for others, or makes a token for more than they have.
    (
        "events/publish",
        r#"{"topic":"sensor.x","data":1,"source":"/a"}"#,
    ),
    (
        "token/create",
        r#"{"scope":"admin","topic":"sensor.x","path":"/"}"#,
    ),
];

#[test]
fn a_bound_token_reaches_nothing_beyond() {
    let web = Web::boot();
    let bound = web.token(&["admin", "--path", "/group", "--topic", "sensor.*"]);
    let status = |request: &str, body: &str| web.as_token(&bound, request, body).status;

    for (words, body) in BEYOND {
        let beyond = status(&format!("POST /api/v1/{words}"), body);
        assert_eq!(beyond, 403, "{words} {body}");
    }
    for beyond in [
        "config/get?target=system",
        "trace?path=/group&topic=*",
        "logs",
    ] {
        assert_eq!(
            status(&format!("GET /api/v1/{beyond}"), ""),
            403,
            "{beyond}"
        );
    }
    let own = r#"{"topic":"sensor.x","data":1,"source":"/group/one"}"#;
    assert_eq!(status("POST /api/v1/events/publish", own), 200);
    let own = r#"{"all":true,"path":"/group","to":"/group/one"}"#;
    assert_eq!(status("POST /api/v1/dlq/retry", own), 200);
}

#[test]
fn to_look_into_a_stream_is_to_read() {
    let web = Web::boot();
    let read = web.token(&["read"]);
    let status = |body: &str| {
        web.as_token(&read, "POST /api/v1/streams/read", body)
            .status
    };

    assert_eq!(status(r#"{"stream":"nowhere"}"#), 404);
    // To have it handed out changes something.
    let handed = r#"{"stream":"nowhere","group":"g","consumer":"c"}"#;
    assert_eq!(status(handed), 403);
}

#[test]
fn lines_that_follow_end_with_the_token_that_asked_for_them() {
    let web = Web::boot();
    let revoked = web.rig.json(&["token", "create", "--scope", "read"]);
    let token = revoked["token"].as_str().unwrap();
    let mut streams: Vec<TcpStream> = ["logs?follow=true", "events/tail?pattern=*"]
        .into_iter()
        .map(|what| {
            let mut stream = TcpStream::connect(web.address).unwrap();
            let head = format!("GET /api/v1/{what} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            // That it answers says that it listens.
            assert!(stream.read(&mut [0; 12]).unwrap() > 0);
            stream
        })
        .collect();

    web.rig
        .json(&["token", "revoke", revoked["id"].as_str().unwrap()]);
    web.rig
        .json(&["events", "publish", "sensor.after", "\"not for them\""]);
    web.rig.json(&["kill", "/a"]);

    for stream in &mut streams {
        let mut rest = String::new();
        drop(stream.read_to_string(&mut rest));
        assert!(!rest.contains("not for them"), "{rest}");
    }
}

#[test]
fn a_forged_host_or_origin_is_refused() {
    let web = Web::boot();
    let token = format!("authorization: Bearer {}", web.token(&["admin"]));
    let port = web.address.port();

    for (head, status) in [
        (format!("host: localhost:{port}"), 200),
        (format!("host: 127.0.0.1:{port}"), 200),
        (format!("host: [::1]:{port}"), 200),
        ("host: evil.example".to_owned(), 403),
        ("host: localhost.evil.example".to_owned(), 403),
        ("host: 10.0.0.1".to_owned(), 403),
        ("host:".to_owned(), 403),
        ("host: localhost\r\nhost: evil.example".to_owned(), 403),
        ("origin: http://evil.example".to_owned(), 403),
        ("origin: null".to_owned(), 403),
        (format!("origin: https://localhost:{port}"), 403),
        (format!("origin: http://localhost:{port}"), 200),
    ] {
        let answer = web.send("GET /api/v1/health", &[&token, &head], "");
        assert_eq!(answer.status, status, "{head} {answer:?}");
    }
    web.rig.json(&[
        "config",
        "set",
        "system",
        "http.hosts=kernel.example, other.example",
        "--tree",
        "tree.yaml",
    ]);
    // The file is looked at in a moment.
    while web
        .send("GET /api/v1/health", &[&token, "host: kernel.example"], "")
        .status
        != 200
    {}
}

#[test]
fn a_page_logs_in_once_and_says_that_it_is_the_page() {
    let web = Web::boot();
    let opened = web.rig.json(&["open"]);
    let login = web.login(&opened);

    let first = web.send(&login, &[], "");
    let again = web.send(&login, &[], "");

    assert_eq!((first.status, again.status), (303, 403));
    for wrong in ["GET /login", "GET /login?code=a&code=b"] {
        let answer = web.send(wrong, &[], "");
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (400, &json!("usage"))
        );
    }
    let cookie = first.cookie();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = format!("cookie: {}", cookie.split(';').next().unwrap());
    let kill = |heads: &[&str]| {
        web.send("POST /api/v1/kill", heads, r#"{"path":"/a"}"#)
            .status
    };
    assert_eq!(web.send("GET /api/v1/tree", &[&cookie], "").status, 200);
    assert_eq!(kill(&[&cookie]), 403);
    assert_eq!(kill(&[&cookie, "x-uk-page: 1"]), 200);
}

#[test]
fn a_page_that_a_token_opened_ends_with_the_token() {
    let web = Web::boot();
    let made = web.rig.json(&["token", "create", "--scope", "admin"]);
    let opened = web.as_token(made["token"].as_str().unwrap(), "POST /api/v1/open", "");
    let cookie = web.log_in(&opened.json());
    let tree = |heads: &[&str]| web.send("GET /api/v1/tree", heads, "").status;
    // What the page opens is of the same token.
    let page = [cookie.as_str(), "x-uk-page: 1"];
    let again = web.log_in(&web.send("POST /api/v1/open", &page, "").json());
    assert_eq!((tree(&[&cookie]), tree(&[&again])), (200, 200));
    let of_user = web.log_in(&web.rig.json(&["open"]));

    web.rig
        .json(&["token", "revoke", made["id"].as_str().unwrap()]);

    assert_eq!((tree(&[&cookie]), tree(&[&again])), (401, 401));
    assert_eq!(tree(&[&of_user]), 200);
    let wrong = web.send("POST /api/v1/open", &page, r#"{"by":"uid 0"}"#);
    assert_eq!(wrong.status, 401);
    let forged = [of_user.as_str(), "x-uk-page: 1"];
    let forged = web.send("POST /api/v1/open", &forged, r#"{"by":"uid 0"}"#);
    assert_eq!(forged.status, 400, "{forged:?}");
}

#[test]
fn what_does_not_fit_is_told_and_does_nothing() {
    let web = Web::boot();
    let admin = web.token(&["admin"]);
    let before = web.rig.json(&["tree"])["tree"].clone();
    let note = json!({ "scope": "read", "note": "x".repeat(201) }).to_string();

    for (request, body, status) in [
        ("POST /api/v1/kill", "{", 400),
        ("POST /api/v1/kill", "[]", 400),
        ("POST /api/v1/kill", r#"{"path":7}"#, 400),
        ("POST /api/v1/kill", r#"{"path":"/a","reson":"x"}"#, 400),
        ("POST /api/v1/kill", "", 400),
        ("POST /api/v1/kill", r#"{"path":"/nobody"}"#, 404),
        ("GET /api/v1/kill", "", 405),
        ("GET /api/v1/nothing", "", 404),
        ("GET /api/v1/tree?path=a", "", 400),
        ("GET /api/v1/tree?path=/a&path=/b", "", 400),
        ("GET /api/v1/stream", "", 409),
        ("GET /api/v1/bridge", "", 426),
        ("GET /api/v1/trace", "", 409),
        ("GET /api/v1/trace?path=/a&for_ms=3600001", "", 400),
        ("POST /api/v1/release", r#"{"path":"/a","all":true}"#, 409),
        ("POST /api/v1/login", "", 404),
        ("POST /login", "", 405),
        ("GET /mcp", "", 405),
        ("POST /mcp", "{", 406),
        (
            "POST /api/v1/token/create",
            r#"{"scope":"read","expires_ms":0}"#,
            400,
        ),
        ("POST /api/v1/token/create", &note, 400),
        ("GET /api/v1/stream?tree=maybe", "", 400),
        ("GET /api/v1/stream?events=a..b", "", 400),
        ("POST /api/v1/kill", &"x".repeat((1 << 20) + 1), 413),
    ] {
        let answer = web.as_token(&admin, request, body);
        assert_eq!(answer.status, status, "{request} {answer:?}");
        let error = answer.json()["error"].clone();
        assert!(error["message"].is_string(), "{request} {answer:?}");
    }
    // A hundred megabytes are refused by their number: nobody has to send them.
    let mut stream = TcpStream::connect(web.address).unwrap();
    let head = format!(
        "POST /api/v1/kill HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {admin}\r\ncontent-length: 104857600\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    assert!(line.contains("413"), "{line}");
    assert_eq!(web.rig.json(&["tree"])["tree"], before);
}

#[test]
fn a_change_is_in_the_audit_with_who_made_it() {
    let web = Web::boot();
    let made = web.rig.json(&["token", "create", "--scope", "operate"]);
    let token = made["token"].as_str().unwrap();
    web.as_token(
        token,
        "POST /api/v1/kill",
        r#"{"path":"/a","reason":"drill"}"#,
    );
    web.as_token(token, "POST /api/v1/kill", r#"{"path":"/nobody"}"#);

    let read = web
        .rig
        .uk(&["streams", "read", "audit", "--from", "start", "--json"]);
    let entries: Vec<Value> = read
        .out
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let all = Value::from(entries).to_string();

    assert!(!all.contains(token), "{all}");
    for part in [
        r#""command":"token create""#,
        r#""args":{"path":"/a","reason":"drill"},"command":"kill","error":null,"ok":true"#,
        r#""ok":false"#,
        made["id"].as_str().unwrap(),
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
}

#[test]
fn a_change_is_in_the_audit_though_nobody_waited_for_it() {
    let web = Web::boot();
    let token = web.token(&["operate"]);
    web.rig.json(&["tell", "/a", r#"{"busy":"8s"}"#]);
    // A stop overtakes what only waits.
    web.rig.until(&["tree", "/a"], |tree| {
        tree["tree"]["mailbox"]["handled"] == 1
    });

    let mut stream = TcpStream::connect(web.address).unwrap();
    let body = r#"{"path":"/a"}"#;
    let head = format!(
        "POST /api/v1/stop HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    web.rig
        .until(&["tree", "/a"], |tree| tree["tree"]["state"] == "stopping");
    drop(stream);

    let read = ["streams", "read", "audit", "--from", "start", "--json"];
    while !web
        .rig
        .uk(&read)
        .out
        .contains("went away before the answer")
    {}
}

#[test]
fn a_port_that_is_taken_quarantines_the_listener_and_nothing_else() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    let process = Rig::spawn(&folder, &["--listen", &address]);
    let rig = Rig { folder, process }.until_booted();

    rig.until(&["tree", "/system/http"], |tree| {
        tree["tree"]["state"] == "quarantined"
    });
    let why = rig.uk(&["why", "/system/http"]);
    assert!(
        why.out.contains("cannot listen on") && why.out.contains(&address),
        "{why:?}"
    );
    assert_eq!(rig.json(&["tree"])["mode"], "normal");

    drop(taken);
    rig.json(&["release", "/system/http"]);
    assert_eq!(rig.json(&["open"])["address"], json!(address));
}

#[test]
fn the_listener_goes_where_its_setting_says() {
    let rig = Rig::boot();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let listen = format!("http.listen={free}");
    rig.json(&["config", "set", "system", &listen, "--tree", "tree.yaml"]);

    let mut last = Value::Null;
    while last["address"] != json!(free.to_string()) {
        last = rig.json(&["open"]);
    }
    assert!(TcpStream::connect(free).is_ok());
}

#[test]
fn a_stream_tells_of_changes_and_is_taken_up_where_it_was() {
    let web = Web::boot();
    let token = web.token(&["read"]);
    let query = "tree=true&events=drill.*";
    let mut first = web.follow(&token, query, None);

    let hello = first.next().unwrap();
    assert_eq!(
        (hello.event.as_str(), &hello.data["node"]),
        ("hello", &json!("rig"))
    );
    let whole = first.next().unwrap();
    assert_eq!(whole.event, "tree");
    assert!(whole.data["tree"]["children"].as_array().unwrap().len() > 3);

    web.rig.json(&["kill", "/a"]);
    let is_second_life = |message: &Message| {
        let changed = message.data["changed"].as_array();
        changed.is_some_and(|all| {
            all.iter()
                .any(|node| node["path"] == "/a" && node["incarnation"] == 2)
        })
    };
    let change = first.until(is_second_life);
    web.rig.json(&["events", "publish", "drill.one", "1"]);
    let events = first.until(|message| message.event == "events");
    assert_eq!(events.data["events"][0]["topic"], "drill.one");
    drop(first);

    let mut again = web.follow(&token, query, Some(&change.id));
    assert_eq!(again.next().unwrap().event, "hello");
    let next = again.until(|message| message.event != "change");
    assert_eq!((next.event, next.id), (events.event, events.id));

    let mut lost = web.follow(&token, query, Some("0-1"));
    let told: Vec<String> = (0..3).map(|_| lost.next().unwrap().event).collect();
    assert_eq!(told, ["hello", "resync", "tree"]);
}

#[test]
fn a_stream_of_the_tree_says_that_nodes_came_or_went() {
    let web = Web::boot();
    let edge = nodes::node("edge-1", "127.0.0.1:0");
    let token = web.token(&["read"]);
    let mut stream = web.follow(&token, "tree=true", None);
    stream.until(|message| message.event == "tree");
    let mut until = |state: &str| {
        let mut seen = json!([]);
        while seen[0]["state"] != state {
            stream.until(|message| message.event == "nodes");
            seen = web.rig.json(&["node", "list"])["nodes"].take();
        }
    };

    web.rig.json(&["node", "attach", &nodes::address(&edge)]);
    until("up");
    web.rig.json(&["node", "drain", "edge-1"]);
    until("draining");
    drop(edge);
    until("down");
}

#[test]
fn a_stream_ends_with_its_token() {
    let web = Web::boot();
    let made = web.rig.json(&["token", "create", "--scope", "read"]);
    let mut stream = web.follow(made["token"].as_str().unwrap(), "tree=true", None);
    stream.until(|message| message.event == "tree");

    web.rig
        .json(&["token", "revoke", made["id"].as_str().unwrap()]);
    web.rig.json(&["kill", "/a"]);
    while stream.next().is_some() {}
}

#[test]
fn beyond_this_machine_it_speaks_tls() {
    let web = Web::listening("0.0.0.0:0");
    let token = web.token(&["read"]);
    let cert = web.rig.folder.path().join("unity-kernel/rig/http.cert.pem");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(cert).unwrap())
        .unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = tokio_rustls::rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tcp = TcpStream::connect(("127.0.0.1", web.address.port())).unwrap();
    let mut tls = tokio_rustls::rustls::Stream::new(&mut client, &mut tcp);

    let head = format!(
        "GET /api/v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    tls.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    tls.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    // Who speaks plainly there gets nothing.
    let plain = web.as_token(&token, "GET /api/v1/health", "");
    assert_eq!(plain.status, 0, "{plain:?}");
}
