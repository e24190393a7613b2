//! `uk suspend`: has a worker take no messages.

use futures_util::FutureExt;

use super::{Command, PATH, done, show_done};

pub(super) const COMMAND: Command = Command {
    about: "Have a worker take no messages until it is resumed",
    help: "The message in hand is finished first; the others wait in its mailbox. After a crash the next life takes \
           messages again.\n\nExample: uk suspend /arm/driver",
    args: &[PATH],
    show: show_done,
    ..Command::changing(&["suspend"], |kernel, args| {
        async move {
            let path = args.the_path()?;
            done(&kernel, &path, kernel.suspend(&path).await)
        }
        .boxed()
    })
};
