//! What the whole-system tests stand on: the real binary, scriptable endpoints and a raw client.
//!
//! Everything is blocking threads and raw bytes, so that a test sees what a peer would see, and waits for an event with
//! one generous deadline as a net. Nothing here knows fiel's insides.

mod background;
pub(crate) mod client;
pub(crate) mod dns;
pub(crate) mod endpoint;
pub(crate) mod fiel;
pub(crate) mod frames;
pub(crate) mod front;
pub(crate) mod grpc;
pub(crate) mod h2endpoint;
mod message;
pub(crate) mod scrape;
pub(crate) mod terms;
pub(crate) mod tls;
pub(crate) mod wait;
pub(crate) mod websocket;
pub(crate) mod yaml;

pub(crate) use self::client::Client;
pub(crate) use self::endpoint::{Behaviour, Endpoint, Step};
pub(crate) use self::fiel::Fiel;
pub(crate) use self::scrape::Scrape;

mod tests;
