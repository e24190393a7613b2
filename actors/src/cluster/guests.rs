//! Children that other nodes have placed here.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use unity_supervisors::{Actor, Context, Kernel};

use super::codec::{Blob, CallV1, FaultV1, FenceV1};
use super::fault;
use super::nodes::Cluster;
use super::session::Session;

pub(super) fn begin<A: Actor>(_ctx: &Context<A>) {}

pub(super) fn serve(
    _: &Kernel,
    _: &Arc<Cluster>,
    _: Arc<Session>,
    _: CallV1,
) -> BoxFuture<'static, Result<Blob, FaultV1>> {
    std::future::ready(Err(fault::new("failed", "not there yet"))).boxed()
}

pub(super) fn is_in_force(_: &Kernel, _: &Session, _: FenceV1) -> bool {
    false
}
