//! The octets of a body out of the octets of a connection (RFC 9112 §6, §7.1): by length, or by chunks.
//!
//! Strict where two readers could differ: lines end with CRLF, a size has digits only and fits, and what is not body, the
//! extensions of chunks and the trailers, has a bound (hyper's pull request 3495: without one a client can burn
//! bandwidth for ever).

use bytes::{Buf, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use memchr::{memchr, memmem};

use crate::header::framing::Framing;

/// Octets of all chunk extensions of a body, at most.
const EXTENSIONS: usize = 16 << 10;

/// Octets and fields of the trailers, at most.
const TRAILERS: usize = 16 << 10;
const TRAILER_FIELDS: usize = 64;

/// Digits of a chunk's size, at most: more would not fit 64 bits (CVE-2021-32714).
const SIZE_DIGITS: usize = 16;

/// Where the reading of a body stands.
#[derive(Debug)]
pub(crate) enum Decoder {
    Done,
    Length(u64),
    Chunked(Chunks),
}

/// Where the reading of chunks stands.
#[derive(Debug)]
pub(crate) struct Chunks {
    part: Part,
    /// Octets of extensions so far.
    extensions: usize,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Size,
    Data(u64),
    /// The CRLF behind a chunk's data.
    DataEnd,
    Trailers,
}

/// What came out.
pub(crate) enum Decoded {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Nothing, before more is read.
    More,
    End,
}

/// The grammar is broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Faulty;

impl Decoder {
    pub(crate) fn of(framing: Framing) -> Self {
        match framing {
            Framing::Empty | Framing::Length(0) => Self::Done,
            Framing::Length(octets) => Self::Length(octets),
            Framing::Chunked => Self::Chunked(Chunks {
                part: Part::Size,
                extensions: 0,
            }),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Octets to come, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Done => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) => None,
        }
    }

    /// The next piece of the body, taken from the front of what was read.
    pub(crate) fn decode(&mut self, read: &mut BytesMut) -> Result<Decoded, Faulty> {
        let decoded = match self {
            Self::Done => Decoded::End,
            Self::Length(left) => match take(read, left) {
                Some(data) => {
                    if *left == 0 {
                        *self = Self::Done;
                    }
                    Decoded::Data(data)
                }
                None => Decoded::More,
            },
            Self::Chunked(chunks) => {
                let decoded = chunks.decode(read)?;
                if matches!(decoded, Decoded::End | Decoded::Trailers(_)) {
                    *self = Self::Done;
                }
                decoded
            }
        };
        Ok(decoded)
    }
}

impl Chunks {
    fn decode(&mut self, read: &mut BytesMut) -> Result<Decoded, Faulty> {
        loop {
            match &mut self.part {
                Part::Size => match self.size(read)? {
                    None => return Ok(Decoded::More),
                    Some(0) => self.part = Part::Trailers,
                    Some(octets) => self.part = Part::Data(octets),
                },
                Part::Data(left) => {
                    let Some(data) = take(read, left) else {
                        return Ok(Decoded::More);
                    };
                    if *left == 0 {
                        self.part = Part::DataEnd;
                    }
                    return Ok(Decoded::Data(data));
                }
                Part::DataEnd => {
                    if read.len() < 2 {
                        // A wrong octet is told at once.
                        return match read.first() {
                            None | Some(b'\r') => Ok(Decoded::More),
                            Some(_) => Err(Faulty),
                        };
                    }
                    if !read.starts_with(b"\r\n") {
                        return Err(Faulty);
                    }
                    read.advance(2);
                    self.part = Part::Size;
                }
                Part::Trailers => return trailers(read),
            }
        }
    }

    /// The size in a chunk's first line, when the whole line is here.
    fn size(&mut self, read: &mut BytesMut) -> Result<Option<u64>, Faulty> {
        let Some(end) = memchr(b'\n', read) else {
            let room = EXTENSIONS - self.extensions + SIZE_DIGITS;
            return if read.len() > room || !is_size_so_far(read) {
                Err(Faulty)
            } else {
                Ok(None)
            };
        };
        let line = read[..end].strip_suffix(b"\r").ok_or(Faulty)?;
        let digits = line
            .iter()
            .position(|octet| !octet.is_ascii_hexdigit())
            .unwrap_or(line.len());
        let (digits, extension) = line.split_at(digits);
        if !is_extension(extension) {
            return Err(Faulty);
        }
        self.extensions += extension.len();
        if self.extensions > EXTENSIONS {
            return Err(Faulty);
        }
        let size = hexadecimal(digits).ok_or(Faulty)?;
        read.advance(end + 1);
        Ok(Some(size))
    }
}

/// As much as there is, at most so many octets.
fn take(read: &mut BytesMut, left: &mut u64) -> Option<Bytes> {
    if read.is_empty() {
        return None;
    }
    let octets = usize::try_from(*left).map_or(read.len(), |left| left.min(read.len()));
    *left -= octets as u64;
    Some(read.split_to(octets).freeze())
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > SIZE_DIGITS {
        return None;
    }
    digits.iter().try_fold(0_u64, |size, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        size.checked_mul(16)?.checked_add(u64::from(digit))
    })
}

/// Whether the beginning of a line may still become a chunk's first one: a client that sends nonsense is told at once.
fn is_size_so_far(read: &[u8]) -> bool {
    match read.first() {
        None => true,
        Some(first) => first.is_ascii_hexdigit(),
    }
}

/// Nothing, or what begins with a semicolon, white space before it allowed (RFC 9112 §7.1.1), without control characters.
fn is_extension(text: &[u8]) -> bool {
    let begins = match text.trim_ascii_start().first() {
        None => text.is_empty(),
        Some(first) => *first == b';',
    };
    begins
        && text
            .iter()
            .all(|octet| *octet == b'\t' || !octet.is_ascii_control())
}

/// The fields behind the last chunk, when all of them are here.
fn trailers(read: &mut BytesMut) -> Result<Decoded, Faulty> {
    if read.starts_with(b"\r\n") {
        read.advance(2);
        return Ok(Decoded::End);
    }
    let Some(end) = memmem::find(read, b"\r\n\r\n") else {
        return if read.len() > TRAILERS {
            Err(Faulty)
        } else {
            Ok(Decoded::More)
        };
    };
    let end = end + 4;
    let mut lines = read[..end].split_inclusive(|octet| *octet == b'\n');
    if end > TRAILERS || !lines.all(|line| line.ends_with(b"\r\n")) {
        return Err(Faulty);
    }
    let mut fields = [httparse::EMPTY_HEADER; TRAILER_FIELDS];
    let Ok(httparse::Status::Complete((_, parsed))) =
        httparse::parse_headers(&read[..end], &mut fields)
    else {
        return Err(Faulty);
    };
    let mut trailers = HeaderMap::with_capacity(parsed.len());
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Faulty)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| Faulty)?;
        trailers.append(name, value);
    }
    read.advance(end);
    Ok(Decoded::Trailers(trailers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A body, its trailers, and what was left behind it.
    type Whole = (Vec<u8>, Option<HeaderMap>, Vec<u8>);

    /// All that comes out of these pieces, as far as it is right.
    fn decode(pieces: &[&[u8]]) -> Result<Whole, Faulty> {
        let mut decoder = Decoder::of(Framing::Chunked);
        let (mut read, mut body, mut trailers) = (BytesMut::new(), Vec::new(), None);
        for piece in pieces {
            read.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut read)? {
                    Decoded::Data(data) => body.extend_from_slice(&data),
                    Decoded::Trailers(fields) => trailers = Some(fields),
                    Decoded::More | Decoded::End => break,
                }
            }
        }
        assert!(decoder.is_done(), "{decoder:?}");
        Ok((body, trailers, read.to_vec()))
    }

    #[test]
    fn chunks_become_a_body_wherever_they_are_cut() {
        let whole = b"5\r\nhello\r\n1;a=b\r\n \r\n00005 ; x\r\nworld\r\n0\r\nX-Sum: 1\r\n\r\nGET";
        for cut in 0..whole.len() {
            let (first, second) = whole.split_at(cut);
            let (body, trailers, rest) = decode(&[first, second]).unwrap();
            assert_eq!(body, b"hello world", "cut at {cut}");
            assert_eq!(trailers.unwrap()["x-sum"], "1", "cut at {cut}");
            assert_eq!(rest, b"GET", "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_faulty() {
        for text in [
            &b"\r\n"[..],
            b"g\r\n",
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello0\r\n",
            b"5;\x00\r\nhello\r\n",
            b"5;a\rb\r\nhello\r\n",
            b"10000000000000000\r\n",
            b"00000000000000005\r\nhello\r\n",
            b"0\r\n\nX: y\r\n\r\n",
            b"0\r\nX: y\n\r\n\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\nX: a\x00\r\n\r\n",
        ] {
            assert_eq!(
                decode(&[text]).err(),
                Some(Faulty),
                "{}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn extensions_and_trailers_without_end_are_faulty() {
        let mut decoder = Decoder::of(Framing::Chunked);
        let mut read = BytesMut::from(&b"1;"[..]);
        read.extend_from_slice(&vec![b'x'; 2 * EXTENSIONS]);
        assert!(decoder.decode(&mut read).is_err());

        let chunk = [&b"1;"[..], &[b'x'; 1 << 10], b"\r\na\r\n"].concat();
        let mut decoder = Decoder::of(Framing::Chunked);
        let fault = (0..100).find(|_| {
            let mut read = BytesMut::from(&chunk[..]);
            (0..2).any(|_| decoder.decode(&mut read).is_err())
        });
        assert_eq!(fault, Some(15));

        let mut decoder = Decoder::of(Framing::Chunked);
        let mut read = BytesMut::from(&b"0\r\n"[..]);
        read.extend_from_slice("X: y\r\n".repeat(TRAILERS).as_bytes());
        assert!(decoder.decode(&mut read).is_err());
    }

    proptest! {
        #[test]
        fn any_body_in_any_chunks_cut_anywhere_comes_out_whole(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..8),
            size in 1_usize..50,
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            let (body, trailers, rest) = decode(&pieces).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert!(trailers.is_none() && rest.is_empty());
        }

        #[test]
        fn octets_of_any_kind_never_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = Decoder::of(Framing::Chunked);
            let mut read = BytesMut::from(&octets[..]);
            for _ in 0..octets.len() + 2 {
                match decoder.decode(&mut read) {
                    Ok(Decoded::Data(data)) => prop_assert!(!data.is_empty()),
                    Ok(_) | Err(Faulty) => break,
                }
            }
        }
    }
}
