//! What goes back to the client: the proxy's own answers, an endpoint's answer streamed through, a tunnel.

pub(crate) mod body;
pub(crate) mod local_reply;
pub(crate) mod relay;
pub(crate) mod upgrade;

pub(crate) use body::Body;
