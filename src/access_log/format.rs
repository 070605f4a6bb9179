//! Which of the formats a line is written in.

use super::query::Query;
use super::record::Record;
use super::{clf, ecs, json};
use crate::config::model::{self, LogFormat};

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) format: LogFormat,
    pub(super) query: Query,
}

impl Style {
    /// As the configuration says.
    pub(super) fn of(config: &model::AccessLog) -> Self {
        Self {
            format: config.format,
            query: match config.query {
                true => Query::Printed,
                false => Query::Hidden,
            },
        }
    }

    /// Appends the record's line with its newline.
    pub(super) fn write_line(self, record: &Record, out: &mut Vec<u8>) {
        match self.format {
            LogFormat::Json => json::write_line(record, self.query, out),
            LogFormat::Ecs => ecs::write_line(record, self.query, out),
            LogFormat::Common => clf::write_common(record, self.query, out),
            LogFormat::Combined => clf::write_combined(record, self.query, out),
        }
    }
}

#[cfg(test)]
mod tests;
