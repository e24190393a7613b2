//! What all nodes have answered, for people.

use serde_json::Value;

use crate::screen::{Line, Screen, Tone, text};

/// The answers of all nodes, if that is what a document holds.
pub(crate) fn each(document: &Value) -> Option<&[Value]> {
    Some(document.get("nodes")?.as_array()?)
}

/// Draws the answer of each node under its name, or why there is none.
pub(crate) fn draw_each(
    each: &[Value],
    screen: &Screen,
    draw: impl Fn(&Value) -> String,
) -> String {
    let mut out = String::new();
    for (at, one) in each.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let node = text(one, "node");
        if one.get("error").is_some() {
            out.push_str(&missing(one).wrap(screen, 2));
            continue;
        }
        let drawn = draw(one);
        if !drawn.starts_with(node) {
            let mut line = Line::new();
            line.push(Tone::Bold, node);
            out.push_str(&line.render(screen));
        }
        out.push_str(&drawn);
    }
    out
}

/// `edge-1 · down · it said nothing for 2s`
pub(crate) fn missing(one: &Value) -> Line {
    let mut line = Line::new();
    line.push(Tone::Bold, text(one, "node"));
    let (state, why) = (text(one, "state"), text(one, "why"));
    if matches!(state, "down" | "connecting") {
        line.push(Tone::Plain, " · ");
        line.push(Tone::Bad, state);
        if !why.is_empty() {
            line.push(Tone::Dim, &format!(" · {why}"));
        }
        let since = text(one, "since");
        if !since.is_empty() {
            line.push(Tone::Dim, &format!(" · since {since}"));
        }
        return line;
    }
    let error = one.get("error").unwrap_or(&Value::Null);
    line.push(Tone::Plain, " · ");
    line.push(Tone::Warn, text(error, "message"));
    line
}

/// The worst of the exit codes.
pub(crate) fn exit_of_each(each: &[Value], exit: fn(&Value) -> u8) -> u8 {
    each.iter().map(exit).max().unwrap_or(0)
}
