//! `uk config apply`: reads the files now.

use futures_util::FutureExt;

use super::{DRY_RUN, plan};
use crate::arguments::{Arg, ArgKind};
use crate::commands::Command;
use crate::settings::keeper::{Act, Ask};
use crate::settings::service::ask;

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Read the tree file again now, and put in force what changed in it",
    help: "A kernel does this by itself when a file is saved; this is for when files are not watched, to look first with \
           --dry-run, and to try a version again that was rolled back, with --force. A file with a fault is shown with its \
           place, exit code 3, and nothing is changed.\n\n\
           Example: uk config apply --dry-run",
    args: &[
        DRY_RUN,
        Arg::option(
            "force",
            ArgKind::Flag,
            "also a version that was rolled back before",
        ),
    ],
    show: plan::show,
    ..Command::administering(&["config", "apply"], |kernel, args| {
        async move {
            let act = Act::Apply {
                forced: args.flag("force"),
            };
            let (dry_run, by) = (args.flag(DRY_RUN.name), "`uk config apply`".to_owned());
            ask(&kernel, Ask { act, dry_run, by }).await
        }
        .boxed()
    })
};
