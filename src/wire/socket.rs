//! A client's socket: of TCP, or of the same host. All above them does not know which.
//!
//! What a socket of the same host lacks is a reset: one that is cut looks like one that has ended.
//!
//! One that was just accepted is asked directly first, where the last ones had brought their requests along; many are closed
//! behind the answer. Until a call would block, the runtime hears nothing of it, which saves a short connection two system
//! calls and a wake-up. Clients near by, whose requests come some microseconds later, would pay for a look in vain.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::io::{Read as _, Write as _};
use std::net::{self, Shutdown};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A client's socket.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Just accepted, and nothing has been waited for.
    Fresh(Fresh),
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What is known of a client whose answer is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Present {
    /// It has ended its side, and may still read.
    Ended,
    /// It has reset the connection.
    Gone,
}

/// A socket of TCP that the runtime does not know.
#[derive(Debug)]
pub(crate) struct Fresh {
    tcp: Option<net::TcpStream>,
    /// Nobody has looked yet.
    is_unread: bool,
}

/// Octets that are read at once from a fresh one, which a usual head does not fill.
const FRESH_ROOM: usize = 4 << 10;

thread_local! {
    static SCRATCH: RefCell<[u8; FRESH_ROOM]> = const { RefCell::new([0; FRESH_ROOM]) };
    static LUCK: Luck = const { Luck::new() };
}

/// Whether fresh sockets are worth a look.
struct Luck {
    /// What came of the last looks, a bit each: whether there was something to read.
    looks: Cell<u8>,
    sockets: Cell<u8>,
}

impl Luck {
    /// So many of eight looks pay for the others.
    const ENOUGH: u32 = 2;

    /// One of so many is looked at all the same, to see whether it has turned.
    const SAMPLE: u8 = 16;

    const fn new() -> Self {
        Self {
            looks: Cell::new(u8::MAX),
            sockets: Cell::new(0),
        }
    }

    /// Whether the next fresh socket should be asked.
    fn is_good(&self) -> bool {
        if self.looks.get().count_ones() >= Self::ENOUGH {
            return true;
        }
        self.sockets.set((self.sockets.get() + 1) % Self::SAMPLE);
        self.sockets.get() == 0
    }

    fn note(&self, found: bool) {
        self.looks.set(self.looks.get() << 1 | u8::from(found));
    }
}

/// What an operation on a fresh socket has come to.
enum Tried<T> {
    Done(io::Result<T>),
    /// It would block: now the runtime has to know.
    Waits,
}

impl<T> From<io::Result<T>> for Tried<T> {
    fn from(result: io::Result<T>) -> Self {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Self::Waits,
            result => Self::Done(result),
        }
    }
}

impl Socket {
    /// One that was accepted, non-blocking.
    pub(crate) fn accepted(tcp: net::TcpStream) -> Self {
        Self::Fresh(Fresh {
            tcp: Some(tcp),
            is_unread: true,
        })
    }

    /// Whether nothing can be waited for yet.
    pub(crate) fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh(_))
    }

    /// Has the runtime know it, so that it can be waited for.
    pub(crate) fn watch(&mut self) -> io::Result<()> {
        if let Self::Fresh(fresh) = self {
            let tcp = fresh.tcp.take().ok_or(io::ErrorKind::NotConnected)?;
            *self = Self::Tcp(TcpStream::from_std(tcp)?);
        }
        Ok(())
    }

    /// Does something with a fresh socket, as far as it goes without waiting.
    fn attempt<T>(
        &mut self,
        operation: impl FnOnce(&net::TcpStream) -> io::Result<T>,
    ) -> Option<Poll<io::Result<T>>> {
        let Self::Fresh(fresh) = self else {
            return None;
        };
        let tried = match &fresh.tcp {
            Some(tcp) => operation(tcp).into(),
            None => Tried::Done(Err(io::ErrorKind::NotConnected.into())),
        };
        match tried {
            Tried::Done(result) => Some(Poll::Ready(result)),
            Tried::Waits => match self.watch() {
                Ok(()) => None,
                Err(error) => Some(Poll::Ready(Err(error))),
            },
        }
    }

    /// Waits until there may be something to read.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // There may be.
            Self::Fresh(_) => Poll::Ready(Ok(())),
            Self::Tcp(tcp) => tcp.poll_read_ready(cx),
            Self::Unix(unix) => unix.poll_read_ready(cx),
        }
    }

    /// What the kernel knows it by; none if it could not be made one of the runtime's.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Fresh(fresh) => fresh.tcp.as_ref().map(AsFd::as_fd),
            Self::Tcp(tcp) => Some(tcp.as_fd()),
            Self::Unix(unix) => Some(unix.as_fd()),
        }
    }

    /// Whether it has been reset, where the runtime has had notice of something wrong.
    pub(crate) fn is_reset(&self) -> bool {
        let look = |socket: SockRef<'_>| match socket.take_error()? {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::WouldBlock.into()),
        };
        let reset = match self {
            Self::Fresh(fresh) => fresh.tcp.as_ref().map_or(Ok(()), |tcp| look(tcp.into())),
            Self::Tcp(tcp) => tcp.try_io(Interest::ERROR, || look(tcp.into())),
            Self::Unix(unix) => unix.try_io(Interest::ERROR, || look(unix.into())),
        };
        reset.is_ok()
    }

    /// Writes what its end follows at once: the kernel keeps the last of it back, so that both go out in one packet. An end of
    /// its own costs as much as a fifteenth of a request on a connection of its own.
    fn poll_write_last(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let send = |socket: BorrowedFd<'_>| {
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            Ok(rustix::net::send(socket, octets, flags)?)
        };
        if let Some(written) = self.attempt(|tcp| send(tcp.as_fd())) {
            return written;
        }
        let Self::Tcp(tcp) = self else {
            return Pin::new(self).poll_write(cx, octets);
        };
        loop {
            ready!(tcp.poll_write_ready(cx))?;
            match tcp.try_io(Interest::WRITABLE, || send(tcp.as_fd())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    /// Ends the side that is written, with what was kept back. The close alone would lose that where something is unread.
    pub(super) fn end(&self) {
        let ended = match self {
            Self::Fresh(Fresh { tcp: Some(tcp), .. }) => tcp.shutdown(Shutdown::Write),
            Self::Tcp(tcp) => SockRef::from(tcp).shutdown(Shutdown::Write),
            Self::Unix(unix) => SockRef::from(unix).shutdown(Shutdown::Write),
            Self::Fresh(Fresh { tcp: None, .. }) => Ok(()),
        };
        // Where it fails the connection is gone already.
        ended.ok();
    }

    /// Has the socket reset when it is closed, where it can be.
    pub(crate) fn set_zero_linger(&self) -> io::Result<()> {
        match self {
            Self::Fresh(Fresh { tcp: Some(tcp), .. }) => {
                SockRef::from(tcp).set_linger(Some(Duration::ZERO))
            }
            Self::Tcp(tcp) => tcp.set_zero_linger(),
            Self::Fresh(Fresh { tcp: None, .. }) | Self::Unix(_) => Ok(()),
        }
    }

    /// Waits until something is here, and looks at it without taking it. 0 is the end.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, RecvFlags::PEEK).await
    }

    /// Waits until something is here, and takes it; never more than there is room for. 0 is the end.
    pub(crate) async fn take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, RecvFlags::empty()).await
    }

    async fn receive(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        loop {
            let received = match self {
                Self::Fresh(_) => return Err(io::ErrorKind::NotConnected.into()),
                Self::Tcp(tcp) => {
                    tcp.readable().await?;
                    tcp.try_io(Interest::READABLE, || receive(tcp, buffer, flags))
                }
                Self::Unix(unix) => {
                    unix.readable().await?;
                    unix.try_io(Interest::READABLE, || receive(unix, buffer, flags))
                }
            };
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }
}

fn receive(socket: &impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (received, _) = rustix::net::recv(socket, buffer, flags)?;
    Ok(received)
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let is_first = match socket {
            Self::Fresh(fresh) => std::mem::take(&mut fresh.is_unread),
            Self::Tcp(_) | Self::Unix(_) => false,
        };
        if is_first && !LUCK.with(Luck::is_good) {
            socket.watch()?;
        }
        let is_first = is_first && socket.is_fresh();
        let read = socket.attempt(|mut tcp| {
            // Into octets that are there already: those of the buffer would have to be cleared first, which costs more than
            // the copy of a head.
            SCRATCH.with_borrow_mut(|scratch| {
                let room = buffer.remaining().min(FRESH_ROOM);
                let octets = tcp.read(&mut scratch[..room])?;
                buffer.put_slice(&scratch[..octets]);
                Ok(())
            })
        });
        if is_first {
            LUCK.with(|luck| luck.note(read.is_some()));
        }
        if let Some(read) = read {
            return read;
        }
        match socket {
            Self::Fresh(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        if let Some(written) = socket.attempt(|mut tcp| tcp.write(octets)) {
            return written;
        }
        match socket {
            Self::Fresh(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, octets),
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, octets),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        if let Some(written) = socket.attempt(|mut tcp| tcp.write_vectored(slices)) {
            return written;
        }
        match socket {
            Self::Fresh(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Fresh(_) => Poll::Ready(Ok(())),
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if let Some(shut) = socket.attempt(|tcp| tcp.shutdown(Shutdown::Write)) {
            return shut;
        }
        match socket {
            Self::Fresh(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}

/// A socket for what is last on its connection.
pub(super) struct Last<'a>(pub(super) &'a mut Socket);

impl AsyncWrite for Last<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_last(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // So much goes in more than one packet whatever is done.
        Pin::new(&mut *self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_is_last_arrives_before_its_end_though_something_is_unread() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for is_watched in [false, true] {
            let address = listener.local_addr().unwrap();
            let mut client = net::TcpStream::connect(address).unwrap();
            client.write_all(b"more").unwrap();
            let (tcp, _) = listener.accept().await.unwrap();
            let mut socket = Socket::accepted(tcp.into_std().unwrap());
            if is_watched {
                socket.watch().unwrap();
            }
            let octets =
                poll_fn(|cx| Pin::new(&mut Last(&mut socket)).poll_write(cx, b"last")).await;
            assert_eq!(octets.unwrap(), 4);
            socket.end();
            drop(socket);
            let mut came = [0; 4];
            client.read_exact(&mut came).unwrap();
            assert_eq!(&came, b"last");
            assert_ne!(client.read(&mut came).ok(), Some(4));
        }
    }

    #[test]
    fn sockets_are_asked_while_enough_of_them_had_something_to_read() {
        let luck = Luck::new();
        for found in [true, false, false, false].repeat(8) {
            assert!(luck.is_good());
            luck.note(found);
        }
        for _ in 0..8 {
            luck.note(false);
        }
        let asked = (0..64).filter(|_| luck.is_good()).count();
        assert_eq!(asked, 4);
        luck.note(true);
        luck.note(true);
        assert!(luck.is_good());
    }
}
