//! Shapes, texts and the axis of a picture.

use super::super::numbers;
use super::WIDTH;

pub(super) fn circle(class: &str, x: f64, y: f64, radius: f64) -> String {
    format!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>")
}

pub(super) fn cross(x: f64, y: f64) -> String {
    let (left, top) = (round(x - 3.6), round(y - 3.6));
    format!("<path class=\"bad\" d=\"M{left} {top}l7.2 7.2m0 -7.2l-7.2 7.2\"/>")
}

pub(super) fn text(out: &mut String, class: &str, x: f64, y: f64, said: &str) {
    out.push_str(&format!(
        "<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>\n",
        round(x),
        round(y),
        escape(said)
    ));
}

/// A distance of time between two lines of the axis, so that there are five to twelve of them.
pub(super) fn tick(span: f64) -> f64 {
    const NICE: [f64; 24] = [
        1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 1.5e4, 3e4, 6e4,
        1.2e5, 3e5, 6e5, 1.2e6, 1.8e6, 3.6e6, 7.2e6, 2.16e7,
    ];
    let nice = NICE.into_iter().find(|step| span / step <= 12.0);
    nice.unwrap_or_else(|| {
        let days = (span / 86.4e6 / 8.0).ceil().max(1.0);
        days * 86.4e6
    })
}

/// A moment on the axis: `30 s`, `1:30`, `2:05:00`, `3 d`.
pub(super) fn moment(ms: f64, step: f64) -> String {
    let seconds = ms / 1e3;
    match (seconds, step) {
        (_, step) if step < 1e3 => numbers::ms(ms).replace(".0 ms", " ms"),
        (seconds, _) if seconds < 60.0 => format!("{seconds:.0} s"),
        (seconds, _) if seconds < 3_600.0 => {
            format!("{:.0}:{:02.0}", (seconds / 60.0).floor(), seconds % 60.0)
        }
        (seconds, step) if step < 86.4e6 => {
            let minutes = (seconds / 60.0).floor();
            format!("{:.0}:{:02.0} h", (minutes / 60.0).floor(), minutes % 60.0)
        }
        (seconds, step) if step < 86.4e6 * 365.0 => format!("{:.0} d", seconds / 86_400.0),
        (seconds, _) => format!("{:.1e} y", seconds / 86_400.0 / 365.25),
    }
}

/// A text in lines of at most so many characters, cut after so many lines.
pub(super) fn lines(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = cut(word, width);
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = format!("{}…", cut(last, width - 1).trim_end_matches('…'));
        }
    }
    lines
}

pub(super) fn cut(text: &str, width: usize) -> String {
    let mut kept: String = text.chars().take(width).collect();
    if text.chars().nth(width).is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// A text that is nothing but text in XML, in attributes too.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in numbers::printable(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// To a tenth.
pub(super) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in the picture, which is less than a thousand wide"
)]
pub(super) fn column(x: f64, width: f64) -> u32 {
    (x / width).clamp(0.0, WIDTH) as u32
}

pub(super) fn chars(room: f64) -> usize {
    column(room, 1.0) as usize
}
