//! The `httpGet` probe: a GET on a connection of its own; 200 to 399 is success, redirects are not followed.
//!
//! As the kubelet does it: `Host`, `User-Agent` and `Accept` among the configured fields take the place of the usual
//! ones, fields that would frame or keep the connection are left out, the body is read up to 10 KiB and must not break
//! off before. hyper speaks HTTP here, because an answer may be framed in any way that HTTP/1 allows.

use std::error::Error as _;
use std::io;
use std::pin::pin;

use ::http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use ::http::uri::{InvalidUri, PathAndQuery};
use ::http::{Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::dial::Way;
use crate::location::Location;
use crate::probe::answer::Answer;
use crate::probe::tcp::{answer_to, connect};

/// The most octets of a body that are read; the rest is dropped unread.
const BODY_BYTES: usize = 10 << 10;

/// About the most octets that an answer's head may take: hyper looks only after each read.
const HEAD_BYTES: usize = 64 << 10;

const AGENT: &str = concat!("fiel-probe/", env!("CARGO_PKG_VERSION"));

/// A GET made ready to be sent again and again.
#[derive(Debug)]
pub(crate) struct Get {
    way: Way,
    request: Request<Empty<Bytes>>,
}

impl Get {
    /// Makes one ready. A path without a leading slash gets one.
    pub(crate) fn try_new(
        way: Way,
        path: &str,
        fields: &[(HeaderName, HeaderValue)],
    ) -> Result<Self, InvalidUri> {
        let path = if path.starts_with('/') {
            PathAndQuery::try_from(path)?
        } else {
            PathAndQuery::try_from(format!("/{path}"))?
        };
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = Uri::from(path);
        *request.headers_mut() = headers(&way.to, fields);
        Ok(Self { way, request })
    }

    /// Where it goes.
    #[cfg(test)]
    pub(crate) fn to(&self) -> &Location {
        &self.way.to
    }
}

fn headers(to: &Location, fields: &[(HeaderName, HeaderValue)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let frames = [
            CONNECTION,
            CONTENT_LENGTH,
            TE,
            TRAILER,
            TRANSFER_ENCODING,
            UPGRADE,
        ];
        if frames.contains(name) || (name == HOST && headers.contains_key(HOST)) {
            continue;
        }
        headers.append(name, value.clone());
    }
    // A unix socket has no name of its own.
    let host = to.ip().map(|address| address.to_string());
    let host = host.and_then(|host| HeaderValue::try_from(host).ok());
    let host = host.unwrap_or(HeaderValue::from_static("localhost"));
    headers.entry(HOST).or_insert(host);
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(AGENT));
    headers
        .entry(ACCEPT)
        .or_insert(HeaderValue::from_static("*/*"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers
}

/// Sends it and reads the answer.
pub(crate) async fn ask(get: &Get) -> Answer {
    let stream = match connect(&get.way).await {
        Ok(stream) => stream,
        Err(answer) => return answer,
    };
    let opened = http1::Builder::new()
        .title_case_headers(true)
        .max_buf_size(HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await;
    let (sender, connection) = match opened {
        Ok(opened) => opened,
        Err(error) => return broken(&error, "an answer"),
    };
    let mut exchange = pin!(exchange(sender, get.request.clone()));
    let mut connection = Box::pin(connection);
    tokio::select! {
        biased;
        answer = &mut exchange => return answer,
        // How it ended is told to the exchange as well.
        _ = &mut connection => {}
    }
    // Gone for good, so that the exchange cannot wait for it.
    drop(connection);
    exchange.await
}

async fn exchange(
    mut sender: http1::SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
) -> Answer {
    let response = match sender.send_request(request).await {
        Ok(response) => response,
        Err(error) => return broken(&error, "an answer"),
    };
    let status = response.status();
    if let Err(error) = read(response.into_body()).await {
        return broken(&error, "the end of its answer");
    }
    judge(status)
}

async fn read(mut body: Incoming) -> Result<(), hyper::Error> {
    let mut seen = 0;
    while seen < BODY_BYTES {
        let Some(frame) = body.frame().await else {
            break;
        };
        seen += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(())
}

fn judge(status: StatusCode) -> Answer {
    let detail = format!("HTTP {}", status.as_u16());
    if (200..=399).contains(&status.as_u16()) {
        Answer::success(detail)
    } else {
        Answer::failure(detail)
    }
}

fn broken(error: &hyper::Error, before: &str) -> Answer {
    if error.is_parse_too_large() {
        return Answer::failure("head of the answer is too long");
    }
    if error.is_parse() {
        return Answer::failure("answer is not HTTP");
    }
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause {
        Some(cause) if cause.kind() != io::ErrorKind::UnexpectedEof => answer_to(cause),
        _ if error.is_incomplete_message() || error.is_closed() || cause.is_some() => {
            Answer::failure(format!("connection closed before {before}"))
        }
        _ => Answer::failure(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
