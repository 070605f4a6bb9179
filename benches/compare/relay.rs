//! A TCP relay that parses nothing, on one thread: what passing bytes on costs without any proxy in it.

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// The word that makes this program one.
pub(crate) const COMMAND: &str = "relay";

/// Relays each connection over one of its own, until it is killed.
pub(crate) fn run(listen: &str, endpoint: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (mut client, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            let endpoint = endpoint.to_owned();
            tokio::task::spawn_local(async move {
                let mut upstream = TcpStream::connect(endpoint).await?;
                upstream.set_nodelay(true)?;
                copy_bidirectional(&mut client, &mut upstream).await
            });
        }
    })
}
