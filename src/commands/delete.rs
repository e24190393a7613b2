//! `uk delete`: removes what is down.

use futures_util::FutureExt;
use unity_supervisors::{ActorPath, Done, Kernel, KernelError, RequestError, SlotState};

use super::{Command, PATH, SAVE, done, saved, show_done};
use crate::error::CommandError;
use crate::settings::keeper::Act;

pub(super) const COMMAND: Command = Command {
    about: "Remove a child that is stopped",
    help: "Its history stays for `uk why`. With --save it stays gone, though the file has it.\n\n\
           Example: uk stop /mind/speech && uk delete /mind/speech",
    args: &[PATH, SAVE],
    show: show_done,
    ..Command::administering(&["delete"], |kernel, args| {
        async move {
            let path = args.the_path()?;
            if !args.flag(SAVE.name) {
                return done(&kernel, &path, kernel.delete(&path).await);
            }
            is_down(&kernel, &path)?;
            let act = Act::Delete { path: path.clone() };
            saved(&kernel, act, "`uk delete --save`").await?;
            done(&kernel, &path, Ok(Done::Deleted))
        }
        .boxed()
    })
};

/// Refuses what is not down, as it is without --save.
fn is_down(kernel: &Kernel, path: &ActorPath) -> Result<(), CommandError> {
    let slot = kernel.registry().get(path);
    let error = match slot.map(|slot| slot.state()) {
        None => KernelError::NotFound(path.clone()),
        Some(SlotState::Stopped | SlotState::Ignored | SlotState::Quarantined) => return Ok(()),
        Some(state) => KernelError::Refused {
            path: path.clone(),
            error: match state {
                SlotState::Restarting | SlotState::Backoff => RequestError::Restarting,
                _ => RequestError::Running,
            },
        },
    };
    Err(CommandError::of_kernel(error, kernel))
}
