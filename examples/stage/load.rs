//! A load of requests that goes on while something else happens.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::clients::{Clients, Tally};

/// Between two looks at the count, and how many of them: half a minute.
const PAUSE: Duration = Duration::from_millis(5);
const LOOKS: u32 = 6_000;

/// A load that goes on until it is stopped.
pub(crate) struct Load {
    clients: Clients,
    stopped: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
}

impl Load {
    /// Starts so many clients.
    pub(crate) fn start(proxy: SocketAddr, clients: usize) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let (stop, count) = (Arc::clone(&stopped), Arc::clone(&sent));
        let more = move || {
            count.fetch_add(1, Ordering::Relaxed);
            !stop.load(Ordering::Relaxed)
        };
        Self {
            clients: Clients::start(proxy, clients, more),
            stopped,
            sent,
        }
    }

    /// Returns when this many more requests have been sent.
    pub(crate) fn wait_for(&self, requests: u64) -> io::Result<()> {
        let goal = self.sent.load(Ordering::Relaxed) + requests;
        for _ in 0..LOOKS {
            if self.sent.load(Ordering::Relaxed) >= goal {
                return Ok(());
            }
            thread::park_timeout(PAUSE);
        }
        Err(io::Error::from(io::ErrorKind::TimedOut))
    }

    /// Ends every client after its answer.
    pub(crate) fn stop(self) -> io::Result<Tally> {
        self.stopped.store(true, Ordering::Relaxed);
        self.clients.join()
    }
}
