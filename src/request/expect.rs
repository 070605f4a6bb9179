//! `Expect: 100-continue` (RFC 9110 §10.1.1): the endpoint decides whether the body is wanted.
//!
//! The body is held back until the endpoint's own 100 comes, which reads it, which makes hyper tell the client to go
//! on. A final answer passes without any 100. An endpoint that says nothing is given the body after a while, as a
//! client would.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::EXPECT;
use http::{Extensions, HeaderMap, Request, StatusCode};
use tokio::time::{Sleep, sleep};

use crate::upstream::{BodySlot, Hold};

/// How long an endpoint may be silent before it is given the body.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the client waits for a 100. With another expectation it sends its body at once; of several lines hyper, who
/// tells the client to go on, reads the last.
pub(super) fn is_continue(headers: &HeaderMap) -> bool {
    let last = headers.get_all(EXPECT).iter().next_back();
    last.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Holds a body back until the endpoint of the request with these extensions says 100.
pub(super) fn hold(slot: &Rc<BodySlot>, extensions: &mut Extensions) {
    let asked = Arc::new(Asked::default());
    let informed = Arc::clone(&asked);
    let mut carrier = Request::new(());
    hyper::ext::on_informational(&mut carrier, move |interim| {
        if interim.status() == StatusCode::CONTINUE {
            informed.open();
        }
    });
    extensions.extend(std::mem::take(carrier.extensions_mut()));
    slot.hold(Box::new(Gate {
        asked,
        patience: None,
    }));
}

/// Set by hyper's callback, which must be `Send`, though it runs on the same thread.
#[derive(Debug, Default)]
struct Asked {
    /// Relaxed: the waker's mutex orders what matters.
    open: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Asked {
    fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
        let waiting = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

#[derive(Debug)]
struct Gate {
    asked: Arc<Asked>,
    /// Runs from the first time the body is wanted, which is when the head has been sent.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Hold for Gate {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self
            .asked
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *waiting = Some(cx.waker().clone());
        drop(waiting);
        if self.asked.open.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        patience.as_mut().poll(cx)
    }
}
