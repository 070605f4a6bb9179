//! What a request asks of the connection that it is to go over.

/// Whether a connection that has served before will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Any connection.
    Any,
    /// A new one: the last died unused, and its like may have too.
    New,
}
