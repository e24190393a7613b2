//! Lines of a text: where they begin, what is commented out on them, what is kept of them.

use std::ops::Range;

use super::Document;

impl Document<'_> {
    /// Where the line of a byte begins.
    pub(super) fn line_start(&self, at: usize) -> usize {
        self.slice(&(0..at)).rfind('\n').map_or(0, |at| at + 1)
    }

    /// Where the line after a byte begins, or the text ends; at once if a line begins there already.
    pub(super) fn next_line(&self, at: usize) -> usize {
        if self.line_start(at) == at && at > 0 {
            return at;
        }
        let rest = self.slice(&(at..self.text.len()));
        rest.find('\n').map_or(self.text.len(), |end| at + end + 1)
    }

    /// How far from the left edge a byte stands, in characters.
    pub(super) fn column(&self, at: usize) -> usize {
        self.slice(&(self.line_start(at)..at)).chars().count()
    }

    /// Text that makes a line of its own before the byte `at`, where a line begins or the text ends.
    pub(super) fn as_line(&self, at: usize, line: &str) -> String {
        let newline = self.newline;
        if at == 0 || self.line_start(at) == at {
            // At the end of a text whose last line has an end.
            format!("{line}{newline}")
        } else {
            format!("{newline}{line}")
        }
    }

    /// After the line in `range` on which `key` is commented out, at so many characters from the left edge.
    pub(super) fn commented_out(
        &self,
        range: Range<usize>,
        key: &str,
        column: Option<usize>,
    ) -> Option<(usize, usize)> {
        let mut inside = self
            .layout
            .comments
            .iter()
            .filter(|comment| range.start <= comment.start && comment.end <= range.end);
        let found = inside.find(|comment| {
            let text = self.slice(comment).trim_start_matches('#').trim_start();
            let is_key = text
                .strip_prefix(key)
                .is_some_and(|rest| rest.starts_with(": ") || rest.trim_end() == ":");
            let before = self.line_start(comment.start)..comment.start;
            let is_alone = self.slice(&before).trim().is_empty();
            let fits = column.is_none_or(|column| column == self.column(comment.start));
            is_key && is_alone && fits
        })?;
        Some((self.next_line(found.end), self.column(found.start)))
    }

    /// From a byte on, the end of what is only blanks and comments.
    pub(super) fn comments_end(&self, at: usize) -> usize {
        let mut end = self.next_line(at);
        while end < self.text.len() {
            let next = self.next_line(end + 1);
            let line = self.slice(&(end..next)).trim();
            if !line.is_empty() && !line.starts_with('#') {
                break;
            }
            end = next;
        }
        end
    }

    /// The lines of a range that hold nothing but a comment, moved to where what they stand among begins: deeper they
    /// could become lines of a text above them.
    pub(super) fn comment_lines(&self, range: &Range<usize>, indent: &str) -> String {
        let mut at = range.start;
        let mut kept = String::new();
        for line in self.slice(range).split_inclusive('\n') {
            let text = line.trim_start();
            let begins = at + line.len() - text.len();
            at += line.len();
            let mut comments = self.layout.comments.iter();
            if comments.any(|comment| comment.start == begins) {
                kept.push_str(indent);
                kept.push_str(text);
            }
        }
        kept
    }
}
