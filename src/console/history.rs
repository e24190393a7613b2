//! What was typed, kept for the next time: [`Kept`], a file for each kernel that only its owner may read.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use reedline::{
    FileBackedHistory, History, HistoryItem, HistoryItemId, HistorySessionId, ReedlineError,
    ReedlineErrorVariants, Result, SearchQuery,
};

use super::secrets::may_hold_secret;

/// The name of the file in a kernel's data folder.
pub(super) const FILE: &str = "console_history";
/// How many lines are kept.
const LINES_MAX: usize = 1_000;

/// Lines without secrets, in a file.
pub(super) struct Kept(FileBackedHistory);

impl Kept {
    /// Reads the file, or makes it.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(super) fn open(file: &Path) -> io::Result<Self> {
        if let Some(folder) = file.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600).open(file)?;
        // One that was there may have been made by somebody who was less careful.
        fs::set_permissions(file, Permissions::from_mode(0o600))?;
        let history = FileBackedHistory::with_file(LINES_MAX, file.to_owned());
        history.map(Self).map_err(io::Error::other)
    }
}

impl History for Kept {
    /// Refuses what may hold a secret; it can be recalled once, and is in no file.
    fn save(&mut self, item: HistoryItem) -> Result<HistoryItem> {
        if may_hold_secret(&item.command_line) {
            let why = "it may hold a secret";
            return Err(ReedlineError(ReedlineErrorVariants::OtherHistoryError(why)));
        }
        self.0.save(item)
    }

    fn load(&self, id: HistoryItemId) -> Result<HistoryItem> {
        self.0.load(id)
    }

    fn count(&self, query: SearchQuery) -> Result<i64> {
        self.0.count(query)
    }

    fn search(&self, query: SearchQuery) -> Result<Vec<HistoryItem>> {
        self.0.search(query)
    }

    fn update(
        &mut self,
        id: HistoryItemId,
        updater: &dyn Fn(HistoryItem) -> HistoryItem,
    ) -> Result<()> {
        self.0.update(id, updater)
    }

    fn clear(&mut self) -> Result<()> {
        self.0.clear()
    }

    fn delete(&mut self, id: HistoryItemId) -> Result<()> {
        self.0.delete(id)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }

    fn session(&self) -> Option<HistorySessionId> {
        self.0.session()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_its_owners_alone_and_holds_no_secrets() {
        let folder = std::env::temp_dir().join(format!("uk-history-{}", std::process::id()));
        let file = folder.join("deep").join(FILE);
        let mut history = Kept::open(&file).unwrap();
        for line in ["tree", "spawn x --set token=abc", "health"] {
            drop(history.save(HistoryItem::from_command_line(line)));
        }
        history.sync().unwrap();

        assert_eq!(fs::read_to_string(&file).unwrap(), "tree\nhealth\n");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        drop(Kept::open(&file).unwrap());
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(&folder).unwrap();
    }
}
