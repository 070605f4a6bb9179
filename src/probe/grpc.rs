//! The `grpc` probe: one call of `grpc.health.v1.Health/Check`, in the clear, on a connection of its own; `SERVING` is
//! success.
//!
//! As the kubelet does it: without TLS, with the service's name in the question, at most `timeoutSeconds` for all of
//! it, which the endpoint is told as the call's deadline. What is asked and answered in octets is in `health.rs`; the
//! `h2` crate speaks HTTP/2.

mod health;

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use ::http::header::{CONTENT_TYPE, TE, USER_AGENT};
use ::http::uri::{InvalidUri, Uri};
use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;

use crate::dial::Way;
use crate::grpc::{self, Code, GRPC_MESSAGE, GRPC_TIMEOUT, print_timeout};
#[cfg(test)]
use crate::location::Location;
use crate::probe::answer::Answer;
use crate::probe::tcp::{answer_to, connect};
use health::Health;

/// The most octets that may come before the end of an answer: the message takes seven.
const ANSWER_BYTES: usize = 1 << 10;

/// The most octets that the fields of an answer may take, as HTTP/2 counts them.
const HEAD_BYTES: u32 = 16 << 10;

/// As much of an endpoint's own words as the status shows.
const MESSAGE_BYTES: usize = 120;

const AGENT: &str = concat!("fiel-probe/", env!("CARGO_PKG_VERSION"));

/// A call made ready to be sent again and again.
#[derive(Debug)]
pub(crate) struct Check {
    way: Way,
    request: Request<()>,
    message: Bytes,
}

impl Check {
    /// Makes one ready: a question about this service, or with an empty name about the whole endpoint.
    pub(crate) fn try_new(way: Way, service: &str, timeout: Duration) -> Result<Self, InvalidUri> {
        // A unix socket has no name of its own.
        let authority = match way.to.ip() {
            Some(address) => address.to_string(),
            None => "localhost".to_owned(),
        };
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::try_from(format!("http://{authority}{}", health::PATH))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, grpc::CONTENT_TYPE.clone());
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Ok(timeout) = HeaderValue::try_from(print_timeout(timeout)) {
            headers.insert(&GRPC_TIMEOUT, timeout);
        }
        Ok(Self {
            way,
            request,
            message: health::question(service),
        })
    }

    /// Where it goes.
    #[cfg(test)]
    pub(crate) fn to(&self) -> &Location {
        &self.way.to
    }
}

/// Makes the call and reads its answer.
pub(crate) async fn ask(check: &Check) -> Answer {
    let stream = match connect(&check.way).await {
        Ok(stream) => stream,
        Err(answer) => return answer,
    };
    let opened = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(HEAD_BYTES)
        .max_header_list_size(HEAD_BYTES)
        .handshake::<_, Bytes>(stream)
        .await;
    let (sender, connection) = match opened {
        Ok(opened) => opened,
        Err(error) => return broken(&error),
    };
    let mut exchange = pin!(exchange(sender, check));
    let mut connection = Box::pin(connection);
    let answer = tokio::select! {
        biased;
        answer = &mut exchange => Some(answer),
        // How it ended is told to the exchange as well.
        _ = &mut connection => None,
    };
    match answer {
        Some(answer) => {
            // A word of farewell where it can be said without waiting: the connection says it when it is looked at and
            // nobody uses it any more.
            tokio::select! {
                biased;
                _ = &mut connection => {}
                () = std::future::ready(()) => {}
            }
            answer
        }
        // Gone for good, so that the exchange cannot wait for it.
        None => {
            drop(connection);
            exchange.await
        }
    }
}

async fn exchange(sender: SendRequest<Bytes>, check: &Check) -> Answer {
    match call(sender, check).await {
        Ok(answer) => answer,
        Err(error) => broken(&error),
    }
}

async fn call(sender: SendRequest<Bytes>, check: &Check) -> Result<Answer, h2::Error> {
    let mut sender = sender.ready().await?;
    let (response, mut sending) = sender.send_request(check.request.clone(), false)?;
    sending.send_data(check.message.clone(), true)?;
    let (head, mut body) = response.await?.into_parts();
    let head = Response::from_parts(head, ());
    let mut message = Vec::new();
    if !read(&mut body, &mut message).await? {
        return Ok(Answer::failure("answer is too long"));
    }
    let trailers = body.trailers().await?;
    Ok(judge(&head, trailers.as_ref(), &message))
}

/// Reads the body; `false` if there is more of it than an answer can have.
async fn read(body: &mut RecvStream, message: &mut Vec<u8>) -> Result<bool, h2::Error> {
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        message.extend_from_slice(&piece);
        if message.len() > ANSWER_BYTES {
            return Ok(false);
        }
    }
    Ok(true)
}

fn judge(head: &Response<()>, trailers: Option<&HeaderMap>, message: &[u8]) -> Answer {
    if head.status() != StatusCode::OK {
        return Answer::failure(format!("HTTP {}", head.status().as_u16()));
    }
    let fields = trailers.unwrap_or(head.headers());
    match grpc::status(fields) {
        None => Answer::failure("answer is not gRPC"),
        Some(Code::Ok) => match health::answer(message) {
            Some(Health::Serving) => Answer::success(Health::Serving.word()),
            Some(health) => Answer::failure(health.word()),
            None => Answer::failure("answer is no health status"),
        },
        Some(Code::Unimplemented) => {
            Answer::failure("gRPC UNIMPLEMENTED: no grpc.health.v1.Health here")
        }
        Some(code) => Answer::failure(in_words(code, fields)),
    }
}

fn in_words(code: Code, fields: &HeaderMap) -> Cow<'static, str> {
    let said = fields
        .get(&GRPC_MESSAGE)
        .and_then(|said| said.to_str().ok());
    match said {
        Some(said) if !said.is_empty() => {
            // A value that reads as text is ASCII.
            let said = said.get(..MESSAGE_BYTES).unwrap_or(said);
            format!("gRPC {code}: {said}").into()
        }
        Some(_) | None => format!("gRPC {code}").into(),
    }
}

fn broken(error: &h2::Error) -> Answer {
    if let Some(cause) = error.get_io() {
        return match cause.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::BrokenPipe => {
                Answer::failure("connection closed before an answer")
            }
            _ => answer_to(cause),
        };
    }
    match error.reason() {
        // The peer has told why, or we tell it why.
        Some(reason) if error.is_remote() => Answer::failure(format!("HTTP/2 {reason:?}")),
        Some(_) => Answer::failure("answer is not HTTP/2"),
        None => Answer::failure(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
