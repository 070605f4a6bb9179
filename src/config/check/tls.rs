//! `tls` of a listener: which files, and whether what they hold can be used.
//!
//! Certificates and keys are read here, so that a broken pair is told with its place, and nothing is left that could fail
//! when it is put in force. The day's date is asked for one thing only: whether a certificate is about to expire.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::check::file::file;
use crate::config::check::findings::{At, Fields, Findings};
use crate::config::document::Value;
use crate::config::keys::{CERTIFICATE, CLIENT_AUTH, CLIENT_AUTH_MODE, LISTENER_TLS, TLS_VERSION};
use crate::config::source::Place;
use crate::tls::{Authority, Certificate, ClientAuth, Fault, MinVersion, Mode, Part, Spec, moment};
use crate::units::print_duration;

/// A certificate that has less time left than this is told of, or a third of its whole time where that is less.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Reads `tls`. Relative files lie beside the configuration.
pub(crate) fn tls(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Option<Arc<Spec>> {
    const REMEDY: &str = "add certificates: [ { certFile: site.crt, keyFile: site.key } ]";
    let fields = findings.fields(at, &LISTENER_TLS)?;
    let mut certificates = Vec::new();
    match fields.get("certificates") {
        None => findings.problem(fields.place(), "there is no certificate", REMEDY),
        Some(at) => {
            let mut is_empty = true;
            for item in findings.list(at).into_iter().flatten() {
                is_empty = false;
                certificates.extend(certificate(findings, item, base).map(Arc::new));
            }
            if is_empty && matches!(at.piece.value, Value::List(_)) {
                findings.problem(at.piece.place, "there is no certificate", REMEDY);
            }
        }
    }
    let min_version = min_version(findings, &fields);
    let client_auth = fields
        .get("clientAuth")
        .and_then(|at| client_auth(findings, at, base))
        .map(Arc::new);
    if certificates.is_empty() {
        return None;
    }
    Some(Arc::new(Spec {
        certificates,
        min_version,
        client_auth,
    }))
}

/// `minVersion`
pub(crate) fn min_version(findings: &mut Findings<'_>, fields: &Fields<'_>) -> MinVersion {
    let word = fields
        .get("minVersion")
        .and_then(|at| findings.word(at, &TLS_VERSION));
    match word {
        Some("1.3") => MinVersion::V1_3,
        _ => MinVersion::V1_2,
    }
}

fn certificate(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Option<Certificate> {
    let what = "a certificate";
    let at = At { what, ..at };
    let fields = findings.fields(at, &CERTIFICATE)?;
    certificate_from(findings, &fields, base)
}

/// A certificate of the files that these keys name.
pub(crate) fn certificate_from(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    base: &Path,
) -> Option<Certificate> {
    let cert = needed(findings, fields, "certFile", "this certificate", base);
    let key = needed(findings, fields, "keyFile", "this certificate", base);
    let ocsp = fields
        .get("ocspFile")
        .map(|at| file(findings, at, base).ok_or(()));
    let ocsp = ocsp.transpose().ok()?;
    let certificate = Certificate::load(&cert?, &key?, ocsp.as_deref())
        .map_err(|fault| told(findings, fields, &fault))
        .ok()?;
    let place = fields.get("certFile")?.piece.place;
    let what = format!("the certificate of {}", certificate.name);
    let (begin, end) = (certificate.not_before, certificate.not_after);
    time_left(findings, &what, (begin, end), place);
    Some(certificate)
}

fn client_auth(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Option<ClientAuth> {
    let fields = findings.fields(at, &CLIENT_AUTH)?;
    let ca = needed(findings, &fields, "caFile", "clientAuth", base);
    let crl = fields
        .get("crlFile")
        .map(|at| file(findings, at, base).ok_or(()));
    let mode = match fields.get("mode") {
        None => {
            let message = "clientAuth has no \"mode\"";
            let remedy =
                "add mode: require, or mode: optional for clients without a certificate too";
            findings.problem(fields.place(), message, remedy);
            None
        }
        Some(at) => findings.word(at, &CLIENT_AUTH_MODE).map(|word| match word {
            "optional" => Mode::Optional,
            _ => Mode::Require,
        }),
    };
    let crl = crl.transpose().ok()?;
    // The files are looked at whatever the mode turns out to be.
    let auth = ClientAuth::load(&ca?, crl.as_deref(), mode.unwrap_or(Mode::Require))
        .map_err(|fault| told(findings, &fields, &fault))
        .ok()?;
    authorities_left(findings, auth.known(), &auth.ca_file, &fields);
    Some(auth)
}

/// Warns of authorities that have run out, or will soon; once for all where nobody is left.
pub(crate) fn authorities_left(
    findings: &mut Findings<'_>,
    known: &[Authority],
    ca: &Path,
    fields: &Fields<'_>,
) {
    let Some(at) = fields.get("caFile") else {
        return;
    };
    let (place, file) = (at.piece.place, ca.display());
    for one in known {
        let what = format!("the authority {} in \"{file}\"", one.name);
        time_left(findings, &what, (one.not_before, one.not_after), place);
    }
    let now = now();
    if !known.iter().any(|one| one.is_good(now)) {
        let message = format!("no authority in \"{file}\" is good: nobody is believed by them");
        let remedy = "add the certificate of one that is; it is taken up as soon as it is there";
        findings.warning(place, message, remedy);
    }
}

fn needed(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    key: &'static str,
    of: &str,
    base: &Path,
) -> Option<PathBuf> {
    match fields.get(key) {
        Some(at) => file(findings, at, base),
        None => {
            let message = format!("{of} has no \"{key}\"");
            let remedy = format!("add {key}: and the path of a file in PEM");
            findings.problem(fields.place(), message, remedy);
            None
        }
    }
}

/// Reports a file that cannot be used, at the key that names it.
pub(crate) fn told(findings: &mut Findings<'_>, fields: &Fields<'_>, fault: &Fault) {
    let key = match fault.part {
        Part::Certificate => "certFile",
        Part::Key => "keyFile",
        Part::Ocsp => "ocspFile",
        Part::Authorities => "caFile",
        Part::Revocations => "crlFile",
    };
    let place = fields.get(key).map_or(fields.place(), |at| at.piece.place);
    findings.problem(place, fault.to_string(), fault.remedy());
}

fn time_left(
    findings: &mut Findings<'_>,
    what: &str,
    (not_before, not_after): (i64, i64),
    place: Place,
) {
    let now = now();
    let whole = not_after.saturating_sub(not_before);
    let soon = i64::try_from(SOON.as_secs())
        .unwrap_or(i64::MAX)
        .min(whole / 3);
    let left = not_after.saturating_sub(now);
    let remedy = "renew it; the new one is taken up as soon as it lies in its place";
    if left < 0 {
        let message = format!("{what} has expired on {}", moment(not_after));
        findings.warning(place, message, remedy);
    } else if left < soon {
        // Whole hours are as much as anybody wants to know.
        let hours = u64::try_from(left / 3_600).unwrap_or(0);
        let left = print_duration(Duration::from_secs(hours * 3_600));
        findings.warning(place, format!("{what} expires in {left}"), remedy);
    } else if not_before > now {
        let message = format!("{what} is not good before {}", moment(not_before));
        findings.warning(
            place,
            message,
            "look at the clock of this host, or give one that is",
        );
    }
}

/// In seconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}
