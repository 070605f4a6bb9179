//! The head of a request out of the octets of a connection (RFC 9112 §2 to §5), by `httparse`.
//!
//! Field values are parts of what was read, not copies of it. Which head makes a request that can be served, and which host
//! and path it asks for, is decided by those who read it; here it is a head or it is none.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri, Version};
use memchr::{memchr, memchr2, memmem};
use smallvec::SmallVec;

use crate::header::expect;
use crate::header::framing::{self, Framing};
use crate::header::list::members;
use crate::header::present::Present;
use crate::header::{spare, usual};

/// Fields that are read without an allocation.
const USUAL_FIELDS: usize = 100;

/// Fields that the proxy adds.
const ADDED: usize = 8;

/// How often a head is looked at before its end is here, so that a wrong one is told early.
const EARLY: u32 = 4;

/// The longest target that `http` can hold.
const TARGET: usize = u16::MAX as usize - 1;

/// What a head may be at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    pub(crate) octets: usize,
    pub(crate) fields: usize,
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) present: Present,
    /// Whether the client means to ask again over this connection (RFC 9112 §9.3).
    pub(crate) persists: bool,
    pub(crate) expects_continue: bool,
}

/// Why a head is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Malformed,
    TargetTooLong,
    TooLarge,
    VersionUnknown,
}

/// Takes a head from the front of what was read, if all of it is here, and puts it down; how its body is framed.
pub(super) fn read(
    read: &mut BytesMut,
    scanned: &mut usize,
    parsed: &mut u32,
    limits: &HeadLimits,
    found: &mut Option<Head>,
) -> Result<Option<Framing>, Unreadable> {
    if *scanned == 0 {
        // RFC 9112 §2.2: empty lines before a request are passed over.
        let empty = read
            .iter()
            .take_while(|octet| matches!(octet, b'\r' | b'\n'));
        let empty = empty.count();
        read.advance(empty);
    }
    if read.is_empty() {
        return Ok(None);
    }
    // Most heads come whole: the parser is asked at once.
    if *parsed > 0 && !ends(read, scanned) && *parsed > EARLY && read.len() <= limits.octets {
        return Ok(None);
    }
    *parsed += 1;
    let mut places = Places::new();
    let parsed = if limits.fields <= USUAL_FIELDS {
        let mut fields = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
        parse(read, &mut fields[..limits.fields], &mut places, limits)?
    } else {
        // As many as can stand in so many octets.
        let fields = limits.fields.min(read.len() / 2 + 1);
        let mut fields = vec![MaybeUninit::uninit(); fields];
        parse(read, &mut fields, &mut places, limits)?
    };
    let Some(parsed) = parsed else {
        return Ok(None);
    };
    let octets = read.split_to(parsed.octets).freeze();
    let head = found.insert(parsed.head(&octets, &mut places)?);
    let framing = framing::request(head.version, &head.headers, head.present);
    let framing = framing.unwrap_or_else(|_| {
        // Refused by those who read the head, and nothing behind it is read.
        head.persists = false;
        Framing::Empty
    });
    Ok(Some(framing))
}

/// Whether an empty line has been read; looks only at what is new.
pub(crate) fn ends(read: &[u8], scanned: &mut usize) -> bool {
    let fresh = &read[scanned.saturating_sub(3)..];
    *scanned = read.len();
    memmem::find(fresh, b"\n\r\n").is_some() || memmem::find(fresh, b"\n\n").is_some()
}

/// Where the parts of a head stand.
struct Parsed {
    octets: usize,
    method: Method,
    target: Range<usize>,
    version: Version,
}

/// The names of its fields, and where their values stand.
type Places = SmallVec<[(HeaderName, Range<u32>); 24]>;

fn parse<'o>(
    read: &'o [u8],
    fields: &mut [MaybeUninit<httparse::Header<'o>>],
    places: &mut Places,
    limits: &HeadLimits,
) -> Result<Option<Parsed>, Unreadable> {
    let mut request = httparse::Request::new(&mut []);
    let status = httparse::ParserConfig::default()
        .parse_request_with_uninit_headers(&mut request, read, fields)
        .map_err(|error| match error {
            httparse::Error::TooManyHeaders => Unreadable::TooLarge,
            httparse::Error::Version => version_fault(read),
            _ => Unreadable::Malformed,
        })?;
    let octets = match status {
        httparse::Status::Complete(octets) if octets <= limits.octets => octets,
        httparse::Status::Partial if read.len() <= limits.octets => return Ok(None),
        httparse::Status::Complete(_) | httparse::Status::Partial => {
            return Err(too_large(read, limits));
        }
    };
    // The parser has given all three where it is done.
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(Unreadable::Malformed);
    };
    if target.len() > TARGET {
        return Err(Unreadable::TargetTooLong);
    }
    let place = |part: &[u8]| {
        let start = part.as_ptr() as usize - read.as_ptr() as usize;
        start..start + part.len()
    };
    let narrow = |part: &[u8]| -> Result<Range<u32>, Unreadable> {
        let place = place(part);
        let narrow = |end| u32::try_from(end).map_err(|_| Unreadable::TooLarge);
        Ok(narrow(place.start)?..narrow(place.end)?)
    };
    for field in request.headers.iter() {
        let name = usual::named(field.name).map_err(|_| Unreadable::Malformed)?;
        places.push((name, narrow(field.value)?));
    }
    Ok(Some(Parsed {
        octets,
        method: Method::from_bytes(method.as_bytes()).map_err(|_| Unreadable::Malformed)?,
        target: place(target.as_bytes()),
        version: match version {
            0 => Version::HTTP_10,
            _ => Version::HTTP_11,
        },
    }))
}

/// A version that is one and is not spoken here, or something else (RFC 9112 §2.3, §3).
fn version_fault(head: &[u8]) -> Unreadable {
    let line = head.split(|octet| *octet == b'\n').next();
    let line = line.unwrap_or_default().trim_ascii_end();
    let mut words = line.split(|octet| *octet == b' ').skip(2);
    let is_version = match words.next() {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]) => {
            major.is_ascii_digit() && minor.is_ascii_digit() && words.next().is_none()
        }
        Some(_) | None => false,
    };
    if is_version {
        Unreadable::VersionUnknown
    } else {
        Unreadable::Malformed
    }
}

/// What is too large: the target, where the first line has not come to its end behind the method.
fn too_large(read: &[u8], limits: &HeadLimits) -> Unreadable {
    let begun = &read[..limits.octets.min(read.len())];
    match memchr2(b' ', b'\n', begun) {
        Some(end) if begun[end] == b' ' && memchr(b'\n', begun).is_none() => {
            Unreadable::TargetTooLong
        }
        Some(_) | None => Unreadable::TooLarge,
    }
}

impl Parsed {
    fn head(self, octets: &Bytes, places: &mut Places) -> Result<Head, Unreadable> {
        let target = octets.slice(self.target);
        let target = Uri::from_maybe_shared(target).map_err(|_| Unreadable::Malformed)?;
        // Room for what the proxy adds, so that the map need not grow.
        let mut headers = spare::take(places.len() + ADDED);
        let mut present = Present::default();
        for (name, value) in places.drain(..) {
            let value = octets.slice(value.start as usize..value.end as usize);
            let value = HeaderValue::from_maybe_shared(value).map_err(|_| Unreadable::Malformed)?;
            present.note(&name);
            headers.append(name, value);
        }
        let says = |option: &[u8]| {
            present.has(Present::CONNECTION)
                && members(&headers, CONNECTION).any(|member| member.eq_ignore_ascii_case(option))
        };
        let persists = match self.version {
            Version::HTTP_10 => says(b"keep-alive") && !says(b"close"),
            _ => !says(b"close"),
        };
        let expects_continue = present.has(Present::EXPECT)
            && self.version != Version::HTTP_10
            && expect::is_continue(&headers);
        Ok(Head {
            method: self.method,
            target,
            version: self.version,
            headers,
            present,
            persists,
            expects_continue,
        })
    }
}
