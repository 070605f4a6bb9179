//! Times in 8 octets instead of an `Instant`'s 16: connections at rest are many, and each keeps one for every clock.

use std::num::NonZeroU64;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// The moment from which all others are counted.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Its number. Moments before it are counted down, as a test may meet them that turns its own clock.
const OF_ORIGIN: NonZeroU64 = NonZeroU64::MIN.saturating_add(1 << 62);

/// A time to the nanosecond, from 146 years before this process to 438 years behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(NonZeroU64);

impl Moment {
    /// Behind all others.
    pub(super) const NEVER: Self = Self(NonZeroU64::MAX);

    /// So long after a time; never where that is too far to be counted.
    pub(super) fn after(start: Instant, limit: Duration) -> Self {
        Self(Self::of(start).0.saturating_add(nanos(limit)))
    }

    pub(super) fn of(instant: Instant) -> Self {
        let origin = *ORIGIN;
        match instant.checked_duration_since(origin) {
            Some(since) => Self(OF_ORIGIN.saturating_add(nanos(since))),
            None => {
                let before = nanos(origin.duration_since(instant));
                let number = OF_ORIGIN.get().saturating_sub(before);
                Self(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
            }
        }
    }

    pub(super) fn instant(self) -> Instant {
        let (number, origin) = (self.0.get(), OF_ORIGIN.get());
        match number.checked_sub(origin) {
            Some(since) => *ORIGIN + Duration::from_nanos(since),
            None => *ORIGIN - Duration::from_nanos(origin - number),
        }
    }
}

/// A clock that nobody has started rings never.
impl Default for Moment {
    fn default() -> Self {
        Self::NEVER
    }
}

fn nanos(time: Duration) -> u64 {
    let seconds = time.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(time.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_its_instant_to_the_nanosecond_and_keeps_its_order() {
        let now = Instant::now();
        let year = Duration::from_secs(31_556_952);
        let instants = [
            now - year,
            now - Duration::from_nanos(1),
            now,
            now + Duration::from_nanos(1),
            now + 100 * year,
        ];
        for instant in instants {
            assert_eq!(Moment::of(instant).instant(), instant);
        }
        assert!(
            instants
                .map(Moment::of)
                .is_sorted_by(|one, next| one < next)
        );
        assert!(Moment::of(instants[4]) < Moment::NEVER);
    }

    #[test]
    fn what_is_too_far_never_comes() {
        let now = Instant::now();
        assert_eq!(Moment::after(now, Duration::MAX), Moment::NEVER);
        let second = Duration::from_secs(1);
        assert_eq!(Moment::after(now, second), Moment::of(now + second));
    }
}
