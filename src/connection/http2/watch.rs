//! What goes over an HTTP/2 connection, seen by the heads of its frames alone: whether it is a flood.
//!
//! A frame that asks for work and brings nothing (a PING, SETTINGS, a reset, an empty one) costs a token. Time gives tokens
//! back, and so does what is answered: a client that is served may also talk, however busy it is. Who has none left floods. What
//! frames say is `h2`'s business, and so are the limits that need it: concurrent streams, header lists, CONTINUATION.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::metrics::Abort;

/// Tokens that a silent time leaves, and that answers can earn.
const BURST: u32 = 1024;

/// Tokens that come back in a second.
const PER_SECOND: u32 = 64;

/// What a SETTINGS costs: it may touch every stream.
const SETTINGS_COST: u32 = 4;

/// A DATA frame that earns its client a WINDOW_UPDATE: windows of a few octets make many frames of few octets, which is all
/// that they are for (CVE-2019-9511).
const WORTH_A_WINDOW: u32 = 256;

const PREFACE: u32 = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The head of a frame (RFC 9113 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FrameHead {
    length: u32,
    kind: u8,
    flags: u8,
}

/// Frames one after the other, cut wherever reads and writes cut them.
#[derive(Debug)]
struct Frames {
    head: [u8; 9],
    /// Octets of it that are here.
    begun: usize,
    /// Octets to be passed over before the next head.
    skip: usize,
}

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
    incoming: Frames,
    outgoing: Frames,
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
            incoming: Frames::behind(PREFACE),
            outgoing: Frames::behind(0),
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

    fn judge(&mut self, frame: FrameHead) -> Option<Abort> {
        if !self.settled {
            // RFC 9113 §3.4: the client's preface ends with its settings.
            if frame.kind != SETTINGS || frame.flags & 1 != 0 {
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

impl Frames {
    fn behind(skip: u32) -> Self {
        Self {
            head: [0; 9],
            begun: 0,
            skip: skip as usize,
        }
    }

    /// The next head in these octets, which are taken up to its end.
    fn next(&mut self, octets: &mut &[u8]) -> Option<FrameHead> {
        let skipped = self.skip.min(octets.len());
        self.skip -= skipped;
        *octets = &octets[skipped..];
        let wanted = self.head.len() - self.begun;
        let taken = wanted.min(octets.len());
        self.head[self.begun..self.begun + taken].copy_from_slice(&octets[..taken]);
        self.begun += taken;
        *octets = &octets[taken..];
        if self.begun < self.head.len() {
            return None;
        }
        self.begun = 0;
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.skip = length as usize;
        Some(FrameHead {
            length,
            kind,
            flags,
        })
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
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn heads_are_found_wherever_they_are_cut(
            sent in prop::collection::vec((any::<u8>(), any::<u8>(), 0_u32..70), 0..20),
            size in 1_usize..40,
        ) {
            let octets: Vec<u8> = sent.iter().flat_map(|(k, f, l)| frame(*k, *f, *l)).collect();
            let mut frames = Frames::behind(0);
            let mut seen = Vec::new();
            for mut piece in octets.chunks(size) {
                while let Some(head) = frames.next(&mut piece) {
                    seen.push((head.kind, head.flags, head.length));
                }
            }
            prop_assert_eq!(seen, sent);
        }
    }
}
