//! Where the tree of `uk run` comes from.

use std::collections::BTreeSet;
use std::path::PathBuf;

use unity_supervisors::Kinds;
use unity_supervisors::bus::Catalog;

use super::DEFAULT_TREE;
use crate::cli::Caller;
use crate::error::CommandError;
use crate::event_file;
use crate::output;
use crate::screen::Screen;
use crate::settings::keeper::Keeper;
use crate::settings::source::{Base, Source};
use crate::settings::system::{Loaded, SystemSettings};
use crate::socket;
use crate::tree_file::Checked;

/// A tree as it was read, and which files were looked for.
pub(super) type Origin = (Source, Base, BTreeSet<PathBuf>);

/// What is to be run.
pub(super) struct Asked<'a> {
    pub(super) file: Option<&'a str>,
    /// Whether an older version does where the files are at fault.
    pub(super) last_good: bool,
    pub(super) name: Option<&'a str>,
    pub(super) kinds: &'a Kinds,
}

/// What is run, what the kernel's own settings are, and which events there are.
pub(super) type Found = (Origin, SystemSettings, Catalog);

impl Asked<'_> {
    /// Reads the tree, and says what is wrong with it, with the settings and with the catalog of events.
    pub(super) fn read(
        &self,
        caller: &Caller,
        settings: Checked<Loaded>,
        events: Checked<Catalog>,
        screen: Screen,
    ) -> Result<Option<Found>, CommandError> {
        let source = match self.file {
            Some(file) => Source::File(file.into()),
            None => Source::Embedded {
                name: "default tree".to_owned(),
                text: DEFAULT_TREE.into(),
            },
        };
        self.say_faults(caller, &settings, "the kernel's own settings", screen)?;
        let Some(reading) = source.read(self.kinds) else {
            return Ok(None);
        };
        // With --json there is one document.
        if settings.tree.is_some() || !caller.json {
            self.say_faults(caller, &events, "the catalog of events", screen)?;
        }
        if (settings.tree.is_some() && events.tree.is_some()) || !caller.json {
            let name = self.file.unwrap_or("the default tree");
            self.say_faults(caller, &reading.checked, name, screen)?;
        }
        let system = settings.tree.map(|loaded| loaded.settings);
        let system = system.or_else(|| self.last_good.then(SystemSettings::default));
        let base = match reading.base {
            None if self.last_good => self.last_version(caller, &source, &reading.checked),
            base => base,
        };
        let events = events
            .tree
            .or_else(|| self.last_good.then(event_file::shipped));
        let origin = base.map(|base| (source, base, reading.tried));
        let found = origin.zip(system).zip(events);
        Ok(found.map(|((origin, system), events)| (origin, system, events)))
    }

    fn say_faults<T>(
        &self,
        caller: &Caller,
        checked: &Checked<T>,
        name: &str,
        screen: Screen,
    ) -> Result<(), CommandError> {
        if checked.tree.is_none() && caller.json {
            return output::out(&format!("{}\n", checked.to_json()));
        }
        output::err(&checked.render(screen.colour));
        if checked.tree.is_none() {
            let summary = checked.summary();
            let then = if self.last_good {
                ""
            } else {
                "; nothing was started"
            };
            output::err(&format!("{name}: {summary}{then}\n"));
        }
        Ok(())
    }

    /// What ran before the files were at fault.
    fn last_version(&self, caller: &Caller, source: &Source, checked: &Checked) -> Option<Base> {
        let text = checked.files().next().map(|file| file.text().to_owned());
        let named = text.as_deref().and_then(name_in);
        let name = self.name.or(named).unwrap_or("kernel");
        let usual = socket::data_folder(name);
        let data_dir = caller.data_dir.as_ref().unwrap_or(&usual);
        let Some((number, base)) = Keeper::last_version(source, data_dir, self.kinds) else {
            let folder = data_dir.display();
            output::err(&format!(
                "there is no version of it in {folder}: nothing was started\n"
            ));
            return None;
        };
        let said = format!("version {number} is run instead, until the file is mended\n");
        output::err(&said);
        Some(base)
    }
}

/// The name of the node in a file that cannot be read as a whole.
fn name_in(text: &str) -> Option<&str> {
    let name = text.lines().find_map(|line| line.strip_prefix("name:"))?;
    let name = name.split('#').next()?.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_a_file_that_cannot_be_read() {
        for (text, name) in [
            ("version: 1\nname: robot # mine\ntree: [", Some("robot")),
            ("name: \"a b\"\n", Some("a b")),
            ("tree:\n  name: x\n", None),
            ("name:\n", None),
        ] {
            assert_eq!(name_in(text), name, "{text}");
        }
    }
}
