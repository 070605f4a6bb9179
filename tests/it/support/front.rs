//! TLS in front of a plain endpoint: it ends the sessions of those who connect, passes on what they say, and remembers
//! what their sessions were.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::background::Background;
use super::tls::Pair;
use super::wait::Watched;

/// A running front; all its connections end when it is dropped.
pub(crate) struct Front {
    address: SocketAddr,
    seen: Arc<Watched<Seen>>,
    _background: Background,
}

/// How it behaves.
#[derive(Clone, Default)]
pub(crate) struct Manner {
    /// The authorities, in PEM, by which clients must have a certificate.
    pub(crate) clients: Option<String>,
    /// The protocols that it agrees to; none speaks of none.
    pub(crate) alpn: Vec<&'static [u8]>,
    /// Whether each connection begins with a header of the PROXY protocol, version 2.
    pub(crate) told: bool,
    /// How a connection ends that the endpoint has ended.
    pub(crate) ending: Ending,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a `close_notify`.
    #[default]
    Polite,
    /// Without one, as an attacker could cut it.
    Cut,
    /// With one; and after each answer new keys are announced, which is news that nobody asked for.
    Rekeying,
}

/// What has been seen.
#[derive(Default)]
struct Seen {
    sessions: Vec<Session>,
    failures: Vec<String>,
    headers: Vec<Vec<u8>>,
    goodbyes: usize,
}

/// A session, as its handshake has settled it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The name that was asked for.
    pub(crate) name: Option<String>,
    pub(crate) is_resumed: bool,
    pub(crate) alpn: Option<Vec<u8>>,
    /// The client's certificate.
    pub(crate) client: Option<Vec<u8>>,
}

impl Front {
    /// Shows this certificate, and passes on to this endpoint.
    pub(crate) fn start(pair: &Pair, endpoint: SocketAddr) -> Self {
        Self::behaving(pair, endpoint, &Manner::default())
    }

    pub(crate) fn behaving(pair: &Pair, endpoint: SocketAddr, manner: &Manner) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(pair, manner)));
        let seen = Arc::<Watched<Seen>>::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (manner, shared) = (manner.clone(), Arc::clone(&seen));
        let background = Background::serve(async move || {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&shared));
                let (told, ending) = (manner.told, manner.ending);
                tokio::spawn(serve(tcp, acceptor, endpoint, (told, ending), seen));
            }
        });
        Self {
            address,
            seen,
            _background: background,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All sessions so far.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.seen.read(|seen| seen.sessions.clone())
    }

    /// The PROXY headers so far.
    pub(crate) fn headers(&self) -> Vec<Vec<u8>> {
        self.seen.read(|seen| seen.headers.clone())
    }

    /// Waits for so many handshakes that came to nothing, and gives back why.
    pub(crate) fn wait_for_failures(&self, count: usize) -> Vec<String> {
        self.seen.wait_for("failed handshakes", |seen| {
            (seen.failures.len() >= count).then(|| seen.failures.clone())
        })
    }

    /// Waits until so many sessions were ended in due form by who began them.
    pub(crate) fn wait_for_goodbyes(&self, count: usize) {
        self.seen
            .wait_for("goodbyes", |seen| (seen.goodbyes >= count).then_some(()));
    }
}

fn config(pair: &Pair, manner: &Manner) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap();
    let builder = match &manner.clients {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            let authority = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            roots.add(authority).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = CertificateDer::pem_slice_iter(pair.cert.as_bytes());
    let chain = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = manner.alpn.iter().map(|name| name.to_vec()).collect();
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    config
}

async fn serve(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    endpoint: SocketAddr,
    (told, ending): (bool, Ending),
    seen: Arc<Watched<Seen>>,
) {
    let mut tcp = tcp;
    tcp.set_nodelay(true).unwrap();
    if told {
        let mut header = vec![0; 16];
        tcp.read_exact(&mut header).await.unwrap();
        let length = u16::from_be_bytes([header[14], header[15]]);
        header.resize(16 + usize::from(length), 0);
        tcp.read_exact(&mut header[16..]).await.unwrap();
        seen.change(|seen| seen.headers.push(header));
    }
    let mut secure = match acceptor.accept(tcp).await {
        Ok(secure) => secure,
        Err(error) => {
            let error = error.to_string();
            return seen.change(|seen| seen.failures.push(error));
        }
    };
    let (_, session) = secure.get_ref();
    let session = Session {
        name: session.server_name().map(str::to_owned),
        is_resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        alpn: session.alpn_protocol().map(<[u8]>::to_vec),
        client: session
            .peer_certificates()
            .map(|chain| chain[0].as_ref().to_vec()),
    };
    seen.change(|seen| seen.sessions.push(session));
    // The endpoint may have gone.
    let Ok(mut plain) = TcpStream::connect(endpoint).await else {
        return;
    };
    let goodbye = match ending {
        Ending::Polite => copy_bidirectional(&mut secure, &mut plain).await.is_ok(),
        Ending::Cut | Ending::Rekeying => relay(&mut secure, &mut plain, ending).await,
    };
    if goodbye {
        seen.change(|seen| seen.goodbyes += 1);
    }
}

/// Relays by turns; tells whether the client said goodbye.
async fn relay(secure: &mut TlsStream<TcpStream>, plain: &mut TcpStream, ending: Ending) -> bool {
    let (mut asked, mut answered) = ([0; 16 << 10], [0; 16 << 10]);
    loop {
        tokio::select! {
            read = secure.read(&mut asked) => match read {
                Ok(0) => return true,
                Ok(count) if plain.write_all(&asked[..count]).await.is_ok() => {}
                Ok(_) | Err(_) => return false,
            },
            read = plain.read(&mut answered) => match read {
                Ok(count @ 1..) => {
                    let written = secure.write_all(&answered[..count]).await;
                    if written.is_err() || secure.flush().await.is_err() {
                        return false;
                    }
                    if ending == Ending::Rekeying {
                        secure.get_mut().1.refresh_traffic_keys().unwrap();
                        secure.flush().await.ok();
                    }
                }
                Ok(0) | Err(_) => {
                    if ending == Ending::Rekeying {
                        secure.shutdown().await.ok();
                    }
                    return false;
                }
            },
        }
    }
}

/// A unix socket in front of a plain endpoint; its connections end when it is dropped.
pub(crate) struct UnixFront(#[expect(dead_code, reason = "it ends with this")] Background);

impl UnixFront {
    /// Listens at this path; one that begins with a NUL is abstract.
    pub(crate) fn start(path: &std::path::Path, endpoint: SocketAddr) -> Self {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let path = path.to_owned();
        let background = Background::serve(async move || {
            let listener = UnixListener::bind(&path).unwrap();
            tell.send(()).unwrap();
            loop {
                let (mut unix, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut plain = TcpStream::connect(endpoint).await.unwrap();
                    copy_bidirectional(&mut unix, &mut plain).await.ok();
                });
            }
        });
        told.recv().unwrap();
        Self(background)
    }
}
