//! Interim responses (RFC 9110 §15.2) of an endpoint: a 100 opens the body's gate, others are passed on to the client.
//!
//! They are passed on in order and before the answer, those of a try that is given up as well: a client may get any
//! number of them. So many and no more, since an endpoint could send them without end; what is too many, or waits behind a
//! client that does not read, is dropped, as nothing depends on it. HTTP/1.0 knows none of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Extensions, HeaderMap, Request, StatusCode, Version};
use smallvec::SmallVec;

use crate::header::{hop, via};
use crate::request::context::Client;

/// Interim responses of one request that are passed on, at most.
const PASSED: usize = 32;

/// What an endpoint has said before its answer.
#[derive(Clone, Debug)]
pub(super) struct Interims(Arc<Heard>);

/// Filled by hyper's callback, which must be `Send`, though it runs on the same thread: nothing here is ever waited for.
#[derive(Debug, Default)]
struct Heard {
    /// Relaxed, as is the next: both sides are one thread.
    continues: AtomicBool,
    waits: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    gate: Option<Waker>,
    heads: SmallVec<[(StatusCode, HeaderMap); 1]>,
    passed: usize,
}

impl Interims {
    /// Listens to the endpoint of the request with these extensions.
    pub(super) fn listen(extensions: &mut Extensions) -> Self {
        let heard = Arc::new(Heard::default());
        let teller = Arc::clone(&heard);
        let mut carrier = Request::new(());
        hyper::ext::on_informational(&mut carrier, move |interim| {
            teller.hear(interim.status(), interim.version(), interim.headers());
        });
        extensions.extend(std::mem::take(carrier.extensions_mut()));
        Self(heard)
    }

    /// Whether the endpoint has asked for the body; if not, the task is woken when it does.
    pub(super) fn continues(&self, waker: &Waker) -> bool {
        if self.0.continues.load(Ordering::Relaxed) {
            return true;
        }
        self.0.held().gate = Some(waker.clone());
        false
    }

    /// Passes on what has been heard.
    pub(super) fn pass_on(&self, client: &Client) {
        if !self.0.waits.swap(false, Ordering::Relaxed) {
            return;
        }
        for (status, headers) in std::mem::take(&mut self.0.held().heads) {
            client.tell_interim(status, &headers);
        }
    }
}

impl Heard {
    fn hear(&self, status: StatusCode, version: Version, headers: &HeaderMap) {
        let mut held = self.held();
        if status == StatusCode::CONTINUE {
            self.continues.store(true, Ordering::Relaxed);
            if let Some(gate) = held.gate.take() {
                gate.wake();
            }
            return;
        }
        if held.passed == PASSED {
            return;
        }
        held.passed += 1;
        let mut headers = headers.clone();
        hop::strip_response(&mut headers);
        // RFC 9110 §8.6, §6.1 of RFC 9112: neither may stand in a 1xx.
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        via::append(&mut headers, version);
        held.heads.push((status, headers));
        self.waits.store(true, Ordering::Relaxed);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
