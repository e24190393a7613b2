//! `uk config rollback`: goes back to an earlier version.

use futures_util::FutureExt;

use super::{DRY_RUN, plan};
use crate::arguments::{Arg, ArgKind};
use crate::commands::Command;
use crate::settings::keeper::{Act, Ask};
use crate::settings::service::ask;

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Undo the last change of settings, or go back to a version",
    help: "What runs becomes what it was in that version, what was changed live included; that is a new version, so this can \
           be undone as well. The file itself is not touched: while it says what was rolled back it is passed over, \
           `uk health` says so, and a change of it is applied again.\n\n\
           Example: uk config rollback\n\
           Example: uk config rollback 4 --dry-run",
    args: &[
        Arg::optional(
            "to",
            ArgKind::Integer,
            "the number of a version, as in `uk config history`; the one before",
        ),
        DRY_RUN,
    ],
    show: plan::show,
    ..Command::administering(&["config", "rollback"], |kernel, args| {
        async move {
            let act = Act::Rollback {
                to: args.integer("to"),
            };
            let (dry_run, by) = (args.flag(DRY_RUN.name), "`uk config rollback`".to_owned());
            ask(&kernel, Ask { act, dry_run, by }).await
        }
        .boxed()
    })
};
