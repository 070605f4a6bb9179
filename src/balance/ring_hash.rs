//! Consistent hashing with bounded loads: the same key goes to the same entry as long as that is there and not too busy.
//!
//! **The ring** (D. Karger and others, 1997) has [`POINTS`] points for a weight of 1, in proportion for others and at
//! least one, at XXH3-64 (seed: the point's number) of the entry's identity. A key's entry is the owner of the first point
//! at or after the key's own hash. Points depend on an entry's identity and weight and on nothing else, so that when an
//! entry leaves only its keys move, each to the next on the ring, and when one comes keys move only to it. (Only where all
//! the points would be more than [`MOST_POINTS`] are they halved for all until they are not.) XXH3 is a published
//! function without a key, so that all processes and versions agree; whoever may choose keys may aim them at one entry,
//! which the bound below answers.
//!
//! **The bound** (V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016): an entry
//! takes no request beyond `ceil(c * n * w / W)`, `n` being the requests in flight in the pool with this one; a key whose
//! entry is full goes to the next on the ring that is not. Places are claimed by a compare-and-exchange on the count that
//! was read, so the bound holds over all workers.
//!
//! **The price.** A share deviates by about `1 / sqrt(points)`, 8 % with 160. A pick is O(1): a directory leads next to the
//! point, and at most `1 / (1 - 1/c)` entries are full on the way in the mean, 5 with 1.25. Memory is 8 octets a point and
//! 4 to 8 for the directory, 2 KiB for an entry of weight 1; making it is a hash and a sort of the points. Bounded, a
//! request writes the count of its entry; unbounded it writes nothing shared.

use std::sync::Arc;

use twox_hash::XxHash3_64;

use crate::balance::loads::Loads;

/// Points of an entry of weight 1.
pub const POINTS: u64 = 160;

/// There are never more points than this in one ring.
pub const MOST_POINTS: u64 = 1 << 22;

/// After so many points without room for a request, entries are looked at one by one.
const WALKED: usize = 1_024;

/// A claim that lost so many races is made unseen.
const ROUNDS: usize = 64;

/// Of a point's 64 bits the upper ones are its place, the lower ones its owner.
const OWNER_BITS: u32 = 24;

/// The hash of a key, the same in every process and version.
#[must_use]
pub fn hash(octets: &[u8]) -> u64 {
    XxHash3_64::oneshot(octets)
}

/// Where keys belong. It knows weights, but not who may be chosen at the moment: those are passed over.
#[derive(Debug)]
pub struct Ring {
    /// Sorted; `OWNER_BITS` has the parts.
    points: Box<[u64]>,
    /// Of each part of the circle the first point at or after its begin.
    directory: Box<[u32]>,
    /// How far a place is shifted to find its part.
    shift: u32,
    /// The entry that a point's owner is. Owners are numbered by identity, so that even a tie of two points does not
    /// depend on the order of the file.
    entries: Box<[u32]>,
}

impl Ring {
    /// The ring of these entries, each with its identity and its weight in thousandths; no identity twice.
    #[must_use]
    pub fn new(entries: &[(Arc<str>, u64)]) -> Self {
        let mut order: Vec<u32> = (0..).take(entries.len()).collect();
        order.sort_unstable_by(|&a, &b| entries[a as usize].0.cmp(&entries[b as usize].0));
        let of = |weight: u64, halved: u32| match weight {
            0 => 0,
            _ => ((weight.saturating_mul(POINTS) / 1_000) >> halved).max(1),
        };
        let count = |halved: u32| -> u64 {
            let points = entries.iter().map(|(_, weight)| of(*weight, halved));
            points.fold(0, u64::saturating_add)
        };
        let fits = |halved: &u32| count(*halved) <= MOST_POINTS;
        let halved = (0..u64::BITS).find(fits).unwrap_or(u64::BITS - 1);
        let mut points = Vec::with_capacity(usize::try_from(count(halved)).unwrap_or_default());
        for (&entry, owner) in order.iter().zip(0_u64..) {
            let (identity, weight) = &entries[entry as usize];
            points.extend((0..of(*weight, halved)).map(|number| {
                let place = XxHash3_64::oneshot_with_seed(number, identity.as_bytes());
                (place >> OWNER_BITS << OWNER_BITS) | owner
            }));
        }
        points.sort_unstable();
        let bits = points.len().max(2).ilog2();
        let shift = u64::BITS - bits;
        let mut directory = Vec::with_capacity(1 << bits);
        let mut first = 0_usize;
        for part in 0..1_u64 << bits {
            while points.get(first).is_some_and(|point| point >> shift < part) {
                first += 1;
            }
            directory.push(u32::try_from(first).unwrap_or(u32::MAX));
        }
        Self {
            points: points.into(),
            directory: directory.into(),
            shift,
            entries: order.into(),
        }
    }

    /// The owners of the points from a key's hash on, once around; an entry comes as often as it has points.
    pub fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let place = key >> OWNER_BITS << OWNER_BITS;
        let part = usize::try_from(place >> self.shift).unwrap_or_default();
        let mut first = self.directory.get(part).map_or(0, |first| *first as usize);
        while self.points.get(first).is_some_and(|point| *point < place) {
            first += 1;
        }
        let (before, after) = self.points.split_at(first.min(self.points.len()));
        let owner_of = |point: &u64| (point & ((1 << OWNER_BITS) - 1)) as usize;
        let owners = after.iter().chain(before).map(owner_of);
        owners.map(|owner| self.entries[owner] as usize)
    }

    /// How many points there are.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points.len()
    }
}

/// A pool's way to choose by key.
#[derive(Debug)]
pub struct RingHash {
    ring: Arc<Ring>,
    /// In thousandths; `None` where nothing is bounded.
    factor: Option<u64>,
    /// The sum of the weights of those that may be chosen.
    sum: u64,
}

impl RingHash {
    /// Chooses along `ring` among those with a weight; `factor` thousandths of its share are an entry's bound.
    #[must_use]
    pub fn new(ring: Arc<Ring>, factor: Option<u64>, weights: &[u64]) -> Self {
        Self {
            ring,
            factor,
            sum: weights.iter().sum(),
        }
    }

    /// The ring, which the pool that follows may go on with.
    #[must_use]
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Whether a pick claims a place.
    #[must_use]
    pub fn claims(&self) -> bool {
        self.factor.is_some()
    }

    /// The entry of a key, with a place claimed at it where there is a bound; `None` when none is free.
    pub fn pick(
        &self,
        key: u64,
        weights: &[u64],
        loads: &impl Loads,
        is_barred: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let is_free = |entry: &usize| weights[*entry] > 0 && !is_barred(*entry);
        let Some(factor) = self.factor else {
            return self.ring.from(key).find(is_free);
        };
        if self.sum == 0 {
            return None;
        }
        let with_this = loads.sum().saturating_add(1);
        let room = |entry: usize| {
            let share = u128::from(factor) * u128::from(with_this) * u128::from(weights[entry]);
            share.div_ceil(1_000 * u128::from(self.sum))
        };
        let takes = |entry: &usize| {
            for _ in 0..ROUNDS {
                let seen = loads.load(*entry);
                if u128::from(seen.total()) >= room(*entry) {
                    return false;
                }
                if loads.try_claim(*entry, seen) {
                    return true;
                }
            }
            loads.claim(*entry);
            true
        };
        let mut walked = self.ring.from(key).take(WALKED);
        if let Some(entry) = walked.find(|entry| is_free(entry) && takes(entry)) {
            return Some(entry);
        }
        // Room there always is, as the factor is no less than 1, unless the free ones are few or counts are just
        // moving: then the key's own takes it.
        let from = usize::try_from(key % weights.len() as u64).unwrap_or_default();
        let mut all = (from..weights.len()).chain(0..from);
        let found = all.find(|entry| is_free(entry) && takes(entry));
        found.or_else(|| {
            let own = self.ring.from(key).find(is_free)?;
            loads.claim(own);
            Some(own)
        })
    }
}

#[cfg(test)]
mod tests;
