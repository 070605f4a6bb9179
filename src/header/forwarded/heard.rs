//! What a request says of its client, read once: who it is, in which scheme it came, and whether that can be meant.
//!
//! What is forwarded of it is decided in the door (`forwarded.rs`), whom to believe at all by the peer (`peer.rs`).

use std::net::IpAddr;

use http::HeaderMap;
use http::header::FORWARDED;

use crate::config::model::{Claims, ForwardedFields};
use crate::error::Kind;
use crate::header::forwarded::element::{self, Element, Elements, Faulty, address};
use crate::header::forwarded::names::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::header::forwarded::peer::{Peer, Scheme, Trust};
use crate::header::list::members_of;
use crate::header::network;

/// What a request says of its client, as far as the peer that sent it is believed.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    client: Option<IpAddr>,
    trust: Trust,
    said: Said,
    is_doubtful: bool,
}

/// What is said of the scheme.
#[derive(Clone, Copy, Debug)]
enum Said {
    Nothing,
    /// What stands in `Forwarded`.
    This(Scheme),
    /// What stands in `X-Forwarded-Proto`, which few want to know.
    InXForwarded,
}

/// Listens to a request as it came, before [`super::set`].
#[must_use]
pub fn hear(headers: &HeaderMap, peer: &Peer, claims: &Claims) -> Heard {
    let alone = Heard {
        client: peer.address,
        trust: peer.trust,
        said: Said::Nothing,
        is_doubtful: false,
    };
    if peer.trust == Trust::Untrusted {
        return alone;
    }
    let by = |walked: Option<Walked>, said| Heard {
        client: walked.map_or(peer.address, |walked| walked.client),
        // Past fewer proxies than there must be nobody knows who wrote it.
        trust: match walked.is_none() && claims.hops.is_some() {
            true => Trust::Untrusted,
            false => Trust::Trusted,
        },
        said,
        is_doubtful: false,
    };
    let is_there = claims.fields.has_rfc7239() && headers.contains_key(FORWARDED);
    if !is_there && claims.fields != ForwardedFields::Rfc7239 {
        return by(walk(x_entries(headers), peer, claims), Said::InXForwarded);
    }
    let Ok(elements) = elements(headers) else {
        return Heard {
            is_doubtful: true,
            ..by(None, Said::Nothing)
        };
    };
    let walked = walk(nodes(&elements), peer, claims);
    let told = walked.and_then(|walked| told(&elements, walked));
    let scheme = told.and_then(|one| Scheme::named(one.proto.as_deref()?));
    let heard = by(walked, scheme.map_or(Said::Nothing, Said::This));
    Heard {
        is_doubtful: claims.fields == ForwardedFields::Both
            && is_denied(headers, peer, claims, (walked, scheme, told)),
        ..heard
    }
}

impl Heard {
    /// The client's address: the peer itself or, behind trusted proxies, whom they have told of. There is none where the
    /// client is on a socket of this host.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// Whether what the peer says in this request is believed.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// The scheme that the client used: a trusted proxy may say so, and only in the words `http` and `https`. `headers` are
    /// those that were heard.
    #[must_use]
    pub fn scheme(&self, headers: &HeaderMap, own: Scheme) -> Scheme {
        let said = match (self.trust, self.said) {
            (Trust::Untrusted, _) | (Trust::Trusted, Said::Nothing) => None,
            (Trust::Trusted, Said::This(scheme)) => Some(scheme),
            (Trust::Trusted, Said::InXForwarded) => x_scheme(headers),
        };
        said.unwrap_or(own)
    }

    /// Looks whether what a trusted peer says of the client can be meant.
    ///
    /// # Errors
    /// [`Kind::MalformedRequest`] where `Forwarded` cannot be read, or `X-Forwarded-*` says otherwise: one of them was not
    /// written by the proxy but by its client, and which one cannot be known. To take either, or the proxy itself for the
    /// client, would let the client choose.
    pub fn check(&self) -> Result<(), Kind> {
        match self.is_doubtful {
            true => Err(Kind::MalformedRequest),
            false => Ok(()),
        }
    }
}

/// Where the walk back along a request's way has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Walked {
    /// The client, as far as is known.
    client: Option<IpAddr>,
    /// The entry that tells of it, counted from the last; none where there is no entry.
    entry: Option<usize>,
}

/// Walks back along the entries, the last first. `None` where a request has come past fewer proxies than it must have.
///
/// Where a proxy of ours passed on what is no address, that proxy is the last that is known; where all are ours, the first
/// is the client.
fn walk(
    entries: impl Iterator<Item = Option<IpAddr>>,
    peer: &Peer,
    claims: &Claims,
) -> Option<Walked> {
    let mut walked = Walked {
        client: peer.address,
        entry: None,
    };
    if let Some(hops) = claims.hops {
        let mut entries = entries;
        for index in 0..hops.get() {
            walked.entry = Some(index);
            walked.client = entries.next()?.or(walked.client);
        }
        return Some(walked);
    }
    for (index, node) in entries.enumerate() {
        walked.entry = Some(index);
        let Some(address) = node else {
            break;
        };
        walked.client = Some(address);
        if network::longest(&claims.trusted.networks, address).is_none() {
            break;
        }
    }
    Some(walked)
}

/// The entries of `X-Forwarded-For`, the last first.
pub(super) fn x_entries(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(&X_FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|octet| *octet == b','));
    hops.map(<[u8]>::trim_ascii)
        .filter(|hop| !hop.is_empty())
        .map(address)
}

/// The elements of `Forwarded`, the first first.
pub(super) fn elements(headers: &HeaderMap) -> Result<Elements<'_>, Faulty> {
    let mut elements = Elements::new();
    for line in headers.get_all(FORWARDED) {
        element::read(line.as_bytes(), &mut elements)?;
    }
    Ok(elements)
}

fn nodes(elements: &[Element<'_>]) -> impl Iterator<Item = Option<IpAddr>> {
    elements.iter().rev().map(|element| element.node)
}

/// The element in which the proxy that the client came to tells of it. What stands before it anybody may have written.
fn told<'e, 'v>(elements: &'e [Element<'v>], walked: Walked) -> Option<&'e Element<'v>> {
    elements.iter().rev().nth(walked.entry?)
}

pub(super) fn x_scheme(headers: &HeaderMap) -> Option<Scheme> {
    let first = members_of(headers.get(&X_FORWARDED_PROTO)?).next()?;
    Scheme::named(first)
}

/// Whether `X-Forwarded-*`, where there is any of it, says otherwise than `Forwarded`.
fn is_denied(
    headers: &HeaderMap,
    peer: &Peer,
    claims: &Claims,
    (walked, scheme, told): (Option<Walked>, Option<Scheme>, Option<&Element<'_>>),
) -> bool {
    let others = [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST];
    if !others.iter().any(|one| headers.contains_key(*one)) {
        return false;
    }
    let x_walked = walk(x_entries(headers), peer, claims);
    let host = told.and_then(|one| one.host.as_deref());
    let x_host = headers
        .get(&X_FORWARDED_HOST)
        .and_then(|line| members_of(line).next());
    let client = |walked: Option<Walked>| walked.map(|walked| walked.client);
    client(walked) != client(x_walked)
        || scheme != x_scheme(headers)
        || host.map(<[u8]>::to_ascii_lowercase) != x_host.map(<[u8]>::to_ascii_lowercase)
}
