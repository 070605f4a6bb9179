//! An endpoint's response on its way to the client: octets as they come, trailers, and the connection given back.
//!
//! Driving the connection to the endpoint is part of polling the body, so that a client that does not read is felt by
//! the endpoint. Only while a request's body still flows the connection has a task of its own, because then a client
//! that does not read must still be able to write.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::body::without_forbidden_trailers;
use crate::clock::{self, Clock, Clocks};
use crate::error::{Error, Kind, Progress};
use crate::upstream::{BodySlot, Carrier, Drive, Engaged};

/// The body of an endpoint's response.
#[derive(Debug)]
pub(crate) struct Relay {
    drive: Drive,
    request: RequestSide,
    clocks: Rc<Clocks>,
    /// The time in which neither this body nor the request's may stand still.
    idle: Option<Duration>,
    over: bool,
    /// Counts the request in at its endpoint.
    _engaged: Engaged,
}

/// What becomes of the connection to the endpoint meanwhile.
#[derive(Clone, Debug)]
pub(crate) enum RequestSide {
    /// The request has been sent whole.
    Ended,
    /// Its body still flows.
    Flows(Rc<BodySlot>),
}

impl RequestSide {
    /// Why an answer broke off: because the request's own body did, or by the endpoint.
    fn fault(&self) -> Kind {
        match self {
            Self::Ended => Kind::ResponseCut,
            Self::Flows(body) => body.fault().unwrap_or(Kind::ResponseCut),
        }
    }
}

impl Relay {
    /// Relays a body; `idle` bounds the time without an octet.
    pub(crate) fn new(
        carrier: Carrier,
        request: RequestSide,
        engaged: Engaged,
        clocks: Rc<Clocks>,
        idle: Option<Duration>,
    ) -> Self {
        // The last of a request may wait to be written when all of it has been read.
        let drive = match request {
            RequestSide::Ended if carrier.has_sent() => Drive::Inline(carrier),
            // All of it may have been taken from the client, and the last of it wait for the endpoint.
            RequestSide::Ended | RequestSide::Flows(_) => carrier.detach(),
        };
        Self {
            drive,
            request,
            clocks,
            idle,
            over: false,
            _engaged: engaged,
        }
    }

    /// Gives the connection back at once if the response has no body at all.
    pub(crate) fn settle(&mut self) {
        if self.has_all() {
            self.finish();
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if self.clocks.rang(Clock::Total) {
            return self.too_slow(Kind::ResponseTooSlow);
        }
        let polled = match &mut self.drive {
            Drive::Inline(carrier) => carrier.poll_frame(cx),
            Drive::Detached { carrier, .. } => carrier.borrow_mut().poll_frame(cx),
            Drive::Over => return Poll::Ready(None),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.clocks.stop(Clock::Moving);
                if self.has_all() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(without_forbidden_trailers(frame))))
            }
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(cause))) => {
                self.give_up();
                Poll::Ready(Some(Err(Error::because(
                    self.request.fault(),
                    Progress::Answered,
                    cause,
                ))))
            }
            Poll::Pending => self.wait(cx),
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.clocks.rang(Clock::Moving) && !self.still_moves() {
            return self.too_slow(Kind::ResponseTooSlow);
        }
        if self.clocks.rang(Clock::Body) {
            // The request's body is asked for in another task, which this clock does not wake.
            return self.too_slow(Kind::BodyTooSlow);
        }
        if !self.clocks.runs(Clock::Moving) {
            self.clocks.start(Clock::Moving, clock::now(), self.idle);
        }
        self.clocks.arm(cx);
        Poll::Pending
    }

    /// Whether the request's body has moved since the clock was started, which then runs from there: it is for
    /// exchanges in which neither side says anything.
    fn still_moves(&self) -> bool {
        let (RequestSide::Flows(body), Some(idle)) = (&self.request, self.idle) else {
            return false;
        };
        let Some(moved) = body.moved() else {
            return false;
        };
        self.clocks.start(Clock::Moving, moved, self.idle);
        clock::now().duration_since(moved) < idle
    }

    fn too_slow(&mut self, kind: Kind) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.give_up();
        Poll::Ready(Some(Err(Error::new(kind, Progress::Answered))))
    }

    /// Whether the body has been read to its end.
    fn has_all(&self) -> bool {
        match &self.drive {
            Drive::Inline(carrier) => carrier.is_over(),
            Drive::Detached { carrier, .. } => carrier.borrow().is_over(),
            Drive::Over => true,
        }
    }

    fn finish(&mut self) {
        self.stop();
        match std::mem::replace(&mut self.drive, Drive::Over) {
            Drive::Inline(carrier) => carrier.release(),
            Drive::Detached { carrier, .. } => {
                // A task that has sent everything has let go of it; one that has not ends with the connection.
                if let Ok(carrier) = Rc::try_unwrap(carrier) {
                    carrier.into_inner().release();
                }
            }
            Drive::Over => {}
        }
    }

    fn give_up(&mut self) {
        self.stop();
        self.drive = Drive::Over;
    }

    fn stop(&mut self) {
        self.over = true;
        self.clocks.stop(Clock::Moving);
        self.clocks.stop(Clock::Total);
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.over || self.has_all()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.drive {
            Drive::Inline(carrier) => carrier.size_hint(),
            Drive::Detached { carrier, .. } => carrier.borrow().size_hint(),
            Drive::Over => SizeHint::with_exact(0),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if !self.over {
            self.stop();
        }
    }
}
