//! Limits and decisions: data and pure functions. What is measured and what is done about it lives elsewhere.

pub mod retry;
