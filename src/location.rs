//! Where an endpoint answers: an IP address with its port, or a unix socket. What is not resolved yet is a name, and not
//! here.
//!
//! Its text is the same everywhere it is read and written: in the configuration, in metrics, logs, the status, and in the
//! path by which an endpoint is drained.

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// What a unix socket begins with.
pub const UNIX: &str = "unix:";

/// Octets of a unix socket's path, at most: what fits into `sockaddr_un` with the NUL at its end.
pub const MAX_UNIX_PATH: usize = 107;

/// Where an endpoint answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Location {
    /// An IP address with its port.
    Ip(SocketAddr),
    /// A unix socket.
    Unix(UnixPath),
}

/// The path of a unix socket; with an `@` at its beginning a name without a file (abstract, unix(7)).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixPath(Arc<str>);

impl Location {
    /// The IP address with its port, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl UnixPath {
    /// A path, if it can be one.
    #[must_use]
    pub fn new(path: &str) -> Option<Self> {
        let is_fit = !matches!(path, "" | "@") && path.len() <= MAX_UNIX_PATH;
        (is_fit && !path.contains('\0')).then(|| Self(path.into()))
    }

    /// As it is written, without `unix:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As the kernel takes it: an abstract name begins with a NUL.
    #[must_use]
    pub fn to_path(&self) -> PathBuf {
        match self.0.strip_prefix('@') {
            Some(name) => {
                let mut octets = vec![0];
                octets.extend_from_slice(name.as_bytes());
                OsStr::from_bytes(&octets).into()
            }
            None => (&*self.0).into(),
        }
    }
}

impl From<SocketAddr> for Location {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl FromStr for Location {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.strip_prefix(UNIX) {
            Some(path) => UnixPath::new(path).map(Self::Unix).ok_or(()),
            None => text.parse().map(Self::Ip).map_err(|_| ()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_read_as_it_is_written() {
        for text in [
            "10.0.0.1:80",
            "[fd00::1]:80",
            "unix:/run/app.sock",
            "unix:@app",
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.1", "shop:80", "unix:", "unix:@", "/run/app.sock"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
        let longest = format!("unix:/{}", "a".repeat(MAX_UNIX_PATH - 1));
        assert!(longest.parse::<Location>().is_ok());
        assert!(format!("{longest}a").parse::<Location>().is_err());
    }

    #[test]
    fn an_abstract_name_begins_with_a_nul_for_the_kernel() {
        let abstracted = UnixPath::new("@app").unwrap().to_path();
        assert_eq!(abstracted.as_os_str().as_bytes(), b"\0app");
        let path = UnixPath::new("/run/app.sock").unwrap();
        assert_eq!(path.to_path(), PathBuf::from("/run/app.sock"));
    }
}
