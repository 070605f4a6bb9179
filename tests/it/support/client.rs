//! A raw HTTP/1.1 client: writes the bytes it is given, reads responses by their framing, keeps its connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::message::{self, Fields, Framing};
use super::wait::DEADLINE;

/// A GET of `path` on a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> Response {
    Client::connect(address).get(path)
}

/// These very bytes on a connection of their own, and the response to them.
pub(crate) fn request(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Response {
    Client::connect(address).request(bytes)
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    awaits_bodiless: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In order.
    Fin,
    /// By a reset.
    Reset,
}

impl Client {
    /// A new connection.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)
            .unwrap_or_else(|error| panic!("could not connect to {address}: {error}"));
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
            awaits_bodiless: false,
        }
    }

    /// The same connection once more, for a thread that writes while another reads.
    pub(crate) fn twin(&self) -> Self {
        Self {
            stream: BufReader::new(self.stream.get_ref().try_clone().unwrap()),
            awaits_bodiless: false,
        }
    }

    /// This end's address.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().unwrap()
    }

    /// GET, kept alive.
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.request(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }

    /// Sends these bytes and reads the response to them.
    pub(crate) fn request(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.send(bytes);
        self.response()
    }

    /// Sends these bytes, whole requests or parts of one.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes)
            .unwrap_or_else(|error| panic!("could not send: {error}"));
    }

    /// Sends these bytes; the error where the other side no longer takes them.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let bytes = bytes.as_ref();
        // The answers to HEAD have no body whatever their fields say (RFC 9112 §6.3). Of pipelined requests only the
        // first is looked at.
        self.awaits_bodiless =
            bytes.starts_with(b"HEAD ") || (self.awaits_bodiless && !bytes.starts_with(b"GET "));
        self.stream.get_mut().write_all(bytes)
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub(crate) fn finish_sending(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Leaves with a reset.
    pub(crate) fn reset(self) {
        SockRef::from(self.stream.get_ref())
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Reads one response, with the interim ones before it.
    ///
    /// # Panics
    /// When no whole head comes; a body that is cut short only makes the response incomplete.
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        let framing = match response.status {
            101 | 204 | 304 => Framing::Empty,
            _ if self.awaits_bodiless => Framing::Empty,
            _ => Framing::of(&response.headers, Framing::UntilClose),
        };
        let body = &mut response.body;
        let read = message::read_body(&mut self.stream, framing, |piece| {
            body.extend_from_slice(piece);
            Ok(())
        });
        match read {
            Ok(trailers) => response.trailers = trailers,
            Err(error) => response.cut_short = Some(error.to_string()),
        }
        response
    }

    /// Reads the head of a response, with the interim ones before it, and leaves its body to be read: with
    /// [`Client::read_exact`] as it was framed.
    pub(crate) fn head(&mut self) -> Response {
        let mut interim = Vec::new();
        loop {
            let mut response = self.one_head();
            if (100..200).contains(&response.status) && response.status != 101 {
                interim.push(response);
                continue;
            }
            response.interim = interim;
            return response;
        }
    }

    /// Reads one head as it comes, interim or not.
    pub(crate) fn one_head(&mut self) -> Response {
        match message::read_head(&mut self.stream) {
            Ok(Some(head)) => Response::of(&head),
            Ok(None) => panic!("the connection ended without a response"),
            Err(error) => panic!("no response: {error}"),
        }
    }

    /// Reads exactly so many octets.
    pub(crate) fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream
            .read_exact(&mut bytes)
            .unwrap_or_else(|error| panic!("{count} octets did not come: {error}"));
        bytes
    }

    /// Reads until the other side ends the connection.
    pub(crate) fn read_to_end(&mut self) -> (Vec<u8>, End) {
        let mut bytes = Vec::new();
        loop {
            let length = match self.stream.fill_buf() {
                Ok([]) => return (bytes, End::Fin),
                Ok(piece) => {
                    bytes.extend_from_slice(piece);
                    piece.len()
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return (bytes, End::Reset);
                }
                Err(error) => panic!(
                    "the connection did not end: {error}, after {:?}",
                    String::from_utf8_lossy(&bytes)
                ),
            };
            self.stream.consume(length);
        }
    }
}

/// A response as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    /// `HTTP/1.1`.
    pub(crate) version: String,
    /// `200`.
    pub(crate) status: u16,
    /// `OK`.
    pub(crate) reason: String,
    /// In the order received, names as written.
    pub(crate) headers: Fields,
    /// Decoded.
    pub(crate) body: Vec<u8>,
    /// In the order received, names as written.
    pub(crate) trailers: Fields,
    /// The 1xx responses that came before it.
    pub(crate) interim: Vec<Self>,
    /// Why the body is not whole.
    pub(crate) cut_short: Option<String>,
}

impl Response {
    fn of(head: &str) -> Self {
        let mut first = head.lines().next().unwrap_or_default().splitn(3, ' ');
        let mut word = || first.next().unwrap_or_default().to_owned();
        let (version, status, reason) = (word(), word(), word());
        Self {
            version,
            status: status
                .parse()
                .unwrap_or_else(|_| panic!("no status in {head:?}")),
            reason,
            headers: message::fields_of(head),
            ..Self::default()
        }
    }

    /// The first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        message::field(&self.headers, name)
    }

    /// All headers of this name, in any case, in order.
    pub(crate) fn headers_named(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }
}
