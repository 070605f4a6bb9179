//! The header of the PROXY protocol, in which a proxy that passes octets on says whose they are: versions 1 and 2 of
//! HAProxy's `proxy-protocol.txt`.
//!
//! Decides from the octets alone; `connection` reads them. What version 2 says beyond the addresses (its TLVs, a
//! checksum among them) is passed over: TCP has checksums of its own, and nothing of it is used.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::header::proxy_protocol::Origin;

/// How a header of version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// How a header of version 1 begins.
const WORD: &[u8; 6] = b"PROXY ";

/// The longest header of version 1.
const LONGEST_LINE: usize = 107;

/// The fixed part of version 2.
const FIXED: usize = 16;

/// The longest addresses of version 2, which are paths of sockets.
const LONGEST_ADDRESSES: usize = 216;

/// The longest header of version 2. Certificates of clients are sent in some; nobody sends more than that.
const LONGEST: usize = 16 << 10;

/// No more of a header than this is needed to know what it says.
pub(crate) const TELLING: usize = FIXED + LONGEST_ADDRESSES;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) source: Source,
    /// How many octets it has; what comes after them is the client's.
    pub(crate) length: usize,
}

/// Whose the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Of a client who came like this; one on a socket of the sender's host has no addresses.
    Client(Option<Origin>),
    /// The sender's own, or it does not know: what is known of the connection holds.
    Own,
}

/// Why octets are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They do not begin like one.
    Missing,
    /// They begin like one and go on otherwise.
    Malformed,
}

/// Reads a header of either version. `None` while more octets are needed, which then all belong to it. Of a header that is
/// longer than [`TELLING`] no more than that is looked at.
pub(crate) fn decode(octets: &[u8]) -> Result<Option<Header>, Fault> {
    let begins = |with: &[u8]| {
        let common = octets.len().min(with.len());
        octets[..common] == with[..common]
    };
    if begins(SIGNATURE) {
        return binary(octets);
    }
    if begins(WORD) {
        return line(octets);
    }
    Err(Fault::Missing)
}

/// Version 1.
fn line(octets: &[u8]) -> Result<Option<Header>, Fault> {
    let seen = &octets[..octets.len().min(LONGEST_LINE)];
    let Some(end) = seen.iter().position(|octet| *octet == b'\n') else {
        return match seen.len() {
            LONGEST_LINE => Err(Fault::Malformed),
            _ => Ok(None),
        };
    };
    let text = seen[..end].strip_suffix(b"\r").ok_or(Fault::Malformed)?;
    let text = text.strip_prefix(WORD).ok_or(Fault::Malformed)?;
    let header = |source| {
        Ok(Some(Header {
            source,
            length: end + 1,
        }))
    };
    // Whatever stands behind it is to be passed over.
    if text == b"UNKNOWN" || text.starts_with(b"UNKNOWN ") {
        return header(Source::Own);
    }
    let text = std::str::from_utf8(text).map_err(|_| Fault::Malformed)?;
    let mut words = text.split(' ');
    let mut next = || words.next().ok_or(Fault::Malformed);
    let (family, source, destination) = (next()?, next()?, next()?);
    let port = |text: &str| {
        let is_plain = text.len() == 1 || !text.starts_with('0');
        let is_plain = is_plain && text.bytes().all(|octet| octet.is_ascii_digit());
        let port = is_plain.then(|| text.parse::<u16>().ok()).flatten();
        port.ok_or(Fault::Malformed)
    };
    let ports = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(Fault::Malformed);
    }
    let addresses: [Option<IpAddr>; 2] = match family {
        "TCP4" => [source, destination].map(|text| Some(text.parse::<Ipv4Addr>().ok()?.into())),
        "TCP6" => [source, destination].map(|text| Some(text.parse::<Ipv6Addr>().ok()?.into())),
        _ => return Err(Fault::Malformed),
    };
    match addresses {
        [Some(source), Some(destination)] => header(Source::Client(Some(Origin {
            source: (source, ports.0).into(),
            destination: (destination, ports.1).into(),
        }))),
        _ => Err(Fault::Malformed),
    }
}

/// Version 2.
fn binary(octets: &[u8]) -> Result<Option<Header>, Fault> {
    let Some((fixed, rest)) = octets.split_at_checked(FIXED) else {
        return match octets.get(SIGNATURE.len()) {
            Some(version) if version >> 4 != 2 => Err(Fault::Malformed),
            _ => Ok(None),
        };
    };
    let behind = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let length = FIXED + behind;
    let (family, transport) = (fixed[13] >> 4, fixed[13] & 0xf);
    if length > LONGEST || family > 3 || transport > 2 {
        return Err(Fault::Malformed);
    }
    let header = |source| Ok(Some(Header { source, length }));
    match fixed[12] {
        // LOCAL: the sender speaks for itself, as when it asks whether we are well.
        0x20 => return header(Source::Own),
        // PROXY.
        0x21 => {}
        _ => return Err(Fault::Malformed),
    }
    let addresses = match (family, transport) {
        (0, _) | (_, 0) => return header(Source::Own),
        (1, _) => 12,
        (2, _) => 36,
        _ => LONGEST_ADDRESSES,
    };
    if behind < addresses {
        return Err(Fault::Malformed);
    }
    if rest.len() < addresses {
        return Ok(None);
    }
    header(Source::Client(match family {
        1 => ends::<4>(rest),
        2 => ends::<16>(rest),
        _ => None,
    }))
}

/// Both addresses, then both ports.
fn ends<const OCTETS: usize>(octets: &[u8]) -> Option<Origin>
where
    [u8; OCTETS]: Into<IpAddr>,
{
    let (source, rest) = octets.split_first_chunk::<OCTETS>()?;
    let (destination, rest) = rest.split_first_chunk::<OCTETS>()?;
    let (ports, _) = rest.split_first_chunk::<4>()?;
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Some(Origin {
        source: SocketAddr::new((*source).into(), port(0)),
        destination: SocketAddr::new((*destination).into(), port(2)),
    })
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::config::model::ProxyVersion;
    use crate::header::proxy_protocol::encode;

    /// Version 1, by the book.
    fn line_of(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let ips = format!("{} {}", source.ip(), destination.ip());
        let ports = format!("{} {}", source.port(), destination.port());
        format!("PROXY {family} {ips} {ports}\r\n").into_bytes()
    }

    /// Version 2, by the book.
    fn binary_of(command: u8, family: u8, addresses: &[u8], behind: &[u8]) -> Vec<u8> {
        let mut octets = SIGNATURE.to_vec();
        octets.extend([0x20 | command, family]);
        let length = u16::try_from(addresses.len() + behind.len()).unwrap();
        octets.extend(length.to_be_bytes());
        octets.extend(addresses);
        octets.extend(behind);
        octets
    }

    fn addresses_of(source: SocketAddr, destination: SocketAddr) -> (u8, Vec<u8>) {
        let mut octets = Vec::new();
        for one in [source, destination] {
            match one.ip() {
                IpAddr::V4(ip) => octets.extend(ip.octets()),
                IpAddr::V6(ip) => octets.extend(ip.octets()),
            }
        }
        octets.extend(source.port().to_be_bytes());
        octets.extend(destination.port().to_be_bytes());
        (if source.is_ipv4() { 0x11 } else { 0x21 }, octets)
    }

    fn pair() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
        let v4 = any::<([u8; 4], u16, [u8; 4], u16)>()
            .prop_map(|(a, b, c, d)| (SocketAddr::from((a, b)), SocketAddr::from((c, d))));
        let v6 = any::<([u16; 8], u16, [u16; 8], u16)>()
            .prop_map(|(a, b, c, d)| (SocketAddr::from((a, b)), SocketAddr::from((c, d))));
        prop_oneof![v4, v6]
    }

    /// Decodes at every length, as if the octets came one by one, with more behind them in the end.
    fn decoded(octets: &[u8]) -> Header {
        for length in 0..octets.len().min(TELLING) {
            match decode(&octets[..length]).unwrap() {
                None => {}
                // What is said is known before the end of what stands behind it.
                Some(header) => assert_eq!(header.length, octets.len(), "{length}"),
            }
        }
        let more = [octets, b"GET / HTTP/1.1\r\n"].concat();
        let header = decode(octets).unwrap().unwrap();
        assert_eq!(decode(&more), Ok(Some(header)));
        assert_eq!(header.length, octets.len());
        header
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded((source, destination) in pair(), behind in prop::collection::vec(any::<u8>(), 0..600)) {
            let expected = Source::Client(Some(Origin { source, destination }));
            prop_assert_eq!(decoded(&line_of(source, destination)).source, expected);
            let (family, addresses) = addresses_of(source, destination);
            prop_assert_eq!(decoded(&binary_of(1, family, &addresses, &behind)).source, expected);
            prop_assert_eq!(decoded(&binary_of(0, family, &addresses, &behind)).source, Source::Own);
        }

        #[test]
        fn what_endpoints_are_told_is_understood((source, destination) in pair()) {
            let origin = Origin { source, destination };
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let told = decoded(&encode(version, Some(origin)));
                prop_assert_eq!(told.source, Source::Client(Some(origin)));
                prop_assert_eq!(decoded(&encode(version, None)).source, Source::Own);
            }
        }

        #[test]
        fn no_octets_panic(octets: Vec<u8>, which in 0_usize..3) {
            let start: &[u8] = [&b""[..], SIGNATURE, WORD][which];
            black_box(decode(&octets)).ok();
            black_box(decode(&[start, &octets].concat())).ok();
        }

        #[test]
        fn no_line_of_its_own_words_panics(words in r"(TCP4|TCP6|UNKNOWN| |1\.2\.3\.4|::1|80|99999|-1|\r|\n|\r\n|x){0,12}") {
            black_box(decode(format!("PROXY {words}").as_bytes())).ok();
        }
    }

    #[test]
    fn who_is_not_known_is_the_connections_own() {
        for line in [
            "PROXY UNKNOWN\r\n",
            "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        ] {
            assert_eq!(decoded(line.as_bytes()).source, Source::Own);
        }
        assert_eq!(decoded(&binary_of(0, 0, &[], &[])).source, Source::Own);
        assert_eq!(
            decoded(&binary_of(1, 0, &[], b"\x04\0\x01a")).source,
            Source::Own
        );
    }

    #[test]
    fn who_is_on_a_socket_of_its_host_has_no_address() {
        let header = decoded(&binary_of(
            1,
            0x31,
            &[b'/'; LONGEST_ADDRESSES],
            b"\x04\0\x01a",
        ));
        assert_eq!(header.source, Source::Client(None));
    }

    #[test]
    fn what_is_no_header_is_told_at_its_first_octet_that_differs() {
        for octets in [
            &b"G"[..],
            b"PRI * HTTP/2.0",
            b"\x16\x03\x01",
            b"\r\n\r\nG",
            b"proxy ",
            b"\r\n\r\n\0\r\nQUIT\r",
        ] {
            assert_eq!(decode(octets), Err(Fault::Missing), "{octets:?}");
        }
        for octets in [&b""[..], b"P", b"PROXY", b"\r\n\r\n\0\r\nQUIT", SIGNATURE] {
            assert_eq!(decode(octets), Ok(None), "{octets:?}");
        }
    }

    #[test]
    fn what_is_not_by_the_book_is_malformed() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 15));
        for line in [
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n",
            "PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY UNKNOWNX\r\n",
            &long,
        ] {
            assert_eq!(decode(line.as_bytes()), Err(Fault::Malformed), "{line:?}");
        }
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 16));
        assert_eq!(decoded(longest.as_bytes()).length, LONGEST_LINE);
        for octets in [
            binary_of(2, 0x11, &[0; 12], &[]),
            binary_of(1, 0x11, &[0; 11], &[]),
            binary_of(1, 0x21, &[0; 35], &[]),
            binary_of(1, 0x31, &[0; 215], &[]),
            binary_of(1, 0x41, &[0; 216], &[]),
            binary_of(1, 0x13, &[0; 12], &[]),
            binary_of(1, 0x11, &[0; 12], &[0; LONGEST]),
            [&SIGNATURE[..], &[0x11, 0x11, 0, 12], &[0; 12]].concat(),
        ] {
            assert_eq!(decode(&octets), Err(Fault::Malformed), "{octets:?}");
        }
    }
}
