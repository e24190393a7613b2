//! The kernel's own actors, and the table of kinds that tree files name.
//!
//! One file an actor: its settings, its messages, itself. A new one adds a line to [`kinds`].

pub mod alarms;
pub mod bounds;
pub mod bus;
pub mod chaos;
pub mod cluster;
pub mod dead_letters;
pub mod debounce;
pub mod dispatcher;
pub mod duration;
pub mod heartbeat;
pub mod log;
pub mod memory;
pub mod monitor;
pub mod notices;
pub mod probe;
pub mod process;
pub mod replay;
pub mod sensors;
pub mod size;
pub mod streams;

use unity_supervisors::Kinds;

/// The table of kinds.
#[must_use]
pub fn kinds() -> Kinds {
    cluster::relay::with_kind(Kinds::new())
        .with::<log::Log>("log", "writes what it is told to the kernel's log")
        .with::<probe::Probe>(
            "probe",
            "does what its messages say: crashes, hangs, echoes, counts",
        )
        .with::<process::Process>("process", "runs any command as a child process")
        .with::<heartbeat::Heartbeat>("heartbeat", "publishes a counted beat each interval")
        .with::<monitor::Monitor>("monitor", "writes the events that it receives to the log")
        .with::<sensors::host::HostSensor>("sensor.host", "this machine's real load")
        .with::<sensors::files::Files>("sensor.files", "what changes in files and folders")
        .with::<sensors::process::ProcessSensor>("sensor.process", "what a process needs")
        .with::<sensors::frames::Frames>(
            "sensor.frames",
            "a synthetic camera or microphone, for where there is none",
        )
}
