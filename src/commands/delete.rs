//! `uk delete`: removes what is down.

use futures_util::FutureExt;

use super::{Command, PATH, done, show_done};

pub(super) const COMMAND: Command = Command {
    about: "Remove a child that is stopped",
    help: "Its history stays for `uk why`.\n\nExample: uk stop /mind/speech && uk delete /mind/speech",
    args: &[PATH],
    show: show_done,
    ..Command::changing(&["delete"], |kernel, args| {
        async move {
            let path = args.the_path()?;
            done(&kernel, &path, kernel.delete(&path).await)
        }
        .boxed()
    })
};
