//! Who the client is: `X-Forwarded-For`, `-Proto`, `-Host` or `Forwarded` (RFC 7239), and the fields that claim the same by
//! other names.
//!
//! From a peer that is not trusted every such claim is removed, and what the listener speaks is set anew; from a trusted
//! proxy what the listener speaks is kept and the peer is added. What it does not speak is removed from everyone: a proxy
//! that does not know a field passes on what its clients wrote in it, and an endpoint would believe it. Names with
//! underscores in place of hyphens (`x_forwarded_for`) are removed from everyone too: many endpoints read both as one
//! (CVE-2026-39858). So are those of the fields that frame a message.

mod element;
mod heard;
mod names;
mod peer;

use std::net::IpAddr;

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, FORWARDED, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use crate::config::model::{Claims, ForwardedFields};
use crate::header::list::members_of;
use heard::{elements, x_entries, x_scheme};
use names::X_FORWARDED_CLIENT_CERT;
use peer::written;

pub use heard::{Heard, hear};
pub(super) use names::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
pub use peer::{Peer, Scheme, Trust};

/// Whether nothing that is said of a request by others is kept, and `X-Forwarded-*` is all that is said of it.
pub(super) fn is_all_anew(peer: &Peer, claims: &Claims) -> bool {
    peer.trust == Trust::Untrusted && claims.fields == ForwardedFields::XForwarded
}

/// Removes what may not be believed of this peer.
pub(super) fn remove(headers: &mut HeaderMap, peer: &Peer, claims: &Claims) {
    remove_claims(headers, peer.trust, claims.fields);
}

/// Sets the fields that the listener speaks, and removes what may not be believed; `trust` is what [`hear`] has found.
/// `Host` is the one that the request is for; without one (HTTP/1.0) there is nothing to say.
pub fn set(
    headers: &mut HeaderMap,
    (peer, trust): (&Peer, Trust),
    scheme: Scheme,
    claims: &Claims,
    host: Option<HeaderValue>,
) {
    if claims.fields == ForwardedFields::Both && trust == Trust::Trusted {
        translate(headers);
    }
    remove_claims(headers, trust, claims.fields);
    if claims.fields.has_x_forwarded() {
        set_x(headers, peer, scheme, trust, host);
    }
    if claims.fields.has_rfc7239() {
        append_element(headers, peer, scheme);
    }
}

fn set_x(
    headers: &mut HeaderMap,
    peer: &Peer,
    scheme: Scheme,
    trust: Trust,
    host: Option<HeaderValue>,
) {
    // Where there is none, what the client said of one is gone by now.
    let set_host = |headers: &mut HeaderMap| {
        if let Some(host) = host {
            headers.insert(&X_FORWARDED_HOST, host);
        }
    };
    match trust {
        Trust::Untrusted => {
            if let Some(text) = &peer.text {
                headers.insert(&X_FORWARDED_FOR, text.clone());
            }
            headers.insert(&X_FORWARDED_PROTO, scheme.value());
            set_host(headers);
        }
        Trust::Trusted => {
            if let Some(text) = &peer.text {
                append_peer(headers, text);
            }
            if !headers.contains_key(&X_FORWARDED_PROTO) {
                headers.insert(&X_FORWARDED_PROTO, scheme.value());
            }
            if !headers.contains_key(&X_FORWARDED_HOST) {
                set_host(headers);
            }
        }
    }
}

/// Adds the peer to the elements of all lines, and makes one line of them.
fn append_element(headers: &mut HeaderMap, peer: &Peer, scheme: Scheme) {
    let mut text = BytesMut::new();
    for line in headers.get_all(FORWARDED) {
        if !line.is_empty() {
            join(&mut text, line.as_bytes());
        }
    }
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    element::write(&mut text, peer.address, host, Some(scheme.as_str()));
    insert(headers, FORWARDED, text);
}

/// Says what a trusted proxy has told in one way in the other as well (RFC 7239 §7.4).
fn translate(headers: &mut HeaderMap) {
    let (has_x, has_rfc) = (
        headers.contains_key(&X_FORWARDED_FOR),
        headers.contains_key(FORWARDED),
    );
    if has_rfc && !has_x {
        let Ok(elements) = elements(headers) else {
            return;
        };
        let mut text = BytesMut::new();
        for element in &elements {
            match element.node {
                Some(address) => join(&mut text, written(address).as_bytes()),
                None => join(&mut text, b"unknown"),
            }
        }
        let first = elements.first();
        let proto = first.and_then(|one| Scheme::named(one.proto.as_deref()?));
        let host = first.and_then(|one| HeaderValue::from_bytes(one.host.as_deref()?).ok());
        drop(elements);
        insert(headers, X_FORWARDED_FOR.clone(), text);
        if let Some(proto) = proto {
            headers.insert(&X_FORWARDED_PROTO, proto.value());
        }
        if let Some(host) = host {
            headers.insert(&X_FORWARDED_HOST, host);
        }
    } else if has_x && !has_rfc {
        let mut text = BytesMut::new();
        let nodes: SmallVec<[Option<IpAddr>; 4]> = x_entries(headers).collect();
        let host = headers
            .get(&X_FORWARDED_HOST)
            .and_then(|line| members_of(line).next());
        for (index, node) in nodes.iter().rev().enumerate() {
            let is_first = index == 0;
            let proto = x_scheme(headers).filter(|_| is_first).map(Scheme::as_str);
            element::write(&mut text, *node, host.filter(|_| is_first), proto);
        }
        insert(headers, FORWARDED, text);
    }
}

fn join(text: &mut BytesMut, entry: &[u8]) {
    if !text.is_empty() {
        text.extend_from_slice(b", ");
    }
    text.extend_from_slice(entry);
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: BytesMut) {
    let value = HeaderValue::from_maybe_shared(text.freeze())
        .expect("values and addresses, joined by commas, are a value");
    headers.insert(name, value);
}

/// Adds whom the peer has proved to be to what trusted proxies have said of those before it. To be called after [`set`],
/// which leaves nothing of that from anybody else.
pub fn set_identity(headers: &mut HeaderMap, identity: &HeaderValue) {
    let mut text = BytesMut::new();
    for line in headers.get_all(&X_FORWARDED_CLIENT_CERT) {
        if !line.is_empty() {
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(b",");
        }
    }
    let value = if text.is_empty() {
        identity.clone()
    } else {
        text.extend_from_slice(identity.as_bytes());
        HeaderValue::from_maybe_shared(text.freeze())
            .expect("values, joined by commas, are a value")
    };
    headers.insert(&X_FORWARDED_CLIENT_CERT, value);
}

/// Adds the peer to the addresses of all lines, and makes one line of them.
fn append_peer(headers: &mut HeaderMap, peer: &HeaderValue) {
    let mut text = BytesMut::new();
    for line in headers.get_all(&X_FORWARDED_FOR) {
        if !line.is_empty() {
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(b", ");
        }
    }
    let value = if text.is_empty() {
        peer.clone()
    } else {
        text.extend_from_slice(peer.as_bytes());
        HeaderValue::from_maybe_shared(text.freeze())
            .expect("values and addresses, joined by commas, are a value")
    };
    headers.insert(&X_FORWARDED_FOR, value);
}

fn remove_claims(headers: &mut HeaderMap, trust: Trust, spoken: ForwardedFields) {
    let mut doomed: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for name in headers.keys() {
        if is_doomed(name, trust, spoken) {
            doomed.push(name.clone());
        }
    }
    for name in &doomed {
        headers.remove(name);
    }
}

fn is_doomed(name: &HeaderName, trust: Trust, spoken: ForwardedFields) -> bool {
    // What all of them begin with; most names are told apart by that.
    if !matches!(name.as_str().as_bytes(), [b'c' | b'f' | b't' | b'x', ..]) {
        return false;
    }
    if *name == FORWARDED {
        return trust == Trust::Untrusted || !spoken.has_rfc7239();
    }
    if !is_claim(name.as_str().as_bytes()) {
        return is_framing_twin(name.as_str().as_bytes());
    }
    if !spoken.has_x_forwarded() && *name != X_FORWARDED_CLIENT_CERT {
        return true;
    }
    trust == Trust::Untrusted || name.as_str().contains('_')
}

/// Whether a field claims what only a proxy can know: `X-Forwarded-` anything and `X-Real-IP`, hyphens and underscores
/// being the same. Names are in lower case.
pub(super) fn is_claim(name: &[u8]) -> bool {
    const FORWARDED_FAMILY: &[u8] = b"x-forwarded-";
    const REAL_IP: &[u8] = b"x-real-ip";
    if name.first() != Some(&b'x') {
        return false;
    }
    let real_ip = name.len() == REAL_IP.len() && starts_alike(name, REAL_IP);
    real_ip || starts_alike(name, FORWARDED_FAMILY)
}

/// Whether a name is that of a field which says where a body ends, but for underscores in place of hyphens.
pub(super) fn is_framing_twin(name: &[u8]) -> bool {
    let framing = [CONTENT_LENGTH.as_str(), TRANSFER_ENCODING.as_str()];
    framing
        .map(str::as_bytes)
        .iter()
        .any(|known| name.len() == known.len() && name != *known && starts_alike(name, known))
}

/// Whether a name begins with these letters, hyphens and underscores being the same.
fn starts_alike(name: &[u8], start: &[u8]) -> bool {
    name.len() >= start.len()
        && name
            .iter()
            .zip(start)
            .all(|(byte, expected)| byte == expected || (*byte == b'_' && *expected == b'-'))
}

#[cfg(test)]
mod tests;
