//! Names of a request: `X-Request-Id`, made where there is none, and the trace it belongs to (W3C Trace Context).

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

use crate::header::present::Present;

/// The field with the request's id.
pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The field with the trace, passed on as it is.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The field with what vendors add to the trace, passed on as it is.
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest id that is kept.
const MAX_ID_BYTES: usize = 128;

/// Ids that are made in one piece of memory.
const IDS: usize = 16;

thread_local! {
    static CHUNK: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// The request's id, to be logged and told to the client. A sane one (1 to 128 visible ASCII characters, one line) is
/// kept, otherwise `made` takes its place, as 32 hexadecimal digits.
pub fn request_id(headers: &mut HeaderMap, present: Present, made: u128) -> HeaderValue {
    if present.has(Present::X_REQUEST_ID) {
        let mut lines = headers.get_all(&X_REQUEST_ID).iter();
        if let (Some(line), None) = (lines.next(), lines.next())
            && is_sane(line.as_bytes())
        {
            return line.clone();
        }
        headers.remove(&X_REQUEST_ID);
    }
    let value = HeaderValue::from_maybe_shared(kept(&hexadecimal(made)))
        .expect("hexadecimal digits are a value");
    headers.append(&X_REQUEST_ID, value.clone());
    value
}

/// The digits, behind those of other requests: an allocation of its own, and one more to share it, would cost each request
/// more than its id does. A request that lasts holds the ids of so few others that it does not show.
fn kept(digits: &[u8; 32]) -> Bytes {
    CHUNK.with_borrow_mut(|chunk| {
        if chunk.capacity() < digits.len() {
            *chunk = BytesMut::with_capacity(IDS * digits.len());
        }
        chunk.extend_from_slice(digits);
        chunk.split().freeze()
    })
}

fn is_sane(id: &[u8]) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// A number as 32 hexadecimal digits.
pub(crate) fn hexadecimal(number: u128) -> [u8; 32] {
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair.copy_from_slice(&PAIRS[usize::from(byte)]);
    }
    text
}

/// The two digits of each octet.
static PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut octet = 0;
    while octet < pairs.len() {
        pairs[octet] = [DIGITS[octet >> 4], DIGITS[octet & 0xf]];
        octet += 1;
    }
    pairs
};

/// The id of a trace: 32 hexadecimal digits in lower case, not all of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// As it is logged.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only hexadecimal digits are taken in")
    }
}

/// The trace that a request belongs to; `None` without a valid `traceparent` (Trace Context, §3.2).
#[must_use]
pub fn trace_id(headers: &HeaderMap) -> Option<TraceId> {
    let mut lines = headers.get_all(&TRACEPARENT).iter();
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let (head, future) = line.as_bytes().split_first_chunk::<55>()?;
    let (version, trace, parent, flags) = (&head[..2], &head[3..35], &head[36..52], &head[53..]);
    let hyphens = [head[2], head[35], head[52]] == [b'-'; 3];
    // A version to come may add fields at the end, version 00 may not.
    let ends_well = match version {
        b"00" => future.is_empty(),
        b"ff" => false,
        _ => future.first().is_none_or(|byte| *byte == b'-'),
    };
    let digits = [version, trace, parent, flags].into_iter().flatten();
    let is_lower_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_zero = |id: &[u8]| id.iter().all(|byte| *byte == b'0');
    let valid = hyphens
        && ends_well
        && digits.copied().all(|byte| is_lower_hex(&byte))
        && !is_zero(trace)
        && !is_zero(parent);
    if !valid {
        return None;
    }
    trace.try_into().ok().map(TraceId)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header::tests::fields;

    #[test]
    fn a_sane_request_id_is_kept() {
        let mut headers = fields(&[("x-request-id", "abc-123")]);
        let present = Present::of(&headers);
        assert_eq!(request_id(&mut headers, present, 1), "abc-123");
        assert_eq!(headers, fields(&[("x-request-id", "abc-123")]));
    }

    #[test]
    fn a_missing_or_unsound_request_id_is_replaced() {
        let long = "a".repeat(129);
        let unsound: [&[(&str, &str)]; 5] = [
            &[],
            &[("x-request-id", "")],
            &[("x-request-id", "a b")],
            &[("x-request-id", &long)],
            &[("x-request-id", "a"), ("x-request-id", "b")],
        ];
        for lines in unsound {
            let mut headers = fields(lines);
            let present = Present::of(&headers);
            let made = "000000000000000000000000000000ab";
            assert_eq!(request_id(&mut headers, present, 0xab), made, "{lines:?}");
            assert_eq!(headers, fields(&[("x-request-id", made)]));
        }
    }

    fn trace_of(value: &str) -> Option<String> {
        trace_id(&fields(&[("traceparent", value)])).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn a_valid_traceparent_tells_its_trace() {
        let trace = Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_of(valid), trace);
        let newer = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert_eq!(trace_of(newer), trace);
    }

    #[test]
    fn an_invalid_traceparent_tells_nothing() {
        for value in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace_of(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_made_id_is_the_number_in_hexadecimal(number: u128) {
            prop_assert_eq!(hexadecimal(number).to_vec(), format!("{number:032x}").into_bytes());
        }
    }
}
