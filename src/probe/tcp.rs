//! The `tcpSocket` probe, and the connection that both kinds of probe begin with.
//!
//! A connection is closed in the plain way, with a FIN. A reset would spare this host the TIME_WAIT entry, but many
//! services log one as an error at each probe; and blocking in `close`, as a linger time above zero would, is out of
//! the question on a thread that all probes share. 2,000 probes a second leave about 120,000 entries of 60 s behind,
//! some 30 MB in the kernel at worst, which bounds their number itself (`net.ipv4.tcp_max_tw_buckets`). Local ports do
//! not run out by it: they are taken per destination, and a destination is probed a few times a second at most.

use std::borrow::Cow;
use std::io;

use rustix::io::Errno;

use crate::dial::{self, Failure, Stream, Way};
use crate::probe::answer::Answer;

/// Connects; being accepted is all that is asked for.
pub(crate) async fn ask(way: &Way) -> Answer {
    match connect(way).await {
        Ok(_) => Answer::success("connected"),
        Err(answer) => answer,
    }
}

/// Connects, or says why not.
pub(crate) async fn connect(way: &Way) -> Result<Stream, Answer> {
    // The probe's own timeout bounds it.
    let stream = dial::connect(way, None)
        .await
        .map_err(|failure| match failure {
            Failure::Socket(error) => answer_to(&error),
            Failure::Handshake(error) => Answer::failure(format!("TLS: {error}")),
            Failure::TooLate => Answer::failure("connection timed out"),
        })?;
    // A closed port of this very host within the range of local ports may be picked as the local end too: such a
    // connection is with itself, and nobody listens there. Over TLS it has failed by now.
    match stream.local_address() {
        Some(local) if Some(local) == way.to.ip() => Err(Answer::failure("connection refused")),
        _ => Ok(stream),
    }
}

/// What an error on a probe's connection says.
pub(crate) fn answer_to(error: &io::Error) -> Answer {
    match Errno::from_io_error(error) {
        Some(errno) if is_own_lack(errno) => Answer::unknown(format!("not sent: {}", word(error))),
        _ => Answer::failure(word(error)),
    }
}

/// Whether this host lacks something, which says nothing about the endpoint.
fn is_own_lack(errno: Errno) -> bool {
    [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
    ]
    .contains(&errno)
}

fn word(error: &io::Error) -> Cow<'static, str> {
    let word = match Errno::from_io_error(error) {
        Some(Errno::NOENT) => "there is no such socket",
        Some(Errno::CONNREFUSED) => "connection refused",
        Some(Errno::CONNRESET | Errno::PIPE) => "connection reset",
        Some(Errno::HOSTUNREACH) => "host unreachable",
        Some(Errno::NETUNREACH) => "network unreachable",
        Some(Errno::TIMEDOUT) => "connection timed out",
        Some(Errno::MFILE | Errno::NFILE) => "too many open files",
        Some(Errno::ADDRNOTAVAIL) => "no local port left",
        _ => return error.to_string().into(),
    };
    word.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::counts::ProbeResult;

    #[test]
    fn what_this_host_lacks_is_not_the_fault_of_the_endpoint() {
        let cases = [
            (
                Errno::CONNREFUSED,
                ProbeResult::Failure,
                "connection refused",
            ),
            (Errno::HOSTUNREACH, ProbeResult::Failure, "host unreachable"),
            (
                Errno::MFILE,
                ProbeResult::Unknown,
                "not sent: too many open files",
            ),
            (
                Errno::ADDRNOTAVAIL,
                ProbeResult::Unknown,
                "not sent: no local port left",
            ),
        ];
        for (errno, result, detail) in cases {
            let answer = answer_to(&io::Error::from(errno));
            assert_eq!((answer.result, &*answer.detail), (result, detail));
        }
    }
}
