//! Three kernels in namespaces of their own that know each other over TLS, and a child that moves between them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::harness::{Folder, Rig, Said};
use crate::net::Net;

/// The node whose tree has the child, and those that it may live on.
pub(crate) const HOME: &str = "home";
pub(crate) const EDGES: [&str; 2] = ["edge-1", "edge-2"];
const NAMES: &[&str] = &[HOME, EDGES[0], EDGES[1]];
const PORT: u16 = 4697;
/// Says ten times a second which life it is: the namespaces share their process ids.
const CHILD: &str = r#"n=0; while n=$((n+1)); do echo "{\"topic\":\"life.tick\",\"data\":{\"pid\":$$,\"n\":$n}}"; sleep 0.1; done"#;

/// A child that may live on either edge, and moves.
pub(crate) const ELSEWHERE: &str = "{ labels: { gpu: 'true' }, lease: 3s, failover: elsewhere }";
/// A child that lives on one edge, or nowhere.
pub(crate) const WAITS: &str = "{ node: edge-1, lease: 3s, failover: wait }";

/// The kernels. They end before their network does.
pub(crate) struct World {
    pub(crate) home: Rig,
    pub(crate) edges: [Rig; 2],
    pub(crate) net: Net,
    _trust: Folder,
}

impl World {
    /// All three attached to each other, the child placed so; `None` where there can be no namespaces.
    pub(crate) fn new(place: &str) -> Option<Self> {
        let net = Net::new(NAMES)?;
        let trust = Folder::new();
        done(&trust.uk(&["node", "ca", "init", "ca"]));
        done(&trust.uk(&["node", "token", "--out", "cookie"]));
        trust.file("child.sh", CHILD);
        let [home, one, two] = [NAMES[0], NAMES[1], NAMES[2]].map(|name| {
            let folder = folder(&net, &trust, name, place);
            let process = start(&net, &folder, name);
            Rig { folder, process }
        });
        let world = Self {
            home: home.until_booted(),
            edges: [one.until_booted(), two.until_booted()],
            net,
            _trust: trust,
        };
        for name in NAMES {
            for other in NAMES.iter().filter(|other| *other != name) {
                until_state(world.node(name), other, "up");
            }
        }
        Some(world)
    }

    pub(crate) fn node(&self, name: &str) -> &Rig {
        match EDGES.iter().position(|edge| *edge == name) {
            Some(edge) => &self.edges[edge],
            None => &self.home,
        }
    }

    /// Waits until the child lives where that is as wanted; returns where.
    pub(crate) fn until_lives(&self, wanted: impl Fn(&str) -> bool) -> &'static str {
        let tree = self.home.until(&["tree", "/far"], |tree| {
            tree["tree"]["placed"]["node"].as_str().is_some_and(&wanted)
        });
        let node = tree["tree"]["placed"]["node"].as_str();
        EDGES.into_iter().find(|edge| Some(*edge) == node).unwrap()
    }

    /// Kills a kernel as no kernel can help, and starts another of its name.
    pub(crate) fn kill_and_start(&mut self, name: &str) {
        let edge = EDGES.iter().position(|edge| *edge == name);
        let rig = match edge {
            Some(edge) => &mut self.edges[edge],
            None => &mut self.home,
        };
        rig.process.kill().unwrap();
        rig.process.wait().unwrap();
        rig.process = start(&self.net, &rig.folder, name);
        rig.until(&["tree"], |tree| tree["mode"] != "booting");
    }
}

/// What a node needs to be one, and its tree.
fn folder(net: &Net, trust: &Folder, name: &str, place: &str) -> Folder {
    let folder = Folder::new();
    let issue = ["node", "ca", "issue", name, "--dir", "ca", "--out", name];
    let issued = trust.uk(&[&issue[..], &["--json"]].concat()).json();
    let file = |file: &str| trust.path().join(file).display().to_string();
    let issued = |what: &str| file(issued[what].as_str().unwrap());
    let others = NAMES.iter().filter(|other| **other != name);
    let seeds: Vec<String> = others
        .map(|other| format!("{}:{PORT}", net.address(other)))
        .collect();
    let labels = if name == HOME {
        "{}"
    } else {
        "{ gpu: 'true' }"
    };
    let settings = format!(
        "nodes:\n  listen: {}:{PORT}\n  cookie_file: {}\n  ca: {}\n  cert: {}\n  key: {}\n  seeds: [{}]\nlabels: {labels}\n",
        net.address(name),
        file("cookie"),
        issued("ca"),
        issued("cert"),
        issued("key"),
        seeds.join(", "),
    );
    std::fs::create_dir(folder.path().join("config")).unwrap();
    folder.file("config/system.yaml", settings);
    let child = match name {
        HOME => format!(
            "    - id: far\n      kind: process\n      place: {place}\n      settings:\n        \
             command: [sh, {}]\n        publishes: [life.*]\n",
            file("child.sh"),
        ),
        _ => "    - { id: idle, kind: probe }\n".to_owned(),
    };
    let tree = format!("version: 1\nname: {name}\ntest: true\ntree:\n  children:\n{child}");
    folder.file("tree.yaml", tree);
    folder
}

fn done(said: &Said) {
    assert_eq!(said.code, 0, "{said:?}");
}

fn start(net: &Net, folder: &Folder, name: &str) -> Child {
    let file = |name: &str| File::create(folder.path().join(name)).unwrap();
    let command = folder.command(&["run", "tree.yaml"]);
    let mut inside = net.inside(name, &command);
    inside
        .stdin(Stdio::null())
        .stdout(file("out"))
        .stderr(file("log"));
    inside.spawn().unwrap()
}

/// Waits until a node is so in the eyes of another; returns how it is.
pub(crate) fn until_state(seen_by: &Rig, name: &str, state: &str) -> Value {
    let node = |list: &Value| {
        let mut nodes = list["nodes"].as_array().into_iter().flatten();
        nodes.find(|node| node["name"] == name).cloned()
    };
    let is_so = |list: &Value| node(list).is_some_and(|node| node["state"] == state);
    node(&seen_by.until(&["node", "list"], is_so)).unwrap()
}

/// How a node is now in the eyes of another.
pub(crate) fn state(seen_by: &Rig, name: &str) -> Value {
    let list = seen_by.json(&["node", "list"]);
    let mut nodes = list["nodes"].as_array().unwrap().iter();
    nodes.find(|node| node["name"] == name).unwrap()["state"].clone()
}

/// Waits until nothing lives there for another node.
pub(crate) fn until_no_guest(edge: &Rig) {
    edge.until(&["tree", "/system/guests"], |tree| {
        tree["tree"]["children"]
            .as_array()
            .is_some_and(Vec::is_empty)
    });
}

/// What the child publishes, as its own node hears it.
pub(crate) struct Ticks {
    process: Child,
    file: PathBuf,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) pid: u64,
    n: u64,
}

impl Ticks {
    pub(crate) fn of(home: &Rig) -> Self {
        let file = home.folder.path().join("ticks");
        let mut command = home
            .folder
            .command(&["events", "tail", "life.tick", "--json"]);
        let process = command
            .stdout(File::create(&file).unwrap())
            .spawn()
            .unwrap();
        home.until(&["events", "show", "life.tick"], |shown| {
            let mut subscribers = shown["subscribers"].as_array().into_iter().flatten();
            subscribers.any(|its| its == "uk events tail")
        });
        Self { process, file }
    }

    fn all(&self) -> Vec<Tick> {
        let text = std::fs::read_to_string(&self.file).unwrap();
        // The last line may not be there to its end.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let tick = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["source"], "/far", "{event}");
            let number = |name: &str| event["data"][name].as_u64().unwrap();
            Tick {
                pid: number("pid"),
                n: number("n"),
            }
        };
        whole.lines().map(tick).collect()
    }

    /// Waits for the next one that is heard after this and is as wanted.
    pub(crate) fn until(&self, home: &Rig, wanted: impl Fn(Tick) -> bool) -> Tick {
        let heard = self.all().len();
        let next = || {
            self.all()
                .split_off(heard)
                .into_iter()
                .find(|tick| wanted(*tick))
        };
        home.until(&["version"], |_| next().is_some());
        next().unwrap()
    }

    /// The lives that were heard, each once: nothing of a life comes after the next has begun, and nothing of it twice.
    pub(crate) fn lives(&self) -> Vec<u64> {
        let mut lives: Vec<u64> = Vec::new();
        let all = self.all();
        for (nth, tick) in all.iter().enumerate() {
            match nth.checked_sub(1).map(|before| all[before]) {
                Some(before) if before.pid == tick.pid => assert!(before.n < tick.n, "{tick:?}"),
                _ => {
                    assert!(!lives.contains(&tick.pid), "{tick:?} after {lives:?}");
                    lives.push(tick.pid);
                }
            }
        }
        lives
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Whether a process runs. One that has ended and that nobody asked about yet does not.
pub(crate) fn runs(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}
