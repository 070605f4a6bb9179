//! Who the client is: `X-Forwarded-For`, `-Proto`, `-Host`, and the fields that claim the same by other names.
//!
//! From a peer that is not trusted every such claim is removed and the three are set anew; from a trusted proxy they
//! are kept and the peer is added to `X-Forwarded-For`. Names with underscores in place of hyphens
//! (`x_forwarded_for`) are removed from everyone: many endpoints read both as one (CVE-2026-39858). So are those of the
//! fields that frame a message.

use std::net::IpAddr;

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, FORWARDED, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use smallvec::SmallVec;

use crate::header::list::members_of;
use crate::header::network;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Who sent a request to this proxy. Made once for a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    address: IpAddr,
    text: HeaderValue,
    trust: Trust,
}

/// Whether what a peer says about clients is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is a proxy of ours (`trustedProxies`).
    Trusted,
    /// It may be anybody.
    Untrusted,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// Over TLS.
    Https,
}

impl Peer {
    /// The peer at this address, trusted when one of these networks holds it.
    #[must_use]
    pub fn new(address: IpAddr, trusted_proxies: &[IpNet]) -> Self {
        let address = address.to_canonical();
        Self {
            address,
            text: written(address),
            trust: match network::longest(trusted_proxies, address) {
                Some(_) => Trust::Trusted,
                None => Trust::Untrusted,
            },
        }
    }

    /// Its address; IPv4 mapped into IPv6 is IPv4.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it is believed.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.trust
    }
}

/// An address as a value. Every connection has one, and most are of the old kind, for which formatting takes ten times as
/// long as writing four numbers.
fn written(address: IpAddr) -> HeaderValue {
    let text = match address {
        IpAddr::V4(address) => {
            let mut text = BytesMut::with_capacity("255.255.255.255".len());
            for octet in address.octets() {
                if !text.is_empty() {
                    text.extend_from_slice(b".");
                }
                text.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
            text.freeze()
        }
        IpAddr::V6(address) => address.to_string().into(),
    };
    HeaderValue::from_maybe_shared(text).expect("an address is digits, dots and colons")
}

impl Scheme {
    /// As it stands in a URI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }
}

/// The client's address: the peer itself or, behind trusted proxies, the last address in `X-Forwarded-For` that is not
/// one of theirs. To be asked before [`set`].
///
/// Where a trusted proxy passed on what is no address, that proxy is the last that is known; where all are trusted,
/// the first is the client.
#[must_use]
pub fn client(headers: &HeaderMap, peer: &Peer, trusted_proxies: &[IpNet]) -> IpAddr {
    let mut known = peer.address;
    if peer.trust == Trust::Untrusted {
        return known;
    }
    for line in headers.get_all(&X_FORWARDED_FOR).iter().rev() {
        for hop in line.as_bytes().rsplit(|byte| *byte == b',') {
            let hop = hop.trim_ascii();
            if hop.is_empty() {
                continue;
            }
            let Some(address) = address(hop) else {
                return known;
            };
            known = address;
            if network::longest(trusted_proxies, address).is_none() {
                return known;
            }
        }
    }
    known
}

/// An address as proxies write it: bare, in brackets, and either with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => address,
            _ => text,
        },
    };
    bare.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

/// The scheme that the client used: a trusted proxy may say so, and only in the words `http` and `https`. To be asked
/// before [`set`].
#[must_use]
pub fn scheme(headers: &HeaderMap, peer: &Peer, own: Scheme) -> Scheme {
    let said = match peer.trust {
        Trust::Trusted => headers.get(&X_FORWARDED_PROTO),
        Trust::Untrusted => None,
    };
    let Some(first) = said.and_then(|line| members_of(line).next()) else {
        return own;
    };
    if first.eq_ignore_ascii_case(b"https") {
        Scheme::Https
    } else if first.eq_ignore_ascii_case(b"http") {
        Scheme::Http
    } else {
        own
    }
}

/// Sets the three fields and removes what may not be believed. `Host` is the one that the request is for.
pub fn set(headers: &mut HeaderMap, peer: &Peer, scheme: Scheme) {
    remove_claims(headers, peer.trust);
    match peer.trust {
        Trust::Untrusted => {
            headers.insert(&X_FORWARDED_FOR, peer.text.clone());
            headers.insert(&X_FORWARDED_PROTO, scheme.value());
            set_host(headers);
        }
        Trust::Trusted => {
            append_peer(headers, peer);
            if !headers.contains_key(&X_FORWARDED_PROTO) {
                headers.insert(&X_FORWARDED_PROTO, scheme.value());
            }
            if !headers.contains_key(&X_FORWARDED_HOST) {
                set_host(headers);
            }
        }
    }
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
fn append_peer(headers: &mut HeaderMap, peer: &Peer) {
    let mut text = BytesMut::new();
    for line in headers.get_all(&X_FORWARDED_FOR) {
        if !line.is_empty() {
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(b", ");
        }
    }
    let value = if text.is_empty() {
        peer.text.clone()
    } else {
        text.extend_from_slice(peer.text.as_bytes());
        HeaderValue::from_maybe_shared(text.freeze())
            .expect("values and addresses, joined by commas, are a value")
    };
    headers.insert(&X_FORWARDED_FOR, value);
}

fn remove_claims(headers: &mut HeaderMap, trust: Trust) {
    let mut doomed: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for name in headers.keys() {
        if is_doomed(name, trust) {
            doomed.push(name.clone());
        }
    }
    for name in &doomed {
        headers.remove(name);
    }
}

fn is_doomed(name: &HeaderName, trust: Trust) -> bool {
    // What all of them begin with; most names are told apart by that.
    if !matches!(name.as_str().as_bytes(), [b'c' | b'f' | b't' | b'x', ..]) {
        return false;
    }
    if *name == FORWARDED {
        return trust == Trust::Untrusted;
    }
    if !is_claim(name.as_str().as_bytes()) {
        return is_framing_twin(name.as_str().as_bytes());
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
    use proptest::prelude::*;

    use super::*;
    use crate::header::tests::fields;

    fn networks() -> Vec<IpNet> {
        vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]
    }

    fn peer(address: &str) -> Peer {
        Peer::new(address.parse().unwrap(), &networks())
    }

    fn set_for(address: &str, lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = fields(lines);
        set(&mut headers, &peer(address), Scheme::Http);
        headers
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
            ("forwarded", "for=1.2.3.4"),
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

    fn client_of(address: &str, lines: &[&str]) -> String {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| ("x-forwarded-for", *line))
            .collect();
        client(&fields(&lines), &peer(address), &networks()).to_string()
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
            scheme(&headers, &peer(address), Scheme::Http)
        };
        assert_eq!(said("10.0.0.1", "HTTPS, http"), Scheme::Https);
        assert_eq!(said("1.2.3.4", "https"), Scheme::Http);
        assert_eq!(said("10.0.0.1", "gopher"), Scheme::Http);
    }

    proptest! {
        #[test]
        fn an_untrusted_peer_never_gets_a_claim_through(
            names in prop::collection::vec("x[-_](forwarded[-_](for|proto|host|by)|real[-_]ip)|forwarded", 0..8),
        ) {
            let lines: Vec<_> = names.iter().map(|name| (name.as_str(), "9.9.9.9")).collect();
            let headers = set_for("1.2.3.4", &lines);
            prop_assert!(headers.values().all(|value| value != "9.9.9.9"), "{:?}", headers);
        }

        #[test]
        fn no_chain_panics(lines in prop::collection::vec(r"[ -~]{0,12}|(10\.0\.0\.1,){0,3}", 0..4)) {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            client_of("10.0.0.1", &lines);
        }
    }
}
