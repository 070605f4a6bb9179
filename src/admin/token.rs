//! The token: read from its file, looked for in requests, never shown.

use std::fmt;
use std::io;
use std::path::Path;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// A secret that whoever gives orders has to know.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<[u8]>);

impl Token {
    /// Reads the token from its file, without the white space around it.
    ///
    /// # Errors
    /// When the file cannot be read, is empty, or holds what no header field can hold.
    pub fn read(path: &Path) -> io::Result<Self> {
        let content = std::fs::read(path)?;
        let token = content.trim_ascii();
        let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        if token.is_empty() {
            return wrong("the token file is empty");
        }
        if HeaderValue::from_bytes(token).is_err() {
            return wrong("the token file holds more than one line, or control characters");
        }
        Ok(Self(token.into()))
    }

    /// What whoever has the token brings, marked as not to be shown.
    #[must_use]
    pub fn bearer(&self) -> HeaderValue {
        let value = [b"Bearer ", &*self.0].concat();
        let mut value =
            HeaderValue::from_bytes(&value).expect("the token was such a value when it was read");
        value.set_sensitive(true);
        value
    }

    /// A token by its octets.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self(text.as_bytes().into())
    }

    /// Whether the request brings it: `Authorization: Bearer …` (RFC 6750 §2.1), the scheme in any case (RFC 9110
    /// §11.1), and only once.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(Some(field)) = only(headers, &AUTHORIZATION) else {
            return false;
        };
        let field = field.as_bytes();
        let scheme = field.iter().position(|&octet| octet == b' ');
        let Some((scheme, token)) = scheme.map(|end| field.split_at(end)) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"bearer") && self.equals(token.trim_ascii())
    }

    /// Looks at every octet whatever the first ones are, so that the time taken tells nothing of them. The length is no
    /// secret.
    fn equals(&self, other: &[u8]) -> bool {
        if self.0.len() != other.len() {
            return false;
        }
        let difference = self
            .0
            .iter()
            .zip(other)
            .fold(0, |difference, (one, other)| {
                std::hint::black_box(difference | (one ^ other))
            });
        difference == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The field of this name: `None` within where there is none, without where there are several.
pub(crate) fn only<'a>(
    headers: &'a HeaderMap,
    name: &http::HeaderName,
) -> Option<Option<&'a HeaderValue>> {
    let mut fields = headers.get_all(name).iter();
    let first = fields.next();
    fields.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_is_trimmed_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        let read = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            Token::read(&path)
        };
        let token = read(b"  hunter2\r\n").unwrap();
        assert_eq!(token, Token::of("hunter2"));
        assert_eq!(format!("{token:?}"), "Token(…)");
        for content in [b"".as_slice(), b" \n", b"one\ntwo\n", b"a\0b"] {
            let kind = read(content).map_err(|error| error.kind());
            assert_eq!(kind, Err(io::ErrorKind::InvalidData), "{content:?}");
        }
        std::fs::remove_file(&path).unwrap();
        let missing = Token::read(&path).map_err(|error| error.kind());
        assert_eq!(missing, Err(io::ErrorKind::NotFound));
    }
}
