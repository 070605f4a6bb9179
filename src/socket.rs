//! Listening sockets: bound with the options that a proxy wants, and taken from without waiting; and how many sockets
//! there may be at all.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use std::sync::Arc;

use rustix::net::{SocketFlags, acceptfrom_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::model::Listener;

/// Connections that the kernel may hold before they are accepted: as many as the system allows, which is `somaxconn`.
const BACKLOG: i32 = 65_535;

/// What tells listening sockets apart, over reloads: the address, and the listener's name as well where the kernel
/// chooses the port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    bind: SocketAddr,
    name: Option<Arc<str>>,
}

impl Seat {
    pub(crate) fn of(listener: &Listener) -> Self {
        let bind = listener.bind;
        let name = (bind.port() == 0).then(|| Arc::clone(&listener.name));
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

/// Takes the next waiting connection, non-blocking and closed on exec in the same call.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when none waits, or the kernel's.
pub fn accept(listener: &TcpListener) -> io::Result<(TcpStream, Option<SocketAddr>)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = acceptfrom_with(listener, flags)?;
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
