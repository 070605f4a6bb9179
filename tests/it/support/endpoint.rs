//! A scriptable HTTP/1.1 endpoint of raw bytes: it shows exactly what arrived, and answers exactly what it is told.
//!
//! Each connection has two threads: one reads into a bounded inbox, so that the end of the connection is seen even
//! while a script waits and an endpoint that does not read pushes back; one runs the script of each request.

mod behaviour;
mod connection;

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

pub(crate) use self::behaviour::{Behaviour, Step};
use self::connection::Record;
use super::client::End;
use super::message::{self, Fields};
use super::wait::Watched;

/// A running endpoint; all its connections end when it is dropped.
#[derive(Debug)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    state: Arc<Watched<State>>,
    accept: Option<JoinHandle<()>>,
}

/// All that is known of an endpoint, under one lock.
#[derive(Debug, Default)]
struct State {
    name: String,
    usual: Behaviour,
    by_path: HashMap<String, Behaviour>,
    requests_per_connection: Option<usize>,
    idle_timeout: Option<Duration>,
    releases: usize,
    is_refusing: bool,
    is_stopping: bool,
    connections: Vec<Record>,
    requests: Vec<Received>,
    threads: Vec<JoinHandle<()>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// On which connection, counted from 0.
    pub(crate) connection: usize,
    /// Its head as it came, with the empty line.
    pub(crate) head: String,
    /// Its body so far, decoded.
    pub(crate) body: Vec<u8>,
    /// Its trailers.
    pub(crate) trailers: Fields,
    /// Whether all of it is here.
    pub(crate) progress: Progress,
}

/// How much of a request has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Its head, and perhaps some of its body.
    Begun,
    /// All of it.
    Whole,
    /// The connection ended before its end.
    CutShort,
}

impl Received {
    /// The first field of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        message::field(&self.headers(), name).map(str::to_owned)
    }

    /// All fields in the order received, names as written.
    pub(crate) fn headers(&self) -> Fields {
        message::fields_of(&self.head)
    }

    /// Its first line.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    fn path(&self) -> &str {
        let target = self.line().split(' ').nth(1).unwrap_or_default();
        target.split('?').next().unwrap_or_default()
    }
}

impl Endpoint {
    /// Answers everything with 200 and its name, on a free port.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_at(name, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// The same at this address: one that comes back where it was.
    pub(crate) fn start_at(name: &str, address: SocketAddr) -> Self {
        let socket = TcpListener::bind(address)
            .unwrap_or_else(|error| panic!("could not bind {address}: {error}"));
        let address = socket.local_addr().unwrap();
        let state = Arc::new(Watched::new(State {
            name: name.to_owned(),
            ..State::default()
        }));
        let accepted = Arc::clone(&state);
        let accept = thread::spawn(move || accept(&socket, &accepted));
        Self {
            address,
            state,
            accept: Some(accept),
        }
    }

    /// The same with this behaviour from the start.
    pub(crate) fn behaving(name: &str, behaviour: Behaviour) -> Self {
        let endpoint = Self::start(name);
        endpoint.behave(behaviour);
        endpoint
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Behaves like this from the next request on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.state.change(|state| state.usual = behaviour);
    }

    /// Behaves like this for one path (without its query): for probes beside ordinary requests.
    pub(crate) fn behave_at(&self, path: &str, behaviour: Behaviour) {
        self.state
            .change(|state| state.by_path.insert(path.to_owned(), behaviour));
    }

    /// Closes each connection after so many requests.
    pub(crate) fn close_after(&self, requests: usize) {
        self.state
            .change(|state| state.requests_per_connection = Some(requests));
    }

    /// Closes connections that bring no request for so long.
    pub(crate) fn idle_timeout(&self, limit: Duration) {
        self.state.change(|state| state.idle_timeout = Some(limit));
    }

    /// Lets one waiting [`Step::AwaitRelease`] go on, or the next that comes to wait.
    pub(crate) fn release(&self) {
        self.state
            .change(|state| state.releases = state.releases.saturating_add(1));
    }

    /// Lets all go on, now and later.
    pub(crate) fn release_all(&self) {
        self.state.change(|state| state.releases = usize::MAX);
    }

    /// All requests so far, in the order their heads arrived.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.state.read(|state| state.requests.clone())
    }

    /// The requests so far for this path.
    pub(crate) fn requests_to(&self, path: &str) -> Vec<Received> {
        let mut requests = self.requests();
        requests.retain(|request| request.path() == path);
        requests
    }

    /// Waits until the heads of so many requests have arrived.
    pub(crate) fn wait_for_requests(&self, count: usize) -> Vec<Received> {
        self.wait_for_request_list(&format!("{count} requests"), |requests| {
            requests.len() >= count
        })
    }

    /// Waits until so many requests have been read whole.
    pub(crate) fn wait_for_whole_requests(&self, count: usize) -> Vec<Received> {
        let is_whole = |request: &&Received| request.progress == Progress::Whole;
        self.wait_for_request_list(&format!("{count} whole requests"), |requests| {
            requests.iter().filter(is_whole).count() >= count
        })
    }

    /// Waits until the requests so far are as wished.
    pub(crate) fn wait_for_request_list(
        &self,
        what: &str,
        is_reached: impl Fn(&[Received]) -> bool,
    ) -> Vec<Received> {
        let what = format!("{what} at {}", self.state.read(|state| state.name.clone()));
        self.state.wait_for(&what, |state| {
            is_reached(&state.requests).then(|| state.requests.clone())
        })
    }

    /// How many connections were accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.read(|state| state.connections.len())
    }

    /// How many connections the other side has not ended.
    pub(crate) fn open_connections(&self) -> usize {
        self.state.read(|state| {
            state
                .connections
                .iter()
                .filter(|one| one.end.is_none())
                .count()
        })
    }

    /// Waits until so many connections were accepted.
    pub(crate) fn wait_for_connections(&self, count: usize) {
        self.state
            .wait_for(&format!("{count} connections"), |state| {
                (state.connections.len() >= count).then_some(())
            });
    }

    /// Waits until the other side has ended this connection.
    pub(crate) fn wait_for_end(&self, connection: usize) -> End {
        self.state
            .wait_for(&format!("the end of connection {connection}"), |state| {
                state.connections.get(connection)?.end
            })
    }

    /// What arrived on this connection, framing included; the first MiB of it.
    pub(crate) fn arrived(&self, connection: usize) -> Vec<u8> {
        self.state
            .read(|state| state.connections[connection].arrived.clone())
    }

    /// How many octets of its answers the other side has let this connection write.
    pub(crate) fn written_bytes(&self, connection: usize) -> u64 {
        self.state
            .read(|state| state.connections[connection].written_bytes)
    }

    /// Waits until the other side has let this connection write so many octets in all: the count follows the write, so
    /// a client may have them a moment earlier.
    pub(crate) fn wait_for_written_bytes(&self, connection: usize, count: u64) {
        self.state
            .wait_for(&format!("{count} octets to be written"), |state| {
                let record = state.connections.get(connection)?;
                (record.written_bytes >= count).then_some(())
            });
    }

    /// Refuses new connections; those that are open go on.
    pub(crate) fn stop_listening(&mut self) {
        let Some(accept) = self.accept.take() else {
            return;
        };
        self.state.change(|state| state.is_refusing = true);
        // Wakes the thread out of `accept`; it sees that it is to stop, and closes its socket.
        TcpStream::connect(self.address).ok();
        let joined = accept.join();
        assert!(joined.is_ok() || thread::panicking(), "accepting panicked");
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop_listening();
        let threads = self.state.change(|state| {
            state.is_stopping = true;
            for socket in state
                .connections
                .iter()
                .filter_map(|one| one.socket.as_ref())
            {
                socket.shutdown(Shutdown::Both).ok();
            }
            std::mem::take(&mut state.threads)
        });
        let joined: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
        assert!(
            joined.iter().all(Result::is_ok) || thread::panicking(),
            "a connection of the endpoint panicked"
        );
    }
}

fn accept(socket: &TcpListener, state: &Arc<Watched<State>>) {
    loop {
        let Ok((stream, _)) = socket.accept() else {
            return;
        };
        if state.read(|state| state.is_refusing) {
            return;
        }
        connection::start(stream, state);
    }
}

/// An address that refuses connections for as long as this lives: bound, so that nobody else takes it, and never
/// listening.
#[derive(Debug)]
pub(crate) struct Refusing(Socket);

impl Refusing {
    /// A port that refuses.
    pub(crate) fn start() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).unwrap();
        Self(socket)
    }

    /// The address.
    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.0.local_addr().unwrap();
        address.as_socket().expect("it was bound to one")
    }
}
