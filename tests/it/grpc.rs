//! Calls of gRPC: what the proxy answers by itself, how long a call may take, what is counted and logged of it.
//!
//! What concerns fields alone is tested over HTTP/1.1, octet by octet: it is the same code whatever the protocol.

mod answers;
mod calls;
mod cut;
mod deadlines;
mod probes;
mod python;

use crate::support::client::Response;
use crate::support::{Client, Fiel};

/// A call of this path with these further fields, each with its line's end.
fn call_with(path: &str, fields: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/grpc\r\nTE: trailers\r\nConnection: TE\r\n\
         X-Request-Id: 7f3c\r\nContent-Length: 5\r\n{fields}\r\n\0\0\0\0\0"
    )
}

/// A call of this path on a connection of its own.
fn call(fiel: &Fiel, path: &str) -> Response {
    Client::connect(fiel.address("web")).request(call_with(path, ""))
}

/// A failure as a call is told of it.
#[track_caller]
fn assert_told(answer: &Response, code: &str, message: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
    assert_eq!(answer.header("grpc-status"), Some(code), "{answer:?}");
    assert_eq!(answer.header("grpc-message"), Some(message));
    assert_eq!(answer.text(), "");
}
