//! How an HTTP/2 connection begins: the client's preface in its time, and what it is told of limits.
//!
//! The rest of its beginning, its settings, and all that comes behind is `task.rs`'s.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use h2::server::{Builder, Connection};

use crate::clock::Clock;
use crate::config::model::ListenerLimits;
use crate::connection::http2::pipe::{Pipe, PipeIo};
use crate::connection::registry::Member;
use crate::header::network;

/// The window of a stream: what a client may send ahead of its endpoint.
const STREAM_WINDOW: u32 = 256 << 10;

/// The window of a connection, at most: bodies that nobody reads yet hold others back only when so much of them waits.
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Octets of one stream that `h2` keeps until the socket takes them.
const SEND_BUFFER: usize = 128 << 10;

/// Fields that break the rules, after which `h2` breaks off: of a whole connection, since resets are cheap for those who
/// provoke them (CVE-2025-8671).
const PROVOKED_RESETS: usize = 1024;

/// Streams that were reset before anybody looked at them (CVE-2023-44487): as many as may be open, at least so many.
const UNSEEN_RESETS: usize = 20;

/// A header list with nothing said about its size.
const HEADER_LIST: u32 = 16 << 20;

/// What a field of a header list counts beside its octets (RFC 9113 §6.5.2).
const AROUND_FIELD: usize = 32;

/// Pseudo-fields of a request.
const PSEUDO_FIELDS: usize = 4;

/// Waits for the client's preface, within the time of a handshake; its settings, the rest of it, are waited for afterwards.
pub(super) async fn greet(pipe: &Rc<Pipe>, member: &Member) -> Option<Connection<PipeIo, Bytes>> {
    let edge = &member.edge;
    let clocks = &edge.client.clocks;
    edge.begin_preface();
    let builder = builder(&edge.client.listener.limits);
    let mut handshake = builder.handshake(PipeIo(Rc::clone(pipe)));
    poll_fn(|cx| {
        pipe.begin_turn();
        if let Poll::Ready(greeted) = Pin::new(&mut handshake).poll(cx) {
            return Poll::Ready(match greeted {
                Ok(connection) => Some(connection),
                Err(error) => {
                    tracing::debug!(client = %network::shown(edge.client.address()), %error, "No HTTP/2 preface");
                    None
                }
            });
        }
        let is_over = member.ending.get() && !member.may_bring_a_first_request();
        if is_over || clocks.rang(Clock::Head) {
            return Poll::Ready(None);
        }
        if pipe.is_spent() {
            cx.waker().wake_by_ref();
        }
        clocks.arm(cx);
        Poll::Pending
    })
    .await
}

fn builder(limits: &ListenerLimits) -> Builder {
    let mut builder = Builder::new();
    let streams = limits.max_concurrent_streams;
    let window = match streams {
        Some(streams) => u32::try_from(streams)
            .unwrap_or(u32::MAX)
            .saturating_mul(STREAM_WINDOW)
            .min(CONNECTION_WINDOW),
        None => CONNECTION_WINDOW,
    };
    if let Some(streams) = streams {
        builder.max_concurrent_streams(u32::try_from(streams).unwrap_or(u32::MAX));
    }
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(window)
        .max_header_list_size(header_list(limits))
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(streams.unwrap_or(UNSEEN_RESETS).max(UNSEEN_RESETS))
        .max_local_error_reset_streams(Some(PROVOKED_RESETS))
        // RFC 8441: WebSockets.
        .enable_connect_protocol();
    builder
}

/// The size of a header list that `h2` lets pass: twice what is served, so that what is a little too large has an answer of
/// ours and a line in the log.
fn header_list(limits: &ListenerLimits) -> u32 {
    let (Some(octets), Some(fields)) = (limits.max_header_bytes, limits.max_headers) else {
        return HEADER_LIST;
    };
    let fields = fields.saturating_add(PSEUDO_FIELDS);
    let list = octets.saturating_add(fields.saturating_mul(AROUND_FIELD));
    u32::try_from(list.saturating_mul(2))
        .unwrap_or(HEADER_LIST)
        .min(HEADER_LIST)
}
