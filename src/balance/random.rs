//! Draws by weight: a table that gives an entry with one throw, whatever the weights.
//!
//! This is the alias method (A. J. Walker 1977, in M. D. Vose's form of 1991), in integers, so that an entry's chance is
//! exactly its share of the weights, as far as the generator is even. A draw costs O(1), the table 24 octets an entry
//! and O(n) to make.
//!
//! When to use: where nothing shared may be written and nothing read either. The price is spread: after `n` requests an
//! entry of share `p` is off its ideal by a standard deviation of `sqrt(n * p * (1 - p))`, without any bound.

/// A lottery over the entries with a weight.
#[derive(Debug)]
pub struct Random {
    /// One an entry with a weight.
    columns: Box<[Column]>,
    sum: u64,
}

/// Every column is as high as the sum of the weights: `own` of it belongs to `entry`, the rest to `other`.
#[derive(Clone, Copy, Debug)]
struct Column {
    own: u64,
    weight: u64,
    entry: u32,
    other: u32,
}

/// So many draws may be thrown away before what is left is weighed one by one.
const REJECTED: usize = 4;

impl Random {
    /// A lottery; an entry of weight zero is never drawn. The sum of the weights is below 2^63.
    #[must_use]
    pub fn new(weights: &[u64]) -> Self {
        let sum: u64 = weights.iter().sum();
        let entries = weights.iter().zip(0_u32..);
        let mut columns: Box<[Column]> = entries
            .filter(|(weight, _)| **weight > 0)
            .map(|(&weight, entry)| Column {
                own: sum,
                weight,
                entry,
                other: entry,
            })
            .collect();
        let count = columns.len() as u128;
        let mut left: Vec<u128> = columns
            .iter()
            .map(|column| u128::from(column.weight) * count)
            .collect();
        let full = u128::from(sum);
        let (mut low, mut high): (Vec<usize>, Vec<usize>) =
            (0..left.len()).partition(|&index| left[index] < full);
        // A low column is filled up by a high one, which thereby may become a low one. Sums stay, so that at the end
        // every column is exactly full.
        while let (Some(&giver), Some(taker)) = (high.last(), low.pop()) {
            columns[taker].own = u64::try_from(left[taker]).unwrap_or(sum);
            columns[taker].other = columns[giver].entry;
            left[giver] -= full - left[taker];
            if left[giver] < full {
                high.pop();
                low.push(giver);
            }
        }
        Self { columns, sum }
    }

    /// An entry, by weight; `None` when none has any.
    pub fn draw(&self, chance: &mut fastrand::Rng) -> Option<usize> {
        if self.columns.is_empty() {
            return None;
        }
        let column = self.columns[chance.usize(..self.columns.len())];
        let drawn = match chance.u64(..self.sum) < column.own {
            true => column.entry,
            false => column.other,
        };
        Some(drawn as usize)
    }

    /// An entry, by weight, among those that are not barred; `None` when all are.
    ///
    /// O(1) where those that are barred have little of the weight together; else all are weighed once.
    pub fn draw_except(
        &self,
        chance: &mut fastrand::Rng,
        is_barred: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        for _ in 0..REJECTED {
            let drawn = self.draw(chance)?;
            if !is_barred(drawn) {
                return Some(drawn);
            }
        }
        let free = || {
            let free = |column: &&Column| !is_barred(column.entry as usize);
            self.columns.iter().filter(free)
        };
        let sum: u64 = free().map(|column| column.weight).sum();
        if sum == 0 {
            return None;
        }
        let mut place = chance.u64(..sum);
        for column in free() {
            match place.checked_sub(column.weight) {
                Some(rest) => place = rest,
                None => return Some(column.entry as usize),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_are_as_likely_as_the_weights_say() {
        let weights = [500, 0, 300, 150, 49, 1];
        let random = Random::new(&weights);
        let mut chance = fastrand::Rng::with_seed(7);
        let mut got = [0_u32; 6];
        for _ in 0..100_000 {
            got[random.draw(&mut chance).unwrap()] += 1;
        }
        assert_eq!(got[1], 0);
        let square = |(&got, &weight): (&u32, &u64)| {
            let ideal = weight as f64 * 100.0;
            (f64::from(got) - ideal).powi(2) / ideal
        };
        let pairs = got.iter().zip(&weights).filter(|(_, weight)| **weight > 0);
        let chi_square: f64 = pairs.map(square).sum();
        // Four degrees of freedom: above 18.5 once in a thousand.
        assert!(chi_square < 18.5, "{chi_square} of {got:?}");
    }

    #[test]
    fn what_is_barred_is_not_drawn_however_heavy_it_is() {
        let random = Random::new(&[1_000_000, 1, 2]);
        let mut chance = fastrand::Rng::with_seed(7);
        let mut got = [0; 3];
        for _ in 0..3_000 {
            got[random.draw_except(&mut chance, |entry| entry == 0).unwrap()] += 1;
        }
        assert_eq!(got[0], 0);
        assert!((850..1_150).contains(&got[1]), "{got:?}");
        assert_eq!(random.draw_except(&mut chance, |_| true), None);
        assert_eq!(Random::new(&[0, 0]).draw(&mut chance), None);
    }

    proptest! {
        #[test]
        fn the_table_gives_every_entry_exactly_its_weight(
            weights in prop::collection::vec(0_u64..1_000_000, 0..40),
        ) {
            let random = Random::new(&weights);
            let mut area = vec![0_u128; weights.len()];
            for column in &random.columns {
                area[column.entry as usize] += u128::from(column.own);
                area[column.other as usize] += u128::from(random.sum - column.own);
            }
            let count = random.columns.len() as u128;
            for (area, weight) in area.iter().zip(&weights) {
                prop_assert_eq!(*area, u128::from(*weight) * count);
            }
        }
    }
}
