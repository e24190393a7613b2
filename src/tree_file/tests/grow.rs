//! Random trees as JSON: what a file may say, and some of what it may not.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::tree_file::keys;

/// A tree without a fault, with some of the keys that there are.
pub(super) fn tree(rng: &mut Rng) -> Value {
    let mut left = rng.usize(1..12);
    let mut root = supervisor(rng, 0, &mut left);
    root.remove("id");
    let mut file = json!({ "version": 1, "tree": root });
    some(rng, &mut file, "name", |rng| id(rng).into());
    some(rng, &mut file, "test", |rng| rng.bool().into());
    file
}

fn supervisor(rng: &mut Rng, depth: usize, left: &mut usize) -> Map<String, Value> {
    let mut children: Vec<Value> = Vec::new();
    let wanted = rng.usize(0..5);
    while children.len() < wanted && *left > 0 {
        *left -= 1;
        let mut child = if depth < 3 && rng.u8(0..3) == 0 {
            Value::Object(supervisor(rng, depth + 1, left))
        } else {
            worker(rng)
        };
        common(rng, &mut child, &children);
        child["id"] = format!("{}{}", id(rng), children.len()).into();
        children.push(child);
    }
    let words = ["never", "any_significant", "all_significant"];
    let auto_shutdown = pick(rng, &words);
    for child in children.iter_mut().filter(|_| auto_shutdown != "never") {
        let comes_back = child.get("restart").is_none_or(|word| word == "permanent");
        if !comes_back {
            some(rng, child, "significant", |_| json!(true));
        }
    }
    let mut made = json!({ "children": children, "auto_shutdown": auto_shutdown });
    if rng.u8(0..4) == 0 {
        made = json!({ "template": template(rng, depth, left) });
        if rng.bool() {
            some(rng, &mut made, "max_children", |rng| rng.u32(..).into());
        } else {
            some(rng, &mut made, "partitions", |rng| rng.u32(1..9).into());
        }
        some(rng, &mut made, "strategy", |_| json!("one_for_one"));
    } else {
        let strategies = ["one_for_one", "one_for_all", "rest_for_one"];
        some(rng, &mut made, "strategy", |rng| pick(rng, &strategies));
    }
    let quarantines = made.get("strategy") != Some(&json!("one_for_all"));
    let listed = made.get_mut("children").and_then(Value::as_array_mut);
    for child in listed.into_iter().flatten() {
        let fits = child.get("kind").is_some() && child.get("backoff").is_none();
        if fits && child.get("restart") != Some(&json!("temporary")) {
            some(rng, child, "on_crash", |rng| ladder(rng, quarantines));
        }
    }
    some(rng, &mut made, "intensity", |rng| rng.u32(..).into());
    some(rng, &mut made, "period", |rng| time(rng, 1));
    made.as_object().cloned().unwrap()
}

/// Steps that ask for more and more.
fn ladder(rng: &mut Rng, quarantines: bool) -> Value {
    let mut after = 0;
    let mut steps = Vec::new();
    for _ in 0..rng.usize(0..4) {
        after += rng.u32(1..9);
        let swap = if rng.bool() {
            json!("last_good")
        } else {
            json!({})
        };
        steps.push(json!({ "after": after, "within": time(rng, 1), "swap": swap }));
    }
    if quarantines && rng.bool() {
        let within = time(rng, 1);
        steps.push(json!({ "after": after + 1, "within": within, "quarantine": true }));
    }
    steps.into()
}

fn template(rng: &mut Rng, depth: usize, left: &mut usize) -> Value {
    let mut made = if depth < 3 && rng.u8(0..3) == 0 {
        Value::Object(supervisor(rng, depth + 1, left))
    } else {
        worker(rng)
    };
    common(rng, &mut made, &[]);
    made.as_object_mut()
        .unwrap()
        .retain(|key, _| !keys::NOT_IN_TEMPLATE.contains(&key.as_str()));
    made
}

fn common(rng: &mut Rng, child: &mut Value, before: &[Value]) {
    let restarts = ["permanent", "transient", "temporary"];
    some(rng, child, "restart", |rng| pick(rng, &restarts));
    some(rng, child, "shutdown", |rng| match rng.u8(0..3) {
        0 => json!("brutal_kill"),
        1 => json!("infinity"),
        _ => time(rng, 0),
    });
    some(rng, child, "essential", |rng| rng.bool().into());
    some(rng, child, "significant", |_| json!(false));
    some(rng, child, "probation", |rng| time(rng, 1));
    some(rng, child, "start_timeout", |rng| match rng.bool() {
        true => json!("infinity"),
        false => time(rng, 1),
    });
    some(rng, child, "labels", |rng| {
        let labels = (0..rng.usize(0..4)).map(|_| (text(rng), literal(rng)));
        labels.collect::<Map<_, _>>().into()
    });
    some(rng, child, "backoff", backoff);
    some(rng, child, "needs", |rng| {
        let some = before.iter().filter(|_| rng.bool());
        some.map(|child| child["id"].clone()).collect()
    });
}

fn backoff(rng: &mut Rng) -> Value {
    let mut made = json!({});
    some(rng, &mut made, "min", |rng| {
        json!(format!("{}ms", rng.u32(0..10_000)))
    });
    some(rng, &mut made, "max", |rng| {
        json!(format!("{}s", rng.u32(10..10_000)))
    });
    some(rng, &mut made, "factor", |rng| json!(1.0 + rng.f64() * 9.0));
    some(rng, &mut made, "jitter", |rng| json!(rng.f64()));
    made
}

fn worker(rng: &mut Rng) -> Value {
    let (kind, settings) = match rng.u8(0..4) {
        0 => ("log", json!({})),
        1 => ("probe", probe(rng)),
        2 => (
            "sensor.host",
            json!({ "every": format!("{}ms", rng.u32(100..30_000)) }),
        ),
        _ => ("process", process(rng)),
    };
    let mut made = json!({ "kind": kind, "settings": settings });
    some(rng, &mut made, "place", place);
    if made["place"].is_object() && rng.bool() {
        made["kind"] = format!("other.{}", id(rng)).into();
        made["settings"] = json!({ "any": anything(rng, 0) });
    }
    if kind == "probe" {
        some(rng, &mut made, "state", |rng| {
            let mut made = json!({});
            some(rng, &mut made, "keep", |rng| rng.bool().into());
            some(rng, &mut made, "every", |rng| time(rng, 1));
            made
        });
    }
    some(rng, &mut made, "runtime", |rng| pick(rng, &["work", "own"]));
    some(rng, &mut made, "health", health);
    some(rng, &mut made, "stall_after", |rng| time(rng, 1));
    some(rng, &mut made, "stall", |rng| {
        pick(rng, &["report", "abandon"])
    });
    some(rng, &mut made, "mailbox", |rng| {
        let mut made = json!({});
        let overflows = ["block", "reject", "drop_oldest", "drop_newest"];
        some(rng, &mut made, "capacity", |rng| rng.u32(1..).into());
        some(rng, &mut made, "overflow", |rng| pick(rng, &overflows));
        some(rng, &mut made, "send_timeout", |rng| time(rng, 0));
        some(rng, &mut made, "on_restart", |rng| {
            pick(rng, &["keep", "drop"])
        });
        some(rng, &mut made, "retry", |rng| rng.u32(..).into());
        some(rng, &mut made, "fairness", |rng| rng.u32(1..).into());
        some(rng, &mut made, "ttl", |rng| time(rng, 1));
        some(rng, &mut made, "lanes", |rng| {
            let mut lanes = json!({});
            for lane in ["critical", "high", "normal", "low", "deferred"] {
                some(rng, &mut lanes, lane, |rng| rng.u32(1..).into());
            }
            lanes
        });
        made
    });
    made
}

fn place(rng: &mut Rng) -> Value {
    let mut made = json!({});
    let mut failovers = vec!["wait", "none"];
    match rng.u8(0..3) {
        0 => return json!("here"),
        1 => made["node"] = format!("edge-{}", id(rng)).into(),
        _ => {
            made["labels"] = json!({ id(rng): literal(rng) });
            failovers.push("elsewhere");
        }
    }
    some(rng, &mut made, "lease", |rng| {
        let (unit, least, most) = [
            ("ms", 1000, 3_600_000),
            ("s", 1, 3600),
            ("m", 1, 60),
            ("h", 1, 1),
        ][rng.usize(0..4)];
        format!("{}{unit}", rng.u32(least..=most)).into()
    });
    some(rng, &mut made, "failover", |rng| pick(rng, &failovers));
    made
}

fn health(rng: &mut Rng) -> Value {
    if rng.bool() {
        return json!("off");
    }
    let mut made = json!({});
    some(rng, &mut made, "every", |rng| {
        json!(format!("{}s", rng.u32(10..10_000)))
    });
    some(rng, &mut made, "timeout", |rng| {
        json!(format!("{}ms", rng.u32(1..10_000)))
    });
    some(rng, &mut made, "fails", |rng| rng.u32(1..).into());
    made
}

fn probe(rng: &mut Rng) -> Value {
    let mut made = json!({});
    some(rng, &mut made, "starts", |rng| {
        let answers = ["ok", "fail", "ignore", "hang"];
        (0..rng.usize(0..4)).map(|_| pick(rng, &answers)).collect()
    });
    some(rng, &mut made, "stop_takes", |rng| time(rng, 0));
    some(rng, &mut made, "trap_exit", |rng| rng.bool().into());
    made
}

fn process(rng: &mut Rng) -> Value {
    let words: Vec<Value> = (0..rng.usize(0..20)).map(|_| literal(rng)).collect();
    let command: Vec<Value> = std::iter::once(json!("sh")).chain(words).collect();
    let mut made = json!({ "command": command });
    some(rng, &mut made, "env", |rng| {
        let env = (0..rng.usize(0..4)).map(|_| (id(rng), literal(rng)));
        env.collect::<Map<_, _>>().into()
    });
    some(rng, &mut made, "cwd", literal);
    some(rng, &mut made, "stop_signal", |rng| {
        pick(rng, &["TERM", "sigint"])
    });
    some(rng, &mut made, "health", |rng| match rng.u8(0..3) {
        0 => json!({ "http": "http://127.0.0.1:9/ok" }),
        1 => json!({ "tcp": "[::1]:9" }),
        _ => json!({ "exec": ["true", literal(rng)] }),
    });
    made
}

/// Changes one place of a tree into what may be a fault.
pub(super) fn mutate(rng: &mut Rng, tree: &mut Value) {
    let mut at = tree;
    loop {
        let inside = match at {
            Value::Object(members) => members.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        if inside == 0 || rng.u8(0..4) == 0 {
            break;
        }
        let next = rng.usize(0..inside);
        at = match at {
            Value::Object(members) => members.values_mut().nth(next).unwrap(),
            Value::Array(items) => &mut items[next],
            _ => unreachable!("only what holds something is gone into"),
        };
    }
    let key = || keys::CHILD.iter().map(|(_, key)| key.name);
    match at {
        Value::Object(members) if rng.bool() => {
            let name = key().nth(rng.usize(0..key().count())).unwrap();
            members.insert(name.to_owned(), anything(rng, 2));
        }
        Value::Object(members) if !members.is_empty() => {
            let name = members.keys().nth(rng.usize(0..members.len())).cloned();
            let value = members.remove(&name.clone().unwrap()).unwrap();
            if rng.bool() {
                members.insert(format!("{}x", name.unwrap()), value);
            }
        }
        at => *at = anything(rng, 2),
    }
}

/// Any JSON that is no number with an empty fraction: to a schema that is an integer.
fn anything(rng: &mut Rng, depth: usize) -> Value {
    match rng.u8(0..if depth == 0 { 8 } else { 10 }) {
        0 => Value::Null,
        1 => rng.bool().into(),
        2 => rng.i32(-3..9).into(),
        3 => json!(rng.f64() * 3.0 + 0.001),
        4 => time(rng, 0),
        5 => json!("never"),
        6 => literal(rng),
        7 => pick(
            rng,
            &["5", "5 s", "infinity", "off", "here", "log", "probe", ""],
        ),
        8 => (0..rng.usize(0..3))
            .map(|_| anything(rng, depth - 1))
            .collect(),
        _ => {
            let members = (0..rng.usize(0..3)).map(|_| (text(rng), anything(rng, depth - 1)));
            members.collect::<Map<_, _>>().into()
        }
    }
}

fn some(rng: &mut Rng, to: &mut Value, key: &str, value: impl FnOnce(&mut Rng) -> Value) {
    if rng.u8(0..3) == 0 {
        to[key] = value(rng);
    }
}

fn pick(rng: &mut Rng, words: &[&str]) -> Value {
    words[rng.usize(0..words.len())].into()
}

fn time(rng: &mut Rng, least: u32) -> Value {
    let unit = ["ms", "s", "m", "h", "d"][rng.usize(0..5)];
    format!("{}{unit}", rng.u32(least..30_000)).into()
}

fn id(rng: &mut Rng) -> String {
    let letters = ['a', 'Z', '0', '_', '-', 'e', 'y'];
    (0..rng.usize(1..6))
        .map(|_| letters[rng.usize(0..letters.len())])
        .collect()
}

/// A text of letters that are hard to write down.
fn text(rng: &mut Rng) -> String {
    let pieces = [
        "a",
        "true",
        "no",
        "5",
        "5s",
        " ",
        "  ",
        "#",
        ": ",
        "-",
        "'",
        "\"",
        "\\",
        "\n",
        "\t",
        "\r",
        "{",
        "]",
        ",",
        "&",
        "*",
        "!",
        "|",
        ">",
        "%",
        "@",
        "`",
        "?",
        "~",
        "<<",
        "$",
        "ü",
        "\u{85}",
        "\u{feff}",
        "\u{2028}",
        "\u{1f600}",
        "\u{7f}",
        "\u{1b}",
        ".",
        "0x1",
        "=",
    ];
    (0..rng.usize(0..5))
        .map(|_| pieces[rng.usize(0..pieces.len())])
        .collect()
}

/// Such a text without a variable, but perhaps with what looks like one.
fn literal(rng: &mut Rng) -> Value {
    let plain = |rng: &mut Rng| text(rng).replace('$', "$ ");
    let between = if rng.u8(0..4) == 0 { "$${A}" } else { "" };
    format!("{}{between}{}", plain(rng), plain(rng)).into()
}
