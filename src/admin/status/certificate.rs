//! A certificate in the status: its names, and how long it is good.

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
        let seconds = u64::try_from(certificate.not_after).unwrap_or(0);
        Self {
            name: &certificate.name,
            names: certificate.names.iter().map(|name| &**name).collect(),
            not_after: time(UNIX_EPOCH + Duration::from_secs(seconds)),
        }
    }
}
