//! Mends what can be meant in one way only: [`mend`] makes the texts, and writes nothing.
//!
//! Only the bytes of a fix change, so that comments, order and layout stay. What a fix uncovers is
//! mended as well. A fix that uncovers a fault which cannot be mended is left out: its author then
//! sees the two of them together, and the other fixes are made all the same.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use unity_supervisors::spec::TreeSpec;

use super::diagnostic::Fix;
use super::reader::plain;
use super::{Checked, Code, Diagnostic, Sources, load};

/// How often what was uncovered is mended as well.
const PASSES_MAX: usize = 8;

/// How many groups of fixes are tried, each of them halved if it brings a new fault.
const TRIALS_MAX: usize = 16;

/// What came of mending.
#[derive(Debug, Clone)]
pub struct Mended<T = TreeSpec> {
    /// The files that change, none if there was nothing to mend.
    pub files: Vec<Edited>,
    /// The reading of the files as they were. What has a fix there is mended; what was left out says why.
    pub before: Checked<T>,
    /// The reading of the files as they are then; what was left out says why.
    pub checked: Checked<T>,
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
        let pairs = lines(&self.before).zip(lines(&self.after));
        (1..)
            .zip(pairs)
            .map(|(number, (before, after))| (number, before, after))
            .filter(|(_, before, after)| before != after)
    }
}

/// Mends the tree file at `path` and the files that it includes.
///
/// There is no fault afterwards that was not there before.
#[must_use]
pub fn mend(path: &Path, sources: &Sources<'_>) -> Mended {
    mend_read(path, sources, &load)
}

/// The same for a file that is read in another way.
#[must_use]
pub fn mend_read<T: Clone>(path: &Path, sources: &Sources<'_>, load: Load<'_, T>) -> Mended<T> {
    let checked = load(path, sources);
    let all: Vec<Slip> = fixable(&checked).map(|(slip, _)| slip).collect();
    let trial = Trial {
        path,
        load,
        sources,
        known: counted(&checked),
        all: all.iter().cloned().collect(),
    };
    let mut before = checked.clone();
    let (mut files, mut checked) = (Vec::new(), checked);
    let mut made: HashSet<Slip> = HashSet::new();
    let mut left: HashMap<Slip, String> = HashMap::new();
    // In the order of the files, so that the same fixes are left out each time.
    let mut seen = HashSet::new();
    let mut waiting = vec![all.clone()];
    if let Some(group) = waiting.last_mut() {
        group.retain(|slip| seen.insert(slip.clone()));
    }
    for _ in 0..TRIALS_MAX {
        let Some(mut group) = waiting.pop().filter(|group| !group.is_empty()) else {
            break;
        };
        match trial.run(&group, files.clone(), checked.clone()) {
            Ok(after) => {
                (files, checked) = after;
                made.extend(group);
            }
            Err(fault) if group.len() == 1 => {
                left.extend(group.pop().map(|slip| (slip, fault)));
            }
            Err(_) => {
                let second = group.split_off(group.len() / 2);
                waiting.extend([second, group]);
            }
        }
    }
    leave(&mut before, |slip| made.contains(slip), &left);
    leave(&mut checked, |_| false, &left);
    Mended {
        files,
        before,
        checked,
    }
}

/// How a file is read.
pub type Load<'a, T> = &'a dyn Fn(&Path, &Sources<'_>) -> Checked<T>;

/// What a fix is told apart by while others are made: its file, its line, and what is wrong there.
type Slip = (PathBuf, usize, Code, String);

/// The fixes of a reading that can be made.
fn fixable<T>(checked: &Checked<T>) -> impl Iterator<Item = (Slip, &Fix)> {
    checked.diagnostics.iter().filter_map(|found| {
        let fix = found.fix.as_ref()?;
        // A fix never reaches across lines.
        let is_whole = checked.files.one_line(fix.span) == fix.span;
        is_whole.then_some(())?;
        let path = plain(checked.files.get(fix.span.file)?.path());
        let line = checked.files.position(fix.span.file, fix.span.start).line;
        Some(((path, line, found.code, found.message.clone()), fix))
    })
}

/// Takes the fixes out that were not made, and notes why where that is known.
fn leave<T>(checked: &mut Checked<T>, made: impl Fn(&Slip) -> bool, left: &HashMap<Slip, String>) {
    let fixes = fixable(checked).map(|(slip, fix)| (fix.clone(), slip));
    let slips: HashMap<Fix, Slip> = fixes.collect();
    for found in &mut checked.diagnostics {
        let slip = found.fix.as_ref().and_then(|fix| slips.get(fix));
        if slip.is_some_and(&made) {
            continue;
        }
        if let Some(fault) = slip.and_then(|slip| left.get(slip)) {
            let why = format!("`--fix` leaves this to you, as it would uncover: {fault}");
            found.notes.push(why);
        }
        found.fix = None;
    }
}

/// What it takes to try some of the fixes.
struct Trial<'a, T> {
    path: &'a Path,
    load: Load<'a, T>,
    sources: &'a Sources<'a>,
    /// The faults of the first reading, and how often each is there.
    known: HashMap<(Code, String), usize>,
    /// What could be mended in the first reading.
    all: HashSet<Slip>,
}

impl<T: Clone> Trial<'_, T> {
    /// Mends the slips of `group` and what they uncover, or says what new fault that would bring.
    fn run(
        &self,
        group: &[Slip],
        mut files: Vec<Edited>,
        mut checked: Checked<T>,
    ) -> Result<(Vec<Edited>, Checked<T>), String> {
        let group: HashSet<&Slip> = group.iter().collect();
        let wanted = |slip: &Slip| group.contains(slip) || !self.all.contains(slip);
        for _ in 0..PASSES_MAX {
            if !edit(&checked, &mut files, wanted) {
                break;
            }
            checked = self.again(&files);
        }
        let mut known = self.known.clone();
        let new = checked
            .faults()
            .find(|fault| match known.get_mut(&key(fault)) {
                Some(times) if *times > 0 => {
                    *times -= 1;
                    false
                }
                _ => true,
            });
        match new {
            Some(fault) => Err(fault.message.clone()),
            None => Ok((files, checked)),
        }
    }

    /// Reads the file as it is with these files.
    fn again(&self, files: &[Edited]) -> Checked<T> {
        let texts: HashMap<PathBuf, &str> = files
            .iter()
            .map(|file| (plain(&file.path), file.after.as_str()))
            .collect();
        let sources = Sources {
            read: &|path, max| match texts.get(&plain(path)) {
                Some(text) => Ok(first_bytes(text, max)),
                None => (self.sources.read)(path, max),
            },
            ..*self.sources
        };
        (self.load)(self.path, &sources)
    }
}

/// The lines of a text, which a lone carriage return ends, too.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('\r'))
}

fn first_bytes(text: &str, max: usize) -> Vec<u8> {
    text.bytes().take(max).collect()
}

fn counted<T>(checked: &Checked<T>) -> HashMap<(Code, String), usize> {
    let mut counted = HashMap::new();
    for fault in checked.faults() {
        *counted.entry(key(fault)).or_default() += 1;
    }
    counted
}

/// What a fault is told apart by when lines have moved.
fn key(fault: &Diagnostic) -> (Code, String) {
    (fault.code, fault.message.clone())
}

/// Makes the fixes of a reading that are wanted in the texts of its files; whether there were any.
fn edit<T>(checked: &Checked<T>, files: &mut Vec<Edited>, wanted: impl Fn(&Slip) -> bool) -> bool {
    let mut fixes: Vec<(PathBuf, &Fix)> = fixable(checked)
        .filter(|(slip, _)| wanted(slip))
        .map(|((path, ..), fix)| (path, fix))
        .collect();
    // From the end of each file, so that the places before stay.
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
                before: source.written().into(),
                after: source.written().to_owned(),
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
