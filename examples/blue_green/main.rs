//! A blue/green switch under load, there and back: from one moment to the next every request goes to the other version.
//!
//! ```sh
//! cargo run --release --example blue_green
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
mod switch;

fn main() -> anyhow::Result<()> {
    switch::walk(&mut std::io::stdout())
}
