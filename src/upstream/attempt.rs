//! One try of one request at one endpoint.

use std::cell::{Cell, RefCell};
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::body::{RequestBody, body_fault};
use crate::endpoint::{Endpoint, State};
use crate::error::{Error, Kind, Progress};
use crate::upstream::idle::Local;
use crate::upstream::line::{Cause, Hears, Line};

/// What a try is given: the head it sends, and the body it may send.
pub(crate) type Dispatch = Request<UpstreamBody>;

/// One try; polled until it is answered or has failed.
pub(crate) struct Attempt {
    local: Rc<Local>,
    stage: Stage,
    /// When the request was handed to a connection.
    sent_at: Option<Instant>,
    began: Instant,
    hears: Option<Rc<dyn Hears>>,
}

enum Stage {
    Connecting {
        line: Pin<Box<dyn Future<Output = Result<Box<Line>, Error>>>>,
        dispatch: Option<Dispatch>,
    },
    Exchange {
        line: Box<Line>,
        head: Parts,
        received_before: u64,
        sent_before: u64,
    },
    Over,
}

/// The head of the endpoint's answer; its body comes over the line.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<()>,
    pub(crate) line: Box<Line>,
    /// How long the connection took to make; none if one was at hand.
    pub(crate) connect: Option<std::time::Duration>,
    /// From the request handed over to the head of the response.
    pub(crate) took: std::time::Duration,
}

/// A try that failed.
#[derive(Debug)]
pub(crate) struct AttemptFailure {
    pub(crate) error: Error,
    /// The connection had served before and died under the request, perhaps before the endpoint saw it.
    pub(crate) stale: bool,
    /// The request, where it is certain that nothing of it was sent.
    pub(crate) dispatch: Option<Dispatch>,
}

impl Attempt {
    /// Begins a try, on an unused connection if there is one and `fresh` does not forbid it.
    pub(crate) fn begin(
        local: Rc<Local>,
        dispatch: Dispatch,
        fresh: Freshness,
        hears: Option<Rc<dyn Hears>>,
        now: Instant,
    ) -> Self {
        let unused = match fresh {
            Freshness::Any => local.take_unused(now),
            Freshness::New => None,
        };
        let stage = match unused {
            Some(line) => exchange(line, dispatch),
            None => Stage::Connecting {
                line: Box::pin(Rc::clone(&local).connect()),
                dispatch: Some(dispatch),
            },
        };
        let sent_at = matches!(stage, Stage::Exchange { .. }).then_some(now);
        Self {
            local,
            stage,
            sent_at,
            began: now,
            hears,
        }
    }

    /// The endpoint that is being tried.
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        self.local.endpoint()
    }

    /// How far it has come: what a limit that is reached now may conclude.
    pub(crate) fn progress(&self) -> Progress {
        match &self.stage {
            Stage::Exchange {
                line, sent_before, ..
            } if line.tie.sent() > *sent_before => Progress::MaybeSeen,
            Stage::Connecting { .. } | Stage::Exchange { .. } | Stage::Over => {
                Progress::NothingSent
            }
        }
    }

    /// Takes the request back from a try that is given up, if it was not handed to a connection yet.
    pub(crate) fn reclaim(&mut self) -> Option<Dispatch> {
        match &mut self.stage {
            Stage::Connecting { dispatch, .. } => dispatch.take(),
            Stage::Exchange { .. } | Stage::Over => None,
        }
    }

    /// Drives the try.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, AttemptFailure>> {
        if let Stage::Connecting { line, dispatch } = &mut self.stage {
            let connected = match line.as_mut().poll(cx) {
                Poll::Ready(connected) => connected,
                Poll::Pending => return Poll::Pending,
            };
            let dispatch = dispatch.take();
            match (connected, dispatch) {
                (Ok(line), Some(dispatch)) => {
                    self.sent_at = Some(Instant::now());
                    self.stage = exchange(line, dispatch);
                }
                (Err(error), dispatch) => {
                    self.stage = Stage::Over;
                    return Poll::Ready(Err(AttemptFailure {
                        error,
                        stale: false,
                        dispatch,
                    }));
                }
                (Ok(_), None) => unreachable!("a connecting try holds its request"),
            }
        }
        let Stage::Exchange { line, .. } = &mut self.stage else {
            return Poll::Pending;
        };
        match line.poll_head(cx, self.hears.as_ref()) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(self.answered(response))),
            Poll::Ready(Err(cause)) => Poll::Ready(Err(self.failed(cause))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn answered(&mut self, response: Response<()>) -> Answer {
        let now = Instant::now();
        let sent_at = self.sent_at.unwrap_or(now);
        let Stage::Exchange { line, .. } = std::mem::replace(&mut self.stage, Stage::Over) else {
            unreachable!("only an exchange is answered");
        };
        line.tie.head_came();
        Answer {
            response,
            connect: (!line.reused).then(|| sent_at.duration_since(self.began)),
            line,
            took: now.duration_since(sent_at),
        }
    }

    fn failed(&mut self, cause: Cause) -> AttemptFailure {
        let Stage::Exchange {
            mut line,
            head,
            received_before,
            sent_before,
        } = std::mem::replace(&mut self.stage, Stage::Over)
        else {
            unreachable!("only an exchange fails here");
        };
        let answered = line.tie.received() > received_before;
        let progress = if answered {
            Progress::Answered
        } else if line.tie.sent() == sent_before {
            Progress::NothingSent
        } else {
            Progress::MaybeSeen
        };
        let dispatch = (progress == Progress::NothingSent)
            .then(|| Request::from_parts(head, line.take_body()));
        let fault = body_fault(&*cause);
        let kind = if let Some(kind) = fault {
            kind
        } else if self.local.endpoint().state() == State::Dead {
            Kind::EndpointDead
        } else if answered {
            Kind::MalformedResponse
        } else {
            Kind::Reset
        };
        AttemptFailure {
            error: Error::because(kind, progress, cause),
            stale: line.reused && !answered && fault.is_none(),
            dispatch,
        }
    }
}

fn exchange(mut line: Box<Line>, dispatch: Dispatch) -> Stage {
    let received_before = line.tie.received();
    let sent_before = line.tie.sent();
    let (head, body) = dispatch.into_parts();
    line.begin(&head, body);
    Stage::Exchange {
        line,
        head,
        received_before,
        sent_before,
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Connecting { .. } => "connecting",
            Stage::Exchange { .. } => "exchange",
            Stage::Over => "over",
        };
        f.debug_struct("Attempt")
            .field("endpoint", &self.local.endpoint().label())
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}

/// Whether a connection that has served before will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Any connection.
    Any,
    /// A new one: the last died unused, and its like may have too.
    New,
}

/// The body as a try sends it: nothing, or the one body that all tries of a request share.
#[derive(Debug)]
pub(crate) enum UpstreamBody {
    /// There is none.
    Empty,
    /// The client's.
    Shared(Rc<BodySlot>),
}

/// The body of a request, which at most one try can send.
#[derive(Debug)]
pub(crate) struct BodySlot {
    body: RefCell<RequestBody>,
    polled: Cell<bool>,
    ended: Cell<bool>,
    gate: RefCell<Option<Gate>>,
    fault: Cell<Option<Kind>>,
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

    /// Whether any of it may have been sent.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.polled.get()
    }

    /// Whether all of it has been sent.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get() || self.body.borrow().is_end_stream()
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Self::Shared(slot) = self.get_mut() else {
            return Poll::Ready(None);
        };
        if let Some(gate) = &mut *slot.gate.borrow_mut()
            && gate.poll_open(cx).is_pending()
        {
            return Poll::Pending;
        }
        slot.gate.replace(None);
        slot.polled.set(true);
        let polled = Pin::new(&mut *slot.body.borrow_mut()).poll_frame(cx);
        match &polled {
            Poll::Ready(None) => slot.ended.set(true),
            Poll::Ready(Some(Err(error))) => slot.fault.set(body_fault(&**error)),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Shared(slot) => slot.body.borrow().is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Shared(slot) => slot.body.borrow().size_hint(),
        }
    }
}
