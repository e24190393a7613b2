//! `uk resume`: has a worker that was suspended take messages again.

use futures_util::FutureExt;

use super::{Command, PATH, done, show_done};

pub(super) const COMMAND: Command = Command {
    about: "Have a suspended worker take messages again",
    help: "It goes on with those that waited.\n\nExample: uk resume /arm/driver",
    args: &[PATH],
    show: show_done,
    ..Command::changing(&["resume"], |kernel, args| {
        async move {
            let path = args.the_path()?;
            done(&kernel, &path, kernel.resume(&path).await)
        }
        .boxed()
    })
};
