//! `uk start`: starts what is down.

use futures_util::FutureExt;

use super::{Command, PATH, SAVE, done, saved, show_done};
use crate::settings::keeper::Act;

pub(super) const COMMAND: Command = Command {
    about: "Start a child that is down",
    help: "Also ends its waiting for a backoff, at once. With --save it also takes back a `uk stop --save`.\n\n\
           Example: uk start /arm/driver",
    args: &[PATH, SAVE],
    show: show_done,
    ..Command::changing(&["start"], |kernel, args| {
        async move {
            let path = args.the_path()?;
            if args.flag(SAVE.name) {
                let path = path.clone();
                saved(&kernel, Act::Start { path }, "`uk start --save`").await?;
            }
            done(&kernel, &path, kernel.start_child(&path).await)
        }
        .boxed()
    })
};
