//! `Forwarded` in octets: its grammar (RFC 7239 §4), read and written.
//!
//! Read a little wider than it is defined: blanks around semicolons, and addresses with ports or in brackets without their
//! quotes, are common. What could be read in two ways is faulty. Whom to believe is decided elsewhere.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use bytes::BytesMut;
use smallvec::SmallVec;

/// What one proxy says of who came to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'v> {
    /// Who came, where that is an address; `unknown` and obfuscated identifiers are not.
    pub(super) node: Option<IpAddr>,
    /// In which scheme.
    pub(super) proto: Option<Cow<'v, [u8]>>,
    /// Whom they asked for.
    pub(super) host: Option<Cow<'v, [u8]>>,
}

/// The elements of a field.
pub(super) type Elements<'v> = SmallVec<[Element<'v>; 4]>;

/// A line that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Faulty;

/// Adds the elements of a line; empty ones are none.
pub(super) fn read<'v>(line: &'v [u8], into: &mut Elements<'v>) -> Result<(), Faulty> {
    let mut rest = line;
    loop {
        rest = blanks(rest);
        match rest.first() {
            None => return Ok(()),
            Some(b',') => rest = &rest[1..],
            Some(_) => {
                let (element, after) = element(rest)?;
                into.push(element);
                rest = after;
                match rest.first() {
                    None => return Ok(()),
                    Some(b',') => rest = &rest[1..],
                    Some(_) => return Err(Faulty),
                }
            }
        }
    }
}

/// An element, up to its comma or the end.
fn element(mut rest: &[u8]) -> Result<(Element<'_>, &[u8]), Faulty> {
    let mut element = Element::default();
    let mut seen: SmallVec<[&[u8]; 4]> = SmallVec::new();
    loop {
        rest = blanks(rest);
        match rest.first() {
            None | Some(b',') => return Ok((element, rest)),
            Some(b';') => {
                rest = &rest[1..];
                continue;
            }
            Some(_) => {}
        }
        let length = rest.iter().take_while(|octet| is_token(**octet)).count();
        let (name, after) = rest.split_at(length);
        let after = after.strip_prefix(b"=").ok_or(Faulty)?;
        if name.is_empty() || seen.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(Faulty);
        }
        seen.push(name);
        let (value, after) = value(after)?;
        if name.eq_ignore_ascii_case(b"for") {
            element.node = address(&value);
        } else if name.eq_ignore_ascii_case(b"proto") {
            element.proto = Some(value);
        } else if name.eq_ignore_ascii_case(b"host") {
            element.host = Some(value);
        }
        rest = blanks(after);
        if !matches!(rest.first(), None | Some(b',' | b';')) {
            return Err(Faulty);
        }
    }
}

/// A token, or a quoted string without its quotes and escapes.
fn value(rest: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), Faulty> {
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let is_bare = |octet: u8| is_token(octet) || matches!(octet, b':' | b'[' | b']');
        let length = rest.iter().take_while(|octet| is_bare(**octet)).count();
        let (value, rest) = rest.split_at(length);
        return match value {
            [] => Err(Faulty),
            value => Ok((Cow::Borrowed(value), rest)),
        };
    };
    let plain = quoted
        .iter()
        .position(|octet| matches!(octet, b'"' | b'\\'))
        .ok_or(Faulty)?;
    if quoted[plain] == b'"' {
        return Ok((Cow::Borrowed(&quoted[..plain]), &quoted[plain + 1..]));
    }
    let mut value = quoted[..plain].to_vec();
    let mut octets = quoted[plain..].iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => return Ok((Cow::Owned(value), &quoted[plain + at + 1..])),
            b'\\' => value.push(*octets.next().ok_or(Faulty)?.1),
            octet => value.push(*octet),
        }
    }
    Err(Faulty)
}

/// An address as proxies write it: bare, in brackets, and either with a port.
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => address,
            _ => text,
        },
    };
    bare.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

/// Writes an element behind those that are there.
pub(super) fn write(
    text: &mut BytesMut,
    node: Option<IpAddr>,
    host: Option<&[u8]>,
    proto: Option<&str>,
) {
    if !text.is_empty() {
        text.extend_from_slice(b", ");
    }
    // Writing into memory of one's own does not fail.
    match node {
        Some(IpAddr::V4(address)) => drop(write!(text, "for={address}")),
        Some(IpAddr::V6(address)) => drop(write!(text, "for=\"[{address}]\"")),
        None => text.extend_from_slice(b"for=unknown"),
    }
    if let Some(host) = host {
        text.extend_from_slice(b";host=");
        write_value(text, host);
    }
    if let Some(proto) = proto {
        text.extend_from_slice(b";proto=");
        text.extend_from_slice(proto.as_bytes());
    }
}

fn write_value(text: &mut BytesMut, value: &[u8]) {
    if !value.is_empty() && value.iter().all(|octet| is_token(*octet)) {
        text.extend_from_slice(value);
        return;
    }
    text.extend_from_slice(b"\"");
    for octet in value {
        if matches!(octet, b'"' | b'\\') {
            text.extend_from_slice(b"\\");
        }
        text.extend_from_slice(&[*octet]);
    }
    text.extend_from_slice(b"\"");
}

fn blanks(text: &[u8]) -> &[u8] {
    let blanks = text
        .iter()
        .take_while(|octet| matches!(octet, b' ' | b'\t'));
    &text[blanks.count()..]
}

fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(line: &[u8]) -> Result<Vec<Element<'_>>, Faulty> {
        let mut elements = Elements::new();
        read(line, &mut elements).map(|()| elements.into_vec())
    }

    fn nodes(line: &str) -> Vec<Option<IpAddr>> {
        all(line.as_bytes())
            .unwrap()
            .iter()
            .map(|one| one.node)
            .collect()
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        assert_eq!(nodes("for=\"_gazonk\""), [None]);
        assert_eq!(
            nodes("For=\"[2001:db8:cafe::17]:4711\""),
            [ip("2001:db8:cafe::17")]
        );
        assert_eq!(
            nodes("for=192.0.2.60;proto=http;by=203.0.113.43"),
            [ip("192.0.2.60")]
        );
        assert_eq!(
            nodes("for=192.0.2.43, for=198.51.100.17"),
            [ip("192.0.2.43"), ip("198.51.100.17")]
        );
        assert_eq!(
            nodes("for=_hidden, for=_SEVKISEK, for=unknown"),
            [None, None, None]
        );
        assert_eq!(nodes("for=\"192.0.2.43:47011\""), [ip("192.0.2.43")]);
        assert_eq!(
            nodes("for=192.0.2.43,,for=\"[2001:db8:cafe::17]\" ,"),
            [ip("192.0.2.43"), ip("2001:db8:cafe::17")]
        );
    }

    #[test]
    fn all_of_an_element_is_read() {
        let read =
            all(b"For=1.2.3.4 ; PROTO=https;host=\"a.example:8\\\"443\";by=_x;secret=1").unwrap();
        let expected = Element {
            node: ip("1.2.3.4"),
            proto: Some(Cow::Borrowed(b"https")),
            host: Some(Cow::Borrowed(b"a.example:8\"443")),
        };
        assert_eq!(read, [expected]);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_faulty() {
        for line in [
            "for",
            "for=",
            "=1.2.3.4",
            "for=\"1.2.3.4",
            "for=\"1.2.3.4\\",
            "for=\"1.2.3.4\"x",
            "for=1.2.3.4 for=5.6.7.8",
            "for=1.2.3.4;for=5.6.7.8",
            "for=1.2.3.4;FOR=5.6.7.8",
            "for =1.2.3.4",
            "for= 1.2.3.4",
            "f\u{f6}r=1",
            "for=1.2.3.4;proto",
            "for={1}",
        ] {
            assert_eq!(all(line.as_bytes()), Err(Faulty), "{line:?}");
        }
    }

    #[test]
    fn a_comma_in_quotes_divides_nothing() {
        assert_eq!(
            nodes("host=\"a, for=9.9.9.9\";for=1.2.3.4"),
            [ip("1.2.3.4")]
        );
    }

    proptest! {
        #[test]
        fn no_octets_panic(line: Vec<u8>) {
            drop(all(&line));
        }

        #[test]
        fn no_text_of_its_own_words_panics(line in r#"(for|proto|=|;|,|"|\\| |\[|\]|::1|1\.2\.3\.4|_x|:80){0,12}"#) {
            drop(all(line.as_bytes()));
        }

        #[test]
        fn what_is_written_is_read_again(
            elements in prop::collection::vec(
                (any::<Option<IpAddr>>(), prop::option::of("[ -~]{0,12}"), prop::option::of("https?")),
                1..5,
            ),
        ) {
            let mut text = BytesMut::new();
            for (node, host, proto) in &elements {
                write(&mut text, *node, host.as_deref().map(str::as_bytes), proto.as_deref());
            }
            let read = all(&text).unwrap();
            prop_assert_eq!(read.len(), elements.len());
            for (read, (node, host, proto)) in read.iter().zip(&elements) {
                prop_assert_eq!(read.node, node.map(|one| one.to_canonical()));
                prop_assert_eq!(read.host.as_deref(), host.as_deref().map(str::as_bytes));
                prop_assert_eq!(read.proto.as_deref(), proto.as_deref().map(str::as_bytes));
            }
        }
    }
}
