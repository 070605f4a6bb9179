//! What a route's configuration puts into messages, copied for each worker.
//!
//! A field's value or a body that came from the file counts who holds it. Were it put into messages as it is, all workers would
//! write that count for each of them, and fight over its cache line. Each has a copy of its own instead, made with its first
//! request since the route is as it is.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::config::model::{Action, HeaderEdits, Route};
use crate::metrics::cells::{PerWorker, WorkerId};

/// The words of a route.
#[derive(Debug)]
pub struct Words(Option<PerWorker<OnceLock<Spoken>>>);

/// What one worker puts into messages.
#[derive(Debug)]
pub struct Spoken {
    /// The edits of requests.
    pub request: HeaderEdits,
    /// The edits of answers.
    pub response: HeaderEdits,
    /// What takes the place of `Host`.
    pub host: Option<HeaderValue>,
    /// The body of a fixed answer.
    pub body: Bytes,
}

/// Those of most routes.
static NOTHING: Spoken = Spoken {
    request: NO_EDITS,
    response: NO_EDITS,
    host: None,
    body: Bytes::new(),
};

const NO_EDITS: HeaderEdits = HeaderEdits {
    set: Vec::new(),
    add: Vec::new(),
    remove: Vec::new(),
};

impl Words {
    /// Room for the copies of so many workers, where this route needs any.
    pub(super) fn new(route: &Route, workers: usize) -> Self {
        let speaks = route.request_headers != NO_EDITS
            || route.response_headers != NO_EDITS
            || route.rewrite.host.is_some()
            || !body(route).is_empty();
        Self(speaks.then(|| PerWorker::new(workers)))
    }

    /// Those of a worker; the route is the one that these are of.
    #[must_use]
    pub fn of(&self, worker: WorkerId, route: &Route) -> &Spoken {
        match &self.0 {
            None => &NOTHING,
            Some(copies) => copies.of(worker).get_or_init(|| Spoken::copied(route)),
        }
    }
}

impl Spoken {
    fn copied(route: &Route) -> Self {
        Self {
            request: edits(&route.request_headers),
            response: edits(&route.response_headers),
            host: route.rewrite.host.as_ref().map(value),
            body: Bytes::copy_from_slice(body(route)),
        }
    }
}

fn body(route: &Route) -> &[u8] {
    match &route.action {
        Action::Respond(rule) => &rule.body,
        Action::Redirect(_) | Action::Split(_) | Action::PoolByHost(_) => &[],
    }
}

fn edits(edits: &HeaderEdits) -> HeaderEdits {
    let fields = |fields: &[(HeaderName, HeaderValue)]| {
        fields
            .iter()
            .map(|(one, other)| (name(one), value(other)))
            .collect()
    };
    HeaderEdits {
        set: fields(&edits.set),
        add: fields(&edits.add),
        remove: edits.remove.iter().map(name).collect(),
    }
}

fn name(name: &HeaderName) -> HeaderName {
    HeaderName::from_bytes(name.as_str().as_bytes()).expect("it is the name of a field")
}

fn value(value: &HeaderValue) -> HeaderValue {
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).expect("it is the value of a field");
    copy.set_sensitive(value.is_sensitive());
    copy
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::ptr;

    use super::*;
    use crate::config;

    /// The first of two routes, of which this is said.
    fn route(said: &str) -> Route {
        let yaml = format!(
            "listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes:
  - {{ name: one, match: {{ hosts: [one.example] }}, {said} }}
  - {{ name: rest, split: [ {{ pool: app }} ] }}
pools: {{ app: {{ endpoints: [ \"127.0.0.1:1\" ] }} }}\n"
        );
        let read = config::read(yaml.as_bytes(), "test.yaml", Path::new("."), &|_| None);
        Route::clone(&read.unwrap().config.routes[0])
    }

    #[test]
    fn each_worker_has_copies_of_its_own_that_say_the_same() {
        let edited = route(
            "split: [ { pool: app } ], requestHeaders: { set: { x-tenant: shop }, remove: [ x-debug ] }",
        );
        let fixed = route(
            "respond: { status: 200, body: hello }, responseHeaders: { add: { x-served-by: fiel } }",
        );
        let (tenant, served_by) = (
            &edited.request_headers.set[0],
            &fixed.response_headers.add[0],
        );
        let mut places = vec![
            tenant.0.as_str().as_ptr(),
            tenant.1.as_bytes().as_ptr(),
            served_by.1.as_bytes().as_ptr(),
        ];
        let words = [&edited, &fixed].map(|route| Words::new(route, 2));
        for worker in [WorkerId(0), WorkerId(1)] {
            let asks = words[0].of(worker, &edited);
            let answers = words[1].of(worker, &fixed);
            assert_eq!(asks.request, edited.request_headers);
            assert_eq!(answers.response, fixed.response_headers);
            assert_eq!(answers.body, "hello");
            let (name, value) = &asks.request.set[0];
            places.extend([
                name.as_str().as_ptr(),
                value.as_bytes().as_ptr(),
                answers.response.add[0].1.as_bytes().as_ptr(),
                answers.body.as_ptr(),
            ]);
            assert!(ptr::eq(asks, words[0].of(worker, &edited)), "made once");
        }
        let all = places.len();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), all, "something is shared");
    }

    #[test]
    fn a_route_that_puts_nothing_into_messages_keeps_no_copies() {
        let route = route("split: [ { pool: app } ]");
        let words = Words::new(&route, 2);
        assert!(words.0.is_none());
        assert!(ptr::eq(words.of(WorkerId(1), &route), &raw const NOTHING));
    }
}
