//! How a change of what runs is drawn, before it is made and after.

use serde_json::Value;

use crate::arguments::duration_text;
use crate::screen::{Line, Screen, Tone, list, number, text, wrapped_table};
use crate::settings::describe::{how_in_words, key_in_words};

/// Draws what `/system/settings` answers: what changes and how, and what to do next.
pub(in crate::commands) fn show(document: &Value, screen: &Screen) -> String {
    let changes = list(document, "changes");
    let number_now = number(document, "number");
    let mut out = table(changes, screen);
    let mut line = Line::new();
    match text(document, "done") {
        "planned" if changes.is_empty() => {
            line.push(Tone::Plain, "nothing would change in what runs");
        }
        "planned" => {
            line.push(Tone::Bold, "nothing was changed");
            line.push(
                Tone::Plain,
                ": this is what would be; without --dry-run it is done",
            );
        }
        "unchanged" => {
            line.push(Tone::Plain, "nothing changes");
            if number_now > 0 {
                line.push(Tone::Dim, &format!(": version {number_now} stays in force"));
            }
        }
        _ => {
            line.push(Tone::Good, &format!("version {number_now} is in force"));
            let probation = number(document, "probation_ms");
            if probation > 0 {
                let probation = duration_text(probation);
                line.push(
                    Tone::Plain,
                    &format!(
                        ", on probation for {probation}: a crash brings the former settings back"
                    ),
                );
            } else if changes.is_empty() {
                line.push(Tone::Plain, "; nothing changes in what runs");
            }
        }
    }
    out.push_str(&line.wrap(screen, 2));
    if text(document, "done") == "applied" {
        let mut line = Line::new();
        line.push(Tone::Dim, "next  ");
        line.push(Tone::Bold, "uk config rollback");
        line.push(Tone::Dim, "  undoes it");
        out.push_str(&line.wrap(screen, 6));
    }
    out
}

/// A row for each thing that changes: where, what, and how.
pub(super) fn table(changes: &[Value], screen: &Screen) -> String {
    let mut rows: Vec<Vec<(Tone, String)>> = Vec::new();
    for change in changes {
        let path = text(change, "path");
        let how = text(change, "how");
        let tone = match how {
            "stop" | "restart" => Tone::Warn,
            "live" | "start" => Tone::Good,
            _ => Tone::Dim,
        };
        let mut lead = path.to_owned();
        let mut how = how_in_words(how).to_owned();
        for what in what(change, changes) {
            rows.push(vec![
                (Tone::Bold, std::mem::take(&mut lead)),
                (tone, std::mem::take(&mut how)),
                (Tone::Plain, what),
            ]);
        }
    }
    wrapped_table(&rows, screen)
}

/// What differs at a path, a line each.
fn what(change: &Value, all: &[Value]) -> Vec<String> {
    let keys: Vec<String> = list(change, "keys").iter().map(key_in_words).collect();
    let path = text(change, "path");
    let moved_to = || all.iter().find(|other| text(other, "moved_from") == path);
    let said = match (text(change, "what"), text(change, "moved_from")) {
        ("added", "") => "new".to_owned(),
        ("added", from) => format!("moved from {from}"),
        ("removed", _) => match moved_to() {
            Some(to) => format!("moved to {}", text(to, "path")),
            None => "gone".to_owned(),
        },
        ("order", _) => "the order of its children".to_owned(),
        ("replaced", _) if keys.is_empty() => "made of something else".to_owned(),
        ("template", _) if keys.is_empty() => "its template".to_owned(),
        (what, _) if keys.is_empty() => what.to_owned(),
        _ => return keys,
    };
    vec![said]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changes() -> Value {
        json!([
            { "path": "/sensors/host", "what": "settings", "how": "live", "keys": [
                { "key": "settings.every", "from": "1s", "to": "2s" },
                { "key": "settings.unit", "to": "C" }] },
            { "path": "/mind/speech", "what": "removed", "how": "stop", "keys": [] },
            { "path": "/arm/speech", "what": "added", "how": "start", "keys": [], "moved_from": "/mind/speech" },
        ])
    }

    #[test]
    fn a_change_is_drawn_in_columns_and_says_how_it_is_undone() {
        let document =
            json!({ "done": "applied", "number": 7, "probation_ms": 30_000, "changes": changes() });

        let drawn = show(&document, &Screen::plain(80));

        let expected = "\
/sensors/host  live     every 1s → 2s
                        unit none → C
/mind/speech   stopped  moved to /arm/speech
/arm/speech    started  moved from /mind/speech
version 7 is in force, on probation for 30s: a crash brings the former settings
  back
next  uk config rollback  undoes it
";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn a_plan_says_the_same_in_the_same_words_and_that_nothing_was_done() {
        let after = json!({ "done": "applied", "number": 7, "changes": changes() });
        let before = json!({ "done": "planned", "number": 6, "changes": changes() });
        let screen = Screen::plain(80);

        let rows = |document: &Value| -> Vec<String> {
            show(document, &screen)
                .lines()
                .take(4)
                .map(str::to_owned)
                .collect()
        };

        assert_eq!(rows(&before), rows(&after));
        assert!(show(&before, &screen).contains("nothing was changed"));
    }
}
