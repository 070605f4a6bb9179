//! The certificate that every peer serves, and a client that accepts no other.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::peer::length_of_body;

/// The name in the certificate.
const NAME: &str = "bench.example";

/// A certificate of a P-256 key, signed by itself.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file, as haproxy wants them.
    pub(crate) both: PathBuf,
    client: Arc<ClientConfig>,
    /// The same, which remembers no session and has one group for its keys, that every peer knows.
    stranger: Arc<ClientConfig>,
    /// A stranger that shows this very certificate.
    member: Arc<ClientConfig>,
}

impl Certificate {
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let write = |name: &str, text: &str| -> Result<PathBuf> {
            let file = folder.join(name);
            fs::write(&file, text)?;
            Ok(file)
        };
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let client = ClientConfig::builder()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let key_der = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut member = ClientConfig::builder()
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(vec![made.cert.der().clone()], key_der.into())?;
        member.resumption = Resumption::disabled();
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
        let mut stranger = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        stranger.resumption = Resumption::disabled();
        Ok(Self {
            certificate: write("site.crt", &certificate)?,
            key: write("site.key", &key)?,
            both: write("site.pem", &format!("{certificate}{key}"))?,
            client: Arc::new(client),
            stranger: Arc::new(stranger),
            member: Arc::new(member),
        })
    }

    /// The body of the answer to `/`.
    pub(crate) fn body(&self, address: SocketAddr) -> Result<String> {
        let mut answer = String::new();
        match ask(&self.client, address, "/")?.read_to_string(&mut answer) {
            // Not every peer says that it closes.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            read => drop(read?),
        }
        let (_, body) = answer
            .split_once("\r\n\r\n")
            .context("no end of the head")?;
        Ok(body.to_owned())
    }

    /// How many octets the body of the answer to a path has.
    pub(crate) fn body_length(&self, address: SocketAddr, path: &str) -> Result<u64> {
        length_of_body(ask(&self.client, address, path)?)
    }

    /// Asks so often, each time over a connection of its own, as a client that has a certificate.
    pub(crate) fn as_member(&self, address: SocketAddr, times: usize) -> Result<()> {
        for _ in 0..times {
            let octets = length_of_body(ask(&self.member, address, "/")?)?;
            ensure!(octets == 13, "{octets} octets were answered");
        }
        Ok(())
    }

    /// Asks so many at once, each time as somebody who was never here before; how long each took.
    pub(crate) fn strangers(
        &self,
        address: SocketAddr,
        at_once: usize,
        time: Duration,
    ) -> Result<Vec<Duration>> {
        let end = Instant::now() + time;
        let stranger = |config: &Arc<ClientConfig>| -> Result<Vec<Duration>> {
            let mut took = Vec::new();
            while Instant::now() < end {
                let began = Instant::now();
                let octets = length_of_body(ask(config, address, "/")?)?;
                ensure!(octets == 13, "{octets} octets were answered");
                took.push(began.elapsed());
            }
            Ok(took)
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..at_once)
                .map(|_| scope.spawn(|| stranger(&self.stranger)))
                .collect();
            let mut all = Vec::new();
            for thread in threads {
                let took = thread.join().map_err(|_| anyhow!("a client panicked"))?;
                all.extend(took?);
            }
            Ok(all)
        })
    }
}

fn ask(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    path: &str,
) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let session = ClientConnection::new(Arc::clone(config), ServerName::try_from(NAME)?)?;
    let tcp = TcpStream::connect(address)?;
    tcp.set_nodelay(true)?;
    let mut stream = StreamOwned::new(session, tcp);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )?;
    Ok(stream)
}
