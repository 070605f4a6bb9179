//! What of failed tries is tried again, as configured.

/// What is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Extra tries after the first. Default 2.
    pub attempts: u32,
    /// On a connection that could not be made (`connectFailure`).
    pub on_connect_failure: bool,
    /// On a request that the endpoint refused before it did anything with it (`refusedStream`).
    pub on_refused_stream: bool,
    /// On a connection that ended before any octet of a response (`reset`).
    pub on_reset: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 2,
            on_connect_failure: true,
            on_refused_stream: true,
            on_reset: true,
        }
    }
}
