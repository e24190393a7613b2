use serde_json::json;

use super::*;

/// Secrets in memory.
pub(crate) struct Fixed(pub(crate) RwLock<BTreeMap<String, String>>);

impl SecretSource for Arc<Fixed> {
    fn read(&self, name: &str) -> Result<String, SecretError> {
        let value = self.0.read().get(name).cloned();
        value.ok_or_else(|| no_source(name))
    }
}

fn fixed(values: &[(&str, &str)]) -> (Secrets, Arc<Fixed>) {
    let values = values
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let fixed = Arc::new(Fixed(RwLock::new(values.collect())));
    (Secrets::of(Arc::clone(&fixed)), fixed)
}

#[test]
fn placeholders_are_filled_in_at_all_depths_and_escapes_become_texts() {
    let (secrets, _) = fixed(&[("A", "alpha"), ("b.c-d_1", "beta ${secret:A}")]);

    let settings = json!({
        "whole": "${secret:A}",
        "within": ["Bearer ${secret:A}${secret:b.c-d_1}!"],
        "escaped": "$${secret:A} $$${secret:A} ${HOME} $$",
        "${secret:A}": 5,
    });

    let filled = secrets.fill(&settings);

    assert_eq!(
        *filled.unwrap(),
        json!({
            "whole": "alpha",
            "within": ["Bearer alphabeta ${secret:A}!"],
            "escaped": "${secret:A} $${secret:A} ${HOME} $$",
            "${secret:A}": 5,
        })
    );
}

#[test]
fn what_is_escaped_comes_back_as_it_was() {
    let (secrets, _) = fixed(&[]);
    for text in [
        "",
        "a",
        "${secret:A}",
        "$${secret:A}",
        "$$${secret:",
        "${secret:${secret:",
    ] {
        let settings = json!(escape(text));
        assert_eq!(*secrets.fill(&settings).unwrap(), json!(text), "{text}");
    }
}

#[test]
fn what_cannot_be_filled_in_is_told_with_its_place() {
    let (secrets, _) = fixed(&[]);
    for (settings, path, what) in [
        (
            json!({ "a": { "b": ["x", "${secret:NO}"] } }),
            "a.b[1]",
            "the secret `NO` is missing",
        ),
        (json!({ "a": "${secret:}" }), "a", "has no name"),
        (json!({ "a": "${secret:../x}" }), "a", "has no name"),
        (json!({ "a": "${secret:.x}" }), "a", "has no name"),
        (json!({ "a": "${secret:X" }), "a", "has no name"),
        (
            json!({ "a": format!("${{secret:{}}}", "x".repeat(65)) }),
            "a",
            "has no name",
        ),
    ] {
        let unfilled = secrets.fill(&settings).unwrap_err();
        assert_eq!(unfilled.path, path);
        assert!(unfilled.error.what.contains(what), "{}", unfilled.error);
    }
    assert!(Secrets::default().fill(&json!("${secret:A}")).is_err());
}

#[test]
fn a_secret_that_is_gone_keeps_its_last_value_and_an_old_value_stays_masked() {
    let (secrets, source) = fixed(&[("A", "first-value")]);
    let settings = json!("${secret:A}");
    let fill = || secrets.fill(&settings).unwrap().into_owned();
    assert_eq!(fill(), "first-value");

    source
        .0
        .write()
        .insert("A".to_owned(), "second-value".to_owned());
    assert_eq!(fill(), "second-value");
    source.0.write().clear();

    assert_eq!(fill(), "second-value");
    assert_eq!(secrets.mask("first-value second-value"), "*** ***");
}

#[test]
fn what_was_handed_out_is_masked_in_all_its_forms() {
    let (secrets, _) = fixed(&[
        ("A", "pa\"ss\nword-äö"),
        ("B", "tok-en+123456"),
        ("C", "tok-en+123456-longer"),
        ("PIN", "123"),
        ("D", "hunter22"),
    ]);
    assert_eq!(
        secrets.mask("tok-en+123456"),
        "tok-en+123456",
        "not known yet"
    );
    let all = json!([
        "${secret:A}",
        "${secret:B}",
        "${secret:C}",
        "${secret:PIN}",
        "${secret:D}"
    ]);
    secrets.fill(&all).unwrap();

    for (text, expected) in [
        ("nothing", "nothing"),
        ("x pa\"ss\nword-äö y", "x *** y"),
        (r#"{"a":"pa\"ss\nword-äö"}"#, r#"{"a":"***"}"#),
        ("the line word-äö alone", "the line *** alone"),
        ("tok-en+123456-longer tok-en+123456-long", "*** ***-long"),
        (
            "123 is too short to look for",
            "123 is too short to look for",
        ),
        // `me:tok-en+123456` and `tok-en+123456` in base64.
        ("Basic bWU6dG9rLWVuKzEyMzQ1Ng==", "Basic bWU6***g=="),
        ("dG9rLWVuKzEyMzQ1Ng==", "***g=="),
        (
            "a text that was cut: hunte… and goes on",
            "a text that was cut: ***… and goes on",
        ),
        ("hun… is too short", "hun… is too short"),
    ] {
        assert_eq!(secrets.mask(text), expected, "{text}");
    }
    let debug = format!("{:?}", "pa\"ss\nword-äö");
    assert_eq!(secrets.mask(&debug), "\"***\"");
    assert_eq!(format!("{secrets:?}"), "Secrets(4 known)");
}

#[test]
fn documents_are_masked_but_for_the_words_of_their_form() {
    let (secrets, _) = fixed(&[("A", "state"), ("B", "s3cret/x")]);
    secrets
        .fill(&json!(["${secret:A}", "${secret:B}"]))
        .unwrap();
    let mut document = json!({ "state": "state", "n": 5, "s3cret/x": [{ "b": "a s3cret/x b" }] });

    secrets.mask_json(&mut document);

    assert_eq!(
        document,
        json!({ "state": "***", "n": 5, "***": [{ "b": "a *** b" }] })
    );
}

#[test]
fn the_book_has_a_bound_and_forgets_the_oldest() {
    let book = (0..2_000).fold(Book::default(), |book, n| {
        book.with(&format!("value-{n:04}").into())
    });
    let large = Book::default().with(&"a".repeat(700_000).into());
    let large = large.with(&"b".repeat(700_000).into());

    assert_eq!(book.len(), 1_024);
    assert_eq!(book.mask("value-0000 value-1999"), "value-0000 ***");
    assert_eq!(large.len(), 1);
}
