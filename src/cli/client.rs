//! A small client of the admin address, for the commands that ask a running fiel.
//!
//! One connection and one deadline for each question: what is asked is small, and a fiel that was restarted is another
//! peer. What can be mended by waiting is told apart from what cannot.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::admin::Token;
use crate::cli::failure::Failure;
use crate::cli::plain::plain;

/// For connecting, asking and the whole answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// No answer of an admin address is that long.
const MAX_BYTES: usize = 64 << 20;

/// Whom to ask, as typed.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Whom {
    /// The admin address of a running fiel: IP:PORT, NAME:PORT or unix:PATH
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9901")]
    admin: Address,
    /// The file with the token, as in `admin.tokenFile`
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
}

/// Where an admin address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A host and a port.
    Tcp(Authority),
    /// The path of a socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const WANTED: &str =
            "write IP:PORT, NAME:PORT or unix:PATH, such as 127.0.0.1:9901 or [::1]:9901";
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.is_empty() {
                true => Err(format!("it names no socket; {WANTED}")),
                false => Ok(Self::Unix(PathBuf::from(path))),
            };
        }
        if text.starts_with("https://") {
            return Err("admin addresses do not speak TLS; write http://, or nothing".to_owned());
        }
        let bare = text.strip_prefix("http://").unwrap_or(text);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        let authority: Authority = bare.parse().map_err(|_| WANTED.to_owned())?;
        if authority.host().is_empty() || bare.contains('@') {
            return Err(WANTED.to_owned());
        }
        match authority.port_u16() {
            None | Some(0) => Err(format!("it has no port; {WANTED}")),
            Some(_) => Ok(Self::Tcp(authority)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(authority) => authority.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It may pass: nobody is there, or not in time.
    Passing(String),
    /// It will be the same next time.
    Lasting(String),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let (Trouble::Passing(text) | Trouble::Lasting(text)) = trouble;
        Self::Wrong(format!("error: {text}"))
    }
}

/// Asks one admin address.
#[derive(Debug)]
pub(crate) struct Client {
    address: Address,
    token: Option<HeaderValue>,
}

impl Client {
    /// Takes the address, and reads the token where one is to be brought.
    ///
    /// # Errors
    /// [`Failure::Usage`] when the token file cannot be read or holds no token.
    pub(crate) fn try_new(whom: &Whom) -> Result<Self, Failure> {
        let token = whom.token_file.as_deref().map(bearer).transpose()?;
        Ok(Self {
            address: whom.admin.clone(),
            token,
        })
    }

    /// Whom it asks.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The answer to a GET of this path.
    ///
    /// # Errors
    /// [`Trouble`], with what to do about it.
    pub(crate) async fn get(&self, path: &'static str) -> Result<Vec<u8>, Trouble> {
        self.ask_in_time(Method::GET, path).await
    }

    /// The answer to a POST to this path, which gives an order.
    ///
    /// # Errors
    /// [`Trouble`], with what to do about it.
    pub(crate) async fn post(&self, path: &'static str) -> Result<Vec<u8>, Trouble> {
        self.ask_in_time(Method::POST, path).await
    }

    async fn ask_in_time(&self, method: Method, path: &'static str) -> Result<Vec<u8>, Trouble> {
        match tokio::time::timeout(DEADLINE, self.ask(method, path)).await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::Passing(format!(
                "{} did not answer within {} s\n\n  \
                 remedy: is it an admin address? Is fiel overloaded, or stopped?",
                self.address,
                DEADLINE.as_secs()
            ))),
        }
    }

    async fn ask(&self, method: Method, path: &'static str) -> Result<Vec<u8>, Trouble> {
        let unreachable = |error| self.unreachable(&error);
        match &self.address {
            Address::Tcp(authority) => {
                let host = authority.host().trim_matches(['[', ']']);
                let port = authority.port_u16().unwrap_or(0);
                let stream = TcpStream::connect((host, port)).await;
                self.over(stream.map_err(unreachable)?, method, path).await
            }
            Address::Unix(socket) => {
                let stream = UnixStream::connect(as_the_system_writes(socket)).await;
                self.over(stream.map_err(unreachable)?, method, path).await
            }
        }
    }

    async fn over<S>(
        &self,
        stream: S,
        method: Method,
        path: &'static str,
    ) -> Result<Vec<u8>, Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(&error))?;
        // Ends with the answer, or with this question.
        let driven = Driven(tokio::spawn(async move {
            // What goes wrong with it is told to whoever waits for the answer.
            connection.await.ok();
        }));
        let response = sender
            .send_request(self.request(method, path))
            .await
            .map_err(|error| self.broken(&error))?;
        let status = response.status();
        let body = self.body(response).await?;
        drop(driven);
        match status {
            StatusCode::OK => Ok(body),
            refused => Err(self.refused(refused, path, &body)),
        }
    }

    fn request(&self, method: Method, path: &'static str) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        *request.uri_mut() = http::Uri::from_static(path);
        let host = match &self.address {
            Address::Tcp(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            Address::Unix(_) => None,
        };
        let headers = request.headers_mut();
        headers.insert(HOST, host.unwrap_or(HeaderValue::from_static("localhost")));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.extend(self.token.clone().map(|token| (AUTHORIZATION, token)));
        request
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Vec<u8>, Trouble> {
        let mut body = response.into_body();
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken(&error))?;
            whole.extend(frame.into_data().unwrap_or_default());
            if whole.len() > MAX_BYTES {
                let text = format!("the answer of {} has no end", self.address);
                return Err(Trouble::Lasting(text));
            }
        }
        Ok(whole)
    }

    fn unreachable(&self, error: &std::io::Error) -> Trouble {
        Trouble::Passing(format!(
            "could not reach fiel at {}: {error}\n\n  \
             remedy: is `fiel run` running? Its admin address is what `admin.bind` says, 127.0.0.1:9901 where it says\n  \
             nothing, and the log names it (\"Admin listening\"): give it with `--admin ADDR`",
            self.address
        ))
    }

    fn broken(&self, error: &hyper::Error) -> Trouble {
        Trouble::Passing(format!(
            "{} broke off, or does not speak HTTP: {error}\n\n  \
             remedy: is it the admin address? The log of fiel names it (\"Admin listening\")",
            self.address
        ))
    }

    fn refused(&self, status: StatusCode, path: &str, body: &[u8]) -> Trouble {
        let address = &self.address;
        let words = String::from_utf8_lossy(body);
        let words = plain(words.lines().next().unwrap_or(""));
        let text = match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, None) => format!(
                "{address} wants the token (401)\n\n  \
                 remedy: give the file that `admin.tokenFile` names: `--token-file PATH`"
            ),
            (StatusCode::UNAUTHORIZED, Some(_)) => format!(
                "{address} does not know this token (401)\n\n  \
                 remedy: give the file that its `admin.tokenFile` names; after a change of that file, reload it first"
            ),
            (StatusCode::FORBIDDEN, _) => format!(
                "{address} refuses to be asked (403): {words}\n\n  \
                 remedy: ask by IP address, or list the name under `admin.hosts`; other than on loopback it needs\n  \
                 `admin.tokenFile`"
            ),
            (StatusCode::NOT_FOUND, _) => format!(
                "{address} has no {path} (404)\n\n  \
                 remedy: give the address of `admin.bind`; `admin.readBind` answers /livez, /readyz and /metrics only,\n  \
                 and a listener is no admin address"
            ),
            (status, _) => format!("{address} answered {} to {path}: {words}", status.as_u16()),
        };
        match status.is_server_error() {
            true => Trouble::Passing(text),
            false => Trouble::Lasting(text),
        }
    }
}

/// A name without a file (`@name`) begins with a zero octet, where the system connects to it.
fn as_the_system_writes(socket: &Path) -> Cow<'_, Path> {
    match socket.as_os_str().as_bytes().strip_prefix(b"@") {
        None => Cow::Borrowed(socket),
        Some(name) => {
            let octets = [b"\0", name].concat();
            Cow::Owned(PathBuf::from(OsString::from_vec(octets)))
        }
    }
}

/// A connection that is driven for as long as this lives.
struct Driven(tokio::task::JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn bearer(path: &Path) -> Result<HeaderValue, Failure> {
    Token::read(path)
        .map(|token| token.bearer())
        .map_err(|error| {
            Failure::Usage(format!(
                "error: could not read the token from {}: {error}\n\n  \
                 remedy: give `--token-file` the file that `admin.tokenFile` names",
                path.display()
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_read_as_it_is_usually_written() {
        for (text, wanted) in [
            ("127.0.0.1:9901", "127.0.0.1:9901"),
            ("http://127.0.0.1:9901/", "127.0.0.1:9901"),
            ("[::1]:9901", "[::1]:9901"),
            ("localhost:9901", "localhost:9901"),
            ("unix:/run/fiel.sock", "unix:/run/fiel.sock"),
        ] {
            let address = text.parse::<Address>().map(|address| address.to_string());
            assert_eq!(address.as_deref(), Ok(wanted));
        }
        for (text, part) in [
            ("127.0.0.1", "no port"),
            ("127.0.0.1:0", "no port"),
            (":9901", "write IP:PORT"),
            ("a@b:9901", "write IP:PORT"),
            ("https://a:9901", "TLS"),
            ("unix:", "no socket"),
            ("a b:1", "write IP:PORT"),
            ("", "write IP:PORT"),
        ] {
            let told = text.parse::<Address>().unwrap_err();
            assert!(told.contains(part), "{text:?}: {told}");
        }
    }
}
