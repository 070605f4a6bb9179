//! Header fields: names, values, and which of them are not the user's to touch.
//!
//! Values are never repeated in messages, and those that may be secrets are marked as sensitive, which `redact` and
//! every debug print respect.

use std::collections::HashMap;

use http::{HeaderName, HeaderValue};

use crate::config::check::findings::{At, Findings};
use crate::config::document::Entry;
use crate::config::problem::quoted;
use crate::config::source::Place;

/// Field names that are no user's to set: framing and what holds for one connection only (RFC 9110 §7.6.1).
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a field is written for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldUse {
    /// To compare with.
    Match,
    /// To change a request.
    RequestEdit,
    /// To change a response.
    ResponseEdit,
    /// To send with a probe.
    Probe,
}

impl Findings<'_> {
    /// The name of a field, given as text at a place.
    pub(crate) fn field_name(
        &mut self,
        place: Place,
        text: &str,
        use_of: FieldUse,
    ) -> Option<HeaderName> {
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            let message = format!("{} is no name of a header", quoted(text));
            self.problem(place, message, "use letters, digits and \"-\"");
            return None;
        };
        let remedy = match use_of {
            FieldUse::Match => return Some(name),
            FieldUse::RequestEdit if name == http::header::HOST => "use rewrite.host",
            FieldUse::ResponseEdit if name == http::header::HOST => {
                "remove it; responses have no Host"
            }
            _ if FRAMING.contains(&name.as_str()) => {
                "remove it; fiel frames messages and connections by itself"
            }
            _ => return Some(name),
        };
        let message = format!("{} is not to be set or removed here", quoted(text));
        self.problem(place, message, remedy);
        None
    }

    /// The value of a field. It is never repeated in a message, and marked when it may be a secret.
    pub(crate) fn field_value(&mut self, at: At<'_>, name: &str) -> Option<HeaderValue> {
        let scalar = self.scalar(at, "a text", "write a single value")?;
        let text = scalar.text.as_str();
        let fault = if text.trim_matches([' ', '\t']) != text {
            Some((
                "begins or ends with a space",
                "remove the spaces at its ends",
            ))
        } else if text.chars().any(|c| c.is_control() && c != '\t') {
            Some((
                "holds a line break or another control character",
                "remove it",
            ))
        } else {
            None
        };
        if let Some((fault, remedy)) = fault {
            let message = format!("the value of the header {} {fault}", quoted(name));
            self.problem(at.piece.place, message, remedy);
            return None;
        }
        let mut value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
        value.set_sensitive(scalar.is_substituted || names_a_secret(name));
        Some(value)
    }
}

/// Whether values under this name are likely to be secrets.
pub(crate) fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "auth",
        "cookie",
        "key",
        "password",
        "secret",
        "session",
        "token",
        "credential",
        "signature",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// Names of fields and their values; names differ by more than case.
pub(crate) fn field_map(
    findings: &mut Findings<'_>,
    at: At<'_>,
    use_of: FieldUse,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = Vec::new();
    let mut places: HashMap<HeaderName, Place> = HashMap::new();
    for Entry { key, place, value } in findings.entries(at).unwrap_or_default() {
        let what = key.as_str();
        let name = findings.field_name(*place, what, use_of);
        let value = findings.field_value(At { what, piece: value }, what);
        let Some(name) = name else {
            continue;
        };
        if let Some(&first) = places.get(&name) {
            let line = findings.line(first);
            let message = format!(
                "the header {} stands here twice, first in line {line}",
                quoted(what)
            );
            findings.problem(
                *place,
                message,
                "keep one of them; case does not count in names of headers",
            );
            continue;
        }
        places.insert(name.clone(), *place);
        fields.extend(value.map(|value| (name, value)));
    }
    fields
}
