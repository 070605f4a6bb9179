//! The small parts: shutdown, the admin addresses, the access log, metrics, workers.
//!
//! Files that are named here are relative to the configuration. The token file must be there and hold something; its
//! content is read where it is used.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::config::check::edge;
use crate::config::check::file::file;
use crate::config::check::findings::{At, Findings};
use crate::config::check::listener::Bound;
use crate::config::check::value::is_digits;
use crate::config::document::{Scalar, Value};
use crate::config::keys::{ACCESS_LOG, ADMIN, LOG_FILE, LOG_FORMAT, LOG_OUTPUT, METRICS, SHUTDOWN};
use crate::config::model::{
    AccessLog, Admin, Bind, LogFile, LogFormat, LogOutput, MAX_ENDPOINT_SERIES, Shutdown,
};
use crate::config::problem::quoted;
use crate::config::source::{Place, secret_fault};

/// A file of the access log may be bounded to no less than this.
const MIN_LOG_BYTES: u64 = 1 << 10;

/// So many files may be kept at most: each is renamed whenever one is full.
const MAX_LOG_FILES: u64 = 1_000;

/// Reads `workers`: `auto` or how many.
pub(crate) fn workers(findings: &mut Findings<'_>, at: At<'_>) -> Option<NonZeroUsize> {
    match &at.piece.value {
        Value::Scalar(Scalar { text, .. }) if text == "auto" => None,
        Value::Scalar(Scalar { text, .. }) if is_digits(text) => findings
            .whole(at, 1..=1_024)
            .and_then(|number| NonZeroUsize::new(usize::try_from(number).ok()?)),
        _ => {
            findings.wrong_kind(
                at,
                "auto or a number",
                "write auto, or how many threads, 1 to 1024",
            );
            None
        }
    }
}

/// Reads `shutdown`.
pub(crate) fn shutdown(findings: &mut Findings<'_>, at: At<'_>) -> Shutdown {
    let mut shutdown = Shutdown::default();
    let Some(fields) = findings.fields(at, &SHUTDOWN) else {
        return shutdown;
    };
    if let Some(at) = fields.get("delay") {
        shutdown.delay = findings.duration(at);
    }
    if let Some(at) = fields.get("drain") {
        shutdown.drain = findings.duration(at);
    }
    shutdown
}

/// Reads `admin`, and notes what it binds. Relative files lie beside the configuration.
pub(crate) fn admin(
    findings: &mut Findings<'_>,
    at: Option<At<'_>>,
    base: &Path,
    binds: &mut Vec<Bound>,
) -> Admin {
    let mut admin = Admin::default();
    let fields = at.and_then(|at| findings.fields(at, &ADMIN));
    let get = |key| fields.as_ref().and_then(|fields| fields.get(key));
    let mut bind_place = None;
    if let Some(at) = get("bind") {
        bind_place = Some(at.piece.place);
        admin.bind = findings.listen_at(at, base).unwrap_or(admin.bind);
    }
    if let Some(at) = get("readBind") {
        admin.read_bind = findings.bind(at);
        binds.extend(admin.read_bind.map(|address| Bound {
            address: Bind::Tcp(address),
            place: at.piece.place,
            who: "admin.readBind".to_owned(),
        }));
    }
    // Said last where the file does not say it, so that a listener is told nothing it did not do.
    let (place, who) = match bind_place {
        Some(place) => (place, "admin.bind".to_owned()),
        None => (
            Place::default(),
            "admin, unless admin.bind says otherwise,".to_owned(),
        ),
    };
    let at_front = if bind_place.is_some() { binds.len() } else { 0 };
    binds.insert(
        at_front,
        Bound {
            address: admin.bind.clone(),
            place,
            who,
        },
    );
    if let Some(fields) = &fields {
        admin.rights = edge::rights(findings, fields, Some(&admin.bind), edge::Holder::Admin);
    }
    let is_open = admin.bind.tcp().is_some_and(|at| !at.ip().is_loopback());
    if let Some(at) = get("tokenFile") {
        admin.token_file = token_file(findings, at, base);
    } else if let Some(place) = bind_place.filter(|_| is_open) {
        let message = format!(
            "admin.bind {} is not a loopback address, and there is no token",
            admin.bind
        );
        let remedy = "add tokenFile, or bind 127.0.0.1 and open readBind for what may be read";
        findings.problem(place, message, remedy);
    }
    if let Some(items) = get("hosts").and_then(|at| findings.list(at)) {
        admin.hosts.extend(items.filter_map(|at| findings.host(at)));
    }
    admin
}

fn token_file(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Option<PathBuf> {
    let path = file(findings, at, base)?;
    if let Some(fault) = secret_fault(&path) {
        let message = format!("the token file {} {fault}", quoted(&path.to_string_lossy()));
        let remedy = "put the token into it, as in: openssl rand -hex 32 > admin.token";
        findings.problem(at.piece.place, message, remedy);
    }
    Some(path)
}

/// Reads `accessLog`.
pub(crate) fn access_log(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> AccessLog {
    let mut log = AccessLog::default();
    let Some(fields) = findings.fields(at, &ACCESS_LOG) else {
        return log;
    };
    if let Some(at) = fields.get("format") {
        log.format = match findings.word(at, &LOG_FORMAT) {
            Some("ecs") => LogFormat::Ecs,
            Some("common") => LogFormat::Common,
            Some("combined") => LogFormat::Combined,
            _ => LogFormat::Json,
        };
    }
    if let Some(at) = fields.get("output") {
        log.output = output(findings, at, base).unwrap_or(LogOutput::Off);
    }
    if let Some(at) = fields.get("query") {
        log.query = findings.boolean(at);
    }
    log
}

fn output(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Option<LogOutput> {
    if matches!(at.piece.value, Value::Map(_)) {
        return log_file(findings, at, base).map(LogOutput::File);
    }
    if matches!(at.piece.value, Value::List(_) | Value::Null) {
        findings.wrong_kind(
            at,
            "stdout, stderr, off or { file: … }",
            "write stdout, stderr, off or { file: access.log }",
        );
        return None;
    }
    Some(match findings.word(at, &LOG_OUTPUT)? {
        "stdout" => LogOutput::Stdout,
        "stderr" => LogOutput::Stderr,
        _ => LogOutput::Off,
    })
}

fn log_file(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Option<LogFile> {
    let fields = findings.fields(at, &LOG_FILE)?;
    let max_bytes = fields.get("maxBytes").and_then(|at| {
        let size = findings.size_limit(at)?;
        if size < MIN_LOG_BYTES {
            let message = "\"maxBytes\" is below 1KiB, so that nearly every line would have a file";
            findings.problem(
                at.piece.place,
                message,
                "write 1KiB or more, or 0 for no limit",
            );
        }
        Some(size)
    });
    let mut keep = LogFile::KEEP;
    if let Some(at) = fields.get("keep") {
        let given = findings.whole(at, 0..=MAX_LOG_FILES);
        keep = given
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(keep);
        if fields.key("maxBytes").is_none() {
            let message = "\"keep\" has no effect without maxBytes";
            let remedy = "remove it, or add maxBytes: and how large a file may grow";
            findings.problem(
                fields.key("keep").unwrap_or(at.piece.place),
                message,
                remedy,
            );
        }
    }
    let Some(at) = fields.get("file") else {
        let message = "the output of accessLog names no file";
        findings.problem(fields.place(), message, "add file: and where to write");
        return None;
    };
    let path = file(findings, at, base)?;
    Some(LogFile {
        path,
        max_bytes,
        keep,
    })
}

/// Reads `metrics`: above how many endpoints their series are off; 0 is never.
pub(crate) fn max_endpoint_series(findings: &mut Findings<'_>, at: At<'_>) -> usize {
    let Some(fields) = findings.fields(at, &METRICS) else {
        return MAX_ENDPOINT_SERIES;
    };
    match fields.get("maxEndpoints") {
        Some(at) => findings.limit(at).unwrap_or(usize::MAX),
        None => MAX_ENDPOINT_SERIES,
    }
}
