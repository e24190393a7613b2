//! What every row of the table of codes looks like, one file a code under `snapshots/`.
//!
//! `UK_SNAPSHOTS=write` writes the files anew; what changed is then read in the diff. The first row
//! of a code is there in colour as well, its escape characters shown as `\e`. (The crate `insta`
//! does more than is wanted here: what this needs is one comparison and one switch.)

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use super::codes::rows;
use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tree_file/tests/snapshots")
}

fn snapshot(code: Code) -> String {
    let mut text = format!("{}: {}\n", code.as_str(), code.meaning());
    for (at, (_, source, ..)) in rows().filter(|(of, ..)| *of == code).enumerate() {
        let checked = source.load();
        write!(text, "\n-- {}\n\n{}", at + 1, checked.render(false)).unwrap();
        if at == 0 {
            let coloured = checked.render(true).replace('\u{1b}', "\\e");
            write!(text, "\n-- in colour\n\n{coloured}").unwrap();
        }
    }
    text
}

#[test]
fn every_code_looks_as_its_snapshot_does() {
    let folder = folder();
    if std::env::var("UK_SNAPSHOTS").is_ok_and(|mode| mode == "write") {
        for code in Code::ALL {
            std::fs::write(
                folder.join(format!("{}.txt", code.as_str())),
                snapshot(*code),
            )
            .unwrap();
        }
    }

    let mut left: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for code in Code::ALL {
        let name = format!("{}.txt", code.as_str());
        let kept = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        let found = snapshot(*code);
        let differs = kept
            .lines()
            .zip(found.lines())
            .find(|(kept, found)| kept != found);
        assert!(
            kept == found,
            "{name} differs, first in {differs:?}; UK_SNAPSHOTS=write writes it anew"
        );
        left.remove(&name);
    }

    assert_eq!(left, BTreeSet::new(), "snapshots of no code");
}
