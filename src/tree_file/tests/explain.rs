//! What `uk explain` says holds: the wrong examples are wrong in that way only, the mended are whole.

use unity_supervisors::Secrets;

use super::*;
use crate::chaos_file;
use crate::event_file;
use crate::kind_check::KnownKinds;
use crate::settings::system::check_file;
use crate::tree_file::explain::{CHAOS, EVENTS, Example, MAIN, Part, SYSTEM, explain};

/// What is wrong with these files does not show in a text that is short or is one at all.
const WITHOUT_EXAMPLE: [Code; 5] = [
    Code::NotUtf8,
    Code::TooLarge,
    Code::ConfigFolder,
    Code::VariableNotUtf8,
    Code::UnknownVariable,
];

fn load_example(files: &[Example]) -> Checked {
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|example| (example.file, example.text.as_bytes()))
        .collect();
    let memory = Memory(&files);
    let kinds = unity_actors::kinds().with_secrets(Secrets::of(Vault));
    let sources = Sources {
        // What no example can make is this machine's own.
        read: &|path, max| match path.is_absolute() {
            true => read_file(path, max),
            false => memory.read(path, max),
        },
        env: &|_| None,
        kinds: &KnownKinds(&kinds),
        limits: Limits::default(),
    };
    match files.first() {
        Some((SYSTEM, _)) => of_another(check_file(Path::new(SYSTEM), &sources)),
        Some((EVENTS, _)) => of_another(event_file::check_file(Path::new(EVENTS), &sources)),
        Some((CHAOS, _)) => of_another(chaos_file::check_file(Path::new(CHAOS), &sources)),
        _ => load(Path::new(MAIN), &sources),
    }
}

#[test]
fn every_code_has_a_text_and_examples_that_do_what_they_say() {
    for code in Code::ALL {
        let parts = explain(*code);
        let examples = parts.iter().filter_map(|part| match part {
            Part::File(example) => Some(*example),
            _ => None,
        });
        let (wrong, mended): (Vec<Example>, Vec<Example>) =
            examples.partition(|example| example.is_wrong);

        assert!(
            matches!(parts[..], [Part::Text(_), ..]),
            "{code:?} has no text"
        );
        if WITHOUT_EXAMPLE.contains(code) {
            assert!(wrong.is_empty() && mended.is_empty(), "{code:?}");
            continue;
        }
        let found = load_example(&wrong);
        let codes: Vec<Code> = found.diagnostics.iter().map(|found| found.code).collect();
        assert_eq!(codes, [*code], "{}", found.render(false));
        let found = load_example(&mended);
        assert!(
            found.diagnostics.is_empty(),
            "{code:?}\n{}",
            found.render(false)
        );
    }
}

#[test]
fn every_section_is_of_a_code_and_in_their_order() {
    let names = ["file", "content", "warnings", "system", "events", "chaos"];
    let files = names.map(|name| {
        let path = format!("src/tree_file/explain/{name}.md");
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
    });
    let text = files.concat();
    let sections: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# UK"))
        .collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| &code.as_str()[2..]).collect();

    assert_eq!(sections, codes);
    for part in Code::ALL.iter().flat_map(|code| explain(*code)) {
        if let Part::Picture(text) | Part::File(Example { text, .. }) = part {
            for line in text.lines() {
                assert!(
                    line.chars().count() <= 76,
                    "too wide for a terminal: {line}"
                );
            }
        }
    }
}
