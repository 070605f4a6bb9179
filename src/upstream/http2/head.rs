//! A request's head as HTTP/2 has it (RFC 9113 §8.3), from the one that all tries share; and what an answer's must keep to.

use h2::ext::Protocol;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, SEC_WEBSOCKET_KEY, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};

use crate::header::framing;
use crate::header::hop::{self, HTTP2_SETTINGS, PROXY_CONNECTION, TRAILERS};
use crate::header::keep_alive::KEEP_ALIVE;
use crate::header::present::Present;
use crate::header::websocket::WEBSOCKET;
use crate::upstream::answer::{Expected, FIELDS, Malformed};
use crate::upstream::outbound::Outbound;

/// How long an answer's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// There is none.
    None,
    /// So many octets.
    Exact(u64),
    /// To the end of the stream.
    Open,
}

/// The head that is sent.
pub(super) fn request(outbound: &Outbound, scheme: &Scheme) -> Request<()> {
    let mut headers = outbound.headers.clone();
    strip(&mut headers);
    for (name, value) in outbound.own.fields() {
        headers.append(name, value.clone());
    }
    let mut request = Request::new(());
    *request.method_mut() = outbound.method.clone();
    *request.uri_mut() = uri(&outbound.target, &mut headers, scheme);
    // For an HTTP/2 request `h2` insists on an authority, which not every client names.
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    request
}

/// The head that asks for a WebSocket (RFC 8441 §5).
pub(super) fn connect(outbound: &Outbound, scheme: &Scheme) -> Request<()> {
    let mut request = request(outbound, scheme);
    *request.method_mut() = Method::CONNECT;
    request.headers_mut().remove(SEC_WEBSOCKET_KEY);
    request.headers_mut().remove(CONTENT_LENGTH);
    request
        .extensions_mut()
        .insert(Protocol::from_static(WEBSOCKET));
    request
}

/// Makes the answer to such a head the 101 that it stands for.
pub(super) fn switched(response: &mut Response<()>) -> Result<(), Malformed> {
    if response.headers().len() > FIELDS {
        return Err(Malformed);
    }
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    // RFC 9110 §9.3.6: it means nothing.
    headers.remove(CONTENT_LENGTH);
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
    Ok(())
}

/// `:authority` takes the place of `Host` (RFC 9113 §8.3.1).
fn uri(target: &Uri, headers: &mut HeaderMap, scheme: &Scheme) -> Uri {
    let path = target
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    let Some(host) = headers.get(HOST) else {
        return Uri::from(path);
    };
    if host.is_empty() {
        headers.remove(HOST);
        return Uri::from(path);
    }
    let authority = Authority::try_from(host.as_bytes());
    let whole = authority.ok().and_then(|authority| {
        let mut parts = Parts::default();
        parts.scheme = Some(scheme.clone());
        parts.authority = Some(authority);
        parts.path_and_query = Some(path.clone());
        Uri::from_parts(parts).ok()
    });
    match whole {
        Some(uri) => {
            headers.remove(HOST);
            uri
        }
        // Set by a rule of the user's that makes it no authority: the endpoint is told as it stands.
        None => Uri::from(path),
    }
}

/// Removes what belongs to a connection of HTTP/1 (RFC 9113 §8.2.2).
fn strip(headers: &mut HeaderMap) {
    let present = Present::of(headers);
    for (field, name) in [
        (Present::CONNECTION, &CONNECTION),
        (Present::KEEP_ALIVE, &KEEP_ALIVE),
        (Present::PROXY_CONNECTION, &PROXY_CONNECTION),
        (Present::TRANSFER_ENCODING, &TRANSFER_ENCODING),
    ] {
        if present.has(field) {
            headers.remove(name);
        }
    }
    if present.has(Present::UPGRADE) {
        headers.remove(UPGRADE);
        headers.remove(&HTTP2_SETTINGS);
    }
    if present.has(Present::TE) {
        let accepts = hop::accepts_trailers(headers, present);
        headers.remove(TE);
        if accepts {
            headers.insert(TE, TRAILERS.clone());
        }
    }
}

/// How long the body behind this head is.
pub(super) fn length(response: &Response<()>, expected: Expected) -> Result<Length, Malformed> {
    let (status, headers) = (response.status(), response.headers());
    if headers.len() > FIELDS {
        return Err(Malformed);
    }
    let length = framing::response(Version::HTTP_2, status, headers, Present::of(headers))
        .map_err(|_| Malformed)?;
    let none = expected == Expected::HeadOnly
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    Ok(match (none, length) {
        (true, _) => Length::None,
        (false, Some(octets)) => Length::Exact(octets),
        (false, None) => Length::Open,
    })
}

/// What a head weighs, as RFC 9113 §6.5.2 counts, and a little for the frame.
pub(super) fn weight(headers: &HeaderMap) -> u64 {
    let fields = headers.iter();
    fields.fold(64, |weight, (name, value)| {
        weight + (name.as_str().len() + value.len() + 32) as u64
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Method};

    use super::*;
    use crate::header::own::Own;

    fn fields(lines: &[(&str, &str)]) -> HeaderMap {
        let lines = lines.iter().map(|(name, value)| {
            let name = HeaderName::try_from(*name).unwrap();
            (name, HeaderValue::try_from(*value).unwrap())
        });
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(name, value);
        }
        fields
    }

    fn sent(target: &str, lines: &[(&str, &str)]) -> Request<()> {
        let outbound = Outbound {
            method: Method::GET,
            target: target.parse().unwrap(),
            headers: fields(lines),
            own: Own::default(),
            body: None,
            websocket: false,
        };
        request(&outbound, &Scheme::HTTP)
    }

    #[test]
    fn the_authority_takes_the_place_of_host() {
        let request = sent(
            "/a?b",
            &[("host", "shop.example.com:8080"), ("accept", "*/*")],
        );
        assert_eq!(request.uri(), "http://shop.example.com:8080/a?b");
        assert_eq!(request.headers(), &fields(&[("accept", "*/*")]));
        let ipv6 = sent("/", &[("host", "[::1]:80")]);
        assert_eq!(ipv6.uri().authority().unwrap(), "[::1]:80");
    }

    #[test]
    fn the_asterisk_of_options_goes_on_with_its_authority() {
        let request = sent("*", &[("host", "a")]);
        assert_eq!(request.uri().path(), "*");
        assert_eq!(request.uri().authority().unwrap(), "a");
    }

    #[test]
    fn a_client_that_names_no_host_has_no_authority() {
        let request = sent("/", &[("host", "")]);
        assert_eq!(request.uri().authority(), None);
        assert!(request.headers().is_empty());
    }

    #[test]
    fn fields_of_a_connection_stay_behind_and_te_says_trailers_or_nothing() {
        let request = sent(
            "/",
            &[
                ("connection", "te, upgrade"),
                ("upgrade", "websocket"),
                ("http2-settings", "a"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "close"),
                ("transfer-encoding", "chunked"),
                ("te", "gzip, trailers"),
                ("content-length", "3"),
                ("cookie", "a=1; b=2"),
            ],
        );
        let kept = [
            ("te", "trailers"),
            ("content-length", "3"),
            ("cookie", "a=1; b=2"),
        ];
        assert_eq!(request.headers(), &fields(&kept));
        assert!(sent("/", &[("te", "gzip")]).headers().is_empty());
    }

    fn answer(status: u16, lines: &[(&str, &str)]) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = fields(lines);
        response
    }

    #[test]
    fn the_length_of_a_body_is_what_one_line_says() {
        let of = |status, lines: &[_], expected| length(&answer(status, lines), expected);
        let (whole, head) = (Expected::Whole, Expected::HeadOnly);
        let seven = [("content-length", "7")];
        assert_eq!(of(200, &seven, whole).unwrap(), Length::Exact(7));
        assert_eq!(of(200, &[], whole).unwrap(), Length::Open);
        assert_eq!(of(200, &seven, head).unwrap(), Length::None);
        assert_eq!(of(204, &[], whole).unwrap(), Length::None);
        assert_eq!(of(304, &seven, whole).unwrap(), Length::None);
        let twice = [("content-length", "7"), ("content-length", "7")];
        assert!(of(200, &twice, whole).is_err());
        assert!(of(200, &[("content-length", "+7")], whole).is_err());
    }

    #[test]
    fn more_fields_than_http_1_may_have_are_refused_here_too() {
        let names: Vec<String> = (0..=FIELDS).map(|number| format!("a{number}")).collect();
        let lines: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert!(length(&answer(200, &lines), Expected::Whole).is_err());
        assert!(length(&answer(200, &lines[1..]), Expected::Whole).is_ok());
    }
}
