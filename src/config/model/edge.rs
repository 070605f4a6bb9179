//! What a listener has towards its clients: where it listens, whom it believes what about them.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bind {
    /// At an address and a port. Port 0 takes any free port, which only tests want.
    Tcp(SocketAddr),
    /// At a socket in the file system.
    Unix(Arc<Path>),
    /// At a socket that has a name and no file, which Linux knows.
    Abstract(Arc<str>),
}

impl Bind {
    /// The address and the port, where it has them.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) | Self::Abstract(_) => None,
        }
    }
}

/// As it stands in a configuration.
impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

/// Who may connect to a socket in the file system: the rights on its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketRights {
    /// Its permissions. Default 0660 for a listener, 0600 for the admin address.
    pub mode: u32,
    /// Whose it is, a name or a number; by default the process's own user.
    pub owner: Option<Arc<str>>,
    /// Which group's it is, a name or a number; by default the process's own group.
    pub group: Option<Arc<str>>,
}

impl SocketRights {
    /// For the process's own user only, as it is for those who may give orders.
    #[must_use]
    pub fn private() -> Self {
        Self {
            mode: 0o600,
            ..Self::default()
        }
    }
}

impl Default for SocketRights {
    fn default() -> Self {
        Self {
            mode: 0o660,
            owner: None,
            group: None,
        }
    }
}

/// Some of those who connect to a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Those in these networks.
    pub networks: Vec<IpNet>,
    /// Those on sockets of this host, which have no addresses.
    pub unix: bool,
}

impl Peers {
    /// Whether these are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }
}

/// Who must begin with a header of the PROXY protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Nobody: it is not known.
    #[default]
    Off,
    /// Everybody.
    Everyone,
    /// These; everybody else speaks without one.
    From(Peers),
}

impl ProxyProtocol {
    /// Who must, in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Off => "nobody",
            Self::Everyone => "everybody",
            Self::From(_) => "some",
        }
    }
}

/// What is believed of the fields that say who the client is, and which of them are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Peers that are believed.
    pub trusted: Peers,
    /// So many of the last entries were made by proxies of ours, whatever their addresses; by default those are told by
    /// their addresses.
    pub hops: Option<NonZeroUsize>,
    /// Which fields are read and written.
    pub fields: ForwardedFields,
}

/// In which fields proxies tell each other who the client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedFields {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Rfc7239,
    /// Both, which must not contradict each other.
    Both,
}

impl ForwardedFields {
    /// Whether `X-Forwarded-*` is spoken.
    #[must_use]
    pub fn has_x_forwarded(self) -> bool {
        self != Self::Rfc7239
    }

    /// Whether `Forwarded` is spoken.
    #[must_use]
    pub fn has_rfc7239(self) -> bool {
        self != Self::XForwarded
    }
}
