//! Weights, durations and sizes as a user writes them: parse, print, exact arithmetic.
//!
//! A weight is held in whole thousandths, so that shares are exact integers from the configuration file to the
//! schedule; floating point appears only when a ratio is printed. Nothing here knows where a text came from: the
//! configuration adds the place and the remedy.

use std::fmt;
use std::time::Duration;

/// A weight of a split or an endpoint, in whole thousandths: `99.9` is 99,900.
///
/// Range 0 to [`Weight::MAX`]. Zero means "never chosen".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u64);

impl Weight {
    /// A weight of zero: never chosen.
    pub const ZERO: Self = Self(0);
    /// A weight of one, which an entry has when nothing is written.
    pub const ONE: Self = Self(1_000);
    /// The largest weight, a thousand million: sums over any number of entries stay far inside 64 bits.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// Takes a weight given in thousandths.
    #[must_use]
    pub fn from_thousandths(thousandths: u64) -> Self {
        Self(thousandths.min(Self::MAX.0))
    }

    /// The weight in thousandths.
    #[must_use]
    pub fn thousandths(self) -> u64 {
        self.0
    }

    /// Whether entries with this weight are never chosen.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Reads a decimal number with at most three decimals, digits only: no sign, no exponent.
    ///
    /// # Errors
    /// When the text is no such number, has more than three decimals, or is above [`Weight::MAX`].
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        if text.starts_with('-') && text[1..].starts_with(|c: char| c.is_ascii_digit() || c == '.')
        {
            return Err(UnitError::Negative);
        }
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() && decimals.is_empty() {
            return Err(UnitError::NotANumber);
        }
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits_only(whole) || !digits_only(decimals) {
            return Err(UnitError::NotANumber);
        }
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > 3 {
            return Err(UnitError::TooFine);
        }
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| UnitError::TooLarge)?
        };
        let fraction: u64 = format!("{decimals:0<3}")
            .parse()
            .map_err(|_| UnitError::NotANumber)?;
        let thousandths = whole
            .checked_mul(1_000)
            .and_then(|value| value.checked_add(fraction));
        match thousandths {
            Some(value) if value <= Self::MAX.0 => Ok(Self(value)),
            _ => Err(UnitError::TooLarge),
        }
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 1_000, self.0 % 1_000);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:03}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// Why a text is no weight, duration or size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not written as a number (with its unit, where one is needed).
    #[error("not a number")]
    NotANumber,
    /// Below zero.
    #[error("negative")]
    Negative,
    /// More decimals than are kept exactly.
    #[error("more than three decimals")]
    TooFine,
    /// Above what can be represented.
    #[error("too large")]
    TooLarge,
    /// A number without a unit, or with an unknown one.
    #[error("unknown unit")]
    UnknownUnit,
}

/// Reads a duration as `250ms`, `2s`, `1m30s`, `1.5h`, `7d`; a bare `0` needs no unit.
///
/// # Errors
/// When a part has no unit or an unknown one, or the sum does not fit.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return Err(UnitError::Negative);
    }
    if text.is_empty() {
        return Err(UnitError::NotANumber);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or(UnitError::UnknownUnit)?;
        let (number, tail) = rest.split_at(digits);
        let unit_length = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_length);
        let nanos_per_unit: u64 = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ if number.is_empty() => return Err(UnitError::NotANumber),
            _ => return Err(UnitError::UnknownUnit),
        };
        total = total
            .checked_add(scale(number, nanos_per_unit)?)
            .ok_or(UnitError::TooLarge)?;
        rest = tail;
    }
    if total > Duration::from_secs(100 * 365 * 86_400) {
        return Err(UnitError::TooLarge);
    }
    Ok(total)
}

fn scale(number: &str, nanos_per_unit: u64) -> Result<Duration, UnitError> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && decimals.is_empty()) || decimals.contains('.') {
        return Err(UnitError::NotANumber);
    }
    if decimals.len() > 9 {
        return Err(UnitError::TooFine);
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| UnitError::TooLarge)?
    };
    let mut nanos = whole
        .checked_mul(nanos_per_unit)
        .ok_or(UnitError::TooLarge)?;
    if !decimals.is_empty() {
        let fraction: u64 = decimals.parse().map_err(|_| UnitError::NotANumber)?;
        let denominator =
            10_u128.pow(u32::try_from(decimals.len()).map_err(|_| UnitError::TooFine)?);
        let part = u128::from(fraction) * u128::from(nanos_per_unit) / denominator;
        nanos = u64::try_from(part)
            .ok()
            .and_then(|part| nanos.checked_add(part))
            .ok_or(UnitError::TooLarge)?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Writes a duration so that [`parse_duration`] reads the same value back: `1m30s`, `250ms`, `0s`.
#[must_use]
pub fn print_duration(duration: Duration) -> String {
    use fmt::Write as _;
    if duration.is_zero() {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let mut nanos = duration.as_nanos();
    for (unit, size) in [
        ("d", 86_400_000_000_000_u128),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ] {
        let count = nanos / size;
        if count > 0 {
            write!(text, "{count}{unit}").expect("writing to a string cannot fail");
            nanos %= size;
        }
    }
    text
}

/// Reads a size in octets: `512`, `64KiB`, `10MiB`, `1GiB`, `50kB`, `1MB`.
///
/// # Errors
/// When the number or its unit is not one of these, or the product does not fit.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    if text.starts_with('-') {
        return Err(UnitError::Negative);
    }
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::NotANumber);
    }
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(UnitError::UnknownUnit),
    };
    let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
    number.checked_mul(factor).ok_or(UnitError::TooLarge)
}

/// Writes a size with the largest binary unit that divides it: `64KiB`, `1000`.
#[must_use]
pub fn print_size(bytes: u64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes != 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_weight_keeps_three_decimals_exactly() {
        assert_eq!(Weight::parse("99.9").map(Weight::thousandths), Ok(99_900));
        assert_eq!(Weight::parse("0.001").map(Weight::thousandths), Ok(1));
        assert_eq!(Weight::parse(".5").map(Weight::thousandths), Ok(500));
        assert_eq!(Weight::parse("5.").map(Weight::thousandths), Ok(5_000));
    }

    #[test]
    fn what_is_no_weight_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", UnitError::NotANumber),
            (".", UnitError::NotANumber),
            ("NaN", UnitError::NotANumber),
            ("+5", UnitError::NotANumber),
            ("1e3", UnitError::NotANumber),
            ("-1", UnitError::Negative),
            ("0.0001", UnitError::TooFine),
            ("99999999999999999999", UnitError::TooLarge),
            ("1000000000.001", UnitError::TooLarge),
        ] {
            assert_eq!(Weight::parse(text), Err(reason), "{text:?}");
        }
    }

    #[test]
    fn durations_add_up_their_parts() {
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1.5h"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("5"), Err(UnitError::UnknownUnit));
        assert_eq!(parse_duration("5 s"), Err(UnitError::UnknownUnit));
        assert_eq!(parse_duration("s"), Err(UnitError::NotANumber));
        assert_eq!(parse_duration("-1s"), Err(UnitError::Negative));
        assert_eq!(parse_duration("99999999999h"), Err(UnitError::TooLarge));
    }

    #[test]
    fn sizes_know_binary_and_decimal_units() {
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("50kB"), Ok(50_000));
        assert_eq!(parse_size("7"), Ok(7));
        assert_eq!(parse_size("7 K"), Err(UnitError::UnknownUnit));
        assert_eq!(parse_size("KiB"), Err(UnitError::NotANumber));
        assert_eq!(parse_size("99999999999TiB"), Err(UnitError::TooLarge));
    }

    proptest! {
        #[test]
        fn a_printed_weight_reads_back(thousandths in 0..=Weight::MAX.thousandths()) {
            let weight = Weight::from_thousandths(thousandths);
            prop_assert_eq!(Weight::parse(&weight.to_string()), Ok(weight));
        }

        #[test]
        fn a_printed_duration_reads_back(nanos in 0_u64..=100 * 365 * 86_400 * 1_000_000_000) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_printed_size_reads_back(bytes: u64) {
            prop_assert_eq!(parse_size(&print_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text: String) {
            // Whatever they make of it, each comes back with an answer.
            Weight::parse(&text).ok();
            parse_duration(&text).ok();
            parse_size(&text).ok();
        }
    }
}
