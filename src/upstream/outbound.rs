//! What goes to an endpoint: the head as every try sends it, and the body, which at most one can.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Uri};
use http_body::{Body as _, Frame};
use tokio::time::Instant;

use crate::body::{RequestBody, body_fault};
use crate::clock;
use crate::error::Kind;
use crate::header::list::digits;
use crate::header::own::Own;
use crate::header::spare;
use crate::upstream::line::Cause;
use crate::wire::Framing;

/// The request that every try sends. Tries borrow it, so that none of it is copied for one.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) headers: HeaderMap,
    /// What the proxy says itself, behind these.
    pub(crate) own: Own,
    pub(crate) body: Option<Rc<BodySlot>>,
    /// It asks for a WebSocket, which it does otherwise over HTTP/2.
    pub(crate) websocket: bool,
}

impl Outbound {
    /// Whether it can still be sent whole: nothing of its body has been asked for.
    pub(crate) fn is_whole(&self) -> bool {
        self.body.as_ref().is_none_or(|body| !body.polled.get())
    }

    /// How the head says that the body ends; written by `request/outbound.rs`, and so without doubt.
    pub(super) fn framing(&self) -> Framing {
        if self.headers.contains_key(TRANSFER_ENCODING) {
            return Framing::Chunked;
        }
        let length = self.headers.get(CONTENT_LENGTH);
        match length.and_then(|length| digits(length.as_bytes())) {
            Some(0) | None => Framing::None,
            Some(octets) => Framing::Length(octets),
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        spare::give(std::mem::take(&mut self.headers));
    }
}

/// The body of a request, which at most one try can send.
#[derive(Debug)]
pub(crate) struct BodySlot {
    body: RefCell<RequestBody>,
    polled: Cell<bool>,
    ended: Cell<bool>,
    gate: RefCell<Option<Gate>>,
    fault: Cell<Option<Kind>>,
    moved: Cell<Option<Instant>>,
}

/// Holds a body back until the endpoint asks for it (`Expect: 100-continue`).
pub(crate) trait Hold: fmt::Debug {
    /// Ready when the body may flow.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

type Gate = Box<dyn Hold>;

impl BodySlot {
    pub(crate) fn new(body: RequestBody) -> Rc<Self> {
        Rc::new(Self {
            body: RefCell::new(body),
            polled: Cell::new(false),
            ended: Cell::new(false),
            gate: RefCell::new(None),
            fault: Cell::new(None),
            moved: Cell::new(None),
        })
    }

    /// Holds the body back until `gate` opens.
    pub(crate) fn hold(&self, gate: Gate) {
        self.gate.replace(Some(gate));
    }

    /// Why it ended before its time, if it did.
    pub(crate) fn fault(&self) -> Option<Kind> {
        self.fault.get()
    }

    /// When a piece of it passed last.
    pub(crate) fn moved(&self) -> Option<Instant> {
        self.moved.get()
    }

    /// Whether all of it has been sent.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get() || self.is_end_stream()
    }

    /// Whether nothing more will come.
    pub(super) fn is_end_stream(&self) -> bool {
        self.body.borrow().is_end_stream()
    }

    /// The next piece, once the gate is open.
    pub(super) fn poll_frame(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        if let Some(gate) = &mut *self.gate.borrow_mut()
            && gate.poll_open(cx).is_pending()
        {
            return Poll::Pending;
        }
        self.gate.replace(None);
        self.polled.set(true);
        let polled = Pin::new(&mut *self.body.borrow_mut()).poll_frame(cx);
        match &polled {
            Poll::Ready(None) => self.ended.set(true),
            Poll::Ready(Some(Err(error))) => self.fault.set(body_fault(&**error)),
            Poll::Ready(Some(Ok(_))) => self.moved.set(Some(clock::now())),
            Poll::Pending => {}
        }
        polled
    }
}
