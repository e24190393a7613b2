//! `uk stop`: takes a child down until somebody starts it.

use futures_util::FutureExt;

use super::{Command, PATH, SAVE, done, saved, show_done};
use crate::settings::keeper::Act;

pub(super) const COMMAND: Command = Command {
    about: "Stop a child; it stays down until it is started",
    help: "It is asked to end in order, and killed when its shutdown time is over. Not counted. \
           A group restart takes it in again. With --save it stays \
           down when the kernel is started again, too, until `uk start --save`.\n\n\
           Example: uk stop /arm/driver",
    args: &[PATH, SAVE],
    show: show_done,
    ..Command::changing(&["stop"], |kernel, args| {
        async move {
            let path = args.the_path()?;
            if args.flag(SAVE.name) {
                let path = path.clone();
                saved(&kernel, Act::Stop { path }, "`uk stop --save`").await?;
            }
            done(&kernel, &path, kernel.stop(&path).await)
        }
        .boxed()
    })
};
