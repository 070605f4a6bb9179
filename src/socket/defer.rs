//! When the kernel hands out a connection: when it is there, or when it has brought its first octets.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;

/// When a connection is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandsOut {
    /// As soon as it is there.
    AtOnce,
    /// With its first octets, its end, or a second later.
    WithOctets,
}

/// The octets of a number.
const LENGTH: libc::socklen_t = 4;
const _: () = assert!(size_of::<libc::c_int>() == 4);

impl HandsOut {
    /// How long the kernel waits for octets, in seconds; 0 is not at all. Of one second it makes one repetition of its own word
    /// of the handshake, whose answer is a connection whatever it brings (tcp(7), `TCP_DEFER_ACCEPT`).
    fn seconds(self) -> libc::c_int {
        match self {
            Self::AtOnce => 0,
            Self::WithOctets => 1,
        }
    }
}

#[expect(
    unsafe_code,
    reason = "there is no safe call for this option; the kernel reads one number, which lives longer than the call"
)]
pub(super) fn set(socket: &TcpListener, hands_out: HandsOut) -> io::Result<()> {
    let seconds = hands_out.seconds();
    // SAFETY: the descriptor is open as long as the socket is borrowed, and there are so many octets where the pointer says.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            LENGTH,
        )
    };
    match set {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
