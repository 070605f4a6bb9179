//! What a route asks of a request.
//!
//! Paths are canonical or refused, because only canonical paths are matched; expressions are compiled here, once, and
//! anchored at both ends.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::config::check::field::{FieldUse, field_map};
use crate::config::check::findings::{At, Findings};
use crate::config::check::listener::Listeners;
use crate::config::document::{Entry, Value};
use crate::config::keys::{CLIENT_CERT, MATCH, PATH};
use crate::config::model::{ClientCert, Match, PathPattern, Pattern};
use crate::config::problem::quoted;
use crate::tls::San;

/// Reads `match`.
pub(crate) fn matches(
    findings: &mut Findings<'_>,
    at: At<'_>,
    listeners: &Listeners,
) -> Option<Match> {
    let fields = findings.fields(at, &MATCH)?;
    let mut matches = Match::default();
    if let Some(at) = fields.get("listeners") {
        matches.listeners = distinct(findings, at, |findings, at| {
            listener(findings, at, listeners)
        });
    }
    if let Some(at) = fields.get("hosts") {
        matches.hosts = distinct(findings, at, |findings, at| findings.host_pattern(at));
    }
    if let Some(at) = fields.get("clients") {
        matches.clients = distinct(findings, at, |findings, at| findings.network(at));
    }
    if let Some(at) = fields.get("clientCert") {
        matches.client_cert = client_cert(findings, at);
    }
    if let Some(at) = fields.get("methods") {
        matches.methods = distinct(findings, at, |findings, at| findings.method(at));
    }
    if let Some(at) = fields.get("headers") {
        matches.headers = field_map(findings, at, FieldUse::Match);
    }
    if let Some(at) = fields.get("query") {
        matches.query = query(findings, at);
    }
    if let Some(at) = fields.get("path") {
        matches.path = path(findings, at)?;
    }
    Some(matches)
}

fn client_cert(findings: &mut Findings<'_>, at: At<'_>) -> Option<ClientCert> {
    let fields = findings.fields(at, &CLIENT_CERT)?;
    let mut wanted = ClientCert::default();
    if let Some(at) = fields.get("subjects") {
        wanted.subjects = distinct(findings, at, subject);
    }
    if let Some(at) = fields.get("sans") {
        wanted.sans = distinct(findings, at, san);
    }
    Some(wanted)
}

/// A subject is compared letter by letter, so what none can be written like would never match.
fn subject(findings: &mut Findings<'_>, at: At<'_>) -> Option<Arc<str>> {
    let text = findings.text(at)?;
    if !text.contains('=') {
        let message = format!("{} is no subject", quoted(text));
        let remedy = "write it as in CN=alice,O=Example, the most specific part first";
        findings.problem(at.piece.place, message, remedy);
    } else if text.contains(", ") && !text.contains("\\, ") {
        let message = "a subject has no spaces behind its commas";
        let remedy = format!("write {}", quoted(&text.replace(", ", ",")));
        findings.problem(at.piece.place, message, remedy);
    }
    Some(Arc::from(text))
}

fn san(findings: &mut Findings<'_>, at: At<'_>) -> Option<San> {
    let text = findings.text(at)?;
    let san = San::parse(text);
    if san.is_none() {
        let message = format!("{} is no alternative name with its kind", quoted(text));
        let remedy = "write DNS:a.example, URI:spiffe://a/b, email:a@b.example or IP:10.0.0.1";
        findings.problem(at.piece.place, message, remedy);
    }
    san
}

/// The values of a list; one that stands there twice is told and kept once.
pub(crate) fn distinct<T: Clone + Eq + Hash>(
    findings: &mut Findings<'_>,
    at: At<'_>,
    mut read: impl FnMut(&mut Findings<'_>, At<'_>) -> Option<T>,
) -> Vec<T> {
    let mut values = Vec::new();
    let mut seen = HashSet::new();
    let Some(items) = findings.list(at) else {
        return values;
    };
    for item in items {
        let Some(value) = read(findings, item) else {
            continue;
        };
        if seen.insert(value.clone()) {
            values.push(value);
        } else {
            let words = findings.words(item.piece.place);
            let message = format!("{words} stands in {} twice", quoted(at.what));
            findings.warning(item.piece.place, message, "remove one of them");
        }
    }
    values
}

fn listener(findings: &mut Findings<'_>, at: At<'_>, listeners: &Listeners) -> Option<Arc<str>> {
    let text = findings.text(at)?;
    if let Some((name, _)) = listeners.names.get_key_value(text) {
        return Some(Arc::clone(name));
    }
    // Listeners that could not be read were told already.
    if listeners.names.is_empty() {
        return None;
    }
    let mut known: Vec<&str> = listeners.names.keys().map(|name| &**name).collect();
    known.sort_unstable();
    let remedy = findings.nearest(text, known.into_iter());
    let message = format!("there is no listener called {}", quoted(text));
    findings.problem(at.piece.place, message, remedy);
    None
}

fn query(findings: &mut Findings<'_>, at: At<'_>) -> Vec<(Arc<str>, Arc<str>)> {
    let mut parameters = Vec::new();
    for Entry { key, place, value } in findings.entries(at).unwrap_or_default() {
        let what = key.as_str();
        if what.is_empty() {
            findings.problem(
                *place,
                "a query parameter has no name",
                "write its name before the colon",
            );
        }
        if let Some(text) = findings.shared_text(At { what, piece: value }) {
            parameters.push((Arc::from(what), text));
        }
    }
    parameters
}

fn path(findings: &mut Findings<'_>, at: At<'_>) -> Option<PathPattern> {
    const REMEDY: &str = "write { exact: /a }, { prefix: /a } or { regex: \"/a/.*\" }";
    if let Value::Scalar(scalar) = &at.piece.value {
        let message = format!("\"path\" must be a mapping, not {}", quoted(&scalar.text));
        let remedy = if scalar.text.starts_with('/') {
            format!(
                "write path: {{ prefix: {0} }} or {{ exact: {0} }}",
                scalar.text
            )
        } else {
            REMEDY.to_owned()
        };
        findings.problem(at.piece.place, message, remedy);
        return None;
    }
    let fields = findings.fields(at, &PATH)?;
    let given = (
        fields.get("exact"),
        fields.get("prefix"),
        fields.get("regex"),
    );
    match given {
        (Some(at), None, None) => findings
            .path(at)
            .map(|path| PathPattern::Exact(Arc::from(path))),
        (None, Some(at), None) => {
            let path = findings.path(at)?;
            Some(match path.strip_suffix('/').unwrap_or(path) {
                "" => PathPattern::Any,
                prefix => PathPattern::Prefix(Arc::from(prefix)),
            })
        }
        (None, None, Some(at)) => pattern(findings, at).map(PathPattern::Regex),
        // Keys that are there were told already.
        (None, None, None) if !fields.is_empty() => None,
        (None, None, None) => {
            findings.problem(fields.place(), "this path asks for nothing", REMEDY);
            None
        }
        _ => {
            let message = "a path is either exact, a prefix or a regex";
            findings.problem(
                fields.place(),
                message,
                "keep one of them, or make two routes",
            );
            None
        }
    }
}

/// Expressions that compile to more than this are refused; a route's expression takes a few KiB.
const MAX_REGEX_BYTES: usize = 1 << 20;

fn pattern(findings: &mut Findings<'_>, at: At<'_>) -> Option<Pattern> {
    let text = findings.text(at)?;
    let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_REGEX_BYTES).build();
    // Inside the anchors `a)|(b` would compile, and mean something else than it says.
    let alone: Result<Option<Regex>, _> = if text.contains(')') {
        compile(text).map(Some)
    } else {
        Ok(None)
    };
    match alone.and_then(|_| compile(&format!("^(?:{text})$"))) {
        Ok(regex) => {
            if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && !regex.is_match("/") {
                let message = "a path begins with \"/\", which this regex does not";
                findings.warning(
                    at.piece.place,
                    message,
                    format!("write {}", quoted(&format!("/{text}"))),
                );
            }
            Some(Pattern {
                text: Arc::from(text),
                regex,
            })
        }
        Err(error) => {
            let error = compile(text).err().unwrap_or(error);
            let (message, remedy) = match error {
                regex::Error::CompiledTooBig(_) => (
                    "the regex is too large".to_owned(),
                    "use smaller repetitions, or a prefix".to_owned(),
                ),
                error => {
                    let error = error.to_string();
                    let last = error.lines().last().unwrap_or("").trim();
                    let reason = last.strip_prefix("error: ").unwrap_or(last);
                    (
                        format!("this is no regex: {reason}"),
                        "mend it, or use { prefix: … }; see docs.rs/regex for the syntax"
                            .to_owned(),
                    )
                }
            };
            findings.problem(at.piece.place, message, remedy);
            None
        }
    }
}
