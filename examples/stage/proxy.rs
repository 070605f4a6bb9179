//! The proxy in this process, with its configuration in a folder of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use fiel::run::{RunError, run_until};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tower::layer::util::Identity;

/// Far longer than anything in a walk-through takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running proxy with one listener.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    file: PathBuf,
    end: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), RunError>>,
    _folder: TempDir,
}

impl Proxy {
    /// Starts with this configuration, on any ports.
    pub(crate) fn start(yaml: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("fiel.yaml");
        fs::write(&file, yaml)?;
        let (ready, told) = mpsc::sync_channel(1);
        let (end, ended) = oneshot::channel();
        let path = file.clone();
        let thread = thread::spawn(move || {
            let tell = |running: &fiel::run::Running| {
                // Nobody listens any more only when this example has given up.
                ready
                    .send((
                        running.listeners[0].1.tcp().expect("it is an address"),
                        running.admin.tcp().expect("admin has an address"),
                    ))
                    .ok();
            };
            run_until(&path, Identity::new(), tell, async {
                ended.await.ok();
            })
        });
        let Ok((address, admin)) = told.recv_timeout(PATIENCE) else {
            anyhow::ensure!(thread.is_finished(), "the proxy did not come up in time");
            let error = thread.join().map(Result::err);
            anyhow::bail!("the proxy did not come up: {error:?}");
        };
        Ok(Self {
            address,
            admin,
            file,
            end,
            thread,
            _folder: folder,
        })
    }

    /// Puts a new configuration in the place of the old one, and returns when every worker reads it.
    ///
    /// The file is renamed over, as editors and deployment tools do. fiel would see that by itself; the order to reload is
    /// there because its answer says when all is done.
    pub(crate) fn reload(&self, yaml: &str) -> anyhow::Result<()> {
        let new = self.file.with_extension("new");
        fs::write(&new, yaml)?;
        fs::rename(&new, &self.file)?;
        let answer = ask_admin(self.admin, "POST", "/reload")?;
        anyhow::ensure!(answer.0 == 200, "the reload was refused: {}", answer.1);
        Ok(())
    }

    /// Drains and ends.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        drop(self.end);
        let ended = self.thread.join();
        ended.map_err(|_| anyhow::anyhow!("the proxy panicked"))??;
        Ok(())
    }
}

/// The status code and the body of an answer of the admin address.
pub(crate) fn ask_admin(
    admin: SocketAddr,
    method: &str,
    path: &str,
) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
    let code = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((code, body.to_owned()))
}
