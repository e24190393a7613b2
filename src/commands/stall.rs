//! What commands say of a child that does not yield, or does not answer.

use serde_json::Value;

use crate::screen::{number, rough, text};

/// How the child of this document is stalled, if it is: ``holds its thread for 7s with `busy` in hand``.
pub(super) fn said(document: &Value) -> Option<String> {
    let stall = document.get("stall").filter(|stall| !stall.is_null())?;
    let time = rough(number(stall, "for_ms"));
    let what = match text(stall, "what") {
        "holds_thread" => format!("holds its thread for {time}"),
        _ => format!("has not answered for {time}"),
    };
    Some(match text(stall, "in_hand") {
        "" => what,
        name => format!("{what} with `{name}` in hand"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stall_is_told_in_one_line() {
        let held =
            json!({ "stall": { "what": "holds_thread", "for_ms": 7_000, "in_hand": "busy" } });
        let silent = json!({ "stall": { "what": "no_answer", "for_ms": 7_000 } });

        assert_eq!(
            said(&held).as_deref(),
            Some("holds its thread for 7s with `busy` in hand")
        );
        assert_eq!(said(&silent).as_deref(), Some("has not answered for 7s"));
        assert_eq!(said(&json!({ "stall": null })), None);
    }
}
