//! Commands across nodes: those that others ask of this kernel, and those that are passed on to others.
//!
//! A command is for one node: that which is asked, unless `--node`, `@edge-1` or `edge-1:` before its paths says another.
//! Where it is for another, the kernel that is asked looks at the rights of who asks, writes it into its audit and passes it
//! on; the other does it in the name of the node, which its own audit has as `node:NAME`. What comes back is the other's
//! answer or error as it is. What came from a node is never passed on again, so nothing goes in circles.
//!
//! Who is attached may do what an admin may, but what has a secret for an answer: nodes run children for each other, any
//! process among them, so less would only look safe. Who is bound to paths or topics stays on the node that bound them.
//!
//! `--node all` asks every node at once, of what [can be](crate::commands::Command::is_of_all); a node that does not answer
//! is in the answer with the reason.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::StreamExt;
use serde_json::Value;
use unity_actors::cluster::codec::Blob;
use unity_actors::cluster::{Commands, Fault, Tail};
use unity_supervisors::Kernel;

use crate::arguments::Args;
use crate::commands::{Command, Run};
use crate::error::{Code, CommandError};
use crate::http::{run_for, stream_for};
use crate::rights::Who;

mod aimed;
mod ask;
mod draw;
mod start;
mod tails;

pub(crate) use self::ask::{Whither, run, whither};
pub(crate) use self::draw::{draw_each, each, exit_of_each, missing};
pub use self::start::InvalidNodes;
pub(crate) use self::start::Node;
pub(crate) use self::tails::tail;

/// Does what other nodes ask for.
#[derive(Debug)]
pub(crate) struct Runner;

impl Commands for Runner {
    fn run(
        &self,
        kernel: &Kernel,
        from: &str,
        name: &str,
        args: Value,
    ) -> BoxFuture<'static, Result<Value, Fault>> {
        let (kernel, who, name) = (kernel.clone(), Who::node(from), name.to_owned());
        async move {
            let (command, args) = read(&kernel, &name, args)?;
            let Run::Kernel(run) = command.run else {
                return Err(CommandError::usage(format!("`{name}` has many answers")));
            };
            let mut document = run_for(&who, &kernel, command, run, args).await?;
            kernel.secrets().mask_json(&mut document);
            Ok(document)
        }
        .map(|done| done.map_err(|error| fault(&error)))
        .boxed()
    }

    fn tail(
        &self,
        kernel: &Kernel,
        from: &str,
        name: &str,
        args: Value,
    ) -> BoxFuture<'static, Result<Tail, Fault>> {
        let (kernel, who, name) = (kernel.clone(), Who::node(from), name.to_owned());
        async move {
            let (command, args) = read(&kernel, &name, args)?;
            let Run::Stream(run) = command.run else {
                return Err(CommandError::usage(format!("`{name}` has one answer")));
            };
            let documents = stream_for(&who, &kernel, command, run, args).await?;
            let masked = move |document: Result<Value, CommandError>| {
                let mut document = document.map_err(|error| fault(&error))?;
                kernel.secrets().mask_json(&mut document);
                Ok(Blob(document.to_string().into_bytes()))
            };
            Ok(documents.map(masked).boxed())
        }
        .map(|done: Result<Tail, CommandError>| done.map_err(|error| fault(&error)))
        .boxed()
    }
}

/// The command that another node asks for, with its arguments.
fn read(
    kernel: &Kernel,
    name: &str,
    args: Value,
) -> Result<(&'static Command, Args), CommandError> {
    let words: Vec<&str> = name.split(' ').collect();
    let command = Command::find(&words).filter(|command| !matches!(command.run, Run::Local(_)));
    let Some(command) = command else {
        let message = format!("node `{}` knows no command `{name}`", kernel.name());
        return Err(CommandError::usage(message).hint("it may be of another release"));
    };
    if command.is_secret {
        return Err(is_secret(command));
    }
    let Value::Object(object) = args else {
        return Err(CommandError::usage("the arguments are no object"));
    };
    let args = command.read_json(object)?;
    match whither(kernel, command, &mut args.clone())? {
        Whither::Here => Ok((command, args)),
        _ => Err(CommandError::new(
            Code::Denied,
            "what comes from a node is not passed on to another",
        )
        .hint(format!("ask node `{}` itself", kernel.name()))),
    }
}

fn is_secret(command: &Command) -> CommandError {
    let name = command.name();
    CommandError::new(
        Code::Denied,
        format!("what `{name}` answers is a secret, which no node tells another"),
    )
    .hint(format!("run `uk {name}` on the machine of that node"))
}

fn fault(error: &CommandError) -> Fault {
    Fault {
        code: error.code.as_str().to_owned(),
        message: error.message.clone(),
        hint: error.hint.clone(),
    }
}

impl From<Fault> for CommandError {
    fn from(fault: Fault) -> Self {
        let code = Code::ALL
            .into_iter()
            .find(|code| code.as_str() == fault.code)
            .unwrap_or(Code::Failed);
        Self {
            hint: fault.hint,
            ..Self::new(code, fault.message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use unity_supervisors::spec::{SupervisorSpec, TreeSpec};
    use unity_supervisors::{KernelConfig, Kinds, Runtimes};

    async fn kernel() -> Kernel {
        let tree = TreeSpec {
            name: "edge-1".to_owned(),
            test: true,
            root: SupervisorSpec::default(),
        };
        let config = KernelConfig::new(Runtimes::current(), Kinds::new(), 1);
        Kernel::start(config, tree).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_from_a_node_is_done_here_or_not_at_all() {
        let kernel = kernel().await;

        for (name, args, code) in [
            ("tree", json!({}), None),
            ("tree", json!({ "node": "edge-1" }), None),
            ("tree", json!({ "path": "edge-1:/" }), None),
            ("tree", json!({ "node": "edge-2" }), Some("denied")),
            ("tree", json!({ "path": "edge-2:/" }), Some("denied")),
            ("tree", json!({ "node": "all" }), Some("denied")),
            ("tree", json!({ "path": "/nope" }), Some("not_found")),
            ("tree", json!({ "paht": "/" }), Some("usage")),
            ("tree", json!([]), Some("usage")),
            ("token create", json!({ "scope": "read" }), Some("denied")),
            ("open", json!({}), Some("denied")),
            ("check", json!({}), Some("usage")),
            ("fly", json!({}), Some("usage")),
            ("events tail", json!({ "pattern": "*" }), Some("usage")),
        ] {
            let done = Runner.run(&kernel, "rig", name, args.clone()).await;

            let refused = done.err().map(|fault| fault.code);
            assert_eq!(refused.as_deref(), code, "{name} {args}");
        }
        for (name, args, code) in [
            ("events tail", json!({ "pattern": "*" }), None),
            (
                "events tail",
                json!({ "pattern": "*", "node": "all" }),
                Some("denied"),
            ),
            ("tree", json!({}), Some("usage")),
        ] {
            let begun = Runner.tail(&kernel, "rig", name, args.clone()).await;

            let refused = begun.err().map(|fault| fault.code);
            assert_eq!(refused.as_deref(), code, "{name} {args}");
        }
    }
}
