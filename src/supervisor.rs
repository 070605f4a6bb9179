//! What is told to whoever supervises this process: that it serves, reloads, ends, lives.
//!
//! The protocol is sd_notify(3): lines in a datagram to the socket that `NOTIFY_SOCKET` names, be it systemd's, podman's or
//! a test's. Without that variable nothing is told. Nothing here waits: a supervisor whose queue is full misses a message. When
//! there is something to tell is decided elsewhere.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{MissedTickBehavior, interval};

use crate::phase::Heartbeats;

/// The variables of the protocol: they are meant for this process and not for those that it starts.
pub(crate) const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// How long a process may take beyond the limits of its own end.
const SLACK: Duration = Duration::from_secs(5);

/// Who supervises this process, if anybody listens.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// As the environment says.
    pub(crate) fn of_environment() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let Some(address) = variable("NOTIFY_SOCKET") else {
            return Self::default();
        };
        let socket = match connect(&address) {
            Ok(socket) => socket,
            Err(error) => {
                let address = address.display();
                tracing::warn!(%address, %error, "NOTIFY_SOCKET cannot be used, nobody is told how fiel is");
                return Self::default();
            }
        };
        let whole = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_meant = whole("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = whole("WATCHDOG_USEC").filter(|period| *period > 0 && is_meant);
        Self {
            socket: Some(socket),
            watchdog: watchdog.map(Duration::from_micros),
        }
    }

    /// Gives a sign of life twice in the time after which one is missed (sd_watchdog_enabled(3)), while no worker is stuck.
    /// Over at once where nobody waits for one.
    pub(crate) async fn vouch(self: Rc<Self>, heartbeats: Arc<Heartbeats>) {
        let Some(time) = self.watchdog else { return };
        let mut ticks = interval(time / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match heartbeats.stuck() {
                None => self.tell("WATCHDOG=1"),
                Some(silence) => {
                    tracing::error!(
                        ?silence,
                        "Worker has not turned its loop, no sign of life is given"
                    );
                }
            }
        }
    }

    /// It serves.
    pub(crate) fn ready(&self, hash: &str) {
        self.tell(&format!("READY=1\nSTATUS=Serving configuration {hash}"));
    }

    /// It reads its configuration again; [`Supervisor::ready`] or [`Supervisor::rejected`] says when it has.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.tell(&format!(
            "RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=Reading the configuration again"
        ));
    }

    /// It serves what it served before: the new configuration is wrong.
    pub(crate) fn rejected(&self, hash: &str) {
        self.tell(&format!(
            "READY=1\nSTATUS=Serving configuration {hash}: the one on disk was rejected, the log says why"
        ));
    }

    /// It has begun to end, and needs at most so long; `None` has no limit, and leaves it to the supervisor's.
    pub(crate) fn stopping(&self, at_most: Option<Duration>) {
        let mut told = "STOPPING=1\nSTATUS=Draining".to_owned();
        if let Some(limit) = at_most {
            let micros = (limit + SLACK).as_micros();
            told.push_str(&format!("\nEXTEND_TIMEOUT_USEC={micros}"));
        }
        self.tell(&told);
    }

    fn tell(&self, lines: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(lines.as_bytes())
        {
            tracing::warn!(%error, "Supervisor could not be told");
        }
    }
}

/// A path, or a name in Linux' abstract namespace behind `@`.
fn connect(address: &OsString) -> io::Result<UnixDatagram> {
    let octets = address.as_bytes();
    let address = match octets.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        Some((b'/', _)) => SocketAddr::from_pathname(OsStr::from_bytes(octets))?,
        _ => {
            let why = "neither an absolute path nor an abstract name";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
