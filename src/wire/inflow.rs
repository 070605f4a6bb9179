//! The body of a request that comes over a stream of HTTP/2.
//!
//! What is taken from it is given back to the client's window at once, and nothing is taken that cannot be passed on: an
//! endpoint that does not read is felt by the client. At most a window waits in memory.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::Frame;

use crate::error::Kind;

/// The body of a request that comes over a stream.
#[derive(Debug)]
pub(crate) struct Inflow {
    stream: RecvStream,
    /// Octets to come, where that was said.
    left: Option<u64>,
    /// Who tells the client to send it, where the client waits for that.
    held: Option<Rc<Continue>>,
}

/// A 100 that is due as soon as the body is asked for (RFC 9110 §10.1.1).
#[derive(Debug, Default)]
pub(crate) struct Continue {
    is_due: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

impl Continue {
    /// Whether it is due now; if not, the task is woken when it is.
    pub(crate) fn take(&self, cx: &Context<'_>) -> bool {
        let is_due = self.is_due.take();
        if !is_due {
            self.task.replace(Some(cx.waker().clone()));
        }
        is_due
    }

    fn ask(&self) {
        self.is_due.set(true);
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

impl Inflow {
    /// The body that comes over this stream, of so many octets where that was said.
    pub(crate) fn new(stream: RecvStream, length: Option<u64>, held: Option<Rc<Continue>>) -> Self {
        Self {
            stream,
            left: length,
            held,
        }
    }

    /// Whether nothing more will come.
    pub(crate) fn is_over(&self) -> bool {
        self.stream.is_end_stream()
    }

    /// How many octets are to come, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self.is_over() {
            true => Some(0),
            false => self.left,
        }
    }

    /// The next piece.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Kind>>> {
        if let Some(held) = self.held.take() {
            held.ask();
        }
        // Frames without an octet are passed over; `h2` lets no more than a few of them wait.
        while let Some(data) = ready!(self.stream.poll_data(cx)) {
            let data = match data {
                Ok(data) => data,
                Err(error) => return Poll::Ready(Some(Err(kind(&error)))),
            };
            // A stream that has been reset meanwhile has no window any more.
            self.stream.flow_control().release_capacity(data.len()).ok();
            if !data.is_empty() {
                let left = &mut self.left;
                *left = left.map(|left| left.saturating_sub(data.len() as u64));
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
        Poll::Ready(match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(kind(&error))),
        })
    }
}

/// A body that breaks the rules, or one whose client has gone.
fn kind(error: &h2::Error) -> Kind {
    match error.is_library() && error.is_reset() {
        true => Kind::MalformedRequest,
        false => Kind::ClientGone,
    }
}
