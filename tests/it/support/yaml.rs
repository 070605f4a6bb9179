//! Configurations for tests, as text: ports are free ones, and what a test is about is added to it by the test.

use std::net::SocketAddr;

/// Listener `web`, route `shop` over these pools (name, weight, endpoints), admin; ends in the pools' map, so that a
/// test may append keys of the last pool, or a top-level key.
pub(crate) fn shop(pools: &[(&str, &str, &[SocketAddr])]) -> String {
    let mut split = String::new();
    let mut endpoints = String::new();
    for (pool, weight, addresses) in pools {
        split.push_str(&format!("      - {{ pool: {pool}, weight: {weight} }}\n"));
        endpoints.push_str(&format!("  {pool}:\n    endpoints:\n"));
        for address in *addresses {
            endpoints.push_str(&format!("      - {address}\n"));
        }
    }
    format!(
        "\
admin: {{ bind: 127.0.0.1:0 }}
listeners:
  - name: web
    bind: 127.0.0.1:0
routes:
  - name: shop
    split:
{split}pools:
{endpoints}"
    )
}
