//! Keys of parts of the kernel that are not built yet.
//!
//! Each has a code of its own; the change that builds a part takes its line out of here, gives the key
//! its form in `keys`, and adds the part's rules. A key that only says its default is fine.

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::node::{Entry, Value};
use super::reader::Reader;

/// Reports the unbuilt keys of a child.
pub(super) fn of_child(reader: &mut Reader<'_>, fields: Fields<'_>) {
    let here = |entry: &&Entry| entry.node.as_text() != Some("here");
    not_built(reader, fields.get("place").filter(here), Code::NoPlace);
}

fn not_built(reader: &mut Reader<'_>, entry: Option<&Entry>, code: Code) {
    let Some(entry) = entry.filter(|entry| !matches!(entry.node.value, Value::Broken)) else {
        return;
    };
    let key = &entry.key.text;
    reader.report(
        Diagnostic::new(code, format!("`{key}` is not built yet"))
            .at(entry.key.span, "this version of the kernel cannot do it")
            .help(format!(
                "take out `{key}`; without it the child has the default"
            )),
    );
}
