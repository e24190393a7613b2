//! `uk open`: the page, in a browser, for people who never open a terminal again after this.

use std::process::{Command as Process, Stdio};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use unity_supervisors::{ActorPath, Kernel, SlotState};

use super::Command;
use crate::arguments::{Arg, Args};
use crate::cli::{Caller, block_on};
use crate::error::{Code, CommandError};
use crate::http::listener::{Bound, Listening, PATH};
use crate::output;
use crate::rights::Scope;
use crate::rights::tokens::{LOGIN_WITHIN, Tokens};
use crate::screen::text;

/// How long the kernel may take to listen.
const LISTENS_WITHIN: Duration = Duration::from_secs(5);
/// Time between two looks whether it does.
const LOOK: Duration = Duration::from_millis(5);
/// What starts a browser, by machine.
const BROWSERS: [&str; 3] = ["xdg-open", "open", "wslview"];

/// Who asks, beside the arguments.
pub(crate) const BY: &str = "by";

pub(crate) const COMMAND: Command = Command {
    about: "Open the page of the kernel in a browser",
    help: "Has the kernel listen on this machine alone, on port 8080 or the next that is free, if it does not listen \
           already, and logs the browser in: by a link that is good once, for two minutes. Without a browser here, type the \
           link into one. What a token opens ends with the token.\n\n\
           Example: uk open --no-browser",
    args: &[Arg::for_client("no-browser", "only say the link")],
    show: |document, _| show(document),
    is_secret: true,
    attend: Some(attend),
    scope: Scope::Admin,
    ..Command::changing(&["open"], |kernel, args| run(kernel, args).boxed())
};

async fn run(kernel: Kernel, args: Args) -> Result<Value, CommandError> {
    let bound = listen(&kernel).await?;
    let code = kernel
        .shared::<Tokens>()
        .new_login(args.text(BY).unwrap_or_default())?;
    let url = bound.url();
    Ok(json!({
        "version": 1, "url": format!("{url}/login?code={code}"), "address": bound.address.to_string(),
        "expires_in_ms": u64::try_from(LOGIN_WITHIN.as_millis()).unwrap_or(u64::MAX),
    }))
}

/// Has the kernel listen, unless it does.
async fn listen(kernel: &Kernel) -> Result<Bound, CommandError> {
    let listening = kernel.shared::<Listening>();
    let failed = |why: String| {
        CommandError::new(Code::Failed, why).hint(format!("`uk why {PATH}` says more"))
    };
    let path: ActorPath = PATH.parse().map_err(CommandError::from)?;
    listening.open();
    let until = Instant::now() + LISTENS_WITHIN;
    loop {
        if let Some(bound) = listening.bound() {
            return Ok(bound);
        }
        let state = kernel.registry().get(&path).map(|slot| slot.state());
        match state {
            None => return Err(failed("this kernel listens to nobody outside".to_owned())),
            Some(SlotState::Quarantined) => {
                let message = "the kernel cannot listen where `http.listen` says";
                return Err(failed(message.to_owned()));
            }
            Some(SlotState::Stopped) => return Err(failed(format!("{PATH} is stopped"))),
            _ if Instant::now() >= until => {
                return Err(CommandError::new(
                    Code::TimedOut,
                    "the kernel does not listen yet",
                ));
            }
            _ => sleep(LOOK).await,
        }
    }
}

fn show(document: &Value) -> String {
    format!("{}\n", text(document, "url"))
}

fn attend(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let client = caller.kernel()?;
    let document = block_on(client.call(&COMMAND, args))??;
    if caller.json {
        output::out(&format!("{document}\n"))?;
        return Ok(0);
    }
    let url = text(&document, "url");
    if args.flag("no-browser") || !browse(url) {
        output::out(&format!(
            "Open this in a browser on this machine; it is good once, for two minutes:\n\n  {url}\n"
        ))?;
    } else {
        let page = url.split_once("/login").map_or(url, |(page, _)| page);
        output::out(&format!(
            "The page is at {page}; your browser opens it.\nIf it does not, type this, which is good once:\n\n  {url}\n"
        ))?;
    }
    Ok(0)
}

/// Starts a browser; `false` if there is none, or nowhere to show it.
fn browse(url: &str) -> bool {
    let shows = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if !shows && !cfg!(target_os = "macos") {
        return false;
    }
    BROWSERS.iter().any(|browser| {
        let mut process = Process::new(browser);
        process
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        process.spawn().is_ok()
    })
}
