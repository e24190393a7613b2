//! Mends what can be meant in one way only: [`mend`] makes the texts, and writes nothing.
//!
//! Only the bytes of a fix change, so that comments, order and layout stay. What a fix uncovers is
//! mended as well, and the outcome is refused as a whole if it has a fault that was not there before.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::Fix;
use super::reader::plain;
use super::{Checked, Code, Diagnostic, Sources, load};

/// How often what was uncovered is mended as well.
const PASSES_MAX: usize = 8;

/// What came of mending.
#[derive(Debug, Clone)]
pub struct Mended {
    /// The files that change, none if there was nothing to mend.
    pub files: Vec<Edited>,
    /// The reading of the files as they are then.
    pub checked: Checked,
}

/// A file that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// Its path, as the reading has it.
    pub path: PathBuf,
    /// Its text as it was read.
    pub before: Arc<str>,
    /// Its text when mended, of as many lines.
    pub after: String,
}

impl Edited {
    /// The lines that differ: their number from 1, as they were and as they are.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let pairs = self.before.lines().zip(self.after.lines());
        (1..)
            .zip(pairs)
            .map(|(number, (before, after))| (number, before, after))
            .filter(|(_, before, after)| before != after)
    }
}

/// Mends the tree file at `path` and the files that it includes.
///
/// # Errors
/// The first fault that mending would bring.
pub fn mend(path: &Path, sources: &Sources<'_>) -> Result<Mended, Box<Diagnostic>> {
    let mut checked = load(path, sources);
    let mut known = faults(&checked);
    let mut files: Vec<Edited> = Vec::new();
    for _ in 0..PASSES_MAX {
        if !edit(&checked, &mut files) {
            break;
        }
        let texts: HashMap<PathBuf, &str> = files
            .iter()
            .map(|file| (plain(&file.path), file.after.as_str()))
            .collect();
        checked = load(
            path,
            &Sources {
                read: &|path, max| match texts.get(&plain(path)) {
                    Some(text) => Ok(first_bytes(text, max)),
                    None => (sources.read)(path, max),
                },
                ..*sources
            },
        );
    }
    let new = checked.faults().find(|fault| {
        let before = known.iter().position(|known| *known == key(fault));
        before.map(|at| known.swap_remove(at)).is_none()
    });
    match new.cloned() {
        Some(fault) => Err(Box::new(fault)),
        None => Ok(Mended { files, checked }),
    }
}

fn first_bytes(text: &str, max: usize) -> Vec<u8> {
    text.bytes().take(max).collect()
}

/// What a fault is told apart by when lines have moved.
fn key(fault: &Diagnostic) -> (Code, String) {
    (fault.code, fault.message.clone())
}

fn faults(checked: &Checked) -> Vec<(Code, String)> {
    checked.faults().map(key).collect()
}

/// Makes the fixes of a reading in the texts of its files; whether there were any.
fn edit(checked: &Checked, files: &mut Vec<Edited>) -> bool {
    let fixes = checked
        .diagnostics
        .iter()
        .filter_map(|found| found.fix.as_ref());
    let mut fixes: Vec<(PathBuf, &Fix)> = fixes
        .filter(|fix| checked.files.one_line(fix.span) == fix.span)
        .filter_map(|fix| Some((plain(checked.files.get(fix.span.file)?.path()), fix)))
        .collect();
    // From the end of each file, so that the places before stay; a file that is included twice
    // has each of its fixes twice.
    fixes.sort_by(|(path, fix), (other_path, other)| {
        (path, other.span.start, other.span.end).cmp(&(other_path, fix.span.start, fix.span.end))
    });
    let mut last: Option<(&Path, usize)> = None;
    for (path, fix) in &fixes {
        let overlaps = last.is_some_and(|(of, start)| of == path && fix.span.end > start);
        let Some(source) = checked.files.get(fix.span.file).filter(|_| !overlaps) else {
            continue;
        };
        last = Some((path, fix.span.start));
        let at = files.iter().position(|file| plain(&file.path) == *path);
        let at = at.unwrap_or_else(|| {
            files.push(Edited {
                path: source.path().to_owned(),
                before: source.text().into(),
                after: source.text().to_owned(),
            });
            files.len() - 1
        });
        if let Some(file) = files.get_mut(at) {
            let range = fix.span.start..fix.span.end;
            file.after.replace_range(range, &fix.replacement);
        }
    }
    !fixes.is_empty()
}
