//! Endpoints that speak HTTP/2 without TLS: one on the `h2` crate, whose answers a test writes as a small future, and one
//! of raw frames, for what no decent server does.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::sync::watch;

use super::background::Background;
use super::frames::Frames;
use super::wait::Watched;

/// A running endpoint.
pub(crate) struct H2Endpoint {
    address: SocketAddr,
    pub(crate) state: Arc<Watched<State>>,
    released: watch::Sender<bool>,
    _background: Background,
}

/// What it has seen.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Connections that were accepted, and that are still there.
    pub(crate) connections: usize,
    pub(crate) open: usize,
    pub(crate) requests: Vec<Heard>,
    /// Requests that are being answered, by connection, and the most of them at a time.
    pub(crate) present: Vec<usize>,
    pub(crate) peak: Vec<usize>,
    /// Octets of answers that were taken from it.
    pub(crate) written: u64,
    /// Streams that fiel has reset, by their codes.
    pub(crate) resets: Vec<u32>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) head: Arc<http::request::Parts>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// A request that is to be answered.
pub(crate) struct Exchange {
    pub(crate) head: Arc<http::request::Parts>,
    pub(crate) body: RecvStream,
    pub(crate) respond: SendResponse<Bytes>,
    pub(crate) state: Arc<Watched<State>>,
    /// Its place among the requests.
    number: usize,
    released: watch::Receiver<bool>,
}

/// What answers.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Option<()>>>>;

impl Exchange {
    /// Reads the whole body.
    pub(crate) async fn read(&mut self) -> Option<()> {
        while let Some(data) = self.body.data().await {
            let data = data.ok()?;
            self.body.flow_control().release_capacity(data.len()).ok()?;
            self.state
                .change(|state| state.requests[self.number].body.extend_from_slice(&data));
        }
        let trailers = self.body.trailers().await.ok()?;
        self.state
            .change(|state| state.requests[self.number].trailers = trailers);
        Some(())
    }

    /// Waits until the test says so.
    pub(crate) async fn released(&mut self) -> Option<()> {
        self.released.wait_for(|released| *released).await.ok()?;
        Some(())
    }

    /// Sends the head of an answer.
    pub(crate) fn head(
        &mut self,
        status: u16,
        fields: &[(&str, &str)],
        ends: bool,
    ) -> Option<SendStream<Bytes>> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let response = response.body(()).unwrap();
        self.respond.send_response(response, ends).ok()
    }

    /// Sends a body as fiel takes it, and counts.
    pub(crate) async fn body(
        &self,
        stream: &mut SendStream<Bytes>,
        mut body: Bytes,
        ends: bool,
    ) -> Option<()> {
        while !body.is_empty() {
            stream.reserve_capacity(body.len());
            while stream.capacity() == 0 {
                let capacity = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
                capacity?.ok()?;
            }
            let piece = body.split_to(stream.capacity().min(body.len()));
            let octets = piece.len() as u64;
            let last = ends && body.is_empty();
            stream.send_data(piece, last).ok()?;
            self.state.change(|state| state.written += octets);
        }
        Some(())
    }

    /// Answers with 200 and this body.
    pub(crate) async fn answer(&mut self, body: impl Into<Bytes>) -> Option<()> {
        let body = body.into();
        let length = body.len().to_string();
        let mut stream = self.head(200, &[("content-length", &length)], body.is_empty())?;
        self.body(&mut stream, body, true).await
    }

    /// Waits until fiel has reset the stream, and notes its code.
    pub(crate) async fn wait_for_reset(&mut self) -> Option<()> {
        let code = std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await;
        let code = code.ok()?;
        self.state.change(|state| state.resets.push(code.into()));
        Some(())
    }
}

impl H2Endpoint {
    /// Answers all requests with its name.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::start(move |mut exchange| {
            Box::pin(async move {
                exchange.read().await?;
                exchange.answer(name).await
            })
        })
    }

    /// Answers with what this makes of each request.
    pub(crate) fn start(answer: impl Fn(Exchange) -> Answering + Send + 'static) -> Self {
        Self::with(&Builder::new(), answer)
    }

    /// The same with settings.
    pub(crate) fn with(
        builder: &Builder,
        answer: impl Fn(Exchange) -> Answering + Send + 'static,
    ) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::new(Watched::new(State::default()));
        let (released, waits) = watch::channel(false);
        let serving = Serving {
            builder: builder.clone(),
            state: Arc::clone(&state),
            released: waits,
        };
        let background =
            Background::serve(async move || serving.accept(socket, Rc::new(answer)).await);
        Self {
            address,
            state,
            released,
            _background: background,
        }
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets all go on that wait to be released.
    pub(crate) fn release(&self) {
        self.released.send_replace(true);
    }

    /// Waits until so many requests have come.
    pub(crate) fn wait_for_requests(&self, count: usize) -> Vec<Heard> {
        self.state.wait_for(&format!("{count} requests"), |state| {
            (state.requests.len() >= count).then(|| state.requests.clone())
        })
    }

    /// How many connections were accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.read(|state| state.connections)
    }

    /// Waits until so many connections are there.
    pub(crate) fn wait_for_open(&self, count: usize) {
        self.state
            .wait_for(&format!("{count} open connections"), |state| {
                (state.open == count).then_some(())
            });
    }
}

#[derive(Clone)]
struct Serving {
    builder: Builder,
    state: Arc<Watched<State>>,
    released: watch::Receiver<bool>,
}

impl Serving {
    async fn accept(
        &self,
        socket: TcpListener,
        answer: Rc<impl Fn(Exchange) -> Answering + 'static>,
    ) {
        socket.set_nonblocking(true).unwrap();
        let socket = tokio::net::TcpListener::from_std(socket).unwrap();
        loop {
            let (tcp, _) = socket.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let number = self.state.change(|state| {
                state.connections += 1;
                state.open += 1;
                state.present.push(0);
                state.peak.push(0);
                state.connections - 1
            });
            let (serving, answer) = (self.clone(), Rc::clone(&answer));
            tokio::task::spawn_local(async move {
                serving.connection(tcp, number, answer).await;
                serving.state.change(|state| state.open -= 1);
            });
        }
    }

    async fn connection(
        &self,
        tcp: tokio::net::TcpStream,
        connection: usize,
        answer: Rc<impl Fn(Exchange) -> Answering + 'static>,
    ) {
        let Ok(mut h2) = self.builder.handshake::<_, Bytes>(tcp).await else {
            return;
        };
        while let Some(Ok((request, respond))) = h2.accept().await {
            let exchange = self.exchange(connection, request, respond);
            let (state, answer) = (Arc::clone(&self.state), Rc::clone(&answer));
            tokio::task::spawn_local(async move {
                // `None` is a stream that ended under it, which is what some tests are about.
                answer(exchange).await;
                state.change(|state| state.present[connection] -= 1);
            });
        }
    }

    fn exchange(
        &self,
        connection: usize,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
    ) -> Exchange {
        let (head, body) = request.into_parts();
        let head = Arc::new(head);
        let number = self.state.change(|state| {
            state.present[connection] += 1;
            state.peak[connection] = state.peak[connection].max(state.present[connection]);
            state.requests.push(Heard {
                head: Arc::clone(&head),
                body: Vec::new(),
                trailers: None,
            });
            state.requests.len() - 1
        });
        Exchange {
            head,
            body,
            respond,
            state: Arc::clone(&self.state),
            number,
            released: self.released.clone(),
        }
    }
}

/// An endpoint of raw frames: a script runs on a thread of its own for each connection.
pub(crate) struct RawEndpoint {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    accept: Option<JoinHandle<()>>,
}

impl RawEndpoint {
    /// Runs this for each connection, with its number.
    pub(crate) fn start(script: impl Fn(usize, Frames) + Send + Sync + 'static) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let (stop, script) = (Arc::clone(&stopping), Arc::new(script));
        let accept = thread::spawn(move || {
            for number in 0.. {
                let (socket, _) = socket.accept().unwrap();
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let script = Arc::clone(&script);
                // Ends with its connection, which ends with fiel.
                thread::spawn(move || script(number, Frames::over(socket)));
            }
        });
        Self {
            address,
            stopping,
            accept: Some(accept),
        }
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for RawEndpoint {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        TcpStream::connect(self.address).ok();
        let joined = self.accept.take().map(JoinHandle::join);
        assert!(
            joined.is_some_and(|joined| joined.is_ok()) || thread::panicking(),
            "the endpoint panicked"
        );
    }
}
