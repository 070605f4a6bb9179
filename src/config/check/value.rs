//! Readers of single values: text, booleans, numbers, durations, sizes, weights, words, names.
//!
//! A text takes any scalar, by its own words: `version: 1.10` is `1.10`. A number or a boolean must not be quoted.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::config::check::findings::{At, Findings, called};
use crate::config::document::{Scalar, Value};
use crate::config::keys::Words;
use crate::config::problem::quoted;
use crate::config::source::Place;
use crate::units::{UnitError, Weight, parse_duration, parse_size};

impl Findings<'_> {
    /// Any scalar as text.
    pub(crate) fn text<'n>(&mut self, at: At<'n>) -> Option<&'n str> {
        self.scalar(at, "a text", "write a single value")
            .map(|scalar| scalar.text.as_str())
    }

    /// A text to keep.
    pub(crate) fn shared_text(&mut self, at: At<'_>) -> Option<Arc<str>> {
        self.text(at).map(Arc::from)
    }

    /// A scalar, or a problem that names what is wanted.
    pub(crate) fn scalar<'n>(
        &mut self,
        at: At<'n>,
        wanted: &str,
        remedy: &str,
    ) -> Option<&'n Scalar> {
        if let Value::Scalar(scalar) = &at.piece.value {
            return Some(scalar);
        }
        self.wrong_kind(at, wanted, remedy);
        None
    }

    /// A scalar that is a number or a boolean, so that it has no quotes.
    fn bare<'n>(&mut self, at: At<'n>, wanted: &str, remedy: &str) -> Option<&'n str> {
        let scalar = self.scalar(at, wanted, remedy)?;
        if scalar.is_quoted {
            let message = format!("{} must be {wanted}, not a text", called(at.what));
            self.problem(at.piece.place, message, "remove the quotes");
            return None;
        }
        Some(&scalar.text)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, at: At<'_>) -> bool {
        let (wanted, remedy) = ("true or false", "write true or false");
        match self.bare(at, wanted, remedy) {
            Some("true") => true,
            Some("false") | None => false,
            Some(_) => {
                self.wrong_kind(at, wanted, remedy);
                false
            }
        }
    }

    /// A whole number in a range.
    pub(crate) fn whole(&mut self, at: At<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let (low, high) = (*range.start(), *range.end());
        let remedy = if high == u64::MAX {
            format!("write a whole number from {low}")
        } else {
            format!("write a whole number from {low} to {high}")
        };
        let text = self.bare(at, "a whole number", &remedy)?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            self.wrong_kind(at, "a whole number", &remedy);
            return None;
        }
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("{} is out of range: {}", called(at.what), quoted(text));
            self.problem(at.piece.place, message, remedy);
        }
        number
    }

    /// A whole number where 0 is no limit.
    pub(crate) fn limit(&mut self, at: At<'_>) -> Option<usize> {
        let most = u64::try_from(usize::MAX).unwrap_or(u64::MAX);
        let number = self.whole(at, 0..=most)?;
        usize::try_from(number).ok().filter(|&number| number > 0)
    }

    /// A port that can be connected to.
    pub(crate) fn port(&mut self, at: At<'_>) -> Option<u16> {
        self.whole(at, 1..=u64::from(u16::MAX))
            .and_then(|port| u16::try_from(port).ok())
    }

    /// A duration.
    pub(crate) fn duration(&mut self, at: At<'_>) -> Duration {
        const REMEDY: &str = "write a number with its unit: 250ms, 2s, 1m30s";
        let Some(scalar) = self.scalar(at, "a duration", REMEDY) else {
            return Duration::ZERO;
        };
        match parse_duration(&scalar.text) {
            Ok(duration) => duration,
            Err(UnitError::UnknownUnit) if is_digits(&scalar.text) => {
                let message = format!("{} has no unit", called(at.what));
                let remedy = format!("write {0}s or {0}ms", scalar.text);
                self.problem(at.piece.place, message, remedy);
                Duration::ZERO
            }
            Err(error) => {
                self.not_a(at, "a duration", &scalar.text, error, REMEDY);
                Duration::ZERO
            }
        }
    }

    /// A duration where 0 is no limit.
    pub(crate) fn duration_limit(&mut self, at: At<'_>) -> Option<Duration> {
        Some(self.duration(at)).filter(|duration| !duration.is_zero())
    }

    /// A size in octets where 0 is no limit.
    pub(crate) fn size_limit(&mut self, at: At<'_>) -> Option<u64> {
        const REMEDY: &str = "write octets or a number with its unit: 512, 64KiB, 10MiB";
        let scalar = self.scalar(at, "a size", REMEDY)?;
        match parse_size(&scalar.text) {
            Ok(size) => Some(size).filter(|&size| size > 0),
            Err(error) => {
                self.not_a(at, "a size", &scalar.text, error, REMEDY);
                None
            }
        }
    }

    /// A weight, in exact thousandths.
    pub(crate) fn weight(&mut self, at: At<'_>) -> Weight {
        const WANTED: &str = "a number";
        const REMEDY: &str = "write a number from 0 with up to three decimals, such as 99.9";
        let Some(text) = self.bare(at, WANTED, REMEDY) else {
            return Weight::ZERO;
        };
        match Weight::parse(text) {
            Ok(weight) => weight,
            Err(UnitError::TooFine) => {
                let message = format!("{} is finer than a thousandth", quoted(text));
                self.problem(at.piece.place, message, "write at most three decimals");
                Weight::ZERO
            }
            Err(error) => {
                self.not_a(at, WANTED, text, error, REMEDY);
                Weight::ZERO
            }
        }
    }

    /// Seconds as Kubernetes writes them: a bare number, here with decimals.
    pub(crate) fn seconds(&mut self, at: At<'_>) -> Option<Duration> {
        const REMEDY: &str = "write seconds as a bare number, such as 5 or 0.5";
        let text = self.bare(at, "a number of seconds", REMEDY)?;
        let is_number = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
        let parsed = if is_number {
            parse_duration(&format!("{text}s"))
        } else {
            Err(UnitError::NotANumber)
        };
        parsed
            .map_err(|error| self.not_a(at, "a number of seconds", text, error, REMEDY))
            .ok()
    }

    fn not_a(&mut self, at: At<'_>, wanted: &str, text: &str, error: UnitError, remedy: &str) {
        let (what, text) = (called(at.what), quoted(text));
        let message = match error {
            UnitError::NotANumber => format!("{what} must be {wanted}, not {text}"),
            UnitError::Negative => format!("{what} must not be negative: {text}"),
            UnitError::TooFine => format!("{what} has too many decimals: {text}"),
            UnitError::TooLarge => format!("{what} is too large: {text}"),
            UnitError::UnknownUnit => format!("{what} has an unknown unit: {text}"),
        };
        self.problem(at.piece.place, message, remedy);
    }

    /// One of a few words.
    pub(crate) fn word(&mut self, at: At<'_>, words: &Words) -> Option<&'static str> {
        let remedy = format!("write {}", words.works.join(" or "));
        let scalar = self.scalar(at, "a word", &remedy)?;
        let text = scalar.text.as_str();
        if let Some(word) = words.works.iter().find(|&&word| word == text) {
            return Some(word);
        }
        if let Some((later, remedy)) = words.later.iter().find(|(later, _)| *later == text) {
            self.later(at.piece.place, &quoted(later), remedy);
            return None;
        }
        let remedy = self.nearest(text, words.works.iter().copied());
        let message = format!("{} is no value of {}", quoted(text), called(at.what));
        self.problem(at.piece.place, message, remedy);
        None
    }

    /// A name of a listener, a route or a pool.
    pub(crate) fn name(&mut self, at: At<'_>, of: &str) -> Option<Arc<str>> {
        let text = self.text(at)?;
        self.check_name_at(at.piece.place, text, of);
        Some(Arc::from(text))
    }

    /// Reports a text that may not name a listener, a route or a pool.
    pub(crate) fn check_name_at(&mut self, place: Place, text: &str, of: &str) {
        let length = text.chars().count();
        let (fault, remedy) = if text.trim().is_empty() {
            ("is empty", "give it a name of 1 to 100 characters")
        } else if length > MAX_NAME {
            ("is longer than 100 characters", "shorten it")
        } else if text.chars().any(char::is_control) || text.trim() != text {
            (
                "holds characters that cannot be printed, or spaces at its ends",
                "use letters, digits and \"-\"",
            )
        } else if text == RESERVED && of != "listener" {
            (
                "is reserved: metrics call it so when there is none",
                "choose another name",
            )
        } else {
            return;
        };
        let message = format!("the name {} of a {of} {fault}", quoted(text));
        self.problem(place, message, remedy);
    }
}

/// The longest name, in characters: names are labels of metrics.
const MAX_NAME: usize = 100;
/// The label of requests without a route or a pool.
const RESERVED: &str = "none";

/// Whether a text is digits only.
pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
