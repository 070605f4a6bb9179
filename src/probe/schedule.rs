//! When probes are sent. Pure: moments are given as the time since the prober's own beginning.
//!
//! Two queues: first probes, which go out at once but at most [`FIRSTS_A_SECOND`] a second in all, and turns, each at
//! its planned moment. A turn is planned from the plan of the one before, not from when that was sent, so that
//! lateness does not add up; turns that were missed altogether are skipped, not made up for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// The most first probes in any second.
pub(crate) const FIRSTS_A_SECOND: u32 = 1_000;

/// First probes that may be made up for at once after the thread woke late; timers are only exact to about 1 ms.
const CATCH_UP: u32 = 10;

/// From one first probe to the next. A second holds so many of these, and the catch-up, and no more.
const GAP: Duration =
    Duration::from_nanos(1_000_000_000 / (FIRSTS_A_SECOND as u64 - CATCH_UP as u64) + 1);

/// Turns of the same such stretch share their moment: a thousand endpoints wake the thread a hundred times a second then,
/// where most of what a probe costs is the waking. Divides every period of whole seconds, so that they stay together.
const TOGETHER: Duration = Duration::from_millis(10);

/// What is to be sent, and when.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    firsts: BinaryHeap<Reverse<Entry<T>>>,
    turns: BinaryHeap<Reverse<Entry<T>>>,
    next_first: Duration,
    entered: u64,
    random: fastrand::Rng,
}

/// Something whose moment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due<T> {
    /// When it was to be sent.
    pub(crate) planned: Duration,
    /// What.
    pub(crate) item: T,
}

impl<T> Schedule<T> {
    /// An empty one; the seed decides how turns are spread.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            firsts: BinaryHeap::new(),
            turns: BinaryHeap::new(),
            next_first: Duration::ZERO,
            entered: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Enters a first probe, to be sent from this moment on, as soon as the rate allows.
    pub(crate) fn enter_first(&mut self, from: Duration, item: T) {
        let entry = self.entry(from, item);
        self.firsts.push(Reverse(entry));
    }

    /// Enters a turn.
    pub(crate) fn enter_turn(&mut self, planned: Duration, item: T) {
        let entry = self.entry(planned, item);
        self.turns.push(Reverse(entry));
    }

    /// When the next one is to be sent.
    pub(crate) fn next(&self) -> Option<Duration> {
        match (self.next_of_firsts(), self.turns.peek()) {
            (Some(first), Some(Reverse(turn))) => Some(first.min(turn.planned)),
            (Some(first), None) => Some(first),
            (None, Some(Reverse(turn))) => Some(turn.planned),
            (None, None) => None,
        }
    }

    /// Takes out the next one whose moment has come. Turns go before first probes that are due as well.
    pub(crate) fn take(&mut self, now: Duration) -> Option<Due<T>> {
        if let Some(Reverse(turn)) = self.turns.peek()
            && turn.planned <= now
        {
            let Reverse(Entry { planned, item, .. }) = self.turns.pop()?;
            return Some(Due { planned, item });
        }
        let planned = self.next_of_firsts().filter(|planned| *planned <= now)?;
        let Reverse(Entry { item, .. }) = self.firsts.pop()?;
        self.next_first = planned.max(now.saturating_sub(GAP * CATCH_UP)) + GAP;
        Some(Due { planned, item })
    }

    /// Forgets what does not belong any more.
    pub(crate) fn retain(&mut self, belongs: impl Fn(&T) -> bool) {
        self.firsts.retain(|Reverse(entry)| belongs(&entry.item));
        self.turns.retain(|Reverse(entry)| belongs(&entry.item));
    }

    /// When the first turn comes after a first probe: a period later on average, from half of one to one and a half,
    /// so that the turns of many that began together are spread evenly over a period, on a grid of [`TOGETHER`].
    pub(crate) fn first_turn(&mut self, planned: Duration, period: Duration) -> Duration {
        let spread = planned + period / 2 + period.mul_f64(self.random.f64());
        let beyond = spread.as_nanos() % TOGETHER.as_nanos();
        spread - Duration::from_nanos(u64::try_from(beyond).unwrap_or(0))
    }

    fn next_of_firsts(&self) -> Option<Duration> {
        let Reverse(entry) = self.firsts.peek()?;
        Some(entry.planned.max(self.next_first))
    }

    fn entry(&mut self, planned: Duration, item: T) -> Entry<T> {
        self.entered += 1;
        Entry {
            planned,
            entered: self.entered,
            item,
        }
    }
}

/// The turn that follows on this one: a period later, or as many periods as it takes to come after `now`.
pub(crate) fn turn_after(planned: Duration, period: Duration, now: Duration) -> Duration {
    // The shortest period a configuration may ask for is 100 ms; zero must not divide all the same.
    let period = period.max(Duration::from_millis(1));
    let next = planned + period;
    if next > now {
        return next;
    }
    let missed = (now - planned).as_nanos() / period.as_nanos();
    let behind = (now - planned).as_nanos() - missed * period.as_nanos();
    now + period - Duration::from_nanos(u64::try_from(behind).unwrap_or(0))
}

/// Ordered by moment, then by entry: what was entered first goes first.
#[derive(Debug)]
struct Entry<T> {
    planned: Duration,
    entered: u64,
    item: T,
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.planned, self.entered).cmp(&(other.planned, other.entered))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn turns_come_in_the_order_of_their_moments_and_not_before() {
        let mut schedule = Schedule::new(1);
        schedule.enter_turn(ms(20), 'b');
        schedule.enter_turn(ms(10), 'a');
        schedule.enter_turn(ms(20), 'c');
        assert_eq!(schedule.next(), Some(ms(10)));
        assert_eq!(schedule.take(ms(9)), None);
        let taken: Vec<char> =
            std::iter::from_fn(|| schedule.take(ms(20)).map(|due| due.item)).collect();
        assert_eq!(taken, ['a', 'b', 'c']);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_lone_first_probe_goes_out_at_once() {
        let mut schedule = Schedule::new(1);
        schedule.enter_first(ms(5), 'a');
        let due = schedule.take(ms(5)).unwrap();
        assert_eq!((due.planned, due.item), (ms(5), 'a'));
    }

    #[test]
    fn no_second_holds_more_than_a_thousand_first_probes_however_the_thread_wakes() {
        let mut schedule = Schedule::new(1);
        for item in 0..5_000 {
            schedule.enter_first(Duration::ZERO, item);
        }
        let mut random = fastrand::Rng::with_seed(7);
        let mut now = Duration::ZERO;
        let mut sent = Vec::new();
        while schedule.next().is_some() {
            while schedule.take(now).is_some() {
                sent.push(now);
            }
            now += if random.u32(..50) == 0 {
                ms(300)
            } else {
                ms(random.u64(1..3))
            };
        }
        for (index, at) in sent.iter().enumerate() {
            let in_the_second = sent[index..]
                .iter()
                .take_while(|other| **other < *at + ms(1_000));
            let count = in_the_second.count();
            assert!(count <= 1_000, "{count} from {at:?} on");
        }
        assert_eq!(sent.len(), 5_000);
    }

    #[test]
    fn the_rate_of_first_probes_is_kept_when_the_thread_wakes_every_two_milliseconds() {
        let mut schedule = Schedule::new(1);
        for item in 0..1_000 {
            schedule.enter_first(Duration::ZERO, item);
        }
        let mut now = Duration::ZERO;
        while schedule.next().is_some() {
            while schedule.take(now).is_some() {}
            now += ms(2);
        }
        assert!(now <= ms(1_020), "took {now:?}");
    }

    #[test]
    fn what_does_not_belong_any_more_is_forgotten_and_takes_nobodys_place() {
        let mut schedule = Schedule::new(1);
        for item in 0..5_000 {
            schedule.enter_first(Duration::ZERO, item);
        }
        schedule.enter_turn(ms(1), 0);
        schedule.retain(|item| *item == 4_999);
        assert_eq!(schedule.take(ms(1)).map(|due| due.item), Some(4_999));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn turns_of_ten_thousand_that_began_together_are_spread_evenly() {
        let mut schedule: Schedule<()> = Schedule::new(42);
        let period = ms(5_000);
        let mut slices = [0_u32; 50];
        for _ in 0..10_000 {
            let turn = schedule.first_turn(ms(3), period);
            assert!(turn >= period / 2 && turn <= period * 3 / 2, "{turn:?}");
            assert_eq!(turn.as_nanos() % 10_000_000, 0, "{turn:?}");
            let slice = turn.as_millis() % 5_000 / 100;
            slices[usize::try_from(slice).unwrap()] += 1;
        }
        for count in slices {
            assert!((130..=270).contains(&count), "{slices:?}");
        }
    }

    #[test]
    fn the_same_seed_spreads_alike() {
        let parts = |seed| {
            let mut schedule: Schedule<()> = Schedule::new(seed);
            [(); 8].map(|()| schedule.first_turn(ms(3), ms(1_000)))
        };
        assert_eq!(parts(3), parts(3));
        assert_ne!(parts(3), parts(4));
    }

    proptest! {
        #[test]
        fn turns_keep_to_their_grid_and_never_burst(
            planned in 0..1_000_000_u64,
            period in 1..100_000_u64,
            late in 0..1_000_000_u64,
        ) {
            let (planned, period, now) = (ms(planned), ms(period), ms(planned + late));
            let next = turn_after(planned, period, now);
            prop_assert!(next > now && next <= now + period);
            prop_assert_eq!((next - planned).as_nanos() % period.as_nanos(), 0);
        }
    }
}
