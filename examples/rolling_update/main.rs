//! A rolling update under load: every replica is replaced, one at a time, and not one request fails.
//!
//! ```sh
//! cargo run --release --example rolling_update
//! ```

#[path = "../stage/clients.rs"]
mod clients;
#[path = "../stage/endpoint.rs"]
mod endpoint;
#[path = "../stage/load.rs"]
mod load;
#[path = "../stage/proxy.rs"]
mod proxy;
#[path = "../stage/status.rs"]
mod status;
mod update;

fn main() -> anyhow::Result<()> {
    update::walk(&mut std::io::stdout())
}
