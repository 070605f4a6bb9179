//! From what was said about a name to the addresses that are used.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use crate::config::model::Family;

/// The most addresses of one name; more are not used. An answer over TCP could hold some thousands.
const MOST: usize = 1_024;

/// What can be connected to of these addresses, sorted and none twice.
///
/// Left out are the unspecified address (with which filters answer for what they block) and groups, which the
/// configuration refuses too, and whatever this host has no route to, as long as it has one to others: without IPv6
/// half of every name's requests would fail first. That is what getaddrinfo(3) does by `AI_ADDRCONFIG`.
pub(crate) fn usable(addresses: &[IpAddr], family: Family) -> Arc<[IpAddr]> {
    usable_by(addresses, family, has_route)
}

fn usable_by(
    addresses: &[IpAddr],
    family: Family,
    has_route: impl Fn(IpAddr) -> bool,
) -> Arc<[IpAddr]> {
    let wanted = |address: &IpAddr| {
        let is_of_family = match family {
            Family::All => true,
            Family::Ipv4 => address.is_ipv4(),
            Family::Ipv6 => address.is_ipv6(),
        };
        is_of_family && !address.is_unspecified() && !address.is_multicast()
    };
    let plain = addresses.iter().map(IpAddr::to_canonical);
    let mut addresses: Vec<IpAddr> = plain.filter(wanted).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MOST);
    let routed: Vec<bool> = addresses.iter().map(|&one| has_route(one)).collect();
    if routed.contains(&true) {
        let mut routed = routed.iter();
        addresses.retain(|_| routed.next() == Some(&true));
    }
    addresses.into()
}

/// Whether the kernel would know where to send to. Nothing is sent: connecting a UDP socket only looks up the route.
fn has_route(address: IpAddr) -> bool {
    let own: SocketAddr = match address {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    UdpSocket::bind(own).is_ok_and(|socket| socket.connect((address, 9)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(
        addresses: &[&str],
        family: Family,
        has_route: impl Fn(IpAddr) -> bool,
    ) -> Vec<String> {
        let addresses: Vec<IpAddr> = addresses.iter().map(|one| one.parse().unwrap()).collect();
        let usable = usable_by(&addresses, family, has_route);
        usable.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_order_of_an_answer_does_not_matter_and_no_address_counts_twice() {
        let wanted = ["10.0.0.1", "10.0.0.2", "fd00::1"];
        let all = [
            "fd00::1",
            "10.0.0.2",
            "10.0.0.1",
            "10.0.0.2",
            "::ffff:10.0.0.1",
        ];
        assert_eq!(chosen(&all, Family::All, |_| true), wanted);
    }

    #[test]
    fn what_cannot_be_connected_to_is_left_out() {
        let all = ["0.0.0.0", "::", "224.0.0.1", "ff02::1"];
        assert_eq!(chosen(&all, Family::All, |_| true), Vec::<String>::new());
    }

    #[test]
    fn only_the_family_that_is_wanted_is_taken() {
        let all = ["10.0.0.1", "fd00::1"];
        assert_eq!(chosen(&all, Family::Ipv4, |_| true), ["10.0.0.1"]);
        assert_eq!(chosen(&all, Family::Ipv6, |_| true), ["fd00::1"]);
    }

    #[test]
    fn addresses_without_a_route_are_left_out_where_others_have_one() {
        let all = ["10.0.0.1", "fd00::1"];
        let ipv4 = |address: IpAddr| address.is_ipv4();
        assert_eq!(chosen(&all, Family::All, ipv4), ["10.0.0.1"]);
        assert_eq!(chosen(&all, Family::All, |_| false), all);
    }

    #[test]
    fn there_is_a_route_to_this_host() {
        assert!(has_route([127, 0, 0, 1].into()));
    }

    #[test]
    fn an_enormous_answer_is_cut() {
        let all = (0..5_000_u32).map(|i| IpAddr::from((0x0a00_0000 + i).to_be_bytes()));
        let all: Vec<IpAddr> = all.collect();
        let usable = usable_by(&all, Family::All, |_| true);
        assert_eq!(usable.len(), MOST);
    }
}
