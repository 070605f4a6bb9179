//! From a file to a checked [`Config`].
//!
//! source (text with places, `${NAME}`) -> document (what the user typed) -> check (what it means) -> model.
//! Every problem is collected; none stops the others from being found.

pub mod model;

pub use model::Config;
