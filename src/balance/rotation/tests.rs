//! One sequence over many takers, and over rotations that follow each other.

use std::thread;

use proptest::prelude::*;

use super::*;

/// Takes one slot that must be there.
fn pick(rotation: &Rotation) -> Pick {
    match rotation.take() {
        Take::Picked(pick) => pick,
        other => panic!("no slot: {other:?}"),
    }
}

fn entries(rotation: &Rotation, slots: usize) -> Vec<usize> {
    (0..slots).map(|_| pick(rotation).entry).collect()
}

/// The same entries with other weights, started.
fn reweighted(previous: &Arc<Rotation>, weights: &[u64]) -> Arc<Rotation> {
    let origin: Vec<_> = (0..weights.len()).map(Some).collect();
    let next = Rotation::following(weights, &origin, Arc::clone(previous));
    next.start();
    Arc::new(next)
}

#[test]
fn a_rotation_without_weights_is_empty_and_uses_no_slot() {
    let empty = Arc::new(Rotation::new(&[0, 0]));
    assert_eq!(empty.take(), Take::Empty);
    assert_eq!(Rotation::new(&[]).take(), Take::Empty);
    let next = reweighted(&empty, &[1, 0]);
    assert_eq!(empty.take(), Take::Closed);
    let first = Pick {
        entry: 0,
        position: 0,
    };
    assert_eq!(next.take(), Take::Picked(first));
}

#[test]
fn a_successor_goes_on_at_the_position_where_its_predecessor_was_closed() {
    let first = Arc::new(Rotation::new(&[3, 1, 1]));
    entries(&first, 7);
    let second = reweighted(&first, &[1, 1, 1]);
    assert_eq!(first.take(), Take::Closed);
    assert_eq!(pick(&second).position, 7);
    assert_eq!((first.position(), second.position()), (7, 8));
    assert_eq!(second.assigned().iter().sum::<u64>(), 8);
}

#[test]
fn the_first_taker_starts_a_successor_that_nobody_has_started() {
    let first = Arc::new(Rotation::new(&[1, 1]));
    entries(&first, 3);
    let second = Rotation::following(&[1, 1], &[Some(0), Some(1)], Arc::clone(&first));
    let dropped = Rotation::following(&[1, 1], &[Some(0), Some(1)], Arc::clone(&first));
    drop(dropped);
    assert_eq!(pick(&first).entry, 1);
    assert_eq!(entries(&second, 2), [0, 1]);
    assert_eq!(first.take(), Take::Closed);
    assert_eq!(Arc::strong_count(&first), 1, "the predecessor is let go");
}

#[test]
fn a_long_chain_that_was_never_started_is_settled_and_dropped_without_recursion() {
    let mut newest = Arc::new(Rotation::new(&[1, 2]));
    assert_eq!(pick(&newest).entry, 1);
    let follow = |previous| Arc::new(Rotation::following(&[1, 2], &[Some(0), Some(1)], previous));
    for _ in 0..100_000 {
        newest = follow(newest);
    }
    assert_eq!(entries(&newest, 3), [0, 1, 1]);
    for _ in 0..100_000 {
        newest = follow(newest);
    }
    drop(newest);
}

#[test]
fn a_canary_of_one_in_a_thousand_is_not_reset_by_reloads() {
    let mut rotation = Arc::new(Rotation::new(&[999, 1]));
    let mut canary = Vec::new();
    for _ in 0..300 {
        for _ in 0..10 {
            let pick = pick(&rotation);
            if pick.entry == 1 {
                canary.push(pick.position);
            }
        }
        rotation = reweighted(&rotation, &[999, 1]);
    }
    assert_eq!(canary, [500, 1_500, 2_500]);
    assert_eq!(rotation.assigned(), [2_997, 3]);
    let expected = rotation.expected();
    assert!((expected[0] - 2_997.0).abs() < 1e-9, "{expected:?}");
}

#[test]
fn the_least_recently_served_go_first_when_membership_of_equals_changes() {
    let first = Arc::new(Rotation::new(&[1; 6]));
    assert_eq!(entries(&first, 2), [0, 1]);
    // Entry 4 leaves, a new one comes in at the front.
    let origin = [None, Some(0), Some(1), Some(2), Some(3), Some(5)];
    let second = Arc::new(Rotation::following(&[1; 6], &origin, first));
    assert_eq!(entries(&second, 9), [3, 4, 5, 0, 1, 2, 3, 4, 5]);
    // In the midst of that one, another leaves and the order of the entries is turned round.
    let origin = [Some(5), Some(4), Some(3), Some(1), Some(0)];
    let third = Arc::new(Rotation::following(&[1; 5], &origin, second));
    assert_eq!(entries(&third, 6), [4, 3, 2, 1, 0, 4]);
}

#[test]
fn an_entry_that_was_away_gets_what_it_is_owed_and_no_burst() {
    let first = Arc::new(Rotation::new(&[90, 5, 5]));
    entries(&first, 9);
    let owed = first.tally()[1].owed;
    let away = reweighted(&first, &[90, 0, 5]);
    assert!(entries(&away, 10_000).iter().all(|&entry| entry != 1));
    assert_eq!(away.tally()[1].owed, owed, "its account stands still");
    let back = reweighted(&away, &[90, 5, 5]);
    let got = entries(&back, 200);
    for window in got.windows(20) {
        let count = window.iter().filter(|&&entry| entry == 1).count();
        assert!(count <= 2, "{window:?}");
    }
    let tallies = back.tally();
    assert!(
        tallies.iter().all(|tally| tally.owed.abs() < 1.0),
        "{tallies:?}"
    );
}

#[test]
fn a_rotation_is_small() {
    assert!(size_of::<Rotation>() + size_of::<Pick>() <= 256);
}

/// What a snapshot is to takers: the newest rotation, read again when the one in hand is closed.
fn taken_by_threads(phases: &[Vec<u64>], threads: usize, each: usize) -> (Vec<Pick>, Vec<u64>) {
    let newest = Mutex::new(Arc::new(Rotation::new(&phases[0])));
    let read = || Arc::clone(&newest.lock().unwrap());
    let taker = || {
        let mut rotation = read();
        let mut picks = Vec::with_capacity(each);
        while picks.len() < each {
            match rotation.take() {
                Take::Picked(pick) => picks.push(pick),
                Take::Closed => rotation = read(),
                Take::Empty => panic!("there are weights"),
            }
        }
        picks
    };
    let mut starts = vec![0];
    let mut picks = thread::scope(|scope| {
        let takers: Vec<_> = (0..threads).map(|_| scope.spawn(taker)).collect();
        let total = (threads * each) as u64;
        for (index, weights) in (1..).zip(&phases[1..]) {
            let previous = read();
            while previous.position() < total * index / phases.len() as u64 {
                thread::yield_now();
            }
            let origin: Vec<_> = (0..weights.len()).map(Some).collect();
            let next = Rotation::following(weights, &origin, Arc::clone(&previous));
            let next = Arc::new(next);
            *newest.lock().unwrap() = Arc::clone(&next);
            next.start();
            starts.push(previous.position());
        }
        let joined = takers.into_iter().map(|taker| taker.join().unwrap());
        joined.flatten().collect::<Vec<Pick>>()
    });
    picks.sort_unstable_by_key(|pick| pick.position);
    (picks, starts)
}

#[test]
fn many_threads_and_successors_take_every_position_of_the_one_sequence_once() {
    for phases in [
        vec![vec![50, 30, 20, 7, 1], vec![50, 0, 20, 7, 1]],
        vec![
            (1..=40).collect(),
            (1..=40).rev().collect(),
            vec![1; 40],
            (1..=40).collect::<Vec<u64>>(),
        ],
        vec![vec![95, 5], vec![90, 10], vec![0, 1]],
        vec![vec![1; 7], vec![0, 1, 1, 1, 1, 1, 1], vec![1; 7]],
    ] {
        let (picks, starts) = taken_by_threads(&phases, 4, 100_000);
        // The same phases, cut at the same positions, by one taker.
        let mut rotation = Arc::new(Rotation::new(&phases[0]));
        let mut changes = starts.iter().zip(&phases).skip(1).peekable();
        for (position, &got) in (0..).zip(&picks) {
            while let Some((_, weights)) = changes.next_if(|&(&start, _)| start == position) {
                rotation = reweighted(&rotation, weights);
            }
            assert_eq!(got, pick(&rotation), "{phases:?} {starts:?}");
        }
        assert_eq!(picks.len(), 400_000);
    }
}

#[test]
fn counts_read_meanwhile_belong_to_one_position() {
    let rotation = Rotation::new(&[5, 3, 2, 1]);
    thread::scope(|scope| {
        let takers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| entries(&rotation, 20_000)))
            .collect();
        while !takers.iter().all(thread::ScopedJoinHandle::is_finished) {
            let tallies = rotation.tally();
            assert!(
                tallies.iter().all(|tally| tally.owed.abs() <= 5.0 / 6.0),
                "{tallies:?}"
            );
        }
    });
    assert_eq!(rotation.assigned().iter().sum::<u64>(), 40_000);
}

/// Weights in force and for how many slots.
type Phase = (Vec<u64>, usize);

fn phases(entries: usize) -> impl Strategy<Value = Vec<Phase>> {
    let weight = prop_oneof![Just(0_u64), Just(1), 1_u64..10, 1_u64..100_000];
    let weights = prop::collection::vec(weight, entries);
    prop::collection::vec((weights, 0_usize..40), 1..30)
}

/// Fixed weights, of which some are away in each phase.
fn flapping(entries: usize) -> impl Strategy<Value = Vec<Phase>> {
    let weights = prop::collection::vec(prop_oneof![Just(10_u64), 1_u64..1_000], entries);
    let ready = prop::collection::vec(prop::bool::weighted(0.7), entries);
    let away = prop::collection::vec((ready, 1_usize..30), 1..60);
    (weights, away).prop_map(|(weights, phases)| {
        let phase = |(ready, slots): (Vec<bool>, usize)| {
            let weights = weights.iter().zip(ready);
            let weights = weights.map(|(&weight, ready)| weight * u64::from(ready));
            (weights.collect(), slots)
        };
        phases.into_iter().map(phase).collect()
    })
}

/// Runs through the phases; hands every slot with its weights, and the rotation, to `each`.
fn walk(phases: &[Phase], mut each: impl FnMut(usize, &[u64], &Rotation)) {
    let mut rotation = Arc::new(Rotation::new(&phases[0].0));
    for (weights, slots) in phases {
        rotation = reweighted(&rotation, weights);
        for _ in 0..*slots {
            match rotation.take() {
                Take::Picked(pick) => each(pick.entry, weights, &rotation),
                Take::Empty => assert!(weights.iter().all(|&weight| weight == 0)),
                Take::Closed => panic!("nobody closed it"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn two_entries_stay_within_half_over_all_changes(phases in phases(2)) {
        let mut expected = [0.0, 0.0];
        let mut counts = [0.0, 0.0];
        walk(&phases, |entry, weights, rotation| {
            counts[entry] += 1.0;
            let sum: u64 = weights.iter().sum();
            for i in 0..2 {
                expected[i] += weights[i] as f64 / sum as f64;
                let tally = rotation.tally()[i];
                assert!((tally.owed - (expected[i] - counts[i])).abs() < 1e-9);
                assert!(tally.owed.abs() <= 0.5 + 1e-9, "{tally:?}");
            }
        });
    }

    #[test]
    fn nothing_owed_is_lost_and_zero_is_never_chosen(phases in (3_usize..9).prop_flat_map(phases)) {
        let mut expected = vec![0.0; phases[0].0.len()];
        let mut counts = vec![0; expected.len()];
        walk(&phases, |entry, weights, rotation| {
            assert!(weights[entry] > 0);
            counts[entry] += 1;
            let sum: u64 = weights.iter().sum();
            let tallies = rotation.tally();
            for (i, tally) in tallies.iter().enumerate() {
                expected[i] += weights[i] as f64 / sum as f64;
                assert_eq!(tally.assigned, counts[i]);
                assert!((tally.expected() - expected[i]).abs() < 1e-9);
            }
            let sum: f64 = tallies.iter().map(|tally| tally.owed).sum();
            assert!(sum.abs() < 1e-9, "{sum}");
        });
    }

    #[test]
    fn flapping_makes_no_burst_and_no_debt(phases in (3_usize..8).prop_flat_map(flapping)) {
        let entries = phases[0].0.len();
        // Got less fair share since the start; a window's burst is the rise from an earlier value.
        let mut surplus = vec![0.0_f64; entries];
        let mut lowest = surplus.clone();
        let mut lowest_in_phase = surplus.clone();
        let mut phase: *const [u64] = &[];
        walk(&phases, |entry, weights, rotation| {
            if !std::ptr::eq(phase, weights) {
                phase = weights;
                lowest_in_phase.clone_from(&surplus);
            }
            let sum: u64 = weights.iter().sum();
            surplus[entry] += 1.0;
            for i in 0..entries {
                surplus[i] -= weights[i] as f64 / sum as f64;
                for (lowest, most) in [(&mut lowest[i], 6.0), (&mut lowest_in_phase[i], 3.0)] {
                    *lowest = lowest.min(surplus[i]);
                    assert!(surplus[i] - *lowest <= most, "{i}: {}", surplus[i] - *lowest);
                }
                // One that is alone for a while bears what all that are away are owed.
                let owed = rotation.tally()[i].owed;
                assert!(owed.abs() <= entries as f64, "{:?}", rotation.tally());
            }
        });
    }

    #[test]
    fn members_that_come_and_go_keep_equals_within_one_turn(
        changes in prop::collection::vec((0_usize..12, any::<bool>(), 0_usize..20), 1..40),
    ) {
        // Names of the members, and when each was served last.
        let mut members: Vec<usize> = (0..6).collect();
        let mut named = 6;
        let mut rotation = Arc::new(Rotation::new(&[1; 6]));
        for (place, comes, slots) in changes {
            let before = members.clone();
            if comes {
                members.insert(place % (members.len() + 1), named);
                named += 1;
            } else if members.len() > 3 {
                members.remove(place % members.len());
            }
            let origin: Vec<_> = members.iter().map(|name| before.iter().position(|old| old == name)).collect();
            rotation = Arc::new(Rotation::following(&vec![1; members.len()], &origin, rotation));
            let got = entries(&rotation, slots);
            for turn in got.windows(members.len()).skip(members.len()) {
                let mut turn = turn.to_vec();
                turn.sort_unstable();
                prop_assert!(turn.iter().copied().eq(0..members.len()), "{:?}", got);
            }
            let owed = rotation.tally();
            prop_assert!(owed.iter().all(|tally| tally.owed.abs() <= 2.0), "{:?}", owed);
        }
    }
}
