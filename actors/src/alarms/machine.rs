//! What is read of the machine: [`Machine`], and the real one.

use std::io;
use std::path::{Path, PathBuf};

use sysinfo::{Components, System};

/// The machine, as far as there are alarms about it. A test has another one.
pub trait Machine: Send + Sync + 'static {
    /// The folder that the disk is measured at.
    fn folder(&self) -> &Path;

    /// How much of that file system is free, in percents.
    ///
    /// # Errors
    /// If it cannot be told.
    fn disk_free(&self) -> io::Result<u64>;

    /// How much of the memory is used, in percents.
    ///
    /// # Errors
    /// If it cannot be told.
    fn memory_used(&self) -> io::Result<u64>;

    /// The parts that say how hot they are, in degrees Celsius; none where there are none.
    ///
    /// # Errors
    /// If it cannot be told.
    fn temperatures(&self) -> io::Result<Vec<(String, u64)>>;
}

/// This machine.
#[derive(Debug)]
pub struct RealMachine {
    folder: PathBuf,
}

impl RealMachine {
    /// With the disk that `folder` is on, or will be once it is made.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { folder }
    }
}

impl Machine for RealMachine {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn disk_free(&self) -> io::Result<u64> {
        let there = self.folder.ancestors().find(|folder| folder.exists());
        let system = rustix::fs::statvfs(there.unwrap_or(Path::new("/")))?;
        // As `df` counts: what is kept for the superuser is nobody's.
        let used = system.f_blocks.saturating_sub(system.f_bfree);
        share(system.f_bavail, used.saturating_add(system.f_bavail))
    }

    fn memory_used(&self) -> io::Result<u64> {
        let mut system = System::new().map_err(io::Error::other)?;
        system.refresh_memory();
        let total = system.total_memory();
        share(total.saturating_sub(system.available_memory()), total)
    }

    fn temperatures(&self) -> io::Result<Vec<(String, u64)>> {
        let components = Components::new_with_refreshed_list().map_err(io::Error::other)?;
        let parts = components.iter().filter_map(|part| {
            let degrees = part.temperature().filter(|its| its.is_finite())?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a temperature of a machine is a small number, and frost is none of our business"
            )]
            let degrees = degrees.max(0.0) as u64;
            Some((part.label().to_owned(), degrees))
        });
        Ok(parts.collect())
    }
}

/// In percents, rounded down.
fn share(part: u64, whole: u64) -> io::Result<u64> {
    let share = (u128::from(part) * 100).checked_div(u128::from(whole));
    let share = share.and_then(|share| u64::try_from(share).ok());
    share.ok_or_else(|| io::Error::other("the system says that there is none at all"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_says_how_it_is() {
        let machine = RealMachine::new("/no/such/folder/yet");

        assert!(machine.disk_free().unwrap() <= 100);
        assert!((1..=100).contains(&machine.memory_used().unwrap()));
        assert!(machine.temperatures().is_ok());
    }
}
