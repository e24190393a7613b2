//! Passing a command on to another node, or to all of them.

use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::{self, StreamExt};
use serde_json::{Map, Value, json};
use unity_actors::cluster::{Cluster, NodeInfo};
use unity_supervisors::Kernel;

use super::{aimed, is_secret};
use crate::arguments::{ALL, Args};
use crate::client::patience;
use crate::commands::{Command, KernelRun};
use crate::error::CommandError;
use crate::rights::Who;
use crate::screen::put;

/// How much sooner than its client the kernel gives up on another node.
const SOONER: Duration = Duration::from_secs(1);
/// How long a node has to answer when all are asked.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How many nodes are asked at a time.
const AT_A_TIME: usize = 64;

/// Which node a command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whither {
    /// That which is asked.
    Here,
    /// The one of this name.
    Node(String),
    /// All, and this one first.
    All,
}

/// Takes out of the arguments which node they are for.
pub(crate) fn whither(
    kernel: &Kernel,
    command: &Command,
    args: &mut Args,
) -> Result<Whither, CommandError> {
    match args.take_node(command.args)? {
        None => Ok(Whither::Here),
        Some(node) if node == kernel.name() => Ok(Whither::Here),
        Some(node) if node == ALL && command.is_of_all => Ok(Whither::All),
        Some(node) if node == ALL => {
            let what = format!("`{}` is done on one node at a time", command.name());
            Err(CommandError::conflict(what)
                .hint("of all nodes at once there are `tree`, `health`, `why` and `events tail`"))
        }
        Some(node) => Ok(Whither::Node(node)),
    }
}

/// Whether somebody may have a command passed on. Its scope was looked at already.
pub(super) fn may_leave(who: &Who, command: &Command) -> Result<(), CommandError> {
    if command.is_secret {
        return Err(is_secret(command));
    }
    match who.bounds.is_none() {
        true => Ok(()),
        false => Err(who.out_of_bounds(&format!("`{}` on another node", command.name()))),
    }
}

pub(super) fn wire(command: &Command, args: &Args) -> Value {
    Value::Object(args.to_wire(command.args))
}

/// Does a command elsewhere.
pub(crate) async fn run(
    kernel: &Kernel,
    who: &Who,
    command: &Command,
    (run, args): (KernelRun, Args),
    whither: Whither,
) -> Result<Value, CommandError> {
    let node = match whither {
        Whither::Here => return run(kernel.clone(), args).await,
        Whither::Node(node) => node,
        Whither::All => {
            may_leave(who, command)?;
            return all(kernel, command, run, args).await;
        }
    };
    may_leave(who, command)?;
    let within = patience(command, &args).saturating_sub(SOONER);
    let cluster = kernel.shared::<Cluster>();
    let (name, wire) = (command.name(), wire(command, &args));
    let was_up = cluster.is_up(&node);
    match cluster.command(&node, &name, &wire, within).await {
        // A node that stops may be gone before its answer.
        Err(fault) if was_up && command.words == ["shutdown"] && !cluster.is_up(&node) => {
            tracing::debug!(%node, %fault, "a node that was to stop is gone");
            Ok(json!({ "version": 1, "node": node, "done": "stopping" }))
        }
        Ok(document) => Ok(aimed::document(document, &node)),
        Err(fault) => Err(aimed::error(fault.into(), &node)),
    }
}

/// Asks all nodes: `{"version":1,"nodes":[…]}`, this one first.
async fn all(
    kernel: &Kernel,
    command: &Command,
    run: KernelRun,
    args: Args,
) -> Result<Value, CommandError> {
    let (cluster, name) = (kernel.shared::<Cluster>(), command.name());
    let wire = wire(command, &args);
    let ask = |info: NodeInfo| {
        let (cluster, name, wire) = (&cluster, &name, &wire);
        async move {
            let asked = cluster
                .command(&info.name, name, wire, ANSWERS_WITHIN)
                .await;
            let asked = asked.map(|document| aimed::document(document, &info.name));
            let asked = asked.map_err(|fault| aimed::error(fault.into(), &info.name));
            (info, asked)
        }
    };
    let others = stream::iter(cluster.nodes()).map(ask).buffered(AT_A_TIME);
    let (here, others) = join(run(kernel.clone(), args), others.collect::<Vec<_>>()).await;
    // What is found nowhere is said as it is where one node is asked.
    if let (Err(error), true) = (&here, others.iter().all(|(_, other)| other.is_err())) {
        return Err(error.clone());
    }
    let mut nodes = vec![entry(kernel.name(), None, here)];
    nodes.extend(
        others
            .into_iter()
            .map(|(info, answered)| entry(&info.name, Some(&info), answered)),
    );
    Ok(json!({ "version": 1, "nodes": nodes }))
}

/// What one node has answered, under its name; of one that did not, how it is.
fn entry(name: &str, info: Option<&NodeInfo>, answered: Result<Value, CommandError>) -> Value {
    let mut entry = match answered {
        Ok(document) => document,
        Err(error) => {
            let how = info.map_or(Value::Null, |info| json!(info));
            let mut entry = Map::new();
            for key in ["state", "address", "why", "since"] {
                if let Some(value) = how.get(key) {
                    entry.insert(key.to_owned(), value.clone());
                }
            }
            let told = error.to_json().get_mut("error").map(Value::take);
            entry.insert("error".to_owned(), told.unwrap_or_default());
            Value::Object(entry)
        }
    };
    if let Some(entry) = entry.as_object_mut() {
        entry.remove("version");
    }
    put(&mut entry, "node", name);
    entry
}
