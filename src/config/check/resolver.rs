//! How names of endpoints become addresses: `resolver`.
//!
//! Files that are named here are relative to the configuration. They need not be there: what a system has may come
//! later, and a name server that is given makes up for it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::config::check::file::file;
use crate::config::check::findings::{At, Findings};
use crate::config::keys::{FAMILY, RESOLVER};
use crate::config::model::{Family, Resolver};
use crate::config::problem::quoted;
use crate::units::print_duration;

/// The port of a name server where none is written (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// Answers are asked for again no sooner than this, or a TTL of 0 would be a loop.
const LEAST: Duration = Duration::from_millis(100);

/// Reads `resolver`.
pub(crate) fn resolver(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Resolver {
    let mut resolver = Resolver::default();
    let Some(fields) = findings.fields(at, &RESOLVER) else {
        return resolver;
    };
    if let Some(items) = fields.get("servers").and_then(|at| findings.list(at)) {
        let servers = items.filter_map(|at| server(findings, at));
        resolver.servers.extend(servers);
    }
    if let Some(at) = fields.get("family") {
        resolver.family = match findings.word(at, &FAMILY) {
            Some("ipv4") => Family::Ipv4,
            Some("ipv6") => Family::Ipv6,
            _ => Family::All,
        };
    }
    if let Some(at) = fields.get("minTtl") {
        resolver.min_ttl = findings.duration(at);
        if resolver.min_ttl < LEAST {
            let message = "\"minTtl\" is below 100ms";
            findings.problem(at.piece.place, message, "write 100ms or more");
        }
    }
    if let Some(at) = fields.get("maxTtl") {
        resolver.max_ttl = findings.duration(at);
        if resolver.max_ttl < resolver.min_ttl {
            let least = print_duration(resolver.min_ttl);
            let message = format!("\"maxTtl\" is below minTtl ({least})");
            findings.problem(at.piece.place, message, format!("write {least} or more"));
        }
    } else {
        resolver.max_ttl = resolver.max_ttl.max(resolver.min_ttl);
    }
    for (key, path) in [
        ("hostsFile", &mut resolver.hosts_file),
        ("resolvConf", &mut resolver.resolv_conf),
    ] {
        if let Some(given) = fields.get(key).and_then(|at| file(findings, at, base)) {
            *path = given;
        }
    }
    resolver
}

fn server(findings: &mut Findings<'_>, at: At<'_>) -> Option<SocketAddr> {
    let text = findings.text(at)?;
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let address = match address {
        Ok(address) => Some(SocketAddr::new(address, DNS_PORT)),
        Err(_) => text.parse::<SocketAddr>().ok(),
    };
    let fits = |address: &SocketAddr| address.port() > 0 && !address.ip().is_unspecified();
    let address = address.filter(fits);
    if address.is_none() {
        let message = format!("{} is no address of a name server", quoted(text));
        let remedy = "write an IP address, with its port where that is not 53, such as 10.0.0.53 or 127.0.0.1:5353";
        findings.problem(at.piece.place, message, remedy);
    }
    address
}
