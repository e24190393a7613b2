//! `uk node`: attach other kernels, see how they are, and make what they trust each other by.

use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};
use unity_actors::cluster::Cluster;
use unity_supervisors::Kernel;

use super::Command;
use crate::arguments::{Arg, ArgKind, Args, Form};
use crate::error::CommandError;
use crate::screen::{Line, Screen, Tone, list, table, text};
use crate::tree_file::plain::is_place;

mod ca;
mod token;

pub(super) use self::ca::COMMAND as CA;
pub(super) use self::token::COMMAND as TOKEN;

/// How long the clocks of two nodes may differ before that is shown as more than a remark, in milliseconds.
const SKEW_MAX_MS: f64 = 1_000.0;

pub(super) const LIST: Command = Command {
    about: "List the nodes that are attached, and how each is",
    help: "`down` means that it cannot be reached, not that it does not run; it is tried again all the time. The skew is how \
           far its clock is ahead. This node itself is no row.\n\n\
           Example: uk node list --json",
    show: show_list,
    ..Command::reading(&["node", "list"], |kernel, _| {
        async move { Ok(read(&kernel)) }.boxed()
    })
};

pub(super) const ATTACH: Command = Command {
    about: "Attach another kernel, here or on another machine",
    help: "It listens with `uk run --node-listen ADDRESS`; both have the same cookie (`uk node token`), and beyond this machine \
           certificates of one CA (`uk node ca`). Once attached it stays so until `uk node detach` or the end of this \
           kernel; `nodes.seeds` in system.yaml is for good. Then `--node NAME` on any command, `NAME:/path` for any path \
           and `@NAME` in the console are about it.\n\n\
           Example: uk node attach edge-1.local:4697",
    args: &[
        Arg::required(
            "address",
            ArgKind::Text,
            "where it listens: a host and a port, as in edge-1.local:4697",
        )
        .within(1, 300),
        Arg::option(
            "timeout",
            ArgKind::Duration,
            "how long to wait for it; 10s unless said",
        )
        .within(1, 600_000),
    ],
    show: |document, screen| {
        let mut line = Line::new();
        line.push(Tone::Bold, text(document, "name"));
        line.push(Tone::Plain, " is attached");
        line.push(Tone::Dim, &format!(" ({})", text(document, "address")));
        line.push(
            Tone::Plain,
            &format!("; `uk tree --node {}` shows it", text(document, "name")),
        );
        line.wrap(screen, 2)
    },
    ..Command::administering(&["node", "attach"], |kernel, args| {
        attach(kernel, args).boxed()
    })
};

pub(super) const DETACH: Command = Command {
    about: "End the connection to a node, and keep none any more",
    help: "The other may attach itself again, if it has this node among its seeds or attached it.\n\n\
           Example: uk node detach edge-1",
    args: &[Arg::required(
        "which",
        ArgKind::Text,
        "its name, or the address that it was not reached at",
    )
    .within(1, 300)],
    show: |document, _| format!("{} is detached\n", text(document, "name")),
    ..Command::administering(&["node", "detach"], |kernel, args| {
        async move { detach(&kernel, &args) }.boxed()
    })
};

pub(super) const DRAIN: Command = Command {
    about: "Have a node take no new children of other nodes, before it is stopped",
    help: "Without a name this node. What others ask it to run from then on goes elsewhere, where `place` allows that. What it \
           runs of theirs moves to another node that fits, one child at a time in the order of the tree; what fits nowhere \
           else goes on here. --undo ends it, and so does its next start.\n\n\
           Example: uk node drain edge-1",
    args: &[
        Arg::optional(
            "which",
            ArgKind::Form(Form::Id),
            "its name, if not this one",
        ),
        Arg::option("undo", ArgKind::Flag, "take children again"),
    ],
    show: |document, _| {
        let node = text(document, "name");
        match document.get("draining") == Some(&Value::Bool(true)) {
            true => format!(
                "{node} takes no new children of other nodes; those that it runs move where another node fits\n"
            ),
            false => format!("{node} takes children of other nodes again\n"),
        }
    },
    ..Command::administering(&["node", "drain"], |kernel, args| {
        drain(kernel, args).boxed()
    })
};

fn read(kernel: &Kernel) -> Value {
    let cluster = kernel.shared::<Cluster>();
    json!({
        "version": 1,
        "node": kernel.name(),
        "address": cluster.address(),
        "deaf": cluster.deaf(),
        "draining": cluster.is_draining(),
        "nodes": cluster.nodes(),
    })
}

async fn attach(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let address = args.text("address").unwrap_or_default().trim();
    if !is_place(address) {
        let error = CommandError::conflict(format!("`{address}` is no address of a node"));
        return Err(error.hint("write a host and a port, as in edge-1.local:4697"));
    }
    let within = args.duration("timeout").unwrap_or(ATTACHES_WITHIN);
    let cluster: Arc<Cluster> = kernel.shared();
    let name = cluster.attach(address, within).await?;
    Ok(json!({ "version": 1, "name": name, "address": address }))
}

/// How long is waited for a node unless it is said.
const ATTACHES_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

fn detach(kernel: &Kernel, args: &Args) -> Result<Value, CommandError> {
    let name = args.text("which").unwrap_or_default();
    kernel.shared::<Cluster>().detach(name)?;
    Ok(json!({ "version": 1, "name": name }))
}

async fn drain(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let cluster: Arc<Cluster> = kernel.shared();
    match args.text("which").filter(|name| *name != kernel.name()) {
        Some(name) => {
            let there = json!({ "undo": args.flag("undo") });
            let within = std::time::Duration::from_secs(60);
            Ok(cluster.command(name, "node drain", &there, within).await?)
        }
        None => {
            let is_draining = !args.flag("undo");
            cluster.set_draining(is_draining);
            Ok(json!({ "version": 1, "name": kernel.name(), "draining": is_draining }))
        }
    }
}

fn show_list(document: &Value, screen: &Screen) -> String {
    let nodes = list(document, "nodes");
    let mut out = String::new();
    let deaf = text(document, "deaf");
    if !deaf.is_empty() {
        let mut line = Line::new();
        line.push(Tone::Bad, deaf);
        out.push_str(&line.wrap(screen, 2));
    }
    if nodes.is_empty() {
        return out + &next_steps(document);
    }
    let heads = ["node", "state", "address", "round trip", "clock", "labels"];
    let mut rows = vec![heads.map(|head| (Tone::Dim, head.to_owned())).to_vec()];
    for node in nodes {
        rows.push(row(node));
        let why = text(node, "why");
        if !why.is_empty() {
            rows.push(vec![(Tone::Dim, format!("  {why}"))]);
        }
    }
    out + &table(&rows, screen)
}

fn row(node: &Value) -> Vec<(Tone, String)> {
    let state = text(node, "state");
    let tone = match state {
        "up" => Tone::Good,
        "down" => Tone::Bad,
        _ => Tone::Warn,
    };
    let ms = |name: &str| node.get(name).and_then(Value::as_f64);
    let rtt = ms("rtt_ms").map_or_else(String::new, |ms| format!("{ms:.1} ms"));
    let skew = ms("skew_ms");
    let skew_tone = match skew {
        Some(skew) if skew.abs() > SKEW_MAX_MS => Tone::Warn,
        _ => Tone::Dim,
    };
    let labels = node.get("labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten().map(|(name, value)| {
        let value = value.as_str().unwrap_or_default();
        format!("{name}={value}")
    });
    vec![
        (Tone::Bold, text(node, "name").to_owned()),
        (tone, state.to_owned()),
        (Tone::Plain, text(node, "address").to_owned()),
        (Tone::Plain, rtt),
        (skew_tone, skew.map_or_else(String::new, skew_text)),
        (Tone::Dim, labels.collect::<Vec<_>>().join(" ")),
    ]
}

/// `+0.3 ms`, `-2.0 s`
fn skew_text(ms: f64) -> String {
    if ms.abs() < 1_000.0 {
        format!("{ms:+.1} ms")
    } else {
        format!("{:+.1} s", ms / 1e3)
    }
}

/// What to do where there are none.
fn next_steps(document: &Value) -> String {
    let mut out = String::from("no node is attached\n");
    match text(document, "address") {
        "" => {
            out.push_str(
                "hint: start another kernel where it can be reached, and attach it here:\n",
            );
            out.push_str("  uk run FILE --name edge-1 --node-listen 127.0.0.1:4697\n");
            out.push_str("  uk node attach 127.0.0.1:4697\n");
        }
        address => {
            out.push_str(&format!(
                "hint: this node listens at {address}: `uk node attach {address}` at another kernel\n"
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_how_each_node_is_and_why_it_is_not_there() {
        let document = json!({ "version": 1, "node": "rig", "nodes": [
            { "name": "edge-1", "address": "127.0.0.1:1", "state": "up", "rtt_ms": 0.21, "skew_ms": -0.5,
              "labels": { "gpu": "true" }, "why": null },
            { "name": "edge-2", "address": "127.0.0.1:2", "state": "down", "rtt_ms": null, "skew_ms": null,
              "labels": {}, "why": "it said nothing for 2s" },
        ] });

        let drawn = show_list(&document, &Screen::plain(90));

        assert_eq!(
            drawn,
            "\
node    state  address      round trip  clock    labels
edge-1  up     127.0.0.1:1  0.2 ms      -0.5 ms  gpu=true
edge-2  down   127.0.0.1:2
  it said nothing for 2s
"
        );
        assert!(drawn.lines().all(|line| line.chars().count() <= 90));
    }

    #[test]
    fn where_there_are_none_it_says_what_to_do() {
        let alone = json!({ "nodes": [], "address": null });
        let listening = json!({ "nodes": [], "address": "127.0.0.1:4697" });

        let drawn = [alone, listening].map(|document| show_list(&document, &Screen::plain(80)));

        assert!(drawn[0].contains("uk run FILE --name edge-1 --node-listen"));
        assert!(drawn[1].contains("`uk node attach 127.0.0.1:4697`"));
    }

    #[test]
    fn a_skew_is_told_in_a_fitting_unit() {
        for (ms, said) in [(0.25, "+0.2 ms"), (-12.0, "-12.0 ms"), (2_500.0, "+2.5 s")] {
            assert_eq!(skew_text(ms), said);
        }
    }
}
