//! Texts with a grammar of their own: addresses, networks, hosts, header fields, paths, methods.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;

use crate::config::check::findings::{At, Findings};
use crate::config::check::value::is_digits;
use crate::config::model::HostPattern;
use crate::config::path::canonical;
use crate::config::problem::quoted;
use crate::config::source::Place;
use crate::config::suggest;

impl Findings<'_> {
    /// An IP address with its port.
    pub(crate) fn address(&mut self, at: At<'_>, use_of: AddressUse) -> Option<SocketAddr> {
        let text = self.text(at)?;
        let (place, what) = (at.node.place, quoted(at.what));
        if text.starts_with("unix:") {
            let remedy = format!("write {}", use_of.example());
            self.later(place, &format!("a unix socket ({})", quoted(text)), &remedy);
            return None;
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return self.fits(at, address, use_of);
        }
        let (fault, remedy) = address_fault(text, use_of);
        if fault == NAME_FAULT && matches!(use_of, AddressUse::Endpoint) {
            let words = format!("the host name {} as an endpoint", quoted(text));
            self.later(place, &words, &remedy);
        } else {
            self.problem(place, format!("{what} {fault}: {}", quoted(text)), remedy);
        }
        None
    }

    fn fits(&mut self, at: At<'_>, address: SocketAddr, use_of: AddressUse) -> Option<SocketAddr> {
        if matches!(use_of, AddressUse::Bind) {
            return Some(address);
        }
        let place = at.node.place;
        if address.port() == 0 {
            let message = format!("port 0 of {} cannot be connected to", quoted(at.what));
            self.problem(place, message, "write a port from 1 to 65535");
            return None;
        }
        if address.ip().is_unspecified() || address.ip().is_multicast() {
            let message = format!("{} is no address to connect to", address.ip());
            self.problem(
                place,
                message,
                "write the address of the endpoint, such as 127.0.0.1",
            );
            return None;
        }
        Some(address)
    }

    /// A network, or a single address as a network of one.
    pub(crate) fn network(&mut self, at: At<'_>) -> Option<IpNet> {
        let text = self.text(at)?;
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(IpNet::from(address));
        }
        let Ok(network) = text.parse::<IpNet>() else {
            let message = format!("{} is no network", quoted(text));
            self.problem(
                at.node.place,
                message,
                "write an address and the length of its prefix, such as 10.0.0.0/8 or fd00::/8",
            );
            return None;
        };
        if network.trunc() != network {
            let message = format!("{} has bits set beyond its prefix", quoted(text));
            let remedy = format!("write {}, which is what it means", network.trunc());
            self.warning(at.node.place, message, remedy);
        }
        Some(network.trunc())
    }

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
        if let Some((fault, remedy)) = fault {
            self.problem(
                at.node.place,
                format!("the host {} {fault}", quoted(text)),
                remedy,
            );
            return None;
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
        let bare = lower.parse::<Ipv6Addr>();
        if let Some((fault, remedy)) = host_fault(&lower).filter(|_| bare.is_err()) {
            self.problem(
                at.node.place,
                format!("the host {} {fault}", quoted(text)),
                remedy,
            );
            return None;
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
        if let Some((fault, remedy)) = fault {
            self.problem(
                at.node.place,
                format!("the host {} {fault}", quoted(text)),
                remedy,
            );
            return None;
        }
        Some(Arc::from(lower))
    }

    /// A canonical path without a query.
    pub(crate) fn path<'n>(&mut self, at: At<'n>) -> Option<&'n str> {
        let text = self.text(at)?;
        let place = at.node.place;
        let what = quoted(text);
        if !text.starts_with('/') {
            let remedy = format!("write {}", quoted(&format!("/{text}")));
            self.problem(
                place,
                format!("the path {what} does not begin with \"/\""),
                remedy,
            );
            return None;
        }
        if let Some(cut) = text.find(['?', '#']) {
            let remedy = format!(
                "write {}; a query is matched under match.query",
                quoted(&text[..cut])
            );
            let message = format!("the path {what} holds a query or a fragment");
            self.problem(place, message, remedy);
            return None;
        }
        if text
            .bytes()
            .any(|byte| byte <= b' ' || byte == 0x7f || byte >= 0x80)
        {
            let message = format!("the path {what} holds a character that no request can hold");
            self.problem(place, message, "percent-encode it, as in %20 for a space");
            return None;
        }
        let bad_escape = text.match_indices('%').any(|(start, _)| {
            let digits = text.as_bytes().get(start + 1..start + 3);
            !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        });
        if bad_escape {
            let message = format!("the path {what} holds a \"%\" without two hex digits");
            self.problem(place, message, "write %25 for a plain \"%\"");
            return None;
        }
        let wanted = canonical(text);
        if wanted != text {
            let message = format!("the path {what} is not canonical, so no request would match it");
            self.problem(place, message, format!("write {}", quoted(&wanted)));
            return None;
        }
        Some(text)
    }

    /// A request method.
    pub(crate) fn method(&mut self, at: At<'_>) -> Option<Method> {
        let text = self.text(at)?;
        let upper = text.to_ascii_uppercase();
        let method = Method::from_bytes(text.as_bytes()).ok();
        if text != upper || method.is_none() {
            let remedy = if Method::from_bytes(upper.as_bytes()).is_ok() {
                format!("write {upper}; methods are case-sensitive")
            } else {
                "write a method such as GET or POST".to_owned()
            };
            self.problem(
                at.node.place,
                format!("{} is no method", quoted(text)),
                remedy,
            );
            return None;
        }
        if !METHODS.contains(&text)
            && let Some(near) = suggest::nearest(text, METHODS.iter().copied())
        {
            let message = format!("{} is no registered method", quoted(text));
            self.warning(
                at.node.place,
                message,
                format!("did you mean {}?", quoted(near)),
            );
        }
        method
    }
}

/// What an address is for.
#[derive(Clone, Copy)]
pub(crate) enum AddressUse {
    /// To listen on: any address of this host, port 0 for a free one.
    Bind,
    /// To connect to.
    Endpoint,
}

impl AddressUse {
    fn example(self) -> &'static str {
        match self {
            Self::Bind => "an address and a port, such as 127.0.0.1:8080 or \"[::]:8080\"",
            Self::Endpoint => "an address and a port, such as 10.0.0.1:8080 or \"[fd00::1]:8080\"",
        }
    }
}

/// The methods in use (IANA registry, the ones a proxy meets), for suggestions only.
const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "QUERY",
    "ACL",
    "COPY",
    "LINK",
    "LOCK",
    "MKCOL",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "REPORT",
    "SEARCH",
    "UNLINK",
    "UNLOCK",
];

const NAME_FAULT: &str = "holds a name where an address is wanted";

/// What is wrong with an address that does not parse.
fn address_fault(text: &str, use_of: AddressUse) -> (&'static str, String) {
    let example = use_of.example();
    if let Some((_, rest)) = text.split_once("://") {
        let rest = rest.split('/').next().unwrap_or(rest);
        return (
            "is a URL",
            format!("write only the address and the port: {rest}"),
        );
    }
    if is_digits(text) || (text.starts_with(':') && is_digits(&text[1..])) {
        let port = text.trim_start_matches(':');
        return match use_of {
            AddressUse::Bind => (
                "has no address",
                format!(
                    "write 0.0.0.0:{port} for all addresses, or 127.0.0.1:{port} for this host only"
                ),
            ),
            AddressUse::Endpoint => ("has no address", format!("write {example}")),
        };
    }
    if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        let shown = match text.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("\"[{address}]:8080\""),
            _ => format!("{text}:8080"),
        };
        return (
            "has no port",
            format!("write it with its port, such as {shown}"),
        );
    }
    let (host, port) = split_port(text);
    match port {
        None => ("is not an address with a port", format!("write {example}")),
        Some(port) if !port.parse::<u16>().is_ok_and(|_| is_digits(port)) => (
            "has a port that is none",
            "write a port from 1 to 65535".to_owned(),
        ),
        Some(port) if host.parse::<Ipv6Addr>().is_ok() => (
            "holds an IPv6 address without brackets",
            format!("write \"[{host}]:{port}\""),
        ),
        Some(port) if host == "localhost" => (NAME_FAULT, format!("write 127.0.0.1:{port}")),
        Some(port) if host == "*" => (NAME_FAULT, format!("write 0.0.0.0:{port}")),
        Some(_) if host_fault(&host.to_ascii_lowercase()).is_none() && !looks_numeric(host) => {
            (NAME_FAULT, format!("write {example}"))
        }
        Some(_) => ("is not an address with a port", format!("write {example}")),
    }
}

/// `300.1.1.1` is a mistyped address, no name.
fn looks_numeric(host: &str) -> bool {
    host.rsplit('.').next().is_some_and(is_digits)
}

/// The host and, behind the last colon outside brackets, the port.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// What is wrong with a host (lower-case), and how to mend it. `[::1]` is right, as in `Host`.
fn host_fault(host: &str) -> Option<(String, String)> {
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
        return fault(
            "holds a port",
            "write it without the port; routes take all ports",
        );
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

/// Field names that are no user's to set: framing and what holds for one connection only (RFC 9110 §7.6.1).
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a field is written for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldUse {
    /// To compare with.
    Match,
    /// To change a request.
    RequestEdit,
    /// To change a response.
    ResponseEdit,
    /// To send with a probe.
    Probe,
}

impl Findings<'_> {
    /// The name of a field, given as text at a place.
    pub(crate) fn field_name(
        &mut self,
        place: Place,
        text: &str,
        use_of: FieldUse,
    ) -> Option<HeaderName> {
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            let message = format!("{} is no name of a header", quoted(text));
            self.problem(place, message, "use letters, digits and \"-\"");
            return None;
        };
        let remedy = match use_of {
            FieldUse::Match => return Some(name),
            FieldUse::RequestEdit if name == http::header::HOST => "use rewrite.host",
            FieldUse::ResponseEdit if name == http::header::HOST => {
                "remove it; responses have no Host"
            }
            _ if FRAMING.contains(&name.as_str()) => {
                "remove it; fiel frames messages and connections by itself"
            }
            _ => return Some(name),
        };
        let message = format!("{} is not to be set or removed here", quoted(text));
        self.problem(place, message, remedy);
        None
    }

    /// The value of a field. It is never repeated in a message, and marked when it may be a secret.
    pub(crate) fn field_value(&mut self, at: At<'_>, name: &str) -> Option<HeaderValue> {
        let scalar = self.scalar(at, "a text", "write a single value")?;
        let text = scalar.text.as_str();
        let fault = if text.trim_matches([' ', '\t']) != text {
            Some((
                "begins or ends with a space",
                "remove the spaces at its ends",
            ))
        } else if text.chars().any(|c| c.is_control() && c != '\t') {
            Some((
                "holds a line break or another control character",
                "remove it",
            ))
        } else {
            None
        };
        if let Some((fault, remedy)) = fault {
            let message = format!("the value of the header {} {fault}", quoted(name));
            self.problem(at.node.place, message, remedy);
            return None;
        }
        let mut value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
        value.set_sensitive(scalar.is_substituted || names_a_secret(name));
        Some(value)
    }
}

/// Whether values under this name are likely to be secrets.
pub(crate) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "auth",
        "cookie",
        "key",
        "password",
        "secret",
        "session",
        "token",
        "credential",
        "signature",
    ]
    .iter()
    .any(|word| name.contains(word))
}
