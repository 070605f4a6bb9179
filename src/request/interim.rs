//! Interim responses (RFC 9110 §15.2) of an endpoint: a 100 opens the body's gate, others are passed on to the client.
//!
//! They are passed on in order and before the answer, those of a try that is given up as well: a client may get any
//! number of them. So many and no more, since an endpoint could send them without end; what is too many, or waits behind a
//! client that does not read, is dropped, as nothing depends on it. HTTP/1.0 knows none of them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Response, StatusCode};

use crate::header::{hop, via};
use crate::upstream::Hears;

/// Interim responses of one request that are passed on, at most.
const PASSED: usize = 32;

/// What an endpoint has said before its answer to the present request of a connection. One a connection, so that requests
/// to which nothing is said cost nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Interims(Rc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    continues: Cell<bool>,
    gate: RefCell<Option<Waker>>,
    heads: RefCell<Vec<(StatusCode, HeaderMap)>>,
    passed: Cell<usize>,
}

impl Interims {
    /// Forgets what was said before the answer to the request before.
    pub(super) fn begin(&self) {
        self.0.continues.set(false);
        self.0.passed.set(0);
        if !self.0.heads.borrow().is_empty() {
            self.0.heads.borrow_mut().clear();
        }
    }

    /// Whether nobody listens to an endpoint any more.
    pub(super) fn is_unheard(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }

    /// Who listens to the endpoint.
    pub(super) fn listener(&self) -> Rc<dyn Hears> {
        Rc::clone(&self.0) as Rc<dyn Hears>
    }

    /// Whether the endpoint has asked for the body; if not, the task is woken when it does.
    pub(super) fn continues(&self, waker: &Waker) -> bool {
        if self.0.continues.get() {
            return true;
        }
        self.0.gate.replace(Some(waker.clone()));
        false
    }

    /// Passes on what has been heard.
    pub(super) fn pass_on(&self, tell: impl Fn(StatusCode, &HeaderMap)) {
        if self.0.heads.borrow().is_empty() {
            return;
        }
        for (status, headers) in self.0.heads.take() {
            tell(status, &headers);
        }
    }
}

impl Hears for Heard {
    fn hear(&self, interim: Response<()>) {
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
        hop::strip_response(&mut headers);
        // RFC 9110 §8.6, §6.1 of RFC 9112: neither may stand in a 1xx.
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        via::append(&mut headers, head.version);
        self.heads.borrow_mut().push((head.status, headers));
    }
}
