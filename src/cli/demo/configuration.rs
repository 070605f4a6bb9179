//! The configuration of the demo, as text: what the demo runs with, and what `--print-config` prints.
//!
//! It is meant to be read, and to be begun with: every line says what it is for.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::cli::demo::cast::Placed;

/// The whole file.
pub(crate) fn yaml(proxy: SocketAddr, admin: SocketAddr, endpoints: &[Placed]) -> String {
    let mut pools = String::new();
    for (pool, version) in [("shop-v1", "v1"), ("shop-v2", "v2")] {
        let addresses: String = endpoints
            .iter()
            .filter(|(identity, _)| identity.pool == pool)
            .fold(String::new(), |mut lines, (_, address)| {
                write!(lines, "\n      - {address}").expect("a string takes all");
                lines
            });
        write!(pools, "{}", pool_yaml(pool, version, &addresses)).expect("a string takes all");
    }
    format!(
        "\
# A canary: of every 20 requests exactly 19 go to shop-v1 and one to shop-v2.
# This is what `fiel demo` runs with. `fiel check --config FILE` validates it, `fiel run --config FILE` runs it.
# Edit it while fiel runs: a right change is taken up at once, a wrong one is reported and changes nothing.

listeners:
  - name: web
    bind: {proxy}

routes:
  - name: shop
    split: # a share is weight / sum; weights may have up to 3 decimals
      - {{ pool: shop-v1, weight: 95 }}
      - {{ pool: shop-v2, weight: 5 }}

pools:{pools}

admin: {{ bind: {admin} }} # /status, /metrics, /livez, /readyz

accessLog: {{ output: \"off\" }} # stdout writes a JSON line for each request

shutdown: {{ drain: 2s }} # how long requests in flight may take to end after Ctrl-C
"
    )
}

/// One pool; the periods are short, so that the demo reacts while one looks.
fn pool_yaml(pool: &str, version: &str, addresses: &str) -> String {
    format!(
        "
  {pool}:
    version: {version}
    endpoints:{addresses}
    # no traffic, and no other probe, before it has started
    startupProbe: {{ httpGet: {{ path: /started }}, periodSeconds: 0.5, failureThreshold: 60 }}
    # decides whether it gets new requests
    readinessProbe: {{ httpGet: {{ path: /ready }}, periodSeconds: 0.5, timeoutSeconds: 0.5, failureThreshold: 2 }}
    # decides whether requests that it holds are cut and tried elsewhere
    livenessProbe: {{ httpGet: {{ path: /live }}, periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 2 }}"
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::cli::demo::cast;

    #[test]
    fn every_endpoint_stands_in_its_own_pool() {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let endpoints = cast::placed(&[1, 2, 3, 4].map(local));

        let yaml = yaml(local(8080), local(9901), &endpoints);

        let (stable, canary) = yaml.split_once("\n  shop-v2:").unwrap();
        for port in 1..4 {
            assert!(stable.contains(&format!("- 127.0.0.1:{port}\n")), "{yaml}");
        }
        assert!(canary.contains("- 127.0.0.1:4\n"), "{yaml}");
        assert!(yaml.contains("bind: 127.0.0.1:8080\n"), "{yaml}");
        assert!(yaml.contains("bind: 127.0.0.1:9901 }"), "{yaml}");
    }
}
