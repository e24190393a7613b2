//! `uk node ca`: the CA of a cluster, and the certificates of its nodes.

use std::path::Path;

use serde_json::{Value, json};
use unity_actors::cluster::ca::{CA_FILE, Ca, CaError, DAYS, DAYS_MAX};
use unity_supervisors::clock::Clock;

use crate::arguments::{Arg, ArgKind, Args};
use crate::cli::Caller;
use crate::commands::Command;
use crate::error::{Code, CommandError};
use crate::output;

pub(in crate::commands) const COMMAND: Command = Command {
    about: "Make the CA of a cluster, and the certificates of its nodes",
    help: "Beyond one machine nodes show each other certificates of one CA. `init DIR` makes the CA; `issue NAME --dir DIR` \
           makes the certificate of the node NAME and its key, which go to that node with `ca.pem`. The key of the CA \
           stays where it is: no node needs it.\n\n\
           Example: uk node ca init cluster-ca\n\
           Example: uk node ca issue edge-1 --dir cluster-ca --out edge-1",
    args: &[
        Arg::required(
            "do",
            ArgKind::Word(&["init", "issue"]),
            "`init` makes a CA, `issue` a certificate",
        ),
        Arg::required(
            "what",
            ArgKind::Text,
            "the folder of the CA, or the name of the node",
        )
        .within(1, 4_096),
        Arg::option("dir", ArgKind::Folder, "the folder of the CA that issues"),
        Arg::option(
            "out",
            ArgKind::Folder,
            "where the certificate goes, if not to the folder of the CA",
        ),
        Arg::option(
            "days",
            ArgKind::Integer,
            "for how many days the certificate is valid; 825 unless said",
        )
        .within(1, DAYS_MAX as u64),
    ],
    ..Command::local(&["node", "ca"], run)
};

fn run(caller: &Caller, args: &Args) -> Result<u8, CommandError> {
    let what = args.text("what").unwrap_or_default();
    let document = match args.text("do") {
        Some("init") => init(what, args)?,
        _ => issue(what, args)?,
    };
    let said = match caller.json {
        true => format!("{document}\n"),
        false => said(&document),
    };
    output::out(&said)?;
    Ok(0)
}

fn init(folder: &str, args: &Args) -> Result<Value, CommandError> {
    if let Some(name) = ["dir", "out", "days"]
        .into_iter()
        .find(|name| args.get(name).is_some())
    {
        let error = CommandError::usage(format!("--{name} goes with `issue`"));
        return Err(error.hint("write `uk node ca init DIR`"));
    }
    Ca::create(Path::new(folder), Clock::real().wall()).map_err(refused)?;
    let ca = Path::new(folder).join(CA_FILE);
    Ok(json!({ "version": 1, "dir": folder, "ca": ca }))
}

fn issue(name: &str, args: &Args) -> Result<Value, CommandError> {
    let Some(folder) = args.text("dir") else {
        let error = CommandError::usage("`dir` is missing: the folder of the CA that issues");
        return Err(error.hint(format!("write `uk node ca issue {name} --dir DIR`")));
    };
    let out = args.text("out").unwrap_or(folder);
    let days = args.integer("days").map(u32::try_from);
    let days = days.and_then(Result::ok).unwrap_or(DAYS);
    let ca = Ca::open(Path::new(folder)).map_err(refused)?;
    let issued = ca.issue(name, Path::new(out), days, Clock::real().wall());
    let (cert, key) = issued.map_err(refused)?;
    let ca = Path::new(folder).join(CA_FILE);
    Ok(json!({ "version": 1, "name": name, "cert": cert, "key": key, "ca": ca, "days": days }))
}

fn refused(error: CaError) -> CommandError {
    let message = error.to_string();
    match error {
        CaError::File { error, .. } if error.kind() == std::io::ErrorKind::NotFound => {
            CommandError::new(Code::NotFound, message).hint("`uk node ca init DIR` makes a CA")
        }
        CaError::Name(_) | CaError::Days(_) => CommandError::usage(message),
        CaError::Exists(_) => CommandError::new(Code::Failed, message)
            .hint("what was issued before would be good for nothing; name another folder"),
        _ => CommandError::new(Code::Failed, message),
    }
}

fn said(document: &Value) -> String {
    let text = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let ca = text("ca");
    if text("name").is_empty() {
        let dir = text("dir");
        return format!(
            "made a CA in {dir}\nnext, for each node: uk node ca issue NAME --dir {dir}\n"
        );
    }
    let (name, cert, key) = (text("name"), text("cert"), text("key"));
    format!(
        "made {cert} and {key}\nbring both to `{name}` with {ca}, and say so in its system.yaml:\n\
         nodes:\n  ca: {ca}\n  cert: {cert}\n  key: {key}\n"
    )
}
