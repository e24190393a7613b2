//! The `system.yaml` that comes with the kernel: every key with what it means and its default, commented out.

use super::keys::KEYS;
use super::{SystemSettings, schema};
use crate::screen::{Line, Screen, Tone};

/// The text of `config/system.yaml`, which is in this program.
pub const SHIPPED: &str = include_str!("../../../config/system.yaml");

/// How wide the comments are.
const WIDTH: usize = 100;

const HEAD: &str = "\
# yaml-language-server: $schema=schema/system.json
# The kernel's own settings. Each key is here with its default: take the `#` away from those that you change.
# Laid over it: the files of system.d/ in the order of their names, then UK_… variables, then flags of `uk run`.
# `uk config explain system` says what is in force and where it comes from.
";

/// What `config/system.yaml` has to be: made of the table of keys and the defaults.
#[must_use]
pub fn shipped() -> String {
    let defaults = SystemSettings::default();
    let mut text = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        let (of, name) = key.name.split_once('.').unwrap_or(("", key.name));
        let indent = if of.is_empty() { "" } else { "  " };
        text.push('\n');
        if of != section && !of.is_empty() {
            let about = schema::section(of);
            text.push_str(&format!("# {about}\n{of}:\n"));
        }
        section = of;
        let form = format!(
            "Expected: {}. A change takes effect {}. In the environment: {}.",
            key.expected(),
            key.effect.as_str(),
            key.variable(),
        );
        for paragraph in [key.about(), form] {
            let mut line = Line::new();
            line.push(Tone::Plain, &paragraph);
            let wrapped = line.wrap(&Screen::plain(WIDTH - indent.len() - 2), 0);
            for line in wrapped.lines() {
                text.push_str(&format!("{indent}# {line}\n"));
            }
        }
        text.push_str(&format!(
            "{indent}#{name}: {}\n",
            key.value(&defaults).to_string().trim_matches('"')
        ));
    }
    text
}
