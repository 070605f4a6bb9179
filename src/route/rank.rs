//! How specific the parts of a match are, with a derived order: the later the more specific.
//!
//! What makes a rank of a match is said where that part is matched: `host`, `path`, `condition`.

/// How specific the host of a match is, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostRank {
    /// No host is asked for.
    Unrestricted,
    /// A wildcard with a suffix of so many octets. Of two suffixes of one host the longer has more labels.
    Wildcard(usize),
    /// This very host.
    Exact,
}

/// How specific the path of a match is, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathRank {
    /// Any path.
    Any,
    /// A prefix of so many octets.
    Prefix(usize),
    /// A regular expression; two of them are equally specific, whatever they say.
    Regex,
    /// This very path.
    Exact,
}

/// How specific the other conditions of a match are; the fields are compared from the first to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConditionRank {
    /// A method is given.
    pub method: bool,
    /// The number of header conditions.
    pub headers: u16,
    /// The number of query conditions.
    pub query: u16,
    /// A client certificate is asked for.
    pub client_cert: bool,
    /// The length of the longest network that holds the client.
    pub client: Option<u8>,
    /// A listener is given.
    pub listener: bool,
}
