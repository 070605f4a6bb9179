//! The demo's endpoints: small HTTP/1.1 servers on loopback that do what they are told.
//!
//! All run on one thread with a current-thread runtime, apart from the proxy's workers. An endpoint is told what to do
//! by a POST straight to its own port; one that came through a proxy or from a web page is refused, so that
//! `POST http://127.0.0.1:8080/demo/dead` does not hit a random endpoint. They are for the demo only: no limits, no TLS.

mod mood;

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, ORIGIN, VIA};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinSet, LocalSet};

use self::mood::{Mood, Order};
use crate::cli::demo::cast::Identity;

/// Running endpoints; they end, and their ports are free, when this is dropped.
#[derive(Debug)]
pub(crate) struct Endpoints {
    addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoints {
    /// Starts one endpoint per identity on any free loopback port; they answer when this returns.
    pub(crate) fn start(identities: &[Identity]) -> io::Result<Self> {
        let mut bound = Vec::new();
        for &identity in identities {
            let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            bound.push((identity, socket));
        }
        let addresses = bound
            .iter()
            .map(|(_, socket)| socket.local_addr())
            .collect::<io::Result<_>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("demo-endpoints".to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, serve_all(bound, stopped)))?;
        Ok(Self {
            addresses,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where they answer, in the order of their identities.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("warning: the demo endpoints ended in a panic");
        }
    }
}

/// Serves until told to stop; the connections are cut then, because their tasks are owned by this future.
async fn serve_all(bound: Vec<(Identity, TcpListener)>, stopped: oneshot::Receiver<()>) {
    let mut endpoints = JoinSet::new();
    for (identity, socket) in bound {
        let socket = tokio::net::TcpListener::from_std(socket)
            .expect("the socket is non-blocking and the runtime has its driver");
        endpoints.spawn_local(accept(socket, Rc::new(Endpoint::new(identity))));
    }
    tokio::select! {
        // The sender is dropped when it is time to stop.
        _ = stopped => {}
        // No endpoint ends by itself: this is a panic, which goes on to the owner of the thread.
        ended = endpoints.join_next() => {
            if let Some(Err(error)) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

async fn accept(socket: tokio::net::TcpListener, endpoint: Rc<Endpoint>) {
    let mut connections = JoinSet::new();
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                connections.spawn_local(serve(stream, Rc::clone(&endpoint)));
            }
            // Too many open files, mostly: others will be closed soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: tokio::net::TcpStream, endpoint: Rc<Endpoint>) {
    let answer = service_fn(|request| {
        let endpoint = Rc::clone(&endpoint);
        async move { Ok::<_, Infallible>(endpoint.answer(request).await) }
    });
    // A client that goes away is no news here.
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), answer)
        .await
        .ok();
}

/// One endpoint: who it is, how it is, and how many requests it has answered.
struct Endpoint {
    identity: Identity,
    mood: watch::Sender<Mood>,
    answered: Cell<u64>,
}

impl Endpoint {
    fn new(identity: Identity) -> Self {
        Self {
            identity,
            mood: watch::Sender::new(Mood::default()),
            answered: Cell::new(0),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let mood = *self.mood.borrow();
        match request.uri().path() {
            "/started" => probed("started", true),
            "/ready" => probed("ready", mood.ready),
            "/live" => probed("live", mood.alive),
            "/demo" => self.describe(),
            path if path.starts_with("/demo/") => self.take_order(&request),
            _ => self.work(request).await,
        }
    }

    /// An ordinary request: what the proxy forwards.
    async fn work(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, mut body) = request.into_parts();
        let mut body_bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            body_bytes += frame.data_ref().map_or(0, Bytes::len);
        }
        let mut mood = self.mood.subscribe();
        // The sender lives in `self`, so this cannot fail; a client that leaves drops this future.
        mood.wait_for(|mood| mood.alive).await.ok();
        let now = *mood.borrow();
        if !now.delay.is_zero() {
            tokio::time::sleep(now.delay).await;
        }
        self.answered.set(self.answered.get() + 1);
        let Identity {
            version, number, ..
        } = self.identity;
        let (method, path) = (head.method, head.uri.path());
        let sent = match body_bytes {
            0 => String::new(),
            count => format!(" with {count} octets"),
        };
        let mut response = if now.failing {
            let line =
                format!("shop {version} (endpoint {number}) failed at {method} {path}{sent}");
            text(StatusCode::INTERNAL_SERVER_ERROR, line)
        } else {
            let line = format!("shop {version} (endpoint {number}) answered {method} {path}{sent}");
            text(StatusCode::OK, line)
        };
        let version = HeaderValue::from_static(version);
        response.headers_mut().insert("x-version", version);
        response
    }

    fn describe(&self) -> Response<Full<Bytes>> {
        let Identity {
            version, number, ..
        } = self.identity;
        let mood = *self.mood.borrow();
        let answered = self.answered.get();
        let line = format!("shop {version} (endpoint {number}): {mood}; {answered} answered");
        text(StatusCode::OK, line)
    }

    fn take_order(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.headers().contains_key(VIA) || request.headers().contains_key(ORIGIN) {
            let line = "orders are taken straight on an endpoint's own port, not through the proxy or from a web page";
            return text(StatusCode::FORBIDDEN, line);
        }
        let order = match Order::parse(request.uri().path(), request.uri().query()) {
            Ok(order) => order,
            Err((status, line)) => return text(status, line),
        };
        if request.method() != Method::POST {
            let line = format!("an order is a POST: curl -X POST …{}", request.uri());
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, line);
            let post = HeaderValue::from_static("POST");
            response.headers_mut().insert(ALLOW, post);
            return response;
        }
        self.mood.send_modify(|mood| mood.obey(order));
        self.describe()
    }
}

fn probed(what: &str, holds: bool) -> Response<Full<Bytes>> {
    if holds {
        text(StatusCode::OK, what)
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, format!("not {what}"))
    }
}

fn text(status: StatusCode, line: impl Into<String>) -> Response<Full<Bytes>> {
    let mut line = line.into();
    line.push('\n');
    let mut response = Response::new(Full::from(line));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests;
