//! The versions that are spoken, from the least on.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::tls::spec::MinVersion;

const ALL: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
const NEW: &[&SupportedProtocolVersion] = &[&TLS13];

/// The versions from this one on.
pub(super) fn versions(least: MinVersion) -> &'static [&'static SupportedProtocolVersion] {
    match least {
        MinVersion::V1_2 => ALL,
        MinVersion::V1_3 => NEW,
    }
}
