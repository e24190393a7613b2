//! Kernels that attach to each other over a network in memory, on a paused clock.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot be set up fails, and a seed is told"
)]

mod nodes {
    pub(crate) mod attach;
    pub(crate) mod bad;
    pub(crate) mod chaos;
    pub(crate) mod net;
    pub(crate) mod place;
    pub(crate) mod seeds;
}
