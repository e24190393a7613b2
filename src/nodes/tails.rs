//! Documents of other nodes as they come: of one, or of all in one stream.
//!
//! Of all: each document says its `node`. A node that goes is said once, as `{"version":1,"node":"edge-1","down":"…"}`, and
//! listened to again when it is back, from then on.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use unity_actors::cluster::{Cluster, Fault, NodeState};
use unity_supervisors::Kernel;

use super::aimed;
use super::ask::{Whither, may_leave, wire};
use crate::arguments::Args;
use crate::commands::{Command, Documents, StreamRun};
use crate::error::{Code, CommandError};
use crate::rights::Who;
use crate::screen::{put, text};

/// Begins a command with many documents elsewhere.
pub(crate) async fn tail(
    kernel: &Kernel,
    who: &Who,
    command: &Command,
    (run, args): (StreamRun, Args),
    whither: Whither,
) -> Result<Documents, CommandError> {
    if whither == Whither::Here {
        return run(kernel.clone(), args).await;
    }
    may_leave(who, command)?;
    let (cluster, wire) = (kernel.shared::<Cluster>(), wire(command, &args));
    match whither {
        Whither::Node(node) => of_one(&cluster, &node, &command.name(), &wire).await,
        _ => {
            let limit = args.integer("limit");
            let here = run(kernel.clone(), args).await?;
            let all = All::new(kernel.name(), here, cluster, command.name(), wire);
            Ok(limited(all.documents(), limit))
        }
    }
}

async fn of_one(
    cluster: &Cluster,
    node: &str,
    name: &str,
    wire: &Value,
) -> Result<Documents, CommandError> {
    let documents = cluster.tail(node, name, wire).await;
    let documents = documents.map_err(|fault| aimed::error(fault.into(), node))?;
    let of = node.to_owned();
    let read = move |item: Result<_, Fault>| {
        let blob: unity_actors::cluster::codec::Blob = item?;
        serde_json::from_slice(&blob.0).map_err(|error| {
            let message = format!("node `{of}` sent what is no JSON: {error}");
            CommandError::new(Code::Failed, message)
        })
    };
    Ok(documents.map(read).boxed())
}

/// What comes from one of several: a document, or its end and why.
enum Item {
    Document(Value),
    Over(Option<CommandError>),
}

type Items = BoxStream<'static, (String, Item)>;

struct All {
    cluster: Arc<Cluster>,
    changes: watch::Receiver<u64>,
    name: String,
    wire: Value,
    open: SelectAll<Items>,
    /// The nodes that are listened to, and those that are not any more though they are there.
    heard: BTreeSet<String>,
    here: String,
}

impl All {
    fn new(node: &str, here: Documents, cluster: Arc<Cluster>, name: String, wire: Value) -> Self {
        let mut changes = cluster.watch();
        changes.mark_changed();
        let mut open = SelectAll::new();
        open.push(items(node.to_owned(), here));
        Self {
            cluster,
            changes,
            name,
            wire,
            open,
            heard: BTreeSet::new(),
            here: node.to_owned(),
        }
    }

    fn documents(self) -> Documents {
        stream::unfold(self, |mut all| async move {
            let document = all.next().await?;
            Some((document, all))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Result<Value, CommandError>> {
        loop {
            tokio::select! {
                biased;
                changed = self.changes.changed() => match changed {
                    Ok(()) => self.listen_to_new(),
                    Err(_gone) => return None,
                },
                item = self.open.next() => match item {
                    Some((node, Item::Document(mut document))) => {
                        put(&mut document, "node", node);
                        return Some(Ok(document));
                    }
                    // What ends here ends as it would without the others.
                    Some((node, Item::Over(error))) if node == self.here => {
                        if let Some(error) = error {
                            return Some(Err(error));
                        }
                    }
                    Some((node, Item::Over(Some(error)))) => {
                        if error.code == Code::Unreachable {
                            self.heard.remove(&node);
                            self.changes.mark_changed();
                        }
                        let gone = json!({ "version": 1, "node": node, "down": error.message });
                        return Some(Ok(gone));
                    }
                    Some((_, Item::Over(None))) => {}
                    None => return None,
                },
            }
        }
    }

    fn listen_to_new(&mut self) {
        self.changes.mark_unchanged();
        for info in self.cluster.nodes() {
            let is_there = matches!(info.state, NodeState::Up | NodeState::Draining);
            if !is_there || !self.heard.insert(info.name.clone()) {
                continue;
            }
            let (cluster, node) = (Arc::clone(&self.cluster), info.name.clone());
            let (name, wire) = (self.name.clone(), self.wire.clone());
            let begun = async move {
                let begun = of_one(&cluster, &node, &name, &wire).await;
                begun.unwrap_or_else(|error| stream::once(async { Err(error) }).boxed())
            };
            let documents = stream::once(begun).flatten().boxed();
            self.open.push(items(info.name, documents));
        }
        // From now on what comes back is listened to from when it does.
        if let Some(wire) = self.wire.as_object_mut() {
            wire.remove("from");
        }
    }
}

/// The documents of a node up to its first error, and that it is over.
fn items(node: String, documents: Documents) -> Items {
    let begin = Some((node, documents));
    stream::unfold(begin, |state| async move {
        let (node, mut documents) = state?;
        match documents.next().await {
            Some(Ok(document)) => {
                let item = (node.clone(), Item::Document(document));
                Some((item, Some((node, documents))))
            }
            Some(Err(error)) => Some(((node, Item::Over(Some(error))), None)),
            None => Some(((node, Item::Over(None)), None)),
        }
    })
    .boxed()
}

/// At most so many events; what is said of nodes does not count.
fn limited(documents: Documents, limit: Option<u64>) -> Documents {
    let begin = (documents, limit.unwrap_or(u64::MAX));
    stream::unfold(begin, |(mut documents, left)| async move {
        if left == 0 {
            return None;
        }
        let document = documents.next().await?;
        let is_event = document
            .as_ref()
            .is_ok_and(|document| !text(document, "topic").is_empty());
        Some((document, (documents, left - u64::from(is_event))))
    })
    .boxed()
}
