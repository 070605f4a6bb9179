//! What a table of keys, and one of words, consists of.

/// The keys of one kind of mapping.
pub(crate) struct Keys {
    /// What the mapping is, as in `unknown key "x" in {kind}`.
    pub(crate) kind: &'static str,
    pub(crate) works: &'static [&'static str],
    /// Keys of the contract that are refused, each with what to do meanwhile.
    pub(crate) later: &'static [(&'static str, &'static str)],
}

/// The words that may stand as the value of one key.
pub(crate) struct Words {
    pub(crate) works: &'static [&'static str],
    pub(crate) later: &'static [(&'static str, &'static str)],
}
