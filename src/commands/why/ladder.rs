//! What `uk why` says of a child's ladder.

use serde_json::Value;

use crate::arguments::duration_text;
use crate::screen::{Line, Screen, Tone, count, list, number, text};

/// How far the child is up its ladder, and what is in force because of that.
pub(super) fn show(document: &Value, screen: &Screen) -> String {
    let Some(ladder) = document.get("ladder").filter(|ladder| !ladder.is_null()) else {
        return String::new();
    };
    let (taken, steps) = (number(ladder, "taken"), number(ladder, "steps"));
    let mut line = Line::new();
    line.push(Tone::Plain, "ladder: ");
    let swap = ladder.get("swap").unwrap_or(&Value::Null);
    if let Some(settings) = swap.get("over") {
        line.push(Tone::Warn, &format!("{settings} laid over its settings"));
    } else if let Some(settings) = swap.get("last_good") {
        line.push(Tone::Warn, &format!("its last good settings: {settings}"));
    } else {
        line.push(Tone::Plain, "its own settings");
    }
    line.push(Tone::Dim, &format!(", {}", position(taken, steps)));
    line.wrap(screen, 2)
}

fn position(taken: u64, steps: u64) -> String {
    match taken {
        0 => format!("none of {} taken", count(steps, "step")),
        taken => format!("{taken} of {} taken", count(steps, "step")),
    }
}

/// What the ladder made of one exit; empty if there was none.
pub(super) fn of_exit(exit: &Value) -> String {
    let Some(note) = exit.get("ladder") else {
        return String::new();
    };
    let (step, steps) = (number(note, "step"), number(note, "steps"));
    let step_of = || format!("step {step} of {steps}");
    let skipped = list(note, "skipped").iter().map(|skipped| {
        let why = match text(skipped, "why") {
            "in_force" => "its last good settings are in force already",
            _ => "no settings of it have completed their probation yet",
        };
        format!("step {} is passed over: {why}; ", number(skipped, "step"))
    });
    let mut said: String = skipped.collect();
    said.push_str(&match text(note, "did") {
        "counted" => format!(
            "{} of {} crashes in {} for {}",
            number(note, "crashes"),
            number(note, "after"),
            duration_text(number(note, "within_ms")),
            step_of(),
        ),
        "swapped" => {
            let settings = note.get("settings").unwrap_or(&Value::Null);
            format!("{} lays {settings} over its settings", step_of())
        }
        "last_good" => format!("{} brings its last good settings back", step_of()),
        "quarantined" => format!("{} keeps it down", step_of()),
        _ => "all steps are used up; its supervisor pays".to_owned(),
    });
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_thing_that_a_ladder_does_is_told_in_plain_words() {
        let skipped = json!([{ "step": 2, "why": "none_known" }]);
        for (note, said) in [
            (
                json!({ "steps": 3, "did": "counted", "step": 1, "crashes": 2, "after": 3, "within_ms": 60_000 }),
                "2 of 3 crashes in 1m for step 1 of 3",
            ),
            (
                json!({ "steps": 3, "did": "swapped", "step": 1, "settings": { "fps": 5 } }),
                "step 1 of 3 lays {\"fps\":5} over its settings",
            ),
            (
                json!({ "steps": 3, "did": "last_good", "step": 2 }),
                "step 2 of 3 brings its last good settings back",
            ),
            (
                json!({ "steps": 3, "skipped": skipped, "did": "quarantined", "step": 3 }),
                "step 2 is passed over: no settings of it have completed their probation yet; step 3 of 3 keeps it down",
            ),
            (
                json!({ "steps": 3, "did": "spent" }),
                "all steps are used up; its supervisor pays",
            ),
        ] {
            assert_eq!(of_exit(&json!({ "ladder": note })), said);
        }
        assert_eq!(of_exit(&json!({})), "");
    }

    #[test]
    fn what_is_in_force_is_told_with_how_far_it_is() {
        let screen = Screen::plain(80);
        for (ladder, said) in [
            (json!(null), ""),
            (
                json!({ "steps": 1, "taken": 0 }),
                "ladder: its own settings, none of 1 step taken\n",
            ),
            (
                json!({ "steps": 3, "taken": 1, "swap": { "over": { "fps": 5 } } }),
                "ladder: {\"fps\":5} laid over its settings, 1 of 3 steps taken\n",
            ),
            (
                json!({ "steps": 3, "taken": 2, "swap": { "last_good": {} } }),
                "ladder: its last good settings: {}, 2 of 3 steps taken\n",
            ),
        ] {
            assert_eq!(show(&json!({ "ladder": ladder }), &screen), said);
        }
    }
}
