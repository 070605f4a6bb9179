//! A case: what a client sends, what becomes of it on both sides, and why. Each is a row of `docs/hostile-input.md`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::client::{End, Response};
use crate::support::endpoint::{Progress, Received};
use crate::support::{Client, Endpoint, Fiel, Scrape};

use super::document::Row;
use super::strict;

/// What a smuggler would like to be taken for a request of its own.
pub(super) const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

/// Where requests go that are cut on their way.
const CUT: &str = "/cut";

/// What a client sends and what becomes of it.
pub(super) struct Case {
    label: String,
    sent: Vec<u8>,
    fate: Fate,
    why: &'static str,
}

/// What becomes of it.
enum Fate {
    /// fiel answers by itself and closes; nothing arrives.
    Refused(u16, &'static str),
    /// The same, for what is found when the head has been forwarded: the endpoint never sees a whole request.
    Cut(u16, &'static str),
    /// It arrives with these parts, and is answered.
    Forwarded(Vec<Part>, Connection),
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    /// It serves the next request.
    Kept,
    /// It ends behind the answer, and what follows is not read.
    Closed,
}

/// A part of a request as it arrives.
pub(super) enum Part {
    /// Its first line.
    Line(&'static str),
    /// Exactly one field of this name, with this value.
    Field(&'static str, &'static str),
    /// One field of this name with 32 hexadecimal digits, made by fiel.
    NewId(&'static str),
    /// No field of this name.
    Without(&'static str),
    /// Its body.
    Body(&'static str),
    /// Its trailers.
    Trailers(&'static [(&'static str, &'static str)]),
}

pub(super) fn refused(
    label: impl Into<String>,
    sent: impl Into<Vec<u8>>,
    status: u16,
    reason: &'static str,
    why: &'static str,
) -> Case {
    Case::new(label, sent, Fate::Refused(status, reason), why)
}

pub(super) fn malformed(
    label: impl Into<String>,
    sent: impl Into<Vec<u8>>,
    why: &'static str,
) -> Case {
    refused(label, sent, 400, "malformed_request", why)
}

pub(super) fn cut(label: impl Into<String>, sent: impl Into<Vec<u8>>, why: &'static str) -> Case {
    let sent = String::from_utf8(sent.into()).expect("text");
    let sent = sent.replacen("POST / ", &format!("POST {CUT} "), 1);
    Case::new(label, sent, Fate::Cut(400, "malformed_request"), why)
}

pub(super) fn forwarded<const N: usize>(
    label: impl Into<String>,
    sent: impl Into<Vec<u8>>,
    parts: [Part; N],
    why: &'static str,
) -> Case {
    let fate = Fate::Forwarded(parts.into(), Connection::Kept);
    Case::new(label, sent, fate, why)
}

pub(super) fn forwarded_last<const N: usize>(
    label: impl Into<String>,
    sent: impl Into<Vec<u8>>,
    parts: [Part; N],
    why: &'static str,
) -> Case {
    let fate = Fate::Forwarded(parts.into(), Connection::Closed);
    Case::new(label, sent, fate, why)
}

/// A GET with these lines of fields.
pub(super) fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n\r\n")
}

/// A GET for this target.
pub(super) fn target(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// A POST with these lines of fields and this body.
pub(super) fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: test\r\n{fields}\r\n\r\n{body}")
}

impl Case {
    fn new(
        label: impl Into<String>,
        sent: impl Into<Vec<u8>>,
        fate: Fate,
        why: &'static str,
    ) -> Self {
        Self {
            label: label.into(),
            sent: sent.into(),
            fate,
            why,
        }
    }

    pub(super) fn row(&self) -> Row {
        Row {
            label: self.label.clone(),
            does: self.fate.to_string(),
            why: self.why,
        }
    }
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(status, reason) => {
                write!(f, "{status} `{reason}`, closed; nothing is forwarded")
            }
            Self::Cut(status, reason) => {
                write!(f, "{status} `{reason}`, closed; cut at the endpoint")
            }
            Self::Forwarded(parts, connection) => {
                let parts: Vec<String> = parts.iter().map(Part::to_string).collect();
                let end = match connection {
                    Connection::Kept => "",
                    Connection::Closed => "; closed behind the answer",
                };
                write!(f, "forwarded {}{end}", parts.join(", "))
            }
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => write!(f, "as `{line}`"),
            Self::Field(name, "") => write!(f, "with an empty `{name}`"),
            Self::Field(name, value) => write!(f, "with `{name}: {}`", value.escape_debug()),
            Self::NewId(name) => write!(f, "with a new `{name}`"),
            Self::Without(name) => write!(f, "without `{name}`"),
            Self::Body("") => write!(f, "without a body"),
            Self::Body(body) => write!(f, "with the body `{}`", body.escape_debug()),
            Self::Trailers([]) => write!(f, "without trailers"),
            Self::Trailers(trailers) => {
                let names: Vec<String> = trailers
                    .iter()
                    .map(|(name, value)| format!("`{name}: {value}`"))
                    .collect();
                write!(f, "with the trailers {}", names.join(", "))
            }
        }
    }
}

/// Sends every case, each on a connection of its own, and looks at both sides.
///
/// A sound request of another client follows each. It goes over the same connections to the endpoint: whatever a case
/// left behind there would be seen in it.
pub(super) fn judge(cases: &[Case], fiel: &Fiel, endpoint: &Endpoint) {
    let mut seen = 0;
    fence(fiel, endpoint, &mut seen);
    let mut failed = Vec::new();
    for case in cases {
        let judged = catch_unwind(AssertUnwindSafe(|| {
            judge_one(case, fiel, endpoint, &mut seen);
        }));
        if judged.is_err() {
            failed.push(&case.label);
            // What it left behind is not the next one's.
            fence(fiel, endpoint, &mut seen);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    for request in endpoint.requests_to(CUT) {
        endpoint.wait_for_end(request.connection);
    }
    for request in endpoint.requests_to(CUT) {
        assert_ne!(request.progress, Progress::Whole, "{request:?}");
    }
    strict::assert_well_formed(endpoint);
    assert_counted(fiel, counts_of(cases));
}

fn judge_one(case: &Case, fiel: &Fiel, endpoint: &Endpoint, seen: &mut usize) {
    let before = endpoint.connections();
    let told = send(case, fiel);
    let arrived = fence(fiel, endpoint, seen);
    match &case.fate {
        Fate::Refused(status, reason) => {
            assert!(arrived.is_empty(), "{arrived:?}");
            assert_eq!(endpoint.connections(), before, "connections");
            assert_logged(fiel, &told, *status, reason);
        }
        Fate::Cut(status, reason) => {
            assert!(arrived.is_empty(), "{arrived:?}");
            assert_logged(fiel, &told, *status, reason);
        }
        Fate::Forwarded(parts, connection) => {
            let (request, rest) = arrived.split_first().expect("it was not forwarded");
            let expected = usize::from(*connection == Connection::Kept);
            assert_eq!(rest.len(), expected, "{rest:?}");
            parts.iter().for_each(|part| part.check(request));
        }
    }
}

/// Sends a case; what the client is told.
fn send(case: &Case, fiel: &Fiel) -> Response {
    let mut client = Client::connect(fiel.address("web"));
    let mut octets = case.sent.clone();
    let is_kept = matches!(case.fate, Fate::Forwarded(_, Connection::Kept));
    if !is_kept {
        octets.extend_from_slice(SMUGGLED.as_bytes());
    }
    // What is refused early need not be read to its end.
    client.try_send(&octets).ok();
    let answer = client.response();
    match &case.fate {
        Fate::Refused(status, _) | Fate::Cut(status, _) => assert_own_answer(&answer, *status),
        Fate::Forwarded(..) => {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.cut_short, None);
        }
    }
    if is_kept {
        assert_eq!(client.get("/next").status, 200, "the next request");
    } else {
        let (rest, end) = client.read_to_end();
        assert_eq!(String::from_utf8_lossy(&rest), "", "behind the answer");
        // What a client goes on sending may be answered with a reset.
        assert!(end == End::Fin || octets.len() > 60_000, "{end:?}");
    }
    answer
}

/// An answer of fiel's own: the class of the failure, and the request's id in a few words.
pub(super) fn assert_own_answer(answer: &Response, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    let told = answer.header("proxy-status").unwrap_or_default();
    assert!(told.starts_with("fiel; error=http_request_"), "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(answer.headers_named("content-length").len(), 1);
    assert!(!id_of(answer).is_empty(), "{}", answer.text());
    assert_eq!(answer.cut_short, None);
}

fn id_of(answer: &Response) -> String {
    let text = answer.text();
    let (_, id) = text.split_once("\nrequest id: ").unwrap_or_default();
    id.trim_end().to_owned()
}

/// The log has the request by the id that its client was told.
pub(super) fn assert_logged(fiel: &Fiel, answer: &Response, status: u16, reason: &str) {
    let id = id_of(answer);
    let line = crate::support::wait::eventually("its line in the log", || {
        let lines = fiel.access_log().into_iter();
        lines.rev().find(|line| line["request_id"] == id.as_str())
    });
    assert_eq!(line["status"], status, "{line}");
    assert_eq!(line["reason"], reason, "{line}");
}

/// Answers of fiel's own are counted by their status and reason, each once.
pub(super) fn assert_counted(
    fiel: &Fiel,
    counts: impl IntoIterator<Item = ((u16, &'static str), f64)>,
) {
    let scrape = Scrape::of(fiel);
    for ((status, reason), count) in counts {
        let labels = format!("code=\"{status}\",reason=\"{reason}\"}}");
        let counted: f64 = scrape
            .samples()
            .filter(|(series, _)| series.starts_with("fiel_local_replies_total{"))
            .filter(|(series, _)| series.ends_with(&labels))
            .map(|(_, value)| value)
            .sum();
        assert_eq!(counted, count, "{labels} in\n{}", scrape.text());
    }
}

/// How often each status and reason is in these cases.
fn counts_of(cases: &[Case]) -> BTreeMap<(u16, &'static str), f64> {
    let mut counts = BTreeMap::new();
    for case in cases {
        if let Fate::Refused(status, reason) | Fate::Cut(status, reason) = case.fate {
            *counts.entry((status, reason)).or_insert(0.0) += 1.0;
        }
    }
    counts
}

/// The label, the octets and the status of a case that is refused before anything arrives.
pub(super) fn refuse_at_once(case: &Case) -> Option<(String, Vec<u8>, u16)> {
    let Fate::Refused(status, _) = case.fate else {
        return None;
    };
    Some((case.label.clone(), case.sent.clone(), status))
}

/// A sound request; what arrived since the last one, without it, and without those that are cut: they may come to the
/// endpoint's eye after it.
fn fence(fiel: &Fiel, endpoint: &Endpoint, seen: &mut usize) -> Vec<Received> {
    let answer = Client::connect(fiel.address("web")).get("/fence");
    assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
    let mut requests = endpoint.requests().split_off(*seen);
    *seen += requests.len();
    requests.retain(|request| !request.line().starts_with(&format!("POST {CUT} ")));
    let fence = requests.pop().expect("the fence itself");
    assert_eq!(fence.line(), "GET /fence HTTP/1.1");
    requests
}

impl Part {
    fn check(&self, request: &Received) {
        match self {
            Self::Line(line) => assert_eq!(request.line(), *line),
            Self::Field(name, value) => {
                assert_eq!(values(request, name), [*value], "{name} of {request:?}");
            }
            Self::NewId(name) => {
                let values = values(request, name);
                let is_made = |id: &String| id.len() == 32 && u128::from_str_radix(id, 16).is_ok();
                assert!(
                    values.len() == 1 && values.iter().all(is_made),
                    "{values:?}"
                );
            }
            Self::Without(name) => {
                assert_eq!(values(request, name), Vec::<String>::new(), "{name}");
            }
            Self::Body(body) => {
                assert_eq!(String::from_utf8_lossy(&request.body), *body);
                assert_eq!(request.progress, Progress::Whole);
            }
            Self::Trailers(trailers) => {
                let arrived: Vec<(&str, &str)> = request
                    .trailers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                assert_eq!(arrived, *trailers);
            }
        }
    }
}

fn values(request: &Received, name: &str) -> Vec<String> {
    let fields = request.headers().into_iter();
    let named = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value).collect()
}
