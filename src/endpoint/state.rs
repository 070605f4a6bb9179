//! The states of an endpoint (contract, chapter "Probes").

/// What an endpoint may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// Its startup probe has not succeeded yet: nothing.
    Starting = 0,
    /// New requests.
    Ready = 1,
    /// No new requests; those in flight go on to their end.
    Unready = 2,
    /// Nothing; what is in flight is cut.
    Dead = 3,
    /// No new requests; it has left the configuration or was drained by hand.
    Draining = 4,
}

impl State {
    /// All states, in the order in which they are shown.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Ready,
        Self::Unready,
        Self::Dead,
        Self::Draining,
    ];

    /// The word in metrics, logs and the status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Dead => "dead",
            Self::Draining => "draining",
        }
    }

    /// The state that `state as u8` stands for; what stands for none is taken as [`State::Starting`].
    #[must_use]
    pub fn from_u8(number: u8) -> Self {
        match number {
            1 => Self::Ready,
            2 => Self::Unready,
            3 => Self::Dead,
            4 => Self::Draining,
            _ => Self::Starting,
        }
    }
}
