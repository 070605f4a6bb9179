//! The head of a request of HTTP/2, made into one that can go on over HTTP/1: `:authority` in `Host`, its target a path, its
//! cookies in one line (RFC 9113 §8), and an extended CONNECT the upgrade that it stands for (RFC 8441 §5).
//!
//! What would mean another thing there is refused. `h2` has seen to the fields of connections, to names and to lengths
//! before; what a request asks for is looked at by those who look at it over HTTP/1.

use std::cell::RefCell;

use bytes::Bytes;
use h2::ext::Protocol;
use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, SEC_WEBSOCKET_KEY, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::config::model::ListenerLimits;
use crate::error::Kind;
use crate::header::websocket::{self, is_websocket};

/// Octets around a field in HTTP/1: the colon, the space, the end of the line.
const AROUND: usize = 4;

/// Fields that are added on the way to an endpoint, about: room for them is made while there is little to be moved.
const ADDED: usize = 8;

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It breaks the rules, and its stream is reset (RFC 9113 §8.1.1).
    Malformed,
    /// It is answered with a failure of this kind.
    Answered(Kind),
}

/// What a stream is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// A request with its answer.
    Answer,
    /// A tunnel.
    Tunnel,
}

/// The host that was asked for last. Most streams of a connection ask for the same one, whose octets they share: a copy for each
/// would cost two allocations, its own and one where it is passed on as `X-Forwarded-Host`.
#[derive(Debug, Default)]
pub(super) struct LastHost(RefCell<Option<HeaderValue>>);

impl LastHost {
    /// The field that says this authority.
    fn saying(&self, authority: &str) -> Result<HeaderValue, Refusal> {
        let mut last = self.0.borrow_mut();
        if let Some(host) = last.as_ref().filter(|host| *host == authority) {
            return Ok(host.clone());
        }
        let octets = Bytes::copy_from_slice(authority.as_bytes());
        let host = HeaderValue::from_maybe_shared(octets).map_err(|_| Refusal::Malformed)?;
        Ok(last.insert(host).clone())
    }

    /// Keeps it no longer.
    pub(super) fn forget(&self) {
        self.0.take();
    }
}

/// Makes a head fit, or refuses it.
pub(super) fn admit(
    head: &mut Parts,
    limits: &ListenerLimits,
    last_host: &LastHost,
    chance: impl FnOnce() -> u128,
) -> Result<Wish, Refusal> {
    let mut octets = head.uri.path_and_query().map_or(0, |it| it.as_str().len());
    let (mut cookies, mut hosts) = (0, 0);
    for (name, value) in &head.headers {
        // RFC 9113 §8.2.1: no value begins or ends with white space.
        let value = value.as_bytes();
        let edges = [value.first(), value.last()];
        if edges
            .iter()
            .flatten()
            .any(|octet| matches!(octet, b' ' | b'\t'))
        {
            return Err(Refusal::Malformed);
        }
        octets += name.as_str().len() + value.len() + AROUND;
        cookies += usize::from(name == COOKIE);
        hosts += usize::from(name == HOST);
    }
    let is_too_large = limits.max_header_bytes.is_some_and(|limit| octets > limit)
        || limits
            .max_headers
            .is_some_and(|limit| head.headers.len() > limit);
    if is_too_large {
        return Err(Refusal::Answered(Kind::HeadersTooLarge));
    }
    // Where there is no room for so many, adding them says so.
    head.headers.try_reserve(ADDED).ok();
    adopt_authority(head, hosts, last_host)?;
    if cookies > 1 {
        join_cookies(&mut head.headers);
    }
    match head.extensions.remove::<Protocol>() {
        None => Ok(Wish::Answer),
        Some(protocol) => upgrade(head, &protocol, chance).map(|()| Wish::Tunnel),
    }
}

/// Makes an extended CONNECT the request by which HTTP/1 asks for the same (RFC 8441 §5).
fn upgrade(
    head: &mut Parts,
    protocol: &Protocol,
    chance: impl FnOnce() -> u128,
) -> Result<(), Refusal> {
    if !is_websocket(protocol.as_ref()) {
        return Err(Refusal::Answered(Kind::MethodRefused));
    }
    // RFC 9110 §9.3.6: CONNECT has no content, and what follows it is the tunnel's.
    if head.headers.contains_key(CONTENT_LENGTH) {
        return Err(Refusal::Malformed);
    }
    head.method = Method::GET;
    let headers = &mut head.headers;
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(websocket::WEBSOCKET));
    // One that came from the client means nothing there.
    headers.insert(SEC_WEBSOCKET_KEY, websocket::key(chance()));
    Ok(())
}

/// Puts `:authority` into `Host`, where one of them must be and both must say the same (RFC 9113 §8.3.1), and leaves a
/// target in the form in which HTTP/1 asks endpoints.
fn adopt_authority(head: &mut Parts, hosts: usize, last: &LastHost) -> Result<(), Refusal> {
    if head
        .uri
        .scheme_str()
        .is_some_and(|scheme| scheme != "http" && scheme != "https")
    {
        return Err(Refusal::Malformed);
    }
    let Some(authority) = head.uri.authority().map(|authority| authority.as_str()) else {
        return match hosts {
            1 => Ok(()),
            _ => Err(Refusal::Malformed),
        };
    };
    // Most have none, and are not asked for it.
    let host = (hosts > 0).then(|| head.headers.get(HOST)).flatten();
    let says_other =
        host.is_some_and(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()));
    if says_other || hosts > 1 {
        return Err(Refusal::Malformed);
    }
    head.headers.insert(HOST, last.saying(authority)?);
    // CONNECT has no path, and is refused by its method.
    if let Some(target) = head.uri.path_and_query().cloned() {
        head.uri = Uri::from(target);
    }
    Ok(())
}

/// Joins cookies that came in pieces, which only HTTP/2 allows (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return;
    };
    let mut whole = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    // Values joined by what a value may have are one.
    if let Ok(whole) = HeaderValue::from_maybe_shared(Bytes::from(whole)) {
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request, Version};

    use super::*;

    fn limits() -> ListenerLimits {
        ListenerLimits::default()
    }

    fn head(uri: &str, fields: &[(&'static str, &str)]) -> Parts {
        let mut request = Request::builder().version(Version::HTTP_2).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn judged(head: &mut Parts) -> Result<Wish, Refusal> {
        admit(head, &limits(), &LastHost::default(), || 0)
    }

    fn admitted(uri: &str, fields: &[(&'static str, &str)]) -> Result<Parts, Refusal> {
        let mut head = head(uri, fields);
        judged(&mut head).map(|_| head)
    }

    #[test]
    fn the_authority_becomes_the_host_and_the_target_a_path() {
        let head = admitted("https://a.example:8443/x?y=1", &[]).unwrap();
        assert_eq!(head.headers[HOST], "a.example:8443");
        assert_eq!(head.uri, "/x?y=1");
        let head = admitted("http://a.example/", &[("host", "A.example")]).unwrap();
        assert_eq!(head.headers[HOST], "a.example");
    }

    #[test]
    fn each_stream_asks_for_its_own_host_whichever_was_asked_for_last() {
        let last = LastHost::default();
        for host in [
            "a.example",
            "a.example",
            "b.example",
            "a.example:80",
            "b.example",
        ] {
            let mut head = head(&format!("http://{host}/"), &[]);
            admit(&mut head, &limits(), &last, || 0).unwrap();
            assert_eq!(head.headers[HOST], host);
        }
        let octets = |host| last.saying(host).unwrap().as_bytes().as_ptr();
        assert_eq!(octets("b.example"), octets("b.example"));
    }

    #[test]
    fn a_host_alone_will_do() {
        let head = admitted("/x", &[("host", "a.example")]).unwrap();
        assert_eq!(
            (&head.headers[HOST], head.uri.path()),
            (&HeaderValue::from_static("a.example"), "/x")
        );
    }

    #[test]
    fn hosts_that_contradict_or_are_missing_are_malformed() {
        let both = [("host", "a.example"), ("host", "a.example")];
        for (uri, fields) in [
            ("http://a.example/", &[("host", "b.example")][..]),
            ("http://a.example/", &[("host", "a.example:80")]),
            ("http://a.example/", &both),
            ("/", &both),
            ("/", &[]),
            ("ftp://a.example/", &[]),
        ] {
            assert_eq!(
                admitted(uri, fields).unwrap_err(),
                Refusal::Malformed,
                "{uri} {fields:?}"
            );
        }
    }

    #[test]
    fn a_method_without_a_path_keeps_its_target() {
        let mut head = head("a.example:443", &[]);
        head.method = Method::CONNECT;
        assert_eq!(judged(&mut head), Ok(Wish::Answer));
        assert!(head.uri.path_and_query().is_none());
    }

    #[test]
    fn cookies_in_pieces_are_joined() {
        let fields = [
            ("cookie", "a=b"),
            ("x", "1"),
            ("cookie", "c=d"),
            ("cookie", "e=f"),
        ];
        let head = admitted("http://a.example/", &fields).unwrap();
        let cookies: Vec<_> = head.headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=b; c=d; e=f"]);
    }

    #[test]
    fn white_space_around_a_value_is_malformed() {
        for value in [" a", "a ", "\ta", "a\t"] {
            let refused = admitted("http://a.example/", &[("x", value)]).unwrap_err();
            assert_eq!(refused, Refusal::Malformed, "{value:?}");
        }
    }

    #[test]
    fn what_is_too_large_for_http_1_is_too_large_here() {
        let too_large = Err(Refusal::Answered(Kind::HeadersTooLarge));
        let mut large = head("http://a.example/", &[("x", &"a".repeat(32 << 10))]);
        assert_eq!(judged(&mut large), too_large);
        let mut many = head("http://a.example/", &[("x", "1"); 101]);
        assert_eq!(judged(&mut many), too_large);
    }

    fn connect(protocol: &'static str, fields: &[(&'static str, &str)]) -> Parts {
        let mut head = head("https://a.example/chat", fields);
        head.method = Method::CONNECT;
        head.extensions.insert(Protocol::from_static(protocol));
        head
    }

    #[test]
    fn an_extended_connect_becomes_the_upgrade_that_it_stands_for() {
        let fields = [("sec-websocket-version", "13"), ("sec-websocket-key", "a")];
        let mut head = connect("WebSocket", &fields);
        assert_eq!(judged(&mut head), Ok(Wish::Tunnel));
        assert_eq!(head.method, Method::GET);
        assert_eq!(head.uri, "/chat");
        let field = |name| head.headers[name].to_str().unwrap();
        assert_eq!(
            (field("connection"), field("upgrade")),
            ("upgrade", "websocket")
        );
        assert_eq!(field("sec-websocket-key"), "AAAAAAAAAAAAAAAAAAAAAA==");
        assert_eq!(field("sec-websocket-version"), "13");
        assert_eq!(field("host"), "a.example");
    }

    #[test]
    fn tunnels_of_other_protocols_or_with_content_are_refused() {
        let refused = Err(Refusal::Answered(Kind::MethodRefused));
        assert_eq!(judged(&mut connect("connect-udp", &[])), refused);
        let mut long = connect("websocket", &[("content-length", "0")]);
        assert_eq!(judged(&mut long), Err(Refusal::Malformed));
    }
}
