//! Why HTTP/2 connections are broken off, as it is counted. Who breaks them off is not decided here.

/// Why an HTTP/2 connection was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// It broke the rules.
    Protocol,
    /// It overstepped what the protocol lets it do.
    Calm,
    /// Resets without end.
    ResetFlood,
    /// SETTINGS without end.
    SettingsFlood,
    /// PINGs without end.
    PingFlood,
    /// PRIORITY without end.
    PriorityFlood,
    /// WINDOW_UPDATE without end.
    WindowFlood,
    /// Frames with nothing in them, without end.
    EmptyFlood,
    /// Other frames without end.
    OtherFlood,
    /// Settings that did not come.
    SettingsTimeout,
    /// A head that did not come to its end.
    HeaderTimeout,
    /// A client that does not read.
    WriteTimeout,
}

impl Abort {
    pub(super) const ALL: [Self; 12] = [
        Self::Protocol,
        Self::Calm,
        Self::ResetFlood,
        Self::SettingsFlood,
        Self::PingFlood,
        Self::PriorityFlood,
        Self::WindowFlood,
        Self::EmptyFlood,
        Self::OtherFlood,
        Self::SettingsTimeout,
        Self::HeaderTimeout,
        Self::WriteTimeout,
    ];

    /// As metrics and logs name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Calm => "calm",
            Self::ResetFlood => "reset_flood",
            Self::SettingsFlood => "settings_flood",
            Self::PingFlood => "ping_flood",
            Self::PriorityFlood => "priority_flood",
            Self::WindowFlood => "window_flood",
            Self::EmptyFlood => "empty_flood",
            Self::OtherFlood => "other_flood",
            Self::SettingsTimeout => "settings_timeout",
            Self::HeaderTimeout => "header_timeout",
            Self::WriteTimeout => "write_timeout",
        }
    }

    /// Whether no honest client does that.
    #[must_use]
    pub fn is_hostile(self) -> bool {
        !matches!(
            self,
            Self::Protocol | Self::SettingsTimeout | Self::HeaderTimeout | Self::WriteTimeout
        )
    }
}
