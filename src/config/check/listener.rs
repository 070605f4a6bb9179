//! Listeners: each by itself, and that no two of them (nor an admin address) want the same socket.
//!
//! Nothing is bound here: an address that another process has, or that this host does not have, is found out at the
//! start.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::config::check::edge;
use crate::config::check::findings::{At, Findings};
use crate::config::check::tls::tls;
use crate::config::document::{Piece, Value};
use crate::config::keys::{HALF_CLOSE, LISTENER, LISTENER_LIMITS, PROTOCOLS};
use crate::config::model::{Bind, HalfClose, Listener, ListenerLimits, Protocols};
use crate::config::problem::quoted;
use crate::config::source::Place;

/// The listeners, and where their names and addresses stand.
#[derive(Default)]
pub(crate) struct Listeners {
    pub(crate) all: Vec<Arc<Listener>>,
    pub(crate) names: HashMap<Arc<str>, Place>,
    /// Every address that is right, even of a listener that is otherwise wrong.
    pub(crate) binds: Vec<Bound>,
}

/// An address that will be bound.
pub(crate) struct Bound {
    pub(crate) address: Bind,
    pub(crate) place: Place,
    /// As in `{who} already binds it`.
    pub(crate) who: String,
}

/// Reads `listeners`. Relative files lie beside the configuration.
pub(crate) fn listeners(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Listeners {
    const REMEDY: &str = "add one, such as { name: web, bind: 0.0.0.0:8080 }";
    let mut listeners = Listeners::default();
    if matches!(at.piece.value, Value::Null) {
        findings.problem(at.piece.place, "there is no listener", REMEDY);
        return listeners;
    }
    let Some(items) = findings.list(at) else {
        return listeners;
    };
    let mut is_empty = true;
    for item in items {
        is_empty = false;
        listener(findings, item.piece, base, &mut listeners);
    }
    if is_empty {
        findings.problem(at.piece.place, "there is no listener", REMEDY);
    }
    listeners
}

fn listener(
    findings: &mut Findings<'_>,
    piece: &Piece,
    base: &Path,
    into: &mut Listeners,
) -> Option<()> {
    let what = "a listener";
    let fields = findings.fields(At { what, piece }, &LISTENER)?;
    let name = required_name(findings, fields.get("name"), fields.place(), "listener");
    if let (Some(name), Some(at)) = (&name, fields.get("name")) {
        unique(findings, &mut into.names, name, at.piece.place, "listener");
    }
    let bind = match fields.get("bind") {
        Some(at) => findings.listen_at(at, base).inspect(|address| {
            into.binds.push(Bound {
                address: address.clone(),
                place: at.piece.place,
                who: format!("the listener {}", quoted(name.as_deref().unwrap_or(""))),
            });
        }),
        None => {
            let message = "this listener has no \"bind\"";
            findings.problem(
                fields.place(),
                message,
                "add where it listens, such as bind: 0.0.0.0:8080",
            );
            None
        }
    };
    let protocols = match fields.get("protocols") {
        Some(at) => protocols(findings, at),
        None => Protocols::default(),
    };
    let half_close = match fields
        .get("halfClose")
        .map(|at| findings.word(at, &HALF_CLOSE))
    {
        Some(Some("deliver")) => HalfClose::Deliver,
        _ => HalfClose::Cancel,
    };
    let proxy_protocol = fields.get("proxyProtocol");
    let proxy_protocol = proxy_protocol.map(|at| edge::proxy_protocol(findings, at));
    let claims = edge::claims(findings, &fields);
    let rights = edge::rights(findings, &fields, bind.as_ref(), edge::Holder::Listener);
    let limits = match fields.get("limits") {
        Some(at) => limits(findings, at)?,
        None => ListenerLimits::default(),
    };
    let tls = fields.get("tls").and_then(|at| tls(findings, at, base));
    into.all.push(Arc::new(Listener {
        name: name?,
        bind: bind?,
        protocols,
        rights,
        proxy_protocol: proxy_protocol.unwrap_or_default(),
        half_close,
        claims,
        limits,
        tls,
    }));
    Some(())
}

/// A name that must be there.
pub(crate) fn required_name(
    findings: &mut Findings<'_>,
    at: Option<At<'_>>,
    place: Place,
    of: &str,
) -> Option<Arc<str>> {
    match at {
        Some(at) => findings.name(at, of),
        None => {
            let remedy = format!("add name: and what the {of} is called in metrics and logs");
            findings.problem(place, format!("this {of} has no \"name\""), remedy);
            None
        }
    }
}

/// Notes a name, or reports that it is taken.
pub(crate) fn unique(
    findings: &mut Findings<'_>,
    names: &mut HashMap<Arc<str>, Place>,
    name: &Arc<str>,
    place: Place,
    of: &str,
) {
    if let Some(&first) = names.get(name) {
        let line = findings.line(first);
        let message = format!("the {of} in line {line} is also called {}", quoted(name));
        findings.problem(place, message, "rename one of them");
        return;
    }
    names.insert(Arc::clone(name), place);
}

fn protocols(findings: &mut Findings<'_>, at: At<'_>) -> Protocols {
    let mut protocols = Protocols {
        http1: false,
        http2: false,
    };
    let Some(items) = findings.list(at) else {
        return protocols;
    };
    let mut count = 0;
    for item in items {
        count += 1;
        let place = item.piece.place;
        let is_there = match findings.word(item, &PROTOCOLS) {
            Some("http1") => &mut protocols.http1,
            Some(_) => &mut protocols.http2,
            None => continue,
        };
        if std::mem::replace(is_there, true) {
            let message = format!("{} stands here twice", shown(item.piece));
            findings.problem(place, message, "remove one of them");
        }
    }
    if count == 0 {
        findings.problem(
            at.piece.place,
            "\"protocols\" is empty",
            "write [http1, http2], or remove it",
        );
    }
    protocols
}

fn shown(piece: &Piece) -> String {
    match &piece.value {
        Value::Scalar(scalar) => quoted(&scalar.text),
        _ => String::new(),
    }
}

fn limits(findings: &mut Findings<'_>, at: At<'_>) -> Option<ListenerLimits> {
    let fields = findings.fields(at, &LISTENER_LIMITS)?;
    let mut limits = ListenerLimits::default();
    if let Some(at) = fields.get("maxConnections") {
        limits.max_connections = findings.limit(at).and_then(std::num::NonZeroUsize::new);
    }
    if let Some(at) = fields.get("handshakeTimeout") {
        limits.handshake_timeout = findings.duration_limit(at);
    }
    if let Some(at) = fields.get("headerTimeout") {
        limits.header_timeout = findings.duration_limit(at);
    }
    if let Some(at) = fields.get("bodyIdleTimeout") {
        limits.body_idle_timeout = findings.duration_limit(at);
    }
    if let Some(at) = fields.get("idleTimeout") {
        limits.idle_timeout = findings.duration_limit(at);
    }
    let octets = |size: Option<u64>| size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    if let Some(at) = fields.get("maxHeaderBytes") {
        limits.max_header_bytes = octets(findings.size_limit(at));
    }
    if let Some(at) = fields.get("maxHeaders") {
        limits.max_headers = findings.limit(at);
    }
    if let Some(at) = fields.get("maxUriBytes") {
        limits.max_uri_bytes = octets(findings.size_limit(at));
    }
    if let Some(at) = fields.get("maxBodyBytes") {
        limits.max_body_bytes = findings.size_limit(at);
    }
    if let Some(at) = fields.get("maxConcurrentStreams") {
        limits.max_concurrent_streams = findings.limit(at);
    }
    if let Some(at) = fields.get("maxConnectionAge") {
        limits.max_connection_age = findings.duration_limit(at);
    }
    Some(limits)
}

/// Reports every address that an earlier one already takes.
///
/// An address of all (`0.0.0.0`, `[::]`) takes each single one of its port, and `[::]` those of IPv4 too: whether the
/// kernel would allow both depends on its settings, and who got a connection would be no one's decision.
pub(crate) fn distinct(findings: &mut Findings<'_>, binds: &[Bound]) {
    let mut by_port: HashMap<u16, Vec<(&Bound, SocketAddr)>> = HashMap::new();
    let mut files: HashMap<&Bind, &Bound> = HashMap::new();
    for bound in binds {
        let Some(address) = bound.address.tcp() else {
            if let Some(taker) = files.get(&bound.address) {
                let message = format!("{} already binds {}", taker.who, bound.address);
                findings.problem(bound.place, message, "give one of them another path");
            }
            files.entry(&bound.address).or_insert(bound);
            continue;
        };
        if address.port() == 0 {
            continue;
        }
        let earlier = by_port.entry(address.port()).or_default();
        if let Some((taker, taken)) = earlier.iter().find(|(_, other)| overlap(*other, address)) {
            let message = if *taken == address {
                format!("{} already binds {address}", taker.who)
            } else if address.ip().is_unspecified() {
                format!("{address} takes {taken} too, which {} binds", taker.who)
            } else {
                format!("{} binds {taken}, which takes {address} too", taker.who)
            };
            findings.problem(bound.place, message, "give one of them another port");
        }
        // Many listeners on one port are checked against the first few only; those differ or were told already.
        if earlier.len() < MAX_COMPARED {
            earlier.push((bound, address));
        }
    }
}

const MAX_COMPARED: usize = 256;

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let takes_all = |one: SocketAddr, other: SocketAddr| {
        one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4())
    };
    a.ip() == b.ip() || takes_all(a, b) || takes_all(b, a)
}
