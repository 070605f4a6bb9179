//! What of a request all formats print alike.

use http::Version;

use super::record::{Record, Text};

/// Whether queries are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    /// They are left out, as they may hold what should not be kept.
    Hidden,
    /// They are printed.
    Printed,
}

impl Query {
    /// The query of the request, where it is printed.
    pub(super) fn of(self, record: &Record) -> &[u8] {
        match self {
            Self::Hidden => b"",
            Self::Printed => record.text(Text::Query),
        }
    }

    /// The referring page; its query is printed only where the request's own is.
    pub(super) fn referer(self, record: &Record) -> &[u8] {
        let referer = record.text(Text::Referer);
        let shown = match self {
            Self::Hidden => memchr::memchr(b'?', referer),
            Self::Printed => None,
        };
        &referer[..shown.unwrap_or(referer.len())]
    }
}

/// The protocol as a request's first line has it.
pub(super) fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "",
    }
}
