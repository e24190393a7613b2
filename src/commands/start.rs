//! `uk start`: starts what is down.

use futures_util::FutureExt;

use super::{Command, PATH, done, show_done};

pub(super) const COMMAND: Command = Command {
    about: "Start a child that is down",
    help: "Also ends its waiting for a backoff, at once.\n\nExample: uk start /arm/driver",
    args: &[PATH],
    show: show_done,
    ..Command::changing(&["start"], |kernel, args| {
        async move {
            let path = args.the_path()?;
            done(&kernel, &path, kernel.start_child(&path).await)
        }
        .boxed()
    })
};
