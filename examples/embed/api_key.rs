//! A tower layer that refuses requests without the right `X-Api-Key`, and takes the field off those it lets through.
//!
//! It knows nothing of fiel but the type of a response's body, which it leaves open: whatever stands inside is served.
//! A request that it refuses never reaches the proxy, so it is in neither the access log nor the metrics.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use tower::{Layer, Service};

const FIELD: &str = "x-api-key";

/// Puts [`ApiKey`] around a service.
#[derive(Clone, Debug)]
pub(crate) struct ApiKeyLayer {
    key: HeaderValue,
}

impl ApiKeyLayer {
    /// Lets requests with this key through.
    pub(crate) fn new(key: HeaderValue) -> Self {
        Self { key }
    }
}

impl<S> Layer<S> for ApiKeyLayer {
    type Service = ApiKey<S>;

    fn layer(&self, inner: S) -> ApiKey<S> {
        ApiKey {
            inner,
            key: self.key.clone(),
        }
    }
}

/// Asks each request for its key.
#[derive(Clone, Debug)]
pub(crate) struct ApiKey<S> {
    inner: S,
    key: HeaderValue,
}

impl<S, A, B> Service<Request<A>> for ApiKey<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: 'static,
    S::Error: 'static,
    B: 'static,
{
    // Either the inner service's body or our own.
    type Response = Response<Either<B, Full<Bytes>>>;
    type Error = S::Error;
    // A connection and its requests stay on one thread: nothing has to be `Send`.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        // Every line of the field goes: an endpoint has no use for the key.
        let given = request.headers_mut().remove(FIELD);
        if !given.is_some_and(|given| is_same(&given, &self.key)) {
            return Box::pin(std::future::ready(Ok(refusal())));
        }
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(answer.await?.map(Either::Left)) })
    }
}

/// Takes as long for a key that is nearly right as for one that is all wrong.
fn is_same(given: &HeaderValue, right: &HeaderValue) -> bool {
    let (given, right) = (given.as_bytes(), right.as_bytes());
    let differing = given.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b));
    given.len() == right.len() && differing == 0
}

fn refusal<B>() -> Response<Either<B, Full<Bytes>>> {
    let body = Full::new(Bytes::from_static(b"an x-api-key is needed\n"));
    let mut answer = Response::new(Either::Right(body));
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    let challenge = HeaderValue::from_static("ApiKey");
    answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    answer
}
