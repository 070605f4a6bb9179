//! The straight line of a request: asked -> route -> policy -> balance and upstream (`attempts`) -> response.
//!
//! This is the page to read first. [`Proxy`] is the whole path as a tower service; [`ResponseFuture`] walks it. What
//! can be answered at once is answered in `walk`; what goes to an endpoint is driven in [`ResponseFuture::poll`].
//! Nothing here waits on a lock, and everything reads one snapshot.

mod affinity;
pub(crate) mod asked;
mod attempts;
mod call;
pub(crate) mod context;
mod expect;
mod interim;
mod outbound;
pub(crate) mod outcome;
mod patience;
mod placing;
mod record;
mod relayed;
mod route_answer;
pub(crate) mod secured;
mod switch;
mod unheard;

pub use outcome::ResponseBody;
pub(crate) use unheard::{OwnBody, answer_to_failure, book_unread, refuse_unread};

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, Request, Response, Version};
use http_body::Body as _;
use tokio::time::Instant;
use tower::Service;

use crate::body::RequestBody;
use crate::clock::{self, Clock};
use crate::config::model::Action;
use crate::error::Kind;
use crate::header::framing::Framing;
use crate::header::max_forwards::{self, Recipient};
use crate::header::present::Present;
use crate::request::attempts::Attempts;
use crate::request::context::{Client, WorkerContext};
pub(crate) use crate::request::outcome::CLIENT_LEFT;
use crate::request::outcome::{Ledger, Silence};
use crate::request::patience::Patience;
use crate::request::placing::Placing;
use crate::request::relayed::{Relayed, relay};
use crate::request::route_answer::{options, redirect, respond};
use crate::request::switch::Switch;
use crate::response::local_reply::Dialect;
use crate::response::upgrade::Tunnel;
use crate::response::{Body, local_reply};

/// The whole way of a request, from its head read to its answer, for one client's connection.
///
/// A value belongs to a worker's thread. It is always ready; what it cannot serve it answers with a status, so its
/// error is `Infallible`.
#[derive(Clone)]
pub struct Proxy {
    context: Rc<WorkerContext>,
    client: Rc<Client>,
}

impl Proxy {
    pub(crate) fn new(context: Rc<WorkerContext>, client: Rc<Client>) -> Self {
        Self { context, client }
    }
}

impl Service<Request<RequestBody>> for Proxy {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> ResponseFuture {
        ResponseFuture::begin(&self.context, &self.client, request)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// The answer of [`Proxy`], on its way. Dropping it cancels the request at its endpoint.
pub struct ResponseFuture {
    client: Rc<Client>,
    context: Rc<WorkerContext>,
    ledger: Option<Box<Ledger>>,
    told: Told,
    stage: Stage,
}

/// What of a request its answer depends on.
struct Told {
    request_id: HeaderValue,
    dialect: Dialect,
    method: http::Method,
    /// A switch to another protocol, where one is asked for.
    switch: Option<Box<Switch>>,
    /// Of the client; 1.0 knows no interim responses.
    version: Version,
}

enum Stage {
    /// The proxy has an answer of its own; `None` once it was taken. Boxed, as what goes to an endpoint is: a future that is
    /// moved from hand to hand is better small.
    Answer(Option<Box<Response<Body>>>),
    /// An endpoint is being asked.
    Attempts(Box<Attempts>),
}

impl Stage {
    fn answer(answer: Response<Body>) -> Self {
        Self::Answer(Some(Box::new(answer)))
    }
}

impl ResponseFuture {
    fn begin(
        context: &Rc<WorkerContext>,
        client: &Rc<Client>,
        request: Request<RequestBody>,
    ) -> Self {
        client.reached.set(true);
        let now = clock::now();
        let mut ledger = Ledger::open(context, now);
        let (mut head, body) = request.into_parts();
        let present = Present::of(&head.headers);
        let request_id = asked::identify(context, &mut head.headers, present);
        let dialect = asked::dialect(&head.headers, present);
        client.dialect.set(dialect);
        ledger.speaks(dialect);
        let mut told = Told {
            request_id,
            dialect,
            method: head.method.clone(),
            switch: None,
            version: head.version,
        };
        let asked = (head, present, body);
        let stage = match walk(context, client, &mut ledger, &mut told, asked, now) {
            Ok(stage) => stage,
            Err(kind) => Stage::answer(refuse(kind, client, &told, &mut ledger)),
        };
        Self {
            client: Rc::clone(client),
            context: Rc::clone(context),
            ledger: Some(ledger),
            told,
            stage,
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(ledger) = &mut this.ledger else {
            return Poll::Pending;
        };
        // Driven where it lies.
        let answer = match &mut this.stage {
            Stage::Answer(answer) => answer.take().map(|answer| *answer),
            Stage::Attempts(attempts) => {
                let polled = attempts.poll(cx, ledger);
                if this.told.version != Version::HTTP_10 {
                    let tell = |status, headers: &_| this.client.tell_interim(status, headers);
                    this.client.interims.pass_on(tell);
                }
                match ready!(polled) {
                    Ok(won) => {
                        let route = (&**attempts.spec(), &attempts.spoken().response);
                        let switch = this.told.switch.as_deref();
                        match relay(won, route, &this.client, switch, ledger) {
                            Ok(Relayed::Answer(answer)) => {
                                this.stage = Stage::Answer(None);
                                return this.finish(answer);
                            }
                            Ok(Relayed::Switch(head, tunnel)) => {
                                return Poll::Ready(Ok(this.switch(head, tunnel)));
                            }
                            Err(kind) => Some(refuse(kind, &this.client, &this.told, ledger)),
                        }
                    }
                    Err(error) => Some(refuse(error.kind(), &this.client, &this.told, ledger)),
                }
            }
        };
        this.stage = Stage::Answer(None);
        match answer {
            Some(answer) => this.finish(answer),
            None => Poll::Pending,
        }
    }
}

impl ResponseFuture {
    /// Hands the answer over, with the request's book in its body.
    fn finish(
        &mut self,
        mut answer: Response<Body>,
    ) -> Poll<Result<Response<ResponseBody>, Infallible>> {
        if self.context.closing.get() || self.client.closing.get() {
            answer
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let Some(ledger) = self.ledger.take() else {
            return Poll::Pending;
        };
        let silence = Silence::of(&self.told.method, answer.status());
        Poll::Ready(Ok(
            answer.map(|body| ResponseBody::new(body, ledger, &self.client, silence))
        ))
    }

    /// Answers with the endpoint's 101 and leaves the tunnel for the connection to run.
    fn switch(
        &mut self,
        head: Response<()>,
        tunnel: impl FnOnce(Box<Ledger>) -> Tunnel,
    ) -> Response<ResponseBody> {
        if let Some(ledger) = self.ledger.take() {
            self.client.switch_to(tunnel(ledger));
        }
        head.map(|()| ResponseBody::unbooked(Body::empty(), &self.client))
    }
}

impl Drop for ResponseFuture {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            self.client.clocks.stop(Clock::Total);
            ledger.drop_unanswered(&self.client);
        }
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// From the head to an answer of the proxy's own, or to the first try at an endpoint.
fn walk(
    context: &Rc<WorkerContext>,
    client: &Rc<Client>,
    ledger: &mut Ledger,
    told: &mut Told,
    (mut head, present, body): (Parts, Present, RequestBody),
    now: Instant,
) -> Result<Stage, Kind> {
    let settled = asked::settle(&mut head, present, &client.listener.limits);
    let (settled, host) = match settled {
        Ok((shape, host)) => (Ok(shape), host),
        Err(kind) => (Err(kind), None),
    };
    let shape = settled.as_ref().ok();
    let asked = asked::read(client, &told.request_id, &head, host.as_ref(), shape);
    ledger.note(client, &head, &asked);
    let mut shape = settled?;
    let upgrade = shape.upgrade.as_ref();
    told.switch = upgrade.map(|protocol| Switch::to(protocol, &head.headers, head.version));
    asked.heard.check()?;
    if shape.framing == Framing::Empty && !body.is_end_stream() {
        // A body that a layer made, or that came by another protocol, knows its end without a length in the head.
        shape.framing = Framing::Chunked;
    }
    let view = context.reader.newest();
    if client.misdirects(asked.host, &view) {
        return Err(Kind::Misdirected);
    }
    let found = view
        .table
        .find(&asked::facts(client, &head, &asked))
        .ok_or(Kind::NoRoute)?;
    // A handle of the worker's own: the route's count is not touched.
    let shared = Rc::clone(&view);
    let route = shared.route(found.route);
    let spoken = route.spoken(context.worker);
    ledger.book_on(context.account(&route.traffic, || {
        (Some(Arc::clone(&route.spec.name)), None, None)
    }));
    client.write_limit.set(route.spec.timeouts.idle);
    let limit = route
        .spec
        .max_body_bytes
        .unwrap_or(client.listener.limits.max_body_bytes);
    admit(&shape.framing, limit)?;
    match &route.spec.action {
        Action::Redirect(rule) => {
            redirect(rule, &spoken.response, &head, &asked, client).map(|answer| {
                ledger.answered_by_route(answer.status(), "redirect");
                Stage::answer(answer)
            })
        }
        Action::Respond(rule) => {
            let answer = respond(rule, spoken);
            let asked = told.switch.as_ref();
            if asked.is_some_and(|asked| asked.is_mistaken_for(answer.status())) {
                return Err(Kind::UpgradeFailed);
            }
            ledger.answered_by_route(answer.status(), "respond");
            Ok(Stage::answer(answer))
        }
        Action::Split(_) | Action::PoolByHost(_) => {
            let part = placing::part(&route.spec.action, asked.host).ok_or(Kind::NoRoute)?;
            let new_target = outbound::target(&route.spec, &head, &asked, found)?;
            let keys = affinity::keys(&route.key_sources, &head.headers, &asked.path, asked.client);
            let by = (&**client, asked.heard.trust());
            if max_forwards::spend(&head.method, &mut head.headers)? == Recipient::Proxy {
                let answer = options(&spoken.response);
                ledger.answered_by_route(answer.status(), "max_forwards");
                return Ok(Stage::answer(answer));
            }
            client.interims.begin();
            let idle = outbound::patience_with_body(told.dialect, client);
            let body = outbound::slot(body, &shape, (limit, idle), client, ledger, &head);
            let outbound =
                outbound::assemble((head, present, host), new_target, body, &shape, spoken, by);
            if let Some(switch) = &mut told.switch {
                switch.sends(&outbound.headers);
            }
            let patience = Patience::of(told.dialect, &outbound.headers);
            let placing = Placing::new(view, found.route, part, keys);
            let attempts = Box::new(Attempts::new(context, client, placing, outbound));
            start(attempts, patience, client, ledger, now)
        }
    }
}

/// Policy: what is known to be too large is refused before anything is sent.
fn admit(framing: &Framing, limit: Option<u64>) -> Result<(), Kind> {
    match (framing, limit) {
        (Framing::Length(octets), Some(limit)) if *octets > limit => Err(Kind::BodyTooLarge),
        _ => Ok(()),
    }
}

fn start(
    mut attempts: Box<Attempts>,
    patience: Patience,
    client: &Rc<Client>,
    ledger: &mut Ledger,
    now: Instant,
) -> Result<Stage, Kind> {
    let timeouts = &attempts.spec().timeouts;
    let response = patience.within(timeouts.response);
    let total = patience.within(timeouts.total);
    client.clocks.start(Clock::Response, now, response);
    client.clocks.start(Clock::Total, now, total);
    attempts.is_over_by(patience.deadline(now, total));
    attempts.begin(ledger, now).map_err(|error| error.kind())?;
    Ok(Stage::Attempts(attempts))
}

fn refuse(kind: Kind, client: &Client, told: &Told, ledger: &mut Ledger) -> Response<Body> {
    client.clocks.stop(Clock::Total);
    ledger.refused(kind);
    local_reply::response(kind, told.request_id.as_bytes(), told.dialect)
}
