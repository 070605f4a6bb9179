//! The one place that turns a failure into an answer: its status, its `Proxy-Status` (RFC 9209) and its few words.
//!
//! A client learns the request's id and the class of the failure; addresses and causes are for the log. A client that
//! speaks gRPC reads no status of HTTP and no body: it gets a status of gRPC, in a head without trailers behind it.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, HeaderName, Response, StatusCode};

use crate::error::Kind;
use crate::grpc::{self, Code, GRPC_MESSAGE, GRPC_STATUS};
use crate::response::body::Body;

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// How a failure is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status of the response.
    pub(crate) status: StatusCode,
    /// The field value of `Proxy-Status`, with an error type of RFC 9209 §2.3.
    pub(crate) proxy_status: &'static str,
    /// Whether the connection can go on: not after a message whose end is unknown or unread.
    pub(crate) connection: Connection,
    /// How the call ended, where the request was one.
    pub(crate) code: Code,
}

/// In what a failure is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A status of HTTP and a text.
    #[default]
    Http,
    /// A status of gRPC.
    Grpc,
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// It may serve further requests.
    Stays,
    /// It closes behind the answer.
    Closes,
}

/// How a failure of this kind is answered.
pub(crate) fn reply_to(kind: Kind) -> Reply {
    use Connection::{Closes, Stays};
    let (status, proxy_status, connection) = match kind {
        Kind::MalformedRequest | Kind::BadHost | Kind::Plaintext => {
            (400, "fiel; error=http_request_error", Closes)
        }
        Kind::UnknownTransferCoding => (501, "fiel; error=http_request_error", Closes),
        Kind::HeadersTooSlow | Kind::BodyTooSlow => (408, "fiel; error=http_request_error", Closes),
        Kind::HeadersTooLarge => (431, "fiel; error=http_request_error", Closes),
        Kind::TargetTooLong => (414, "fiel; error=http_request_error", Closes),
        Kind::BodyTooLarge => (413, "fiel; error=http_request_error", Closes),
        // Nobody is left to read it; the status is for logs and metrics.
        Kind::ClientGone => (499, "fiel; error=http_request_error", Closes),
        Kind::VersionUnknown => (505, "fiel; error=http_request_error", Closes),
        Kind::MethodRefused => (501, "fiel; error=http_request_denied", Closes),
        // Only another connection is of use to who asks for that.
        Kind::Misdirected => (421, "fiel; error=http_request_denied", Closes),
        Kind::NoRoute => (404, "fiel; error=destination_not_found", Stays),
        Kind::NoReadyEndpoint => (503, "fiel; error=destination_unavailable", Stays),
        Kind::Panicked | Kind::LayerFailed => (500, "fiel; error=proxy_internal_error", Closes),
        Kind::ShuttingDown => (503, "fiel; error=destination_unavailable", Closes),
        Kind::ResponseTimeout | Kind::TryTimeout => {
            (504, "fiel; error=http_response_timeout", Stays)
        }
        Kind::ConnectRefused => (502, "fiel; error=connection_refused", Stays),
        Kind::ConnectFailed => (502, "fiel; error=destination_ip_unroutable", Stays),
        Kind::ConnectTimeout => (504, "fiel; error=connection_timeout", Stays),
        Kind::TlsCertificate => (502, "fiel; error=tls_certificate_error", Stays),
        Kind::TlsProtocol => (502, "fiel; error=tls_protocol_error", Stays),
        Kind::TlsAlert => (502, "fiel; error=tls_alert_received", Stays),
        Kind::NotHttp2 => (502, "fiel; error=http_protocol_error", Stays),
        Kind::UpgradeFailed => (502, "fiel; error=http_upgrade_failed", Stays),
        Kind::RefusedStream | Kind::Reset | Kind::EndpointDead => {
            (502, "fiel; error=connection_terminated", Stays)
        }
        Kind::MalformedResponse => (502, "fiel; error=http_protocol_error", Stays),
        Kind::ResponseCut => (502, "fiel; error=http_response_incomplete", Closes),
        Kind::ResponseTooSlow => (504, "fiel; error=connection_read_timeout", Closes),
    };
    Reply {
        status: StatusCode::from_u16(status).expect("the table above holds valid codes only"),
        proxy_status,
        connection,
        code: code_of(kind),
    }
}

/// How a call has ended that failed like this: not always what its status of HTTP stands for, because clients try again
/// what is unavailable and nothing else.
fn code_of(kind: Kind) -> Code {
    match kind {
        Kind::MalformedRequest
        | Kind::Plaintext
        | Kind::BadHost
        | Kind::TargetTooLong
        | Kind::VersionUnknown
        | Kind::Panicked
        | Kind::LayerFailed
        | Kind::MalformedResponse => Code::Internal,
        Kind::UnknownTransferCoding | Kind::MethodRefused | Kind::NoRoute => Code::Unimplemented,
        // What gRPC's own implementations say of messages and metadata beyond their limits.
        Kind::BodyTooLarge | Kind::HeadersTooLarge => Code::ResourceExhausted,
        // On this connection it never will be allowed.
        Kind::Misdirected => Code::PermissionDenied,
        Kind::ClientGone => Code::Cancelled,
        Kind::HeadersTooSlow
        | Kind::BodyTooSlow
        | Kind::ResponseTimeout
        | Kind::TryTimeout
        | Kind::ResponseTooSlow => Code::DeadlineExceeded,
        // A connection that is not made in time has carried nothing: it may be tried again.
        Kind::ConnectTimeout
        | Kind::ConnectRefused
        | Kind::ConnectFailed
        | Kind::NoReadyEndpoint
        | Kind::ShuttingDown
        | Kind::Reset
        | Kind::EndpointDead
        | Kind::TlsCertificate
        | Kind::TlsProtocol
        | Kind::TlsAlert
        | Kind::NotHttp2
        | Kind::UpgradeFailed
        | Kind::RefusedStream
        | Kind::ResponseCut => Code::Unavailable,
    }
}

/// The whole answer to a failure.
pub(crate) fn response(kind: Kind, request_id: &[u8], dialect: Dialect) -> Response<Body> {
    let reply = reply_to(kind);
    let mut response = match dialect {
        Dialect::Http => in_http(kind, reply, request_id),
        Dialect::Grpc => in_grpc(reply, request_id),
    };
    let headers = response.headers_mut();
    headers.insert(PROXY_STATUS, HeaderValue::from_static(reply.proxy_status));
    if reply.connection == Connection::Closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn in_http(kind: Kind, reply: Reply, request_id: &[u8]) -> Response<Body> {
    let mut response = Response::new(Body::full(text(kind, reply.status, request_id)));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, TEXT);
    if reply.status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// What ends a call whose answer had begun, and broke off behind a whole message.
pub(crate) fn trailers(kind: Kind) -> HeaderMap {
    let reply = reply_to(kind);
    let message = format!("{} {}", reply.status.as_str(), words(reply.status));
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(&GRPC_STATUS, reply.code.value());
    if let Ok(message) = HeaderValue::from_maybe_shared(Bytes::from(message)) {
        trailers.insert(&GRPC_MESSAGE, message);
    }
    trailers
}

/// "Trailers-Only": a head that says how the call ended, and nothing behind it.
fn in_grpc(reply: Reply, request_id: &[u8]) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, grpc::CONTENT_TYPE.clone());
    headers.insert(&GRPC_STATUS, reply.code.value());
    let mut message = Vec::with_capacity(96);
    message.extend_from_slice(reply.status.as_str().as_bytes());
    message.push(b' ');
    message.extend_from_slice(words(reply.status).as_bytes());
    message.extend_from_slice(b", request id ");
    grpc::escape(request_id, &mut message);
    // Escaped, it holds nothing that a value cannot.
    if let Ok(message) = HeaderValue::from_maybe_shared(Bytes::from(message)) {
        headers.insert(&GRPC_MESSAGE, message);
    }
    response
}

/// The same answer as octets, for a message that could not be read to its head's end.
pub(crate) fn octets(kind: Kind, request_id: &[u8]) -> Vec<u8> {
    let reply = reply_to(kind);
    let body = text(kind, reply.status, request_id);
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    let head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: text/plain; charset=utf-8\r\nproxy-status: {}\r\nconnection: close\r\n\
         content-length: {}\r\ndate: {date}\r\n\r\n",
        reply.status.as_str(),
        words(reply.status),
        reply.proxy_status,
        body.len(),
    );
    let mut octets = head.into_bytes();
    octets.extend_from_slice(&body);
    octets
}

fn text(kind: Kind, status: StatusCode, request_id: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(96);
    text.extend_from_slice(status.as_str().as_bytes());
    text.push(b' ');
    text.extend_from_slice(words(status).as_bytes());
    if kind == Kind::Plaintext {
        // Nothing else tells a person at a browser what to do.
        text.extend_from_slice(
            b"\nthis was a request in the clear to a port that speaks TLS: use https",
        );
    }
    text.extend_from_slice(b"\nrequest id: ");
    text.extend_from_slice(request_id);
    text.push(b'\n');
    text.into()
}

fn words(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_the_class_and_the_request_and_nothing_else() {
        let response = response(Kind::ConnectRefused, b"0af7", Dialect::Http);
        assert_eq!(response.status(), 502);
        assert_eq!(
            response.headers()["proxy-status"],
            "fiel; error=connection_refused"
        );
        assert_eq!(
            text(Kind::ConnectRefused, response.status(), b"0af7"),
            "502 Bad Gateway\nrequest id: 0af7\n"
        );
    }

    #[test]
    fn nothing_ready_says_when_to_come_again() {
        assert_eq!(
            response(Kind::NoReadyEndpoint, b"", Dialect::Http).headers()["retry-after"],
            "1"
        );
    }

    #[test]
    fn a_call_is_told_a_status_of_grpc_in_a_head_without_a_body() {
        let response = response(Kind::NoReadyEndpoint, b"100%\xff", Dialect::Grpc);
        assert_eq!(response.status(), 200);
        assert!(response.body().is_end_stream());
        let told: Vec<(&str, &str)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        let expected = [
            ("content-type", "application/grpc"),
            ("grpc-status", "14"),
            (
                "grpc-message",
                "503 Service Unavailable, request id 100%25%FF",
            ),
            ("proxy-status", "fiel; error=destination_unavailable"),
        ];
        assert_eq!(told, expected);
    }

    /// Every kind, each leading to the next, so that a new one cannot be forgotten here.
    fn kinds() -> impl Iterator<Item = Kind> {
        std::iter::successors(Some(Kind::MalformedRequest), |kind| {
            Some(match kind {
                Kind::MalformedRequest => Kind::BadHost,
                Kind::BadHost => Kind::UnknownTransferCoding,
                Kind::UnknownTransferCoding => Kind::HeadersTooSlow,
                Kind::HeadersTooSlow => Kind::HeadersTooLarge,
                Kind::HeadersTooLarge => Kind::TargetTooLong,
                Kind::TargetTooLong => Kind::BodyTooLarge,
                Kind::BodyTooLarge => Kind::BodyTooSlow,
                Kind::BodyTooSlow => Kind::ClientGone,
                Kind::ClientGone => Kind::Plaintext,
                Kind::Plaintext => Kind::VersionUnknown,
                Kind::VersionUnknown => Kind::MethodRefused,
                Kind::MethodRefused => Kind::Misdirected,
                Kind::Misdirected => Kind::NoRoute,
                Kind::NoRoute => Kind::NoReadyEndpoint,
                Kind::NoReadyEndpoint => Kind::Panicked,
                Kind::Panicked => Kind::LayerFailed,
                Kind::LayerFailed => Kind::ShuttingDown,
                Kind::ShuttingDown => Kind::ResponseTimeout,
                Kind::ResponseTimeout => Kind::TryTimeout,
                Kind::TryTimeout => Kind::ConnectRefused,
                Kind::ConnectRefused => Kind::ConnectFailed,
                Kind::ConnectFailed => Kind::ConnectTimeout,
                Kind::ConnectTimeout => Kind::NotHttp2,
                Kind::NotHttp2 => Kind::UpgradeFailed,
                Kind::UpgradeFailed => Kind::RefusedStream,
                Kind::RefusedStream => Kind::TlsCertificate,
                Kind::TlsCertificate => Kind::TlsProtocol,
                Kind::TlsProtocol => Kind::TlsAlert,
                Kind::TlsAlert => Kind::Reset,
                Kind::Reset => Kind::MalformedResponse,
                Kind::MalformedResponse => Kind::EndpointDead,
                Kind::EndpointDead => Kind::ResponseCut,
                Kind::ResponseCut => Kind::ResponseTooSlow,
                Kind::ResponseTooSlow => return None,
            })
        })
    }

    #[test]
    fn the_page_on_grpc_has_the_status_of_every_failure() {
        let mut table = String::new();
        for code in Code::ALL {
            let reasons: Vec<String> = kinds()
                .filter(|kind| reply_to(*kind).code == *code)
                .map(|kind| format!("`{}`", kind.reason()))
                .collect();
            if !reasons.is_empty() {
                let row = format!("| {} {code} | {} |\n", code.number(), reasons.join(", "));
                table.push_str(&row);
            }
        }
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/grpc.md");
        let written = std::fs::read_to_string(page).unwrap();
        assert!(written.contains(&table), "docs/grpc.md must hold\n{table}");
    }

    #[test]
    fn an_answer_to_an_unreadable_head_closes_and_has_its_length() {
        let octets = String::from_utf8(octets(Kind::TargetTooLong, b"7")).unwrap();
        let (head, body) = octets.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 414 URI Too Long\r\n"), "{head}");
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{head}"
        );
        assert!(head.contains("connection: close"), "{head}");
    }
}
