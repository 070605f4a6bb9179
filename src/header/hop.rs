//! Fields that belong to one connection and are not passed on (RFC 9110 §7.6.1), and the offer to upgrade.
//!
//! `Transfer-Encoding` stays: the framing of each message is written anew, and the field tells that a `GET` has a body of
//! unknown length. `Trailer` stays too, as trailers are passed on.

use http::header::{
    CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, HeaderName, MAX_FORWARDS, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderValue, Method, Version};
use smallvec::SmallVec;

use crate::header::framing::Framing;
use crate::header::ids::{TRACEPARENT, TRACESTATE, X_REQUEST_ID};
use crate::header::keep_alive::KEEP_ALIVE;
use crate::header::list::{is_token, members, members_of};
use crate::header::present::Present;

/// What some clients say to a proxy in place of `Connection` (RFC 9112 §C.2.2).
pub(crate) static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// What comes along with an `Upgrade` to HTTP/2 (RFC 7540 §3.2.1).
pub(crate) static HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
/// What `TE` may say everywhere (RFC 9110 §10.1.4).
pub(crate) static TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Removes what belongs to the client's connection. `TE: trailers` is said anew where the client said it, since fiel
/// passes trailers on.
pub fn strip_request(headers: &mut HeaderMap, present: Present) {
    if !present.has_any(Present::HOP_BY_HOP) {
        return;
    }
    let accepts_trailers = accepts_trailers(headers, present);
    strip(headers, present);
    if present.has(Present::PROXY_AUTHORIZATION) {
        // RFC 9110 §11.7.2: for the next proxy that asks for it, which fiel never does. An endpoint is none.
        headers.remove(PROXY_AUTHORIZATION);
    }
    if accepts_trailers {
        headers.insert(TE, TRAILERS.clone());
    }
}

/// Removes what belongs to the endpoint's connection.
pub fn strip_response(headers: &mut HeaderMap, present: Present) {
    if !present.has_any(Present::HOP_BY_HOP) {
        return;
    }
    strip(headers, present);
    if present.has(Present::PROXY_AUTHENTICATE) {
        // RFC 9110 §11.7.1: the client would take it for this proxy's.
        headers.remove(PROXY_AUTHENTICATE);
    }
}

/// Whether a message says `TE: trailers` (RFC 9110 §10.1.4), without which it gets none.
#[must_use]
pub fn accepts_trailers(headers: &HeaderMap, present: Present) -> bool {
    present.has(Present::TE)
        && members(headers, TE).any(|member| member.eq_ignore_ascii_case(b"trailers"))
}

fn strip(headers: &mut HeaderMap, present: Present) {
    for (field, name) in [
        (Present::PROXY_CONNECTION, &PROXY_CONNECTION),
        (Present::KEEP_ALIVE, &KEEP_ALIVE),
        (Present::TE, &TE),
        (Present::UPGRADE, &UPGRADE),
    ] {
        if present.has(field) {
            headers.remove(name);
        }
    }
    if present.has(Present::UPGRADE) {
        // It belongs to an upgrade to h2c, also where `Connection` does not name it.
        headers.remove(&HTTP2_SETTINGS);
    }
    if present.has(Present::CONNECTION) {
        strip_named(headers);
    }
}

/// Removes `Connection` and what it names.
fn strip_named(headers: &mut HeaderMap) {
    // A second name for these lines, since the map changes below; it copies no octets.
    let mut naming: SmallVec<[HeaderValue; 2]> = SmallVec::new();
    for line in headers.get_all(CONNECTION) {
        if !is_usual(line.as_bytes()) && members_of(line).any(|option| !is_usual(option)) {
            naming.push(line.clone());
        }
    }
    headers.remove(CONNECTION);
    // RFC 9110 §7.6.1: "remove any header or trailer field(s) from the message with the same name as the
    // connection-option".
    for option in naming.iter().flat_map(members_of) {
        if let Ok(name) = std::str::from_utf8(option)
            && !is_protected(name)
        {
            headers.remove(name);
        }
    }
}

/// Options that name no field, or one that is removed anyway.
fn is_usual(option: &[u8]) -> bool {
    [&b"keep-alive"[..], b"close", b"upgrade", b"te"]
        .iter()
        .any(|usual| option.eq_ignore_ascii_case(usual))
}

/// Fields that a message may not have removed by naming them: those of framing and routing, and those that tell the
/// endpoint what the proxy, or a trusted one before it, knows (CVE-2024-45410).
fn is_protected(name: &str) -> bool {
    const FORWARDED_FAMILY: &str = "x-forwarded-";
    let protected = [
        &HOST,
        &CONTENT_LENGTH,
        &TRANSFER_ENCODING,
        &FORWARDED,
        &MAX_FORWARDS,
        &VIA,
        &X_REQUEST_ID,
        &TRACEPARENT,
        &TRACESTATE,
    ];
    protected
        .iter()
        .any(|field| field.as_str().eq_ignore_ascii_case(name))
        || name
            .get(..FORWARDED_FAMILY.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(FORWARDED_FAMILY))
}

/// The protocol to which a request asks to be switched (RFC 9110 §7.8), where fiel would tunnel it. To be asked
/// before [`strip_request`].
///
/// That is a `GET` of HTTP/1.1 without a body and with exactly one protocol. One of HTTP/2 has `Connection` only where the
/// proxy itself has made it from an extended CONNECT (RFC 8441). `h2c` and others that carry HTTP are not
/// tunnelled: requests inside would pass by routes, limits and logs. Without an upgrade the request goes on as an
/// ordinary one, which RFC 9110 §7.8 lets a server do.
#[must_use]
pub fn upgrade(
    headers: &HeaderMap,
    present: Present,
    method: &Method,
    version: Version,
    framing: Framing,
) -> Option<HeaderValue> {
    let may_switch = present.has(Present::UPGRADE)
        && method == Method::GET
        && (version == Version::HTTP_11 || version == Version::HTTP_2)
        && matches!(framing, Framing::Empty | Framing::Length(0))
        && members(headers, CONNECTION).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
    if !may_switch {
        return None;
    }
    let mut lines = headers.get_all(UPGRADE).iter();
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let protocol = line.as_bytes();
    let (name, version) = match protocol.iter().position(|byte| *byte == b'/') {
        Some(slash) => (&protocol[..slash], Some(&protocol[slash + 1..])),
        None => (protocol, None),
    };
    let carries_http = [&b"h2c"[..], b"h2", b"http", b"tls"]
        .iter()
        .any(|http| name.eq_ignore_ascii_case(http));
    (is_token(name) && version.is_none_or(is_token) && !carries_http).then(|| line.clone())
}

/// Whether a 101 switches to the protocol that was asked for. Any other 101 is an answer that nobody asked for, after
/// which no octet may be taken for a tunnel's (CVE-2026-2833). To be asked before [`strip_response`].
#[must_use]
pub fn switches_to(headers: &HeaderMap, asked: &HeaderValue) -> bool {
    let mut protocols = members(headers, UPGRADE);
    let first = protocols.next();
    first.is_some_and(|protocol| protocol.eq_ignore_ascii_case(asked.as_bytes()))
        && protocols.next().is_none()
}

/// Says what belongs to the proxy's own HTTP/1.1 connection, to an endpoint or (with a 101) to a client: the upgrade,
/// and the option that `TE` needs (RFC 9110 §10.1.4), where the message came with one.
pub fn announce(headers: &mut HeaderMap, present: Present, upgrade: Option<HeaderValue>) {
    let has_te = present.has(Present::TE) && headers.contains_key(TE);
    let options = match (upgrade.is_some(), has_te) {
        (false, false) => return,
        (false, true) => "te",
        (true, false) => "upgrade",
        (true, true) => "upgrade, te",
    };
    headers.insert(CONNECTION, HeaderValue::from_static(options));
    if let Some(protocol) = upgrade {
        headers.insert(UPGRADE, protocol);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header::tests::fields;

    fn upgrade(
        headers: &HeaderMap,
        method: &Method,
        version: Version,
        framing: Framing,
    ) -> Option<HeaderValue> {
        super::upgrade(headers, Present::of(headers), method, version, framing)
    }

    fn stripped(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = fields(lines);
        let present = Present::of(&headers);
        strip_request(&mut headers, present);
        headers
    }

    #[test]
    fn fields_of_the_connection_are_removed() {
        let headers = stripped(&[
            ("connection", "keep-alive"),
            ("proxy-connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
            ("accept", "*/*"),
        ]);
        assert_eq!(headers, fields(&[("accept", "*/*")]));
    }

    #[test]
    fn fields_named_in_connection_are_removed_whatever_their_case_and_line() {
        let headers = stripped(&[
            ("connection", "close, X-One ,, x-two"),
            ("connection", "X-THREE"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-two", "3"),
            ("x-three", "4"),
            ("x-four", "5"),
        ]);
        assert_eq!(headers, fields(&[("x-four", "5")]));
    }

    #[test]
    fn a_client_cannot_remove_framing_host_or_what_proxies_say() {
        let kept = [
            ("host", "a"),
            ("content-length", "1"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-prefix", "/a"),
            ("forwarded", "for=1.1.1.1"),
            ("via", "1.1 a"),
            ("x-request-id", "a"),
            ("traceparent", "a"),
        ];
        let options = kept.map(|(name, _)| name.to_uppercase()).join(",");
        let mut lines = kept.to_vec();
        lines.push(("connection", &options));
        assert_eq!(stripped(&lines), fields(&kept));
    }

    #[test]
    fn te_trailers_is_said_anew_and_other_codings_are_not() {
        let headers = stripped(&[("te", "gzip, Trailers"), ("connection", "TE")]);
        assert_eq!(headers, fields(&[("te", "trailers")]));
    }

    #[test]
    fn an_option_that_is_no_field_name_is_passed_over() {
        let headers = stripped(&[("connection", "a b, é, (, x-one"), ("x-one", "1")]);
        assert_eq!(headers, HeaderMap::new());
    }

    fn asks(connection: &'static str, protocol: &'static str) -> Option<HeaderValue> {
        let headers = fields(&[("connection", connection), ("upgrade", protocol)]);
        upgrade(&headers, &Method::GET, Version::HTTP_11, Framing::Empty)
    }

    #[test]
    fn one_protocol_is_tunnelled() {
        assert_eq!(asks("Upgrade", "websocket").unwrap(), "websocket");
        assert_eq!(
            asks("keep-alive, upgrade", "WebSocket").unwrap(),
            "WebSocket"
        );
        assert_eq!(asks("upgrade", "foo/2").unwrap(), "foo/2");
    }

    #[test]
    fn an_upgrade_that_is_not_whole_or_not_single_is_an_ordinary_request() {
        assert_eq!(asks("keep-alive", "websocket"), None);
        assert_eq!(asks("upgrade", "websocket, foo"), None);
        assert_eq!(asks("upgrade", ""), None);
        assert_eq!(asks("upgrade", "foo/"), None);
        assert_eq!(asks("upgrade", "web socket"), None);
        let twice = fields(&[
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("upgrade", "foo"),
        ]);
        let asked = upgrade(&twice, &Method::GET, Version::HTTP_11, Framing::Empty);
        assert_eq!(asked, None);
    }

    #[test]
    fn protocols_that_carry_http_are_not_tunnelled() {
        for protocol in ["h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.0"] {
            assert_eq!(asks("upgrade", protocol), None, "{protocol}");
        }
    }

    #[test]
    fn only_a_get_of_http_1_1_without_a_body_is_tunnelled() {
        let headers = fields(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        let asked = |method, version, framing| upgrade(&headers, &method, version, framing);
        assert!(asked(Method::GET, Version::HTTP_11, Framing::Length(0)).is_some());
        assert!(asked(Method::POST, Version::HTTP_11, Framing::Empty).is_none());
        assert!(asked(Method::GET, Version::HTTP_10, Framing::Empty).is_none());
        assert!(asked(Method::GET, Version::HTTP_11, Framing::Length(1)).is_none());
        assert!(asked(Method::GET, Version::HTTP_11, Framing::Chunked).is_none());
    }

    #[test]
    fn only_the_protocol_that_was_asked_for_is_switched_to() {
        let asked = HeaderValue::from_static("websocket");
        assert!(switches_to(&fields(&[("upgrade", "WebSocket")]), &asked));
        assert!(!switches_to(&fields(&[("upgrade", "foo")]), &asked));
        assert!(!switches_to(
            &fields(&[("upgrade", "websocket, foo")]),
            &asked
        ));
        assert!(!switches_to(&HeaderMap::new(), &asked));
    }

    #[test]
    fn the_connection_to_the_endpoint_says_upgrade_and_te() {
        let mut headers = fields(&[("te", "trailers")]);
        let present = Present::of(&headers);
        announce(
            &mut headers,
            present,
            Some(HeaderValue::from_static("websocket")),
        );
        let expected = [
            ("te", "trailers"),
            ("connection", "upgrade, te"),
            ("upgrade", "websocket"),
        ];
        assert_eq!(headers, fields(&expected));
        let mut nothing = HeaderMap::new();
        announce(&mut nothing, Present::default(), None);
        assert_eq!(nothing, HeaderMap::new());
    }

    proptest! {
        #[test]
        fn removing_twice_is_removing_once(
            options in prop::collection::vec("[a-d]|x-forwarded-for|host|te|connection|[ -~]{0,5}", 0..5),
            names in prop::collection::vec("[a-d]|x-forwarded-for|host|te|keep-alive|upgrade", 0..8),
            value in "trailers|1",
        ) {
            let mut once = HeaderMap::new();
            for name in &names {
                once.append(HeaderName::try_from(name.as_str()).unwrap(), value.parse().unwrap());
            }
            for option in &options {
                once.append(CONNECTION, option.parse().unwrap());
            }
            for strip in [strip_request, strip_response] {
                let mut once = once.clone();
                let present = Present::of(&once);
                strip(&mut once, present);
                let mut twice = once.clone();
                let present = Present::of(&twice);
                strip(&mut twice, present);
                prop_assert_eq!(&twice, &once);
                prop_assert!(!once.contains_key(CONNECTION));
            }
        }
    }
}
