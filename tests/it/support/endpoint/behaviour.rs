//! What an endpoint does with a request: a list of steps, and the usual lists by name.

use std::time::Duration;

/// The steps taken for each request, after its head has arrived.
///
/// After the last one the rest of the request is read and the connection waits for the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Behaviour(pub(crate) Vec<Step>);

/// One step.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Reads the request to its end.
    ReadBody,
    /// Writes these very bytes.
    Write(Vec<u8>),
    /// Writes a 200 with the endpoint's name as its body.
    WriteName,
    /// Writes a 200 in chunks: each piece of the request's body as it arrives, then its trailers, announced as the
    /// request announced them.
    Echo,
    /// Waits until the test calls `release`, or the other side ends the connection.
    AwaitRelease,
    /// Waits so long, or until the other side ends the connection.
    Pause(Duration),
    /// Sends back whatever arrives, until the other side has finished sending.
    Tunnel,
    /// Ends the connection in order; what still arrives is thrown away.
    Finish,
    /// Ends the connection with a reset.
    Reset,
}

impl Behaviour {
    /// 200 with the endpoint's name: what is done unless told otherwise.
    pub(crate) fn name() -> Self {
        Self(vec![Step::ReadBody, Step::WriteName])
    }

    /// These very bytes once the request is read, and the connection is kept.
    pub(crate) fn bytes(response: impl AsRef<[u8]>) -> Self {
        Self(vec![Step::ReadBody, write(response)])
    }

    /// An empty response with this status.
    pub(crate) fn status(status: u16) -> Self {
        Self::bytes(format!(
            "HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n"
        ))
    }

    /// These very bytes as soon as the head is here, before the body is read; the connection is kept.
    pub(crate) fn early(response: impl AsRef<[u8]>) -> Self {
        Self(vec![write(response)])
    }

    /// These very bytes, then the end of the connection: a response until close, or one cut short.
    pub(crate) fn bytes_then_finish(response: impl AsRef<[u8]>) -> Self {
        Self(vec![Step::ReadBody, write(response), Step::Finish])
    }

    /// These very bytes, perhaps none, then a reset.
    pub(crate) fn bytes_then_reset(response: impl AsRef<[u8]>) -> Self {
        Self(vec![Step::ReadBody, write(response), Step::Reset])
    }

    /// Nothing until released, then 200 with the endpoint's name.
    pub(crate) fn stall() -> Self {
        Self(vec![Step::ReadBody, Step::AwaitRelease, Step::WriteName])
    }

    /// 200 with the endpoint's name, so much later.
    pub(crate) fn slow(delay: Duration) -> Self {
        Self(vec![Step::ReadBody, Step::Pause(delay), Step::WriteName])
    }

    /// The request's body in chunks, with its trailers, as it arrives.
    pub(crate) fn echo() -> Self {
        Self(vec![Step::Echo])
    }

    /// `100 Continue`, and the echo of the body that follows.
    pub(crate) fn continue_then_echo() -> Self {
        Self(vec![write("HTTP/1.1 100 Continue\r\n\r\n"), Step::Echo])
    }

    /// `101` to `Upgrade: echo`, then everything back as it comes.
    pub(crate) fn upgrade() -> Self {
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
        Self(vec![write(switch), Step::Tunnel])
    }

    /// The first piece at once, each further one after a `release`.
    pub(crate) fn pieces<P: AsRef<[u8]>>(pieces: impl IntoIterator<Item = P>) -> Self {
        Self::with_between(pieces, &Step::AwaitRelease)
    }

    /// The pieces with a pause between them.
    pub(crate) fn paced<P: AsRef<[u8]>>(
        pieces: impl IntoIterator<Item = P>,
        pause: Duration,
    ) -> Self {
        Self::with_between(pieces, &Step::Pause(pause))
    }

    fn with_between<P: AsRef<[u8]>>(pieces: impl IntoIterator<Item = P>, between: &Step) -> Self {
        let mut steps = vec![Step::ReadBody];
        for piece in pieces {
            if steps.len() > 1 {
                steps.push(between.clone());
            }
            steps.push(write(piece));
        }
        Self(steps)
    }
}

fn write(bytes: impl AsRef<[u8]>) -> Step {
    Step::Write(bytes.as_ref().to_vec())
}
