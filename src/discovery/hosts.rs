//! The hosts file: names that are known without asking (hosts(5)), and `localhost`, which is known without a file.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The names of a hosts file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts(HashMap<Box<str>, Vec<IpAddr>>);

impl Hosts {
    /// Reads a hosts file: an address and its names on each line, `#` begins a comment. Lines that say something else
    /// are passed over, as everybody does.
    pub(crate) fn parse(text: &str) -> Self {
        let mut hosts: HashMap<Box<str>, Vec<IpAddr>> = HashMap::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else {
                continue;
            };
            for name in words {
                hosts.entry(plain(name)).or_default().push(address);
            }
        }
        Self(hosts)
    }

    /// The addresses of a name, if it is known here.
    ///
    /// `localhost` and what is below it never goes to a name server (RFC 6761 §6.3). Its two loopback addresses are two
    /// ways to one endpoint and not two endpoints, most of which listen on one of them only: IPv4 is taken where it is
    /// among them, unless `ipv6` is wanted, which whoever asks filters for.
    pub(crate) fn find(&self, host: &str, wants_ipv6_only: bool) -> Option<Vec<IpAddr>> {
        let host = plain(host);
        let known = self.0.get(&host).cloned();
        if *host != *"localhost" && !host.ends_with(".localhost") {
            return known;
        }
        let loopback = || vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let mut addresses = known.unwrap_or_else(loopback);
        if !wants_ipv6_only && addresses.iter().any(IpAddr::is_ipv4) {
            addresses.retain(IpAddr::is_ipv4);
        }
        Some(addresses)
    }
}

/// Lower-case, without a dot at the end.
fn plain(name: &str) -> Box<str> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    bare.to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str, host: &str) -> Option<Vec<String>> {
        let found = Hosts::parse(text).find(host, false)?;
        Some(found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_name_has_the_addresses_of_all_its_lines_in_any_case_and_with_or_without_a_dot() {
        let text = "# shop 10.9.9.9\n10.0.0.1\tShop shop.internal # 10.0.0.9 shop\n\nnonsense shop\n::2 SHOP\n";
        for host in ["shop", "Shop", "shop."] {
            assert_eq!(found(text, host).unwrap(), ["10.0.0.1", "::2"]);
        }
        assert_eq!(found(text, "shop.internal").unwrap(), ["10.0.0.1"]);
        assert_eq!(found(text, "internal"), None);
        assert_eq!(found(text, "10.0.0.1"), None);
    }

    #[test]
    fn localhost_is_known_without_a_file_and_is_one_endpoint() {
        assert_eq!(found("", "localhost").unwrap(), ["127.0.0.1"]);
        assert_eq!(found("", "shop.localhost").unwrap(), ["127.0.0.1"]);
        let usual = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n";
        assert_eq!(found(usual, "LocalHost.").unwrap(), ["127.0.0.1"]);
        assert_eq!(found(usual, "ip6-localhost").unwrap(), ["::1"]);
        assert_eq!(found("::1 localhost", "localhost").unwrap(), ["::1"]);
        let both = Hosts::parse(usual).find("localhost", true).unwrap();
        assert_eq!(both.len(), 2);
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(text: String, host: String) {
            drop(Hosts::parse(&text).find(&host, false));
        }
    }
}
