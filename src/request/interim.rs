//! Interim responses (RFC 9110 §15.2) of an endpoint: a 100 opens the body's gate, others are passed on to the client.
//!
//! They are passed on in order and before the answer, those of a try that is given up as well: a client may get any
//! number of them. So many and no more, since an endpoint could send them without end; what is too many, or waits behind a
//! client that does not read, is dropped, as nothing depends on it. HTTP/1.0 knows none of them.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Response, StatusCode};

use crate::header::present::Present;
use crate::header::{hop, via};

/// Interim responses of one request that are passed on, at most.
const PASSED: usize = 32;

/// What an endpoint has said before its answer to the present request of a connection. One a connection, so that requests
/// to which nothing is said cost nothing.
#[derive(Debug, Default)]
pub(super) struct Interims {
    continues: Cell<bool>,
    gate: RefCell<Option<Waker>>,
    heads: RefCell<Vec<(StatusCode, HeaderMap)>>,
    passed: Cell<usize>,
}

impl Interims {
    /// Forgets what was said before the answer to the request before.
    pub(super) fn begin(&self) {
        self.continues.set(false);
        self.passed.set(0);
        if !self.heads.borrow().is_empty() {
            self.heads.borrow_mut().clear();
        }
    }

    /// Whether the endpoint has asked for the body; if not, the task is woken when it does.
    pub(super) fn continues(&self, waker: &Waker) -> bool {
        if self.continues.get() {
            return true;
        }
        self.gate.replace(Some(waker.clone()));
        false
    }

    /// Passes on what has been heard.
    pub(super) fn pass_on(&self, tell: impl Fn(StatusCode, &HeaderMap)) {
        if self.heads.borrow().is_empty() {
            return;
        }
        for (status, headers) in self.heads.take() {
            tell(status, &headers);
        }
    }

    /// The endpoint has said this.
    pub(super) fn hear(&self, interim: Response<()>) {
        let (head, ()) = interim.into_parts();
        if head.status == StatusCode::CONTINUE {
            self.continues.set(true);
            if let Some(gate) = self.gate.take() {
                gate.wake();
            }
            return;
        }
        if self.passed.get() == PASSED {
            return;
        }
        self.passed.set(self.passed.get() + 1);
        let mut headers = head.headers;
        let present = Present::of(&headers);
        hop::strip_response(&mut headers, present);
        // RFC 9110 §8.6, §6.1 of RFC 9112: neither may stand in a 1xx.
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        via::append(&mut headers, head.version);
        self.heads.borrow_mut().push((head.status, headers));
    }
}
