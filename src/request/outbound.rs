//! A request as it is sent to endpoints: its target, its fields, its body under the limits of its connection and route.

use std::rc::Rc;
use std::time::Duration;

use http::header::{HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Uri, Version};

use crate::body::RequestBody;
use crate::config::model;
use crate::error::Kind;
use crate::header::expect::is_continue;
use crate::header::forwarded::Trust;
use crate::header::framing::Framing;
use crate::header::present::Present;
use crate::header::websocket::is_websocket;
use crate::header::{self, Forwarding, hop};
use crate::request::asked::{Asked, Shape};
use crate::request::context::Client;
use crate::request::expect;
use crate::request::outcome::Ledger;
use crate::response::local_reply::Dialect;
use crate::route::Found;
use crate::route::rewrite;
use crate::snapshot::Spoken;
use crate::tls::Identity;
use crate::upstream::{BodySlot, Outbound};

/// The target that is forwarded.
pub(super) fn target(
    route: &model::Route,
    head: &Parts,
    asked: &Asked<'_>,
    found: Found,
) -> Result<Uri, Kind> {
    let Some(received) = head.uri.path_and_query() else {
        return Ok(head.uri.clone());
    };
    if route.path_as_received {
        return Ok(Uri::from(received.clone()));
    }
    rewrite::target(&route.rewrite, received, &asked.path, found.path).map(Uri::from)
}

/// How long a request's body may stand still. That of a call may for as long as the exchange as a whole: a stream of
/// messages is as open in its pauses as while they come.
pub(super) fn patience_with_body(dialect: Dialect, client: &Client) -> Option<Duration> {
    match dialect {
        Dialect::Http => client.listener.limits.body_idle_timeout,
        Dialect::Grpc => None,
    }
}

/// The body that the tries of a request share, under the limits of its connection and route.
pub(super) fn slot(
    mut body: RequestBody,
    shape: &Shape,
    (limit, idle): (Option<u64>, Option<Duration>),
    client: &Rc<Client>,
    ledger: &mut Ledger,
    head: &Parts,
) -> Option<Rc<BodySlot>> {
    if matches!(shape.framing, Framing::Empty) {
        return None;
    }
    body.limit(limit);
    body.watch(Rc::clone(&client.clocks), idle, ledger.octets_in());
    let slot = BodySlot::new(body);
    if head.version != Version::HTTP_10 && is_continue(&head.headers) {
        expect::hold(&slot, client);
    }
    Some(slot)
}

/// The request as it is sent to endpoints; it came with these fields and is for this host, from a client whose peer is
/// believed or not.
pub(super) fn assemble(
    (head, present, asked_host): (Parts, Present, Option<HeaderValue>),
    target: Uri,
    body: Option<Rc<BodySlot>>,
    shape: &Shape,
    spoken: &Spoken,
    (client, trust): (&Client, Trust),
) -> Outbound {
    let Parts {
        method,
        version,
        mut headers,
        ..
    } = head;
    let own = header::forward_request(
        &mut headers,
        Forwarding {
            present,
            version,
            peer: client.peer(),
            trust,
            claims: &client.listener.claims,
            scheme: client.scheme,
            identity: client.identity().map(Identity::told),
            asked_host,
            host: spoken.host.as_ref(),
            edits: &spoken.request,
        },
    );
    hop::announce(&mut headers, present, shape.upgrade.clone());
    let upgrade = shape.upgrade.as_ref();
    let websocket = upgrade.is_some_and(|protocol| is_websocket(protocol.as_bytes()));
    if shape.framing == Framing::Chunked {
        // Also where a layer made the body, or it came by another protocol.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let may_lack_host = !present.has(Present::HOST) || !spoken.request.remove.is_empty();
    if may_lack_host && !headers.contains_key(HOST) {
        // HTTP/1.0 may leave it out, HTTP/1.1 towards the endpoint may not; empty is the right value for an unknown
        // authority (RFC 9112 §3.2).
        headers.insert(HOST, HeaderValue::from_static(""));
    }
    Outbound {
        method,
        target,
        headers,
        own,
        body,
        websocket,
    }
}
