//! A stream that has become a tunnel (RFC 8441): its 200, then octets both ways until both have ended.
//!
//! What is written waits for the room that all streams of the connection share; all else is `response/upgrade.rs`'s, as it
//! is over HTTP/1.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Response;
use http::response::Parts;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::http2::answer;
use crate::connection::http2::shared::Shared;
use crate::header::network;
use crate::request::context::Client;
use crate::wire::Duplex;

/// Makes a stream the tunnel that was asked for, and serves it to its end.
pub(super) async fn serve(
    mut respond: SendResponse<Bytes>,
    mut head: Parts,
    incoming: RecvStream,
    client: &Rc<Client>,
    shared: &Rc<Shared>,
) {
    let Some(tunnel) = client.take_tunnel() else {
        // A layer has made up a 101, with nothing behind it.
        return respond.send_reset(Reason::INTERNAL_ERROR);
    };
    answer::switch(&mut head, || shared.context.date());
    let Ok(send) = respond.send_response(Response::from_parts(head, ()), false) else {
        return respond.send_reset(Reason::CANCEL);
    };
    let duplex = Duplex::new(send, incoming);
    let resets = duplex.resets();
    let mut io = Mouth {
        duplex,
        shared: Rc::clone(shared),
    };
    let clocks = Rc::clone(&client.clocks);
    if let Err(error) = tunnel.run(&mut io, Some(resets), clocks).await {
        // `h2` throws away what waits in a stream that is reset: what came before may go first.
        tokio::task::yield_now().await;
        let client = network::shown(client.address());
        tracing::debug!(%client, %error, "Tunnel broke off");
    }
}

/// The client's side of a tunnel.
struct Mouth {
    duplex: Duplex,
    shared: Rc<Shared>,
}

impl AsyncRead for Mouth {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.duplex).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Mouth {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.shared.outlet.poll_room(cx));
        let count = ready!(Pin::new(&mut self.duplex).poll_write(cx, octets))?;
        self.shared.outlet.hand(count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.duplex).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.duplex).poll_shutdown(cx)
    }
}
