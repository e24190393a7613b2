//! How a tool reaches the kernel: over its socket, or from inside of it.

use std::time::Duration;

use futures_util::stream::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;
use unity_supervisors::Kernel;

use crate::arguments::Args;
use crate::client::Client;
use crate::commands::{Command, Documents, Run};
use crate::error::{Code, CommandError};
use crate::http::{run_for, stream_for};
use crate::rights::Who;

/// How long is waited for the documents of a command that has many.
pub(super) const LISTENS_FOR: Duration = Duration::from_secs(2);
/// How many of them are taken, at most.
pub(super) const TAKEN_MAX: usize = 200;

/// The way to a kernel.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// Over its socket.
    Socket(Client),
    /// The kernel itself.
    Inside(Kernel),
}

/// What a command said: as one document, and as those that are drawn one by one.
pub(super) struct Answer {
    pub(super) document: Value,
    pub(super) parts: Vec<Value>,
}

impl Door {
    /// Runs a command for `who`, which the socket finds out by itself; of one that has many documents what it says for a while.
    pub(super) async fn call(
        &self,
        command: &Command,
        args: &Args,
        who: Option<&Who>,
    ) -> Result<Answer, CommandError> {
        match (self, command.run) {
            (Self::Socket(client), Run::Stream(_)) => {
                let mut parts = Vec::new();
                let take = |part: &Value| {
                    parts.push(part.clone());
                    Ok(parts.len() < TAKEN_MAX)
                };
                // That the time is over is how it ends.
                if let Ok(done) = timeout(LISTENS_FOR, client.follow(command, args, take)).await {
                    done?;
                }
                Ok(Answer::of_many(parts))
            }
            (Self::Socket(client), _) => client.call(command, args).await.map(Answer::of_one),
            (Self::Inside(kernel), Run::Stream(run)) => {
                let who = who.ok_or_else(nobody)?;
                let documents = stream_for(who, kernel, command, run, args.clone()).await?;
                let mut answer = Answer::of_many(take(documents).await?);
                answer.mask(kernel);
                Ok(answer)
            }
            (Self::Inside(kernel), Run::Kernel(run)) => {
                let who = who.ok_or_else(nobody)?;
                let done = run_for(who, kernel, command, run, args.clone()).await?;
                let mut answer = Answer::of_one(done);
                answer.mask(kernel);
                Ok(answer)
            }
            (Self::Inside(_), Run::Local(_)) => {
                Err(CommandError::usage("this command runs where it is typed"))
            }
        }
    }
}

fn nobody() -> CommandError {
    CommandError::new(Code::Denied, "who is there?")
}

/// What comes for a while.
async fn take(mut documents: Documents) -> Result<Vec<Value>, CommandError> {
    let mut parts = Vec::new();
    let taking = async {
        while parts.len() < TAKEN_MAX
            && let Some(part) = documents.next().await
        {
            parts.push(part?);
        }
        Ok::<(), CommandError>(())
    };
    // That the time is over is how it ends.
    if let Ok(done) = timeout(LISTENS_FOR, taking).await {
        done?;
    }
    Ok(parts)
}

impl Answer {
    fn of_one(document: Value) -> Self {
        Self {
            parts: vec![document.clone()],
            document,
        }
    }

    fn of_many(parts: Vec<Value>) -> Self {
        Self {
            document: json!({ "version": 1, "documents": parts }),
            parts,
        }
    }

    fn mask(&mut self, kernel: &Kernel) {
        let documents = [&mut self.document].into_iter().chain(&mut self.parts);
        documents.for_each(|document| kernel.secrets().mask_json(document));
    }
}
