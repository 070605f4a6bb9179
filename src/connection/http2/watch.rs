//! What goes over an HTTP/2 connection, seen by the heads of its frames alone: whether it is a flood.
//!
//! A frame that asks for work and brings nothing (a PING, SETTINGS, a reset, an empty one) costs a token. Time gives tokens
//! back, and so does what is answered: a client that is served may also talk, however busy it is. Who has none left floods. What
//! frames say is `h2`'s business, and so are the limits that need it: concurrent streams, header lists, CONTINUATION.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::metrics::Abort;
use crate::wire::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Head, PING, PRIORITY, RST_STREAM,
    SETTINGS, Scanner, WINDOW_UPDATE,
};

/// Tokens that a silent time leaves, and that answers can earn.
const BURST: u32 = 1024;

/// Tokens that come back in a second.
const PER_SECOND: u32 = 64;

/// What a SETTINGS costs: it may touch every stream.
const SETTINGS_COST: u32 = 4;

/// A DATA frame that earns its client a WINDOW_UPDATE: windows of a few octets make many frames of few octets, which is all
/// that they are for (CVE-2019-9511).
const WORTH_A_WINDOW: u32 = 256;

/// A supply that time and answers fill again.
#[derive(Debug)]
struct Tokens {
    left: u32,
    /// When time was reckoned in last.
    since: Instant,
}

/// What is seen of a connection.
#[derive(Debug)]
pub(super) struct Watch {
    incoming: Scanner,
    outgoing: Scanner,
    /// For frames that bring nothing.
    idle: Tokens,
    /// For resets, which answers alone earn.
    resets: Tokens,
    /// For WINDOW_UPDATE.
    windows: Tokens,
    settled: bool,
    open_block: bool,
    verdict: Option<Abort>,
}

impl Watch {
    /// A connection of which nothing has come.
    pub(super) fn new() -> Self {
        let now = clock::now();
        Self {
            incoming: Scanner::behind_the_preface(),
            outgoing: Scanner::default(),
            idle: Tokens::full(now),
            resets: Tokens::full(now),
            windows: Tokens::full(now),
            settled: false,
            open_block: false,
            verdict: None,
        }
    }

    /// Whether its client has sent its settings, which come first.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether a header block has begun and is not at its end.
    pub(super) fn has_open_block(&self) -> bool {
        self.open_block
    }

    /// Why the connection is to be broken off, if it is.
    pub(super) fn verdict(&self) -> Option<Abort> {
        self.verdict
    }

    /// Octets have come.
    pub(super) fn came(&mut self, mut octets: &[u8]) {
        while let Some(frame) = self.incoming.next(&mut octets) {
            if self.verdict.is_none() {
                self.verdict = self.judge(frame);
            }
        }
    }

    /// Octets have gone out.
    pub(super) fn went(&mut self, mut octets: &[u8]) {
        while let Some(frame) = self.outgoing.next(&mut octets) {
            match frame.kind {
                HEADERS => {
                    self.idle.earn(1);
                    self.resets.earn(1);
                    self.windows.earn(2);
                }
                DATA => {
                    self.idle.earn(1);
                    if frame.length >= WORTH_A_WINDOW || frame.flags & END_STREAM != 0 {
                        self.windows.earn(2);
                    }
                }
                _ => {}
            }
        }
    }

    fn judge(&mut self, frame: Head) -> Option<Abort> {
        if !self.settled {
            // RFC 9113 §3.4: the client's preface ends with its settings.
            if frame.kind != SETTINGS || frame.flags & ACK != 0 {
                return Some(Abort::Protocol);
            }
            self.settled = true;
            return None;
        }
        let (tokens, cost, flood) = match frame.kind {
            HEADERS | CONTINUATION => {
                self.open_block = frame.flags & END_HEADERS == 0;
                if frame.length > 0 {
                    return None;
                }
                (&mut self.idle, 1, Abort::EmptyFlood)
            }
            DATA if frame.length > 0 || frame.flags & END_STREAM != 0 => return None,
            DATA => (&mut self.idle, 1, Abort::EmptyFlood),
            PRIORITY => (&mut self.idle, 1, Abort::PriorityFlood),
            RST_STREAM => (&mut self.resets, 1, Abort::ResetFlood),
            SETTINGS => (&mut self.idle, SETTINGS_COST, Abort::SettingsFlood),
            PING => (&mut self.idle, 1, Abort::PingFlood),
            WINDOW_UPDATE => (&mut self.windows, 1, Abort::WindowFlood),
            _ => (&mut self.idle, 1, Abort::OtherFlood),
        };
        (!tokens.pay(cost, clock::now)).then_some(flood)
    }
}

impl Tokens {
    fn full(now: Instant) -> Self {
        Self {
            left: BURST,
            since: now,
        }
    }

    fn earn(&mut self, tokens: u32) {
        self.left = BURST.min(self.left + tokens);
    }

    /// Pays so many, if they are there; asks for the time only where they are not.
    fn pay(&mut self, cost: u32, now: impl FnOnce() -> Instant) -> bool {
        if self.left < cost {
            let now = now();
            let passed = now.duration_since(self.since).min(Duration::from_secs(60));
            let earned = passed.as_millis() * u128::from(PER_SECOND) / 1000;
            self.earn(u32::try_from(earned).unwrap_or(BURST));
            self.since = now;
        }
        let Some(left) = self.left.checked_sub(cost) else {
            return false;
        };
        self.left = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u32) -> Vec<u8> {
        let [_, high, middle, low] = length.to_be_bytes();
        let mut frame = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        frame.resize(9 + length as usize, 0);
        frame
    }

    fn settled() -> Watch {
        let mut watch = Watch::new();
        watch.came(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        watch.came(&frame(SETTINGS, 0, 0));
        assert!(watch.is_settled());
        watch
    }

    fn floods(kind: u8, flags: u8, length: u32) -> Option<Abort> {
        let mut watch = settled();
        for _ in 0..2 * BURST {
            watch.came(&frame(kind, flags, length));
        }
        watch.verdict()
    }

    #[test]
    fn frames_that_bring_nothing_are_a_flood_when_they_come_without_end() {
        assert_eq!(floods(PING, 0, 8), Some(Abort::PingFlood));
        assert_eq!(floods(SETTINGS, 0, 6), Some(Abort::SettingsFlood));
        assert_eq!(floods(PRIORITY, 0, 5), Some(Abort::PriorityFlood));
        assert_eq!(floods(RST_STREAM, 0, 4), Some(Abort::ResetFlood));
        assert_eq!(floods(WINDOW_UPDATE, 0, 4), Some(Abort::WindowFlood));
        assert_eq!(floods(DATA, 0, 0), Some(Abort::EmptyFlood));
        assert_eq!(floods(HEADERS, END_HEADERS, 0), Some(Abort::EmptyFlood));
        assert_eq!(floods(0xfa, 0, 3), Some(Abort::OtherFlood));
    }

    #[test]
    fn frames_that_bring_something_are_none() {
        assert_eq!(floods(DATA, 0, 1), None);
        assert_eq!(floods(HEADERS, END_HEADERS, 20), None);
    }

    #[test]
    fn a_client_that_is_answered_may_talk() {
        let mut watch = settled();
        for _ in 0..4 * BURST {
            watch.came(&frame(PING, 0, 8));
            watch.came(&frame(RST_STREAM, 0, 4));
            watch.came(&frame(WINDOW_UPDATE, 0, 4));
            watch.went(&frame(HEADERS, END_HEADERS, 10));
        }
        assert_eq!(watch.verdict(), None);
    }

    #[test]
    fn frames_of_few_octets_earn_no_windows() {
        let mut watch = settled();
        for _ in 0..2 * BURST {
            watch.came(&frame(WINDOW_UPDATE, 0, 4));
            watch.went(&frame(DATA, 0, 1));
        }
        assert_eq!(watch.verdict(), Some(Abort::WindowFlood));
    }

    #[test]
    fn time_gives_tokens_back() {
        let start = Instant::now();
        let mut tokens = Tokens::full(start);
        assert!((0..BURST).all(|_| tokens.pay(1, || start)));
        assert!(!tokens.pay(1, || start));
        let later = start + Duration::from_millis(500);
        assert!((0..PER_SECOND / 2).all(|_| tokens.pay(1, || later)));
        assert!(!tokens.pay(1, || later));
    }

    #[test]
    fn settings_come_first() {
        let mut watch = Watch::new();
        watch.came(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        watch.came(&frame(PING, 0, 8));
        assert_eq!(watch.verdict(), Some(Abort::Protocol));
    }

    #[test]
    fn a_header_block_is_open_until_its_end() {
        let mut watch = settled();
        watch.came(&frame(HEADERS, 0, 3));
        assert!(watch.has_open_block());
        watch.came(&frame(CONTINUATION, 0, 3));
        assert!(watch.has_open_block());
        watch.came(&frame(CONTINUATION, END_HEADERS, 3));
        assert!(!watch.has_open_block());
    }
}
