//! The header by which an endpoint is told who speaks to it through us, before anything else on a connection (the PROXY
//! protocol of HAProxy, proxy-protocol.txt, versions 1 and 2).
//!
//! Here it is only written. Whoever has no address of its own, such as a probe or a client on a unix socket, is
//! `UNKNOWN` in version 1 and `LOCAL` in version 2: the endpoint then goes by the connection itself.

use std::net::{IpAddr, SocketAddr};

use crate::config::model::ProxyVersion;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, and whose the connection is.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// The family of addresses, with TCP.
const UNSPECIFIED: u8 = 0x00;
const TCP_4: u8 = 0x11;
const TCP_6: u8 = 0x21;

/// Who speaks to an endpoint, and where it was spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The client.
    pub source: SocketAddr,
    /// The listener's address, as the client reached it.
    pub destination: SocketAddr,
}

/// The header of a connection that belongs to this client, or to nobody.
#[must_use]
pub fn encode(version: ProxyVersion, origin: Option<Origin>) -> Vec<u8> {
    match version {
        ProxyVersion::V1 => encode_1(origin).into_bytes(),
        ProxyVersion::V2 => encode_2(origin),
    }
}

fn encode_1(origin: Option<Origin>) -> String {
    let Some(origin) = origin else {
        return "PROXY UNKNOWN\r\n".to_owned();
    };
    let (source, destination) = alike(origin);
    let family = match source {
        IpAddr::V4(_) => "TCP4",
        IpAddr::V6(_) => "TCP6",
    };
    let (from, to) = (origin.source.port(), origin.destination.port());
    format!("PROXY {family} {source} {destination} {from} {to}\r\n")
}

fn encode_2(origin: Option<Origin>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(origin) = origin else {
        header.extend_from_slice(&[LOCAL, UNSPECIFIED, 0, 0]);
        return header;
    };
    let mut addresses = Vec::with_capacity(36);
    let (source, destination) = alike(origin);
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => addresses.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => addresses.extend_from_slice(&address.octets()),
        }
    }
    for port in [origin.source.port(), origin.destination.port()] {
        addresses.extend_from_slice(&port.to_be_bytes());
    }
    let (family, length) = match source {
        IpAddr::V4(_) => (TCP_4, 12),
        IpAddr::V6(_) => (TCP_6, 36),
    };
    header.extend_from_slice(&[PROXY, family, 0, length]);
    header.extend_from_slice(&addresses);
    header
}

/// Both addresses in one family: IPv4 where both are, whatever the socket calls them.
fn alike(origin: Origin) -> (IpAddr, IpAddr) {
    let source = origin.source.ip().to_canonical();
    let destination = origin.destination.ip().to_canonical();
    let mapped = |address: IpAddr| match address {
        IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
        IpAddr::V6(_) => address,
    };
    match source.is_ipv4() == destination.is_ipv4() {
        true => (source, destination),
        false => (mapped(source), mapped(destination)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(source: &str, destination: &str) -> Option<Origin> {
        Some(Origin {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        })
    }

    #[test]
    fn version_1_is_a_line() {
        let line = |origin| String::from_utf8(encode(ProxyVersion::V1, origin)).unwrap();
        let cases = [
            (
                origin("192.0.2.1:4711", "198.51.100.2:443"),
                "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n",
            ),
            (
                origin("[2001:db8::1]:4711", "[2001:db8::2]:443"),
                "PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n",
            ),
            (
                origin("[::ffff:192.0.2.1]:4711", "198.51.100.2:443"),
                "PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\n",
            ),
            (
                origin("192.0.2.1:4711", "[2001:db8::2]:443"),
                "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 4711 443\r\n",
            ),
            (None, "PROXY UNKNOWN\r\n"),
        ];
        for (origin, wanted) in cases {
            assert_eq!(line(origin), wanted);
            // The longest line that the protocol allows.
            assert!(wanted.len() <= 107);
        }
    }

    #[test]
    fn version_2_is_in_octets() {
        let header = encode(
            ProxyVersion::V2,
            origin("192.0.2.1:4711", "198.51.100.2:443"),
        );
        let wanted =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x67\x01\xbb";
        assert_eq!(header, wanted);
        let header = encode(
            ProxyVersion::V2,
            origin("[2001:db8::1]:1", "[2001:db8::2]:2"),
        );
        assert_eq!((header[13], header[15], header.len()), (0x21, 36, 52));
        let header = encode(ProxyVersion::V2, None);
        assert_eq!(header, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    }
}
