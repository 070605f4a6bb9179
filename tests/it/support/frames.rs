//! HTTP/2 as frames (RFC 9113 §4), sound or not: what both ends share, a client of them, and an endpoint's end.
//!
//! Fields are written as literals without Huffman codes (RFC 7541 §6.2.2), so that any octet can stand in them. Who wants
//! to know what a head says uses the `h2` crate.

mod client;
mod endpoint;
mod frame;

pub(crate) use self::client::{Came, Raw};
pub(crate) use self::endpoint::Frames;
pub(crate) use self::frame::{
    ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, Frame, GOAWAY, HEADERS, INTERNAL_ERROR, NO_ERROR, PING,
    PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS, SETTINGS_TIMEOUT,
    STREAM_CLOSED, WINDOW_UPDATE, ask, block, get, literal,
};
