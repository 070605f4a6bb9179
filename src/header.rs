//! Header rules: (fields, facts) -> fields, one rule a file, all in place.
//!
//! Two doors stand in front of a request before anything of it is forwarded: [`host::target`] decides which authority
//! it is for, [`framing::request`] where its body ends. [`forward_request`] and [`forward_response`] then put the
//! rules that change fields into their one order: what is not ours to pass on goes first and our own fields come
//! after, so that no client can have them removed (CVE-2024-45410); the user's edits come last and may do anything.
//!
//! Knows nothing of routes, connections or clocks. What they cost: `cargo bench --bench header`.

pub mod edit;
pub mod expect;
pub mod forwarded;
pub mod framing;
pub mod hop;
pub mod host;
pub mod ids;
pub mod keep_alive;
pub(crate) mod list;
pub mod max_forwards;
pub mod network;
pub mod own;
pub mod present;
pub mod proxy_protocol;
pub(crate) mod spare;
pub mod trailer;
pub(crate) mod usual;
pub mod via;
pub mod websocket;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Version};

use crate::config::model::{Claims, HeaderEdits};
use forwarded::{Peer, Scheme, Trust};
use own::Own;
use present::Present;

/// What is needed to make a client's fields into those that are forwarded.
#[derive(Clone, Debug)]
pub struct Forwarding<'a> {
    /// Which fields the request came with.
    pub present: Present,
    /// The version in which the client spoke.
    pub version: Version,
    /// Who sent the request.
    pub peer: &'a Peer,
    /// Whether what it says in this request is believed.
    pub trust: Trust,
    /// Whom a listener believes, and which fields tell it.
    pub claims: &'a Claims,
    /// How it came.
    pub scheme: Scheme,
    /// What endpoints are told of the client's certificate, where it was verified.
    pub identity: Option<&'a HeaderValue>,
    /// What `Host` says.
    pub asked_host: Option<HeaderValue>,
    /// Takes the place of `Host`.
    pub host: Option<&'a HeaderValue>,
    /// The route's edits.
    pub edits: &'a HeaderEdits,
}

/// Makes a request's fields into those that are forwarded, behind which the proxy's own are sent.
///
/// The request id is set before, by [`ids::request_id`], since local replies tell it too; what belongs to the
/// connection to the endpoint comes after, by [`hop::announce`].
pub fn forward_request(headers: &mut HeaderMap, forwarding: Forwarding<'_>) -> Own {
    let Forwarding {
        peer,
        trust,
        claims,
        scheme,
        version,
        edits,
        asked_host,
        ..
    } = forwarding;
    hop::strip_request(headers, forwarding.present);
    let own = if edits.is_empty() && forwarded::is_all_anew(peer, claims) {
        forwarded::remove(headers, peer, claims);
        Own::of(peer, scheme, asked_host, version)
    } else {
        forwarded::set(headers, (peer, trust), scheme, claims, asked_host);
        via::append(headers, version);
        Own::default()
    };
    if let Some(identity) = forwarding.identity {
        forwarded::set_identity(headers, identity);
    }
    if let Some(host) = forwarding.host {
        headers.insert(HOST, host.clone());
    }
    edit::apply(headers, edits);
    own
}

/// Makes a response's fields, which came with these and in this version, into those that are relayed.
pub fn forward_response(
    headers: &mut HeaderMap,
    present: Present,
    version: Version,
    edits: &HeaderEdits,
) {
    hop::strip_response(headers, present);
    via::append(headers, version);
    edit::apply(headers, edits);
}

#[cfg(test)]
mod tests;
