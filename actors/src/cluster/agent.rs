//! What a node does for others: the one thing of it that they can reach.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use serde_json::Value;
use unity_supervisors::bus::{Draft, line};
use unity_supervisors::{Address, Kernel};

use super::codec::{self, Blob, CallV1, FaultV1, FenceV1};
use super::fault;
use super::grants::Grants;
use super::guests::Guests;
use super::nodes::{Cluster, Commands};
use super::service::{self, NodesMessage};
use super::session::{Serve, Session, Tail, body};

/// Serves the nodes that are attached.
pub(super) struct Agent {
    kernel: Kernel,
    cluster: Arc<Cluster>,
    commands: Option<Arc<dyn Commands>>,
    grants: Arc<Grants>,
    guests: Arc<Guests>,
    service: Address<NodesMessage>,
}

impl Agent {
    pub(super) fn new(
        kernel: &Kernel,
        cluster: &Arc<Cluster>,
        service: Address<NodesMessage>,
    ) -> Arc<Self> {
        let options = cluster.options();
        Arc::new(Self {
            kernel: kernel.clone(),
            cluster: Arc::clone(cluster),
            commands: options.and_then(|options| options.commands.clone()),
            grants: Arc::clone(&cluster.grants),
            guests: kernel.shared(),
            service,
        })
    }

    fn commands(&self) -> Result<&Arc<dyn Commands>, FaultV1> {
        self.commands
            .as_ref()
            .ok_or_else(|| fault::new("failed", "this node does no commands"))
    }

    fn command(
        &self,
        from: &Session,
        name: &str,
        args: &Blob,
    ) -> Result<BoxFuture<'static, Result<Value, FaultV1>>, FaultV1> {
        let args = args_of(args)?;
        Ok(self.commands()?.run(&self.kernel, from.node(), name, args))
    }

    fn resolve(&self, path: &str) -> Result<Blob, FaultV1> {
        let path = path.parse();
        let path = path.map_err(|error| fault::new("usage", format!("{error}")))?;
        let found = self.kernel.json_address(&path);
        let found = found
            .ok_or_else(|| fault::new("not_found", format!("there is no worker at `{path}`")))?;
        codec::pack(&found.slot_serial()).map_err(|error| fault::new("failed", error.to_string()))
    }

    /// The event that another node publishes here, under the name of that node.
    fn publish(
        &self,
        from: &Session,
        line: &Blob,
    ) -> Result<BoxFuture<'static, Result<Blob, FaultV1>>, FaultV1> {
        let text = std::str::from_utf8(&line.0);
        let text = text.map_err(|error| fault::new("usage", error.to_string()))?;
        let mut draft: Draft =
            line::from_line(text).map_err(|error| fault::new("usage", error.to_string()))?;
        // Whatever it calls itself there, here it is of that node.
        let there = draft.source.take().unwrap_or_default();
        let source: Arc<str> = format!("{}:{there}", from.node()).into();
        draft.source = Some(Arc::clone(&source));
        let bus = Arc::clone(self.kernel.bus());
        Ok(async move {
            let published = bus.publish(&source, draft).await;
            let id = published.map_err(|error| fault::new("failed", error.to_string()))?;
            Ok(Blob(id.to_string().into_bytes()))
        }
        .boxed())
    }
}

fn args_of(args: &Blob) -> Result<Value, FaultV1> {
    serde_json::from_slice(&args.0)
        .map_err(|error| fault::new("usage", format!("the arguments are no JSON: {error}")))
}

impl Serve for Agent {
    fn call(&self, from: Arc<Session>, call: CallV1) -> BoxFuture<'static, Result<Blob, FaultV1>> {
        let begun = match call {
            CallV1::Command { name, args } => self
                .command(&from, &name, &args)
                .map(|done| async move { Ok(Blob(body(&done.await?))) }.boxed()),
            CallV1::Resolve { path } => self
                .resolve(&path)
                .map(|serial| std::future::ready(Ok(serial)).boxed()),
            CallV1::Publish { line, from: None } => self.publish(&from, &line),
            CallV1::Publish {
                line,
                from: Some(fence),
            } => self.grants.publish(&self.kernel, &from, fence, &line),
            CallV1::Renew { held, is_all } => {
                Ok(std::future::ready(self.grants.renew(from.node(), &held, is_all)).boxed())
            }
            CallV1::Exited { fence, reason } => {
                Ok(std::future::ready(self.grants.exited(from.node(), fence, &reason)).boxed())
            }
            CallV1::Keep { fence, state } => {
                Ok(
                    std::future::ready(self.grants.keep(&self.kernel, from.node(), fence, state))
                        .boxed(),
                )
            }
            CallV1::Place(place) => Ok(service::place(&self.service, from, place).boxed()),
            CallV1::End { fence, within_ms } => Ok(self
                .guests
                .end(&self.kernel, from, fence, within_ms)
                .boxed()),
        };
        begun.unwrap_or_else(|fault| std::future::ready(Err(fault)).boxed())
    }

    fn tail(&self, from: Arc<Session>, call: CallV1) -> BoxFuture<'static, Result<Tail, FaultV1>> {
        let CallV1::Command { name, args } = call else {
            let fault = fault::new("usage", "only a command answers with many documents");
            return std::future::ready(Err(fault)).boxed();
        };
        let begun = args_of(&args).and_then(|args| {
            let commands = self.commands()?;
            Ok(commands.tail(&self.kernel, from.node(), &name, args))
        });
        begun.unwrap_or_else(|fault| std::future::ready(Err(fault)).boxed())
    }

    fn is_in_force(&self, from: &Session, fence: FenceV1) -> bool {
        self.grants.is_current(from.node(), fence)
    }

    fn note_change(&self) {
        self.cluster.note_change();
    }

    fn kernel(&self) -> &Kernel {
        &self.kernel
    }
}
