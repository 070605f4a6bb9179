//! Clients that were answered once and then rest on their open connections, in a process of their own: descriptors are counted
//! by process, and one would not have enough for the crowds of all peers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::house::asked_once;
use crate::peer;

/// The word that makes this binary such a crowd.
pub(crate) const COMMAND: &str = "crowd";

const READY: &str = "ready";

/// So many resting connections, closed with the value.
#[derive(Debug)]
pub(crate) struct Crowd(Child);

impl Crowd {
    /// Waits until each has been answered.
    pub(crate) fn gather(address: SocketAddr, count: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([COMMAND, &address.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let told = child.stdout.take().context("a process without output")?;
        let crowd = Self(child);
        let mut line = String::new();
        BufReader::new(told).read_line(&mut line)?;
        ensure!(line.trim() == READY, "not all of {count} were answered");
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

/// Gathers, and rests until its input ends.
pub(crate) fn run(address: &str, count: &str) -> Result<()> {
    let (address, count): (SocketAddr, usize) = (address.parse()?, count.parse()?);
    peer::descriptors()?;
    let resting = (0..count).map(|_| asked_once(address));
    let resting = resting.collect::<Result<Vec<_>>>()?;
    println!("{READY}");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(resting);
    Ok(())
}
