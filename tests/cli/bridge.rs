//! Programs at the bridge: a WebSocket by hand, over TCP.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::http::Web;

/// A client of RFC 6455. Its mask is zero, so that what it sends is what stands there.
struct Bridge(BufReader<TcpStream>);

impl Bridge {
    fn open(web: &Web, token: &str) -> Self {
        let (stream, head) = Self::knock(web, token);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self(BufReader::new(stream))
    }

    /// Asks for one; returns the head of the answer.
    fn knock(web: &Web, token: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(web.address).unwrap();
        let head = format!(
            "GET /api/v1/bridge HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        (stream, String::from_utf8(head).unwrap())
    }

    fn send_frame(&mut self, kind: u8, data: &[u8]) {
        let mut frame = vec![0x80 | kind, 0x80 | 127];
        frame.extend(u64::try_from(data.len()).unwrap().to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(data);
        // The other side may have ended.
        drop(self.0.get_mut().write_all(&frame));
    }

    fn send(&mut self, document: &Value) {
        self.send_frame(1, document.to_string().as_bytes());
    }

    /// The next document, or why there is none any more.
    fn next(&mut self) -> Result<Value, String> {
        loop {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).unwrap();
            let len = match head[1] {
                126 => {
                    let mut len = [0; 2];
                    self.0.read_exact(&mut len).unwrap();
                    usize::from(u16::from_be_bytes(len))
                }
                127 => {
                    let mut len = [0; 8];
                    self.0.read_exact(&mut len).unwrap();
                    usize::try_from(u64::from_be_bytes(len)).unwrap()
                }
                len => usize::from(len),
            };
            let mut data = vec![0; len];
            self.0.read_exact(&mut data).unwrap();
            match head[0] & 15 {
                1 => return Ok(serde_json::from_slice(&data).unwrap()),
                8 => return Err(String::from_utf8(data[2..].to_vec()).unwrap()),
                _ => {}
            }
        }
    }

    fn asked(&mut self, document: &Value) -> Value {
        self.send(document);
        self.next().unwrap()
    }

    /// The next deliveries: the data of each, and its position.
    fn delivered(&mut self, times: usize) -> Vec<(Value, Value)> {
        (0..times)
            .map(|_| {
                let delivery = self.next().unwrap();
                let data = delivery["event"]["data"].clone();
                assert!(!data.is_null(), "{delivery}");
                (data, delivery["position"].clone())
            })
            .collect()
    }

    fn publish(&mut self, topic: &str, numbers: impl Iterator<Item = usize>) {
        for number in numbers {
            let said = self
                .asked(&json!({ "id": number, "op": "publish", "topic": topic, "data": number }));
            assert!(said["ok"]["event"].is_string(), "{said}");
        }
    }
}

/// What a group reads of the stream `sensor`.
fn group() -> Value {
    json!({ "id": 2, "op": "subscribe", "stream": "sensor", "group": "brain" })
}

fn ack(position: &Value) -> Value {
    json!({ "id": 3, "op": "ack", "subscription": 2, "position": position })
}

fn data(delivered: &[(Value, Value)]) -> Vec<u64> {
    delivered
        .iter()
        .map(|(data, _)| data.as_u64().unwrap())
        .collect()
}

#[test]
fn what_one_publishes_another_hears_and_a_long_ask_delays_nothing() {
    let web = Web::boot();
    let token = web.token(&["operate"]);
    let (mut one, mut other) = (Bridge::open(&web, &token), Bridge::open(&web, &token));

    let subscribed =
        other.asked(&json!({ "id": "hear", "op": "subscribe", "pattern": "sensor.*" }));
    assert_eq!(
        subscribed,
        json!({ "id": "hear", "ok": { "subscription": "hear" } })
    );
    let said = one
        .asked(&json!({ "id": 1, "op": "publish", "topic": "sensor.x", "data": { "open": true } }));
    let heard = other.next().unwrap();
    assert_eq!(
        (&heard["subscription"], &heard["event"]["id"]),
        (&json!("hear"), &said["ok"]["event"])
    );
    assert_eq!(heard["event"]["data"], json!({ "open": true }));

    let echo = json!({ "id": 5, "op": "ask", "path": "/a", "message": { "echo": 7 }, "timeout_ms": 600_000 });
    web.rig.json(&["suspend", "/a"]);
    one.send(&echo);
    one.publish("sensor.x", 2..4);
    let told =
        one.asked(&json!({ "id": 6, "op": "tell", "path": "/b", "message": { "count": null } }));
    assert_eq!(told, json!({ "id": 6, "ok": { "told": "/b" } }));
    web.rig.json(&["resume", "/a"]);
    assert_eq!(
        one.next().unwrap(),
        json!({ "id": 5, "ok": { "answer": 7 } })
    );
    assert_eq!(data(&other.delivered(2)), [2, 3]);
}

#[test]
fn a_group_goes_on_where_it_was() {
    let web = Web::boot();
    let token = web.token(&["operate"]);
    let mut publisher = Bridge::open(&web, &token);
    publisher.publish("sensor.x", 1..4);

    let mut first = Bridge::open(&web, &token);
    assert!(first.asked(&group())["ok"].is_object());
    let delivered = first.delivered(3);
    assert_eq!(data(&delivered), [1, 2, 3]);
    assert_eq!(first.asked(&ack(&delivered[0].1))["ok"]["acknowledged"], 1);
    assert_eq!(first.asked(&ack(&json!("1-0")))["ok"]["acknowledged"], 0);

    // The first is still there, as one is whose line is cut: the second takes its place.
    let mut second = Bridge::open(&web, &token);
    assert!(second.asked(&group())["ok"].is_object());
    let ended = first.next().unwrap();
    assert_eq!(ended["subscription"], 2);
    assert!(
        ended["error"]["message"]
            .as_str()
            .unwrap()
            .contains("another connection"),
        "{ended}"
    );
    let again = second.next().unwrap();
    assert_eq!(
        (&again["event"]["data"], &again["deliveries"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(data(&second.delivered(1)), [3]);
    for (_, position) in &delivered[1..] {
        assert_eq!(second.asked(&ack(position))["ok"]["acknowledged"], 1);
    }
    drop((first, second));

    let mut third = Bridge::open(&web, &token);
    assert!(third.asked(&group())["ok"].is_object());
    publisher.publish("sensor.y", 4..5);
    assert_eq!(data(&third.delivered(1)), [4]);

    // Who keeps the place itself.
    for (after, left) in [
        (&json!("0-0"), vec![1, 2, 3, 4]),
        (&delivered[1].1, vec![3, 4]),
    ] {
        let mut own = Bridge::open(&web, &token);
        own.asked(&json!({ "id": 1, "op": "subscribe", "stream": "sensor", "after": after }));
        assert_eq!(data(&own.delivered(left.len())), left);
    }
}

#[test]
fn a_group_has_so_much_in_hand_and_no_more() {
    let web = Web::boot();
    let mut bridge = Bridge::open(&web, &web.token(&["operate"]));
    bridge.publish("sensor.x", 0..300);

    assert!(bridge.asked(&group())["ok"].is_object());
    let delivered = bridge.delivered(256);
    let lag = || web.rig.json(&["streams", "show", "sensor"])["groups"][0]["lag"].clone();
    assert_eq!(lag(), 44);
    bridge.send(&ack(&delivered[0].1));
    let mut next = [bridge.next().unwrap(), bridge.next().unwrap()];
    next.sort_by_key(|document| document["id"].is_null());

    assert_eq!(next[0]["ok"]["acknowledged"], 1);
    assert_eq!(next[1]["event"]["data"], 256);
    assert_eq!(lag(), 43);
}

#[test]
fn who_may_not_is_told_and_is_told_of_nothing_else() {
    let web = Web::boot();
    let bound = web.token(&["operate", "--topic", "sensor.door.*", "--path", "/group"]);
    let (read, operate) = (web.token(&["read"]), web.token(&["operate"]));
    let publish = |topic: &str| json!({ "id": 1, "op": "publish", "topic": topic, "data": 1 });
    let tell =
        |path: &str| json!({ "id": 1, "op": "tell", "path": path, "message": {"count": null} });
    let live = |pattern: &str| json!({ "id": pattern, "op": "subscribe", "pattern": pattern });
    for (token, request, is_allowed) in [
        (&read, publish("sensor.x"), false),
        (&read, tell("/a"), false),
        (
            &read,
            json!({ "id": 1, "op": "ask", "path": "/a", "message": {"echo": 1} }),
            false,
        ),
        (&read, ack(&json!("1-0")), false),
        (&read, group(), false),
        (&read, live("*"), true),
        (&bound, publish("sensor.x"), false),
        (&bound, publish("sensor.door.front"), true),
        (&bound, tell("/a"), false),
        (&bound, tell("/group/one"), true),
        (&bound, live("sensor.*"), false),
        (&bound, live("sensor.door.front"), true),
        (&operate, live("sensor.*"), true),
    ] {
        let said = Bridge::open(&web, token).asked(&request);
        let is_denied = said["error"]["code"] == "denied";
        assert!(
            is_denied != is_allowed && said["ok"].is_object() == is_allowed,
            "{request} {said}"
        );
    }

    let mut publisher = Bridge::open(&web, &operate);
    publisher.publish("sensor.x", 2..4);
    publisher.publish("sensor.door.back", 4..5);
    for from in [json!({ "after": "0-0" }), json!({ "group": "brain" })] {
        let mut request = json!({ "id": 1, "op": "subscribe", "stream": "sensor" });
        request
            .as_object_mut()
            .unwrap()
            .extend(from.as_object().unwrap().clone());
        let mut reader = Bridge::open(&web, &bound);
        assert!(reader.asked(&request)["ok"].is_object());
        assert_eq!(data(&reader.delivered(2)), [1, 4], "{request}");
    }
}

/// What is sent, the `id` that the answer repeats, and what it says.
const WRONG: &[(&str, Option<u64>, &str)] = &[
    ("{", None, "not JSON"),
    ("[]", None, "not a JSON object"),
    (r#"{"id":{},"op":"ack"}"#, None, "`id` is not a number"),
    (r#"{"id":1}"#, Some(1), "`op` is missing"),
    (r#"{"id":1,"op":"publsh"}"#, Some(1), "`publsh` is no op"),
    (
        r#"{"id":1,"op":"publish","topic":"a b","data":1}"#,
        Some(1),
        "a b",
    ),
    (
        r#"{"id":1,"op":"publish","data":1}"#,
        Some(1),
        "`topic` is missing",
    ),
    (
        r#"{"id":1,"op":"subscribe"}"#,
        Some(1),
        "does not say from where",
    ),
    (
        r#"{"op":"subscribe","pattern":"*"}"#,
        None,
        "`id` is missing",
    ),
    (
        r#"{"id":1,"op":"subscribe","patern":"*"}"#,
        Some(1),
        "unknown key `patern`",
    ),
    (
        r#"{"id":1,"op":"subscribe","group":"g"}"#,
        Some(1),
        "are of a stream",
    ),
    (
        r#"{"id":1,"op":"subscribe","stream":"senso","group":"g"}"#,
        Some(1),
        "`senso`",
    ),
    (
        r#"{"id":1,"op":"subscribe","stream":"sensor","after":"x"}"#,
        Some(1),
        "`x`",
    ),
    (
        r#"{"id":1,"op":"ack","subscription":9,"position":"1-0"}"#,
        Some(1),
        "subscription 9",
    ),
    (
        r#"{"id":1,"op":"ask","path":"/nowhere","message":1}"#,
        Some(1),
        "/nowhere",
    ),
];

#[test]
fn what_is_wrong_is_told_and_the_connection_lives() {
    let web = Web::boot();
    let mut bridge = Bridge::open(&web, &web.token(&["operate"]));

    for (text, id, why) in WRONG {
        bridge.send_frame(1, text.as_bytes());
        let said = bridge.next().unwrap();
        let message = said["error"]["message"].as_str().unwrap_or_default();
        assert!(
            said["id"] == json!(id) && message.contains(why),
            "{text} {said}"
        );
    }
    bridge.send_frame(2, b"x");
    assert_eq!(bridge.next().unwrap()["error"]["code"], "usage");

    bridge.send_frame(1, &vec![b' '; (1 << 20) + 1]);
    assert!(bridge.next().unwrap_err().contains("too long"));
}

#[test]
fn a_connection_has_so_many_subscriptions_and_no_more() {
    let web = Web::boot();
    let mut bridge = Bridge::open(&web, &web.token(&["read"]));
    let subscribe = |id: usize| json!({ "id": id, "op": "subscribe", "pattern": "action.*" });
    for id in 0..64 {
        assert!(bridge.asked(&subscribe(id))["ok"].is_object());
    }
    let said = bridge.asked(&subscribe(64));
    assert!(
        said["error"]["message"].as_str().unwrap().contains("64"),
        "{said}"
    );
    let said = bridge.asked(&json!({ "id": 1, "op": "unsubscribe", "subscription": 7 }));
    assert_eq!(said, json!({ "id": 1, "ok": {} }));
    assert!(bridge.asked(&subscribe(64))["ok"].is_object());
}

#[test]
fn who_does_not_read_is_told_how_much_was_missed() {
    const EVENTS: u64 = 2_000;
    let web = Web::boot();
    let token = web.token(&["operate"]);
    let (mut one, mut other) = (Bridge::open(&web, &token), Bridge::open(&web, &token));
    other.asked(&json!({ "id": 2, "op": "subscribe", "pattern": "lab.*" }));

    // More than a queue and what the system keeps for both ends.
    let data = "x".repeat(32 << 10);
    for _ in 0..EVENTS {
        let said = one.asked(&json!({ "id": 1, "op": "publish", "topic": "lab.x", "data": data }));
        assert!(said["ok"].is_object(), "{said}");
    }
    let (mut heard, mut missed) = (0, 0);
    while heard + missed < EVENTS {
        let document = other.next().unwrap();
        match document["missed"].as_u64() {
            Some(more) => missed += more,
            None => heard += 1,
        }
    }

    assert!(missed > 0 && heard >= 1_024, "{heard} {missed}");
}

#[test]
fn there_are_so_many_bridges_and_no_more() {
    let web = Web::boot();
    let token = web.token(&["read"]);
    let mut bridges: Vec<Bridge> = (0..256).map(|_| Bridge::open(&web, &token)).collect();

    let (_, head) = Bridge::knock(&web, &token);

    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    bridges.pop();
    // It is noticed in a moment that one is gone.
    while !Bridge::knock(&web, &token).1.starts_with("HTTP/1.1 101 ") {}
}

#[test]
fn a_bridge_ends_with_its_token_and_with_the_kernel() {
    let mut web = Web::boot();
    let made = web.rig.json(&["token", "create", "--scope", "read"]);
    let mut revoked = Bridge::open(&web, made["token"].as_str().unwrap());
    let mut other = Bridge::open(&web, &web.token(&["read"]));

    web.rig
        .json(&["token", "revoke", made["id"].as_str().unwrap()]);
    assert!(revoked.next().unwrap_err().contains("good no more"));

    web.rig.signal("TERM");
    assert!(other.next().unwrap_err().contains("the kernel"));
    web.rig.wait();
}
