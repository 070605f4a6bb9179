//! What the access log tells of a request's head.

use std::time::SystemTime;

use http::Method;
use http::header::{HeaderValue, REFERER, USER_AGENT};
use http::request::Parts;

use crate::access_log::{Logger, Record, Text};
use crate::header::ids;
use crate::request::asked::Asked;
use crate::request::context::Client;

/// Of a request whose head was read; nothing without an access log.
pub(super) fn of_head(
    logger: &Logger,
    client: &Client,
    head: &Parts,
    asked: &Asked<'_>,
) -> Option<Box<Record>> {
    if !logger.is_on() {
        return None;
    }
    let mut record = Record::new(
        SystemTime::now(),
        asked.client,
        head.method.clone(),
        head.version,
    );
    record.put(Text::RequestId, asked.request_id.as_bytes());
    record.put(Text::Listener, client.listener.name.as_bytes());
    record.put(Text::Host, asked.host.as_bytes());
    record.put(Text::Path, asked.path.as_bytes());
    record.put(Text::Query, head.uri.query().unwrap_or_default().as_bytes());
    if let Some(trace_id) = ids::trace_id(&head.headers) {
        record.put(Text::TraceId, trace_id.as_str().as_bytes());
    }
    if logger.wants_agent() {
        for (text, name) in [(Text::Referer, REFERER), (Text::UserAgent, USER_AGENT)] {
            let value = head.headers.get(name);
            record.put(text, value.map_or(b"", HeaderValue::as_bytes));
        }
    }
    Some(Box::new(record))
}

/// Of a request whose head could not be read to its end; nothing without an access log.
pub(super) fn of_nothing(
    logger: &Logger,
    client: &Client,
    request_id: &[u8],
) -> Option<Box<Record>> {
    if !logger.is_on() {
        return None;
    }
    let mut record = Record::new(
        SystemTime::now(),
        client.address(),
        Method::default(),
        client.speaks(),
    );
    record.put(Text::RequestId, request_id);
    record.put(Text::Listener, client.listener.name.as_bytes());
    Some(Box::new(record))
}
