//! A canary release by editing weights: the new version gets exactly the share that the file says, and no request fails.
//!
//! ```sh
//! cargo run --release --example canary
//! ```

#[path = "../stage/clients.rs"]
mod clients;
#[path = "../stage/endpoint.rs"]
mod endpoint;
#[path = "../stage/proxy.rs"]
mod proxy;
mod release;

fn main() -> anyhow::Result<()> {
    release::walk(&mut std::io::stdout())
}
