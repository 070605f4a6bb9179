//! What carries one request to an endpoint and its answer back, whichever protocol the endpoint speaks.
//!
//! An attempt, a relayed body and a tunnel hold one of these and do not know which. It is an enum and not a trait, so
//! that a request over HTTP/1 pays for one comparison and no more.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use crate::error::{Kind, Progress};
use crate::header::present::Present;
use crate::upstream::http2::Stream;
use crate::upstream::line::{Cause, Hears, Line};
use crate::upstream::outbound::Outbound;
use crate::upstream::switched::Switched;

/// A request's way to its endpoint.
pub(crate) enum Carrier {
    /// A whole connection of HTTP/1.
    Line(Box<Line>),
    /// A stream of a connection of HTTP/2.
    Stream(Box<Stream>),
}

/// What the end of a try before its answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(super) kind: Kind,
    pub(super) progress: Progress,
    /// It says nothing about the endpoint: the connection had served before, and went while it was taken up again.
    pub(super) stale: bool,
}

impl Carrier {
    /// Begins a request; it goes out when this is polled.
    pub(super) fn begin(&mut self, request: &Outbound) {
        match self {
            Self::Line(line) => line.begin(request),
            Self::Stream(stream) => stream.begin(request),
        }
    }

    /// The head of the answer.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        hears: &dyn Hears,
    ) -> Poll<Result<Response<()>, Cause>> {
        match self {
            Self::Line(line) => line.poll_head(cx, hears),
            Self::Stream(stream) => stream.poll_head(cx, hears),
        }
    }

    /// Which fields the head of the answer has that it has given.
    pub(super) fn present(&self, response: &Response<()>) -> Present {
        match self {
            Self::Line(line) => line.present,
            Self::Stream(_) => Present::of(response.headers()),
        }
    }

    /// Whether the endpoint may have seen something of the request.
    pub(super) fn may_be_seen(&self) -> bool {
        match self {
            Self::Line(line) => line.may_be_seen(),
            Self::Stream(stream) => stream.may_be_seen(),
        }
    }

    /// What it means that the head did not come.
    pub(super) fn verdict(&self, cause: &Cause) -> Verdict {
        match self {
            Self::Line(line) => line.verdict(cause),
            Self::Stream(stream) => stream.verdict(),
        }
    }

    /// The next piece of the answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        match self {
            Self::Line(line) => line.poll_frame(cx),
            Self::Stream(stream) => stream.poll_frame(cx),
        }
    }

    /// Whether the answer's body has been read to its end.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Line(line) => line.is_over(),
            Self::Stream(stream) => stream.is_over(),
        }
    }

    /// How much of the answer's body is to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Line(line) => line.size_hint(),
            Self::Stream(stream) => stream.size_hint(),
        }
    }

    /// Gives the connection back for further requests, if it is good for any.
    pub(crate) fn release(self) {
        match self {
            Self::Line(line) => line.release(),
            // Its room on the connection is given back when it is dropped.
            Self::Stream(_) => {}
        }
    }

    /// Whether nothing of the request is left to be sent.
    pub(crate) fn has_sent(&self) -> bool {
        match self {
            Self::Line(line) => line.has_sent(),
            Self::Stream(stream) => stream.has_sent(),
        }
    }

    /// Sends the rest of the request in a task of its own, because who relays the answer may be held up by a client that
    /// must be able to go on sending.
    pub(crate) fn detach(self) -> Drive {
        let carrier = Rc::new(RefCell::new(self));
        let sender = Rc::clone(&carrier);
        let task = tokio::task::spawn_local(async move {
            let sent = poll_fn(|cx| sender.borrow_mut().poll_sent(cx));
            if sent.await.is_err() {
                // Who relays the answer finds it cut, and asks the body why.
                sender.borrow_mut().cut();
            }
        });
        Drive::Detached {
            carrier,
            _task: Detached(task),
        }
    }

    /// What carries a tunnel from now on, where the answer was a 101.
    pub(crate) fn switch(self) -> Option<Switched> {
        match self {
            Self::Line(line) => Some(line.switch()),
            Self::Stream(stream) => stream.switch().map(Switched::Stream),
        }
    }

    /// Ready when the request has been sent whole, or need not be any more.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        match self {
            Self::Line(line) => line.poll_sent(cx),
            Self::Stream(stream) => stream.poll_sent(cx),
        }
    }

    fn cut(&mut self) {
        match self {
            Self::Line(line) => line.cut(),
            Self::Stream(stream) => stream.cut(),
        }
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => line.fmt(f),
            Self::Stream(stream) => stream.fmt(f),
        }
    }
}

/// Who drives a request's carrier while its response is relayed.
#[derive(Debug)]
pub(crate) enum Drive {
    /// Whoever relays the response.
    Inline(Carrier),
    /// The request's body has a task of its own.
    Detached {
        carrier: Rc<RefCell<Carrier>>,
        /// Ends the task when it is dropped.
        _task: Detached,
    },
    /// Nobody any more.
    Over,
}

/// A task that ends with its handle.
#[derive(Debug)]
pub(crate) struct Detached(JoinHandle<()>);

impl Drop for Detached {
    fn drop(&mut self) {
        self.0.abort();
    }
}
