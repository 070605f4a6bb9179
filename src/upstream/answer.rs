//! The head of an answer out of the octets of a connection (RFC 9112 §4 to §6), by `httparse`.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode, Version};
use hyper::ext::ReasonPhrase;
use smallvec::SmallVec;

use crate::header::list::members;
use crate::header::present::Present;
use crate::header::{framing, keep_alive, spare, usual};
use crate::wire;

/// The fields of a head, at most.
pub(super) const FIELDS: usize = 100;

/// The octets of a head, at most.
pub(super) const OCTETS: usize = 256 << 10;

/// A head that breaks the grammar, or that says in two ways where its body ends.
#[derive(Debug, thiserror::Error)]
#[error("the answer breaks the grammar of HTTP/1.1")]
pub(super) struct Malformed;

/// Where the body behind a head ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As a request's would.
    Framed(framing::Framing),
    /// With the connection.
    Close,
}

/// What the request says of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// It may have a body.
    Whole,
    /// It has none, whatever its head says (RFC 9110 §9.3.2).
    HeadOnly,
}

impl Expected {
    pub(super) fn to(method: &Method) -> Self {
        match *method == Method::HEAD {
            true => Self::HeadOnly,
            false => Self::Whole,
        }
    }
}

/// A head, and what it says of the connection.
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) present: Present,
    pub(super) end: End,
    /// Whether the endpoint lets the connection go on.
    pub(super) persists: bool,
    /// How long it promises to keep it (`Keep-Alive: timeout`).
    pub(super) kept: Option<Duration>,
}

/// Takes the head of an answer from the front of what was read, if all of it is here.
pub(super) fn read(
    read: &mut BytesMut,
    scanned: &mut usize,
    expected: Expected,
) -> Result<Option<Head>, Malformed> {
    if !looks_like_one(read) {
        return Err(Malformed);
    }
    // Most heads come whole: the parser is asked at once.
    if *scanned > 0 && !wire::ends(read, scanned) && read.len() < OCTETS {
        return Ok(None);
    }
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, read, &mut room)
        .map_err(|_| Malformed)?;
    let octets = match status {
        httparse::Status::Complete(octets) if octets <= OCTETS => octets,
        httparse::Status::Partial if read.len() < OCTETS => {
            *scanned = read.len();
            return Ok(None);
        }
        httparse::Status::Complete(_) | httparse::Status::Partial => return Err(Malformed),
    };
    let (Some(version), Some(code), Some(reason)) = (parsed.version, parsed.code, parsed.reason)
    else {
        return Err(Malformed);
    };
    let place = |part: &[u8]| -> Range<usize> {
        let start = part.as_ptr() as usize - read.as_ptr() as usize;
        start..start + part.len()
    };
    let mut fields: Fields = SmallVec::new();
    for field in &*parsed.headers {
        let name = usual::named(field.name).map_err(|_| Malformed)?;
        fields.push((name, place(field.value)));
    }
    let status = StatusCode::from_u16(code).map_err(|_| Malformed)?;
    let reason = (!reason.is_empty() && Some(reason) != status.canonical_reason())
        .then(|| ReasonPhrase::try_from(reason.as_bytes()).ok())
        .flatten();
    let version = match version {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let octets = read.split_to(octets).freeze();
    *scanned = 0;
    let said = read_fields(&octets, &mut fields)?;
    let persists = match version {
        Version::HTTP_10 => said.of_connection(b"keep-alive"),
        _ => !said.of_connection(b"close"),
    };
    let Said {
        headers, present, ..
    } = said;
    let length = framing::response(version, status, &headers, present).map_err(|_| Malformed)?;
    let kept = match present.has(Present::KEEP_ALIVE) {
        true => keep_alive::timeout(&headers),
        false => None,
    };
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version;
    *response.headers_mut() = headers;
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    Ok(Some(Head {
        response,
        present,
        end: end(expected, status, length, present),
        persists,
        kept,
    }))
}

/// Whether what has come may still become a head: an endpoint that speaks something else is told at once.
fn looks_like_one(read: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"HTTP/1.";
    let begun = read.len().min(BEGINNING.len());
    read[..begun] == BEGINNING[..begun]
}

/// The names of the fields of a head, and where their values stand.
type Fields = SmallVec<[(HeaderName, Range<usize>); 16]>;

/// What the fields of a head say.
struct Said {
    headers: HeaderMap,
    present: Present,
    /// The one option of a `Connection` that names no field, as most of them are. It would only be taken out of the map
    /// again.
    option: Option<&'static [u8]>,
}

impl Said {
    /// Whether this is said of the connection.
    fn of_connection(&self, option: &[u8]) -> bool {
        self.option == Some(option)
            || (self.present.has(Present::CONNECTION)
                && members(&self.headers, CONNECTION).any(|one| one.eq_ignore_ascii_case(option)))
    }
}

fn read_fields(octets: &Bytes, fields: &mut Fields) -> Result<Said, Malformed> {
    // Room for what the proxy adds.
    let mut headers = spare::take(fields.len() + 2);
    let mut present = Present::default();
    let mut option = None;
    for (name, value) in fields.drain(..) {
        if name == CONNECTION && option.is_none() {
            option = [&b"keep-alive"[..], b"close"]
                .into_iter()
                .find(|option| octets[value.clone()].eq_ignore_ascii_case(option));
            if option.is_some() {
                continue;
            }
        }
        let value = HeaderValue::from_maybe_shared(octets.slice(value)).map_err(|_| Malformed)?;
        present.note(&name);
        headers.append(name, value);
    }
    Ok(Said {
        headers,
        present,
        option,
    })
}

/// RFC 9112 §6.3.
fn end(expected: Expected, status: StatusCode, length: Option<u64>, present: Present) -> End {
    let none = expected == Expected::HeadOnly
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    if none {
        return End::Framed(framing::Framing::Empty);
    }
    // Then it is exactly one `chunked`.
    if present.has(Present::TRANSFER_ENCODING) {
        return End::Framed(framing::Framing::Chunked);
    }
    length.map_or(End::Close, |octets| {
        End::Framed(framing::Framing::Length(octets))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads what comes in these pieces, as a connection would.
    fn read_pieces(
        pieces: &[&[u8]],
        expected: Expected,
    ) -> Result<Option<(Head, Vec<u8>)>, Malformed> {
        let (mut buffer, mut scanned) = (BytesMut::new(), 0);
        let mut found = None;
        for piece in pieces {
            buffer.extend_from_slice(piece);
            if found.is_none() {
                found = read(&mut buffer, &mut scanned, expected)?;
            }
        }
        Ok(found.map(|head| (head, buffer.to_vec())))
    }

    fn one(octets: &[u8]) -> Result<Option<(Head, Vec<u8>)>, Malformed> {
        read_pieces(&[octets], Expected::Whole)
    }

    #[track_caller]
    fn assert_end(head: &str, expected: Expected, end: End, persists: bool) {
        let (found, rest) = read_pieces(&[head.as_bytes()], expected).unwrap().unwrap();
        assert_eq!((found.end, found.persists), (end, persists), "{head:?}");
        assert!(rest.is_empty());
    }

    #[test]
    fn a_head_is_the_same_wherever_it_is_cut() {
        let octets =
            b"HTTP/1.1 200 Fine\r\nServer: x\r\nA: 1\r\nContent-Length: 4\r\na: 2\r\n\r\nbody";
        for at in 0..=octets.len() {
            let (first, second) = octets.split_at(at);
            let (head, rest) = read_pieces(&[first, second], Expected::Whole)
                .unwrap()
                .unwrap();
            assert_eq!(rest, b"body", "cut at {at}");
            assert_eq!(head.end, End::Framed(framing::Framing::Length(4)));
            let response = head.response;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.version(), Version::HTTP_11);
            let reason = response.extensions().get::<ReasonPhrase>();
            assert_eq!(reason.map(ReasonPhrase::as_bytes), Some(&b"Fine"[..]));
            let both: Vec<_> = response.headers().get_all("a").iter().collect();
            assert_eq!(both, ["1", "2"]);
        }
    }

    #[test]
    fn the_end_of_a_body_is_where_rfc_9112_section_6_3_says() {
        const NONE: End = End::Framed(framing::Framing::Empty);
        const CHUNKED: End = End::Framed(framing::Framing::Chunked);
        let get = Expected::Whole;
        assert_end("HTTP/1.1 200 OK\r\n\r\n", get, End::Close, true);
        assert_end("HTTP/1.1 204 No Content\r\n\r\n", get, NONE, true);
        let length = "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n";
        assert_end(length, get, NONE, true);
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        assert_end(length, Expected::HeadOnly, NONE, true);
        assert_end(length, get, End::Framed(framing::Framing::Length(9)), true);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_end(chunked, get, CHUNKED, true);
        let close = "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_end(close, get, CHUNKED, false);
        let old = "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n";
        assert_end(old, get, End::Framed(framing::Framing::Length(9)), false);
        let kept = "HTTP/1.0 204 OK\r\nConnection: keep-alive\r\n\r\n";
        assert_end(kept, get, NONE, true);
    }

    #[test]
    fn what_does_not_begin_like_an_answer_is_refused_before_it_ends() {
        for octets in [&b"SSH-2.0"[..], b"\r\nHTTP/1.1", b"HTTP/2", b"H1"] {
            assert!(one(octets).is_err(), "{octets:?}");
        }
        for octets in [&b""[..], b"H", b"HTTP/1.", b"HTTP/1.1 200 O"] {
            assert!(one(octets).unwrap().is_none(), "{octets:?}");
        }
    }

    #[test]
    fn what_ends_and_is_no_head_is_refused() {
        let fields = "A: b\r\n".repeat(FIELDS + 1);
        let long = format!("A: {}\r\n", "b".repeat(OCTETS));
        for rest in [
            "1 200 OK\r\nA b\r\n\r\n",
            "1 200 OK\r\nA : b\r\n\r\n",
            "1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "1 200 OK\r\nA: b\0\r\n\r\n",
            "1 2000 OK\r\n\r\n",
            "1 20 OK\r\n\r\n",
            "2 200 OK\r\n\r\n",
            "1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "1 200 OK\r\nContent-Length: +1\r\n\r\n",
            "1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            &format!("1 200 OK\r\n{fields}\r\n"),
            &format!("1 200 OK\r\n{long}"),
        ] {
            let head = format!("HTTP/1.{rest}");
            assert!(one(head.as_bytes()).is_err(), "{head:.80?}");
        }
    }

    proptest! {
        #[test]
        fn octets_of_any_kind_never_panic(
            octets in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                "HTTP/1\\.[01] [0-9]{3} [ -~]{0,9}(\r\n[ -~\t\n\r\u{80}-\u{ff}]{0,30}){0,6}(\r\n\r\n)?"
                    .prop_map(String::into_bytes),
            ],
            at in any::<prop::sample::Index>(),
        ) {
            let (first, second) = octets.split_at(at.index(octets.len() + 1));
            let cut = read_pieces(&[first, second], Expected::Whole);
            let whole = one(&octets);
            // What is no head may be told sooner, never later.
            if let (Ok(Some((cut, _))), Ok(Some((whole, _)))) = (&cut, &whole) {
                prop_assert_eq!(cut.response.headers(), whole.response.headers());
            }
        }
    }
}
