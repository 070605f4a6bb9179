//! gRPC as others speak it: tonic's server and client, with messages that are octets, so that no protocol buffers are
//! needed.
//!
//! Each server has a runtime and a thread of its own, which end with it: what is open then breaks off.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::tokio_stream::{Stream, StreamExt as _, iter};
use tonic::metadata::MetadataMap;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use super::background::Background;
use super::wait::Watched;

/// The messages of a call, or of its answer.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// Octets as messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// A running server of `test.Echo` and of gRPC's health protocol.
#[derive(Debug)]
pub(crate) struct GrpcServer {
    address: SocketAddr,
    state: Arc<Watched<State>>,
    background: Background,
}

#[derive(Debug, Default)]
struct State {
    /// The metadata of each call, in the order in which they came.
    calls: Vec<(String, MetadataMap)>,
    /// How many calls of `Hang` were dropped.
    cancelled: usize,
    /// The status that the health protocol tells, by its number.
    health: u8,
}

impl GrpcServer {
    /// On a free port; it is healthy.
    pub(crate) fn start(name: &'static str) -> Self {
        let state = Arc::new(Watched::new(State {
            health: 1,
            ..State::default()
        }));
        let (tell_address, told_address) = std::sync::mpsc::sync_channel(1);
        let echo = Echo {
            name,
            state: Arc::clone(&state),
        };
        let background = Background::serve(async move || {
            let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
            let listener = listener.await.unwrap();
            tell_address.send(listener.local_addr().unwrap()).unwrap();
            Server::builder()
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(4 << 20)
                .serve_with_incoming(echo, TcpIncoming::from(listener))
                .await
                .unwrap();
        });
        Self {
            address: told_address.recv().unwrap(),
            state,
            background,
        }
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The metadata of all calls so far of this method.
    pub(crate) fn calls(&self, method: &str) -> Vec<MetadataMap> {
        self.state.read(|state| of_method(state, method))
    }

    /// Waits until a method was called.
    pub(crate) fn wait_for_call(&self, method: &str) -> MetadataMap {
        self.state
            .wait_for(&format!("a call of {method}"), |state| {
                of_method(state, method).into_iter().next()
            })
    }

    /// How many calls of `Hang` were cancelled.
    pub(crate) fn cancelled(&self) -> usize {
        self.state.read(|state| state.cancelled)
    }

    /// Tells this status of the health protocol from now on.
    pub(crate) fn is_of_health(&self, status: u8) {
        self.state.change(|state| state.health = status);
    }

    /// Ends it: connections close in the middle of what they carry.
    pub(crate) fn stop(&mut self) {
        self.background.stop();
    }
}

fn of_method(state: &State, method: &str) -> Vec<MetadataMap> {
    let calls = state.calls.iter().filter(|(name, _)| name == method);
    calls.map(|(_, metadata)| metadata.clone()).collect()
}

/// A runtime for one thread.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// What is served: by the last part of the path.
#[derive(Clone, Debug)]
struct Echo {
    name: &'static str,
    state: Arc<Watched<State>>,
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        let (method, echo) = (method.to_owned(), self.clone());
        Box::pin(async move {
            let answer = tower::service_fn(move |call: Request<Streaming<Bytes>>| {
                echo.clone().answer(method.clone(), call)
            });
            // On the wire the four kinds of calls differ by how many messages there are, and so they do here.
            let mut grpc = tonic::server::Grpc::new(Raw).max_decoding_message_size(64 << 20);
            Ok(grpc.streaming(answer, request).await)
        })
    }
}

impl Echo {
    async fn answer(
        self,
        method: String,
        call: Request<Streaming<Bytes>>,
    ) -> Result<Response<Messages>, Status> {
        let (metadata, _, mut messages) = call.into_parts();
        self.state
            .change(|state| state.calls.push((method.clone(), metadata.clone())));
        let answer: Messages = match &*method {
            "Name" => {
                while messages.next().await.transpose()?.is_some() {}
                one(self.name)
            }
            "Collect" => {
                let mut all = Vec::new();
                while let Some(message) = messages.next().await {
                    all.extend_from_slice(&message?);
                }
                one(all)
            }
            "Repeat" => {
                let message = messages.next().await.transpose()?.unwrap_or_default();
                Box::pin(iter(vec![Ok(message); 100]))
            }
            "Chat" => Box::pin(messages),
            "Fail" => return Err(refusal()),
            "FailLate" => Box::pin(iter([Ok(Bytes::from_static(b"first")), Err(refusal())])),
            "Hang" => {
                let _notes = NotesDrop(Arc::clone(&self.state));
                std::future::pending().await
            }
            "Trickle" => Box::pin(iter([Ok(Bytes::from_static(b"first"))]).chain(Never)),
            "Check" => one(vec![0x08, self.state.read(|state| state.health)]),
            _ => return Err(Status::unimplemented(method)),
        };
        let mut response = Response::new(answer);
        let back = response.metadata_mut();
        if let Some(text) = metadata.get("x-text") {
            back.insert("x-text", text.clone());
        }
        if let Some(blob) = metadata.get_bin("x-blob-bin") {
            back.insert_bin("x-blob-bin", blob.clone());
        }
        Ok(response)
    }
}

fn one(message: impl Into<Vec<u8>>) -> Messages {
    Box::pin(iter([Ok(Bytes::from(message.into()))]))
}

/// How `Fail` and `FailLate` end.
fn refusal() -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-why", "because".parse().unwrap());
    Status::with_metadata(tonic::Code::FailedPrecondition, "50 % – no", metadata)
}

struct NotesDrop(Arc<Watched<State>>);

impl Drop for NotesDrop {
    fn drop(&mut self) {
        self.0.change(|state| state.cancelled += 1);
    }
}

/// A stream that neither goes on nor ends.
struct Never;

impl Stream for Never {
    type Item = Result<Bytes, Status>;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Pending
    }
}

/// A client of `test.Echo` over one channel.
#[derive(Clone, Debug)]
pub(crate) struct GrpcClient(Channel);

impl GrpcClient {
    /// Over HTTP/2 in the clear, by prior knowledge.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self(endpoint.connect().await.unwrap())
    }

    /// Over this channel.
    pub(crate) fn over(channel: Channel) -> Self {
        Self(channel)
    }

    /// Calls a method with these messages.
    pub(crate) async fn call(
        &self,
        method: &str,
        request: Request<impl Stream<Item = Bytes> + Send + 'static>,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        let path = format!("/test.Echo/{method}").parse().unwrap();
        let mut grpc = tonic::client::Grpc::new(self.0.clone()).max_decoding_message_size(64 << 20);
        grpc.ready()
            .await
            .map_err(|error| Status::unknown(error.to_string()))?;
        grpc.streaming(request, path, Raw).await
    }

    /// Calls a method with one message, and waits for the one that answers it.
    pub(crate) async fn unary(
        &self,
        method: &str,
        message: impl Into<Bytes>,
    ) -> Result<Bytes, Status> {
        let request = Request::new(iter([message.into()]));
        let mut answer = self.call(method, request).await?.into_inner();
        let message = answer.next().await.transpose()?.unwrap_or_default();
        // To the end, where the status is.
        match answer.next().await.transpose()? {
            None => Ok(message),
            Some(_) => panic!("{method} has given more than one message"),
        }
    }
}

/// Messages that come one by one, while their sender lives.
pub(crate) fn messages() -> (
    mpsc::Sender<Bytes>,
    impl Stream<Item = Bytes> + Send + 'static,
) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Sent(receiver))
}

struct Sent(mpsc::Receiver<Bytes>);

impl Stream for Sent {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(cx)
    }
}
