//! What a request asks for, decided once from its head before anything is forwarded: its authority, its canonical
//! path, where its body ends, who sent it.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};

use crate::config::model::ListenerLimits;
use crate::config::path::canonical;
use crate::error::Kind;
use crate::grpc;
use crate::header::forwarded::{self, Heard};
use crate::header::framing::{self, Framing};
use crate::header::host::{self, Authority, Form};
use crate::header::present::Present;
use crate::header::{hop, ids};
use crate::request::context::{Client, WorkerContext};
use crate::response::local_reply::Dialect;
use crate::route::Facts;

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The id by which client, log and endpoint know the request.
    pub(crate) request_id: &'a HeaderValue,
    /// The client's address, behind trusted proxies; none on a socket of this host.
    pub(crate) client: Option<IpAddr>,
    /// What the request says of it.
    pub(crate) heard: Heard,
    /// The host, without its port; empty where HTTP/1.0 names none.
    pub(crate) host: &'a str,
    /// The port that the client named.
    pub(crate) port: Option<u16>,
    /// The canonical path.
    pub(crate) path: Cow<'a, str>,
}

/// Where the body ends, and to which protocol the client wants to switch.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) framing: Framing,
    pub(crate) upgrade: Option<HeaderValue>,
    /// How much of `Host` is the host, and the port behind it.
    authority: Option<(usize, Option<u16>)>,
}

/// In what a request is told of failures: gRPC where it says that it is a call.
pub(crate) fn dialect(headers: &HeaderMap, present: Present) -> Dialect {
    let said = present
        .has(Present::CONTENT_TYPE)
        .then(|| headers.get(CONTENT_TYPE))
        .flatten();
    match said {
        Some(content_type) if grpc::is_grpc(content_type) => Dialect::Grpc,
        Some(_) | None => Dialect::Http,
    }
}

/// Makes an absolute target into a path with a `Host` (RFC 9112 §3.2.2); tells what `Host` says then, too.
///
/// # Errors
/// The kind of the refusal.
pub(crate) fn settle(
    head: &mut Parts,
    present: Present,
    limits: &ListenerLimits,
) -> Result<(Shape, Option<HeaderValue>), Kind> {
    let framing = framing::request(head.version, &head.headers, present)?;
    let target = host::target(head.version, &head.method, &head.uri, &head.headers)?;
    let authority = target.authority.map(|said| (said.host.len(), said.port));
    let form = target.form;
    let mut host = target.said.cloned();
    let octets = head
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if limits.max_uri_bytes.is_some_and(|limit| octets > limit) {
        return Err(Kind::TargetTooLong);
    }
    if form == Form::Absolute {
        host::adopt(&mut head.headers, &head.uri);
        let target = head
            .uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        head.uri = Uri::from(target);
        host = head.headers.get(HOST).cloned();
    }
    let upgrade = hop::upgrade(&head.headers, present, &head.method, head.version, framing);
    let shape = Shape {
        framing,
        upgrade,
        authority,
    };
    Ok((shape, host))
}

/// The id of a request: its own, or a new one, which is set.
pub(crate) fn identify(
    context: &WorkerContext,
    headers: &mut HeaderMap,
    present: Present,
) -> HeaderValue {
    ids::request_id(headers, present, context.random())
}

/// Reads what a request asks for, whose `Host` is this; of one that was not settled, as far as can be told.
pub(crate) fn read<'a>(
    client: &Client,
    request_id: &'a HeaderValue,
    head: &'a Parts,
    host: Option<&'a HeaderValue>,
    settled: Option<&Shape>,
) -> Asked<'a> {
    let authority = match (host, settled) {
        (Some(host), Some(shape)) => shape.authority.and_then(|(octets, port)| {
            let host = host.to_str().ok()?.get(..octets)?;
            Some(Authority { host, port })
        }),
        (None, Some(_)) => None,
        (_, None) => {
            let host = head.headers.get(HOST);
            host.and_then(|host| host::authority(host.as_bytes()).ok())
        }
    };
    let heard = forwarded::hear(&head.headers, client.peer(), &client.listener.claims);
    Asked {
        request_id,
        client: heard.client(),
        heard,
        host: authority.map_or("", |authority| authority.host),
        port: authority.and_then(|authority| authority.port),
        path: canonical(head.uri.path()),
    }
}

/// What routing wants to know of it.
pub(crate) fn facts<'a>(client: &'a Client, head: &'a Parts, asked: &'a Asked<'_>) -> Facts<'a> {
    Facts {
        listener: &client.listener.name,
        host: asked.host,
        client: asked.client,
        identity: client.identity(),
        path: &asked.path,
        method: &head.method,
        headers: &head.headers,
        query: head.uri.query(),
    }
}
