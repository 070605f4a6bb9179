//! Probes, by the rules of Kubernetes: exactly one action, its defaults, its thresholds.
//!
//! Beyond those rules, seconds may carry decimals, a missing port is the endpoint's own, and a relative program that is
//! not looked for in `PATH` lies beside the configuration.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::config::check::field::{FieldUse, names_a_secret};
use crate::config::check::findings::{At, Fields, Findings};
use crate::config::check::value::is_digits;
use crate::config::document::{Piece, Scalar, Value};
use crate::config::keys::{
    EXEC, GRPC, HTTP_GET, HTTP_HEADER, Keys, PROBE, PROBE_SCHEME, TCP_SOCKET,
};
use crate::config::model::{NamedPorts, Probe, ProbeAction, ProbeScheme, Word};
use crate::config::problem::quoted;

/// Between two probes at least this much.
const MIN_PERIOD: Duration = Duration::from_millis(100);

/// What a probe may refer to.
pub(crate) struct Surroundings<'a> {
    /// The names its pool gives to ports.
    pub(crate) ports: &'a NamedPorts,
    /// Where relative programs lie.
    pub(crate) base: &'a Path,
    /// Whether endpoints of its pool are unix sockets.
    pub(crate) has_sockets: bool,
    /// Whether its pool says how TLS is spoken.
    pub(crate) has_tls: bool,
}

/// Reads a probe.
pub(crate) fn probe(
    findings: &mut Findings<'_>,
    at: At<'_>,
    around: &Surroundings<'_>,
) -> Option<Probe> {
    let fields = findings.fields(at, &PROBE)?;
    let action = action(findings, at, &fields, around);
    let mut seconds = |key, default| {
        let given = fields.get(key).and_then(|at| findings.seconds(at));
        given.unwrap_or(default)
    };
    let initial_delay = seconds("initialDelaySeconds", Duration::ZERO);
    let period = seconds("periodSeconds", Duration::from_secs(10));
    let timeout = seconds("timeoutSeconds", Duration::from_secs(1));
    spacing(findings, &fields, period, timeout);
    let success_threshold = threshold(findings, fields.get("successThreshold"), 1);
    let failure_threshold = threshold(findings, fields.get("failureThreshold"), 3);
    if let Some(threshold) = fields.get("successThreshold")
        && at.what != "readinessProbe"
        && success_threshold.get() != 1
    {
        let message = format!("\"successThreshold\" of a {} must be 1", at.what);
        let remedy = "remove it; only a readinessProbe may ask for several successes";
        findings.problem(threshold.piece.place, message, remedy);
    }
    if let Some(at) = fields.get("terminationGracePeriodSeconds") {
        // It says how long a container may take to end, which is not fiel's to decide.
        findings.whole(at, 0..=u64::from(u32::MAX));
    }
    Some(Probe {
        action: action?,
        initial_delay,
        period,
        timeout,
        success_threshold,
        failure_threshold,
    })
}

fn spacing(findings: &mut Findings<'_>, fields: &Fields<'_>, period: Duration, timeout: Duration) {
    if let Some(at) = fields.get("periodSeconds").filter(|_| period < MIN_PERIOD) {
        let message = "\"periodSeconds\" is below 0.1";
        findings.problem(at.piece.place, message, "write 0.1 or more");
    }
    let Some(at) = fields.get("timeoutSeconds") else {
        return;
    };
    if timeout.is_zero() {
        let message = "\"timeoutSeconds\" of 0 fails every probe";
        findings.problem(
            at.piece.place,
            message,
            "write how long a probe may take, such as 1",
        );
    } else if timeout > period {
        let message = format!(
            "\"timeoutSeconds\" is longer than the period ({} s), so that probes of one endpoint overlap in time",
            period.as_secs_f64()
        );
        findings.warning(
            at.piece.place,
            message,
            "shorten it, or lengthen periodSeconds",
        );
    }
}

fn threshold(findings: &mut Findings<'_>, at: Option<At<'_>>, default: u32) -> NonZeroU32 {
    at.and_then(|at| findings.whole(at, 1..=1_000_000))
        .and_then(|number| u32::try_from(number).ok())
        .and_then(NonZeroU32::new)
        .or_else(|| NonZeroU32::new(default))
        .unwrap_or(NonZeroU32::MIN)
}

fn action(
    findings: &mut Findings<'_>,
    at: At<'_>,
    fields: &Fields<'_>,
    around: &Surroundings<'_>,
) -> Option<ProbeAction> {
    let given = |key| fields.get(key).map(|at| (key, at));
    let actions: Vec<_> = ["httpGet", "tcpSocket", "grpc", "exec"]
        .into_iter()
        .filter_map(given)
        .collect();
    match actions.as_slice() {
        [("httpGet", at)] => http_get(findings, *at, around),
        [("tcpSocket", at)] => tcp_socket(findings, *at, around),
        [("grpc", at)] => grpc(findings, *at, around),
        [(_, at)] => exec(findings, *at, around.base),
        [(first, _), (second, _), ..] => {
            let place = fields.key(second).unwrap_or(fields.place());
            let message = format!("the {} has two actions, {first} and {second}", at.what);
            findings.problem(place, message, "keep one of them");
            None
        }
        [] => {
            let message = format!("the {} has no action", at.what);
            let remedy = "add httpGet: { path: /ready } or tcpSocket: {}";
            findings.problem(fields.place(), message, remedy);
            None
        }
    }
}

/// Whether the program is there is not asked: it may come later, and its probes fail until then.
fn exec(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Option<ProbeAction> {
    const REMEDY: &str = "write the program and its arguments, as in command: [cat, /tmp/healthy]";
    let fields = findings.fields(at, &EXEC)?;
    let Some(at) = fields.get("command") else {
        findings.problem(fields.place(), "\"exec\" has no command", REMEDY);
        return None;
    };
    let mut command: Vec<Word> = Vec::new();
    for at in findings.list(at)? {
        let scalar = findings.scalar(at, "a list of texts", REMEDY)?;
        let text = scalar.text.as_str();
        if text.contains('\0') {
            let message = "a word of \"command\" holds a NUL, which no program can be given";
            findings.problem(at.piece.place, message, "remove it");
            return None;
        }
        if command.is_empty() && text.is_empty() {
            findings.problem(at.piece.place, "\"command\" names no program", REMEDY);
            return None;
        }
        let is_secret = scalar.is_substituted || is_secret(command.last(), text);
        let text = match command.is_empty() && text.contains('/') {
            true => Arc::from(base.join(text).to_string_lossy()),
            false => Arc::from(text),
        };
        command.push(Word { text, is_secret });
    }
    if command.is_empty() {
        findings.problem(at.piece.place, "\"command\" names no program", REMEDY);
        return None;
    }
    Some(ProbeAction::Exec { command })
}

/// As in `--password=x`, `Authorization: x`, and `--password x`.
fn is_secret(before: Option<&Word>, text: &str) -> bool {
    let names = |name: &str| !name.contains('/') && names_a_secret(name);
    let valued = text.split_once(['=', ':']);
    let option = before.filter(|word| word.text.starts_with('-') && !word.text.contains('='));
    valued.is_some_and(|(name, _)| names(name)) || option.is_some_and(|word| names(&word.text))
}

fn http_get(
    findings: &mut Findings<'_>,
    at: At<'_>,
    around: &Surroundings<'_>,
) -> Option<ProbeAction> {
    let fields = findings.fields(at, &HTTP_GET)?;
    let (host, port) = target(findings, &fields, around);
    let scheme = scheme(findings, &fields, around);
    let path = match fields.get("path") {
        Some(at) => probe_path(findings, at),
        None => Some(Arc::from("/")),
    };
    let mut headers = Vec::new();
    if let Some(items) = fields.get("httpHeaders").and_then(|at| findings.list(at)) {
        headers.extend(items.filter_map(|at| header(findings, at.piece)));
    }
    Some(ProbeAction::HttpGet {
        host,
        port,
        path: path?,
        headers,
        scheme,
    })
}

fn scheme(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    around: &Surroundings<'_>,
) -> ProbeScheme {
    let word = fields
        .get("scheme")
        .and_then(|at| findings.word(at, &PROBE_SCHEME));
    let is_https = word == Some("HTTPS");
    let verify = fields.get("verify");
    let Some(at) = verify.filter(|at| findings.boolean(*at)) else {
        return match is_https {
            true => ProbeScheme::Https,
            false => ProbeScheme::Http,
        };
    };
    let place = at.piece.place;
    if !is_https {
        let message = "\"verify\" means nothing without TLS";
        findings.problem(place, message, "add scheme: HTTPS, or remove it");
    } else if !around.has_tls {
        let message = "\"verify\" goes by the tls of the pool, which has none";
        let remedy =
            "add tls: {} to the pool, or remove it to believe whoever answers, as Kubernetes does";
        findings.problem(place, message, remedy);
    }
    ProbeScheme::VerifiedHttps
}

fn tcp_socket(
    findings: &mut Findings<'_>,
    at: At<'_>,
    around: &Surroundings<'_>,
) -> Option<ProbeAction> {
    let fields = own_port(findings, at, &TCP_SOCKET)?;
    let (host, port) = target(findings, &fields, around);
    Some(ProbeAction::TcpSocket { host, port })
}

fn grpc(findings: &mut Findings<'_>, at: At<'_>, around: &Surroundings<'_>) -> Option<ProbeAction> {
    let fields = own_port(findings, at, &GRPC)?;
    let (_, port) = target(findings, &fields, around);
    let service = match fields.get("service") {
        Some(at) => findings.text(at)?,
        None => "",
    };
    Some(ProbeAction::Grpc {
        port,
        service: Arc::from(service),
    })
}

/// The fields of an action that may have none, and says so.
fn own_port<'a>(
    findings: &mut Findings<'_>,
    at: At<'a>,
    keys: &'static Keys,
) -> Option<Fields<'a>> {
    if matches!(at.piece.value, Value::Null) {
        let message = format!("\"{}\" has no value", keys.kind);
        let remedy = format!("write {}: {{}} for the endpoint's own port", keys.kind);
        findings.problem(at.piece.place, message, remedy);
        return None;
    }
    findings.fields(at, keys)
}

fn target(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    around: &Surroundings<'_>,
) -> (Option<IpAddr>, Option<u16>) {
    let host = fields.get("host").and_then(|at| host(findings, at));
    let port = fields
        .get("port")
        .and_then(|at| port(findings, at, around.ports));
    let alone = match (fields.key("host"), fields.key("port")) {
        (Some(place), None) | (None, Some(place)) => Some(place),
        (Some(_), Some(_)) | (None, None) => None,
    };
    if let Some(place) = alone.filter(|_| around.has_sockets) {
        let message = "an endpoint of this pool is a unix socket, which has neither host nor port";
        let remedy = "remove it to probe the socket itself, or give both host and port";
        findings.problem(place, message, remedy);
    }
    (host, port)
}

/// An IP address, in brackets or not: only endpoints have names.
fn host(findings: &mut Findings<'_>, at: At<'_>) -> Option<IpAddr> {
    let text = findings.host(at)?;
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = bare.unwrap_or(&text).parse().ok();
    if address.is_none() {
        let words = format!("the host name {} in a probe", quoted(&text));
        let remedy = "write an IP address, or remove it for the endpoint's own; what `Host` says goes under httpHeaders";
        findings.later(at.piece.place, &words, remedy);
    }
    address
}

/// A number, or a name in the pool's `ports`.
fn port(findings: &mut Findings<'_>, at: At<'_>, ports: &NamedPorts) -> Option<u16> {
    let Value::Scalar(Scalar {
        text, is_quoted, ..
    }) = &at.piece.value
    else {
        findings.wrong_kind(
            at,
            "a port",
            "write a number, or a name in the ports of the pool",
        );
        return None;
    };
    let number = text.strip_prefix('-').unwrap_or(text);
    if is_digits(number) && !is_quoted {
        return findings.port(at);
    }
    if let Some(&port) = ports.get(text.as_str()) {
        return Some(port);
    }
    let remedy = if is_digits(number) {
        "remove the quotes".to_owned()
    } else if ports.is_empty() {
        format!("write a number, or add ports: {{ {text}: 8080 }} to the pool")
    } else {
        findings.nearest(text, ports.keys().map(|name| &**name))
    };
    let message = format!("the pool has no port called {}", quoted(text));
    findings.problem(at.piece.place, message, remedy);
    None
}

/// A path with its query, as it goes onto the wire.
fn probe_path(findings: &mut Findings<'_>, at: At<'_>) -> Option<Arc<str>> {
    let text = findings.text(at)?;
    let (fault, remedy) = if !text.starts_with('/') {
        (
            "does not begin with \"/\"",
            format!("write {}", quoted(&format!("/{text}"))),
        )
    } else if text.contains('#') {
        ("holds a fragment", "remove it from \"#\" on".to_owned())
    } else if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
        (
            "holds a character that no request can hold",
            "percent-encode it, as in %20 for a space".to_owned(),
        )
    } else {
        return Some(Arc::from(text));
    };
    let message = format!("the path {} {fault}", quoted(text));
    findings.problem(at.piece.place, message, remedy);
    None
}

fn header(findings: &mut Findings<'_>, piece: &Piece) -> Option<(HeaderName, HeaderValue)> {
    let what = "an entry of httpHeaders";
    let fields = findings.fields(At { what, piece }, &HTTP_HEADER)?;
    let (Some(name), Some(value)) = (fields.get("name"), fields.get("value")) else {
        let remedy = "write { name: Host, value: example.com }";
        let message = "an entry of httpHeaders needs both name and value";
        findings.problem(fields.place(), message, remedy);
        return None;
    };
    let text = findings.text(name)?;
    let name = findings.field_name(name.piece.place, text, FieldUse::Probe)?;
    let value = findings.field_value(value, text)?;
    Some((name, value))
}
