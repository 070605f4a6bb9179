//! A proxy of one's own: fiel's whole path with a tower layer around it, here one that asks for an API key.
//!
//! ```sh
//! FIEL_API_KEY=secret cargo run --example embed -- config/quickstart.yaml
//! curl -i http://127.0.0.1:8080/                            # 401
//! curl -i -H 'x-api-key: secret' http://127.0.0.1:8080/     # what an endpoint answers
//! ```

mod api_key;

use std::path::PathBuf;

use anyhow::Context as _;
use http::HeaderValue;

use crate::api_key::ApiKeyLayer;

fn main() -> anyhow::Result<()> {
    let path = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .context("give the path of a configuration")?;
    let key = std::env::var("FIEL_API_KEY").context("FIEL_API_KEY is not set")?;
    let mut key = HeaderValue::from_str(&key)?;
    key.set_sensitive(true);

    fiel::log::start();
    // Blocks until SIGTERM, SIGINT or SIGQUIT, and drains as `fiel run` does.
    fiel::run::run_with(&path, ApiKeyLayer::new(key), |running| {
        for (name, address) in &running.listeners {
            println!("{name} is on http://{address}");
        }
    })?;
    Ok(())
}
