//! Kernels that attach to each other over a network in memory, on a paused clock.

mod nodes {
    pub(crate) mod attach;
    pub(crate) mod net;
    pub(crate) mod place;
}
