//! The body of a request on its way through: counted, limited, under its clock, never buffered.

use std::cell::Cell;
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::clock::{Clock, Clocks};
use crate::error::Kind;
use crate::header::trailer;
use crate::wire::{Inflow, Wire};

type BoxError = Box<dyn StdError + Send + Sync>;
type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError>>>;

/// The body of a request given to [`crate::Proxy`].
pub struct RequestBody {
    source: Source,
    watch: Option<Watch>,
    /// Octets that may still come; `None` is no limit.
    allowance: Option<u64>,
}

enum Source {
    Empty,
    /// A client's connection.
    Wire(Rc<Wire>),
    /// A stream of HTTP/2.
    Inflow(Box<Inflow>),
    Other(BoxBody),
}

/// What a connection wants to know about a body that passes.
struct Watch {
    clocks: Rc<Clocks>,
    idle: Option<Duration>,
    octets: Rc<Cell<u64>>,
}

impl RequestBody {
    /// A request without a body.
    #[must_use]
    pub fn empty() -> Self {
        Self::from_source(Source::Empty)
    }

    /// The body of the present request of a connection.
    #[must_use]
    pub(crate) fn incoming(wire: &Rc<Wire>) -> Self {
        if wire.body_is_over() {
            return Self::empty();
        }
        Self::from_source(Source::Wire(Rc::clone(wire)))
    }

    /// The body of the request of a stream.
    #[must_use]
    pub(crate) fn inflow(inflow: Inflow) -> Self {
        if inflow.is_over() {
            return Self::empty();
        }
        Self::from_source(Source::Inflow(Box::new(inflow)))
    }

    /// Any other body, as a layer around the proxy may make it.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + 'static,
        B::Error: Into<BoxError>,
    {
        use http_body_util::BodyExt as _;
        Self::from_source(Source::Other(Box::pin(body.map_err(Into::into))))
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            watch: None,
            allowance: None,
        }
    }

    /// Puts the body under the clock of its connection and counts its octets.
    pub(crate) fn watch(
        &mut self,
        clocks: Rc<Clocks>,
        idle: Option<Duration>,
        octets: Rc<Cell<u64>>,
    ) {
        self.watch = Some(Watch {
            clocks,
            idle,
            octets,
        });
    }

    /// Lets so many octets pass and no more.
    pub(crate) fn limit(&mut self, octets: Option<u64>) {
        self.allowance = octets;
    }

    fn take_note(
        &mut self,
        polled: &Poll<Option<Result<Frame<Bytes>, BoxError>>>,
    ) -> Result<(), Kind> {
        let Poll::Ready(frame) = polled else {
            let Some(watch) = &self.watch else {
                return Ok(());
            };
            if watch.clocks.rang(Clock::Body) {
                watch.clocks.stop(Clock::Body);
                return Err(Kind::BodyTooSlow);
            }
            if !watch.clocks.runs(Clock::Body) {
                watch.clocks.start(Clock::Body, Instant::now(), watch.idle);
            }
            return Ok(());
        };
        let octets = match frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) | None => 0,
        };
        if let Some(watch) = &self.watch {
            watch.clocks.stop(Clock::Body);
            watch.octets.set(watch.octets.get() + octets);
        }
        if let Some(allowance) = &mut self.allowance {
            *allowance = allowance.checked_sub(octets).ok_or(Kind::BodyTooLarge)?;
        }
        Ok(())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = match &mut this.source {
            Source::Empty => Poll::Ready(None),
            Source::Wire(wire) => wire.poll_body(cx).map_err(|kind| BodyFault(kind).into()),
            Source::Inflow(inflow) => inflow.poll(cx).map_err(|kind| BodyFault(kind).into()),
            Source::Other(body) => body.as_mut().poll_frame(cx),
        }
        .map_ok(without_forbidden_trailers);
        match this.take_note(&polled) {
            Ok(()) => polled,
            Err(kind) => Poll::Ready(Some(Err(Box::new(BodyFault(kind))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Wire(wire) => wire.body_is_over(),
            Source::Inflow(inflow) => inflow.is_over(),
            Source::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Wire(wire) => wire
                .body_length()
                .map_or_else(SizeHint::new, SizeHint::with_exact),
            Source::Inflow(inflow) => inflow
                .length()
                .map_or_else(SizeHint::new, SizeHint::with_exact),
            Source::Other(body) => body.size_hint(),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.clocks.stop(Clock::Body);
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("size", &self.size_hint())
            .finish_non_exhaustive()
    }
}

/// A frame as it may be passed on, in either direction.
pub(crate) fn without_forbidden_trailers(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        trailer::strip(trailers);
    }
    frame
}

/// A request's body ended before its time, by its client or by the limits on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyFault(pub(crate) Kind);

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.reason())
    }
}

impl StdError for BodyFault {}

/// The kind of a failure that a [`RequestBody`] raised, wherever it lies in a chain of causes.
pub(crate) fn body_fault(error: &(dyn StdError + 'static)) -> Option<Kind> {
    let mut link = Some(error);
    while let Some(error) = link {
        if let Some(fault) = error.downcast_ref::<BodyFault>() {
            return Some(fault.0);
        }
        link = error.source();
    }
    None
}
