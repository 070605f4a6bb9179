//! `grpc-timeout`: at most eight digits and a unit.

use std::time::Duration;

/// The greatest number that eight digits can say.
const MOST: u128 = 99_999_999;

/// What a value says. `None` for what breaks the grammar, which is a positive number of at most eight digits and one of
/// the letters `H`, `M`, `S`, `m`, `u`, `n`.
#[must_use]
pub fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    let timeout = match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    };
    (!timeout.is_zero()).then_some(timeout)
}

/// A value that says this much, as exactly as eight digits can: never more of it, but for 1 ns where there is none left.
#[must_use]
pub fn print_timeout(left: Duration) -> String {
    const SECOND: u128 = 1_000_000_000;
    let units = [
        ("n", 1),
        ("u", 1_000),
        ("m", 1_000_000),
        ("S", SECOND),
        ("M", 60 * SECOND),
        ("H", 3_600 * SECOND),
    ];
    let nanos = left.as_nanos().max(1);
    for (unit, length) in units {
        let number = nanos / length;
        if number <= MOST {
            return format!("{number}{unit}");
        }
    }
    format!("{MOST}H")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_unit_is_read() {
        let cases = [
            ("1H", Duration::from_secs(3_600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("250m", Duration::from_millis(250)),
            ("7u", Duration::from_micros(7)),
            ("1n", Duration::from_nanos(1)),
            ("00000001S", Duration::from_secs(1)),
            ("99999999H", Duration::from_secs(99_999_999 * 3_600)),
        ];
        for (value, timeout) in cases {
            assert_eq!(parse_timeout(value.as_bytes()), Some(timeout), "{value}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_says_nothing() {
        let broken = [
            "",
            "S",
            "1",
            "1s",
            "1 S",
            "-1S",
            "+1S",
            "1.5S",
            "0S",
            "123456789S",
            "1SS",
            "0x1S",
            "1h",
        ];
        for value in broken {
            assert_eq!(parse_timeout(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn a_timeout_is_printed_in_the_finest_unit_that_has_room() {
        let cases = [
            (Duration::ZERO, "1n"),
            (Duration::from_millis(99), "99000000n"),
            (Duration::from_millis(100), "100000u"),
            (Duration::from_secs(99), "99000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(99_999_999), "99999999S"),
            (Duration::from_secs(100_000_000), "1666666M"),
            (Duration::MAX, "99999999H"),
        ];
        for (timeout, value) in cases {
            assert_eq!(print_timeout(timeout), value);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_and_never_says_more(nanos in 1..=u64::MAX) {
            let left = Duration::from_nanos(nanos);
            let read = parse_timeout(print_timeout(left).as_bytes()).unwrap();
            prop_assert!(read <= left);
            prop_assert!(read.as_nanos() * 100_000 >= left.as_nanos() * 99_999, "{read:?} of {left:?}");
        }

        #[test]
        fn no_octets_make_a_panic(value in proptest::collection::vec(any::<u8>(), 0..12)) {
            prop_assert!(parse_timeout(&value).is_none_or(|read| !read.is_zero()));
        }
    }
}
