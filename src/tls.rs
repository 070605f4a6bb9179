//! TLS towards clients and endpoints, as far as it is decided before a connection: certificates and keys, which of them a
//! name gets, who may come in with a certificate of its own, session tickets; whom endpoints must prove to be.
//!
//! ```text
//! files --certificate, client_auth--> Spec (part of the configuration) --server, tickets--> Server (of a listener)
//! files --certificate, trust--> Upstream (part of the configuration, of a pool)
//! ```
//!
//! - A [`Spec`] is what `listeners[].tls` says **with what the files held**: two are equal when both are. So a reload finds
//!   a renewed certificate as it finds any other change, and a pair that is broken is a problem of the configuration, with
//!   its place in the file.
//! - A [`Server`] is what connections of a listener are accepted by: a rustls configuration, the names it serves, the spec.
//!   A connection keeps the one it began with.
//! - [`Tickets`] has one ticketer for each client-auth policy (mode, authorities, revocations), because a resumed session
//!   brings its client's certificate along unverified: a ticket of another policy must mean nothing here (CVE-2025-23419).
//!   For the same reason a ticket ends with the first certificate of its client's chain, and with an authority.
//!   There is no session store. Ticket keys rotate every six hours, a ticket is good for twelve, reloads keep them.
//! - An [`Upstream`] is what a pool's connections to its endpoints are secured by. It is compared as a [`Spec`] is, and
//!   remembers sessions, so that who believes others, or shows another certificate, resumes none of them.
//! - Authorities are believed for as long as their own certificates are good (`roots.rs`), by both of these.
//! - [`Identity`] is who a client has proved to be, as routes match it and as endpoints are told.
//!
//! Versions are 1.2 and 1.3, with X25519MLKEM768 preferred. What is offered by ALPN are the listener's `protocols`, `h2`
//! first, and towards endpoints the pool's `protocol`. There is no early data (RFC 8446 §8): a request could be replayed.
//!
//! Not here: sockets, handshakes and their limits (`connection/handshake.rs`, `dial.rs`), the streams (`wire/stream.rs`,
//! `dial/stream.rs`), who watches
//! the files (`control/watch.rs`).

mod certificate;
mod client_auth;
mod fault;
mod identity;
mod names;
pub(crate) mod plaintext;
mod reason;
mod roots;
mod secure;
mod server;
mod spec;
mod subject;
mod tickets;
mod trust;
mod until;
mod upstream;
mod versions;

pub use certificate::{Authority, Certificate};
pub use client_auth::{ClientAuth, Mode};
pub use fault::{Fault, Part};
pub use identity::{Identity, San};
pub use reason::{moment, tls_error};
pub use secure::Secure;
pub use server::{Protocol, Server};
pub use spec::{MinVersion, Spec};
pub use tickets::Tickets;
pub use trust::{Authorities, Trust};
pub use upstream::{Terms, Upstream, server_name};
