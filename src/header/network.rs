//! Which networks hold an address, in the one way that trusted proxies and routes share.
//!
//! IPv4 addresses come as such or mapped into IPv6 (`::ffff:10.0.0.1`), from dual-stack sockets or in the
//! configuration; both mean the same, and `::/0` does not mean IPv4.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::model::Peers;

/// The length of the longest of these networks that holds the address; `None` where none does.
#[must_use]
pub fn longest(networks: &[IpNet], address: IpAddr) -> Option<u8> {
    let address = address.to_canonical();
    networks
        .iter()
        .filter_map(|network| length_if_inside(network, address))
        .max()
}

/// A client as it is logged; one on a socket of this host has no address.
#[must_use]
pub fn shown(client: Option<IpAddr>) -> impl fmt::Display {
    Shown(client)
}

struct Shown(Option<IpAddr>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unix:"),
        }
    }
}

/// Whether these hold a peer; one without an address is on a socket of this host.
#[must_use]
pub fn holds(peers: &Peers, address: Option<IpAddr>) -> bool {
    match address {
        Some(address) => longest(&peers.networks, address).is_some(),
        None => peers.unix,
    }
}

fn length_if_inside(network: &IpNet, address: IpAddr) -> Option<u8> {
    const MAPPED_BITS: u8 = 96;
    match (network, address) {
        (IpNet::V6(network), IpAddr::V4(address)) if network.prefix_len() >= MAPPED_BITS => network
            .contains(&address.to_ipv6_mapped())
            .then(|| network.prefix_len() - MAPPED_BITS),
        _ => network.contains(&address).then(|| network.prefix_len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_mapped_ipv4_address_is_an_ipv4_address() {
        let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
        let plain: IpAddr = "10.1.2.3".parse().unwrap();
        assert_eq!(longest(&networks(&["10.0.0.0/8"]), mapped), Some(8));
        assert_eq!(longest(&networks(&["::ffff:10.0.0.0/104"]), plain), Some(8));
        assert_eq!(longest(&networks(&["::/0"]), plain), None);
        assert_eq!(longest(&networks(&["0.0.0.0/0"]), plain), Some(0));
    }

    #[test]
    fn the_longest_network_that_holds_the_address_counts() {
        let networks = networks(&["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/24"]);
        assert_eq!(longest(&networks, "10.1.9.9".parse().unwrap()), Some(16));
    }
}
