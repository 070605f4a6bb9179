//! One try of one request at one endpoint.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Response;
use tokio::time::Instant;

use crate::body::body_fault;
use crate::clock;
use crate::endpoint::{Endpoint, State};
use crate::error::{Error, Kind, Progress};
use crate::upstream::connect;
use crate::upstream::idle::Local;
use crate::upstream::line::{Cause, Hears, Line};
use crate::upstream::outbound::Outbound;

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
    Connecting(Pin<Box<dyn Future<Output = Result<Box<Line>, Error>>>>),
    Exchange {
        line: Box<Line>,
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
}

impl Attempt {
    /// Begins a try, on an unused connection if there is one and `fresh` does not forbid it.
    pub(crate) fn begin(
        local: Rc<Local>,
        outbound: &Outbound,
        fresh: Freshness,
        hears: Option<Rc<dyn Hears>>,
        now: Instant,
    ) -> Self {
        let unused = match fresh {
            Freshness::Any => local.take_unused(now),
            Freshness::New => None,
        };
        let stage = match unused {
            Some(line) => exchange(line, outbound),
            None => Stage::Connecting(Box::pin(Rc::clone(&local).connect())),
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
            Stage::Connecting(_) | Stage::Exchange { .. } | Stage::Over => Progress::NothingSent,
        }
    }

    /// Drives the try, which sends the same request in all its polls.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        outbound: &Outbound,
    ) -> Poll<Result<Answer, AttemptFailure>> {
        if let Stage::Connecting(connecting) = &mut self.stage {
            match ready!(connecting.as_mut().poll(cx)) {
                Ok(line) => {
                    self.sent_at = Some(clock::now());
                    self.stage = exchange(line, outbound);
                }
                Err(error) => {
                    self.stage = Stage::Over;
                    return Poll::Ready(Err(AttemptFailure {
                        error,
                        stale: false,
                    }));
                }
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
        let now = clock::now();
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
            line,
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
        let fault = body_fault(&*cause);
        let tls = (!line.reused).then(|| tls_kind(&*cause)).flatten();
        let kind = if let Some(kind) = fault.or(tls) {
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
        }
    }
}

/// What a TLS session that broke under a request says. A client's certificate may be refused as late as that (RFC 8446
/// §4.4.2), because nobody tells a client of TLS 1.3 when its certificate is good.
fn tls_kind(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<Kind> {
    let cause = cause.downcast_ref::<io::Error>()?;
    connect::tls_fault(cause)
}

fn exchange(mut line: Box<Line>, outbound: &Outbound) -> Stage {
    let received_before = line.tie.received();
    let sent_before = line.tie.sent();
    line.begin(outbound);
    Stage::Exchange {
        line,
        received_before,
        sent_before,
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Connecting(_) => "connecting",
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
