//! Maps for the fields of messages to come: those of messages that are done with, so that a request on a busy worker makes
//! none anew.

use std::cell::RefCell;

use http::HeaderMap;

/// How many a thread keeps at most.
const KEPT: usize = 64;

/// The most fields that one which is kept has room for.
const ROOM: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// An empty map, with room for so many fields where one must be made.
pub(crate) fn take(room: usize) -> HeaderMap {
    let spare = SPARE.with_borrow_mut(Vec::pop);
    spare.unwrap_or_else(|| HeaderMap::with_capacity(room))
}

/// Keeps a map that nobody needs any more.
pub(crate) fn give(mut headers: HeaderMap) {
    if (1..=ROOM).contains(&headers.capacity()) {
        headers.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < KEPT {
                spare.push(headers);
            }
        });
    }
}
