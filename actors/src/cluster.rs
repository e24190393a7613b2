//! Nodes: kernels that attach to each other, run children for each other, and survive that they are cut off.

pub mod codec;
pub mod link;
