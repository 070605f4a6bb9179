//! Answers to requests that never came to the proxy: their head could not be read, or what stands around the proxy failed.

use std::rc::Rc;

use http::Response;
use tokio::time::Instant;

use crate::error::Kind;
use crate::header::ids;
use crate::request::context::{Client, WorkerContext};
use crate::request::outcome::{Ledger, ResponseBody, Silence};
use crate::response::local_reply;

/// The body of an answer that the proxy gives where no [`crate::Proxy`] could.
pub(crate) type OwnBody = ResponseBody;

/// The answer to a request that failed inside the proxy, or in a layer around it. What came to the proxy it has booked;
/// a request that did not is booked here, by the little that is known of it.
pub(crate) fn answer_to_failure(
    context: &Rc<WorkerContext>,
    client: &Rc<Client>,
    kind: Kind,
) -> Response<OwnBody> {
    if client.reached.get() {
        let answer = local_reply::response(kind, b"-", client.dialect.get());
        return answer.map(|body| ResponseBody::unbooked(body, client));
    }
    let request_id = ids::hexadecimal(context.random());
    let mut ledger = Ledger::open(context, Instant::now());
    ledger.note_unread(client, &request_id);
    let dialect = client.dialect.get();
    ledger.speaks(dialect);
    let answer = local_reply::response(kind, &request_id, dialect);
    ledger.refused(kind);
    ledger.settle();
    answer.map(|body| ResponseBody::new(body, ledger, client, Silence::None))
}

/// Books a request whose head could not be read to its end, and makes the octets of its answer.
pub(crate) fn refuse_unread(context: &Rc<WorkerContext>, client: &Client, kind: Kind) -> Vec<u8> {
    local_reply::octets(kind, &book_unread(context, client, kind))
}

/// Books a request of which nothing can be known that is sure; tells the id under which.
pub(crate) fn book_unread(context: &Rc<WorkerContext>, client: &Client, kind: Kind) -> [u8; 32] {
    let request_id = ids::hexadecimal(context.random());
    let mut ledger = Ledger::open(context, Instant::now());
    ledger.note_unread(client, &request_id);
    ledger.refused(kind);
    ledger.settle();
    request_id
}
