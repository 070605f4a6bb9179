//! Where the body of a message ends (RFC 9112 §6): the one place that decides it, before anything is forwarded.
//!
//! What is ambiguous is refused and never repaired, since an endpoint may read it differently.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode, Version};

use crate::error::Kind;
use crate::header::list::{digits, is_token, members};
use crate::header::present::Present;

/// Where the body of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// After so many octets.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// Decides the framing of a request.
///
/// # Errors
/// [`Kind::MalformedRequest`] or [`Kind::UnknownTransferCoding`].
pub fn request(version: Version, headers: &HeaderMap, present: Present) -> Result<Framing, Kind> {
    if present.has(Present::TRANSFER_ENCODING) {
        // RFC 9112 §6.1: an HTTP/1.0 message with a transfer coding has faulty framing (CVE-2026-2835). HTTP/2 has none at
        // all (RFC 9113 §8.2.2).
        if version != Version::HTTP_11 {
            return Err(Kind::MalformedRequest);
        }
        // RFC 9112 §6.3, third: both together may be an attempt to smuggle.
        if present.has(Present::CONTENT_LENGTH) {
            return Err(Kind::MalformedRequest);
        }
        return match coding(headers) {
            Coding::Chunked => Ok(Framing::Chunked),
            Coding::Unknown => Err(Kind::UnknownTransferCoding),
            Coding::Faulty => Err(Kind::MalformedRequest),
        };
    }
    // RFC 9112 §6.3, seventh: a request without either has no body.
    if !present.has(Present::CONTENT_LENGTH) {
        return Ok(Framing::Empty);
    }
    let length = content_length(headers).map_err(|Faulty| Kind::MalformedRequest)?;
    Ok(length.map_or(Framing::Empty, Framing::Length))
}

/// Refuses responses whose body would not certainly end where the endpoint meant it to; the length that the others name.
///
/// # Errors
/// [`Kind::MalformedResponse`].
pub fn response(
    version: Version,
    status: StatusCode,
    headers: &HeaderMap,
    present: Present,
) -> Result<Option<u64>, Kind> {
    let length = match present.has(Present::CONTENT_LENGTH) {
        true => content_length(headers).map_err(|Faulty| Kind::MalformedResponse)?,
        false => None,
    };
    if !present.has(Present::TRANSFER_ENCODING) {
        return Ok(length);
    }
    // RFC 9112 §6.1: no transfer coding in 1xx and 204, none in HTTP/1.0; §6.3: none beside a length. Other codings
    // than chunked were not asked for, as no `TE` says so.
    let has_no_body = status.is_informational() || status == StatusCode::NO_CONTENT;
    let faulty = has_no_body
        || version == Version::HTTP_10
        || length.is_some()
        || coding(headers) != Coding::Chunked;
    if faulty {
        return Err(Kind::MalformedResponse);
    }
    Ok(None)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// Exactly one `chunked`.
    Chunked,
    /// Codings that fiel does not know, and chunked once, at the end.
    Unknown,
    /// Anything else: there is no telling where the body ends.
    Faulty,
}

fn coding(headers: &HeaderMap) -> Coding {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    let first = lines.next().map(HeaderValue::as_bytes).unwrap_or_default();
    // The field is passed on as it stands, so that only the plainest form will do: `chunked,` is not it.
    if is_chunked(first) && lines.next().is_none() {
        return Coding::Chunked;
    }
    let mut count = 0;
    let mut chunked = 0;
    let mut last_is_chunked = false;
    for member in members(headers, TRANSFER_ENCODING) {
        if !is_coding(member) {
            return Coding::Faulty;
        }
        last_is_chunked = is_chunked(member);
        chunked += usize::from(last_is_chunked);
        count += 1;
    }
    // RFC 9112 §6.3, fourth: a request whose last coding is not chunked is malformed. §6.1: chunked comes only once,
    // and an unknown coding, its end being known, is a 501.
    if last_is_chunked && chunked == 1 && count > 1 {
        Coding::Unknown
    } else {
        Coding::Faulty
    }
}

fn is_chunked(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"chunked")
}

/// A coding's name, with parameters or without; `chunked` has none (RFC 9112 §7).
fn is_coding(member: &[u8]) -> bool {
    match member.iter().position(|byte| *byte == b';') {
        None => is_token(member),
        Some(end) => {
            let name = member[..end].trim_ascii_end();
            is_token(name) && !is_chunked(name)
        }
    }
}

struct Faulty;

/// RFC 9112 §6.3, fifth: a length is one line of digits. Lists of equal lengths could be taken for one, but nothing
/// that sends them is worth the risk (CVE-2023-40225).
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Faulty> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(Faulty);
    }
    digits(line.as_bytes()).map(Some).ok_or(Faulty)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header::tests::fields;

    fn request(version: Version, headers: &HeaderMap) -> Result<Framing, Kind> {
        super::request(version, headers, Present::of(headers))
    }

    fn response(version: Version, status: StatusCode, headers: &HeaderMap) -> Result<(), Kind> {
        super::response(version, status, headers, Present::of(headers)).map(drop)
    }

    fn of(lines: &[(&str, &str)]) -> Result<Framing, Kind> {
        request(Version::HTTP_11, &fields(lines))
    }

    fn of_codings(codings: &[&str]) -> Result<Framing, Kind> {
        let lines: Vec<_> = codings
            .iter()
            .map(|line| ("transfer-encoding", *line))
            .collect();
        of(&lines)
    }

    #[test]
    fn a_request_without_length_and_coding_has_no_body() {
        assert_eq!(of(&[]), Ok(Framing::Empty));
    }

    #[test]
    fn a_length_is_digits_only() {
        assert_eq!(of(&[("content-length", "0")]), Ok(Framing::Length(0)));
        assert_eq!(of(&[("content-length", "042")]), Ok(Framing::Length(42)));
        let greatest = u64::MAX.to_string();
        assert_eq!(
            of(&[("content-length", &greatest)]),
            Ok(Framing::Length(u64::MAX))
        );
        for faulty in [
            "",
            "+5",
            "-1",
            "5 ",
            "5, 5",
            "0x5",
            "5.0",
            "18446744073709551616",
        ] {
            let result = of(&[("content-length", faulty)]);
            assert_eq!(result, Err(Kind::MalformedRequest), "{faulty:?}");
        }
    }

    #[test]
    fn two_lengths_are_refused_even_when_equal() {
        let result = of(&[("content-length", "5"), ("content-length", "5")]);
        assert_eq!(result, Err(Kind::MalformedRequest));
    }

    #[test]
    fn one_chunked_is_the_only_coding() {
        assert_eq!(of_codings(&["chunked"]), Ok(Framing::Chunked));
        assert_eq!(of_codings(&["CHUNKED"]), Ok(Framing::Chunked));
    }

    #[test]
    fn unknown_codings_before_chunked_are_not_implemented() {
        for codings in [
            &["gzip, chunked"][..],
            &["identity, chunked"],
            &["gzip", "chunked"],
            &["a;b=c, chunked"],
        ] {
            assert_eq!(
                of_codings(codings),
                Err(Kind::UnknownTransferCoding),
                "{codings:?}"
            );
        }
    }

    #[test]
    fn codings_that_do_not_end_in_one_chunked_are_malformed() {
        for codings in [
            &[""][..],
            &["gzip"],
            &["identity"],
            &["chunked, gzip"],
            &["chunked, chunked"],
            &["chunked", "chunked"],
            &["chunked", ""],
            &["chunked,"],
            &[", chunked"],
            &["chunked;a=b"],
            &["xchunked"],
            &["\"chunked\""],
            &["chun ked"],
            &["a b, chunked"],
        ] {
            assert_eq!(
                of_codings(codings),
                Err(Kind::MalformedRequest),
                "{codings:?}"
            );
        }
    }

    #[test]
    fn a_coding_beside_a_length_or_in_http_1_0_is_malformed() {
        let both = [("transfer-encoding", "chunked"), ("content-length", "5")];
        assert_eq!(of(&both), Err(Kind::MalformedRequest));
        let result = request(Version::HTTP_10, &fields(&both[..1]));
        assert_eq!(result, Err(Kind::MalformedRequest));
    }

    #[test]
    fn a_response_may_have_a_length_or_one_chunked_or_neither() {
        let of = |lines| response(Version::HTTP_11, StatusCode::OK, &fields(lines));
        assert_eq!(of(&[]), Ok(()));
        assert_eq!(of(&[("content-length", "5")]), Ok(()));
        assert_eq!(of(&[("transfer-encoding", "chunked")]), Ok(()));
        let faulty: [&[(&str, &str)]; 5] = [
            &[("transfer-encoding", "chunked"), ("content-length", "5")],
            &[("content-length", "5"), ("content-length", "6")],
            &[("content-length", "+5")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "identity")],
        ];
        for lines in faulty {
            assert_eq!(of(lines), Err(Kind::MalformedResponse), "{lines:?}");
        }
    }

    #[test]
    fn a_response_that_can_have_no_coding_is_refused_with_one() {
        let chunked = fields(&[("transfer-encoding", "chunked")]);
        let refused = Err(Kind::MalformedResponse);
        let v11 = Version::HTTP_11;
        assert_eq!(response(v11, StatusCode::NO_CONTENT, &chunked), refused);
        assert_eq!(response(v11, StatusCode::EARLY_HINTS, &chunked), refused);
        assert_eq!(
            response(Version::HTTP_10, StatusCode::OK, &chunked),
            refused
        );
        assert_eq!(response(v11, StatusCode::NOT_MODIFIED, &chunked), Ok(()));
    }

    proptest! {
        #[test]
        fn what_is_taken_as_a_length_is_that_number(text in "[0-9+ ,x-]{0,22}") {
            let framing = of(&[("content-length", text.as_str())]);
            match framing {
                Ok(Framing::Length(length)) => {
                    prop_assert_eq!(text.trim_start_matches('0').parse().unwrap_or(0_u64), length);
                    prop_assert!(text.bytes().all(|byte| byte.is_ascii_digit()));
                }
                Ok(other) => prop_assert!(false, "{:?}", other),
                Err(kind) => prop_assert_eq!(kind, Kind::MalformedRequest),
            }
        }

        #[test]
        fn chunked_is_taken_from_one_clean_line_only(
            lines in prop::collection::vec("(chunked|gzip|,| ){0,3}", 1..3),
        ) {
            let codings: Vec<_> = lines.iter().map(String::as_str).collect();
            if of_codings(&codings) == Ok(Framing::Chunked) {
                prop_assert_eq!(&lines, &["chunked"]);
            }
        }
    }
}
