//! Why something that was asked for is not done, and what to do next.

use unity_supervisors::reload::ReloadError;

use super::*;
use crate::settings::overlay::Why;

/// What was asked for now must have an effect; what lost it earlier is only shown.
pub(super) fn refuse_left(left: &[(Layer, Left)], act: &Act) -> Result<(), CommandError> {
    let asked = match act {
        Act::Set { path, .. } | Act::Delete { path } | Act::Stop { path } => path.clone(),
        Act::Spawn { parent, child } => {
            let id = child
                .get("id")
                .and_then(Value::as_str)
                .and_then(|id| id.parse().ok());
            id.map_or_else(|| parent.clone(), |id| parent.child(&id))
        }
        _ => return Ok(()),
    };
    let mut of_it = left
        .iter()
        .filter(|(_, left)| left.op.path().as_ref() == Some(&asked));
    match of_it.find(|(_, left)| left.why != Why::Same) {
        None => Ok(()),
        Some((_, left)) => {
            let code = match left.why {
                Why::Gone(_) => Code::NotFound,
                _ => Code::Invalid,
            };
            Err(CommandError::new(code, left.why.to_string()).hint(match &left.why {
                Why::Gone(path) => format!(
                    "`uk tree` shows what there is; a child that was spawned without --save is in no tree: \
                     `uk delete {path}`, then `uk spawn … --save`"
                ),
                Why::Refused(_) if matches!(act, Act::Set { .. }) => {
                    format!("`uk config schema {asked}` says what its settings may be")
                }
                _ => "`uk config diff` shows what was changed live".to_owned(),
            }))
        }
    }
}

pub(super) fn of_reload(error: ReloadError) -> CommandError {
    let message = error.to_string();
    match error {
        ReloadError::Build(_) | ReloadError::NoSuchNeed { .. } => {
            CommandError::new(Code::Invalid, message)
        }
        ReloadError::Rejected { path, .. } => CommandError::new(Code::Failed, message).hint(
            format!("all is as it was; `uk config schema {path}` says what its settings may be"),
        ),
        ReloadError::Refused { path, .. } => CommandError::new(Code::Failed, message)
            .hint(format!("all is as it was; `uk why {path}` tells more")),
        ReloadError::Ending => ending(),
    }
}

pub(super) fn ending() -> CommandError {
    CommandError::new(Code::Failed, "the kernel is ending")
}
