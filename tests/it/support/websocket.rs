//! WebSockets from both ends, over both versions of HTTP: frames by tungstenite, streams by the `h2` crate, and octets where a
//! test wants no frames.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{SinkExt as _, StreamExt as _};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::server::Builder;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response, Version};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::background::Background;
use super::h2endpoint::H2Endpoint;
use super::tls::{Authority, trusting};
use super::wait::{DEADLINE, Watched};

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

/// Either end's octets.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

pub(crate) type Socket = WebSocketStream<Box<dyn Io>>;

/// Runs a test's client, within the deadline.
pub(crate) fn run<T>(client: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async { timeout(DEADLINE, client).await.expect("the deadline") })
}

/// An endpoint that says every message again.
pub(crate) enum Echo {
    One(Echo1),
    Two(H2Endpoint),
}

impl Echo {
    pub(crate) fn over(http: Http) -> Self {
        match http {
            Http::One => Self::One(Echo1::start()),
            Http::Two => Self::Two(echo2(true)),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::One(one) => one.address,
            Self::Two(two) => two.address(),
        }
    }

    /// The heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<HeaderMap> {
        match self {
            Self::One(one) => one.heads.read(Clone::clone),
            Self::Two(two) => two.state.read(|state| {
                state
                    .requests
                    .iter()
                    .map(|one| one.head.headers.clone())
                    .collect()
            }),
        }
    }
}

/// One of HTTP/2, which tells in its settings whether it takes tunnels.
pub(crate) fn echo2(offers: bool) -> H2Endpoint {
    let mut builder = Builder::new();
    if offers {
        builder.enable_connect_protocol();
    }
    H2Endpoint::with(&builder, |mut exchange| {
        Box::pin(async move {
            if exchange.head.method != Method::CONNECT {
                exchange.read().await?;
                return exchange.answer("plain").await;
            }
            let send = exchange.head(200, &[("sec-websocket-protocol", "chat")], false)?;
            let octets: Box<dyn Io> = Box::new(Octets::new(send, exchange.body));
            echo(WebSocketStream::from_raw_socket(octets, Role::Server, None).await).await;
            Some(())
        })
    })
}

/// Whether this connection begins as one of HTTP/2.
async fn speaks_two(tcp: &TcpStream) -> bool {
    let mut start = [0; 3];
    // A head or a preface comes in one piece.
    tcp.peek(&mut start).await.unwrap_or(0);
    &start == b"PRI"
}

/// Answers requests of HTTP/2, and offers no tunnels.
async fn plain2(tcp: TcpStream) {
    let Ok(mut connection) = h2::server::handshake(tcp).await else {
        return;
    };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        if let Ok(mut body) = respond.send_response(Response::new(()), false) {
            body.send_data(Bytes::from_static(b"plain"), true).ok();
        }
    }
}

async fn echo(mut socket: Socket) {
    while let Some(Ok(message)) = socket.next().await {
        // tungstenite answers a ping and a close by itself.
        let is_said = message.is_text() || message.is_binary();
        if is_said && socket.send(message).await.is_err() {
            return;
        }
    }
    // In order: `h2` throws away what waits in a stream that is dropped.
    let mut octets = socket.into_inner();
    octets.shutdown().await.ok();
    tokio::io::copy(&mut octets, &mut tokio::io::sink())
        .await
        .ok();
}

/// One of HTTP/1.
pub(crate) struct Echo1 {
    address: SocketAddr,
    heads: Arc<Watched<Vec<HeaderMap>>>,
    _background: Background,
}

impl Echo1 {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Watched::new(Vec::new()));
        let seen = Arc::clone(&heads);
        Self {
            address,
            heads,
            _background: Background::serve(move || Self::accept(listener, seen)),
        }
    }

    async fn accept(listener: std::net::TcpListener, seen: Arc<Watched<Vec<HeaderMap>>>) {
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let seen = Arc::clone(&seen);
            tokio::task::spawn_local(async move {
                if speaks_two(&tcp).await {
                    return plain2(tcp).await;
                }
                let octets: Box<dyn Io> = Box::new(tcp);
                #[expect(clippy::result_large_err, reason = "the error is tungstenite's")]
                let look = |request: &Request<()>, mut response: Response<()>| {
                    seen.change(|seen| seen.push(request.headers().clone()));
                    let chat = "chat".parse().unwrap();
                    response
                        .headers_mut()
                        .insert("sec-websocket-protocol", chat);
                    Ok(response)
                };
                if let Ok(socket) = tokio_tungstenite::accept_hdr_async(octets, look).await {
                    echo(socket).await;
                }
            });
        }
    }
}

/// A WebSocket by whichever version.
pub(crate) async fn open(http: Http, address: SocketAddr) -> Socket {
    open_over(http, Box::new(connected(address).await)).await
}

/// The same over TLS, to who has a certificate of this authority for `site.example`; ALPN settles the version.
pub(crate) async fn open_secured(http: Http, address: SocketAddr, authority: &Authority) -> Socket {
    let protocol = match http {
        Http::One => "http/1.1",
        Http::Two => "h2",
    };
    let connector = TlsConnector::from(trusting(authority, &[protocol]));
    let name = ServerName::try_from("site.example").unwrap();
    let tls = connector.connect(name, connected(address).await);
    let tls = tls.await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
    open_over(http, Box::new(tls)).await
}

async fn connected(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp
}

async fn open_over(http: Http, octets: Box<dyn Io>) -> Socket {
    match http {
        Http::One => open1(octets).await,
        Http::Two => {
            let mut connection = Two::over(octets, &h2::client::Builder::new()).await;
            connection.socket("/chat").await
        }
    }
}

async fn open1(octets: Box<dyn Io>) -> Socket {
    let ask = Request::builder()
        .uri("ws://test/chat")
        .header("host", "test")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", "chat");
    let asked = tokio_tungstenite::client_async(ask.body(()).unwrap(), octets).await;
    let (socket, answer) = asked.unwrap();
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    socket
}

/// A client's connection of HTTP/2.
pub(crate) struct Two {
    sender: SendRequest<Bytes>,
}

impl Two {
    /// Connects, and waits until it is known that tunnels are offered.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::with(address, &h2::client::Builder::new()).await
    }

    pub(crate) async fn with(address: SocketAddr, builder: &h2::client::Builder) -> Self {
        Self::over(Box::new(connected(address).await), builder).await
    }

    async fn over(octets: Box<dyn Io>, builder: &h2::client::Builder) -> Self {
        let (sender, mut connection) = builder.handshake::<_, Bytes>(octets).await.unwrap();
        let known = sender.clone();
        poll_fn(|cx| {
            assert!(Pin::new(&mut connection).poll(cx).is_pending(), "it ended");
            match known.is_extended_connect_protocol_enabled() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        // Its end is seen by its streams.
        tokio::task::spawn_local(async move { connection.await.ok() });
        Self { sender }
    }

    /// Asks for a tunnel.
    pub(crate) async fn ask(
        &mut self,
        protocol: &str,
        path: &str,
    ) -> (Response<RecvStream>, SendStream<Bytes>) {
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://test{path}"))
            .version(Version::HTTP_2)
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "chat")
            .body(())
            .unwrap();
        request.extensions_mut().insert(Protocol::from(protocol));
        poll_fn(|cx| self.sender.poll_ready(cx)).await.unwrap();
        let (answer, send) = self.sender.send_request(request, false).unwrap();
        (answer.await.unwrap(), send)
    }

    /// Octets of a tunnel.
    pub(crate) async fn octets(&mut self, path: &str) -> Octets {
        let (answer, send) = self.ask("websocket", path).await;
        assert_eq!(answer.status(), 200);
        for name in ["connection", "upgrade", "sec-websocket-accept"] {
            assert!(!answer.headers().contains_key(name), "{name}");
        }
        Octets::new(send, answer.into_body())
    }

    /// A WebSocket.
    pub(crate) async fn socket(&mut self, path: &str) -> Socket {
        let octets: Box<dyn Io> = Box::new(self.octets(path).await);
        WebSocketStream::from_raw_socket(octets, Role::Client, None).await
    }

    /// Waits until no more streams may be opened.
    pub(crate) async fn is_sent_away(&mut self) {
        // Bounded by the deadline: a GOAWAY makes the sender fail, and wakes nobody who could open a stream.
        while poll_fn(|cx| Poll::Ready(matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(())))))
            .await
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A usual request.
    pub(crate) async fn get(&mut self, path: &str) -> Response<RecvStream> {
        let request = Request::get(format!("http://test{path}")).body(()).unwrap();
        poll_fn(|cx| self.sender.poll_ready(cx)).await.unwrap();
        let (answer, _) = self.sender.send_request(request, true).unwrap();
        answer.await.unwrap()
    }
}

/// A message goes there and comes back.
pub(crate) async fn assert_echoes(socket: &mut Socket, message: Message) {
    socket.send(message.clone()).await.unwrap();
    let came = socket.next().await.expect("no message").unwrap();
    assert!(came == message, "another message came back");
}

/// The octets of a stream.
pub(crate) struct Octets {
    /// None where the stream is only read.
    send: Option<SendStream<Bytes>>,
    receive: RecvStream,
    rest: Bytes,
}

impl Octets {
    pub(crate) fn new(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        Self {
            send: Some(send),
            receive,
            rest: Bytes::new(),
        }
    }

    /// Those of an answer.
    pub(crate) fn reading(receive: RecvStream) -> Self {
        Self {
            send: None,
            receive,
            rest: Bytes::new(),
        }
    }

    /// Resets the stream.
    pub(crate) fn cancel(&mut self) {
        self.sending().send_reset(Reason::CANCEL);
    }

    fn sending(&mut self) -> &mut SendStream<Bytes> {
        self.send.as_mut().expect("it is only read")
    }

    /// With what the stream ended: `None` is in order.
    pub(crate) async fn end(&mut self) -> Option<Reason> {
        // Bounded by the deadline.
        loop {
            match self.receive.data().await {
                None => return None,
                Some(Ok(data)) => {
                    let released = self.receive.flow_control().release_capacity(data.len());
                    released.unwrap();
                }
                Some(Err(error)) => return Some(error.reason().unwrap_or(Reason::INTERNAL_ERROR)),
            }
        }
    }
}

impl AsyncRead for Octets {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.receive.poll_data(cx)) {
                Some(Ok(data)) => self.rest = data,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        self.receive.flow_control().release_capacity(count).ok();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Octets {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let send = self.sending();
        send.reserve_capacity(octets.len());
        let mut room = send.capacity();
        while room == 0 {
            room = match ready!(send.poll_capacity(cx)) {
                Some(room) => room.map_err(io::Error::other)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let count = room.min(octets.len());
        let data = Bytes::copy_from_slice(&octets[..count]);
        send.send_data(data, false).map_err(io::Error::other)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sending().send_data(Bytes::new(), true).ok();
        Poll::Ready(Ok(()))
    }
}
