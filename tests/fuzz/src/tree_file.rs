//! Any bytes as a tree file: no panic, no hang, bounded memory, all that is said of them can be
//! shown, and mending brings no fault.

use std::path::Path;

use unity_kernel::kind_check::KnownKinds;
use unity_kernel::tree_file::mend::mend;
use unity_kernel::tree_file::{Limits, RENDERED_MAX, Sources, load, load_text, to_json, to_yaml};

/// Larger trees are not written back: with all defaults they may be over the limits of a reading.
const WRITTEN_BACK_MAX: usize = 4096;

/// Reads `data` as a tree file that may include itself under other names.
pub(crate) fn run(data: &[u8]) {
    let kinds = unity_actors::kinds();
    let read = |_: &Path, max: usize| Ok(data.iter().copied().take(max).collect());
    let env = |name: &str| match name {
        "HOST" => Some("edge".to_owned()),
        "COUNT" => Some("7".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let sources = Sources {
        read: &read,
        env: &env,
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    };

    let checked = load(Path::new("tree.yaml"), &sources);

    assert_eq!(checked.tree.is_some(), checked.faults().next().is_none());
    let shown = checked.render(false);
    assert_eq!(shown.is_empty(), checked.diagnostics.is_empty());
    assert!(checked.render(true).len() >= shown.len());
    let told = checked.to_json();
    let told = told.get("diagnostics").and_then(|all| all.as_array());
    assert_eq!(told.map(Vec::len), Some(checked.diagnostics.len()));
    // A diagnostic has a bounded number of lines, each cut to what a terminal shows.
    assert!(
        shown.len() < (RENDERED_MAX + 1) * 64 * 1024,
        "{} bytes",
        shown.len()
    );
    let mended = mend(Path::new("tree.yaml"), &sources);
    assert!(mended.checked.faults().count() <= checked.faults().count());
    for file in &mended.files {
        assert_eq!(file.before.lines().count(), file.after.lines().count());
    }
    if let Some(tree) = checked
        .tree
        .as_ref()
        .filter(|_| data.len() < WRITTEN_BACK_MAX)
    {
        for text in [to_yaml(tree, sources.kinds), to_json(tree)] {
            let again = load_text("again.yaml", &text, &sources);
            let shown = again.render(false);
            assert!(again.tree.as_ref() == Some(tree), "{shown}\n{text}");
        }
    }
}
