//! The handle by which what befalls a listener's connections is counted.

use super::abort::Abort;
use super::cells::{Count, PerWorker, WorkerId};
use super::families;
use super::text::Sheet;

/// What a listener counts of its connections.
#[derive(Debug)]
pub struct ListenerTraffic {
    listener: Box<str>,
    cells: PerWorker<ListenerCell>,
}

#[derive(Debug, Default)]
pub(super) struct ListenerCell {
    opened: Count,
    closed: Count,
    bytes_in: Count,
    bytes_out: Count,
    /// In the order of [`Handshake`].
    handshakes: [Count; Handshake::ALL.len()],
    /// Beside the cell, which is a line of the cache.
    rare: Box<Rare>,
}

/// What is counted of few connections.
#[derive(Debug, Default)]
struct Rare {
    /// In the order of [`Abort`].
    aborts: [Count; Abort::ALL.len()],
    /// In the order of [`Refusal`].
    refusals: [Count; Refusal::ALL.len()],
}

/// Why a connection was turned away before it could ask anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not begin with a header of the PROXY protocol, as it must.
    NoProxyHeader,
    /// It begins with one that is none.
    BadProxyHeader,
    /// Its header did not come in time.
    SlowProxyHeader,
    /// It speaks in the clear where TLS is spoken.
    Plaintext,
    /// It speaks TLS where none is spoken.
    Tls,
    /// It speaks TLS in a way that is not spoken here.
    Handshake,
    /// It shows no certificate that is believed.
    Certificate,
    /// The certificate that it shows, or that of its authority, has run out or is not good yet.
    Expired,
}

impl Refusal {
    const ALL: [Self; 8] = [
        Self::NoProxyHeader,
        Self::BadProxyHeader,
        Self::SlowProxyHeader,
        Self::Plaintext,
        Self::Tls,
        Self::Handshake,
        Self::Certificate,
        Self::Expired,
    ];

    /// Why, as logs and metrics name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NoProxyHeader => "proxy_header_missing",
            Self::BadProxyHeader => "proxy_header_malformed",
            Self::SlowProxyHeader => "proxy_header_too_slow",
            Self::Plaintext => "plaintext",
            Self::Tls => "tls",
            Self::Handshake => "handshake",
            Self::Certificate => "certificate",
            Self::Expired => "certificate_expired",
        }
    }
}

/// What came of a TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// A new session.
    Full,
    /// A session that was made before.
    Resumed,
    /// No connection.
    Failed,
}

impl Handshake {
    const ALL: [Self; 3] = [Self::Full, Self::Resumed, Self::Failed];

    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::Failed => "failed",
        }
    }
}

impl ListenerTraffic {
    pub(crate) fn new(listener: &str, workers: usize) -> Self {
        Self {
            listener: listener.into(),
            cells: PerWorker::new(workers),
        }
    }

    /// A connection was accepted. To be followed by one [`ListenerTraffic::closed`] of the same worker.
    pub fn opened(&self, worker: WorkerId) {
        self.cells.of(worker).opened.add(1);
    }

    /// A connection has ended.
    pub fn closed(&self, worker: WorkerId) {
        self.cells.of(worker).closed.add(1);
    }

    /// A TLS handshake is over.
    pub fn shook_hands(&self, worker: WorkerId, result: Handshake) {
        self.cells.of(worker).handshakes[result as usize].add(1);
    }

    /// An HTTP/2 connection was broken off.
    pub fn aborted(&self, worker: WorkerId, abort: Abort) {
        self.cells.of(worker).rare.aborts[abort as usize].add(1);
    }

    /// A connection was turned away. Whether it is the first for this reason.
    pub fn refused(&self, worker: WorkerId, why: Refusal) -> bool {
        let count = &self.cells.of(worker).rare.refusals[why as usize];
        count.add(1);
        self.sum(|cell| &cell.rare.refusals[why as usize]) == 1
    }

    fn sum<'c>(&'c self, which: impl Fn(&'c ListenerCell) -> &'c Count) -> u64 {
        self.cells.iter().map(|cell| which(cell).value()).sum()
    }

    /// So many octets were read from a client.
    pub fn bytes_in(&self, worker: WorkerId, bytes: u64) {
        self.cells.of(worker).bytes_in.add(bytes);
    }

    /// So many octets were written to a client.
    pub fn bytes_out(&self, worker: WorkerId, bytes: u64) {
        self.cells.of(worker).bytes_out.add(bytes);
    }

    /// How many connections a worker has taken up, and how many of them it has closed.
    pub(crate) fn of_worker(&self, worker: WorkerId) -> (u64, u64) {
        let cell = self.cells.made(worker);
        cell.map_or((0, 0), |cell| (cell.opened.value(), cell.closed.value()))
    }

    pub(crate) fn gather(&self, sheet: &mut Sheet) {
        let closed = self.sum(|cell| &cell.closed);
        let opened = self.sum(|cell| &cell.opened);
        let labels = [&*self.listener];
        sheet.level(&families::CONNECTIONS, &labels, opened, closed);
        sheet.count(&families::CONNECTIONS_TOTAL, &labels, opened);
        let bytes_in = self.sum(|cell| &cell.bytes_in);
        sheet.count(&families::BYTES, &[&self.listener, "in"], bytes_in);
        let bytes_out = self.sum(|cell| &cell.bytes_out);
        sheet.count(&families::BYTES, &[&self.listener, "out"], bytes_out);
        let handshakes = Handshake::ALL.map(|result| {
            let count = self.sum(|cell| &cell.handshakes[result as usize]);
            (result, count)
        });
        // Without TLS there are none, and no series.
        if handshakes.iter().any(|(_, count)| *count > 0) {
            for (result, count) in handshakes {
                let labels = [&*self.listener, result.word()];
                sheet.count(&families::TLS_HANDSHAKES, &labels, count);
            }
        }
        for abort in Abort::ALL {
            let of = |cell: &ListenerCell| cell.rare.aborts[abort as usize].value();
            let count = self.cells.iter().map(of).sum::<u64>();
            if count > 0 {
                let labels = [&*self.listener, abort.word()];
                sheet.count(&families::HTTP2_ABORTS, &labels, count);
            }
        }
        for why in Refusal::ALL {
            let count = self.sum(|cell| &cell.rare.refusals[why as usize]);
            if count > 0 {
                let labels = [&*self.listener, why.word()];
                sheet.count(&families::CONNECTIONS_REFUSED, &labels, count);
            }
        }
    }
}
