//! `events.yaml` while a kernel runs: [`EventFiles`].

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use unity_supervisors::Kernel;
use unity_supervisors::bus::Catalog;

use super::{files_of, load};
use crate::settings::keeper::Trouble;
use crate::settings::system::FolderFrom;
use crate::settings::watch::WatchSet;
use crate::tree_file::Checked;

/// Where the catalog of a running kernel comes from, and what is wrong with it.
#[derive(Debug)]
pub struct EventFiles {
    folder: FolderFrom,
    /// What was read last.
    text: String,
    trouble: Option<Trouble>,
}

impl EventFiles {
    /// Those in this folder, and what they say now.
    #[must_use]
    pub fn open(folder: FolderFrom) -> (Self, Checked<Catalog>) {
        let checked = load(&folder);
        let files = Self {
            folder,
            text: text_of(&checked),
            trouble: trouble_of(&checked),
        };
        (files, checked)
    }

    /// What is wrong with them, if something is.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// The files that decide.
    pub fn watch(&self, set: &mut WatchSet) {
        set.files.extend(files_of(&self.folder));
    }

    /// Whether one of these paths is among them.
    #[must_use]
    pub fn concern(&self, paths: &BTreeSet<PathBuf>) -> bool {
        let mut files = files_of(&self.folder).filter_map(|file| std::path::absolute(file).ok());
        files.any(|file| paths.contains(&file))
    }

    /// Reads them, and has `kernel` go by what they say if they are without fault.
    pub fn look(&mut self, kernel: &Kernel) {
        let checked = load(&self.folder);
        let text = text_of(&checked);
        let trouble = trouble_of(&checked);
        if text == self.text && trouble == self.trouble {
            return;
        }
        self.text = text;
        self.trouble = trouble;
        match (checked.tree, &self.trouble) {
            (Some(catalog), _) => {
                let types = catalog.types().len();
                kernel.bus().set_catalog(Arc::new(catalog));
                tracing::info!(types, "another catalog of events is in force");
            }
            (None, Some(trouble)) => {
                tracing::error!("{}; the old one stays\n{}", trouble.what, trouble.shown);
            }
            (None, None) => {}
        }
    }
}

/// The text that was read; nothing if there was none to read.
fn text_of(checked: &Checked<Catalog>) -> String {
    let file = checked.files().next();
    file.map_or_else(String::new, |file| file.written().to_owned())
}

fn trouble_of(checked: &Checked<Catalog>) -> Option<Trouble> {
    if checked.tree.is_some() {
        return None;
    }
    let first = checked.faults().next();
    let what = first.map(|fault| fault.in_one_line()).unwrap_or_default();
    Some(Trouble {
        what: format!("the catalog of events was not applied: {what}"),
        shown: checked.render(false).trim_end().to_owned(),
        hint: "mend the file: it is applied as soon as it is saved".to_owned(),
    })
}
