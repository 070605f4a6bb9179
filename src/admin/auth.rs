//! Who may ask: the token, the hosts by which an admin address may be called, and what web pages may not do.
//!
//! A browser on the same host can reach a loopback address for any page that it shows. Such a page must not be able to
//! order anything (`Origin` and `Sec-Fetch-Site` betray it), nor to read anything by having a name of its own resolve
//! to this address (DNS rebinding: `Host` betrays it).

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http::uri::Authority;
use http::{Method, StatusCode, Uri};
use tokio::sync::watch;

use crate::admin::reply::{self, Reply};
use crate::admin::token::{Token, only};
use crate::config::model::{self, Bind};

/// Who may ask what at one of the two admin addresses.
#[derive(Clone, Debug)]
pub struct Access {
    scope: Scope,
    rules: watch::Receiver<Rules>,
}

/// What is answered at an admin address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything, to those who can reach it so.
    Full(Reach),
    /// What may be read without a token.
    ReadOnly,
}

/// From where an address can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// From this host only, over its socket: there is no name by which it could be called.
    Socket,
    /// From this host only.
    Loopback,
    /// From elsewhere too.
    Network,
}

/// What a reload may change about who may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What the file of `admin.tokenFile` holds.
    pub token: Option<Token>,
    /// `admin.hosts`: names by which an admin address may be called.
    pub hosts: Vec<Arc<str>>,
}

impl Rules {
    /// The rules of a configuration; reads the token file.
    ///
    /// # Errors
    /// When there is a token file and it cannot be read, or holds no token.
    pub fn read(admin: &model::Admin) -> io::Result<Self> {
        Ok(Self {
            token: admin.token_file.as_deref().map(Token::read).transpose()?,
            hosts: admin.hosts.clone(),
        })
    }
}

impl Access {
    /// Everything, at a listener that is bound to this address (`admin.bind`). With a token every request that is no
    /// GET or HEAD needs it, and every request at all where the address is not a loopback one; without a token such an
    /// address answers nothing. A socket of this host is as a loopback address, but for names.
    #[must_use]
    pub fn full(bound: &Bind, rules: watch::Receiver<Rules>) -> Self {
        let reach = match bound {
            Bind::Unix(_) | Bind::Abstract(_) => Reach::Socket,
            Bind::Tcp(address) if address.ip().to_canonical().is_loopback() => Reach::Loopback,
            Bind::Tcp(_) => Reach::Network,
        };
        let scope = Scope::Full(reach);
        Self { scope, rules }
    }

    /// What may be read without a token, wherever that is bound (`admin.readBind`).
    #[must_use]
    pub fn read_only(rules: watch::Receiver<Rules>) -> Self {
        let scope = Scope::ReadOnly;
        Self { scope, rules }
    }

    /// What is answered at this address.
    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether this request may go on.
    pub(crate) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refused> {
        let rules = self.rules.borrow();
        let host = match self.scope {
            Scope::Full(Reach::Socket) => host(headers),
            Scope::Full(_) | Scope::ReadOnly => Some(called_by(uri, headers, &rules.hosts)?),
        };
        let Scope::Full(reach) = self.scope else {
            return Ok(());
        };
        let reads = matches!(*method, Method::GET | Method::HEAD);
        if !reads && is_foreign(headers, host.as_ref()) {
            return Err(Refused::Foreign);
        }
        match (&rules.token, reach) {
            (None, Reach::Socket | Reach::Loopback) => Ok(()),
            (None, Reach::Network) => Err(Refused::Unprotected),
            (Some(_), Reach::Socket | Reach::Loopback) if reads => Ok(()),
            (Some(token), _) if token.is_in(headers) => Ok(()),
            (Some(_), _) => Err(Refused::NoToken),
        }
    }
}

/// Why a request may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It calls this address by a name that is not its own.
    Host,
    /// Another web page sent it.
    Foreign,
    /// It lacks the token.
    NoToken,
    /// There is no token that it could bring.
    Unprotected,
}

impl Refused {
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Host => reply::text(
                StatusCode::FORBIDDEN,
                "this address answers to localhost, to IP addresses and to the names in admin.hosts only",
            ),
            Self::Foreign => reply::text(
                StatusCode::FORBIDDEN,
                "orders of another origin's pages are not taken",
            ),
            Self::NoToken => {
                reply::unauthorized("this needs the token: Authorization: Bearer TOKEN")
            }
            Self::Unprotected => reply::text(
                StatusCode::FORBIDDEN,
                "this address is not a loopback one, and admin.tokenFile is not set",
            ),
        }
    }
}

/// The host and port that the request calls, where both the target and `Host` (which may be given both, RFC 9112
/// §3.2.2) name an own one.
fn called_by(uri: &Uri, headers: &HeaderMap, hosts: &[Arc<str>]) -> Result<Authority, Refused> {
    let host = host(headers).ok_or(Refused::Host)?;
    let named = [Some(&host), uri.authority()];
    if named.into_iter().flatten().all(|name| is_own(name, hosts)) {
        Ok(host)
    } else {
        Err(Refused::Host)
    }
}

/// The one `Host`, where it can be read.
fn host(headers: &HeaderMap) -> Option<Authority> {
    let host = only(headers, &HOST).flatten()?;
    Authority::try_from(host.as_bytes()).ok()
}

fn is_own(authority: &Authority, hosts: &[Arc<str>]) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let literal = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    if literal.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    // Names below localhost are loopback names as well (RFC 6761 §6.3).
    name == "localhost"
        || name.ends_with(".localhost")
        || hosts.iter().any(|own| own.eq_ignore_ascii_case(&name))
}

/// Whether a browser says that another origin's page sends this.
fn is_foreign(headers: &HeaderMap, host: Option<&Authority>) -> bool {
    let same_origin = |origin: &HeaderValue| {
        let authority = origin.to_str().ok().and_then(|origin| {
            origin
                .strip_prefix("http://")
                .or(origin.strip_prefix("https://"))
        });
        let pair = authority.zip(host);
        pair.is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host.as_str()))
    };
    let same_site = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    !headers.get_all(ORIGIN).iter().all(same_origin)
        || !headers.get_all("sec-fetch-site").iter().all(same_site)
}

#[cfg(test)]
mod tests;
