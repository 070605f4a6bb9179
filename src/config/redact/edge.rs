//! What a listener has towards its clients, and the admin address beside it.

use serde_json::{Value, json};

use crate::config::model::{ForwardedFields, Listener, Peers, ProxyProtocol, SocketRights};

/// Adds it to what is shown of a listener.
pub(super) fn put(shown: &mut Value, listener: &Listener) {
    shown["proxyProtocol"] = match &listener.proxy_protocol {
        ProxyProtocol::Off => json!(false),
        ProxyProtocol::Everyone => json!(true),
        ProxyProtocol::From(from) => json!({ "from": peers(from) }),
    };
    shown["forwarded"] = json!(match listener.claims.fields {
        ForwardedFields::XForwarded => "xForwarded",
        ForwardedFields::Rfc7239 => "rfc7239",
        ForwardedFields::Both => "both",
    });
    if let Some(hops) = listener.claims.hops {
        shown["trustedHops"] = json!(hops);
    }
    // Nobody named is everybody beside a number of hops, and an empty list would not be.
    if listener.claims.hops.is_none() || !listener.claims.trusted.is_empty() {
        shown["trustedProxies"] = peers(&listener.claims.trusted);
    }
    put_rights(shown, listener.rights.as_ref());
}

/// Adds the rights on a socket to what has one.
pub(super) fn put_rights(shown: &mut Value, rights: Option<&SocketRights>) {
    let Some(rights) = rights else {
        return;
    };
    let mut unix = json!({ "mode": format!("{:04o}", rights.mode) });
    for (key, name) in [("owner", &rights.owner), ("group", &rights.group)] {
        if let Some(name) = name {
            unix[key] = json!(**name);
        }
    }
    shown["unix"] = unix;
}

fn peers(peers: &Peers) -> Value {
    let networks = peers.networks.iter().map(ToString::to_string);
    let unix = peers.unix.then(|| "unix".to_owned());
    json!(networks.chain(unix).collect::<Vec<_>>())
}
