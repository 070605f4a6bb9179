//! One connection of an endpoint: the thread that reads it into an inbox, and the one that runs the scripts.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::super::client::End;
use super::super::message::{self, Fields, Framing};
use super::super::wait::Watched;
use super::{Behaviour, Progress, Received, State, Step};

/// Octets read ahead of the script; beyond them the sender is pushed back.
const INBOX_BYTES: usize = 64 << 10;
/// Octets kept of what arrived, for tests to look at.
const RECORDED_BYTES: usize = 1 << 20;

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Record {
    /// Gone when this side has reset it: the reset goes out when the last owner lets go.
    pub(super) socket: Option<Arc<TcpStream>>,
    /// How it ended: by the other side, or by a reset of this one.
    pub(super) end: Option<End>,
    pub(super) arrived: Vec<u8>,
    pub(super) written_bytes: u64,
    inbox: VecDeque<u8>,
    intake: Intake,
}

/// What becomes of octets that arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    /// The script will read them.
    Kept,
    /// The script is over.
    ThrownAway,
}

/// Takes a new connection in.
pub(super) fn start(socket: TcpStream, state: &Arc<Watched<State>>) {
    socket.set_nodelay(true).ok();
    let socket = Arc::new(socket);
    let (for_reading, for_scripts) = (Arc::clone(state), Arc::clone(state));
    state.change(|known| {
        let id = known.connections.len();
        known.connections.push(Record {
            socket: Some(Arc::clone(&socket)),
            end: None,
            arrived: Vec::new(),
            written_bytes: 0,
            inbox: VecDeque::new(),
            intake: Intake::Kept,
        });
        let read_from = Arc::clone(&socket);
        let reading = thread::spawn(move || read(&read_from, id, &for_reading));
        let scripts = thread::spawn(move || run_scripts(id, socket, for_scripts));
        known.threads.extend([reading, scripts]);
    });
}

fn read(mut socket: &TcpStream, id: usize, state: &Watched<State>) {
    let mut piece = vec![0; 16 << 10];
    loop {
        // Nothing is read while the inbox is full: that is the back-pressure of an endpoint that does not read.
        state.wait(|state| {
            let record = &state.connections[id];
            let has_room = record.inbox.len() < INBOX_BYTES || record.intake == Intake::ThrownAway;
            (has_room || state.is_stopping).then_some(())
        });
        let end = match socket.read(&mut piece) {
            Ok(0) => Some(End::Fin),
            Ok(length) => {
                state.change(|state| state.connections[id].take(&piece[..length]));
                None
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(_) => Some(End::Reset),
        };
        if end.is_some() {
            state.change(|state| {
                let record = &mut state.connections[id];
                record.end = record.end.or(end);
            });
            return;
        }
    }
}

impl Record {
    fn take(&mut self, piece: &[u8]) {
        let recorded = piece
            .len()
            .min(RECORDED_BYTES.saturating_sub(self.arrived.len()));
        self.arrived.extend_from_slice(&piece[..recorded]);
        if self.intake == Intake::Kept {
            self.inbox.extend(piece);
        }
    }
}

/// What arrives, as the scripts read it.
struct Inbox {
    id: usize,
    state: Arc<Watched<State>>,
}

impl Read for Inbox {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let id = self.id;
        let result = self.state.wait(|state| {
            let record = &mut state.connections[id];
            if !record.inbox.is_empty() {
                return Some(record.inbox.read(buffer));
            }
            match record.end {
                Some(End::Fin) => Some(Ok(0)),
                Some(End::Reset) => Some(Err(io::ErrorKind::ConnectionReset.into())),
                None => None,
            }
        });
        // There may be room again.
        self.state.change(|_| ());
        result
    }
}

/// The scripts of one connection, request after request.
struct Scripts {
    id: usize,
    socket: Arc<TcpStream>,
    state: Arc<Watched<State>>,
    inbox: BufReader<Inbox>,
}

/// Where a request is while its steps are taken.
struct Current {
    index: usize,
    fields: Fields,
    framing: Framing,
    is_head: bool,
}

/// Whether the connection goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Request,
    Gone,
}

fn run_scripts(id: usize, socket: Arc<TcpStream>, state: Arc<Watched<State>>) {
    let inbox = BufReader::new(Inbox {
        id,
        state: Arc::clone(&state),
    });
    let mut scripts = Scripts {
        id,
        socket,
        state,
        inbox,
    };
    let mut served = 0;
    loop {
        match scripts.one_request() {
            // An error is the other side leaving in the midst of something: the record has it.
            Ok(Next::Gone) | Err(_) => break,
            Ok(Next::Request) => served += 1,
        }
        let limit = scripts.state.read(|state| state.requests_per_connection);
        if limit.is_some_and(|limit| served >= limit) {
            break;
        }
    }
    scripts.finish();
}

impl Scripts {
    fn one_request(&mut self) -> io::Result<Next> {
        if !self.has_next_in_time() {
            return Ok(Next::Gone);
        }
        let Some(head) = message::read_head(&mut self.inbox)? else {
            return Ok(Next::Gone);
        };
        let (mut current, behaviour) = self.record(head);
        for step in behaviour.0 {
            let next = self.take(step, &mut current);
            if next.is_err() {
                self.state
                    .change(|state| state.requests[current.index].cut_short());
            }
            if next? == Next::Gone {
                return Ok(Next::Gone);
            }
        }
        self.read_body(&mut current, |_| Ok(()))?;
        Ok(Next::Request)
    }

    /// Waits for the first octet of a request; none comes, or not within the idle timeout.
    fn has_next_in_time(&mut self) -> bool {
        if !self.inbox.buffer().is_empty() {
            return true;
        }
        let id = self.id;
        let limit = self.state.read(|state| state.idle_timeout);
        let arrives = |state: &mut State| {
            let record = &state.connections[id];
            (!record.inbox.is_empty() || record.end.is_some()).then_some(())
        };
        match limit {
            Some(limit) => self.state.wait_within(limit, arrives).is_some(),
            None => {
                self.state.wait(arrives);
                true
            }
        }
    }

    fn record(&self, head: String) -> (Current, Behaviour) {
        let fields = message::fields_of(&head);
        let framing = Framing::of(&fields, Framing::Empty);
        let request = Received {
            connection: self.id,
            head,
            body: Vec::new(),
            trailers: Fields::new(),
            progress: if framing == Framing::Empty {
                Progress::Whole
            } else {
                Progress::Begun
            },
        };
        let is_head = request.line().starts_with("HEAD ");
        self.state.change(|state| {
            let by_path = state.by_path.get(request.path());
            let mut behaviour = by_path.unwrap_or(&state.usual).clone();
            if behaviour.0.is_empty() {
                behaviour = Behaviour::name();
            }
            state.requests.push(request);
            let index = state.requests.len() - 1;
            let current = Current {
                index,
                fields,
                framing,
                is_head,
            };
            (current, behaviour)
        })
    }

    fn take(&mut self, step: Step, current: &mut Current) -> io::Result<Next> {
        match step {
            Step::ReadBody => self.read_body(current, |_| Ok(()))?,
            Step::Write(bytes) => self.write(&bytes)?,
            Step::WriteName => self.write_name(current)?,
            Step::Echo => self.echo(current)?,
            Step::AwaitRelease => return Ok(self.await_release()),
            Step::Pause(pause) => return Ok(self.pause(pause)),
            Step::Tunnel => {
                self.tunnel()?;
                return Ok(Next::Gone);
            }
            Step::Finish => return Ok(Next::Gone),
            Step::Reset => {
                SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO))?;
                return Ok(Next::Gone);
            }
        }
        Ok(Next::Request)
    }

    /// Reads what is left of the request, into its record and `also`.
    fn read_body(
        &mut self,
        current: &mut Current,
        mut also: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let framing = std::mem::replace(&mut current.framing, Framing::Empty);
        if framing == Framing::Empty {
            return Ok(());
        }
        let (state, index) = (Arc::clone(&self.state), current.index);
        let read = message::read_body(&mut self.inbox, framing, |piece| {
            state.change(|state| state.requests[index].body.extend_from_slice(piece));
            also(piece)
        });
        self.state.change(|state| match &read {
            Ok(trailers) => {
                state.requests[index].trailers.clone_from(trailers);
                state.requests[index].progress = Progress::Whole;
            }
            Err(_) => state.requests[index].cut_short(),
        });
        read.map(drop)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        write_counted(&self.socket, &self.state, self.id, bytes)
    }

    fn write_name(&self, current: &Current) -> io::Result<()> {
        let name = self.state.read(|state| state.name.clone());
        let length = name.len();
        let body = if current.is_head { "" } else { &name };
        self.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())
    }

    fn echo(&mut self, current: &mut Current) -> io::Result<()> {
        let announced = message::field(&current.fields, "trailer")
            .map(|names| format!("Trailer: {names}\r\n"))
            .unwrap_or_default();
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{announced}\r\n");
        self.write(head.as_bytes())?;
        let (socket, state, id) = (Arc::clone(&self.socket), Arc::clone(&self.state), self.id);
        self.read_body(current, |piece| {
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(piece);
            chunk.extend_from_slice(b"\r\n");
            write_counted(&socket, &state, id, &chunk)
        })?;
        let trailers: String = self.state.read(|state| {
            let trailers = state.requests[current.index].trailers.iter();
            trailers
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect()
        });
        self.write(format!("0\r\n{trailers}\r\n").as_bytes())
    }

    fn tunnel(&mut self) -> io::Result<()> {
        loop {
            let piece = self.inbox.fill_buf()?.to_vec();
            if piece.is_empty() {
                return Ok(());
            }
            self.write(&piece)?;
            self.inbox.consume(piece.len());
        }
    }

    fn await_release(&self) -> Next {
        let id = self.id;
        self.state.wait(|state| {
            if state.connections[id].end.is_some() || state.is_stopping {
                return Some(Next::Gone);
            }
            if state.releases == 0 {
                return None;
            }
            // All are released where the count is at its end.
            if state.releases != usize::MAX {
                state.releases -= 1;
            }
            Some(Next::Request)
        })
    }

    fn pause(&self, pause: Duration) -> Next {
        let id = self.id;
        let ended = self.state.wait_within(pause, |state| {
            (state.connections[id].end.is_some() || state.is_stopping).then_some(())
        });
        ended.map_or(Next::Request, |()| Next::Gone)
    }

    /// Ends this side: with a FIN, or a reset where lingering was switched off. What still arrives is thrown away, so
    /// that no octet left unread turns the FIN into a reset.
    fn finish(self) {
        let id = self.id;
        self.state.change(|state| {
            let record = &mut state.connections[id];
            record.intake = Intake::ThrownAway;
            record.inbox.clear();
        });
        if SockRef::from(&*self.socket).linger().ok().flatten() == Some(Duration::ZERO) {
            self.state.change(|state| {
                let record = &mut state.connections[id];
                record.end = record.end.or(Some(End::Reset));
                record.socket = None;
            });
            // Wakes the reading thread, so that it lets go of the socket as well.
            self.socket.shutdown(Shutdown::Read).ok();
        } else {
            self.socket.shutdown(Shutdown::Write).ok();
        }
    }
}

impl Received {
    fn cut_short(&mut self) {
        if self.progress == Progress::Begun {
            self.progress = Progress::CutShort;
        }
    }
}

/// Writes piece by piece, so that the count tells how much the other side has let through.
fn write_counted(
    mut socket: &TcpStream,
    state: &Watched<State>,
    id: usize,
    bytes: &[u8],
) -> io::Result<()> {
    for piece in bytes.chunks(16 << 10) {
        socket.write_all(piece)?;
        let length = piece.len() as u64;
        state.change(|state| state.connections[id].written_bytes += length);
    }
    Ok(())
}
