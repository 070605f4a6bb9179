//! Serves any tower service to hyper, and keeps a panic of it inside its request.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::Service;

use crate::body::RequestBody;
use crate::connection::edge::Edge;
use crate::metrics::Metrics;
use crate::request::{OwnBody, answer_to_failure};

type BoxError = Box<dyn StdError + Send + Sync>;

/// A service as hyper asks it.
pub(super) struct Served<S> {
    service: S,
    edge: Rc<Edge>,
    metrics: Arc<Metrics>,
}

impl<S> Served<S> {
    pub(super) fn new(service: S, edge: Rc<Edge>, metrics: Arc<Metrics>) -> Self {
        Self {
            service,
            edge,
            metrics,
        }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Served<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody<B>>;
    type Error = std::convert::Infallible;
    type Future = Guarded<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.edge.begin_request();
        let request = request.map(|body| self.edge.client.receive(body));
        // A proxy is always ready; a layer that is not, sheds by its answer.
        let mut service = self.service.clone();
        let called = catch_unwind(AssertUnwindSafe(|| service.call(request)));
        if called.is_err() {
            self.metrics.panicked();
        }
        Guarded {
            future: called.ok(),
            edge: Rc::clone(&self.edge),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

pin_project! {
    /// The answer of a service, behind a catch for panics.
    pub(super) struct Guarded<F> {
        #[pin]
        future: Option<F>,
        edge: Rc<Edge>,
        metrics: Arc<Metrics>,
    }
}

impl<F, B, E> Future for Guarded<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<AnswerBody<B>>, std::convert::Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = this.future.as_mut().as_pin_mut().map(|future| {
            // What the panic left half done is dropped with the future, right below.
            catch_unwind(AssertUnwindSafe(|| future.poll(cx)))
        });
        let failure: BoxError = match polled {
            Some(Ok(Poll::Pending)) => return Poll::Pending,
            Some(Ok(Poll::Ready(Ok(answer)))) => {
                return Poll::Ready(Ok(answer.map(AnswerBody::service)));
            }
            Some(Ok(Poll::Ready(Err(error)))) => error.into(),
            Some(Err(_)) => {
                this.metrics.panicked();
                this.edge.client.panicked.set(true);
                "a panic was caught".into()
            }
            None => "a panic was caught".into(),
        };
        tracing::error!(error = %failure, "Request failed inside the proxy");
        this.future.set(None);
        Poll::Ready(Ok(
            answer_to_failure(&this.edge.client).map(|own| AnswerBody::Own { own })
        ))
    }
}

pin_project! {
    /// The body of an answer: the service's, or the proxy's own where the service failed.
    #[project = AnswerBodyParts]
    pub(super) enum AnswerBody<B> {
        /// The service's.
        Service { #[pin] body: B },
        /// The proxy's own.
        Own { own: OwnBody },
    }
}

impl<B> AnswerBody<B> {
    fn service(body: B) -> Self {
        Self::Service { body }
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            AnswerBodyParts::Service { body } => body.poll_frame(cx).map_err(Into::into),
            AnswerBodyParts::Own { own } => Pin::new(own).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Service { body } => body.is_end_stream(),
            Self::Own { own } => own.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Service { body } => body.size_hint(),
            Self::Own { own } => own.size_hint(),
        }
    }
}

impl<S> fmt::Debug for Served<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("edge", &self.edge)
            .finish_non_exhaustive()
    }
}
