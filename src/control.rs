//! The one task that owns truth: takes `Change`s, builds, publishes, reports.

pub mod report;
