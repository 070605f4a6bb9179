//! What one request leaves behind for the access log, unformatted.
//!
//! The texts are copied into one buffer of the record's own, on purpose. Keeping the request's `HeaderValue`s would
//! hold on to the connection's whole read buffer until the line is written, and shared names (`Arc<str>`) would have
//! all workers and the log's thread fight over their counts; a copy of some hundred octets costs less than either.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::{Method, Version};

use crate::grpc::Code;

/// One request, as the access log tells it. What is `None`, or was never [`put`](Record::put), is left out of its line.
#[derive(Debug)]
pub struct Record {
    /// When the request's head had been read.
    pub time: SystemTime,
    /// The client, behind trusted proxies; none on a socket of this host.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: Method,
    /// The protocol spoken with the client.
    pub protocol: Version,
    /// The status; 499 when the client left first.
    pub status: u16,
    /// Why the proxy answered by itself or broke off, in the words of `error::Kind::reason`.
    pub reason: Option<&'static str>,
    /// How a call of gRPC ended.
    pub grpc_status: Option<Code>,
    /// How many attempts were made at endpoints.
    pub attempts: u32,
    /// Octets of the request's body that were received.
    pub bytes_in: u64,
    /// Octets of the response's body that were sent.
    pub bytes_out: u64,
    /// From the request's head read to the response's last octet written.
    pub duration: Duration,
    /// Of that, spent waiting in a queue.
    pub queue: Option<Duration>,
    /// Of that, spent making connections.
    pub connect: Option<Duration>,
    /// From the request's head read to the response's head received.
    pub first_byte: Option<Duration>,
    /// The slot of the split's schedule that placed the first attempt: with all lines of a route at hand, anyone can
    /// check that its shares were kept exactly.
    pub position: Option<u64>,
    texts: Vec<u8>,
    spans: [Span; TEXTS],
}

/// The texts of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// `X-Request-Id`, the client's or the proxy's.
    RequestId,
    /// The trace id of `traceparent`, 32 hexadecimal digits.
    TraceId,
    /// The name of the listener.
    Listener,
    /// The host that was asked for.
    Host,
    /// The canonical path, without the query.
    Path,
    /// The query, without its question mark; printed only where the configuration asks for it.
    Query,
    /// The name of the route.
    Route,
    /// The name of the pool.
    Pool,
    /// The version that the pool runs.
    Version,
    /// The address of the endpoint that was tried last.
    Endpoint,
    /// `Referer`; only where [`Logger::wants_agent`](super::Logger::wants_agent).
    Referer,
    /// `User-Agent`; only where [`Logger::wants_agent`](super::Logger::wants_agent).
    UserAgent,
}

const TEXTS: usize = Text::UserAgent as usize + 1;

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    length: u32,
}

/// Room for the texts of a usual request, so that they cost one allocation.
const USUAL_TEXT_BYTES: usize = 256;

impl Record {
    /// A record of a request of which only this is known. Its texts come with [`Record::put`], the rest is assigned.
    #[must_use]
    pub fn new(
        time: SystemTime,
        client: Option<IpAddr>,
        method: Method,
        protocol: Version,
    ) -> Self {
        Self {
            time,
            client,
            method,
            protocol,
            status: 0,
            reason: None,
            grpc_status: None,
            attempts: 0,
            bytes_in: 0,
            bytes_out: 0,
            duration: Duration::ZERO,
            queue: None,
            connect: None,
            first_byte: None,
            position: None,
            texts: Vec::with_capacity(USUAL_TEXT_BYTES),
            spans: [Span::default(); TEXTS],
        }
    }

    /// Copies a text in; the last one given counts. An empty one is left out of the line.
    pub fn put(&mut self, text: Text, value: &[u8]) {
        let (start, length) = (self.texts.len(), value.len());
        // Heads are bounded far below 4 GiB; what would not fit is left out.
        let (Ok(start), Ok(length)) = (u32::try_from(start), u32::try_from(length)) else {
            return;
        };
        self.spans[text as usize] = Span { start, length };
        self.texts.extend_from_slice(value);
    }

    /// A text, empty where none was put.
    #[must_use]
    pub fn text(&self, text: Text) -> &[u8] {
        let Span { start, length } = self.spans[text as usize];
        let start = start as usize;
        &self.texts[start..start + length as usize]
    }

    /// The memory that the texts hold on to.
    pub(crate) fn text_bytes(&self) -> usize {
        self.texts.capacity()
    }
}

#[cfg(test)]
impl Record {
    /// One of which nothing is known but who asked, and when.
    pub(super) fn bare() -> Self {
        Self::new(
            SystemTime::UNIX_EPOCH + Duration::new(1_795_174_162, 123_456),
            Some(IpAddr::from([192, 0, 2, 7])),
            Method::GET,
            Version::HTTP_11,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_text_put_counts() {
        let mut record = Record::bare();
        record.put(Text::Endpoint, b"10.0.0.1:80");
        record.put(Text::Path, b"/");
        record.put(Text::Endpoint, b"10.0.0.2:80");
        assert_eq!(record.text(Text::Endpoint), b"10.0.0.2:80");
        assert_eq!(record.text(Text::Path), b"/");
        assert_eq!(record.text(Text::Host), b"");
    }

    #[test]
    fn a_record_is_small() {
        // The allocator's class that it falls into ends here.
        assert!(size_of::<Record>() <= 320, "{}", size_of::<Record>());
    }
}
