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
mod tests;
