//! `tls` and `clientCert` as they are shown. Where keys lie is no secret; what they are stays there.

use serde_json::{Value, json};

use crate::config::model::ClientCert;
use crate::tls::{Spec, Trust, Upstream};

pub(super) fn tls(spec: &Spec) -> Value {
    let certificates = spec.certificates.iter().map(|one| {
        let mut shown = json!({ "certFile": one.cert_file, "keyFile": one.key_file });
        if let Some(file) = &one.ocsp_file {
            shown["ocspFile"] = json!(file);
        }
        shown
    });
    let mut shown = json!({
        "certificates": certificates.collect::<Vec<_>>(),
        "minVersion": spec.min_version.word(),
    });
    if let Some(auth) = &spec.client_auth {
        let mode = auth.mode.word();
        shown["clientAuth"] = json!({ "caFile": auth.ca_file, "mode": mode });
        if let Some(file) = &auth.crl_file {
            shown["clientAuth"]["crlFile"] = json!(file);
        }
    }
    shown
}

pub(super) fn upstream(upstream: &Upstream) -> Value {
    let terms = upstream.terms();
    let mut shown = json!({
        "minVersion": terms.min_version.word(),
        "insecureSkipVerify": terms.trust == Trust::Anybody,
    });
    if let Some(name) = &terms.server_name {
        shown["serverName"] = json!(name.to_str());
    }
    if let Trust::Authorities(authorities) = &terms.trust {
        shown["caFile"] = json!(authorities.ca_file);
    }
    if let Some(certificate) = &terms.certificate {
        shown["certFile"] = json!(certificate.cert_file);
        shown["keyFile"] = json!(certificate.key_file);
    }
    shown
}

pub(super) fn client_cert(wanted: &ClientCert) -> Value {
    let sans = wanted.sans.iter().map(ToString::to_string);
    let subjects = wanted.subjects.iter().map(ToString::to_string);
    json!({
        "subjects": subjects.collect::<Vec<_>>(),
        "sans": sans.collect::<Vec<_>>(),
    })
}
