//! What a listener has towards its clients: where it listens, whom it believes what about them.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use crate::config::check::findings::{At, Fields, Findings};
use crate::config::check::unix::{Called, Misnamed, called};
use crate::config::document::{Scalar, Value};
use crate::config::keys::{ADMIN_RIGHTS, FORWARDED, PROXY_PROTOCOL, SOCKET_RIGHTS};
use crate::config::model::{Bind, Claims, ForwardedFields, Peers, ProxyProtocol, SocketRights};
use crate::config::problem::quoted;
use crate::location::MAX_UNIX_PATH;

/// More proxies one behind the other than anybody has.
const MOST_HOPS: u64 = 100;

impl Findings<'_> {
    /// Where a listener listens: an address with its port, or a socket in the file system. A relative path lies in `base`.
    pub(crate) fn listen_at(&mut self, at: At<'_>, base: &Path) -> Option<Bind> {
        let Value::Scalar(Scalar { text, .. }) = &at.piece.value else {
            return self.bind(at).map(Bind::Tcp);
        };
        let Some(path) = text.strip_prefix("unix:") else {
            return self.bind(at).map(Bind::Tcp);
        };
        let place = at.piece.place;
        let (message, remedy) = match called(path, base) {
            Ok(Called::File(path)) => return Some(Bind::Unix(path.into())),
            Ok(Called::Abstract(name)) => return Some(Bind::Abstract(name.into())),
            Err(Misnamed::Nameless) => (
                format!("{} names no socket", quoted(text)),
                "write its path, such as unix:/run/fiel.sock",
            ),
            Err(Misnamed::TooLong(octets)) => (
                format!(
                    "the path of this socket has {octets} octets, and the system takes {MAX_UNIX_PATH}"
                ),
                "put it into a folder with a shorter path, such as /run",
            ),
        };
        self.problem(place, message, remedy);
        None
    }

    /// A network, or `unix` for sockets of this host.
    fn peer(&mut self, at: At<'_>, into: &mut Peers) {
        if let Value::Scalar(Scalar { text, .. }) = &at.piece.value
            && text == "unix"
        {
            into.unix = true;
            return;
        }
        into.networks.extend(self.network(at));
    }

    fn peers(&mut self, at: At<'_>) -> Peers {
        let mut peers = Peers::default();
        for item in self.list(at).into_iter().flatten() {
            self.peer(item, &mut peers);
        }
        peers
    }
}

/// What has a socket in the file system.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Listener,
    Admin,
}

/// Reads `unix`: the rights on a socket.
pub(crate) fn rights(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    bind: Option<&Bind>,
    holder: Holder,
) -> Option<SocketRights> {
    let (keys, usual, who) = match holder {
        Holder::Listener => (&SOCKET_RIGHTS, SocketRights::default(), "this listener"),
        Holder::Admin => (&ADMIN_RIGHTS, SocketRights::private(), "admin"),
    };
    let is_file = matches!(bind, Some(Bind::Unix(_)));
    let Some(at) = fields.get("unix") else {
        return is_file.then_some(usual);
    };
    if bind.is_some() && !is_file {
        let message = format!("\"unix\" has no effect: {who} has no socket in the file system");
        let place = fields.key("unix").unwrap_or(at.piece.place);
        findings.problem(
            place,
            message,
            "remove it, or bind a path, such as unix:/run/fiel.sock",
        );
    }
    let fields = findings.fields(at, keys)?;
    let mut rights = usual;
    if let Some(at) = fields.get("mode") {
        rights.mode = mode(findings, at).unwrap_or(rights.mode);
    }
    let mut account = |key| {
        let at = fields.get(key)?;
        let text = findings.text(at)?;
        if text.is_empty() || text.contains([':', '\0', '\n']) {
            let message = format!("{} is no name of an account", quoted(text));
            findings.problem(
                at.piece.place,
                message,
                "write a name such as www-data, or a number",
            );
            return None;
        }
        Some(Arc::from(text))
    };
    rights.owner = account("owner");
    rights.group = account("group");
    Some(rights)
}

fn mode(findings: &mut Findings<'_>, at: At<'_>) -> Option<u32> {
    let text = findings.text(at)?;
    let is_octal =
        (3..=4).contains(&text.len()) && text.bytes().all(|one| matches!(one, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok();
    let mode = mode.filter(|mode| is_octal && *mode <= 0o777);
    if mode.is_none() {
        let message = format!("{} are no permissions", quoted(text));
        findings.problem(
            at.piece.place,
            message,
            "write three octal digits behind a 0, such as \"0660\"",
        );
    }
    mode
}

/// Reads `proxyProtocol`: whether, or from whom.
pub(crate) fn proxy_protocol(findings: &mut Findings<'_>, at: At<'_>) -> ProxyProtocol {
    if !matches!(at.piece.value, Value::Map(_)) {
        return match findings.boolean(at) {
            true => ProxyProtocol::Everyone,
            false => ProxyProtocol::Off,
        };
    }
    let Some(fields) = findings.fields(at, &PROXY_PROTOCOL) else {
        return ProxyProtocol::Off;
    };
    let from = fields.get("from").map(|at| findings.peers(at));
    let from = from.unwrap_or_default();
    if from.is_empty() {
        let message = "this proxyProtocol names nobody who sends it";
        let remedy = "write from: [10.0.0.0/8], or proxyProtocol: true for everybody";
        findings.problem(at.piece.place, message, remedy);
    }
    ProxyProtocol::From(from)
}

/// Reads what is believed of the fields that say who the client is.
pub(crate) fn claims(findings: &mut Findings<'_>, fields: &Fields<'_>) -> Claims {
    let trusted = fields.get("trustedProxies").map(|at| findings.peers(at));
    let hops = fields.get("trustedHops").and_then(|at| {
        let hops = findings.whole(at, 1..=MOST_HOPS)?;
        NonZeroUsize::new(usize::try_from(hops).ok()?)
    });
    let is_named = trusted.as_ref().is_some_and(|peers| !peers.is_empty());
    if let Some(at) = fields.get("trustedHops")
        && hops.is_some()
        && trusted.is_some()
        && !is_named
    {
        let message = "\"trustedProxies\" is empty, so that nobody is believed, and \"trustedHops\" believes everybody";
        let remedy = "remove trustedProxies, or name in it who connects to this listener";
        findings.problem(at.piece.place, message, remedy);
    }
    Claims {
        trusted: trusted.unwrap_or_default(),
        hops,
        fields: match fields
            .get("forwarded")
            .map(|at| findings.word(at, &FORWARDED))
        {
            Some(Some("rfc7239")) => ForwardedFields::Rfc7239,
            Some(Some("both")) => ForwardedFields::Both,
            _ => ForwardedFields::XForwarded,
        },
    }
}
