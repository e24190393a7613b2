//! Keys of parts of the kernel that are not built yet.
//!
//! Each has a code of its own; the change that builds a part takes its line out of here, gives the key
//! its form in `keys`, and adds the part's rules. A key that only says its default is fine.

use unity_supervisors::spec::ChildSpec;

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::fields::Fields;
use super::node::{Entry, Value};
use super::reader::Reader;

/// Reports the unbuilt keys of a child.
pub(super) fn of_child(reader: &mut Reader<'_>, fields: Fields<'_>) {
    let probation = reader.duration(fields.get("probation"));
    let own = !keeps_state(fields)
        && probation.is_some_and(|probation| probation != ChildSpec::PROBATION);
    not_built(
        reader,
        fields.get("probation").filter(|_| own),
        Code::NoProbation,
    );
    let here = |entry: &&Entry| entry.node.as_text() != Some("here");
    not_built(reader, fields.get("place").filter(here), Code::NoPlace);
    if fields.has("children") {
        // The keys below are a worker's, and it was said already that they do not belong here.
        return;
    }
    let empty = |entry: &&Entry| !matches!(&entry.node.value, Value::List(l) if l.is_empty());
    not_built(
        reader,
        fields.get("on_crash").filter(empty),
        Code::NoOnCrash,
    );
}

/// Whether a child keeps its state, which makes use of its probation.
fn keeps_state(fields: Fields<'_>) -> bool {
    fields.get("state").is_some_and(|entry| {
        let keep = entry.node.get("keep").map(|keep| &keep.node.value);
        !matches!(keep, Some(Value::Bool(false)))
    })
}

fn not_built(reader: &mut Reader<'_>, entry: Option<&Entry>, code: Code) {
    let Some(entry) = entry.filter(|entry| !matches!(entry.node.value, Value::Broken)) else {
        return;
    };
    let key = &entry.key.text;
    let help = match code {
        Code::NoProbation => "take out `probation`, or add `state: { keep: true }`".to_owned(),
        _ => format!("take out `{key}`; without it the child has the default"),
    };
    reader.report(
        Diagnostic::new(code, format!("`{key}` is not built yet"))
            .at(entry.key.span, "this version of the kernel cannot do it")
            .help(help),
    );
}
