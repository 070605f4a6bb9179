//! Asks any tower service, and keeps a panic of it inside its request.
//!
//! A panic is caught where the service is called and wherever its answer or the answer's body is polled. Before the
//! head of the answer the client is told 500; after it the connection breaks off.

use std::error::Error as StdError;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower::{Service, ServiceExt as _};

use crate::body::RequestBody;
use crate::connection::edge::Serving;
use crate::error::Kind;
use crate::request::context::{Answering, WorkerContext};
use crate::request::{OwnBody, answer_to_failure};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Asks a service for its answer to a request.
pub(super) fn ask<S>(
    service: S,
    request: Request<RequestBody>,
    serving: Serving,
    context: &Rc<WorkerContext>,
) -> Guarded<S>
where
    S: Service<Request<RequestBody>>,
    S::Error: Into<BoxError>,
{
    let mut guarded = Guarded {
        stage: Stage::Panicked,
        serving: Some(serving),
        context: Rc::clone(context),
    };
    // Both go by their places: what a catch is given, and what it gives back, would be copied once more.
    let mut asked = Some((service, request));
    let stage = &mut guarded.stage;
    let called = catch_unwind(AssertUnwindSafe(|| {
        if let Some((service, request)) = asked.take() {
            *stage = call(service, request);
        }
    }));
    if called.is_err() {
        context.metrics.panicked();
    }
    guarded
}

/// A service that is ready, as the proxy always is, is called at once; one that a layer holds back is waited for.
fn call<S>(mut service: S, request: Request<RequestBody>) -> Stage<S>
where
    S: Service<Request<RequestBody>>,
    S::Error: Into<BoxError>,
{
    match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(())) => Stage::Called {
            future: service.call(request),
        },
        Poll::Ready(Err(error)) => Stage::Refused {
            error: Some(error.into()),
        },
        Poll::Pending => Stage::Waiting {
            oneshot: Box::pin(service.oneshot(request)),
        },
    }
}

pin_project! {
    #[project = StageParts]
    enum Stage<S>
    where
        S: Service<Request<RequestBody>>,
    {
        /// It is at work.
        Called { #[pin] future: S::Future },
        /// It was not ready.
        Waiting { oneshot: Pin<Box<Oneshot<S, Request<RequestBody>>>> },
        /// It never will be.
        Refused { error: Option<BoxError> },
        /// It panicked when it was called.
        Panicked,
    }
}

pin_project! {
    /// The answer of a service, behind a catch for panics.
    pub(super) struct Guarded<S>
    where
        S: Service<Request<RequestBody>>,
    {
        // First, so that what is dropped with the request can tell why.
        serving: Option<Serving>,
        #[pin]
        stage: Stage<S>,
        context: Rc<WorkerContext>,
    }
}

impl<S, B> Future for Guarded<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Output = Response<AnswerBody<B>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let stage = this.stage.as_mut().project();
        // By its place, as in `ask`.
        let mut polled = Poll::Pending;
        let caught = catch_unwind(AssertUnwindSafe(|| {
            polled = match stage {
                StageParts::Called { future } => future.poll(cx).map_err(Into::into),
                StageParts::Waiting { oneshot } => oneshot.as_mut().poll(cx).map_err(Into::into),
                StageParts::Refused { error } => Poll::Ready(Err(error
                    .take()
                    .unwrap_or_else(|| "asked again after it had answered".into()))),
                StageParts::Panicked => Poll::Ready(Err(BoxError::from(Caught))),
            };
        }));
        let failure: BoxError = match polled {
            _ if caught.is_err() => {
                this.context.metrics.panicked();
                Box::new(Caught)
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(answer)) => {
                let serving = this.serving.take();
                if let Some(serving) = &serving {
                    serving.client().answers(Answering::Begun(answer.status()));
                }
                let context = Rc::clone(this.context);
                return Poll::Ready(answer.map(|body| AnswerBody {
                    inner: Inner::Service { body },
                    serving,
                    context,
                }));
            }
            Poll::Ready(Err(error)) => error,
        };
        tracing::error!(error = %failure, "Request failed inside the proxy");
        let kind = match failure.is::<Caught>() {
            true => Kind::Panicked,
            false => Kind::LayerFailed,
        };
        let Some(serving) = this.serving.take() else {
            // Nobody asks again after an answer.
            return Poll::Pending;
        };
        serving.client().answers(Answering::Failed(kind));
        // What the failure left half done is dropped here, and booked.
        this.stage.set(Stage::Refused { error: None });
        let own = answer_to_failure(this.context, serving.client(), kind);
        let context = Rc::clone(this.context);
        Poll::Ready(own.map(|own| AnswerBody {
            inner: Inner::Own { own },
            serving: Some(serving),
            context,
        }))
    }
}

/// Instead of what a panic says, which its hook has printed.
#[derive(Debug, thiserror::Error)]
#[error("a panic was caught")]
struct Caught;

pin_project! {
    /// The body of an answer, behind a catch for panics.
    pub(super) struct AnswerBody<B> {
        #[pin]
        inner: Inner<B>,
        // Behind the body: the request ends when that is gone.
        serving: Option<Serving>,
        context: Rc<WorkerContext>,
    }
}

pin_project! {
    #[project = InnerParts]
    enum Inner<B> {
        /// The service's.
        Service { #[pin] body: B },
        /// The proxy's own, where the service failed.
        Own { own: OwnBody },
        /// None, where the service's panicked.
        Gone,
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
        let mut this = self.project();
        let inner = this.inner.as_mut().project();
        let polled = catch_unwind(AssertUnwindSafe(|| match inner {
            InnerParts::Service { body } => body.poll_frame(cx).map_err(Into::into),
            InnerParts::Own { own } => Pin::new(own).poll_frame(cx).map_err(Into::into),
            InnerParts::Gone => Poll::Ready(None),
        }));
        polled.unwrap_or_else(|_| {
            this.context.metrics.panicked();
            tracing::error!(error = %Caught, "Response broke off inside the proxy");
            if let Some(serving) = this.serving {
                serving
                    .client()
                    .answers(Answering::BrokenOff(Kind::Panicked));
            }
            this.inner.set(Inner::Gone);
            Poll::Ready(Some(Err(Box::new(Caught))))
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Service { body } => body.is_end_stream(),
            Inner::Own { own } => own.is_end_stream(),
            Inner::Gone => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Service { body } => body.size_hint(),
            Inner::Own { own } => own.size_hint(),
            Inner::Gone => SizeHint::with_exact(0),
        }
    }
}
