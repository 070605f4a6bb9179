//! What the streams of a connection have in common.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::connection::edge::Edge;
use crate::connection::http2::admit::LastHost;
use crate::connection::http2::answer::Dates;
use crate::connection::http2::outlet::Outlet;
use crate::request::context::WorkerContext;

/// How long the times in answers are remembered: a few seconds are a few times.
const YOUTH: Duration = Duration::from_secs(4);

/// What the streams of a connection have in common.
pub(super) struct Shared {
    pub(super) edge: Rc<Edge>,
    pub(super) outlet: Outlet,
    pub(super) last_host: LastHost,
    pub(super) context: Rc<WorkerContext>,
    /// When the connection began.
    since: Instant,
}

impl Shared {
    /// What the streams of a connection have in common that begins now.
    pub(super) fn new(edge: &Rc<Edge>, context: &Rc<WorkerContext>) -> Self {
        Self {
            edge: Rc::clone(edge),
            outlet: Outlet::default(),
            last_host: LastHost::default(),
            context: Rc::clone(context),
            since: clock::now(),
        }
    }

    /// What becomes of the times in answers.
    pub(super) fn dates(&self) -> Dates {
        match clock::now().duration_since(self.since) < YOUTH {
            true => Dates::Remembered,
            false => Dates::Forgotten,
        }
    }
}
