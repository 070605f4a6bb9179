//! One stream: its request asked for, its answer written, in a seat of its connection's task.
//!
//! The stream is watched meanwhile: one that its client resets, or whose connection ends, drops what is under way, which cancels
//! at the endpoint. What belongs to all streams is in `task.rs`.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use tower::Service;

use crate::body::RequestBody;
use crate::connection::edge::Serving;
use crate::connection::http2::admit::{Refusal, Wish, admit};
use crate::connection::http2::answer::{self, Ending, Outgoing};
use crate::connection::http2::seats::Place;
use crate::connection::http2::shared::Shared;
use crate::connection::http2::tunnel;
use crate::connection::panics::ask;
use crate::error::Kind;
use crate::header::expect::is_continue;
use crate::header::present::Present;
use crate::request::asked;
use crate::request::context::{Client, Voice};
use crate::request::{CLIENT_LEFT, answer_to_failure, book_unread};
use crate::wire::{Continue, Inflow};

/// A stream that a client has opened.
pub(super) struct Opened {
    pub(super) client: Rc<Client>,
    pub(super) request: Request<RecvStream>,
    pub(super) respond: SendResponse<Bytes>,
}

/// Serves stream after stream, each to its end. All of it is one future without others in it that are large, since those
/// would be moved for each stream; what is rare lies in a box.
pub(super) async fn serve<S, B>(
    place: Rc<Place<Opened>>,
    shared: Rc<Shared>,
    service_of: &impl Fn(&Rc<Client>) -> S,
) -> Infallible
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    loop {
        poll_fn(|_| place.poll_given()).await;
        'stream: {
            let Some(Opened {
                client,
                request,
                mut respond,
            }) = place.take()
            else {
                break 'stream;
            };
            if poll_fn(|cx| Poll::Ready(respond.poll_reset(cx).is_ready())).await {
                // It has been taken back before anything was done for it.
                break 'stream;
            }
            client.speaks_through(Voice::Kept(Vec::new()));
            client.tells_flush.set(true);
            let (mut head, incoming) = request.into_parts();
            let method = head.method.clone();
            let chance = || shared.context.random();
            let limits = &client.listener.limits;
            let wish = match admit(&mut head, limits, &shared.last_host, chance) {
                Ok(wish) => wish,
                Err(refusal) => {
                    Box::pin(refuse(refusal, &head, &method, respond, &client, &shared)).await;
                    break 'stream;
                }
            };
            let (body, held, incoming) = match wish {
                // Most have no body, and nothing that is said of it is looked for.
                Wish::Answer if incoming.is_end_stream() => {
                    drop(incoming);
                    (RequestBody::empty(), None, None)
                }
                Wish::Answer => {
                    let held = is_continue(&head.headers).then(Rc::<Continue>::default);
                    let length = head.headers.get(CONTENT_LENGTH).and_then(length);
                    let inflow = Inflow::new(incoming, length, held.clone());
                    (RequestBody::inflow(inflow), held, None)
                }
                // What comes waits for the tunnel, and keeps its place in the window.
                Wish::Tunnel => (RequestBody::empty(), None, Some(incoming)),
            };
            let request = Request::from_parts(head, body);

            let answer = {
                let serving = Serving::begin(&shared.edge, &client);
                let service = service_of(&client);
                let mut answering = pin!(ask(service, request, serving, &shared.context));
                // By the first look, a moment ago.
                let mut is_watched = true;
                poll_fn(|cx| {
                    let polled = answering.as_mut().poll(cx);
                    speak(&client, held.as_deref(), &mut respond, cx);
                    if let Poll::Ready(answer) = polled {
                        return Poll::Ready(Some(answer));
                    }
                    if !std::mem::take(&mut is_watched) && respond.poll_reset(cx).is_ready() {
                        return Poll::Ready(None);
                    }
                    client.clocks.arm(cx);
                    Poll::Pending
                })
                .await
            };
            let Some(answer) = answer else { break 'stream };
            let status = answer.status();
            if status == CLIENT_LEFT {
                // Nobody is there to read it.
                respond.send_reset(Reason::CANCEL);
                break 'stream;
            }
            match (status, incoming) {
                (StatusCode::SWITCHING_PROTOCOLS, Some(incoming)) => {
                    let (head, _) = answer.into_parts();
                    Box::pin(tunnel::serve(respond, head, incoming, &client, &shared)).await;
                    break 'stream;
                }
                // Nobody has asked for that, nor could.
                (StatusCode::SWITCHING_PROTOCOLS, None) => {
                    respond.send_reset(Reason::INTERNAL_ERROR);
                    break 'stream;
                }
                // It would be taken for a tunnel, and a layer has made it up.
                (_, Some(_)) if status.is_success() => {
                    respond.send_reset(Reason::INTERNAL_ERROR);
                    break 'stream;
                }
                _ => {}
            }
            let begun = begin(&mut respond, answer, &method, &client, &shared);
            if let Some((stream, outgoing)) = begun {
                let writing = answer::write(stream, outgoing, &client, &shared.outlet);
                end(&mut respond, writing.await);
            }
        }
        place.leave();
    }
}

/// Answers a request that is not served.
async fn refuse(
    refusal: Refusal,
    head: &Parts,
    method: &Method,
    mut respond: SendResponse<Bytes>,
    client: &Rc<Client>,
    shared: &Shared,
) {
    let kind = match refusal {
        Refusal::Malformed => {
            book_unread(&shared.context, client, Kind::MalformedRequest);
            return respond.send_reset(Reason::PROTOCOL_ERROR);
        }
        Refusal::Answered(kind) => kind,
    };
    client.reached.set(false);
    if *method != Method::CONNECT {
        // A failed call is told with 200, which to a CONNECT would be a tunnel.
        let present = Present::of(&head.headers);
        client.dialect.set(asked::dialect(&head.headers, present));
    }
    let answer = answer_to_failure(&shared.context, client, kind);
    if let Some((stream, outgoing)) = begin(&mut respond, answer, method, client, shared) {
        let writing = answer::write(stream, outgoing, client, &shared.outlet);
        end(&mut respond, writing.await);
    }
}

/// Passes on what the endpoint has said before its answer, and the 100 that lets a body come.
fn speak(
    client: &Client,
    held: Option<&Continue>,
    respond: &mut SendResponse<Bytes>,
    cx: &Context<'_>,
) {
    if held.is_some_and(|held| held.take(cx)) {
        let mut go_on = Response::new(());
        *go_on.status_mut() = StatusCode::CONTINUE;
        // A stream that was reset is found out where its answer is awaited; so below.
        respond.send_informational(go_on).ok();
    }
    for interim in client.take_interims() {
        respond.send_informational(interim).ok();
    }
}

/// Begins to write an answer: its head. Tells what is to follow it, if anything is.
fn begin<B>(
    respond: &mut SendResponse<Bytes>,
    answer: Response<B>,
    method: &Method,
    client: &Client,
    shared: &Shared,
) -> Option<(SendStream<Bytes>, Outgoing<B>)>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    // What waits for the socket is owed by all; how long a client may take for that is the last route's word.
    let patience = client.write_limit.get();
    shared.edge.client.write_limit.set(patience);
    let (mut parts, body) = answer.into_parts();
    let dates = shared.dates();
    let body = answer::begin(&mut parts, body, method, dates, || shared.context.date());
    let head = Response::from_parts(parts, ());
    let Ok(stream) = respond.send_response(head, body.is_none()) else {
        // It has been reset. What is no head for `h2` is no answer either.
        respond.send_reset(Reason::INTERNAL_ERROR);
        return None;
    };
    Some((stream, body?))
}

/// Ends a stream as the writing of its answer has ended.
fn end(respond: &mut SendResponse<Bytes>, ending: Ending) {
    match ending {
        Ending::Whole | Ending::Left => {}
        // Its end must not be taken for the body's.
        Ending::Broken => respond.send_reset(Reason::INTERNAL_ERROR),
        // A client takes that for its deadline, if it had set one (gRPC over HTTP2, "Errors").
        Ending::Overdue | Ending::Unread => respond.send_reset(Reason::CANCEL),
    }
}

fn length(value: &HeaderValue) -> Option<u64> {
    std::str::from_utf8(value.as_bytes()).ok()?.parse().ok()
}
