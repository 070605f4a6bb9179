//! The messages of `grpc.health.v1`, in octets: so few that no library for protocol buffers is worth its weight.
//!
//! ```proto
//! message HealthCheckRequest { string service = 1; }
//! message HealthCheckResponse { ServingStatus status = 1; }
//! ```

use bytes::{BufMut as _, Bytes, BytesMut};

/// The method that is called.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// A message on the wire: whether it is compressed, its length in four octets, itself.
const PREFIX_BYTES: usize = 5;

/// Field 1, with a length before its octets.
const TEXT_1: u8 = 0x0a;

/// Field 1, a number.
const NUMBER_1: u64 = 0x08;

/// How an endpoint says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Not known, or a number that the protocol does not have.
    Unknown,
    /// It serves.
    Serving,
    /// It does not.
    NotServing,
    /// It has no such service.
    ServiceUnknown,
}

impl Health {
    /// Its name in the protocol.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        }
    }

    fn of(number: u64) -> Self {
        match number {
            1 => Self::Serving,
            2 => Self::NotServing,
            3 => Self::ServiceUnknown,
            _ => Self::Unknown,
        }
    }
}

/// The question about a service, as it goes onto the wire.
pub(super) fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(TEXT_1);
        put_varint(service.len(), &mut message);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    // A configuration is far below 4 GiB.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(&message);
    framed.freeze()
}

/// What an answer says; `None` if it is no single message of this kind.
pub(super) fn answer(framed: &[u8]) -> Option<Health> {
    let (prefix, message) = framed.split_at_checked(PREFIX_BYTES)?;
    let [compressed, length @ ..] = prefix else {
        return None;
    };
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if *compressed != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let mut rest = message;
    // A field that is left out has its first value.
    let mut health = Health::Unknown;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        if tag == NUMBER_1 {
            health = Health::of(varint(&mut rest)?);
        } else {
            skip(tag, &mut rest)?;
        }
    }
    Some(health)
}

/// Passes over a field that this version of the protocol does not have.
fn skip(tag: u64, rest: &mut &[u8]) -> Option<()> {
    let octets = match tag & 7 {
        0 => return varint(rest).map(drop),
        1 => 8,
        2 => varint(rest)?,
        5 => 4,
        _ => return None,
    };
    *rest = rest.get(usize::try_from(octets).ok()?..)?;
    Some(())
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (octet, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_varint(mut number: usize, out: &mut BytesMut) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.put_u8(low & 0x7f);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_names_its_service() {
        assert_eq!(&question("")[..], b"\0\0\0\0\0");
        assert_eq!(&question("shop.Cart")[..], b"\0\0\0\0\x0b\x0a\x09shop.Cart");
        let long = "x".repeat(200);
        let expected = [&b"\0\0\0\0\xcb\x0a\xc8\x01"[..], long.as_bytes()].concat();
        assert_eq!(question(&long), expected);
    }

    #[test]
    fn an_answer_is_read_whatever_else_it_holds() {
        let cases: &[(&[u8], Option<Health>)] = &[
            (b"\0\0\0\0\x02\x08\x01", Some(Health::Serving)),
            (b"\0\0\0\0\x02\x08\x02", Some(Health::NotServing)),
            (b"\0\0\0\0\x02\x08\x03", Some(Health::ServiceUnknown)),
            (b"\0\0\0\0\x02\x08\x09", Some(Health::Unknown)),
            (b"\0\0\0\0\0", Some(Health::Unknown)),
            // Fields of a later version: a number, eight octets, a text, four octets.
            (b"\0\0\0\0\x04\x10\x05\x08\x01", Some(Health::Serving)),
            (b"\0\0\0\0\x0b\x1112345678\x08\x01", Some(Health::Serving)),
            (b"\0\0\0\0\x06\x12\x02ab\x08\x01", Some(Health::Serving)),
            (b"\0\0\0\0\x07\x151234\x08\x01", Some(Health::Serving)),
            // Compressed, too short, too long, a field that breaks off, one of no known kind.
            (b"\x01\0\0\0\x02\x08\x01", None),
            (b"\0\0\0\0\x03\x08\x01", None),
            (b"\0\0\0\0\x01\x08\x01", None),
            (b"\0\0\0\0\x01\x08", None),
            (b"\0\0\0\0\x02\x12\x09", None),
            (b"\0\0\0\0\x02\x0f\x01", None),
            (b"\0\0\0", None),
            (b"", None),
        ];
        for (octets, health) in cases {
            assert_eq!(answer(octets), *health, "{octets:?}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_make_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            answer(&octets);
            let mut framed = vec![0, 0, 0, 0, u8::try_from(octets.len()).unwrap()];
            framed.extend(&octets);
            answer(&framed);
        }
    }
}
