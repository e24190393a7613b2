//! Nodes as processes: kernels that are cut off from each other, killed and stopped, and what becomes of what they run.
//!
//! Three kernels, each in a network namespace of its own, joined by a fourth that routes between them: there a cable can be
//! pulled and one direction cut. Where namespaces cannot be made, that is said and left out; slow and breaking connections
//! need none, they go through a relay of the test's own. (`tc netem` would do that below the kernels, where the machine has
//! it; not every one does.) The same faults, by the thousand, are in simulation in `actors/tests/nodes`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails"
)]

#[path = "../cli/harness.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod harness;

mod cuts;
mod deaths;
mod net;
mod relay;
mod slow;
mod world;
