//! How a demo endpoint is, and the orders that change it: data and pure functions.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// How an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mood {
    /// `/ready` answers 200.
    pub(crate) ready: bool,
    /// `/live` answers 200; while it does not, ordinary requests hang.
    pub(crate) alive: bool,
    /// Ordinary requests get 500.
    pub(crate) failing: bool,
    /// What ordinary requests take longer.
    pub(crate) delay: Duration,
}

impl Default for Mood {
    fn default() -> Self {
        Self {
            ready: true,
            alive: true,
            failing: false,
            delay: Duration::ZERO,
        }
    }
}

impl Mood {
    /// Does what it is told.
    pub(crate) fn obey(&mut self, order: Order) {
        match order {
            Order::Ready => self.ready = true,
            Order::Unready => self.ready = false,
            Order::Alive => self.alive = true,
            Order::Dead => self.alive = false,
            Order::Healthy => self.failing = false,
            Order::Failing => self.failing = true,
            Order::Fast => self.delay = Duration::ZERO,
            Order::Slow(delay) => self.delay = delay,
        }
    }
}

impl fmt::Display for Mood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ready = if self.ready { "ready" } else { "unready" };
        let alive = if self.alive { "alive" } else { "dead" };
        let failing = if self.failing { "failing" } else { "healthy" };
        write!(f, "{ready}, {alive}, {failing}, ")?;
        match self.delay.as_millis() {
            0 => f.write_str("fast"),
            delay => write!(f, "slow by {delay} ms"),
        }
    }
}

/// What an endpoint can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// `/ready` answers 200.
    Ready,
    /// `/ready` answers 503.
    Unready,
    /// `/live` answers 200, and what hangs is answered.
    Alive,
    /// `/live` answers 503, and ordinary requests hang.
    Dead,
    /// Ordinary requests get 200.
    Healthy,
    /// Ordinary requests get 500.
    Failing,
    /// Ordinary requests are answered at once.
    Fast,
    /// Ordinary requests take this much longer.
    Slow(Duration),
}

impl Order {
    /// Reads `/demo/slow?ms=400` and the like.
    ///
    /// # Errors
    /// The status and the line to answer with.
    pub(crate) fn parse(
        path: &str,
        query: Option<&str>,
    ) -> Result<Self, (StatusCode, &'static str)> {
        match path.strip_prefix("/demo/").unwrap_or_default() {
            "ready" => Ok(Self::Ready),
            "unready" => Ok(Self::Unready),
            "alive" => Ok(Self::Alive),
            "dead" => Ok(Self::Dead),
            "healthy" => Ok(Self::Healthy),
            "failing" => Ok(Self::Failing),
            "fast" => Ok(Self::Fast),
            "slow" => delay(query).map(Self::Slow).ok_or((
                StatusCode::BAD_REQUEST,
                "how slow? /demo/slow?ms=400, at most 60000",
            )),
            _ => Err((
                StatusCode::NOT_FOUND,
                "known orders: /demo/ready, unready, alive, dead, healthy, failing, fast, slow?ms=400",
            )),
        }
    }
}

/// 400 ms where nothing is said.
fn delay(query: Option<&str>) -> Option<Duration> {
    let Some(query) = query else {
        return Some(Duration::from_millis(400));
    };
    let ms: u64 = query.strip_prefix("ms=")?.parse().ok()?;
    (ms <= 60_000).then_some(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_one_that_takes_it_back() {
        for (order, back) in [
            (Order::Unready, Order::Ready),
            (Order::Dead, Order::Alive),
            (Order::Failing, Order::Healthy),
            (Order::Slow(Duration::from_secs(1)), Order::Fast),
        ] {
            let mut mood = Mood::default();
            mood.obey(order);
            assert_ne!(mood, Mood::default(), "{order:?}");
            mood.obey(back);
            assert_eq!(mood, Mood::default(), "{order:?} then {back:?}");
        }
    }

    #[test]
    fn a_delay_is_milliseconds_within_a_minute() {
        let slow = |query| Order::parse("/demo/slow", query);
        let ms = |ms| Ok(Order::Slow(Duration::from_millis(ms)));
        assert_eq!(slow(None), ms(400));
        assert_eq!(slow(Some("ms=60000")), ms(60_000));
        for wrong in ["ms=60001", "ms=-1", "ms=", "s=1", "ms=1s"] {
            assert!(slow(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
