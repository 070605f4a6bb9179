//! The canonical form of a path: what is matched, logged and forwarded (contract §3).
//!
//! Dot segments are removed (RFC 3986 §5.2.4), percent-encoded unreserved characters decoded, runs of slashes merged
//! and the hex digits of what stays encoded written in upper case (RFC 3986 §6.2.2). `%2F`, `%5C` and `;` stay as
//! they are: decoding them would make two different resources look alike to the endpoint. A `%` that begins no escape
//! becomes `%25`, which is what it stands for where it is accepted at all; refusing it is not decided here. What is
//! beyond ASCII is encoded (RFC 3987 §3.1): a target holds none (RFC 9112 §3.2), yet some clients send it as it is.

use std::borrow::Cow;

/// The canonical form of a path, without its query. A path that does not begin with `/` (`*`) gets no slash.
///
/// Idempotent, and borrowed when nothing changes, which is the common case and costs one pass over the octets.
#[must_use]
pub fn canonical(path: &str) -> Cow<'_, str> {
    if is_canonical(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(remove_dots(&decode(&escaped(path))))
}

/// Percent-encodes what is beyond ASCII; for paths, and for queries, of which nothing else is changed.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() * 3);
    for octet in text.bytes() {
        if octet.is_ascii() {
            escaped.push(char::from(octet));
        } else {
            let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value)]);
            escaped.extend(['%', digit(octet >> 4), digit(octet & 0xf)]);
        }
    }
    Cow::Owned(escaped)
}

/// Whether nothing would change. It may say no to a canonical path, never yes to another.
fn is_canonical(path: &[u8]) -> bool {
    if path.first() == Some(&b'.') {
        return false;
    }
    let suspicious = |pair: &[u8]| pair[0] == b'/' && (pair[1] == b'/' || pair[1] == b'.');
    path.is_ascii() && memchr::memchr(b'%', path).is_none() && !path.windows(2).any(suspicious)
}

/// Decodes what is unreserved before dot segments are looked for: `%2e%2e` is a dot segment.
fn decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut decoded = String::with_capacity(path.len());
    let mut from = 0;
    while let Some(step) = memchr::memchr(b'%', &bytes[from..]) {
        let at = from + step;
        decoded.push_str(&path[from..at]);
        let digit = |offset: usize| {
            let byte = bytes.get(at + offset).copied()?;
            Some((char::from(byte), char::from(byte).to_digit(16)?))
        };
        match (digit(1), digit(2)) {
            (Some((high_char, high)), Some((low_char, low))) => {
                match char::from_u32(high * 16 + low).filter(|&c| is_unreserved(c)) {
                    Some(unreserved) => decoded.push(unreserved),
                    None => decoded.extend([
                        '%',
                        high_char.to_ascii_uppercase(),
                        low_char.to_ascii_uppercase(),
                    ]),
                }
                from = at + 3;
            }
            _ => {
                // Left alone, it could make an escape with what is decoded behind it: `%%32F` is no `%2F`.
                decoded.push_str("%25");
                from = at + 1;
            }
        }
    }
    decoded.push_str(&path[from..]);
    decoded
}

/// RFC 3986 §2.3.
fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~')
}

/// Removes `.`, `..` and empty segments. `..` at the root stays at the root, so nothing climbs out.
fn remove_dots(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split('/').skip(usize::from(rooted)) {
        match segment {
            "" | "." => ends_in_folder = true,
            ".." => {
                kept.pop();
                ends_in_folder = true;
            }
            _ => {
                kept.push(segment);
                ends_in_folder = false;
            }
        }
    }
    let mut result = String::with_capacity(path.len());
    if rooted {
        result.push('/');
    }
    result.push_str(&kept.join("/"));
    if ends_in_folder && !kept.is_empty() {
        result.push('/');
    }
    result
}

#[cfg(test)]
mod tests {
    use super::{canonical, escaped};
    use proptest::prelude::*;
    use std::borrow::Cow;

    #[test]
    fn a_path_is_brought_into_its_one_form() {
        for (path, wanted) in [
            ("/", "/"),
            ("", ""),
            ("*", "*"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../../etc", "/etc"),
            ("//a///b//", "/a/b/"),
            ("/a/..//b", "/b"),
            ("/%61%2D%7e", "/a-~"),
            ("/a%2fb%5cc", "/a%2Fb%5Cc"),
            ("/a;v=1/..;/b", "/a;v=1/..;/b"),
            ("/%2e%2E/x", "/x"),
            ("/a/%2e%2e%2fb", "/a/..%2Fb"),
            ("/%zz%4", "/%25zz%254"),
            ("/%%61a", "/%25aa"),
            ("/%%32F", "/%252F"),
            ("/%25%36%31", "/%2561"),
            ("/%%32%65%%32%65/x", "/%252e%252e/x"),
            ("/%%61%61", "/%25aa"),
            ("/%2%65%2%65/x", "/%252e%252e/x"),
            ("/%%%2e%2e/x", "/%25%25../x"),
            ("/%25%32%65%25%32%65/x", "/%252e%252e/x"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/\u{e9}%C3%a9", "/%C3%A9%C3%A9"),
        ] {
            assert_eq!(canonical(path), wanted, "{path:?}");
        }
    }

    #[test]
    fn what_is_beyond_ascii_is_encoded() {
        assert_eq!(escaped("a=\u{e9}\u{a0}&b=%c3"), "a=%C3%A9%C2%A0&b=%c3");
        assert!(matches!(escaped("a=%c3&b"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_path_without_anything_to_mend_is_borrowed() {
        assert!(matches!(canonical("/api/v1/users.json"), Cow::Borrowed(_)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn nothing_can_be_put_together_to_an_escape_or_a_dot_segment(
            path in "/(%|%|%2|%%|%25|%2[eEfF]|%5c|%3[25]|%6[15]|[0-9a-fA-F]|[./;g]){0,24}",
        ) {
            let once = canonical(&path).into_owned();
            prop_assert_eq!(canonical(&once), once.as_str(), "{:?}", path);
            prop_assert!(!once.split('/').any(|segment| segment == "." || segment == ".."), "{once:?}");
            // Read octet by octet, once, both stand for the same but for the segments that are gone: so no escape of
            // the outcome was none before.
            if !has_dots_or_empty(&path) {
                prop_assert_eq!(stands_for(&once), stands_for(&path), "{:?} of {:?}", once, path);
            }
        }
    }

    /// Whether a segment goes away, written plainly or not.
    fn has_dots_or_empty(path: &str) -> bool {
        let decoded = |segment: &str| stands_for(segment).into_iter().collect::<String>();
        path.split('/')
            .skip(1)
            .any(|segment| matches!(decoded(segment).as_str(), "" | "." | ".."))
    }

    /// What a path stands for, piece by piece: an octet as such, or a reserved one that is encoded.
    fn stands_for(path: &str) -> Vec<String> {
        let mut pieces = Vec::new();
        let mut rest = path;
        while let Some(first) = rest.chars().next() {
            let hex = rest.get(1..3).filter(|_| first == '%');
            let octet = hex
                .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .and_then(|hex| u8::from_str_radix(hex, 16).ok());
            let (piece, length) = match octet.map(char::from) {
                Some(letter) if super::is_unreserved(letter) => (letter.to_string(), 3),
                Some(letter) => (format!("<{:02X}>", u32::from(letter)), 3),
                None if first == '%' => ("<25>".to_owned(), 1),
                None => (first.to_string(), first.len_utf8()),
            };
            pieces.push(piece);
            rest = &rest[length..];
        }
        pieces
    }

    proptest! {
        #[test]
        fn it_is_idempotent(path in "/?([a-c./%;\u{e9}]|%2[eEfF]|%5[cC]|%25|%6[1a]|\\.\\.){0,24}") {
            let once = canonical(&path).into_owned();
            prop_assert_eq!(canonical(&once), once.as_str(), "{:?}", path);
        }

        #[test]
        fn it_never_panics_and_keeps_no_dot_segment(path in any::<String>()) {
            let path = format!("/{path}");
            let once = canonical(&path);
            prop_assert!(once.starts_with('/'), "{once:?}");
            prop_assert!(!once.contains("//"), "{once:?}");
            prop_assert!(once.is_ascii(), "{once:?}");
            prop_assert!(!once.split('/').any(|segment| segment == "." || segment == ".."), "{once:?}");
        }

        #[test]
        fn what_has_only_whole_escapes_never_grows(path in "([a-c./;]|%[0-9a-fA-F]{2}){0,24}") {
            prop_assert!(canonical(&path).len() <= path.len());
        }
    }
}
