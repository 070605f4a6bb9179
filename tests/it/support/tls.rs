//! TLS from a client's side: authorities that issue certificates for a test, and a client that trusts nobody in particular but
//! tells what it was shown.

use std::fs;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, RootCertStore,
    SignatureScheme, StreamOwned, SupportedProtocolVersion,
};

use super::message::{self, Fields, Framing};
use super::wait::DEADLINE;

/// A certificate with its key, as PEM.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) serial: u64,
}

impl Pair {
    /// Writes both beside each other and gives back where, as the inside of an entry of `certificates`.
    pub(crate) fn put(&self, folder: &Path, name: &str) -> String {
        let (cert, key) = Self::paths(folder, name);
        fs::write(&cert, &self.cert).unwrap();
        fs::write(&key, &self.key).unwrap();
        format!("certFile: {}, keyFile: {}", cert.display(), key.display())
    }

    pub(crate) fn paths(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let file = |end| folder.join(format!("{name}.{end}"));
        (file("crt"), file("key"))
    }

    /// The certificate's octets.
    pub(crate) fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.cert.as_bytes())
            .unwrap()
            .to_vec()
    }
}

/// Who issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    issued: std::cell::Cell<u64>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    pub(crate) fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
            issued: std::cell::Cell::new(1),
        }
    }

    /// One whose own certificate was good in January of 2020.
    pub(crate) fn expired(name: &str) -> Self {
        Self::with(name, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        })
    }

    /// One whose own certificate is good for so many seconds more.
    pub(crate) fn expiring(name: &str, seconds: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self::with(name, |params| {
            params.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(seconds);
        })
    }

    /// Its own certificate, as PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names, with an ECDSA key.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(names, &KeyPair::generate().unwrap(), |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        key: &KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let serial = self.issued.get() + 1;
        self.issued.set(serial);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "site");
        params.serial_number = Some(SerialNumber::from(serial));
        change(&mut params);
        Pair {
            cert: params.signed_by(key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
            serial,
        }
    }

    /// A client's certificate: `CN=alice,O=Example`, with a SPIFFE id and a host name.
    pub(crate) fn issue_client(&self, name: &str) -> Pair {
        self.issue_with(&[], &KeyPair::generate().unwrap(), |params| {
            let subject = &mut params.distinguished_name;
            *subject = rcgen::DistinguishedName::new();
            subject.push(DnType::OrganizationName, "Example");
            subject.push(DnType::CommonName, name);
            let id = format!("spiffe://example.com/{name}");
            let host = format!("{name}.example.com");
            params.subject_alt_names = vec![
                SanType::URI(id.try_into().unwrap()),
                SanType::DnsName(host.try_into().unwrap()),
            ];
        })
    }

    /// A list that revokes these, as PEM.
    pub(crate) fn revoke(&self, pairs: &[&Pair]) -> String {
        let revoked = pairs.iter().map(|pair| RevokedCertParams {
            serial_number: SerialNumber::from(pair.serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A client's side that trusts this authority and offers these protocols.
pub(crate) fn trusting(authority: &Authority, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
    config.alpn_protocols = protocols.collect();
    Arc::new(config)
}

/// A client: its connections share sessions.
#[derive(Clone, Debug)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    shown: Arc<Shown>,
    papers: Option<Arc<Papers>>,
}

impl TlsClient {
    pub(crate) fn new() -> Self {
        Self::with(rustls::ALL_VERSIONS, None)
    }

    pub(crate) fn of_version(version: &'static SupportedProtocolVersion) -> Self {
        Self::with(&[version], None)
    }

    /// A client with a certificate of its own.
    pub(crate) fn known_as(pair: &Pair) -> Self {
        Self::with(rustls::ALL_VERSIONS, Some(pair))
    }

    pub(crate) fn with(
        versions: &[&'static SupportedProtocolVersion],
        pair: Option<&Pair>,
    ) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let shown = Arc::new(Shown {
            provider: Arc::clone(&provider),
            last: Mutex::default(),
        });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Shown>::clone(&shown));
        let papers = pair.map(|pair| Arc::new(Papers(Mutex::new(certified(pair)))));
        let mut config = match &papers {
            None => builder.with_no_client_auth(),
            Some(papers) => builder.with_client_cert_resolver(Arc::<Papers>::clone(papers)),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            config: Arc::new(config),
            shown,
            papers,
        }
    }

    /// Shows another certificate from now on, and keeps its sessions.
    pub(crate) fn renew(&self, pair: &Pair) {
        let papers = self.papers.as_ref().expect("it has a certificate");
        *papers.0.lock().unwrap_or_else(PoisonError::into_inner) = certified(pair);
    }

    /// The same, offering these protocols.
    pub(crate) fn offering(&self, protocols: &[&str]) -> Self {
        let mut offering = self.clone();
        let config = Arc::make_mut(&mut offering.config);
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        offering
    }

    /// A connection for this name; its handshake is done.
    pub(crate) fn try_connect(&self, address: SocketAddr, name: &str) -> Result<Secure, String> {
        let tcp = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        tcp.set_write_timeout(Some(DEADLINE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        self.try_connect_over(tcp, name)
    }

    /// The same over a connection that there is.
    pub(crate) fn try_connect_over(&self, tcp: TcpStream, name: &str) -> Result<Secure, String> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        let mut stream = StreamOwned::new(session, tcp);
        while stream.conn.is_handshaking() {
            let done = stream.conn.complete_io(&mut stream.sock);
            done.map_err(|error| error.to_string())?;
        }
        stream.flush().map_err(|error| error.to_string())?;
        Ok(Secure(BufReader::new(stream)))
    }

    pub(crate) fn connect(&self, address: SocketAddr, name: &str) -> Secure {
        self.try_connect(address, name)
            .unwrap_or_else(|error| panic!("no handshake: {error}"))
    }

    /// Whether a connection for this name can be used: a refusal of TLS 1.3 comes behind the client's part of the handshake.
    pub(crate) fn try_get(&self, address: SocketAddr, name: &str) -> Result<Answer, String> {
        self.try_connect(address, name)?.try_get(name, "/")
    }

    /// The certificate that was shown last, and what was stapled to it.
    pub(crate) fn shown(&self) -> (Vec<u8>, Vec<u8>) {
        let last = self.shown.last.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn certified(pair: &Pair) -> Arc<CertifiedKey> {
    let chain = vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    Arc::new(CertifiedKey::new(chain, key))
}

/// The certificate that a client shows to who asks for one.
#[derive(Debug)]
struct Papers(Mutex<Arc<CertifiedKey>>);

impl ResolvesClientCert for Papers {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let papers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&papers))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Takes any certificate, and remembers it.
#[derive(Debug)]
struct Shown {
    provider: Arc<CryptoProvider>,
    last: Mutex<(Vec<u8>, Vec<u8>)>,
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (certificate.to_vec(), ocsp.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// A connection over TLS.
pub(crate) struct Secure(BufReader<StreamOwned<ClientConnection, TcpStream>>);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Fields,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        message::field(&self.headers, name)
    }
}

impl Secure {
    pub(crate) fn session(&self) -> &ClientConnection {
        &self.0.get_ref().conn
    }

    /// Whether the session is one that was made before.
    pub(crate) fn is_resumed(&self) -> bool {
        self.session().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(crate) fn into_stream(self) -> StreamOwned<ClientConnection, TcpStream> {
        self.0.into_inner()
    }

    pub(crate) fn stream(&mut self) -> &mut BufReader<StreamOwned<ClientConnection, TcpStream>> {
        &mut self.0
    }

    pub(crate) fn get(&mut self, host: &str, path: &str) -> Answer {
        self.try_get(host, path)
            .unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    pub(crate) fn try_get(&mut self, host: &str, path: &str) -> Result<Answer, String> {
        self.request(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    /// Sends these bytes and reads the response to them.
    pub(crate) fn request(&mut self, bytes: impl AsRef<[u8]>) -> Result<Answer, String> {
        let told = |error: std::io::Error| error.to_string();
        let stream = self.0.get_mut();
        let sent = stream
            .write_all(bytes.as_ref())
            .and_then(|()| stream.flush());
        // Who was refused meanwhile cannot write any more; why is there to be read all the same.
        let Some(head) = message::read_head(&mut self.0).map_err(told)? else {
            sent.map_err(told)?;
            return Err("the connection ended".to_owned());
        };
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let headers = message::fields_of(&head);
        let mut body = Vec::new();
        let framing = Framing::of(&headers, Framing::UntilClose);
        message::read_body(&mut self.0, framing, |piece| {
            body.extend_from_slice(piece);
            Ok(())
        })
        .map_err(told)?;
        Ok(Answer {
            status: status.ok_or("no status")?,
            headers,
            body,
        })
    }
}
