//! `uk stop`: takes a child down until somebody starts it.

use futures_util::FutureExt;

use super::{Command, PATH, done, show_done};

pub(super) const COMMAND: Command = Command {
    about: "Stop a child; it stays down until it is started",
    help: "It is asked to end in order, and killed when its shutdown time is over. Not counted. \
           A group restart takes it in again.\n\nExample: uk stop /arm/driver",
    args: &[PATH],
    show: show_done,
    ..Command::changing(&["stop"], |kernel, args| {
        async move {
            let path = args.the_path()?;
            done(&kernel, &path, kernel.stop(&path).await)
        }
        .boxed()
    })
};
