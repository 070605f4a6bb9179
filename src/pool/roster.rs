//! Whom a pool consists of: its configured endpoints with every name replaced by its addresses, and how a name's weight
//! is shared among them.
//!
//! A name's weight is that of all its addresses together, however many there are (a weight for each would turn 10:90
//! into 20:90 as soon as the first name gets a second address: envoyproxy/envoy#38958). To keep the shares exact in
//! integers, all weights of a pool are multiplied by the least common multiple of their counts of addresses.
//!
//! **Bound.** The sum of all weights in thousandths, times that multiple, stays at or below 2^60, which is what a
//! sequence takes: with weights of 1, up to a thousand names with any counts up to 22 addresses. Beyond it the multiple
//! is replaced by the largest number that fits and each address's part rounded down: its share is then off by less than
//! 2^-59 of the pool's requests, less than one in 10^17.
//!
//! Not here: how names are resolved (`discovery.rs`), who of the roster is ready (`pool.rs`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::model::{self, Address, EndpointSpec};
use crate::location::Location;
use crate::tls::Secure;
use crate::units::Weight;

/// What the sum of a roster's weights stays at or below.
const MOST: u128 = 1 << 60;

/// The endpoints of a pool, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// In file order, those of a name by their address; no address twice.
    entries: Box<[Entry]>,
    /// What a thousandth of a configured weight is in the entries' weights; above 0.
    scale: u64,
}

/// One endpoint of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it answers.
    pub address: Location,
    /// Its weight, in the roster's own unit; see [`Roster::weight`].
    pub weight: u64,
    /// Where it runs.
    pub zone: Option<Arc<str>>,
    /// Used only while no other endpoint of the pool is ready.
    pub backup: bool,
    /// The names, with their ports, that lead to it; none where only its address is written.
    pub names: Vec<Arc<str>>,
}

/// A weight as a user would write it: exact where three decimals suffice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Written {
    /// This very weight.
    Exact(Weight),
    /// The nearest number, for a third and the like.
    Near(f64),
}

impl Roster {
    /// The roster of a pool, where `answer` tells the addresses of a host name, sorted and none twice; a name without
    /// any takes no part.
    ///
    /// Two entries that lead to one address are one endpoint with the sum of their weights. Where one of them is a
    /// backup and the other is not, the backup adds nothing.
    #[must_use]
    pub fn new<'a>(spec: &model::Pool, answer: impl Fn(&str) -> &'a [IpAddr]) -> Self {
        let parts: Vec<Part<'_, 'a>> = spec
            .endpoints
            .iter()
            .map(|configured| Part::new(configured, &answer))
            .filter(|part| part.count() > 0)
            .collect();
        let scale = scale(&parts);
        let mut entries: Vec<Entry> = Vec::with_capacity(parts.len());
        let mut places: HashMap<Location, usize> = HashMap::with_capacity(parts.len());
        for part in &parts {
            let weight = part.weight_of_one(scale);
            let name: Option<Arc<str>> = part.name().map(Arc::from);
            for address in part.addresses() {
                let place = places.get(&address).copied();
                let entry = Entry {
                    address,
                    weight,
                    zone: part.configured.zone.clone(),
                    backup: part.configured.backup,
                    names: name.iter().cloned().collect(),
                };
                match place {
                    Some(place) => entries[place].join(entry),
                    None => {
                        places.insert(entry.address.clone(), entries.len());
                        entries.push(entry);
                    }
                }
            }
        }
        Self {
            entries: entries.into(),
            scale,
        }
    }

    /// The endpoints.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The weight of an entry as a user would write it.
    #[must_use]
    pub fn weight(&self, entry: &Entry) -> Written {
        if entry.weight.is_multiple_of(self.scale) {
            return Written::Exact(Weight::from_thousandths(entry.weight / self.scale));
        }
        Written::Near(entry.weight as f64 / self.scale as f64 / 1_000.0)
    }
}

impl Roster {
    /// The weight of an entry in thousandths, rounded down but not to zero.
    #[must_use]
    pub fn thousandths(&self, entry: &Entry) -> u64 {
        (entry.weight / self.scale).max(u64::from(entry.weight > 0))
    }
}

impl Entry {
    /// By what sessions with it are made, where its pool speaks TLS. Its name is the first that leads to it, without the
    /// port.
    #[must_use]
    pub fn secure(&self, spec: &model::Pool) -> Option<Secure> {
        let upstream = spec.tls.as_ref()?;
        let name = self.names.first().and_then(|name| name.rsplit_once(':'));
        let address = self.address.ip().map(|address| address.ip());
        Some(Secure {
            name: upstream.name_of(name.map(|(host, _)| host), address),
            upstream: Arc::clone(upstream),
        })
    }

    /// Takes in another entry with the same address.
    fn join(&mut self, other: Self) {
        match (self.backup, other.backup) {
            (true, false) => {
                self.weight = other.weight;
                self.backup = false;
            }
            (false, true) => {}
            (true, true) | (false, false) => self.weight = self.weight.saturating_add(other.weight),
        }
        self.zone = self.zone.take().or(other.zone);
        self.names.extend(other.names);
    }
}

/// A configured endpoint and the addresses that it stands for.
struct Part<'c, 'a> {
    configured: &'c EndpointSpec,
    answer: &'a [IpAddr],
}

impl<'c, 'a> Part<'c, 'a> {
    fn new(configured: &'c EndpointSpec, answer: &impl Fn(&str) -> &'a [IpAddr]) -> Self {
        let answer = configured.address.host().map(|host| answer(host));
        Self {
            configured,
            answer: answer.unwrap_or_default(),
        }
    }

    fn count(&self) -> usize {
        match &self.configured.address {
            Address::At(_) => 1,
            Address::Name { .. } => self.answer.len(),
        }
    }

    fn name(&self) -> Option<String> {
        let address = &self.configured.address;
        address.host().map(|_| address.to_string())
    }

    fn addresses(&self) -> impl Iterator<Item = Location> {
        let (own, port) = match &self.configured.address {
            Address::At(location) => (Some(location.clone()), 0),
            Address::Name { port, .. } => (None, *port),
        };
        let named = self.answer.iter();
        let named = named.map(move |&ip| Location::Ip((ip, port).into()));
        own.into_iter().chain(named)
    }

    fn thousandths(&self) -> u128 {
        u128::from(self.configured.weight.thousandths())
    }

    /// What each of its addresses gets. What is above zero stays above zero.
    fn weight_of_one(&self, scale: u64) -> u64 {
        let whole = self.thousandths() * u128::from(scale);
        let part = whole / (self.count().max(1) as u128);
        let least = u128::from(whole > 0);
        // At most 2^60 by the choice of the scale.
        u64::try_from(part.max(least)).unwrap_or(u64::MAX)
    }
}

/// The least common multiple of the counts, or the largest number with which the sum of all weights still fits.
fn scale(parts: &[Part<'_, '_>]) -> u64 {
    let sum: u128 = parts.iter().map(Part::thousandths).sum();
    let largest = MOST / sum.max(1);
    let multiple = parts
        .iter()
        .filter(|part| part.thousandths() > 0)
        .map(|part| part.count() as u128)
        .try_fold(1_u128, |multiple, count| {
            let next = multiple / gcd(multiple, count) * count;
            (next <= largest).then_some(next)
        });
    u64::try_from(multiple.unwrap_or(largest).max(1)).unwrap_or(1)
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endpoint(address: &str, thousandths: u64) -> EndpointSpec {
        let address = match address.parse() {
            Ok(location) => Address::At(location),
            Err(_) => {
                let (host, port) = address.rsplit_once(':').unwrap();
                Address::Name {
                    host: host.into(),
                    port: port.parse().unwrap(),
                }
            }
        };
        EndpointSpec {
            address,
            weight: Weight::from_thousandths(thousandths),
            zone: None,
            backup: false,
        }
    }

    fn pool(endpoints: Vec<EndpointSpec>) -> model::Pool {
        model::Pool {
            name: "p".into(),
            version: None,
            deployment: None,
            balance: model::Balance::RoundRobin,
            endpoints,
            protocol: model::UpstreamProtocol::Http1,
            connect: model::Connect::default(),
            tls: None,
            proxy_protocol: None,
            startup_probe: None,
            readiness_probe: None,
            liveness_probe: None,
            when_none_ready: model::WhenNoneReady::Fail,
            drain_timeout: None,
        }
    }

    /// So many addresses of the network with this number.
    fn addresses(network: usize, count: usize) -> Vec<IpAddr> {
        let address = |number: usize| {
            let bits = u32::try_from(network << 12 | number).unwrap();
            IpAddr::from((0x0a00_0000 | bits).to_be_bytes())
        };
        (1..=count).map(address).collect()
    }

    fn weights(roster: &Roster) -> Vec<(String, u64)> {
        let entries = roster.entries().iter();
        entries
            .map(|entry| (entry.address.to_string(), entry.weight))
            .collect()
    }

    #[test]
    fn a_second_address_of_a_name_takes_nothing_from_another_name() {
        let pool = pool(vec![endpoint("v1:80", 10_000), endpoint("v2:80", 90_000)]);
        let (one, two) = (addresses(1, 2), addresses(2, 1));

        let roster = Roster::new(&pool, |host| if host == "v1" { &one } else { &two });

        let [a, b, c] = roster.entries() else {
            panic!("{roster:?}");
        };
        assert_eq!((a.weight, b.weight, c.weight), (10_000, 10_000, 180_000));
        assert_eq!(
            roster.weight(a),
            Written::Exact(Weight::from_thousandths(5_000))
        );
        assert_eq!(
            roster.weight(c),
            Written::Exact(Weight::from_thousandths(90_000))
        );
        assert_eq!(a.names, ["v1:80".into()]);
    }

    #[test]
    fn addresses_alone_keep_their_weights_and_a_name_without_any_takes_no_part() {
        let pool = pool(vec![
            endpoint("10.0.0.1:80", 1_000),
            endpoint("gone:80", 7_000),
            endpoint("10.0.0.2:80", 3_500),
        ]);

        let roster = Roster::new(&pool, |_| &[]);

        let wanted = [
            ("10.0.0.1:80".to_owned(), 1_000),
            ("10.0.0.2:80".to_owned(), 3_500),
        ];
        assert_eq!(weights(&roster), wanted);
    }

    #[test]
    fn a_name_and_an_address_that_lead_to_one_endpoint_are_one_with_both_weights() {
        let mut named = endpoint("shop:80", 1_000);
        named.zone = Some("a".into());
        let pool = pool(vec![endpoint("10.0.16.2:80", 2_000), named]);
        let answer = addresses(1, 2);
        assert_eq!(answer[1].to_string(), "10.0.16.2");

        let roster = Roster::new(&pool, |_| &answer);

        let wanted = [
            ("10.0.16.2:80".to_owned(), 5_000),
            ("10.0.16.1:80".to_owned(), 1_000),
        ];
        assert_eq!(weights(&roster), wanted);
        let both = &roster.entries()[0];
        assert_eq!(both.zone.as_deref(), Some("a"));
        assert_eq!(both.names, ["shop:80".into()]);
        assert_eq!(
            roster.weight(both),
            Written::Exact(Weight::from_thousandths(2_500))
        );
    }

    #[test]
    fn a_backup_that_is_a_main_endpoint_too_is_a_main_endpoint() {
        for turned in [false, true] {
            let mut backup = endpoint("spare:80", 9_000);
            backup.backup = true;
            let mut endpoints = vec![backup, endpoint("10.0.16.1:80", 1_000)];
            if turned {
                endpoints.reverse();
            }
            let answer = addresses(1, 1);

            let roster = Roster::new(&pool(endpoints), |_| &answer);

            assert_eq!(weights(&roster), [("10.0.16.1:80".to_owned(), 1_000)]);
            assert!(!roster.entries()[0].backup);
        }
    }

    #[test]
    fn a_third_is_written_as_the_nearest_number() {
        let answer = addresses(1, 3);
        let roster = Roster::new(&pool(vec![endpoint("shop:80", 1_000)]), |_| &answer);

        let Written::Near(weight) = roster.weight(&roster.entries()[0]) else {
            panic!("{roster:?}");
        };
        assert!((weight - 1.0 / 3.0).abs() < 1e-15, "{weight}");
    }

    #[test]
    fn a_thousand_names_of_up_to_twenty_two_addresses_are_within_the_bound() {
        let endpoints = (0..1_000).map(|i| endpoint(&format!("n{i}:80"), 1_000));
        let pool = pool(endpoints.collect());
        let answers: Vec<Vec<IpAddr>> = (0..1_000).map(|i| addresses(i, i % 22 + 1)).collect();

        let roster = Roster::new(&pool, |host| &answers[host[1..].parse::<usize>().unwrap()]);

        assert_eq!(roster.scale, 232_792_560);
        let of_name = |i: usize| {
            let name: Arc<str> = format!("n{i}:80").into();
            let own = roster.entries().iter().filter(|one| one.names[0] == name);
            own.map(|one| one.weight).sum::<u64>()
        };
        for i in [0, 1, 6, 21, 999] {
            assert_eq!(of_name(i), 1_000 * roster.scale, "{i}");
        }
    }

    proptest! {
        /// Each name's addresses have equal parts, which add up to its whole weight, within the bound; beyond it they
        /// are off by less than is promised.
        #[test]
        fn a_weight_is_shared_exactly(
            parts in proptest::collection::vec(
                (prop_oneof![0..=5_000_u64, 0..=Weight::MAX.thousandths()], 1..=40_usize),
                1..12,
            ),
        ) {
            let endpoints = parts.iter().enumerate();
            let endpoints = endpoints.map(|(i, (weight, _))| endpoint(&format!("n{i}:80"), *weight));
            let pool = pool(endpoints.collect());
            let answers: Vec<_> = parts.iter().enumerate().map(|(i, (_, count))| addresses(i, *count)).collect();

            let roster = Roster::new(&pool, |host| &answers[host[1..].parse::<usize>().unwrap()]);

            let total: u128 = roster.entries().iter().map(|entry| u128::from(entry.weight)).sum();
            prop_assert!(total <= MOST);
            let counts = parts.iter().filter(|(weight, _)| *weight > 0).map(|(_, count)| *count as u128);
            let multiple = counts.fold(1, |multiple, count| multiple / gcd(multiple, count) * count);
            let sum: u128 = parts.iter().map(|(weight, _)| u128::from(*weight)).sum();
            let is_exact = multiple * sum <= MOST;
            let mut entries = roster.entries().iter();
            for (weight, count) in &parts {
                let own: Vec<u64> = entries.by_ref().take(*count).map(|entry| entry.weight).collect();
                prop_assert!(own.iter().all(|one| *one == own[0]), "{:?}", own);
                prop_assert_eq!(own[0] == 0, *weight == 0);
                let got: u128 = own.iter().map(|one| u128::from(*one)).sum();
                let wanted = u128::from(*weight) * u128::from(roster.scale);
                if is_exact {
                    prop_assert_eq!(got, wanted);
                } else {
                    prop_assert!(wanted.abs_diff(got) <= *count as u128);
                }
            }
        }

        #[test]
        fn entries_that_meet_have_the_sum_of_their_weights(
            weights in proptest::collection::vec(0..=9_000_u64, 1..6),
            counts in proptest::collection::vec(1..=6_usize, 6),
        ) {
            // All names have the first addresses of one network.
            let endpoints = weights.iter().enumerate();
            let endpoints = endpoints.map(|(i, weight)| endpoint(&format!("n{i}:80"), *weight));
            let pool = pool(endpoints.collect());
            let answers: Vec<_> = counts.iter().map(|count| addresses(1, *count)).collect();

            let roster = Roster::new(&pool, |host| &answers[host[1..].parse::<usize>().unwrap()]);

            let got: u128 = roster.entries().iter().map(|entry| u128::from(entry.weight)).sum();
            let wanted: u64 = weights.iter().sum();
            prop_assert_eq!(got, u128::from(wanted) * u128::from(roster.scale));
            let places: std::collections::BTreeSet<_> = roster.entries().iter().map(|one| &one.address).collect();
            prop_assert_eq!(places.len(), roster.entries().len());
        }
    }
}
