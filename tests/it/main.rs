//! The whole system, from outside: the real binary, real sockets, raw bytes. One module per chapter of what users rely
//! on, over `support`.

// `cfg(test)` always holds here; it tells the lints that `unwrap` is at home.
#[cfg(test)]
mod access_log;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod admin_socket;
#[cfg(test)]
mod balancers;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod egress;
#[cfg(test)]
mod endpoint_tls;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod forwarded;
#[cfg(test)]
mod forwarding;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod h2;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod names;
#[cfg(test)]
mod packaging;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod proxy_protocol;
#[cfg(test)]
mod real;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod rush;
#[cfg(test)]
mod sidecar;
#[cfg(test)]
mod splits;
#[cfg(test)]
mod supervised;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod unix_listener;
#[cfg(test)]
mod upstream_h2;
#[cfg(test)]
mod websocket;
