//! `tls` of a pool: whom its endpoints must prove to be, and what is shown to them.
//!
//! Files are read here, as those of listeners are (`tls.rs`): a broken one is told with its place, and nothing is left
//! that could fail when it is put in force.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;

use crate::config::check::file::file;
use crate::config::check::findings::{At, Fields, Findings};
use crate::config::check::tls::{authorities_left, certificate_from, min_version, told};
use crate::config::keys::POOL_TLS;
use crate::config::model::{Address, EndpointSpec, UpstreamProtocol};
use crate::config::problem::quoted;
use crate::tls::{Authorities, Certificate, Terms, Trust, Upstream, server_name};

/// What is offered to endpoints (ALPN), the preferred one first.
fn offered(protocol: UpstreamProtocol) -> &'static [&'static [u8]] {
    match protocol {
        UpstreamProtocol::Http1 => &[b"http/1.1"],
        UpstreamProtocol::Http2 => &[b"h2"],
        UpstreamProtocol::Auto => &[b"h2", b"http/1.1"],
    }
}

/// Reads `tls`. Relative files lie beside the configuration.
pub(crate) fn upstream_tls(
    findings: &mut Findings<'_>,
    at: At<'_>,
    base: &Path,
    endpoints: &[EndpointSpec],
    protocol: UpstreamProtocol,
) -> Option<Arc<Upstream>> {
    let fields = findings.fields(at, &POOL_TLS)?;
    let name = fields.get("serverName").map(|at| name(findings, at));
    let trust = trust(findings, &fields, base);
    let certificate = own_certificate(findings, &fields, base);
    let min_version = min_version(findings, &fields);
    let trust = trust?;
    if fields.get("serverName").is_none() && trust != Trust::Anybody {
        names_of_their_own(findings, at, endpoints);
    }
    let made = Upstream::try_new(Terms {
        server_name: name.flatten(),
        trust,
        certificate: certificate?.map(Arc::new),
        min_version,
        protocols: offered(protocol),
    });
    made.map(Arc::new)
        .map_err(|problem| {
            let remedy = "install it (ca-certificates), or name the authorities by caFile";
            findings.problem(at.piece.place, problem, remedy);
        })
        .ok()
}

fn name(findings: &mut Findings<'_>, at: At<'_>) -> Option<ServerName<'static>> {
    let text = findings.text(at)?;
    let name = server_name(text);
    if name.is_none() {
        let message = format!("{} is no name that a certificate can be for", quoted(text));
        let remedy = "write a host name without its port, such as shop.internal";
        findings.problem(at.piece.place, message, remedy);
    }
    name
}

fn trust(findings: &mut Findings<'_>, fields: &Fields<'_>, base: &Path) -> Option<Trust> {
    let skips = fields
        .get("insecureSkipVerify")
        .is_some_and(|at| findings.boolean(at));
    let Some(at) = fields.get("caFile") else {
        return Some(match skips {
            true => Trust::Anybody,
            false => Trust::System,
        });
    };
    if skips {
        let message =
            "\"caFile\" says whom to believe, and \"insecureSkipVerify\" to believe anybody";
        findings.problem(at.piece.place, message, "keep one of them");
    }
    let ca = file(findings, at, base)?;
    let authorities = Authorities::load(&ca)
        .map_err(|fault| told(findings, fields, &fault))
        .ok()?;
    authorities_left(findings, authorities.known(), &ca, fields);
    Some(Trust::Authorities(Arc::new(authorities)))
}

/// Both files, or neither.
fn own_certificate(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    base: &Path,
) -> Option<Option<Certificate>> {
    let missing = match (fields.get("certFile"), fields.get("keyFile")) {
        (None, None) => return Some(None),
        (Some(_), Some(_)) => return certificate_from(findings, fields, base).map(Some),
        (Some(at), None) => ("keyFile", "certFile", at),
        (None, Some(at)) => ("certFile", "keyFile", at),
    };
    let (missing, given, at) = missing;
    let message = format!("\"{given}\" stands without \"{missing}\"");
    let remedy = format!("add {missing}: and the path of a file in PEM");
    findings.problem(at.piece.place, message, remedy);
    None
}

/// Whether every endpoint has a name or an address that its certificate can be for.
fn names_of_their_own(findings: &mut Findings<'_>, at: At<'_>, endpoints: &[EndpointSpec]) {
    let is_nameless = |spec: &&EndpointSpec| match &spec.address {
        Address::At(location) => location.ip().is_none(),
        Address::Name { host, .. } => server_name(host).is_none(),
    };
    if let Some(spec) = endpoints.iter().find(is_nameless) {
        let message = format!(
            "no certificate can be for the endpoint {}, so that none could be verified",
            spec.address
        );
        let remedy = "add serverName: and the name that its certificate is for";
        findings.problem(at.piece.place, message, remedy);
    }
}
