//! The word that was probably meant.

/// The candidate that is nearest to `word`, if one is near enough to be a slip of the fingers: at most
/// a third of the letters inserted, removed or replaced, and never more than two.
pub(super) fn nearest(word: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let allowed = (word.chars().count() / 3).min(2);
    candidates
        .map(|candidate| (distance(word, &candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be inserted, removed or replaced to make `left` of `right`.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        for (cell, to) in row
            .iter_mut()
            .zip(std::iter::once(None).chain(right.chars().map(Some)))
        {
            let Some(to) = to else {
                *cell = before;
                continue;
            };
            let replaced = diagonal + usize::from(from != to);
            diagonal = *cell;
            *cell = replaced.min(diagonal + 1).min(before + 1);
            before = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_letters() {
        for (left, right, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("python3", "python3", 0),
            ("pythn3", "python3", 1),
            ("kitten", "sitting", 3),
            ("TREM", "TERM", 2),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn only_a_slip_of_the_fingers_is_corrected() {
        let words = || ["python3", "perl"].into_iter().map(str::to_owned);

        assert_eq!(nearest("pythn3", words()).as_deref(), Some("python3"));
        assert_eq!(nearest("ruby", words()), None);
    }
}
