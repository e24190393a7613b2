//! Drawing for people: how wide, with which colours, and texts that are cut to fit.
//!
//! What comes from outside (reasons, messages) never reaches a terminal with its control characters.

use serde_json::Value;
pub use unity_actors::chaos::report::numbers::thousands;

/// Below it, what only tells more is left out, so that there is room for what is said.
pub const NARROW: usize = 72;

/// The width of what is no terminal: nothing is cut there.
const WIDTH: usize = usize::MAX;

/// Where something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns; as many as wanted where it is no terminal, unless `COLUMNS` says otherwise.
    pub width: usize,
    /// Rows, if it is a terminal.
    pub height: Option<usize>,
    /// Whether colours are wanted.
    pub colour: bool,
}

/// A colour, by what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Less important.
    Dim,
    /// More important.
    Bold,
    /// All is well.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[1;31m",
        }
    }

    /// The tone of a slot's state.
    #[must_use]
    pub fn of_state(state: &str) -> Self {
        match state {
            "running" => Self::Good,
            "starting" | "restarting" | "backoff" | "stopping" | "suspended" => Self::Warn,
            "quarantined" => Self::Bad,
            _ => Self::Dim,
        }
    }
}

impl Screen {
    /// A screen without colours, for tests and pipes.
    #[must_use]
    pub fn plain(width: usize) -> Self {
        Self {
            width,
            height: None,
            colour: false,
        }
    }

    /// Standard output, as it is now.
    #[must_use]
    pub fn stdout() -> Self {
        let stdout = std::io::stdout();
        let size = rustix::termios::tcgetwinsize(&stdout)
            .ok()
            .filter(|size| size.ws_col > 0);
        let columns = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok());
        Self {
            width: size
                .map(|size| usize::from(size.ws_col))
                .or(columns)
                .unwrap_or(WIDTH),
            height: size.map(|size| usize::from(size.ws_row)),
            colour: crate::output::wants_colour(&stdout),
        }
    }

    /// `text` in a tone.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour || tone == Tone::Plain || text.is_empty() {
            return text.to_owned();
        }
        format!("{}{text}\x1b[0m", tone.code())
    }
}

/// The clock of a time in RFC 3339, to the millisecond.
#[must_use]
pub fn clock(time: &str) -> &str {
    time.get(11..23).unwrap_or(time)
}

/// One line of pieces, cut to the width of the screen or wrapped.
#[derive(Debug, Default)]
pub struct Line {
    pieces: Vec<(Tone, String)>,
    width: usize,
}

impl Line {
    /// An empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece.
    pub fn push(&mut self, tone: Tone, text: &str) {
        let text = printable(text);
        self.width += text.chars().count();
        self.pieces.push((tone, text));
    }

    /// Adds blanks up to `column`, one at least if something is there.
    pub fn pad_to(&mut self, column: usize) {
        let blanks = column
            .saturating_sub(self.width)
            .max(usize::from(self.width > 0));
        self.push(Tone::Plain, &" ".repeat(blanks));
    }

    /// The line, with its end.
    #[must_use]
    pub fn render(&self, screen: &Screen) -> String {
        let pieces = self.fitting(screen).into_iter();
        let text: String = pieces
            .map(|(tone, piece)| screen.paint(tone, &piece))
            .collect();
        let mut text = text.trim_end().to_owned();
        text.push('\n');
        text
    }

    /// Its pieces, as far as they fit.
    #[must_use]
    pub(crate) fn fitting(&self, screen: &Screen) -> Vec<(Tone, String)> {
        let mut left = screen.width.max(1);
        if self.width <= left {
            return self.pieces.clone();
        }
        let mut fitting = Vec::new();
        for (tone, piece) in &self.pieces {
            let count = piece.chars().count();
            fitting.push((*tone, cut(piece, left)));
            if count >= left {
                break;
            }
            left -= count;
        }
        fitting
    }
}

impl Line {
    /// The line, wrapped between words to the width of the screen; what follows the first row is indented.
    #[must_use]
    pub fn wrap(&self, screen: &Screen, indent: usize) -> String {
        let width = screen.width.max(1);
        if self.width <= width {
            return self.render(screen);
        }
        let all: Vec<(Tone, char)> = self
            .pieces
            .iter()
            .flat_map(|(tone, piece)| piece.chars().map(|c| (*tone, c)))
            .collect();
        let indent = if indent * 2 <= width { indent } else { 0 };
        let mut out = String::new();
        let mut rest = all.as_slice();
        let mut lead = 0;
        while !rest.is_empty() {
            let (row, after) = split_row(rest, width - lead);
            let mut line = Self::new();
            line.push(Tone::Plain, &" ".repeat(lead));
            for run in row.chunk_by(|(one, _), (other, _)| one == other) {
                let tone = run.first().map_or(Tone::Plain, |(tone, _)| *tone);
                line.push(tone, &run.iter().map(|(_, c)| *c).collect::<String>());
            }
            out.push_str(&line.render(screen));
            lead = indent;
            let words = after.iter().position(|(_, c)| *c != ' ');
            rest = words.and_then(|at| after.get(at..)).unwrap_or_default();
        }
        out
    }
}

/// Characters and their tones.
type Toned<'a> = &'a [(Tone, char)];

/// Splits a row of at most `width` characters off, between words if it can.
fn split_row(chars: Toned<'_>, width: usize) -> (Toned<'_>, Toned<'_>) {
    let Some((row, after)) = chars.split_at_checked(width) else {
        return (chars, &[]);
    };
    if after.first().is_none_or(|(_, c)| *c == ' ') {
        return (row, after);
    }
    let begin = row.iter().position(|(_, c)| *c != ' ').unwrap_or(0);
    match row.iter().rposition(|(_, c)| *c == ' ') {
        Some(blank) if blank > begin => chars.split_at(blank),
        _ => (row, after),
    }
}

/// `text` in at most `width` characters, the last an ellipsis if something was cut.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    let mut kept: String = text.chars().take(width).collect();
    if text.chars().count() > width {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// `text` without control characters, on one line.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if c.is_control() || is_invisible(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Characters that turn the direction of what follows.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// A table: a row of cells each, columns as wide as their widest cell, cut to the screen. A row of one cell goes over
/// all columns.
#[must_use]
pub fn table(rows: &[Vec<(Tone, String)>], screen: &Screen) -> String {
    let (lines, _) = table_lines(rows);
    lines.iter().map(|line| line.render(screen)).collect()
}

/// A table as [`table`] makes it, its last column wrapped.
#[must_use]
pub fn wrapped_table(rows: &[Vec<(Tone, String)>], screen: &Screen) -> String {
    let (lines, last) = table_lines(rows);
    lines.iter().map(|line| line.wrap(screen, last)).collect()
}

/// The lines of a table, and where its last column begins.
pub(crate) fn table_lines(rows: &[Vec<(Tone, String)>]) -> (Vec<Line>, usize) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut starts = vec![0];
    for column in 0..columns {
        let in_columns = rows.iter().filter(|row| row.len() > 1 || columns == 1);
        let cells = in_columns.filter_map(|row| row.get(column));
        let widest = cells
            .map(|(_, text)| text.chars().count())
            .max()
            .unwrap_or(0);
        let start = starts.last().copied().unwrap_or(0);
        starts.push(if widest == 0 {
            start
        } else {
            start + widest + 2
        });
    }
    let last = columns
        .checked_sub(1)
        .and_then(|last| starts.get(last).copied())
        .unwrap_or(0);
    let mut lines = Vec::new();
    for row in rows {
        let mut line = Line::new();
        for ((tone, cell), start) in row.iter().zip(&starts) {
            if !cell.is_empty() {
                if *start > 0 {
                    line.pad_to(*start);
                }
                line.push(*tone, cell);
            }
        }
        lines.push(line);
    }
    (lines, last)
}

/// How long ago, in one unit: `now`, `12s ago`, `3m ago`.
#[must_use]
pub fn ago(ms: u64) -> String {
    match ms {
        0..1_000 => "just now".to_owned(),
        _ => format!("{} ago", rough(ms)),
    }
}

/// A time in one unit, rounded down: `250ms`, `12s`, `3m`, `5h`, `2d`.
#[must_use]
pub fn rough(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..120_000 => format!("{}s", ms / 1_000),
        120_000..7_200_000 => format!("{}m", ms / 60_000),
        7_200_000..172_800_000 => format!("{}h", ms / 3_600_000),
        _ => format!("{}d", ms / 86_400_000),
    }
}

/// So many bytes, in the largest unit that fits: `12 KiB`, `1.5 GiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    for (shift, unit) in UNITS {
        let tenths = (u128::from(count) * 10) >> shift;
        if tenths >= 10 {
            return match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole} {unit}"),
                (whole, part) => format!("{whole}.{part} {unit}"),
            };
        }
    }
    format!("{count} B")
}

/// What a child of this state does, for people: `is running`, `waits in backoff`.
#[must_use]
pub fn is_in_state(state: &str) -> String {
    match state {
        "backoff" => "waits in backoff".to_owned(),
        "quarantined" => "is in quarantine".to_owned(),
        "restarting" => "is being restarted".to_owned(),
        "ignored" => "was not wanted by its own start".to_owned(),
        other => format!("is {other}"),
    }
}

/// An exit reason as JSON, for people: `panic: ouch`.
#[must_use]
pub fn reason(value: &Value) -> String {
    let kind = text(value, "kind");
    match value.get("text").and_then(Value::as_str) {
        Some(text) => format!("{kind}: {text}"),
        None => kind.to_owned(),
    }
}

/// Puts a value into an object.
pub(crate) fn put(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(object) = object {
        object.insert(key.to_owned(), value.into());
    }
}

/// The text at a key, or nothing.
#[must_use]
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The integer at a key, or 0.
#[must_use]
pub fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// The list at a key, or none.
#[must_use]
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// `1 child`, `1,000 children`.
#[must_use]
pub fn children(count: u64) -> String {
    match count {
        1 => "1 child".to_owned(),
        _ => format!("{} children", thousands(count)),
    }
}

/// `1 actor`, `2 actors`.
#[must_use]
pub fn count(count: u64, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        for (count, shown) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1 KiB"),
            (1_587, "1.5 KiB"),
            (512 << 20, "512 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "17179869183.9 GiB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }

    #[test]
    fn a_line_never_is_wider_than_the_screen() {
        let mut line = Line::new();
        line.push(Tone::Bold, "├─ sensors");
        line.pad_to(20);
        line.push(Tone::Good, "running");

        for width in 0..40 {
            let text = line.render(&Screen::plain(width));
            assert!(
                text.trim_end().chars().count() <= width.max(1),
                "{width}: {text}"
            );
        }
        assert_eq!(line.render(&Screen::plain(14)), "├─ sensors   …\n");
        assert_eq!(line.render(&Screen::plain(8)), "├─ sens…\n");
        assert_eq!(
            line.render(&Screen::plain(27)),
            "├─ sensors          running\n"
        );
    }

    #[test]
    fn a_wrapped_line_keeps_every_word() {
        let mut line = Line::new();
        line.push(Tone::Bold, "  why   ");
        line.push(Tone::Plain, "one two three four");

        assert_eq!(
            line.wrap(&Screen::plain(18), 8),
            "  why   one two\n        three four\n"
        );
        assert_eq!(
            line.wrap(&Screen::plain(usize::MAX), 8),
            line.render(&Screen::plain(80))
        );
        for width in 0..40 {
            let text = line.wrap(&Screen::plain(width), 8);
            assert!(
                text.lines()
                    .all(|line| line.chars().count() <= width.max(1)),
                "{width}: {text}"
            );
            let kept: String = text.split_whitespace().collect();
            assert_eq!(kept, "whyonetwothreefour", "{width}");
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(
            (children(1), children(2_000)),
            ("1 child".to_owned(), "2,000 children".to_owned())
        );
    }

    #[test]
    fn control_characters_stay_off_the_terminal() {
        assert_eq!(
            printable("a\x1b[31mb\nc\u{202e}"),
            "a\u{fffd}[31mb c\u{fffd}"
        );
    }

    #[test]
    fn colours_are_used_only_where_wanted() {
        let coloured = Screen {
            colour: true,
            ..Screen::plain(80)
        };

        assert_eq!(coloured.paint(Tone::Good, "ok"), "\x1b[32mok\x1b[0m");
        assert_eq!(Screen::plain(80).paint(Tone::Good, "ok"), "ok");
    }
}
