//! Which route takes a request: the most specific one, whatever the order in the file.
//!
//! `summary` says what is more specific (a derived `Ord` over `rank`), `condition` what a request must meet, `host` and
//! `path` find the candidates without looking at the others, `entry` chooses among those of one host and path, `table`
//! puts them together. `rewrite` makes the target that is
//! forwarded and the `Location` of redirects. Everything here takes the canonical path; making it is the
//! configuration's and the connection's matter, so that what is matched is what is forwarded.

pub mod condition;
pub mod entry;
pub mod host;
pub mod path;
pub mod rank;
pub mod rewrite;
pub mod summary;
pub mod table;

pub use condition::Facts;
pub use path::PathMatch;
pub use table::{Found, Table};

#[cfg(test)]
mod tests;
