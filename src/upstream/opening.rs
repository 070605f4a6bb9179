//! What connections begin with to endpoints that are told who speaks to them: whose they are, and for how long.
//!
//! Such a connection belongs to one client's connection. It serves all requests of that, one after the other, and nobody
//! else's; when the client has gone, it is closed at the next look around.

use std::rc::{Rc, Weak};

use crate::config::model::ProxyVersion;
use crate::header::proxy_protocol::{Origin, encode};

/// Whose connections these are, and how that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Whose {
    version: ProxyVersion,
    origin: Option<Origin>,
}

impl Whose {
    pub(super) fn new(version: ProxyVersion, origin: Option<&Origin>) -> Self {
        let origin = origin.copied();
        Self { version, origin }
    }
}

/// What a connection begins with.
#[derive(Debug)]
pub(super) struct Opening {
    whose: Whose,
    /// Gone when the client's connection is; `None` for those that are nobody's.
    owner: Option<Weak<Origin>>,
}

impl Opening {
    pub(super) fn new(version: ProxyVersion, origin: Option<&Rc<Origin>>) -> Self {
        Self {
            whose: Whose::new(version, origin.map(|origin| &**origin)),
            owner: origin.map(Rc::downgrade),
        }
    }

    pub(super) fn version(&self) -> ProxyVersion {
        self.whose.version
    }

    /// The header.
    pub(super) fn octets(&self) -> Box<[u8]> {
        encode(self.whose.version, self.whose.origin).into()
    }

    /// Whether the client has gone whose connections these are.
    pub(super) fn is_orphaned(&self) -> bool {
        let owner = self.owner.as_ref();
        owner.is_some_and(|owner| owner.strong_count() == 0)
    }
}
