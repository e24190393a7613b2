//! `system.yaml` and what lies beside it while a kernel runs: [`SystemFiles`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use unity_supervisors::Kernel;

use super::layers::{DROP_INS, FILE};
use super::{Flags, FolderFrom, InForce, KeyChange, load};
use crate::settings::keeper::Trouble;
use crate::settings::watch::WatchSet;

/// Where the settings of a running kernel come from, and what is wrong with them.
#[derive(Debug)]
pub struct SystemFiles {
    folder: FolderFrom,
    flags: Flags,
    trouble: Option<Trouble>,
    /// What waits for the next start, as it was told last.
    told: Vec<KeyChange>,
}

impl SystemFiles {
    /// Those in this folder, below these flags.
    #[must_use]
    pub fn new(folder: FolderFrom, flags: Flags) -> Self {
        Self {
            folder,
            flags,
            trouble: None,
            told: Vec::new(),
        }
    }

    /// The folder that was named, or is usual.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.path()
    }

    /// What is wrong with them, if something is.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// The files and the folder that decide.
    pub fn watch(&self, set: &mut WatchSet) {
        if let Some(folder) = self.folder() {
            set.files.insert(folder.join(FILE));
            set.folders.insert(folder.join(DROP_INS));
        }
    }

    /// Whether one of these paths is among them.
    #[must_use]
    pub fn concern(&self, paths: &BTreeSet<PathBuf>) -> bool {
        let Some(folder) = self
            .folder()
            .and_then(|folder| std::path::absolute(folder).ok())
        else {
            return false;
        };
        let drop_ins = folder.join(DROP_INS);
        let is_ours = |path: &PathBuf| *path == folder.join(FILE) || path.starts_with(&drop_ins);
        paths.iter().any(is_ours)
    }

    /// Reads them, and puts in force what can be.
    pub fn look(&mut self, kernel: &Kernel) {
        let checked = load(&self.folder, std::env::vars_os(), &self.flags);
        let Some(loaded) = &checked.tree else {
            let first = checked.faults().next();
            let what = first.map(|fault| fault.in_one_line()).unwrap_or_default();
            let trouble = Trouble {
                what: format!("the kernel's own settings were not applied: {what}"),
                shown: checked.render(false).trim_end().to_owned(),
                hint: "mend the file: it is applied as soon as it is saved".to_owned(),
            };
            if self.trouble.as_ref() != Some(&trouble) {
                tracing::error!(
                    "{}; the old ones stay in force\n{}",
                    trouble.what,
                    trouble.shown
                );
            }
            self.trouble = Some(trouble);
            return;
        };
        self.trouble = None;
        let changes = kernel
            .shared::<InForce>()
            .apply_live(kernel, &loaded.settings);
        let (live, later): (Vec<KeyChange>, Vec<KeyChange>) =
            changes.into_iter().partition(|change| change.live);
        for change in &live {
            tracing::info!(
                "system {} {} → {}, live",
                change.key,
                change.from,
                change.to
            );
        }
        for change in later.iter().filter(|change| !self.told.contains(change)) {
            tracing::warn!(
                "system {} {} → {}, with the next start of the kernel",
                change.key,
                change.from,
                change.to
            );
        }
        self.told = later;
    }
}
