//! resolv.conf(5): name servers, the search list, options; and which names a name may stand for by them.
//!
//! A line that cannot be read is passed over and told, the others hold all the same. The last `search` or `domain` line
//! wins. Of the options those are kept that change what is asked or whom; `rotate` and the like are the resolver's own.

use std::net::IpAddr;
use std::time::Duration;

/// What is in a resolv.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvConf {
    /// Whom to ask.
    pub(crate) servers: Vec<IpAddr>,
    /// Appended to names in turn; without dots at the ends.
    pub(crate) search: Vec<Box<str>>,
    /// A name with so many dots is tried as it is before the search list.
    pub(crate) ndots: usize,
    /// How long one server is waited for.
    pub(crate) timeout: Duration,
    /// How often it is asked.
    pub(crate) attempts: usize,
    /// Whether long answers are asked for over UDP (RFC 6891).
    pub(crate) edns0: bool,
    /// Whether servers are asked over TCP only.
    pub(crate) use_vc: bool,
    /// Whether AAAA records are never asked for.
    pub(crate) no_aaaa: bool,
}

impl Default for ResolvConf {
    /// The defaults of glibc.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            edns0: false,
            use_vc: false,
            no_aaaa: false,
        }
    }
}

impl ResolvConf {
    /// Reads a file; the lines that could not be read come beside it.
    pub(crate) fn parse(text: &str) -> (Self, Vec<String>) {
        let mut conf = Self::default();
        let mut unread = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with([';', '#'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => match words.next().map(str::parse) {
                    Some(Ok(address)) => conf.servers.push(address),
                    Some(Err(_)) | None => unread.push(line.to_owned()),
                },
                Some("domain") => conf.search = words.take(1).map(plain).collect(),
                Some("search") => conf.search = words.map(plain).collect(),
                Some("options") => words.for_each(|word| conf.option(word)),
                // `sortlist` is about the order of addresses, which is nothing here.
                Some("sortlist") | None => {}
                Some(_) => unread.push(line.to_owned()),
            }
        }
        (conf, unread)
    }

    /// Takes an option in, within glibc's bounds.
    fn option(&mut self, word: &str) {
        let (name, number) = word.split_once(':').unwrap_or((word, ""));
        let number: Option<u64> = number.parse().ok();
        let bounded = |low: u64, high: u64| number.map(|number| number.clamp(low, high));
        let count = |low, high| bounded(low, high).and_then(|number| usize::try_from(number).ok());
        match name {
            "ndots" => self.ndots = count(0, 15).unwrap_or(self.ndots),
            "attempts" => self.attempts = count(1, 5).unwrap_or(self.attempts),
            "timeout" => {
                let seconds = bounded(1, 30).map(Duration::from_secs);
                self.timeout = seconds.unwrap_or(self.timeout);
            }
            "edns0" => self.edns0 = true,
            "use-vc" => self.use_vc = true,
            "no-aaaa" => self.no_aaaa = true,
            _ => {}
        }
    }

    /// The absolute names that a host name may stand for, in the order in which they are asked for: the first that has
    /// addresses is meant.
    pub(crate) fn candidates(&self, host: &str) -> Vec<String> {
        if host.ends_with('.') {
            return vec![host.to_owned()];
        }
        let itself = format!("{host}.");
        let mut candidates: Vec<String> = Vec::with_capacity(1 + self.search.len());
        if host.matches('.').count() >= self.ndots {
            candidates.push(itself.clone());
        }
        let searched = self.search.iter().map(|domain| match domain.is_empty() {
            true => itself.clone(),
            false => format!("{host}.{domain}."),
        });
        for candidate in searched.chain([itself.clone()]) {
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates
    }
}

/// A domain without the dot at its end; the root is empty.
fn plain(domain: &str) -> Box<str> {
    domain.strip_suffix('.').unwrap_or(domain).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> ResolvConf {
        let (conf, unread) = ResolvConf::parse(text);
        assert_eq!(unread, Vec::<String>::new());
        conf
    }

    #[test]
    fn the_file_of_a_pod_is_understood() {
        let conf = read(
            "search prod.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
        );

        assert_eq!(conf.servers, ["10.96.0.10".parse::<IpAddr>().unwrap()]);
        let wanted = [
            "shop.prod.svc.cluster.local.",
            "shop.svc.cluster.local.",
            "shop.cluster.local.",
            "shop.",
        ];
        assert_eq!(conf.candidates("shop"), wanted);
        assert_eq!(
            conf.candidates("shop.test")[1],
            "shop.test.svc.cluster.local."
        );
        assert_eq!(conf.candidates("shop.test")[3], "shop.test.");
        assert_eq!(conf.candidates("a.b.c.d.e.f")[0], "a.b.c.d.e.f.");
        assert_eq!(conf.candidates("a.b.c.d.e.f").len(), 4);
        assert_eq!(conf.candidates("shop."), ["shop."]);
    }

    #[test]
    fn a_name_with_enough_dots_is_tried_as_it_is_first() {
        let conf = read("search corp.example .\n");
        assert_eq!(conf.candidates("shop"), ["shop.corp.example.", "shop."]);
        let wanted = ["shop.internal.", "shop.internal.corp.example."];
        assert_eq!(conf.candidates("shop.internal"), wanted);
    }

    #[test]
    fn the_last_search_or_domain_wins_and_options_are_bounded() {
        let conf = read(
            "; comment\n# comment\nsearch a b\ndomain c\noptions timeout:99 attempts:0 ndots:99 rotate\noptions edns0 use-vc no-aaaa timeout:x\n",
        );
        let wanted = ResolvConf {
            search: vec!["c".into()],
            ndots: 15,
            timeout: Duration::from_secs(30),
            attempts: 1,
            edns0: true,
            use_vc: true,
            no_aaaa: true,
            ..ResolvConf::default()
        };
        assert_eq!(conf, wanted);
    }

    #[test]
    fn what_cannot_be_read_is_passed_over_and_told() {
        let text = "nameserver\nnameserver fe80::1%eth0\nbanana\nnameserver 10.0.0.1\n";
        let (conf, unread) = ResolvConf::parse(text);
        assert_eq!(conf.servers.len(), 1);
        assert_eq!(unread, ["nameserver", "nameserver fe80::1%eth0", "banana"]);
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(text: String, host: String) {
            drop(ResolvConf::parse(&text).0.candidates(&host));
        }
    }
}
