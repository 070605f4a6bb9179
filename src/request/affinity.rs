//! The keys by which a request sticks to an endpoint, read from it as the client sent it.
//!
//! Nothing is copied: a key is hashed where it lies. A key that is empty is none.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::COOKIE;

use crate::balance::ring_hash::hash;
use crate::config::model::HashOn;
use crate::pool::{KeySource, Keys};

/// The keys that a request has at these sources.
pub(super) fn keys(
    sources: &[KeySource],
    headers: &HeaderMap,
    path: &str,
    client: Option<IpAddr>,
) -> Keys {
    let mut keys = Keys::default();
    for source in sources {
        let key = match source.on() {
            // Who is on a socket of this host has none.
            HashOn::ClientIp => client.map(|address| match address.to_canonical() {
                IpAddr::V4(address) => hash(&address.octets()),
                IpAddr::V6(address) => hash(&address.octets()),
            }),
            HashOn::Path => Some(hash(path.as_bytes())),
            HashOn::Header(name) => {
                let value = headers.get(name).map(|value| value.as_bytes());
                value.filter(|value| !value.is_empty()).map(hash)
            }
            HashOn::Cookie(name) => cookie(headers, name).map(hash),
        };
        if let Some(key) = key {
            keys.add(source, key);
        }
    }
    keys
}

/// The value of the first cookie of this name that has one. Names are compared octet by octet, pairs are divided by
/// `;` and stripped of blanks, quotes belong to the value (RFC 6265 §4.1.1, §5.4); what is no pair is passed over.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let fields = headers.get_all(COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|octet| *octet == b';'));
    pairs
        .filter_map(|pair| {
            let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
            rest.strip_prefix(b"=")
        })
        .find(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn key(on: HashOn, headers: &HeaderMap) -> Option<u64> {
        let source = KeySource::new(on);
        let client = "192.0.2.1".parse().unwrap();
        keys(std::slice::from_ref(&source), headers, "/a/b", Some(client)).of(&source)
    }

    fn with(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn each_source_gives_its_own_key() {
        let none = HeaderMap::new();
        assert_eq!(key(HashOn::Path, &none), Some(hash(b"/a/b")));
        assert_eq!(key(HashOn::ClientIp, &none), Some(hash(&[192, 0, 2, 1])));
        let user = HashOn::Header(HeaderName::from_static("x-user"));
        assert_eq!(key(user.clone(), &none), None);
        assert_eq!(key(user.clone(), &with("x-user", &[""])), None);
        let two = with("x-user", &["ann", "bob"]);
        assert_eq!(key(user, &two), Some(hash(b"ann")), "the first field");
    }

    #[test]
    fn an_address_of_ipv4_in_ipv6_is_the_same_client() {
        let source = KeySource::new(HashOn::ClientIp);
        let of = |client: &str| {
            let client = client.parse().ok();
            let sources = std::slice::from_ref(&source);
            keys(sources, &HeaderMap::new(), "/", client).of(&source)
        };
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.2"), of("192.0.2.1"));
    }

    #[test]
    fn a_cookie_is_found_by_its_very_name_among_others() {
        let cases: &[(&[&str], Option<&[u8]>)] = &[
            (&["uid=7"], Some(b"7")),
            (&["a=1; uid=7; b=2"], Some(b"7")),
            (&["a=1", "uid=7"], Some(b"7")),
            (&["a=1;uid=7"], Some(b"7")),
            (&["uid=x=y"], Some(b"x=y")),
            (&["uid=\"7\""], Some(b"\"7\"")),
            (&["uid=; uid=7"], Some(b"7")),
            (&["uid=7; uid=8"], Some(b"7")),
            (&["UID=7"], None),
            (&["xuid=7"], None),
            (&["uidx=7"], None),
            (&["uid"], None),
            (&["uid =7"], None),
            (&["a=uid=7"], None),
            (&[";;; ;="], None),
            (&[], None),
        ];
        for (fields, expected) in cases {
            let headers = with("cookie", fields);
            assert_eq!(cookie(&headers, "uid"), *expected, "{fields:?}");
        }
    }
}
