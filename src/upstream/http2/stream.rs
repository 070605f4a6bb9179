//! One request and its answer over a connection of HTTP/2, polled by whoever serves the request.
//!
//! The endpoint is given room for more of the answer as it is taken from here, and the request's body is asked for when
//! the endpoint has room for it: so each side feels the other. What is dropped before its end is cancelled
//! (`RST_STREAM` with CANCEL), and the connection goes on.

use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Frame, SizeHint};

use crate::body::BodyFault;
use crate::error::{Kind, Progress};
use crate::header::list::digits;
use crate::upstream::answer::{Expected, Malformed};
use crate::upstream::carrier::Verdict;
use crate::upstream::http2::fault::{self, Stand};
use crate::upstream::http2::head::{self, Length};
use crate::upstream::http2::place::Place;
use crate::upstream::http2::tunnel::Tunnel;
use crate::upstream::line::{Cause, Hears};
use crate::upstream::outbound::{BodySlot, Outbound};

/// What the interim responses to one request may weigh together, as with HTTP/1.
const HEADS: u64 = 1 << 20;

/// One request on its way.
pub(crate) struct Stream {
    // Dropped before the place, so that the connection knows of the end when another is given the room.
    sending: Option<Sending>,
    receiving: Receiving,
    /// Our side of a tunnel that is asked for.
    near: Option<SendStream<Bytes>>,
    /// 0 where it could not be opened.
    id: u32,
    expected: Expected,
    /// Something of an answer has come.
    answered: bool,
    /// Of the interim responses so far.
    weight: u64,
    verdict: Option<Verdict>,
    place: Place,
}

/// A request's body on its way.
struct Sending {
    send: SendStream<Bytes>,
    body: Rc<BodySlot>,
    /// What was taken from the body and found no room yet.
    rest: Bytes,
    /// Octets that the head announces and that have not come.
    left: Option<u64>,
}

/// Where the reading of the answer stands.
enum Receiving {
    /// Nothing was begun.
    Nothing,
    /// It could not be.
    Failed(h2::Error),
    Head(ResponseFuture),
    Body {
        body: RecvStream,
        left: Option<u64>,
    },
    /// The endpoint's side of a tunnel.
    Tunnel(RecvStream),
    Over,
}

impl Stream {
    pub(crate) fn on(place: Place) -> Box<Self> {
        Box::new(Self {
            sending: None,
            receiving: Receiving::Nothing,
            near: None,
            id: 0,
            expected: Expected::Whole,
            answered: false,
            weight: 0,
            verdict: None,
            place,
        })
    }

    /// Begins the request; its head goes out when the connection is next polled.
    pub(crate) fn begin(&mut self, request: &Outbound) {
        if request.websocket {
            return self.begin_tunnel(request);
        }
        let body = request.body.as_ref().filter(|body| !body.has_ended());
        let head = head::request(request, self.place.scheme());
        self.expected = Expected::to(&request.method);
        match self.place.open(head, body.is_none()) {
            Ok((response, send)) => {
                self.id = response.stream_id().as_u32();
                self.receiving = Receiving::Head(response);
                self.sending = body.map(|body| Sending {
                    send,
                    body: Rc::clone(body),
                    rest: Bytes::new(),
                    left: announced(&request.headers),
                });
            }
            Err(error) => self.receiving = Receiving::Failed(error),
        }
    }

    /// Asks for a tunnel.
    fn begin_tunnel(&mut self, request: &Outbound) {
        let opened = match self.place.takes_tunnels() {
            true => self
                .place
                .open(head::connect(request, self.place.scheme()), false),
            false => {
                self.verdict = Some(Verdict {
                    kind: Kind::UpgradeFailed,
                    progress: Progress::NothingSent,
                    stale: false,
                });
                Err(Reason::REFUSED_STREAM.into())
            }
        };
        match opened {
            Ok((response, send)) => {
                self.id = response.stream_id().as_u32();
                self.receiving = Receiving::Head(response);
                self.near = Some(send);
            }
            Err(error) => self.receiving = Receiving::Failed(error),
        }
    }

    /// Whether the endpoint takes tunnels over this connection.
    pub(crate) fn takes_tunnels(&self) -> bool {
        self.place.takes_tunnels()
    }

    /// The tunnel, where the endpoint has agreed to one.
    pub(crate) fn switch(self) -> Option<Box<Tunnel>> {
        match (self.near, self.receiving) {
            (Some(send), Receiving::Tunnel(receive)) => {
                Some(Tunnel::over(send, receive, self.place))
            }
            _ => None,
        }
    }

    /// The head of the answer.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        hears: &dyn Hears,
    ) -> Poll<Result<Response<()>, Cause>> {
        self.send(cx)?;
        while let Receiving::Head(response) = &mut self.receiving {
            match ready!(response.poll_informational(cx)) {
                Some(Ok(interim)) => {
                    self.hear(interim, hears)?;
                    // The body may have been asked for.
                    self.send(cx)?;
                }
                Some(Err(error)) => return Poll::Ready(Err(self.failed(error))),
                None => break,
            }
        }
        match std::mem::replace(&mut self.receiving, Receiving::Over) {
            Receiving::Head(mut response) => match Pin::new(&mut response).poll(cx) {
                Poll::Ready(Ok(response)) => Poll::Ready(self.take_head(response)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(self.failed(error))),
                Poll::Pending => {
                    self.receiving = Receiving::Head(response);
                    Poll::Pending
                }
            },
            Receiving::Failed(error) => Poll::Ready(Err(self.failed(error))),
            other @ (Receiving::Nothing
            | Receiving::Body { .. }
            | Receiving::Tunnel(_)
            | Receiving::Over) => {
                self.receiving = other;
                Poll::Pending
            }
        }
    }

    fn hear(&mut self, interim: Response<()>, hears: &dyn Hears) -> Result<(), Cause> {
        self.answered = true;
        self.weight += head::weight(interim.headers());
        // RFC 9113 §8.6: there is no 101 in HTTP/2.
        if interim.status() == StatusCode::SWITCHING_PROTOCOLS || self.weight > HEADS {
            return Err(self.malformed());
        }
        hears.hear(interim);
        Ok(())
    }

    fn take_head(&mut self, response: Response<RecvStream>) -> Result<Response<()>, Cause> {
        self.answered = true;
        let (head, body) = response.into_parts();
        let mut response = Response::from_parts(head, ());
        if let Some(mut near) = self.near.take() {
            if response.status().is_success() {
                head::switched(&mut response).map_err(|Malformed| self.malformed())?;
                self.near = Some(near);
                self.receiving = Receiving::Tunnel(body);
                return Ok(response);
            }
            // There will be no tunnel, and nothing to say. An endpoint that has reset the stream behind its answer knows.
            near.send_data(Bytes::new(), true).ok();
        }
        let length =
            head::length(&response, self.expected).map_err(|Malformed| self.malformed())?;
        self.receiving = match length {
            _ if body.is_end_stream() => Receiving::Over,
            Length::None => Receiving::Over,
            Length::Exact(octets) => Receiving::Body {
                body,
                left: Some(octets),
            },
            Length::Open => Receiving::Body { body, left: None },
        };
        Ok(response)
    }

    /// The next piece of the answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        if let Err(cause) = self.send(cx) {
            return Poll::Ready(Some(Err(cause)));
        }
        loop {
            let Receiving::Body { body, left } = &mut self.receiving else {
                return Poll::Ready(None);
            };
            match ready!(body.poll_data(cx)) {
                Some(Ok(data)) => {
                    // What is handed on is out of the windows: who takes it reads no more before it is written. A window
                    // cannot be given back only where the stream is gone, and then nobody needs it.
                    body.flow_control().release_capacity(data.len()).ok();
                    if let Some(left) = left {
                        *left = left.saturating_sub(data.len() as u64);
                    }
                    if body.is_end_stream() {
                        self.receiving = Receiving::Over;
                    }
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(self.failed(error)))),
                None => {
                    let trailers = ready!(body.poll_trailers(cx));
                    let trailers = trailers.map_err(|error| self.failed(error))?;
                    self.receiving = Receiving::Over;
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
            }
        }
    }

    /// Sends of the request's body what the endpoint has room for. One that wants no more of it may still answer, so that
    /// only the body's own failure is one here.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), Cause> {
        let Some(sending) = &mut self.sending else {
            return Ok(());
        };
        match sending.poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                self.sending = None;
                Ok(())
            }
            Poll::Ready(Err(cause)) => {
                self.cut();
                Err(cause)
            }
        }
    }

    /// Ready when the request has been sent whole, or the endpoint wants no more of it.
    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.send(cx)?;
        match self.has_sent() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    /// Whether nothing of the request is left to be sent.
    pub(crate) fn has_sent(&self) -> bool {
        self.sending.is_none()
    }

    /// Cancels it: whoever reads the answer is woken and finds it broken.
    pub(crate) fn cut(&mut self) {
        if let Some(mut sending) = self.sending.take() {
            sending.send.send_reset(Reason::CANCEL);
        }
    }

    /// Whether its head has gone out, or begun to.
    pub(crate) fn may_be_seen(&self) -> bool {
        self.id != 0 && self.place.seen().has_sent(self.id)
    }

    /// What it means that the head of the answer did not come.
    pub(crate) fn verdict(&self) -> Verdict {
        // Without one it was the request's own body that failed.
        self.verdict.unwrap_or(Verdict {
            kind: Kind::Reset,
            progress: match self.answered {
                true => Progress::Answered,
                false => Progress::MaybeSeen,
            },
            stale: false,
        })
    }

    /// Whether the answer's body has been read to its end.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.receiving, Receiving::Over)
    }

    /// How much of the answer's body is to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.receiving {
            Receiving::Body { left, .. } => left.map_or_else(SizeHint::new, SizeHint::with_exact),
            Receiving::Over => SizeHint::with_exact(0),
            Receiving::Nothing
            | Receiving::Failed(_)
            | Receiving::Head(_)
            | Receiving::Tunnel(_) => SizeHint::new(),
        }
    }

    fn failed(&mut self, error: h2::Error) -> Cause {
        let stand = Stand {
            answered: self.answered,
            sent: self.may_be_seen(),
            reused: self.place.is_reused(),
            renewed: self.place.is_renewed(),
        };
        self.verdict.get_or_insert(fault::verdict(&error, stand));
        self.receiving = Receiving::Over;
        self.sending = None;
        error.into()
    }

    fn malformed(&mut self) -> Cause {
        self.verdict = Some(Verdict {
            kind: Kind::MalformedResponse,
            progress: Progress::Answered,
            stale: false,
        });
        self.receiving = Receiving::Over;
        self.sending = None;
        Malformed.into()
    }
}

impl Sending {
    /// Ready when there is no more to be sent.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        loop {
            // Nothing is asked for before there is room for some of it.
            self.send.reserve_capacity(self.rest.len().max(1));
            let mut room = self.send.capacity();
            while room == 0 {
                match ready!(self.send.poll_capacity(cx)) {
                    Some(Ok(octets)) => room = octets,
                    // The endpoint has ended the stream: it wants no more (RFC 9113 §8.1), or the answer tells why.
                    Some(Err(_)) | None => return Poll::Ready(Ok(())),
                }
            }
            let body = &self.body;
            if self.rest.is_empty() {
                let frame = match ready!(body.poll_frame(cx)) {
                    Some(frame) => frame?,
                    None => return Poll::Ready(self.end(None)),
                };
                match frame.into_data() {
                    Ok(data) => {
                        if let Some(left) = &mut self.left {
                            let here = data.len() as u64;
                            *left = left.checked_sub(here).ok_or_else(misannounced)?;
                        }
                        self.rest = data;
                    }
                    Err(frame) => return Poll::Ready(self.end(frame.into_trailers().ok())),
                }
                if self.rest.is_empty() {
                    continue;
                }
                self.send.reserve_capacity(self.rest.len());
                room = self.send.capacity().max(room);
            }
            let piece = self.rest.split_to(room.min(self.rest.len()));
            let ends = self.rest.is_empty() && body.is_end_stream();
            if ends && self.left.is_some_and(|left| left > 0) {
                return Poll::Ready(self.end(None));
            }
            if self.send.send_data(piece, ends).is_err() || ends {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Behind all data.
    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Cause> {
        if self.left.is_some_and(|left| left > 0) {
            return Err(misannounced());
        }
        // An endpoint that is gone meanwhile tells so where its answer is awaited.
        match trailers {
            Some(trailers) if !trailers.is_empty() => self.send.send_trailers(trailers).ok(),
            Some(_) | None => self.send.send_data(Bytes::new(), true).ok(),
        };
        Ok(())
    }
}

/// A body that is not as long as its head says must not look whole (RFC 9113 §8.1.1).
fn misannounced() -> Cause {
    Box::new(BodyFault(Kind::MalformedRequest))
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    digits(headers.get(http::header::CONTENT_LENGTH)?.as_bytes())
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("id", &self.id)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
