//! The access log, as configured.

use std::path::PathBuf;

/// Where and how requests are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// What a line looks like.
    pub format: LogFormat,
    /// Where to.
    pub output: LogOutput,
    /// Whether the query is logged with the path. Default no.
    pub query: bool,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The end of a file.
    File(LogFile),
}

/// A file that the access log goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// The file.
    pub path: PathBuf,
    /// Before it grows beyond so many octets, another is begun. Default `None`: it grows without end.
    pub max_bytes: Option<u64>,
    /// How many of those before it are kept beside it; 0 keeps none. Default 2.
    pub keep: u32,
}

/// What a line of the access log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// fiel's own fields, as JSON.
    #[default]
    Json,
    /// The Elastic Common Schema, as JSON.
    Ecs,
    /// The common log format of Apache and nginx.
    Common,
    /// The same with `Referer` and `User-Agent`.
    Combined,
}

impl LogFile {
    /// This file, growing without end.
    #[must_use]
    pub fn endless(path: PathBuf) -> Self {
        Self {
            path,
            max_bytes: None,
            keep: Self::KEEP,
        }
    }

    /// How many files are kept unless the configuration says otherwise.
    pub(crate) const KEEP: u32 = 2;
}

impl LogFormat {
    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ecs => "ecs",
            Self::Common => "common",
            Self::Combined => "combined",
        }
    }
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            output: LogOutput::Stdout,
            query: false,
        }
    }
}
