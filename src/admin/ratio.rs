//! A share of a whole: exact as a fraction, and as the nearest number.

use std::fmt;

/// `part / whole`; nothing of nothing is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio {
    part: u64,
    whole: u64,
}

impl Ratio {
    /// The share of one of these weights in their sum.
    pub(crate) fn of(weights: &[u64], index: usize) -> Self {
        Self {
            part: weights.get(index).copied().unwrap_or(0),
            whole: weights.iter().fold(0, |sum, one| sum.saturating_add(*one)),
        }
    }

    /// The nearest number.
    pub(crate) fn as_f64(self) -> f64 {
        if self.part == 0 {
            return 0.0;
        }
        self.part as f64 / self.whole as f64
    }
}

/// In lowest terms: `19/20`, `0`, `1`.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.part == 0 {
            return f.write_str("0");
        }
        let common = gcd(self.part, self.whole);
        let (part, whole) = (self.part / common, self.whole / common);
        if whole == 1 {
            return write!(f, "{part}");
        }
        write!(f, "{part}/{whole}")
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_prints_in_lowest_terms() {
        let cases: [(&[u64], &str, f64); 5] = [
            (&[95_000, 5_000], "19/20", 0.95),
            (&[99_900, 100], "999/1000", 0.999),
            (&[7], "1", 1.0),
            (&[0, 7], "0", 0.0),
            (&[0, 0], "0", 0.0),
        ];
        for (weights, printed, number) in cases {
            let ratio = Ratio::of(weights, 0);
            assert_eq!(ratio.to_string(), printed);
            assert_eq!(ratio.as_f64(), number);
        }
    }
}
