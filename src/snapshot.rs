//! The immutable whole that workers read: which requests go where, and who is there to take them.
//!
//! A snapshot is a tree of `Arc`s. `build` makes one, sharing what did not change with the one before; `store` holds
//! the newest, and there is one swap in the crate. Nothing in here is ever written after it was published, but what a worker
//! copies for itself (`words`).

pub mod build;
pub mod store;
pub mod view;
pub mod words;

pub use store::{Reader, Store};
pub use view::{RouteAction, RouteView, Snapshot, View};
pub use words::Spoken;
