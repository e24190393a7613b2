//! What `uk explain` says about each code: [`explain`].
//!
//! The texts are Markdown beside this file, one section a code. A block marked `yaml wrong` is a
//! file that raises the code and nothing else, one marked `yaml mended` a file that raises nothing;
//! both may be followed by a file name, for what they include. Tests hold the texts to that.

use super::codes::Code;

const TEXTS: [&str; 6] = [
    include_str!("explain/file.md"),
    include_str!("explain/content.md"),
    include_str!("explain/warnings.md"),
    include_str!("explain/system.md"),
    include_str!("explain/events.md"),
    include_str!("explain/chaos.md"),
];

/// The name of an example's main file.
pub const MAIN: &str = "tree.yaml";

/// The same of an example with the kernel's own settings.
pub const SYSTEM: &str = "system.yaml";

/// The same of an example with a catalog of events.
pub const EVENTS: &str = "events.yaml";

/// The same of an example with a plan of chaos.
pub const CHAOS: &str = "plan.yaml";

/// A part of what is said about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A paragraph.
    Text(&'static str),
    /// Lines whose layout matters.
    Picture(&'static str),
    /// A file of an example.
    File(Example),
}

/// A file of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// Whether it raises the code, or is that file mended.
    pub is_wrong: bool,
    /// Its name: [`MAIN`] or what that includes, [`SYSTEM`], [`EVENTS`] or [`CHAOS`].
    pub file: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// What there is to say about a code, in reading order.
#[must_use]
pub fn explain(code: Code) -> Vec<Part> {
    let digits = code.as_str().trim_start_matches("UK");
    let is_of = |section: &&str| section.starts_with(digits);
    let mut sections = TEXTS.iter().flat_map(|text| sections(text));
    let section = sections.find(is_of).unwrap_or_default();
    parts(section.trim_start_matches(digits))
}

fn sections(text: &'static str) -> impl Iterator<Item = &'static str> {
    // A comment in an example begins with `# ` too.
    text.split("# UK")
}

fn parts(section: &'static str) -> Vec<Part> {
    let mut parts = Vec::new();
    // Every second piece stands between fences.
    for (at, piece) in section.split("```").enumerate() {
        if at % 2 == 0 {
            let paragraphs = piece.split("\n\n").map(str::trim);
            parts.extend(paragraphs.filter(|text| !text.is_empty()).map(Part::Text));
            continue;
        }
        let (fence, text) = piece.split_once('\n').unwrap_or((piece, ""));
        let mut words = fence.split(' ');
        parts.push(match (words.next(), words.next()) {
            (Some("yaml"), Some(side)) => Part::File(Example {
                is_wrong: side == "wrong",
                file: words.next().unwrap_or(MAIN),
                text,
            }),
            _ => Part::Picture(text),
        });
    }
    parts
}
