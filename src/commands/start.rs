//! `uk start`: starts what is down.

use futures_util::FutureExt;
use unity_supervisors::{Done, SlotState};

use super::{Command, PATH, SAVE, done, saved, show_done};
use crate::screen::text;
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
                let act = Act::Start { path: path.clone() };
                let answer = saved(&kernel, act, "`uk start --save`").await?;
                let slot = kernel.registry().get(&path);
                // What was saved kept it down, and nothing does any more.
                if text(&answer, "done") == "applied"
                    && let Some(slot) = slot.filter(|slot| slot.state() == SlotState::Running)
                {
                    let incarnation = slot.incarnation();
                    return done(&kernel, &path, Ok(Done::Started { incarnation }));
                }
            }
            done(&kernel, &path, kernel.start_child(&path).await)
        }
        .boxed()
    })
};
