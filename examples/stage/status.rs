//! Waiting for what `GET /status` of the admin address says.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::proxy::{Proxy, ask_admin};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks before this gives up: half a minute.
const LOOKS: u32 = 1_500;

/// Returns when the status is as asked for.
pub(crate) fn wait_until(
    proxy: &Proxy,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    for _ in 0..LOOKS {
        let (_, status) = ask_admin(proxy.admin, "GET", "/status")?;
        if is_so(&serde_json::from_str(&status)?) {
            return Ok(());
        }
        thread::park_timeout(PAUSE);
    }
    anyhow::bail!("waited in vain until {what}")
}

/// Returns when this endpoint of a pool has passed its readiness probe.
pub(crate) fn wait_until_ready(
    proxy: &Proxy,
    pool: &str,
    endpoint: SocketAddr,
) -> anyhow::Result<()> {
    let address = endpoint.to_string();
    wait_until(proxy, &format!("{endpoint} is ready"), |status| {
        let pools = status["pools"].as_array().into_iter().flatten();
        pools
            .filter(|entry| entry["name"] == pool)
            .flat_map(|entry| entry["endpoints"].as_array().into_iter().flatten())
            .any(|entry| entry["address"] == *address && entry["state"] == "ready")
    })
}
