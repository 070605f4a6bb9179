//! How a command can fail, and the exit code that says so.
//!
//! The text is complete when it arrives here, with its remedy: it is printed as it is.

use std::fmt;
use std::process::ExitCode;

/// Why a command did not do what it was told.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration, or what was checked, is wrong: exit code 1.
    Wrong(String),
    /// The command was used wrongly: exit code 2.
    Usage(String),
    /// Something could not be bound or started: exit code 3.
    Start(String),
}

impl Failure {
    /// The exit code that this failure is known by.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Wrong(_) => 1,
            Self::Usage(_) => 2,
            Self::Start(_) => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Wrong(text) | Self::Usage(text) | Self::Start(text)) = self;
        f.write_str(text.trim_end())
    }
}
