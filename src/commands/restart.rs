//! `uk restart`: stops and starts a child, uncounted.

use futures_util::FutureExt;

use super::{Command, PATH, done, show_done};

pub(super) const COMMAND: Command = Command {
    about: "Stop and start a child, uncounted",
    help: "What waits in its mailbox is kept.\n\nExample: uk restart /arm/driver",
    args: &[PATH],
    show: show_done,
    ..Command::changing(&["restart"], |kernel, args| {
        async move {
            let path = args.the_path()?;
            done(&kernel, &path, kernel.restart(&path).await)
        }
        .boxed()
    })
};
