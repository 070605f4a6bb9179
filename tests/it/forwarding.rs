//! Chapter 3: what is passed on, and how; over the real binary, with one worker so that connections to endpoints are
//! shared by all clients.

mod access_log;
mod bodies;
mod connections;
mod expect;
mod failures;
mod headers;
mod hops;
mod interim;
mod leaving;
mod streaming;
mod timeouts;
mod tunnels;
mod versions;
