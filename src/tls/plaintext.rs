//! What a session has decrypted and nobody has taken yet, of which no notice of the socket tells.

use std::io::{self, BufRead as _};

use rustls::ConnectionCommon;

/// Whether reading from it would bring something without its socket: octets, an end, or a failure.
pub(crate) fn is_at_hand<Side>(session: &mut ConnectionCommon<Side>) -> bool {
    match session.reader().fill_buf() {
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        Ok(_) => true,
    }
}
