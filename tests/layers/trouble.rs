//! A layer that does what the path of a request says: it panics at one place or another, fails, or takes its time.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use tower::{Layer, Service};

pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// Longer than a connection without a request is kept awake.
const A_WHILE: Duration = Duration::from_millis(300);

/// Puts [`Troubled`] around a service.
#[derive(Clone, Debug)]
pub(crate) struct Trouble;

impl<S> Layer<S> for Trouble {
    type Service = Troubled<S>;

    fn layer(&self, inner: S) -> Troubled<S> {
        Troubled { inner }
    }
}

/// Makes the trouble.
#[derive(Clone, Debug)]
pub(crate) struct Troubled<S> {
    inner: S,
}

impl<S, A, B> Service<Request<A>> for Troubled<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<AnyError>,
    A: 'static,
    B: 'static,
{
    type Response = Response<Either<Fragile<B>, Full<Bytes>>>;
    type Error = AnyError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, AnyError>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let path = request.uri().path().to_owned();
        assert!(path != "/call", "as it was asked to");
        // The one that is ready is taken, a clone would have to be asked again.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        Box::pin(async move {
            match &*path {
                "/poll" => panic!("as it was asked to"),
                "/error" => return Err("as it was asked to".into()),
                "/instead" => {
                    drop(inner.call(request));
                    return Ok(own());
                }
                "/late-error" => {
                    let asked = inner.call(request);
                    return late(asked, "as it was asked to").await;
                }
                "/wait" => tokio::time::sleep(A_WHILE).await,
                "/own" => {
                    tokio::time::sleep(A_WHILE).await;
                    return Ok(own());
                }
                _ => {}
            }
            let asked = inner.call(request);
            assert!(path != "/held", "as it was asked to");
            let answer = asked.await.map_err(Into::into)?;
            match &*path {
                "/answered" => panic!("as it was asked to"),
                "/given-up" => {
                    drop(answer);
                    return Err("as it was asked to".into());
                }
                "/replaced" => {
                    drop(answer);
                    tokio::time::sleep(A_WHILE).await;
                    return Ok(own());
                }
                "/wait-behind" => tokio::time::sleep(A_WHILE).await,
                _ => {}
            }
            let pieces = match &*path {
                "/body" => 1,
                _ => usize::MAX,
            };
            Ok(answer.map(|body| Either::Left(Fragile { body, pieces })))
        })
    }
}

/// Fails while the proxy is still at work, as one does whose patience is over.
async fn late<T>(asked: impl Future, words: &str) -> Result<T, AnyError> {
    let mut asked = std::pin::pin!(asked);
    std::future::poll_fn(|cx| {
        drop(asked.as_mut().poll(cx));
        Poll::Ready(Err(words.into()))
    })
    .await
}

fn own<B>() -> Response<Either<Fragile<B>, Full<Bytes>>> {
    Response::new(Either::Right(Full::new(Bytes::from_static(b"hello world"))))
}

/// A body that may panic at its second piece.
#[derive(Debug)]
pub(crate) struct Fragile<B> {
    body: B,
    /// Pieces that pass before it panics.
    pieces: usize,
}

impl<B: Body + Unpin> Body for Fragile<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(_))) = &polled {
            assert!(self.pieces > 0, "as it was asked to");
            self.pieces -= 1;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
