//! What the streams of a connection have in common.

use std::rc::Rc;

use crate::connection::edge::Edge;
use crate::connection::http2::outlet::Outlet;
use crate::request::context::WorkerContext;

/// What the streams of a connection have in common.
pub(super) struct Shared {
    pub(super) edge: Rc<Edge>,
    pub(super) outlet: Outlet,
    pub(super) context: Rc<WorkerContext>,
}
