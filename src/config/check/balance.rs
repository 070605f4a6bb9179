//! How a pool spreads its requests: a word, or a mapping where there is more to say.

use std::sync::Arc;

use crate::config::check::field::FieldUse;
use crate::config::check::findings::{At, Findings};
use crate::config::document::Value;
use crate::config::keys::{BALANCE, BALANCE_MAP, HASH_ON, HASH_ON_WORD, RING_HASH};
use crate::config::model::{Balance, HashOn, RingHash};
use crate::config::problem::quoted;
use crate::units::Weight;

/// Reads `balance`.
pub(crate) fn balance(findings: &mut Findings<'_>, at: At<'_>) -> Balance {
    if let Value::Map(entries) = &at.piece.value {
        return balance_map(findings, at, entries.len());
    }
    match findings.word(at, &BALANCE) {
        Some("leastRequest") => Balance::LeastRequest,
        Some("powerOfTwo") => Balance::PowerOfTwo,
        Some("random") => Balance::Random,
        Some("ringHash") => Balance::RingHash(RingHash::default()),
        _ => Balance::RoundRobin,
    }
}

fn balance_map(findings: &mut Findings<'_>, at: At<'_>, count: usize) -> Balance {
    for entry in findings.entries(at).unwrap_or_default() {
        let key = entry.key.as_str();
        if key != "ringHash" && BALANCE.works.contains(&key) {
            let message = format!("{} takes no options", quoted(key));
            findings.problem(entry.place, message, format!("write balance: {key}"));
            return Balance::RoundRobin;
        }
    }
    let Some(fields) = findings.fields(at, &BALANCE_MAP) else {
        return Balance::RoundRobin;
    };
    match fields.get("ringHash") {
        Some(at) => Balance::RingHash(ring_hash(findings, at)),
        None => {
            if count == 0 {
                let remedy =
                    "write balance: roundRobin, or { ringHash: { on: { header: x-user } } }";
                findings.problem(fields.place(), "\"balance\" names no balancer", remedy);
            }
            Balance::RoundRobin
        }
    }
}

fn ring_hash(findings: &mut Findings<'_>, at: At<'_>) -> RingHash {
    let mut read = RingHash::default();
    let Some(fields) = findings.fields(at, &RING_HASH) else {
        return read;
    };
    if let Some(on) = fields.get("on").and_then(|at| hash_on(findings, at)) {
        read.on = on;
    }
    if let Some(at) = fields.get("balanceFactor") {
        let factor = findings.weight(at);
        if !factor.is_zero() && factor < Weight::ONE {
            let message = "a \"balanceFactor\" below 1 leaves requests without an endpoint";
            findings.problem(
                at.piece.place,
                message,
                "write a number from 1, such as 1.25, or 0 for no bound",
            );
        }
        read.balance_factor = Some(factor).filter(|factor| !factor.is_zero());
    }
    read
}

fn hash_on(findings: &mut Findings<'_>, at: At<'_>) -> Option<HashOn> {
    const REMEDY: &str = "write clientIp, path, { header: x-user } or { cookie: uid }";
    match &at.piece.value {
        Value::Map(_) => {}
        Value::Scalar(scalar) if HASH_ON.works.contains(&scalar.text.as_str()) => {
            let message = format!("{} needs a name", quoted(&scalar.text));
            let remedy = format!("write {{ {}: x-user }}", scalar.text);
            findings.problem(at.piece.place, message, remedy);
            return None;
        }
        Value::Scalar(_) => {
            return match findings.word(at, &HASH_ON_WORD)? {
                "path" => Some(HashOn::Path),
                _ => Some(HashOn::ClientIp),
            };
        }
        Value::Null | Value::List(_) => {
            findings.wrong_kind(at, "what a key is taken from", REMEDY);
            return None;
        }
    }
    let fields = findings.fields(at, &HASH_ON)?;
    match (fields.get("header"), fields.get("cookie")) {
        (Some(at), None) => {
            let text = findings.text(at)?;
            let name = findings.field_name(at.piece.place, text, FieldUse::Match)?;
            Some(HashOn::Header(name))
        }
        (None, Some(at)) => {
            let text = findings.text(at)?;
            if is_token(text) {
                return Some(HashOn::Cookie(Arc::from(text)));
            }
            let message = format!("{} is no name of a cookie", quoted(text));
            findings.problem(
                at.piece.place,
                message,
                "use letters, digits, \"-\" and \"_\"",
            );
            None
        }
        (Some(_), Some(_)) => {
            let place = fields.key("cookie").unwrap_or(fields.place());
            let message = "a key is taken from one thing, and here are header and cookie";
            findings.problem(place, message, "keep one of them");
            None
        }
        (None, None) => {
            if fields.is_empty() {
                findings.problem(at.piece.place, "\"on\" is empty", REMEDY);
            }
            None
        }
    }
}

/// RFC 6265 §4.1.1: the name of a cookie is a token of RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let is_in = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    !text.is_empty() && text.bytes().all(is_in)
}
