//! A certificate in the status, its names, and how long it is good; so authorities.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use crate::admin::status::print::time;
use crate::tls;

/// A certificate.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Certificate<'a> {
    name: &'a str,
    names: Vec<&'a str>,
    not_after: Option<String>,
}

impl<'a> Certificate<'a> {
    pub(super) fn of(certificate: &'a tls::Certificate) -> Self {
        Self {
            name: &certificate.name,
            names: certificate.names.iter().map(|name| &**name).collect(),
            not_after: end(certificate.not_after),
        }
    }
}

/// An authority.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Authority<'a> {
    name: &'a str,
    not_after: Option<String>,
}

impl<'a> Authority<'a> {
    /// As many as a file has.
    pub(super) fn all(known: &'a [tls::Authority]) -> Vec<Self> {
        let shown = known.iter().map(|one| Self {
            name: &one.name,
            not_after: end(one.not_after),
        });
        shown.collect()
    }
}

fn end(second: i64) -> Option<String> {
    let second = u64::try_from(second).unwrap_or(0);
    UNIX_EPOCH
        .checked_add(Duration::from_secs(second))
        .and_then(time)
}
