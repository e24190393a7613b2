//! What is said of texts, and what is read.

use proptest::prelude::*;
use proptest::string::string_regex;

use super::*;

fn any_form() -> impl Strategy<Value = Form> {
    proptest::sample::select(&Form::ALL[..])
}

fn fits(form: Form, text: &str) -> bool {
    let schema = form.schema();
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema).unwrap().is_valid(&json!(text))
}

/// A form with a text that its pattern makes.
fn made() -> impl Strategy<Value = (Form, String)> {
    any_form().prop_flat_map(|form| {
        let pattern = form.pattern().unwrap_or_else(|| "(?s).+".to_owned());
        (Just(form), string_regex(&pattern).unwrap())
    })
}

proptest! {
    #[test]
    fn what_fits_a_pattern_is_read((form, text) in made()) {
        prop_assume!(fits(form, &text));
        prop_assert!(form.check("it", &text).is_ok(), "{form:?} {text:?}");
    }

    #[test]
    fn what_is_near_a_pattern_and_does_not_fit_is_refused(
        (form, text) in made(),
        place in any::<prop::sample::Index>(),
        other in prop_oneof![any::<char>(), prop::sample::select(vec!['/', '.', ',', '*', ' ', '-', '\n', '0'])],
        is_cut in any::<bool>(),
    ) {
        let mut letters: Vec<char> = text.chars().collect();
        let at = place.index(letters.len() + 1);
        if is_cut {
            letters.truncate(at);
        } else {
            letters.insert(at, other);
        }
        let text: String = letters.into_iter().collect();
        let is_read = form.check("it", &text).is_ok();
        // Dates and durations are read in more forms than are told.
        let is_wider = matches!(form, Form::Moment | Form::Since | Form::Place | Form::Speed | Form::Patterns | Form::Paths);
        prop_assert!(fits(form, &text) == is_read || (is_read && is_wider), "{form:?} {text:?} {is_read}");
    }

    #[test]
    fn what_is_anything_is_read_as_it_is_told(form in any_form(), text in any::<String>()) {
        prop_assert_eq!(fits(form, &text), form.check("it", &text).is_ok(), "{:?} {:?}", form, text);
    }
}

#[test]
fn dates_are_read() {
    for text in [
        "2026-11-20T21:30:00Z",
        "2026-02-28t00:00:00.123456789+14:00",
    ] {
        assert!(fits(Form::Moment, text) && Form::Moment.check("it", text).is_ok());
    }
    for text in ["2026-02-30T00:00:00Z", "yesterday", ""] {
        assert!(!fits(Form::Moment, text) && Form::Moment.check("it", text).is_err());
    }
}

#[test]
fn the_longest_is_read_and_one_more_is_not() {
    for (form, longest) in [
        (Form::Topic, 255),
        (Form::Pattern, 255),
        (Form::Stream, 128),
        (Form::Name, 255),
        (Form::Id, 64),
        (Form::Letter, 19),
    ] {
        for (text, is_read) in [
            ("1".repeat(longest), true),
            ("1".repeat(longest + 7), false),
        ] {
            assert_eq!(
                form.check("it", &text).is_ok(),
                is_read,
                "{form:?} {longest}"
            );
            assert_eq!(fits(form, &text), is_read, "{form:?} {longest}");
        }
    }
}

#[test]
fn what_is_no_level_is_refused_and_the_nearest_said() {
    for (wanted, hint) in [
        ("debgu", "did you mean `debug`?"),
        ("a=loud", "a level is one of"),
        ("a b=info", "TARGET=LEVEL"),
        ("=info", "TARGET=LEVEL"),
    ] {
        let error = Form::Level.check("level", wanted).unwrap_err();
        assert!(error.hint.unwrap().contains(hint), "{wanted}");
    }
}
