//! `uk node`, and commands for another node: two kernels as processes, over loopback.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::events::tail;
use crate::harness::{Folder, Rig, Said, TREE, http, signal};

/// A kernel that other nodes may attach.
pub(crate) fn node(name: &str, listen: &str) -> Rig {
    let folder = Folder::new();
    folder.file(
        "tree.yaml",
        TREE.replace("name: rig", &format!("name: {name}")),
    );
    let process = Rig::spawn(&folder, &["--node-listen", listen, "--label", "gpu=true"]);
    Rig { folder, process }.until_booted()
}

pub(crate) fn address(node: &Rig) -> String {
    let listed = node.until(&["node", "list"], |list| list["address"].is_string());
    listed["address"].as_str().unwrap().to_owned()
}

/// Two kernels, `rig` and `edge-1`, attached.
fn pair() -> (Rig, Rig, String) {
    let (rig, edge) = (Rig::boot(), node("edge-1", "127.0.0.1:0"));
    let address = address(&edge);
    let attached = rig.json(&["node", "attach", &address]);
    assert_eq!(attached["name"], "edge-1");
    (rig, edge, address)
}

fn until_state(rig: &Rig, state: &str) -> Value {
    let listed = rig.until(&["node", "list"], |list| list["nodes"][0]["state"] == state);
    listed["nodes"][0].clone()
}

fn refused(said: &Said, code: i32, says: &[&str]) {
    assert_eq!(said.code, code, "{said:?}");
    for text in says {
        assert!(said.err.contains(text), "{text}: {said:?}");
    }
}

#[test]
fn a_console_goes_to_another_node_and_comes_back() {
    let (rig, _edge, _) = pair();
    rig.json(&["stop", "/a"]);

    let lines = "cd edge-1:/group\nstop one\nstart $_\ntell ../a {\"echo\": 1}\nhealth --json\ntree /a\ntree /a --node rig\ncd\ntree /a\n";
    let said = rig.folder.uk_with_input(&["console"], lines);

    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("/group/one started"), "{said:?}");
    assert!(said.out.contains("\"node\":\"edge-1\""), "{said:?}");
    // There it runs, here it was stopped.
    let trees = [
        "edge-1 · normal · 1 worker\n/a  probe  running\n",
        "rig · normal · 1 worker\n/a  probe  stopped",
    ];
    assert!(said.out.contains(&trees.concat()), "{said:?}");
    // Once by its name, once after the way home.
    assert_eq!(said.out.matches(trees[1]).count(), 2, "{said:?}");
    let said = rig.folder.uk_with_input(&["console"], "cd edge-1:/nope\n");
    refused(&said, 4, &["`/nope`"]);
    let said = rig.folder.uk_with_input(&["console"], "cd edge-9:/\n");
    assert!(said.err.contains("`edge-9`"), "{said:?}");
}

#[test]
fn what_another_node_advises_can_be_typed_here() {
    let (rig, _edge, _) = pair();
    rig.json(&["stop", "edge-1:/a"]);

    let said = rig.uk(&["resume", "edge-1:/a"]);
    refused(&said, 1, &["`uk start /a @edge-1` starts it"]);
    let command = said
        .err
        .split('`')
        .find(|words| words.starts_with("uk start"))
        .unwrap();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    assert_eq!(rig.uk(&words).code, 0, "{said:?}");

    let tree = rig.json(&["tree", "edge-1:/a"]);
    assert_eq!(tree["tree"]["state"], "running", "{tree:#}");
    let story = rig.uk(&["why", "edge-1:/a"]).out;
    let next = story.lines().find(|line| line.starts_with("next")).unwrap();
    assert!(next.contains(" @edge-1  "), "{story}");
}

#[test]
fn an_assistant_reaches_another_node() {
    let (rig, _edge, _) = pair();
    let ask = json!({ "path": "edge-1:/a", "message": { "echo": "hi" } });
    let lines: Vec<Value> = vec![
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
        } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "ask", "arguments": ask } }),
        json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {
            "name": "kill", "arguments": { "path": "edge-9:/a" },
        } }),
    ];
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();

    let said = rig.folder.uk_with_input(&["mcp"], &lines);

    let answers = said
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut answers: Vec<Value> = answers
        .filter(|answer| answer["id"].as_u64() > Some(1))
        .collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(
        answers[0]["result"]["structuredContent"]["answer"], "hi",
        "{said:?}"
    );
    let refused = &answers[1]["result"];
    assert_eq!(refused["isError"], true, "{said:?}");
    assert!(
        refused.to_string().contains("there is no node `edge-9`"),
        "{said:?}"
    );
}

#[test]
fn a_node_is_attached_listed_and_detached() {
    let rig = Rig::boot();
    let said = rig.uk(&["node", "list"]);
    assert!(
        said.out.contains("uk node attach 127.0.0.1:4697"),
        "{said:?}"
    );
    let edge = node("edge-1", "127.0.0.1:0");
    let address = address(&edge);

    let said = rig.uk(&["node", "attach", &address]);

    let expected = format!("edge-1 is attached ({address}); `uk tree --node edge-1` shows it\n");
    assert_eq!((said.code, said.out), (0, expected));
    let up = rig.until(&["node", "list"], |list| {
        list["nodes"][0]["rtt_ms"].is_f64()
    });
    let up = &up["nodes"][0];
    assert_eq!(
        (&up["name"], &up["address"], &up["state"], &up["labels"]),
        (
            &json!("edge-1"),
            &json!(address),
            &json!("up"),
            &json!({"gpu": "true"})
        )
    );
    assert!(up["skew_ms"].is_f64(), "{up}");
    // The other knows of it too, and not where to find it: it does not listen.
    let seen = until_state(&edge, "up");
    assert_eq!(
        (&seen["name"], &seen["address"]),
        (&json!("rig"), &Value::Null)
    );
    // Once more is as good as once.
    assert_eq!(rig.json(&["node", "attach", &address])["name"], "edge-1");
    let said = rig.uk(&["node", "drain", "edge-1"]);
    let expected = "edge-1 takes no new children of other nodes; those that it runs move where another node fits\n";
    assert_eq!(said.out, expected, "{said:?} {}", rig.log());
    assert!(up["since"].is_string(), "{up}");
    assert_eq!(until_state(&rig, "draining")["since"], up["since"]);
    assert_eq!(
        rig.json(&["node", "drain", "edge-1", "--undo"])["draining"],
        false
    );
    until_state(&rig, "up");
    let metrics = http(&rig, "GET /metrics", "").1;
    assert!(
        metrics.contains("unitykernel_nodes{state=\"up\"} 1"),
        "{metrics}"
    );

    assert_eq!(
        rig.uk(&["node", "detach", "edge-1"]).out,
        "edge-1 is detached\n"
    );

    assert_eq!(rig.json(&["node", "list"])["nodes"], json!([]));
    let gone = until_state(&edge, "down");
    assert!(gone["since"].as_str() > seen["since"].as_str(), "{gone}");
    refused(
        &rig.uk(&["node", "detach", "edge-1"]),
        4,
        &["no node `edge-1`"],
    );
    refused(
        &rig.uk(&["tree", "--node", "edge-1"]),
        4,
        &[
            "there is no node `edge-1`: no node is attached",
            "uk node attach",
        ],
    );
}

#[test]
fn paths_and_commands_of_another_node_are_done_there() {
    let (rig, edge, _) = pair();

    assert_eq!(
        rig.json(&["ask", "edge-1:/a", r#"{"echo": "far"}"#])["answer"],
        "far"
    );
    assert_eq!(rig.uk(&["tell", "edge-1:/a", r#"{"echo": 1}"#]).code, 0);
    rig.json(&["kill", "edge-1:/group/one", "--reason", "unplug"]);
    let why = rig.until(&["why", "edge-1:/group/one"], |why| why["incarnation"] == 2);
    assert_eq!(why["exits"][0]["reason"]["text"], "unplug");
    // Here nothing was killed, and there it was `rig` who did it.
    assert_eq!(rig.json(&["tree", "/group/one"])["tree"]["incarnation"], 1);
    let audit = ["streams", "read", "audit", "--from", "start", "--json"];
    for (at, who) in [(&edge, "node:rig"), (&rig, "uid ")] {
        let said = at.uk(&audit).out;
        let kill = said.lines().find(|line| line.contains(r#""kill""#));
        assert!(kill.is_some_and(|line| line.contains(who)), "{who}: {said}");
    }
    let state = rig.json(&["state", "/a", "--node", "edge-1"]);
    assert!(state["state"].is_object(), "{state}");
    for line in [
        &["@edge-1", "tree"][..],
        &["tree", "@edge-1"],
        &["tree", "--node", "edge-1"],
        &["tree", "edge-1:/"],
        &["tree", "edge-1:/", "@edge-1"],
    ] {
        assert_eq!(rig.json(line)["node"], "edge-1", "{line:?}");
    }
    assert_eq!(rig.json(&["tree", "rig:/"])["node"], "rig");
    let all = rig.json(&["tree", "--node", "all"]);
    let nodes: Vec<&Value> = all["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["node"])
        .collect();
    assert_eq!(nodes, ["rig", "edge-1"]);
    assert!(all["nodes"][1]["tree"]["children"].is_array());
    let drawn = rig.uk(&["tree", "--node", "all"]).out;
    let heads = drawn.lines().filter(|line| line.contains(" · normal · "));
    assert_eq!(heads.count(), 2, "{drawn}");
    assert_eq!(rig.uk(&["health", "--node", "all"]).code, 0);
    assert!(rig.json(&["config", "get", "edge-1:/a"])["version"] == 1);
}

#[test]
fn what_is_wrong_there_is_said_as_it_is_there() {
    let (rig, _edge, _) = pair();

    for (line, code, says) in [
        (
            &["kill", "edge-1:/nope"][..],
            4,
            &["there is no `/nope`", "the nearest is `/`"][..],
        ),
        (&["start", "edge-1:/a"], 1, &["it is running"]),
        (&["tell", "edge-1:/group", "1"], 2, &["is a supervisor"]),
        (
            &["kill", "edge-9:/a"],
            4,
            &["there is no node `edge-9`: attached are edge-1"],
        ),
        (&["kill", "edge-1:a"], 2, &["begins with `/`"]),
        (
            &["kill", "edge-1:/a", "--node", "edge-2"],
            2,
            &["names `edge-2` and `edge-1`"],
        ),
        (
            &["kill", "/a", "--node", "all"],
            2,
            &["one node at a time", "`events tail`"],
        ),
        (
            &["check", "tree.yaml", "@edge-1"],
            2,
            &["runs where it is typed"],
        ),
        (
            &["why", "/nope", "--node", "all"],
            4,
            &["there is no `/nope`"],
        ),
        (
            &["token", "create", "--scope", "read", "@edge-1"],
            6,
            &["a secret, which no node tells another"],
        ),
        (&["node", "attach", "nowhere"], 2, &["no address of a node"]),
    ] {
        refused(&rig.uk(line), code, says);
    }
    // What was meant as a value is one.
    rig.json(&["kill", "/a", "--reason", "@edge-1"]);
    assert_eq!(
        rig.json(&["why", "/a"])["exits"][0]["reason"]["text"],
        "@edge-1"
    );
}

#[test]
fn who_cannot_be_attached_is_told_and_what_is_attached_stays() {
    let (rig, edge, address) = pair();
    // Nobody listens where one did.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    refused(
        &rig.uk(&["node", "attach", &free.to_string()]),
        5,
        &["was not attached", "refused", "--node-listen"],
    );
    // The name is taken, and by whom is said.
    let other = node("edge-1", "127.0.0.1:0");
    let taken = self::address(&other);
    refused(
        &rig.uk(&["node", "attach", &taken]),
        2,
        &["two nodes `edge-1`", &address, &taken],
    );
    // Oneself.
    refused(&edge.uk(&["node", "attach", &address]), 2, &["own name"]);
    assert_eq!(
        rig.json(&["node", "list"])["nodes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(rig.json(&["tree", "edge-1:/"])["node"], "edge-1");
}

#[test]
fn a_console_and_programs_reach_another_node_as_well() {
    let (rig, edge, _) = pair();
    let lines = "cd /group\nspawn probe --under edge-1:/group --id new\n\
                 ask @edge-1 /group/new '{\"echo\": \"spawned\"}'\ntree edge-1:/group\ntree\n";

    let said = rig.folder.uk_with_input(&["console"], lines);

    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("/group/new started"), "{said:?}");
    assert!(said.out.contains("spawned"), "{said:?}");
    assert!(said.out.contains("edge-1 · normal"), "{said:?}");
    assert_eq!(
        edge.json(&["tree", "/group/new"])["tree"]["state"],
        "running"
    );
    assert_eq!(rig.uk(&["tree", "/group/new"]).code, 4);
    for (request, body) in [
        ("GET /api/v1/tree?node=edge-1", ""),
        ("GET /api/v1/tree?path=edge-1:/group", ""),
        ("GET /api/v1/health?node=edge-1", ""),
    ] {
        let (status, answer) = http(&rig, request, body);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (status, &answer["node"]),
            (200, &json!("edge-1")),
            "{request}"
        );
    }
    let (status, answer) = http(
        &rig,
        "POST /api/v1/ask",
        r#"{"path": "edge-1:/a", "message": {"echo": 7}}"#,
    );
    assert!(status == 200 && answer.contains("\"answer\":7"), "{answer}");
    let body = r#"{"path": "/a", "node": "edge-7"}"#;
    let (status, answer) = http(&rig, "POST /api/v1/kill", body);
    assert!(status == 404 && answer.contains("edge-7"), "{answer}");
    let document: Value =
        serde_json::from_str(&http(&rig, "GET /api/v1/openapi.json", "").1).unwrap();
    let parameters = document["paths"]["/api/v1/tree"]["get"]["parameters"]
        .as_array()
        .unwrap();
    assert!(
        parameters.iter().any(|its| its["name"] == "node"),
        "{parameters:?}"
    );
    let complete = |words: &[&str]| {
        let said = rig.uk(&[&["__complete", "zsh", "uk"], words].concat()).out;
        let values = said.lines().filter_map(|line| line.split('\t').next());
        values.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["tree", "--node", ""]), ["edge-1"]);
    assert_eq!(complete(&["tree", "@e"]), ["@edge-1"]);
    assert_eq!(
        complete(&["kill", "edge-1:/group/n"]),
        ["edge-1:/group/new"]
    );
    assert_eq!(
        complete(&["kill", "--node", "edge-1", "/group/n"]),
        ["/group/new"]
    );
}

#[test]
fn who_is_bound_to_paths_stays_on_the_node_that_bound_them() {
    let (rig, _edge, _) = pair();
    let server = rig.json(&["open"])["address"].as_str().unwrap().to_owned();
    let bound = rig.json(&["token", "create", "--scope", "operate", "--path", "/a"]);
    let whole = rig.json(&["token", "create", "--scope", "read"]);
    let ask = |token: &Value, path: &str| {
        use std::io::Read;
        let mut stream = std::net::TcpStream::connect(&server).unwrap();
        let token = token["token"].as_str().unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };

    for (token, path, status) in [
        (&bound, "/api/v1/tree?path=/a", 200),
        (&bound, "/api/v1/tree?path=edge-1:/a", 403),
        (&bound, "/api/v1/tree?path=/a&node=edge-1", 403),
        (&bound, "/api/v1/tree?path=/a&node=all", 403),
        (&whole, "/api/v1/tree?path=edge-1:/a", 200),
        (&whole, "/api/v1/tree?node=all", 200),
    ] {
        assert_eq!(ask(token, path), status, "{path}");
    }
}

fn heard(shown: &Value) -> bool {
    let mut subscribers = shown["subscribers"].as_array().into_iter().flatten();
    subscribers.any(|its| its == "uk events tail")
}

fn until_heard(at: &Rig) {
    at.until(&["events", "show", "door.shut"], heard);
}

#[test]
fn events_of_another_node_are_shown_and_of_all_each_with_its_node() {
    let (rig, mut edge, address) = pair();
    let event = |line: String| serde_json::from_str::<Value>(&line).unwrap();
    let (mut one, mut lines) = tail(
        &rig.folder,
        &["door.*", "@edge-1", "--limit", "1", "--json"],
    );
    until_heard(&edge);
    rig.json(&["events", "publish", "door.shut", "1"]);

    edge.json(&["events", "publish", "door.shut", "2"]);

    assert_eq!(event(lines.next().unwrap())["data"], 2);
    assert_eq!(one.wait().unwrap().code(), Some(0));
    let (all, lines) = tail(&rig.folder, &["door.*", "--node", "all", "--json"]);
    let mut lines = lines.map(event);
    until_heard(&rig);
    until_heard(&edge);
    for (at, data) in [(&rig, "1"), (&edge, "2")] {
        at.json(&["events", "publish", "door.shut", data]);
        let shown = lines.next().unwrap();
        let name = if data == "1" { "rig" } else { "edge-1" };
        assert_eq!(
            (&shown["node"], &shown["data"]),
            (&json!(name), &event(data.to_owned()))
        );
    }
    edge.signal("KILL");
    edge.wait();
    let gone = lines.next().unwrap();
    assert_eq!(gone["node"], "edge-1");
    assert!(
        gone["down"].as_str().unwrap().contains("cannot be reached"),
        "{gone}"
    );
    edge.process = Rig::spawn(&edge.folder, &["--node-listen", &address]);
    until_heard(&edge);
    edge.json(&["events", "publish", "door.shut", "3"]);
    let back = lines.next().unwrap();
    assert_eq!(
        (&back["node"], &back["data"]),
        (&json!("edge-1"), &json!(3))
    );
    signal(&all, "INT");
    let mut all = all;
    assert_eq!(all.wait().unwrap().code(), Some(0));
}

#[test]
fn a_node_that_was_killed_is_down_and_comes_back_by_itself() {
    let (rig, mut edge, address) = pair();
    let before = until_state(&rig, "up");

    edge.signal("KILL");
    edge.wait();

    let down = until_state(&rig, "down");
    assert!(!down["why"].as_str().unwrap().is_empty(), "{down}");
    refused(
        &rig.uk(&["kill", "edge-1:/a"]),
        5,
        &["node `edge-1` cannot be reached", "uk node list"],
    );
    let said = rig.uk(&["tree", "--node", "all"]);
    assert!(
        said.code == 0 && said.out.contains("edge-1 · down · "),
        "{said:?}"
    );
    let said = rig.uk(&["health", "--node", "all"]);
    assert_eq!(said.code, 9, "{said:?}");
    assert!(
        said.out.contains("rig is ok") && said.out.contains("edge-1 · down"),
        "{said:?}"
    );
    let list = rig.uk(&["node", "list"]).out;
    assert!(list.contains("down"), "{list}");

    edge.process = Rig::spawn(&edge.folder, &["--node-listen", &address]);

    let back = until_state(&rig, "up");
    let epoch = |node: &Value| node["epoch"].as_u64().unwrap();
    assert!(epoch(&back) > epoch(&before), "{back} {before}");
    assert_eq!(rig.json(&["tree", "edge-1:/a"])["tree"]["state"], "running");
    assert_eq!(rig.uk(&["shutdown", "--node", "edge-1"]).code, 0);
    edge.wait();
    until_state(&rig, "down");
}

/// Settings in a folder of its own.
fn with_settings(name: &str, settings: &str, files: &[(&str, String)]) -> Folder {
    let folder = Folder::new();
    folder.file(
        "tree.yaml",
        TREE.replace("name: rig", &format!("name: {name}")),
    );
    std::fs::create_dir(folder.path().join("config")).unwrap();
    folder.file("config/system.yaml", settings);
    for (name, text) in files {
        let file = folder.file(name, text);
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(file, mode).unwrap();
    }
    folder
}

fn started(folder: Folder) -> Rig {
    let process = Rig::spawn(&folder, &[]);
    Rig { folder, process }.until_booted()
}

#[test]
fn nodes_of_one_cookie_and_one_ca_attach_and_others_do_not() {
    let ca = Folder::new();
    let made = ca.uk(&["node", "ca", "init", "ca"]);
    assert!(
        made.code == 0 && made.out.contains("uk node ca issue NAME --dir ca"),
        "{made:?}"
    );
    for name in ["rig", "edge-1", "guest"] {
        let issued = ca.uk(&["node", "ca", "issue", name, "--dir", "ca"]);
        assert!(
            issued.code == 0 && issued.out.contains("nodes:\n"),
            "{issued:?}"
        );
    }
    assert_eq!(ca.uk(&["node", "token", "--out", "cookie"]).code, 0);
    let cookie = ca.path().join("cookie");
    let mode = std::fs::metadata(&cookie).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let settings = |name: &str, cookie: &Path| {
        let ca = ca.path().join("ca").display().to_string();
        format!(
            "nodes:\n  listen: 127.0.0.1:0\n  cookie_file: {}\n  ca: {ca}/ca.pem\n  cert: {ca}/{name}.pem\n  \
             key: {ca}/{name}.key.pem\n",
            cookie.display()
        )
    };
    let edge = started(with_settings("edge-1", &settings("edge-1", &cookie), &[]));
    let address = address(&edge);
    let seeds = format!("{}  seeds: [\"{address}\"]\n", settings("rig", &cookie));

    // Found by itself, as it is a seed.
    let rig = started(with_settings("rig", &seeds, &[]));

    assert_eq!(until_state(&rig, "up")["name"], "edge-1");
    assert_eq!(rig.json(&["tree", "edge-1:/a"])["node"], "edge-1");
    let other = ca.file("other", "another cookie of a length\n");
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
    let guest = started(with_settings("guest", &settings("guest", &other), &[]));
    refused(
        &guest.uk(&["node", "attach", &address]),
        6,
        &["another cookie"],
    );
    let plain = started(with_settings("plain", "log: warn\n", &[]));
    refused(
        &plain.uk(&["node", "attach", &address]),
        5,
        &["was not attached"],
    );
    // Of all this the two know nothing.
    assert_eq!(
        edge.json(&["node", "list"])["nodes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let folder = with_settings("else", &settings("edge-1", &cookie), &[]);
    let said = folder.uk(&["run", "tree.yaml"]);
    refused(
        &said,
        3,
        &["is the certificate of `edge-1`, and this node is `else`"],
    );
}

#[test]
fn a_cookie_is_made_for_its_owner_alone() {
    let folder = Folder::new();

    let printed = folder.uk(&["node", "token"]).out;
    let again = folder.uk(&["node", "token", "--json"]).json();

    assert_eq!(printed.trim().len(), 64);
    assert_ne!(again["token"], printed.trim());
    assert_eq!(folder.uk(&["node", "token", "--out", "cookie"]).code, 0);
    let kept = folder.text("cookie");
    refused(
        &folder.uk(&["node", "token", "--out", "cookie"]),
        1,
        &["is there already"],
    );
    assert_eq!(folder.text("cookie"), kept);
    refused(
        &folder.uk(&["node", "ca", "issue", "x"]),
        2,
        &["`dir` is missing"],
    );
    refused(
        &folder.uk(&["node", "ca", "issue", "x", "--dir", "no"]),
        4,
        &["uk node ca init"],
    );
    assert_eq!(folder.uk(&["node", "ca", "init", "ca"]).code, 0);
    refused(
        &folder.uk(&["node", "ca", "init", "ca"]),
        1,
        &["is there already"],
    );
    refused(
        &folder.uk(&["node", "ca", "issue", "a b", "--dir", "ca"]),
        2,
        &["no name"],
    );
}

#[test]
fn what_would_be_open_to_others_is_refused_at_boot_in_one_line() {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    for (name, text, mode) in [
        ("open", &b"0123456789abcdef0123456789abcdef"[..], 0o644),
        ("group", b"0123456789abcdef0123456789abcdef", 0o640),
        ("short", b"0123", 0o600),
        ("empty", b"\n", 0o600),
        ("bytes", b"\xff\xfe0123456789abcdef", 0o600),
        ("lines", b"0123456789abcdef\n0123456789abcdef", 0o600),
        ("good", b"0123456789abcdef0123456789abcdef\n", 0o600),
    ] {
        let file = folder.file(name, text);
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    for (flags, says) in [
        (
            &["--node-cookie-file", "open"][..],
            &["others can read it", "chmod 600 open"][..],
        ),
        (
            &["--node-cookie-file", "group"],
            &["others can read it", "chmod 600 group"],
        ),
        (
            &["--node-cookie-file", "short"],
            &["4 bytes is too short", "uk node token"],
        ),
        (&["--node-cookie-file", "empty"], &["it is empty"]),
        (&["--node-cookie-file", "bytes"], &["it is not UTF-8"]),
        (&["--node-cookie-file", "lines"], &["one line"]),
        (&["--node-cookie-file", "folder"], &["it is a folder"]),
        (
            &["--node-cookie-file", "missing"],
            &["there is none", "uk node token --out missing"],
        ),
        (
            &["--node-listen", "0.0.0.0:0"],
            &["takes a cookie and TLS", "listen on 127.0.0.1"],
        ),
        (
            &[
                "--node-listen",
                "10.1.2.3:4697",
                "--node-cookie-file",
                "good",
            ],
            &["takes TLS", "uk node ca"],
        ),
    ] {
        let said = folder.uk(&[&["run", "tree.yaml"], flags].concat());

        refused(&said, 3, says);
        let errors = said.err.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "{said:?}");
        assert!(said.out.is_empty(), "{said:?}");
    }
    let said = folder.uk(&["run", "tree.yaml", "--label", "a.b=1"]);
    refused(&said, 2, &["the label `a` is no text"]);
}

#[test]
fn a_node_that_cannot_listen_is_degraded_and_tries_again() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let rig = node("rig", &address);

    let health = rig.until(&["health"], |health| health["status"] == "degraded");
    let what = health["settings"]["troubles"][0]["what"].as_str().unwrap();
    assert!(
        what.contains("cannot listen for nodes") && what.contains(&address),
        "{what}"
    );
    assert_eq!(rig.uk(&["health"]).code, 9);
    assert!(
        rig.uk(&["node", "list"])
            .out
            .contains("cannot listen for nodes")
    );
    drop(taken);
    assert_eq!(self::address(&rig), address);
    rig.until(&["health"], |health| health["status"] == "ok");
}

#[test]
fn a_relay_publishes_here_what_another_node_publishes_and_misses_nothing() {
    let folder = Folder::new();
    folder.file(
        "tree.yaml",
        "version: 1\nname: rig\ntree:\n  children:\n    - { id: ears, kind: relay, settings: { node: edge-1, topics: sensor.*, from: start } }\n",
    );
    let process = Rig::spawn(&folder, &[]);
    let rig = Rig { folder, process }.until_booted();
    let edge = node("edge-1", "127.0.0.1:0");
    let address = address(&edge);
    let publish = |number: u32| {
        edge.json(&["events", "publish", "sensor.far", &number.to_string()]);
    };
    let until_count = |count: u32| {
        rig.until(&["state", "/ears"], |state| {
            state["state"]["count"] == count
        });
    };

    publish(1);
    rig.json(&["node", "attach", &address]);
    until_count(1);
    publish(2);
    until_count(2);
    // What is published while nobody is there is read when somebody is.
    rig.json(&["node", "detach", "edge-1"]);
    publish(3);
    rig.json(&["node", "attach", &address]);
    until_count(3);

    let args = [
        "events",
        "tail",
        "sensor.far",
        "--from",
        "start",
        "--limit",
        "3",
        "--json",
    ];
    let heard = rig.uk(&args).out;
    let heard = heard
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let heard: Vec<(Value, String)> = heard
        .map(|event: Value| {
            (
                event["data"].clone(),
                event["source"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = [1, 2, 3].map(|number| (json!(number), "edge-1:uk".to_owned()));
    assert_eq!(heard, expected);
}

#[test]
fn a_plan_cuts_a_node_off_which_comes_back_when_it_is_over() {
    let settings = "nodes:\n  heartbeat: 500ms\n";
    let rig = started(with_settings("rig", settings, &[]));
    let cut = json!({ "cut": { "for": "2s" } });
    let plan = json!({
        "version": 1, "name": "cut", "acts": [{ "at": "0s", "fault": cut }], "settles_within": "20s",
    });
    let document = plan.to_string();
    let said = rig.uk(&["chaos", "plan", "--document", &document]);
    assert!(
        said.out.contains("`cut` is refused") && said.out.contains("none is attached and up"),
        "{said:?}"
    );
    let edge = node("edge-1", "127.0.0.1:0");
    let address = address(&edge);
    assert_eq!(rig.json(&["node", "attach", &address])["name"], "edge-1");
    let said = rig.uk(&["chaos", "plan", "--document", &document]);
    assert!(
        said.out.contains("may strike the link to edge-1: cut\n"),
        "{said:?}"
    );

    let begun = rig.uk(&[
        "chaos",
        "run",
        "--document",
        &document,
        "--detach",
        "--json",
    ]);

    assert_eq!(begun.code, 0, "{begun:?}");
    let down = until_state(&rig, "down");
    assert_eq!(down["why"], "it said nothing for 500ms");
    refused(
        &rig.uk(&["kill", "edge-1:/a"]),
        5,
        &["node `edge-1` cannot be reached"],
    );
    let report = rig.until(&["chaos", "report"], |report| !report["outcome"].is_null());
    assert_eq!(report["outcome"], "passed", "{report:#}");
    assert_eq!(report["faults"]["cut"]["recovered"], 1, "{report:#}");
    assert_eq!(report["acts"][0]["fault"]["cut"]["node"], "edge-1");
    until_state(&rig, "up");
    assert_eq!(
        rig.json(&["ask", "edge-1:/a", r#"{"echo": "back"}"#])["answer"],
        "back"
    );
}

#[test]
fn links_cannot_be_simulated_which_is_said() {
    let folder = Folder::new();
    folder.file("tree.yaml", TREE);
    let mixed = "version: 1\nname: mixed\nacts: [{ at: 1s, fault: kill, path: /a }, { at: 2s, fault: { cut: { for: 1s } } }]\n";
    folder.file("mixed.yaml", mixed);
    let simulate = |plan| {
        folder.uk(&[
            "chaos",
            "simulate",
            "tree.yaml",
            "--seeds",
            "1",
            "--plan",
            plan,
        ])
    };

    let (alone, mixed) = (simulate("nodes"), simulate("mixed.yaml"));

    refused(
        &alone,
        1,
        &[
            "the plan `nodes` cannot be simulated",
            "has no other nodes",
            "`cut_one_way`",
        ],
    );
    assert_eq!(mixed.code, 0, "{mixed:?}");
    assert!(mixed.err.contains("`cut` strike nobody"), "{mixed:?}");
}
