//! The values that were handed out, and how they are found again: [`Book`]. The home file of `aho_corasick`.
//!
//! A value is looked for as it is, as JSON and Rust write it in quotes, in base64 (also in the middle of more, as in an
//! `Authorization: Basic`), and, where it has several lines, by each of them, for that is how a log shows it. What was
//! turned into anything else is not found.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, MatchKind};

use super::MASKED;

/// Shorter ones are not looked for: they would stand in every word.
const VALUE_LEN_MIN: usize = 4;
/// Shorter lines, and pieces of base64, are not looked for.
const PIECE_LEN_MIN: usize = 8;
/// How many values are looked for. The oldest is forgotten for one more, for a secret that changes each hour must not
/// end a kernel after some weeks.
const VALUES_MAX: usize = 1_024;
/// How many bytes they may have together, by the same rule.
const BYTES_MAX: usize = 1 << 20;

/// Values that were handed out, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Book {
    values: VecDeque<Arc<str>>,
    /// Made when it is first used: at a boot many values come one after the other.
    finder: OnceLock<Finder>,
}

#[derive(Debug)]
struct Finder {
    forms: Vec<String>,
    /// Not there if they are too many for it.
    search: Option<AhoCorasick>,
}

impl Book {
    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The book with one value more.
    pub(super) fn with(&self, value: &Arc<str>) -> Self {
        let mut values = self.values.clone();
        values.retain(|known| known != value);
        if value.len() >= VALUE_LEN_MIN {
            values.push_back(Arc::clone(value));
        }
        let bytes = |values: &VecDeque<Arc<str>>| values.iter().map(|v| v.len()).sum::<usize>();
        while values.len() > VALUES_MAX || (values.len() > 1 && bytes(&values) > BYTES_MAX) {
            values.pop_front();
        }
        Self {
            values,
            finder: OnceLock::new(),
        }
    }

    /// A text without the values.
    pub(super) fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let finder = self.finder.get_or_init(|| Finder::of(&self.values));
        let Some(search) = &finder.search else {
            return Cow::Borrowed(MASKED);
        };
        let mut masked = Cow::Borrowed(text);
        if search.is_match(text) {
            let mut out = String::with_capacity(text.len());
            search.replace_all_with(text, &mut out, |_, _, out| {
                out.push_str(MASKED);
                true
            });
            masked = Cow::Owned(out);
        }
        match finder.without_cut(&masked) {
            Some(whole) => Cow::Owned(whole),
            None => masked,
        }
    }
}

impl Finder {
    fn of(values: &VecDeque<Arc<str>>) -> Self {
        let forms: BTreeSet<String> = values.iter().flat_map(|value| forms(value)).collect();
        let forms: Vec<String> = forms.into_iter().collect();
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&forms);
        Self {
            forms,
            search: search.ok(),
        }
    }

    /// The text without beginnings of values before a `…`, where a text was cut. `None` if there are none.
    fn without_cut(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut is_changed = false;
        let mut pieces = text.split('…').peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                out.push_str(piece);
                break;
            }
            let cut = self.forms.iter().map(|form| overlap(piece, form)).max();
            let cut = cut.filter(|len| *len >= VALUE_LEN_MIN);
            is_changed |= cut.is_some();
            let kept = piece.len() - cut.unwrap_or_default();
            out.push_str(piece.get(..kept).unwrap_or_default());
            out.push_str(if cut.is_some() { MASKED } else { "" });
            out.push('…');
        }
        is_changed.then_some(out)
    }
}

/// How many bytes of the beginning of `form` the text ends with.
fn overlap(text: &str, form: &str) -> usize {
    let longest = form.len().min(text.len());
    let fits = |len: &usize| form.get(..*len).is_some_and(|start| text.ends_with(start));
    (VALUE_LEN_MIN..=longest).rev().find(fits).unwrap_or(0)
}

/// The forms in which a value may come up.
fn forms(value: &str) -> Vec<String> {
    let json = serde_json::Value::from(value).to_string();
    let json = json.get(1..json.len() - 1).unwrap_or_default().to_owned();
    let mut forms = vec![
        value.to_owned(),
        json,
        value.escape_debug().to_string(),
        value.escape_default().to_string(),
    ];
    let lines = value.lines().map(|line| line.trim().to_owned());
    let pieces = lines.chain((0..3).flat_map(|before| base64(value, before)));
    forms.extend(pieces.filter(|piece| piece.len() >= PIECE_LEN_MIN));
    forms
}

/// The letters of base64 that a value alone decides when it stands behind `before` other bytes (of each three), in
/// both alphabets.
fn base64(value: &str, before: usize) -> [String; 2] {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let bits = std::iter::repeat_n(0, before).chain(value.bytes());
    let bits: Vec<u8> = bits
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let first = (before * 8).div_ceil(6);
    let sextets = bits.chunks_exact(6).skip(first);
    let sextets: Vec<u8> = sextets
        .map(|bits| bits.iter().fold(0, |all, bit| all << 1 | bit))
        .collect();
    [*b"+/", *b"-_"].map(|[plus, slash]| {
        let letter = |sextet: &u8| match LETTERS.get(usize::from(*sextet)) {
            Some(letter) => char::from(*letter),
            None if *sextet == 62 => char::from(plus),
            None => char::from(slash),
        };
        sextets.iter().map(letter).collect()
    })
}
