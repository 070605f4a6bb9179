//! One try of one request at one endpoint.

use std::fmt;
use std::future::Future;
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
use crate::header::present::Present;
use crate::upstream::carrier::{Carrier, Verdict};
use crate::upstream::freshness::Freshness;
use crate::upstream::http2::{self, Got, Placed, Stream, Ticket};
use crate::upstream::idle::Local;
use crate::upstream::line::{Cause, Hears, Line};
use crate::upstream::outbound::Outbound;
use crate::upstream::speaks::Speaks;

/// One try; polled until it is answered or has failed.
pub(crate) struct Attempt {
    local: Rc<Local>,
    stage: Stage,
    /// When the request was handed to a connection.
    sent_at: Option<Instant>,
    began: Instant,
    /// No connection was at hand.
    waited: bool,
    hears: Rc<dyn Hears>,
}

/// A connection of HTTP/1 being made; none comes of it where the endpoint speaks HTTP/2 now.
type Connecting = Pin<Box<dyn Future<Output = Result<Option<Box<Line>>, Error>>>>;

enum Stage {
    Connecting(Connecting),
    /// For room on a connection of HTTP/2.
    Waiting(Ticket),
    Exchange(Carrier),
    Over,
}

/// The head of the endpoint's answer; its body comes by the carrier.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<()>,
    /// Which fields it has.
    pub(crate) present: Present,
    pub(crate) carrier: Carrier,
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
        hears: Rc<dyn Hears>,
        now: Instant,
    ) -> Self {
        let stage = match local.speaks() {
            Speaks::Http1 => {
                let unused = match fresh {
                    Freshness::Any => local.take_unused(now),
                    Freshness::New => None,
                };
                match unused {
                    Some(line) => exchange(Carrier::Line(line), outbound),
                    None => Stage::Connecting(Box::pin(Rc::clone(&local).connect())),
                }
            }
            Speaks::Http2 | Speaks::Either => match http2::Pool::place(&local, fresh) {
                Placed::At(place) => match over(&local, place, outbound) {
                    Made::Carrier(carrier) => exchange(carrier, outbound),
                    Made::Other(stage) => stage,
                },
                Placed::Waits(ticket) => Stage::Waiting(ticket),
            },
        };
        let sent_at = matches!(stage, Stage::Exchange(_)).then_some(now);
        Self {
            local,
            stage,
            sent_at,
            began: now,
            waited: false,
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
            Stage::Exchange(carrier) if carrier.may_be_seen() => Progress::MaybeSeen,
            Stage::Connecting(_) | Stage::Waiting(_) | Stage::Exchange(_) | Stage::Over => {
                Progress::NothingSent
            }
        }
    }

    /// Drives the try, which sends the same request in all its polls.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        outbound: &Outbound,
    ) -> Poll<Result<Answer, AttemptFailure>> {
        while let Some(made) = ready!(self.poll_made(cx, outbound)) {
            match made {
                Ok(carrier) => {
                    self.sent_at = Some(clock::now());
                    self.waited = true;
                    self.stage = exchange(carrier, outbound);
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
        let Stage::Exchange(carrier) = &mut self.stage else {
            return Poll::Pending;
        };
        match carrier.poll_head(cx, &*self.hears) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(self.answered(response))),
            Poll::Ready(Err(cause)) => Poll::Ready(Err(self.failed(cause))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// What comes of waiting for a connection; none where nothing is waited for.
    fn poll_made(
        &mut self,
        cx: &mut Context<'_>,
        outbound: &Outbound,
    ) -> Poll<Option<Result<Carrier, Error>>> {
        loop {
            self.stage = match &mut self.stage {
                Stage::Exchange(_) | Stage::Over => return Poll::Ready(None),
                Stage::Connecting(connecting) => match ready!(connecting.as_mut().poll(cx)) {
                    Ok(Some(line)) => return Poll::Ready(Some(Ok(Carrier::Line(line)))),
                    Ok(None) => match http2::Pool::place(&self.local, Freshness::Any) {
                        Placed::At(place) => match over(&self.local, place, outbound) {
                            Made::Carrier(stream) => return Poll::Ready(Some(Ok(stream))),
                            Made::Other(stage) => stage,
                        },
                        Placed::Waits(ticket) => Stage::Waiting(ticket),
                    },
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                Stage::Waiting(ticket) => match ready!(ticket.poll(cx)) {
                    Ok(Got::Place(place)) => match over(&self.local, place, outbound) {
                        Made::Carrier(stream) => return Poll::Ready(Some(Ok(stream))),
                        Made::Other(stage) => stage,
                    },
                    Ok(Got::Line(line)) => return Poll::Ready(Some(Ok(Carrier::Line(line)))),
                    Ok(Got::NoRoom) => {
                        Stage::Connecting(Box::pin(Rc::clone(&self.local).connect()))
                    }
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
            };
        }
    }

    fn answered(&mut self, response: Response<()>) -> Answer {
        let now = clock::now();
        let sent_at = self.sent_at.unwrap_or(now);
        let Stage::Exchange(carrier) = std::mem::replace(&mut self.stage, Stage::Over) else {
            unreachable!("only an exchange is answered");
        };
        Answer {
            present: carrier.present(&response),
            response,
            connect: self.waited.then(|| sent_at.duration_since(self.began)),
            carrier,
            took: now.duration_since(sent_at),
        }
    }

    fn failed(&mut self, cause: Cause) -> AttemptFailure {
        let Stage::Exchange(carrier) = std::mem::replace(&mut self.stage, Stage::Over) else {
            unreachable!("only an exchange fails here");
        };
        let Verdict {
            kind,
            progress,
            stale,
        } = carrier.verdict(&cause);
        let fault = body_fault(&*cause);
        let kind = match fault {
            Some(kind) => kind,
            None if self.local.endpoint().state() == State::Dead => Kind::EndpointDead,
            None => kind,
        };
        AttemptFailure {
            error: Error::because(kind, progress, cause),
            stale: stale && fault.is_none(),
        }
    }
}

/// What comes of room on a connection of HTTP/2.
enum Made {
    Carrier(Carrier),
    /// It is of no use to this request, and something else is begun.
    Other(Stage),
}

/// A request that asks for a WebSocket goes over HTTP/1 where the endpoint offers none over HTTP/2 and may be spoken to in
/// either, as browsers have it.
fn over(local: &Rc<Local>, place: http2::Place, outbound: &Outbound) -> Made {
    let stream = Stream::on(place);
    if outbound.websocket && !stream.takes_tunnels() && local.may_choose() {
        return Made::Other(Stage::Connecting(Box::pin(
            Rc::clone(local).connect_http1(),
        )));
    }
    Made::Carrier(Carrier::Stream(stream))
}

fn exchange(mut carrier: Carrier, outbound: &Outbound) -> Stage {
    carrier.begin(outbound);
    Stage::Exchange(carrier)
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Connecting(_) | Stage::Waiting(_) => "connecting",
            Stage::Exchange(_) => "exchange",
            Stage::Over => "over",
        };
        f.debug_struct("Attempt")
            .field("endpoint", &self.local.endpoint().label())
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}
