//! TLS to endpoints: whom they must prove to be, what is shown to them, sessions, what their failures are answered with.

mod exchanges;
mod failures;
mod files;
mod probes;
mod sessions;

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use crate::support::front::{Front, Manner};
use crate::support::terms::Terms;
use crate::support::tls::{Authority, Pair};
use crate::support::{Endpoint, Fiel};

/// A listener `web`, and a route to a pool `shop` with these endpoints, this as its `tls`, and these further keys.
fn secured(endpoints: &[String], tls: &str, more: &[&str]) -> String {
    let tls = format!("tls: {{ {tls} }}");
    let pool = [&[&tls, "connect: { timeout: 20s }"], more].concat();
    let terms = Terms {
        pool: &pool,
        ..Terms::default()
    };
    terms.configured(&endpoints.join(", "))
}

/// An endpoint behind TLS, and its authority.
struct Site {
    endpoint: Endpoint,
    front: Front,
    folder: TempDir,
    authority: Authority,
    pair: Pair,
}

impl Site {
    /// It has a certificate for `shop.internal` and for 127.0.0.1.
    fn start() -> Self {
        Self::behaving(&Manner::default())
    }

    fn behaving(manner: &Manner) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("authority");
        fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        let pair = authority.issue(&["shop.internal", "127.0.0.1"]);
        let endpoint = Endpoint::start("app");
        let front = Front::behaving(&pair, endpoint.address(), manner);
        Self {
            endpoint,
            front,
            folder,
            authority,
            pair,
        }
    }

    /// `caFile` with its authority.
    fn ca(&self) -> String {
        format!("caFile: {}", self.folder.path().join("ca.crt").display())
    }

    fn address(&self) -> SocketAddr {
        self.front.address()
    }

    /// A fiel in front of it that believes its authority.
    fn fiel(&self) -> Fiel {
        self.fiel_with(&self.ca(), &[])
    }

    fn fiel_with(&self, tls: &str, more: &[&str]) -> Fiel {
        Fiel::start(&self.configured(tls, more))
    }

    fn configured(&self, tls: &str, more: &[&str]) -> String {
        secured(&[self.address().to_string()], tls, more)
    }
}
