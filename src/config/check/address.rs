//! Addresses with their ports, and networks.
//!
//! What is listened on is an IP address, what is connected to may be a name too (`name.rs`). A mistyped address is
//! told what it looks like (a URL, a bare port, IPv6 without brackets). That two listeners want one address is asked in
//! `listener`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

use ipnet::IpNet;

use crate::config::check::findings::{At, Findings, called};
use crate::config::check::host::{host_fault, split_port};
use crate::config::check::name::name;
use crate::config::check::unix::{self, Called, Misnamed};
use crate::config::check::value::is_digits;
use crate::config::model::Address;
use crate::config::problem::quoted;
use crate::location::{Location, UNIX, UnixPath};

/// What an address is for.
#[derive(Clone, Copy)]
enum AddressUse {
    /// To listen on: any address of this host, port 0 for a free one.
    Bind,
    /// To connect to.
    Endpoint,
}

impl AddressUse {
    fn example(self) -> &'static str {
        match self {
            Self::Bind => "an address and a port, such as 127.0.0.1:8080 or \"[::]:8080\"",
            Self::Endpoint => {
                "an address and a port, such as 10.0.0.1:8080, \"[fd00::1]:8080\" or shop.internal:8080, or a unix socket, such as unix:/run/app.sock"
            }
        }
    }
}

impl Findings<'_> {
    /// Where to listen: an IP address with its port.
    pub(crate) fn bind(&mut self, at: At<'_>) -> Option<SocketAddr> {
        let text = self.text_of_address(at, AddressUse::Bind)?;
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        self.no_address(at, text, address_fault(text, AddressUse::Bind));
        None
    }

    /// Where an endpoint answers: an IP address or a name, with a port, or a unix socket. One with a relative path lies
    /// beside the configuration.
    pub(crate) fn endpoint_address(&mut self, at: At<'_>, base: &Path) -> Option<Address> {
        let text = self.text(at)?;
        if let Some(path) = text.strip_prefix(UNIX) {
            return self.unix_socket(at, path, base).map(Address::At);
        }
        if let Ok(address) = text.parse() {
            let address = self.fits(at, address)?;
            return Some(Address::At(Location::Ip(address)));
        }
        let fault = match name(text) {
            Some(Ok(name)) => return Some(name),
            Some(Err(fault)) => fault,
            None => address_fault(text, AddressUse::Endpoint),
        };
        self.no_address(at, text, fault);
        None
    }

    fn text_of_address<'n>(&mut self, at: At<'n>, use_of: AddressUse) -> Option<&'n str> {
        let text = self.text(at)?;
        if text.starts_with("unix:") {
            let words = format!("a unix socket ({})", quoted(text));
            let remedy = format!("write {}", use_of.example());
            self.later(at.piece.place, &words, &remedy);
            return None;
        }
        Some(text)
    }

    fn unix_socket(&mut self, at: At<'_>, path: &str, base: &Path) -> Option<Location> {
        let (fault, remedy) = match unix::called(path, base) {
            Ok(Called::Abstract(_)) => return UnixPath::new(path).map(Location::Unix),
            Ok(Called::File(full)) => match full.to_str().and_then(UnixPath::new) {
                Some(path) => return Some(Location::Unix(path)),
                // It stands in metrics and in the status, which are text.
                None => (
                    "lies in a folder whose name is no UTF-8",
                    "write its whole path, or rename the folder of this configuration",
                ),
            },
            Err(Misnamed::Nameless) => (
                "names no unix socket",
                "write its path, such as unix:/run/app.sock",
            ),
            Err(Misnamed::TooLong(_)) => (
                "has a path that is longer than the 107 octets that the system takes",
                "move the socket to a shorter path, or use an abstract name, such as unix:@app",
            ),
        };
        self.no_address(at, path, (fault, remedy.to_owned()));
        None
    }

    fn no_address(&mut self, at: At<'_>, text: &str, (fault, remedy): (&str, String)) {
        let message = format!("{} {fault}: {}", called(at.what), quoted(text));
        self.problem(at.piece.place, message, remedy);
    }

    fn fits(&mut self, at: At<'_>, address: SocketAddr) -> Option<SocketAddr> {
        let place = at.piece.place;
        if address.port() == 0 {
            let message = format!("port 0 of {} cannot be connected to", called(at.what));
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
                at.piece.place,
                message,
                "write an address and the length of its prefix, such as 10.0.0.0/8 or fd00::/8",
            );
            return None;
        };
        if network.trunc() != network {
            let message = format!("{} has bits set beyond its prefix", quoted(text));
            let remedy = format!("write {}, which is what it means", network.trunc());
            self.warning(at.piece.place, message, remedy);
        }
        Some(network.trunc())
    }
}

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
    if text.parse::<Ipv6Addr>().is_ok() {
        // `::1:8080` is an address too, but hardly what was meant.
        let (host, port) = split_port(text);
        let remedy = match (host.parse::<Ipv6Addr>(), port) {
            (Ok(host), Some(port)) if is_digits(port) => format!("write \"[{host}]:{port}\""),
            _ => format!("write it with its port, such as \"[{text}]:8080\""),
        };
        return ("holds an IPv6 address without brackets", remedy);
    }
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        let shown = match address {
            IpAddr::V4(address) => format!("{address}:8080"),
            IpAddr::V6(address) => format!("\"[{address}]:8080\""),
        };
        return (
            "has no port",
            format!("write it with its port, such as {shown}"),
        );
    }
    let (host, port) = split_port(text);
    match port {
        None if matches!(use_of, AddressUse::Endpoint) && is_name(host) => (
            "has no port",
            format!("write it with its port, such as {host}:8080"),
        ),
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
        Some(_) if is_name(host) => (NAME_FAULT, format!("write {example}")),
        Some(_) => ("is not an address with a port", format!("write {example}")),
    }
}

/// `300.1.1.1` is a mistyped address, no name.
fn is_name(host: &str) -> bool {
    let is_numeric = host.rsplit('.').next().is_some_and(is_digits);
    host_fault(&host.to_ascii_lowercase()).is_none() && !is_numeric
}
