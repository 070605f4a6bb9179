//! Hosts: as a route asks for them, as they stand in `Host` and `Location`, as names to be called by.
//!
//! All become lower-case. What a request's own `Host` looks like, and how it is matched, is the routing table's.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use crate::config::check::findings::{At, Findings};
use crate::config::model::HostPattern;
use crate::config::problem::quoted;

impl Findings<'_> {
    /// A host as a route asks for it.
    pub(crate) fn host_pattern(&mut self, at: At<'_>) -> Option<HostPattern> {
        let text = self.text(at)?;
        let lower = text.to_ascii_lowercase();
        let (pattern, host) = match lower.strip_prefix("*.") {
            Some(suffix) => (HostPattern::Wildcard(Arc::from(suffix)), suffix),
            None => (
                HostPattern::Exact(Arc::from(lower.as_str())),
                lower.as_str(),
            ),
        };
        let is_wildcard = matches!(pattern, HostPattern::Wildcard(_));
        let fault = if lower == "*" {
            Some((
                "is any host".to_owned(),
                "leave hosts out to take any host".to_owned(),
            ))
        } else if is_wildcard && host.parse::<IpAddr>().is_ok() {
            Some((
                "is a wildcard over an address".to_owned(),
                "write the address without \"*.\", or a network in clients".to_owned(),
            ))
        } else {
            host_fault(host)
        };
        if let Some(fault) = fault {
            return self.refuse_host(at, text, fault);
        }
        Some(match pattern {
            HostPattern::Exact(host) => HostPattern::Exact(plain_host(&host)),
            wildcard @ HostPattern::Wildcard(_) => wildcard,
        })
    }

    /// A host name or an address, without a port.
    pub(crate) fn host(&mut self, at: At<'_>) -> Option<Arc<str>> {
        let text = self.text(at)?;
        let lower = text.to_ascii_lowercase();
        if text.contains('*') {
            let message = format!("the host {} is a wildcard", quoted(text));
            self.problem(at.piece.place, message, "write each name out");
            return None;
        }
        let bare = lower.parse::<Ipv6Addr>();
        if let Some(fault) = host_fault(&lower).filter(|_| bare.is_err()) {
            return self.refuse_host(at, text, fault);
        }
        Some(Arc::from(lower))
    }

    /// A host with its port where one is meant, as it stands in `Host` and in `Location`.
    pub(crate) fn authority(&mut self, at: At<'_>) -> Option<Arc<str>> {
        let text = self.text(at)?;
        let lower = text.to_ascii_lowercase();
        let (host, port) = split_port(&lower);
        let port_is_wrong = port.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..)));
        let fault = if port_is_wrong {
            Some((
                "has a port that is none".to_owned(),
                "write a port from 1 to 65535, or none".to_owned(),
            ))
        } else {
            host_fault(host)
        };
        if let Some(fault) = fault {
            return self.refuse_host(at, text, fault);
        }
        Some(Arc::from(lower))
    }

    fn refuse_host<T>(&mut self, at: At<'_>, text: &str, fault: (String, String)) -> Option<T> {
        let (fault, remedy) = fault;
        let message = format!("the host {} {fault}", quoted(text));
        self.problem(at.piece.place, message, remedy);
        None
    }
}

/// The host and, behind the last colon outside brackets, the port.
pub(crate) fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// What is wrong with a host (lower-case), and how to mend it. `[::1]` is right, as in `Host`.
pub(crate) fn host_fault(host: &str) -> Option<(String, String)> {
    let fault = |fault: &str, remedy: &str| Some((fault.to_owned(), remedy.to_owned()));
    if host.is_empty() {
        return fault("is empty", "write a host such as example.com");
    }
    if let Some(inside) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return match inside.parse::<Ipv6Addr>() {
            Ok(_) => None,
            Err(_) => fault(
                "is no IPv6 address",
                "write an address in brackets, such as \"[::1]\"",
            ),
        };
    }
    if host.parse::<Ipv6Addr>().is_ok() {
        return Some((
            "is an IPv6 address without brackets".to_owned(),
            format!("write \"[{host}]\""),
        ));
    }
    if host.contains("://") || host.contains('/') {
        return fault(
            "holds a scheme or a path",
            "write only the host; a path goes under path",
        );
    }
    if host.contains(':') {
        return fault("holds a port", "write it without the port");
    }
    if host.contains('*') {
        return fault(
            "has \"*\" elsewhere than as its whole first label",
            "write *.example.com, or match the path or a header instead",
        );
    }
    if host.ends_with('.') {
        return fault("ends in a dot", "write it without the last dot");
    }
    if !host.is_ascii() {
        return fault(
            "holds characters beyond ASCII",
            "write it in punycode (xn--…)",
        );
    }
    if host.len() > 253
        || host
            .split('.')
            .any(|label| label.is_empty() || label.len() > 63)
    {
        return fault(
            "is no host name",
            "write labels of 1 to 63 characters, joined by dots",
        );
    }
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !host.bytes().all(is_right) {
        return fault(
            "holds characters that no host has",
            "use letters, digits, \"-\" and dots",
        );
    }
    None
}

/// One form for an IPv6 address in brackets, as requests may write it in many.
fn plain_host(host: &str) -> Arc<str> {
    let inside = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match inside.map(str::parse::<Ipv6Addr>) {
        Some(Ok(address)) => Arc::from(format!("[{address}]")),
        _ => Arc::from(host),
    }
}
