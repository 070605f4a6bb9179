//! `Max-Forwards` (RFC 9110 §7.6.2): over how many more hops an OPTIONS may go.
//!
//! The field means something for OPTIONS and TRACE only, and TRACE is never passed on (`header/host.rs`): of any other
//! method it is a field like all, and not looked at.

use http::header::MAX_FORWARDS;
use http::{HeaderMap, HeaderValue, Method};

use crate::error::Kind;
use crate::header::list::digits;

/// Who has to answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// An endpoint, as always.
    Endpoint,
    /// The proxy: the request may go no further.
    Proxy,
}

/// Counts this hop, where the request is one whose hops are counted.
///
/// # Errors
/// A field that is no number, or that comes twice: how far the request may go is then not known.
pub fn spend(method: &Method, headers: &mut HeaderMap) -> Result<Recipient, Kind> {
    if method != Method::OPTIONS {
        return Ok(Recipient::Endpoint);
    }
    let mut lines = headers.get_all(MAX_FORWARDS).iter();
    let Some(value) = lines.next() else {
        return Ok(Recipient::Endpoint);
    };
    let value = value.as_bytes();
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if !is_number || lines.next().is_some() {
        return Err(Kind::MalformedRequest);
    }
    // What does not fit is more than our maximum, which is then the lesser of both.
    match digits(value).unwrap_or(u64::MAX).checked_sub(1) {
        Some(left) => {
            headers.insert(MAX_FORWARDS, HeaderValue::from(left));
            Ok(Recipient::Endpoint)
        }
        None => Ok(Recipient::Proxy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::tests::fields;

    /// Who answers, and what is left to be told.
    fn spent(method: &Method, lines: &[(&str, &str)]) -> (Result<Recipient, Kind>, Option<String>) {
        let mut headers = fields(lines);
        let recipient = spend(method, &mut headers);
        let left = headers.get(MAX_FORWARDS);
        (
            recipient,
            left.map(|left| left.to_str().unwrap().to_owned()),
        )
    }

    fn of(value: &str) -> (Result<Recipient, Kind>, Option<String>) {
        spent(&Method::OPTIONS, &[("max-forwards", value)])
    }

    #[test]
    fn each_hop_takes_one_and_the_last_answers() {
        assert_eq!(of("0"), (Ok(Recipient::Proxy), Some("0".into())));
        assert_eq!(of("000").0, Ok(Recipient::Proxy));
        for (value, left) in [
            ("1", "0"),
            ("10", "9"),
            ("007", "6"),
            ("18446744073709551615", "18446744073709551614"),
            ("99999999999999999999999", "18446744073709551614"),
        ] {
            assert_eq!(of(value), (Ok(Recipient::Endpoint), Some(left.into())));
        }
    }

    #[test]
    fn without_the_field_nothing_is_counted() {
        assert_eq!(
            spent(&Method::OPTIONS, &[]),
            (Ok(Recipient::Endpoint), None)
        );
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for value in ["", "-1", "+1", "1.0", "a", "1, 1", "1 1"] {
            assert_eq!(of(value).0, Err(Kind::MalformedRequest), "{value:?}");
        }
        let twice = [("max-forwards", "1"), ("max-forwards", "1")];
        assert_eq!(
            spent(&Method::OPTIONS, &twice).0,
            Err(Kind::MalformedRequest)
        );
    }

    #[test]
    fn of_other_methods_it_is_a_field_like_all() {
        for method in [Method::GET, Method::POST, Method::HEAD] {
            assert_eq!(
                spent(&method, &[("max-forwards", "0")]),
                (Ok(Recipient::Endpoint), Some("0".into()))
            );
        }
    }
}
