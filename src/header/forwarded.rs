//! Who the client is: `X-Forwarded-For`, `-Proto`, `-Host` or `Forwarded` (RFC 7239), and the fields that claim the same by
//! other names.
//!
//! From a peer that is not trusted every such claim is removed, and what the listener speaks is set anew; from a trusted
//! proxy what the listener speaks is kept and the peer is added. What it does not speak is removed from everyone: a proxy
//! that does not know a field passes on what its clients wrote in it, and an endpoint would believe it. Names with
//! underscores in place of hyphens (`x_forwarded_for`) are removed from everyone too: many endpoints read both as one
//! (CVE-2026-39858). So are those of the fields that frame a message.

mod element;
mod peer;

use std::net::IpAddr;

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, FORWARDED, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use crate::config::model::{Claims, Dialect};
use crate::error::Kind;
use crate::header::list::members_of;
use crate::header::network;
use element::{Element, Elements, Faulty, address};
use peer::written;

pub use peer::{Peer, Scheme, Trust};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Where the walk back along a request's way has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Walked {
    /// The client, as far as is known.
    client: Option<IpAddr>,
    /// The entry that tells of it, counted from the last; none where there is no entry.
    entry: Option<usize>,
}

/// Walks back along the entries, the last first. `None` where a request has come past fewer proxies than it must have.
///
/// Where a proxy of ours passed on what is no address, that proxy is the last that is known; where all are ours, the first
/// is the client.
fn walk(
    entries: impl Iterator<Item = Option<IpAddr>>,
    peer: &Peer,
    claims: &Claims,
) -> Option<Walked> {
    let mut walked = Walked {
        client: peer.address,
        entry: None,
    };
    if let Some(hops) = claims.hops {
        let mut entries = entries;
        for index in 0..hops.get() {
            walked.entry = Some(index);
            walked.client = entries.next()?.or(walked.client);
        }
        return Some(walked);
    }
    for (index, node) in entries.enumerate() {
        walked.entry = Some(index);
        let Some(address) = node else {
            break;
        };
        walked.client = Some(address);
        if network::longest(&claims.trusted.networks, address).is_none() {
            break;
        }
    }
    Some(walked)
}

/// The entries of `X-Forwarded-For`, the last first.
fn x_entries(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(&X_FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|octet| *octet == b','));
    hops.map(<[u8]>::trim_ascii)
        .filter(|hop| !hop.is_empty())
        .map(address)
}

/// The elements of `Forwarded`, the first first.
fn elements(headers: &HeaderMap) -> Result<Elements<'_>, Faulty> {
    let mut elements = Elements::new();
    for line in headers.get_all(FORWARDED) {
        element::read(line.as_bytes(), &mut elements)?;
    }
    Ok(elements)
}

fn nodes(elements: &[Element<'_>]) -> impl Iterator<Item = Option<IpAddr>> {
    elements.iter().rev().map(|element| element.node)
}

/// Whether a request is told of in `Forwarded`.
fn is_told_in_forwarded(headers: &HeaderMap, dialect: Dialect) -> bool {
    match dialect {
        Dialect::XForwarded => false,
        Dialect::Rfc7239 => true,
        Dialect::Both => headers.contains_key(FORWARDED),
    }
}

/// The walk back along the way of a request that a trusted peer has sent.
fn walk_back(headers: &HeaderMap, peer: &Peer, claims: &Claims) -> Option<Walked> {
    if !is_told_in_forwarded(headers, claims.dialect) {
        return walk(x_entries(headers), peer, claims);
    }
    walk(nodes(&elements(headers).ok()?), peer, claims)
}

/// The client's address: the peer itself or, behind trusted proxies, whom they have told of. To be asked before [`set`].
/// There is none where the client is on a socket of this host.
#[must_use]
pub fn client(headers: &HeaderMap, peer: &Peer, claims: &Claims) -> Option<IpAddr> {
    if peer.trust == Trust::Untrusted {
        return peer.address;
    }
    walk_back(headers, peer, claims).map_or(peer.address, |walked| walked.client)
}

/// The scheme that the client used: a trusted proxy may say so, and only in the words `http` and `https`. To be asked
/// before [`set`].
#[must_use]
pub fn scheme(headers: &HeaderMap, peer: &Peer, own: Scheme, claims: &Claims) -> Scheme {
    if standing(headers, peer, claims) == Trust::Untrusted {
        return own;
    }
    let said = if is_told_in_forwarded(headers, claims.dialect) {
        elements(headers).ok().and_then(|elements| {
            let walked = walk(nodes(&elements), peer, claims)?;
            told(&elements, walked)?
                .proto
                .as_deref()
                .and_then(Scheme::named)
        })
    } else {
        x_scheme(headers)
    };
    said.unwrap_or(own)
}

fn x_scheme(headers: &HeaderMap) -> Option<Scheme> {
    let first = members_of(headers.get(&X_FORWARDED_PROTO)?).next()?;
    Scheme::named(first)
}

/// The element in which the proxy that the client came to tells of it. What stands before it anybody may have written.
fn told<'e, 'v>(elements: &'e [Element<'v>], walked: Walked) -> Option<&'e Element<'v>> {
    elements.iter().rev().nth(walked.entry?)
}

/// Whether what a peer says in this request is believed.
fn standing(headers: &HeaderMap, peer: &Peer, claims: &Claims) -> Trust {
    let is_short = || claims.hops.is_some() && walk_back(headers, peer, claims).is_none();
    match peer.trust {
        Trust::Trusted if !is_short() => Trust::Trusted,
        Trust::Trusted | Trust::Untrusted => Trust::Untrusted,
    }
}

/// Looks whether what a trusted peer says of the client can be meant.
///
/// # Errors
/// [`Kind::MalformedRequest`] where `Forwarded` cannot be read, or `X-Forwarded-*` says otherwise: one of them was not
/// written by the proxy but by its client, and which one cannot be known. To take either, or the proxy itself for the
/// client, would let the client choose.
pub fn check(headers: &HeaderMap, peer: &Peer, claims: &Claims) -> Result<(), Kind> {
    let is_read = claims.dialect.has_rfc7239() && peer.trust == Trust::Trusted;
    if !is_read || !headers.contains_key(FORWARDED) {
        return Ok(());
    }
    let elements = elements(headers).map_err(|Faulty| Kind::MalformedRequest)?;
    let others = [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST];
    if claims.dialect == Dialect::Rfc7239 || !others.iter().any(|one| headers.contains_key(*one)) {
        return Ok(());
    }
    let walked = walk(nodes(&elements), peer, claims);
    let x_walked = walk(x_entries(headers), peer, claims);
    let told = walked.and_then(|walked| told(&elements, walked));
    let scheme = told.and_then(|one| Scheme::named(one.proto.as_deref()?));
    let host = told.and_then(|one| one.host.as_deref());
    let x_host = headers
        .get(&X_FORWARDED_HOST)
        .and_then(|line| members_of(line).next());
    let client = |walked: Option<Walked>| walked.map(|walked| walked.client);
    let is_same = client(walked) == client(x_walked)
        && scheme == x_scheme(headers)
        && host.map(<[u8]>::to_ascii_lowercase) == x_host.map(<[u8]>::to_ascii_lowercase);
    match is_same {
        true => Ok(()),
        false => Err(Kind::MalformedRequest),
    }
}

/// Sets the fields that the listener speaks, and removes what may not be believed. `Host` is the one that the request is
/// for.
pub fn set(headers: &mut HeaderMap, peer: &Peer, scheme: Scheme, claims: &Claims) {
    let trust = standing(headers, peer, claims);
    if claims.dialect == Dialect::Both && trust == Trust::Trusted {
        translate(headers);
    }
    remove_claims(headers, trust, claims.dialect);
    if claims.dialect.has_x_forwarded() {
        set_x(headers, peer, scheme, trust);
    }
    if claims.dialect.has_rfc7239() {
        append_element(headers, peer, scheme);
    }
}

fn set_x(headers: &mut HeaderMap, peer: &Peer, scheme: Scheme, trust: Trust) {
    match trust {
        Trust::Untrusted => {
            match &peer.text {
                Some(text) => headers.insert(&X_FORWARDED_FOR, text.clone()),
                None => headers.remove(&X_FORWARDED_FOR),
            };
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

fn set_host(headers: &mut HeaderMap) {
    // Without `Host` (HTTP/1.0) there is nothing to say, and what the client said is gone by now.
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(&X_FORWARDED_HOST, host);
    }
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

fn remove_claims(headers: &mut HeaderMap, trust: Trust, dialect: Dialect) {
    let mut doomed: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for name in headers.keys() {
        if is_doomed(name, trust, dialect) {
            doomed.push(name.clone());
        }
    }
    for name in &doomed {
        headers.remove(name);
    }
}

fn is_doomed(name: &HeaderName, trust: Trust, dialect: Dialect) -> bool {
    // What all of them begin with; most names are told apart by that.
    if !matches!(name.as_str().as_bytes(), [b'c' | b'f' | b't' | b'x', ..]) {
        return false;
    }
    if *name == FORWARDED {
        return trust == Trust::Untrusted || !dialect.has_rfc7239();
    }
    if !is_claim(name.as_str().as_bytes()) {
        return is_framing_twin(name.as_str().as_bytes());
    }
    if !dialect.has_x_forwarded() && *name != X_FORWARDED_CLIENT_CERT {
        return true;
    }
    // `set` puts these two in place of what is there, whoever said it.
    let is_replaced = *name == X_FORWARDED_FOR || *name == X_FORWARDED_PROTO;
    name.as_str().contains('_') || (trust == Trust::Untrusted && !is_replaced)
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
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;

    use super::*;
    use crate::config::model::Peers;
    use crate::header::tests::fields;

    fn claims(dialect: Dialect) -> Claims {
        let networks = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        Claims {
            trusted: Peers {
                networks,
                unix: false,
            },
            hops: None,
            dialect,
        }
    }

    fn counted(hops: usize) -> Claims {
        Claims {
            hops: NonZeroUsize::new(hops),
            ..Claims::default()
        }
    }

    fn peer(address: &str) -> Peer {
        Peer::new(address.parse().ok(), &claims(Dialect::XForwarded))
    }

    fn set_by(claims: &Claims, address: &str, lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = fields(lines);
        let peer = Peer::new(address.parse().ok(), claims);
        set(&mut headers, &peer, Scheme::Http, claims);
        headers
    }

    fn set_for(address: &str, lines: &[(&str, &str)]) -> HeaderMap {
        set_by(&claims(Dialect::XForwarded), address, lines)
    }

    proptest! {
        #[test]
        fn an_address_is_written_as_it_is_displayed(octets: [u8; 4], segments: [u16; 8]) {
            for address in [IpAddr::from(octets), IpAddr::from(segments)] {
                let text = address.to_string();
                prop_assert_eq!(written(address), text.as_str());
            }
        }
    }

    #[test]
    fn claims_of_an_untrusted_peer_are_replaced() {
        let headers = set_for(
            "1.2.3.4",
            &[
                ("host", "shop.example:8080"),
                ("x-forwarded-for", "9.9.9.9"),
                ("x-forwarded-for", "8.8.8.8"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil.example"),
                ("x-forwarded-port", "1"),
                ("x-real-ip", "9.9.9.9"),
                ("forwarded", "for=9.9.9.9"),
                ("x-forwardedness", "kept"),
            ],
        );
        let expected = [
            ("host", "shop.example:8080"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "shop.example:8080"),
            ("x-forwardedness", "kept"),
        ];
        assert_eq!(headers, fields(&expected));
    }

    #[test]
    fn claims_of_a_trusted_peer_are_kept_and_it_is_added() {
        let headers = set_for(
            "10.0.0.2",
            &[
                ("host", "inner.example"),
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-for", "10.0.0.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "shop.example"),
                ("x-forwarded-port", "443"),
                ("forwarded", "for=1.2.3.4"),
            ],
        );
        let expected = [
            ("host", "inner.example"),
            ("x-forwarded-for", "1.2.3.4, 10.0.0.1, 10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
            ("x-forwarded-port", "443"),
        ];
        assert_eq!(headers, fields(&expected));
    }

    #[test]
    fn a_trusted_peer_that_says_nothing_is_the_client() {
        let headers = set_for("fd00::1", &[("host", "a"), ("x-forwarded-for", "")]);
        let expected = [
            ("host", "a"),
            ("x-forwarded-for", "fd00::1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a"),
        ];
        assert_eq!(headers, fields(&expected));
    }

    #[test]
    fn twins_with_underscores_are_removed_from_everyone() {
        let twins = [
            ("x_forwarded_for", "9.9.9.9"),
            ("x-forwarded_proto", "https"),
            ("x_forwarded-host", "evil.example"),
            ("x_real_ip", "9.9.9.9"),
        ];
        for address in ["1.2.3.4", "10.0.0.1"] {
            let headers = set_for(address, &twins);
            let expected = [("x-forwarded-for", address), ("x-forwarded-proto", "http")];
            assert_eq!(headers, fields(&expected));
        }
    }

    #[test]
    fn twins_of_framing_fields_are_removed_and_those_themselves_are_not() {
        for address in ["1.2.3.4", "10.0.0.1"] {
            let headers = set_for(
                address,
                &[
                    ("content-length", "1"),
                    ("transfer-encoding", "a"),
                    ("content_length", "2"),
                    ("transfer_encoding", "b"),
                    ("content_lengths", "3"),
                ],
            );
            let kept = ["content-length", "transfer-encoding", "content_lengths"];
            assert!(kept.iter().all(|name| headers.contains_key(*name)));
            assert_eq!(headers.len(), kept.len() + 2, "{headers:?}");
        }
    }

    #[test]
    fn without_host_a_claimed_one_is_removed_all_the_same() {
        let headers = set_for("1.2.3.4", &[("x-forwarded-host", "evil.example")]);
        assert!(!headers.contains_key("x-forwarded-host"));
    }

    #[test]
    fn who_a_peer_has_proved_to_be_is_added_to_what_trusted_proxies_say_and_to_nothing_else() {
        let ours = HeaderValue::from_static("Hash=1");
        let claimed = [
            ("x-forwarded-client-cert", "Hash=8"),
            ("x-forwarded-client-cert", "Hash=9"),
            ("x_forwarded_client_cert", "Hash=7"),
        ];
        for (address, expected) in [("1.2.3.4", "Hash=1"), ("10.0.0.1", "Hash=8,Hash=9,Hash=1")] {
            let mut headers = set_for(address, &claimed);
            set_identity(&mut headers, &ours);
            let all: Vec<_> = headers.get_all(&X_FORWARDED_CLIENT_CERT).iter().collect();
            assert_eq!(all, [expected], "{address}");
            assert!(!headers.contains_key("x_forwarded_client_cert"));
        }
    }

    #[test]
    fn a_mapped_address_is_written_as_ipv4() {
        let headers = set_for("::ffff:1.2.3.4", &[]);
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4");
        assert_eq!(peer("::ffff:10.0.0.1").trust(), Trust::Trusted);
    }

    fn client_by(claims: &Claims, address: &str, lines: &[(&str, &str)]) -> String {
        let peer = Peer::new(address.parse().ok(), claims);
        let client = client(&fields(lines), &peer, claims);
        client.map_or("unix".to_owned(), |client| client.to_string())
    }

    fn client_of(address: &str, lines: &[&str]) -> String {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| ("x-forwarded-for", *line))
            .collect();
        client_by(&claims(Dialect::XForwarded), address, &lines)
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_trusted_proxy() {
        assert_eq!(
            client_of("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"]),
            "1.2.3.4"
        );
        assert_eq!(
            client_of("10.0.0.1", &["6.6.6.6", "1.2.3.4", "10.0.0.2"]),
            "1.2.3.4"
        );
        assert_eq!(
            client_of("10.0.0.1", &["[2001:db8::1]:443, "]),
            "2001:db8::1"
        );
        assert_eq!(client_of("10.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(client_of("10.0.0.1", &["1.2.3.4:5678"]), "1.2.3.4");
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        assert_eq!(client_of("1.2.3.4", &["9.9.9.9"]), "1.2.3.4");
    }

    #[test]
    fn the_last_known_proxy_is_the_client_where_the_chain_breaks_or_ends() {
        assert_eq!(
            client_of("10.0.0.1", &["1.2.3.4, unknown, 10.0.0.2"]),
            "10.0.0.2"
        );
        assert_eq!(client_of("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client_of("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn only_a_trusted_peer_says_which_scheme_the_client_used() {
        let said = |address, value| {
            let headers = fields(&[("x-forwarded-proto", value)]);
            scheme(
                &headers,
                &peer(address),
                Scheme::Http,
                &claims(Dialect::XForwarded),
            )
        };
        assert_eq!(said("10.0.0.1", "HTTPS, http"), Scheme::Https);
        assert_eq!(said("1.2.3.4", "https"), Scheme::Http);
        assert_eq!(said("10.0.0.1", "gopher"), Scheme::Http);
    }

    #[test]
    fn what_a_listener_does_not_speak_is_removed_even_from_trusted_proxies() {
        let lines = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "1.2.3.4"),
            ("forwarded", "for=5.6.7.8"),
        ];
        let spoken = set_by(&claims(Dialect::Rfc7239), "10.0.0.2", &lines);
        assert_eq!(
            spoken,
            fields(&[("forwarded", "for=5.6.7.8, for=10.0.0.2;proto=http")])
        );
        assert!(!set_for("10.0.0.2", &lines).contains_key("forwarded"));
    }

    #[test]
    fn forwarded_is_set_anew_for_untrusted_peers() {
        let lines = [("host", "a.example:8080"), ("forwarded", "for=9.9.9.9")];
        for (address, node) in [("1.2.3.4", "1.2.3.4"), ("2001:db8::1", "\"[2001:db8::1]\"")] {
            let headers = set_by(&claims(Dialect::Rfc7239), address, &lines);
            let expected = format!("for={node};host=\"a.example:8080\";proto=http");
            assert_eq!(headers["forwarded"], expected);
        }
    }

    #[test]
    fn a_peer_without_an_address_is_unknown() {
        let lines = [("x-forwarded-for", "9.9.9.9"), ("forwarded", "for=9.9.9.9")];
        let headers = set_by(&claims(Dialect::Both), "unix", &lines);
        assert_eq!(
            headers,
            fields(&[
                ("x-forwarded-proto", "http"),
                ("forwarded", "for=unknown;proto=http")
            ])
        );
        let mut trusting = claims(Dialect::Both);
        trusting.trusted.unix = true;
        let lines = [("x-forwarded-for", "1.2.3.4")];
        let headers = set_by(&trusting, "unix", &lines);
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4");
        assert_eq!(headers["forwarded"], "for=1.2.3.4, for=unknown;proto=http");
        assert_eq!(client_by(&trusting, "unix", &lines), "1.2.3.4");
        assert_eq!(client_by(&trusting, "unix", &[]), "unix");
    }

    #[test]
    fn what_is_told_in_one_way_is_told_in_both() {
        let both = claims(Dialect::Both);
        let headers = set_by(
            &both,
            "10.0.0.2",
            &[("forwarded", "for=1.2.3.4;proto=https;host=a, for=_x")],
        );
        assert_eq!(headers["x-forwarded-for"], "1.2.3.4, unknown, 10.0.0.2");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "a");
        let lines = [
            ("x-forwarded-for", "1.2.3.4, 10.0.0.1"),
            ("x-forwarded-proto", "https"),
        ];
        let headers = set_by(&both, "10.0.0.2", &lines);
        assert_eq!(
            headers["forwarded"],
            "for=1.2.3.4;proto=https, for=10.0.0.1, for=10.0.0.2;proto=http"
        );
    }

    #[test]
    fn ways_of_telling_that_contradict_each_other_are_refused() {
        let both = claims(Dialect::Both);
        let trusted = Peer::new("10.0.0.2".parse().ok(), &both);
        let said = |lines: &[(&str, &str)]| check(&fields(lines), &trusted, &both);
        let agreeing = [
            ("forwarded", "for=9.9.9.9, for=1.2.3.4;proto=https;host=A"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a"),
        ];
        assert_eq!(said(&agreeing), Ok(()));
        for (at, other) in [
            (1, "5.6.7.8"),
            (1, "1.2.3.4, 10.0.0.1, 8.8.8.8"),
            (2, "http"),
            (3, "b"),
            (0, "for=1.2.3.4"),
            (0, "for=\""),
        ] {
            let mut lines = agreeing;
            lines[at].1 = other;
            assert_eq!(said(&lines), Err(Kind::MalformedRequest), "{lines:?}");
        }
        assert_eq!(
            said(&[("forwarded", "for=1.2.3.4"), ("x-forwarded-proto", "https")]),
            Err(Kind::MalformedRequest)
        );
        // What is not believed cannot contradict.
        let stranger = Peer::new("1.1.1.1".parse().ok(), &both);
        assert_eq!(
            check(&fields(&[("forwarded", "\"")]), &stranger, &both),
            Ok(())
        );
        let spoken = claims(Dialect::XForwarded);
        assert_eq!(
            check(&fields(&[("forwarded", "\"")]), &trusted, &spoken),
            Ok(())
        );
    }

    #[test]
    fn the_proxy_that_the_client_came_to_says_in_which_scheme() {
        let spoken = claims(Dialect::Rfc7239);
        let proxy = Peer::new("10.0.0.2".parse().ok(), &spoken);
        for (line, expected) in [
            (
                "for=6.6.6.6;proto=https, for=1.2.3.4;proto=http, for=10.0.0.1;proto=https",
                Scheme::Http,
            ),
            (
                "for=6.6.6.6;proto=http, for=1.2.3.4;proto=HTTPS, for=10.0.0.1;proto=http",
                Scheme::Https,
            ),
            ("for=1.2.3.4", Scheme::Http),
        ] {
            let headers = fields(&[("forwarded", line)]);
            assert_eq!(
                scheme(&headers, &proxy, Scheme::Http, &spoken),
                expected,
                "{line}"
            );
        }
    }

    #[test]
    fn hops_are_counted_from_the_nearest() {
        let line = [("x-forwarded-for", "6.6.6.6, 1.2.3.4, 172.16.0.1")];
        assert_eq!(client_by(&counted(1), "5.5.5.5", &line), "172.16.0.1");
        assert_eq!(client_by(&counted(2), "5.5.5.5", &line), "1.2.3.4");
        assert_eq!(client_by(&counted(3), "5.5.5.5", &line), "6.6.6.6");
        let rfc = Claims {
            dialect: Dialect::Rfc7239,
            ..counted(2)
        };
        let line = [("forwarded", "for=6.6.6.6, for=1.2.3.4, for=172.16.0.1")];
        assert_eq!(client_by(&rfc, "5.5.5.5", &line), "1.2.3.4");
    }

    #[test]
    fn who_came_past_fewer_hops_than_there_are_is_not_believed() {
        let lines = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(client_by(&counted(2), "5.5.5.5", &lines), "5.5.5.5");
        let headers = set_by(&counted(2), "5.5.5.5", &lines);
        assert_eq!(
            headers,
            fields(&[
                ("x-forwarded-for", "5.5.5.5"),
                ("x-forwarded-proto", "http")
            ])
        );
    }

    #[test]
    fn hops_of_strangers_are_not_counted_where_trusted_proxies_are_named() {
        let claims = Claims {
            hops: NonZeroUsize::new(1),
            ..claims(Dialect::XForwarded)
        };
        let line = [("x-forwarded-for", "6.6.6.6")];
        assert_eq!(client_by(&claims, "5.5.5.5", &line), "5.5.5.5");
        assert_eq!(client_by(&claims, "10.0.0.1", &line), "6.6.6.6");
    }

    proptest! {
        #[test]
        fn an_untrusted_peer_never_gets_a_claim_through(
            names in prop::collection::vec("x[-_](forwarded[-_](for|proto|host|by)|real[-_]ip)|forwarded", 0..8),
        ) {
            let lines: Vec<_> = names.iter().map(|name| (name.as_str(), "9.9.9.9")).collect();
            for dialect in [Dialect::XForwarded, Dialect::Rfc7239, Dialect::Both] {
                let headers = set_by(&claims(dialect), "1.2.3.4", &lines);
                prop_assert!(headers.values().all(|value| value != "9.9.9.9"), "{:?}", headers);
            }
        }

        #[test]
        fn no_chain_panics(lines in prop::collection::vec(r"[ -~]{0,12}|(10\.0\.0\.1,){0,3}", 0..4)) {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            client_of("10.0.0.1", &lines);
        }
    }
}
