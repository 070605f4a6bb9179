//! The certificate that every peer serves, and a client that accepts no other.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::pki_types::ServerName;
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
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            certificate: write("site.crt", &certificate)?,
            key: write("site.key", &key)?,
            both: write("site.pem", &format!("{certificate}{key}"))?,
            client: Arc::new(client),
        })
    }

    /// The body of the answer to `/`.
    pub(crate) fn body(&self, address: SocketAddr) -> Result<String> {
        let mut answer = String::new();
        match self.ask(address, "/")?.read_to_string(&mut answer) {
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
        length_of_body(self.ask(address, path)?)
    }

    fn ask(
        &self,
        address: SocketAddr,
        path: &str,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from(NAME)?;
        let session = ClientConnection::new(Arc::clone(&self.client), name)?;
        let mut stream = StreamOwned::new(session, TcpStream::connect(address)?);
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        )?;
        Ok(stream)
    }
}
