//! Finds what somebody meant to write: [`nearest`].
//!
//! It promises to be cheap (words are compared up to [`WORD_LEN_MAX`] characters) and to keep quiet
//! rather than to guess wildly. It knows nothing of where the words come from.

/// Words longer than this many characters are never suggested and have no suggestion.
pub const WORD_LEN_MAX: usize = 64;

/// A word with more slips than this is never taken for another without asking.
pub const SURE_MAX: usize = 2;

/// The candidate that is closest to `written`, or `None` if none is close. It is never `written` itself.
///
/// Close is: a swap, a missing, an additional or a wrong character for every three of the longer
/// word (one at least), or a word of three or more characters that begins a candidate. Upper and
/// lower case, `-` and `_` count as the same. Of equally close candidates the first one wins.
///
/// ```
/// use unity_kernel::nearest::nearest;
///
/// assert_eq!(nearest("strateg", ["period", "strategy"]), Some("strategy"));
/// assert_eq!(nearest("colour", ["period", "strategy"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    near(written, candidates).map(|near| near.word)
}

/// A word that was probably meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near<'a> {
    /// The word.
    pub word: &'a str,
    /// Whether it can be put in place unseen: at most [`SURE_MAX`] slips away, as no other one is.
    pub sure: bool,
}

/// The candidate that [`nearest`] gives, and how sure it is.
#[must_use]
pub fn near<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<Near<'a>> {
    let word = folded(written)?;
    let mut close = 0;
    let (rank, nearest) = candidates
        .into_iter()
        .filter(|candidate| *candidate != written)
        .filter_map(|candidate| Some((rank(&word, &folded(candidate)?)?, candidate)))
        .inspect(|(rank, _)| close += usize::from(*rank <= SURE_MAX))
        .min_by_key(|(rank, _)| *rank)?;
    Some(Near {
        word: nearest,
        sure: rank <= SURE_MAX && close == 1,
    })
}

fn folded(word: &str) -> Option<Vec<char>> {
    let fold = |c: char| {
        if c == '-' {
            '_'
        } else {
            c.to_ascii_lowercase()
        }
    };
    let chars: Vec<char> = word.chars().map(fold).take(WORD_LEN_MAX + 1).collect();
    (1..=WORD_LEN_MAX).contains(&chars.len()).then_some(chars)
}

/// How far apart two words are, or `None` if they are too far apart. Beginnings come last.
fn rank(word: &[char], other: &[char]) -> Option<usize> {
    let allowed = (word.len().max(other.len()) / 3).max(1);
    let near = (word.len().abs_diff(other.len()) <= allowed)
        .then(|| distance(word, other))
        .filter(|distance| *distance <= allowed && *distance < word.len());
    near.or_else(|| (word.len() >= 3 && other.starts_with(word)).then_some(WORD_LEN_MAX))
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last_x = None;
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        let mut last_y = None;
        for (j, y) in b.iter().enumerate() {
            let mut best = (cell(&above, j) + usize::from(x != y))
                .min(cell(&above, j + 1) + 1)
                .min(cell(&row, j) + 1);
            if last_x == Some(y) && last_y == Some(x) {
                best = best.min(cell(&before, j.saturating_sub(1)) + 1);
            }
            row.push(best);
            last_y = Some(y);
        }
        before = std::mem::replace(&mut above, row);
        last_x = Some(x);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_what_was_meant_or_nothing() {
        let words = [
            "strategy",
            "sensor.host",
            "probe",
            "process",
            "log",
            "start_timeout",
        ];

        for (word, expected) in [
            ("strateg", Some("strategy")),
            ("Strategy", Some("strategy")),
            ("sensor.hots", Some("sensor.host")),
            ("start-timeout", Some("start_timeout")),
            ("strat", Some("strategy")),
            ("prcess", Some("process")),
            ("lgo", Some("log")),
            ("log", None),
            ("x", None),
            ("", None),
            ("colour", None),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
    }

    #[test]
    fn only_one_close_word_is_sure() {
        for (word, words, expected) in [
            ("strateg", &["strategy", "period"][..], Some(true)),
            ("Strategy", &["strategy"], Some(true)),
            ("one_for_al", &["one_for_one", "one_for_all"], Some(true)),
            ("one_for_ane", &["one_for_one", "one_for_all"], Some(false)),
            ("drop", &["drop_oldest"], Some(false)),
            ("colour", &["period"], None),
        ] {
            let found = near(word, words.iter().copied()).map(|near| near.sure);
            assert_eq!(found, expected, "{word}");
        }
    }

    #[test]
    fn the_distance_counts_a_swap_of_neighbours_as_one() {
        for (a, b, expected) in [
            ("host", "hots", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abd", 1),
            ("ab", "ba", 1),
        ] {
            let chars = |text: &str| text.chars().collect::<Vec<char>>();
            assert_eq!(distance(&chars(a), &chars(b)), expected, "{a} {b}");
        }
    }

    #[test]
    fn very_long_words_have_no_suggestion() {
        let long = "a".repeat(WORD_LEN_MAX + 1);

        assert_eq!(nearest(&long, [long.as_str()]), None);
    }
}
