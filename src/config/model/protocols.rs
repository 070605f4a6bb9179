//! `listeners[].protocols`, checked. How a connection comes to speak one of them is not decided here.

/// What is spoken on a listener: one of them at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols {
    /// HTTP/1.0 and HTTP/1.1
    pub http1: bool,
    /// HTTP/2, by ALPN over TLS, by prior knowledge without.
    pub http2: bool,
}

impl Default for Protocols {
    fn default() -> Self {
        Self {
            http1: true,
            http2: true,
        }
    }
}

impl Protocols {
    /// As they are written.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        let both = [(self.http1, "http1"), (self.http2, "http2")];
        both.into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, word)| word)
            .collect()
    }
}
