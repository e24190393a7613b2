//! What `uk check` and `uk explain` say and mend, from the outside.

use crate::harness::Folder;

#[test]
fn a_code_is_explained_however_it_is_written() {
    let folder = Folder::new();

    let whole = folder.uk(&["explain", "UK0304"]);

    assert_eq!(whole.code, 0, "{whole:?}");
    for part in ["warning[UK0304]", "Wrong", "Mended", "intensity: 5"] {
        assert!(whole.out.contains(part), "{part}: {whole:?}");
    }
    for written in ["uk0304", "0304", "warning[UK0304]"] {
        assert_eq!(folder.uk(&["explain", written]).out, whole.out);
    }
    let json = folder.uk(&["explain", "UK0304", "--json"]).json();
    assert_eq!(json["level"], "warning");
    assert_eq!(json["wrong"][0]["file"], "tree.yaml");
}

#[test]
fn all_codes_are_listed_and_checks_name_the_explanation() {
    let folder = Folder::new();
    folder.file("tree.yaml", "version: 1\ntree:\n  children: []\n");

    let json = folder.uk(&["explain", "--json"]).json();
    let said = folder.uk(&["check", "tree.yaml"]);

    assert!(json["codes"].as_array().unwrap().len() > 50);
    assert!(said.out.contains("`uk explain UK0305`"), "{said:?}");
}
