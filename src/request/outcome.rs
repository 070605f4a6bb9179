//! What came of a request: booked once, when its last octet is written or when it is broken off.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::access_log::{Record, Text};
use crate::clock;
use crate::error::{Error, Kind};
use crate::request::asked::Asked;
use crate::request::call::Call;
use crate::request::context::{Account, Answering, Client, WorkerContext};
use crate::request::record;
use crate::response::Body;
use crate::response::local_reply::{self, Dialect};

/// The status under which a request is booked whose client left first.
pub(crate) const CLIENT_LEFT: u16 = 499;

/// The book of one request. Dropping it closes it.
pub(crate) struct Ledger {
    context: Rc<WorkerContext>,
    account: Rc<Account>,
    began: Instant,
    to_head: Option<Duration>,
    status: u16,
    reason: Option<&'static str>,
    local_reply: bool,
    /// Shared with the request's body, where it has one.
    octets_in: Option<Rc<Cell<u64>>>,
    octets_out: u64,
    state: State,
    call: Call,
    record: Option<Box<Record>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The answer is still to come or under way.
    Open,
    /// The answer has been handed over whole.
    Whole,
    /// The answer has broken off.
    Broken,
    /// Booked already, or not to be booked.
    Closed,
}

impl Ledger {
    /// Opens the book of a request whose head has been read.
    pub(crate) fn open(context: &Rc<WorkerContext>, began: Instant) -> Box<Self> {
        let view = context.reader.newest();
        let account = context.account(&view.unrouted, || (None, None, None));
        Box::new(Self {
            context: Rc::clone(context),
            account,
            began,
            to_head: None,
            status: CLIENT_LEFT,
            reason: None,
            local_reply: false,
            octets_in: None,
            octets_out: 0,
            state: State::Open,
            call: Call::None,
            record: None,
        })
    }

    /// In what the request is told of failures.
    pub(crate) fn speaks(&mut self, dialect: Dialect) {
        self.call = Call::of(dialect);
    }

    /// These fields of the answer may say how a call has ended.
    pub(crate) fn call_ended(&mut self, fields: &HeaderMap) {
        self.call.read(fields);
    }

    /// Notes what the access log tells of the request's head.
    pub(crate) fn note(&mut self, client: &Client, head: &http::request::Parts, asked: &Asked<'_>) {
        self.record = record::of_head(&self.context.logger, client, head, asked);
    }

    /// Notes a request whose head could not be read to its end.
    pub(crate) fn note_unread(&mut self, client: &Client, request_id: &[u8]) {
        self.record = record::of_nothing(&self.context.logger, client, request_id);
    }

    /// The answer has been handed over whole.
    pub(crate) fn settle(&mut self) {
        self.state = State::Whole;
    }

    /// Books the request on this route and pool from now on.
    pub(crate) fn book_on(&mut self, account: Rc<Account>) {
        self.account = account;
    }

    /// The request's slot in the schedule of its split.
    pub(crate) fn placed(&mut self, position: Option<u64>) {
        self.account.traffic.picked(self.context.worker);
        self.positioned(position);
    }

    /// The slot in the schedule of the split in which nobody may take the request.
    pub(crate) fn positioned(&mut self, position: Option<u64>) {
        if let Some(record) = &mut self.record {
            record.position = position;
        }
    }

    /// The request waited until now before its first try.
    pub(crate) fn queued_until(&mut self, now: Instant) {
        let queue = now.duration_since(self.began);
        if let Some(record) = &mut self.record {
            record.queue = Some(queue);
        }
    }

    /// A try begins.
    pub(crate) fn tried(&mut self, endpoint: &Arc<str>) {
        if let Some(record) = &mut self.record {
            record.attempts += 1;
            record.put(Text::Endpoint, endpoint.as_bytes());
        }
    }

    /// An endpoint has answered with this head.
    pub(crate) fn answered(&mut self, status: StatusCode, connect: Option<Duration>) {
        let to_head = clock::now().duration_since(self.began);
        self.status = status.as_u16();
        self.to_head = Some(to_head);
        if let Some(record) = &mut self.record {
            record.connect = connect;
            record.first_byte = Some(to_head);
        }
    }

    /// The proxy answers in an endpoint's stead, as the route or the request wants it.
    pub(crate) fn answered_by_route(&mut self, status: StatusCode, reason: &'static str) {
        self.status = status.as_u16();
        self.to_head = Some(clock::now().duration_since(self.began));
        self.reason = Some(reason);
        self.local_reply = true;
    }

    /// The proxy answers a failure. A call's is booked under the status that it would have without gRPC, since the 200
    /// that goes over the wire would hide it.
    pub(crate) fn refused(&mut self, kind: Kind) {
        self.answered_by_route(local_reply::reply_to(kind).status, kind.reason());
        self.call.fail(kind);
    }

    /// The request, or the answer to it, was dropped before the client had been given a head.
    pub(super) fn drop_unanswered(mut self: Box<Self>, client: &Client) {
        match client.answering() {
            // The panic that drops it is told by `close`.
            Answering::Pending if !std::thread::panicking() => client.give_up(self),
            answering => self.answered_by_layer(answering),
        }
    }

    /// A layer has answered instead of the proxy.
    pub(super) fn answered_by_layer(&mut self, answering: Answering) {
        match answering {
            Answering::Failed(kind) => self.refused(kind),
            Answering::Begun(status) => {
                self.status = status.as_u16();
                self.state = State::Whole;
            }
            Answering::Pending
            | Answering::Unwatched
            | Answering::BrokenOff(_)
            | Answering::Abandoned => {}
        }
    }

    /// The answer ends before its time, its head being with the client.
    fn broke_off(&mut self, kind: Kind) {
        self.reason = Some(kind.reason());
        self.call.fail(kind);
        self.state = State::Broken;
    }

    /// The client went before everything was written.
    pub(crate) fn client_left(&mut self) {
        self.status = CLIENT_LEFT;
        self.reason = Some(Kind::ClientGone.reason());
        self.call.fail(Kind::ClientGone);
        self.state = State::Open;
    }

    /// The process ended before the request did.
    fn cut_at_end(&mut self) {
        if self.to_head.is_none() {
            self.status = StatusCode::SERVICE_UNAVAILABLE.as_u16();
        }
        self.broke_off(Kind::ShuttingDown);
    }

    /// The counter of the request body's octets.
    pub(crate) fn octets_in(&mut self) -> Rc<Cell<u64>> {
        Rc::clone(self.octets_in.get_or_insert_default())
    }

    /// The answer is a 101: the request is booked now, the tunnel when it ends.
    pub(crate) fn into_tunnel(mut self: Box<Self>) -> impl FnOnce(u64, u64) + 'static {
        let worker = self.context.worker;
        self.account.traffic.answered(
            worker,
            self.status,
            None,
            clock::now().duration_since(self.began),
        );
        self.account.traffic.tunnel_opened(worker);
        self.state = State::Closed;
        let opened = clock::now();
        move |octets_in, octets_out| {
            self.account.traffic.tunnel_closed(
                worker,
                clock::now().duration_since(opened),
                octets_in,
                octets_out,
            );
            self.octets_in().set(octets_in);
            self.octets_out = octets_out;
            self.log();
        }
    }

    fn close(&mut self) {
        if self.state == State::Closed {
            return;
        }
        if self.state == State::Open && self.reason.is_none() {
            match std::thread::panicking() {
                // A layer around the proxy held the request when it panicked, or the proxy itself did.
                true => self.refused(Kind::Panicked),
                false if self.context.cutting.get() => self.cut_at_end(),
                false => self.client_left(),
            }
        }
        self.state = State::Closed;
        let worker = self.context.worker;
        let total = clock::now().duration_since(self.began);
        let traffic = &self.account.traffic;
        traffic.answered(worker, self.status, self.to_head, total);
        if let (true, Some(reason)) = (self.local_reply, self.reason) {
            traffic.local_reply(worker, self.status, reason);
        }
        if let Some(code) = self.call.code(self.status) {
            traffic.call_ended(worker, code as u8);
        }
        self.log();
    }

    fn log(&mut self) {
        let Some(mut record) = self.record.take() else {
            return;
        };
        record.status = self.status;
        record.reason = self.reason;
        record.grpc_status = self.call.code(self.status);
        record.bytes_in = self.octets_in.as_ref().map_or(0, |octets| octets.get());
        record.bytes_out = self.octets_out;
        record.duration = clock::now().duration_since(self.began);
        let names = [
            (Text::Route, &self.account.route),
            (Text::Pool, &self.account.pool),
            (Text::Version, &self.account.version),
        ];
        for (text, name) in names {
            record.put(text, name.as_deref().unwrap_or_default().as_bytes());
        }
        self.context.logger.log(record);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("status", &self.status)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The body of a response of [`crate::Proxy`].
#[derive(Debug)]
pub struct ResponseBody {
    body: Body,
    ledger: Option<Box<Ledger>>,
    client: Rc<Client>,
    silence: Silence,
}

/// Whether anybody will ask for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// It is sent.
    None,
    /// It is not sent (RFC 9110 §6.4.1).
    Silent,
}

impl Silence {
    pub(crate) fn of(method: &Method, status: StatusCode) -> Self {
        if *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
            Self::Silent
        } else {
            Self::None
        }
    }
}

impl ResponseBody {
    pub(crate) fn new(
        body: Body,
        ledger: Box<Ledger>,
        client: &Rc<Client>,
        silence: Silence,
    ) -> Self {
        Self {
            body,
            ledger: Some(ledger),
            client: Rc::clone(client),
            silence,
        }
    }

    /// A body that nobody books: that of a 101, whose tunnel is booked instead, or one behind a caught panic, whose
    /// request was booked when it was dropped.
    pub(crate) fn unbooked(body: Body, client: &Rc<Client>) -> Self {
        Self {
            body,
            ledger: None,
            client: Rc::clone(client),
            silence: Silence::Silent,
        }
    }

    fn note(&mut self, polled: &Poll<Option<Result<Frame<Bytes>, Error>>>) {
        let ended = self.body.is_end_stream();
        let Some(ledger) = &mut self.ledger else {
            return;
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                ledger.octets_out += frame.data_ref().map_or(0, |data| data.len() as u64);
                if let Some(trailers) = frame.trailers_ref() {
                    ledger.call_ended(trailers);
                }
                if ended {
                    ledger.state = State::Whole;
                }
            }
            Poll::Ready(None) => ledger.state = State::Whole,
            Poll::Ready(Some(Err(error))) => {
                if error.kind() == Kind::ClientGone {
                    ledger.client_left();
                }
                ledger.broke_off(error.kind());
            }
            Poll::Pending => {}
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let polled = this.body.poll_frame(cx);
        this.note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let Some(mut ledger) = self.ledger.take() else {
            return;
        };
        let over = self.silence != Silence::None || self.body.is_end_stream();
        match self.client.answering() {
            Answering::Pending | Answering::Failed(_) => {
                return ledger.drop_unanswered(&self.client);
            }
            Answering::BrokenOff(kind) => ledger.broke_off(kind),
            Answering::Unwatched | Answering::Begun(_) | Answering::Abandoned => {
                if over && ledger.state == State::Open {
                    ledger.state = State::Whole;
                }
            }
        }
        if ledger.state == State::Whole {
            self.client.handed_over(ledger);
        }
    }
}
