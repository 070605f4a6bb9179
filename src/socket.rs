//! Listening sockets: bound with the options that a proxy wants, and taken from without waiting; and how many sockets
//! there may be at all.

mod defer;
mod unix;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketFlags, acceptfrom_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::model::{Bind, Listener, SocketRights};
use unix::Claim;

pub(crate) use defer::HandsOut;
pub(crate) use unix::grant;

/// Connections that the kernel may hold before they are accepted: as many as the system allows, which is `somaxconn`.
const BACKLOG: i32 = 65_535;

/// What tells listening sockets apart, over reloads: the address, and the listener's name as well where the kernel
/// chooses the port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    bind: Bind,
    name: Option<Arc<str>>,
}

impl Seat {
    pub(crate) fn of(listener: &Listener) -> Self {
        let bind = listener.bind.clone();
        let is_any = bind.tcp().is_some_and(|address| address.port() == 0);
        let name = is_any.then(|| Arc::clone(&listener.name));
        Self { bind, name }
    }
}

/// Binds and listens.
///
/// # Errors
/// The kernel's, as when the address is in use.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Without it, a restart would have to wait for the last connections' TIME_WAIT to end.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 as well, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    // Accepted sockets inherit it: answers are written in one piece.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket that is listened on.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(TcpListener),
    /// With its file, where it has one.
    Unix(UnixListener, Option<Claim>),
}

/// A connection that was taken.
#[derive(Debug)]
pub(crate) enum Taken {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listening {
    /// Binds and listens; these are the rights on a socket in the file system.
    ///
    /// # Errors
    /// The kernel's, as when the address is in use.
    pub(crate) fn bind(bind: &Bind, rights: Option<&SocketRights>) -> io::Result<Self> {
        match bind {
            Bind::Tcp(address) => listen(*address).map(Self::Tcp),
            Bind::Unix(path) => {
                let rights = rights.cloned().unwrap_or_default();
                let (socket, claim) = unix::listen(path, &rights, BACKLOG)?;
                Ok(Self::Unix(socket, Some(claim)))
            }
            Bind::Abstract(name) => Ok(Self::Unix(unix::listen_abstract(name, BACKLOG)?, None)),
        }
    }

    /// Where it listens: what was asked for, with the port that the kernel chose.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn bound(&self, asked: &Bind) -> io::Result<Bind> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Bind::Tcp),
            Self::Unix(..) => Ok(asked.clone()),
        }
    }

    /// Takes the file away, so that nobody new finds the socket; those who wait at it can be taken still.
    pub(crate) fn withdraw(&mut self) {
        if let Self::Unix(_, claim) = self {
            drop(claim.take());
        }
    }

    /// Takes the next waiting connection, non-blocking and closed on exec in the same call, with its client's address where
    /// it has one.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when none waits, or the kernel's.
    pub(crate) fn accept(&self) -> io::Result<(Taken, Option<SocketAddr>)> {
        match self {
            Self::Tcp(socket) => {
                let (tcp, peer) = accept(socket)?;
                // It has gone already where the kernel does not know it any more.
                let unknown = || (Ipv4Addr::UNSPECIFIED, 0).into();
                Ok((Taken::Tcp(tcp), Some(peer.unwrap_or_else(unknown))))
            }
            Self::Unix(socket, _) => {
                let (unix, _) = acceptfrom_with(socket, FLAGS)?;
                Ok((Taken::Unix(unix.into()), None))
            }
        }
    }

    /// Whether another connection may wait.
    pub(crate) fn may_have_more(&self) -> bool {
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // To take one tells what is wrong.
        poll(&mut [PollFd::new(self, PollFlags::IN)], Some(&at_once)) != Ok(0)
    }

    /// Has the kernel hand connections out from now on as is said. One on a socket of this host is always handed out at once.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn hands_out(&self, hands_out: HandsOut) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => defer::set(socket, hands_out),
            Self::Unix(..) => Ok(()),
        }
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket, _) => socket.as_fd(),
        }
    }
}

impl AsRawFd for Listening {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// What accepted sockets are from the beginning.
const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

fn accept(listener: &TcpListener) -> io::Result<(TcpStream, Option<SocketAddr>)> {
    let (socket, peer) = acceptfrom_with(listener, FLAGS)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    Ok((socket.into(), peer))
}

/// Lets the process have as many descriptors as its hard limit says. The soft one is kept low by custom, for programs that
/// use `select`; at 1,024 it would end a proxy at some five hundred requests at a time.
///
/// # Errors
/// The kernel's; the limit stays as it was.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_refused() {
        let first = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = first.local_addr().unwrap();
        assert_eq!(
            listen(address).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }

    #[test]
    fn nothing_waiting_does_not_block() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        assert_eq!(
            accept(&listener).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn an_accepted_connection_knows_its_peer_and_does_not_delay() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, peer) = accept(&listener).unwrap();
        assert_eq!(peer, client.local_addr().ok());
        assert!(accepted.nodelay().unwrap());
    }
}
