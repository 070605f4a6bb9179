//! The price of one pick by each balancer, alone and with several threads at what they share. `cargo bench --bench pick`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use divan::{Bencher, black_box};
use fiel::balance::least_request::LeastRequest;
use fiel::balance::loads::{Load, Loads};
use fiel::balance::power_of_two;
use fiel::balance::random::Random;
use fiel::balance::ring_hash::{Ring, RingHash, hash};
use fiel::balance::{Rotation, Take};

fn main() {
    divan::main();
}

/// Weights without anything in common, all different from 3 entries on.
fn unequal(entries: usize) -> Vec<u64> {
    (0..entries as u64)
        .map(|i| 1_000 + i * i * 7_919 % 99_991)
        .collect()
}

#[divan::bench(args = [1, 2, 3, 8, 16, 17, 64, 1_000, 10_000], sample_size = 10_000)]
fn unequal_weights(bencher: Bencher<'_, '_>, entries: usize) {
    let rotation = Rotation::new(&unequal(entries));
    bencher.bench_local(|| rotation.take());
}

#[divan::bench(args = [3, 10_000], sample_size = 10_000)]
fn equal_weights(bencher: Bencher<'_, '_>, entries: usize) {
    let rotation = Rotation::new(&vec![1; entries]);
    bencher.bench_local(|| rotation.take());
}

#[divan::bench(args = [2, 3, 64], threads = [1, 2, 4], sample_size = 10_000)]
fn shared_position(bencher: Bencher<'_, '_>, entries: usize) {
    let rotation = Rotation::new(&unequal(entries));
    bencher.bench(|| assert_ne!(rotation.take(), Take::Closed));
}

#[divan::bench(args = [1, 10_000])]
fn making_rotations_of_three(bencher: Bencher<'_, '_>, rotations: usize) {
    let made = || -> Vec<_> {
        (0..rotations)
            .map(|_| Rotation::new(black_box(&[90, 9, 1])))
            .collect()
    };
    bencher.bench_local(made);
}

/// Equal weights after a change of members in the midst of a turn: the dearest start.
#[divan::bench(args = [2, 64, 10_000])]
fn following(bencher: Bencher<'_, '_>, entries: usize) {
    let weights = vec![1; entries];
    let origin: Vec<_> = (0..entries).rev().map(Some).collect();
    let made = || {
        let previous = Arc::new(Rotation::new(&weights));
        for _ in 0..entries / 2 {
            assert_ne!(previous.take(), Take::Closed);
        }
        Rotation::following(&weights, &origin, previous)
    };
    let bencher = bencher.with_inputs(made);
    bencher.bench_local_values(|rotation| {
        rotation.start();
        rotation
    });
}

/// Counts that workers share, each where an endpoint would have it.
struct Counts(Box<[Box<AtomicU64>]>);

impl Counts {
    fn idle(entries: usize) -> Self {
        Self((0..entries).map(|_| Box::default()).collect())
    }

    fn leave(&self, entry: usize) {
        self.0[entry].fetch_sub(1, Ordering::Relaxed);
    }
}

impl Loads for Counts {
    fn load(&self, entry: usize) -> Load {
        Load {
            claimed: self.0[entry].load(Ordering::Relaxed),
            beside: 0,
        }
    }

    fn try_claim(&self, entry: usize, seen: Load) -> bool {
        let (old, new) = (seen.claimed, seen.claimed + 1);
        self.0[entry]
            .compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    fn claim(&self, entry: usize) {
        self.0[entry].fetch_add(1, Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A place claimed and given back.
#[divan::bench(args = [2, 3, 16, 64, 128, 129, 10_000], sample_size = 1_000)]
fn least_request(bencher: Bencher<'_, '_>, entries: usize) {
    let balancer = LeastRequest::new(&unequal(entries), None);
    let counts = Counts::idle(entries);
    let mut chance = fastrand::Rng::with_seed(7);
    bencher.bench_local(|| {
        let entry = balancer.pick(&counts, &mut chance, |_| false);
        entry.map(|entry| counts.leave(entry))
    });
}

#[divan::bench(args = [3, 64], threads = [1, 2, 4], sample_size = 1_000)]
fn least_request_shared(bencher: Bencher<'_, '_>, entries: usize) {
    let balancer = LeastRequest::new(&vec![1; entries], None);
    let counts = Counts::idle(entries);
    bencher.bench(|| {
        let mut chance = fastrand::Rng::with_seed(7);
        let entry = balancer.pick(&counts, &mut chance, |_| false);
        entry.map(|entry| counts.leave(entry))
    });
}

#[divan::bench(args = [2, 64, 10_000], sample_size = 10_000)]
fn power_of_two(bencher: Bencher<'_, '_>, entries: usize) {
    let weights = unequal(entries);
    let (random, counts) = (Random::new(&weights), Counts::idle(entries));
    let mut chance = fastrand::Rng::with_seed(7);
    bencher.bench_local(|| power_of_two::pick(&random, &weights, &counts, &mut chance, |_| false));
}

#[divan::bench(args = [2, 64, 10_000], sample_size = 10_000)]
fn random(bencher: Bencher<'_, '_>, entries: usize) {
    let random = Random::new(&unequal(entries));
    let mut chance = fastrand::Rng::with_seed(7);
    bencher.bench_local(|| random.draw(&mut chance));
}

fn ring_of(entries: usize) -> Ring {
    let names: Vec<(Arc<str>, u64)> = (0..entries)
        .map(|entry| {
            (
                format!("10.0.{}.{}:8080", entry / 256, entry % 256).into(),
                1_000,
            )
        })
        .collect();
    Ring::new(&names)
}

/// A key hashed, its entry found, and a place there claimed and given back.
#[divan::bench(args = [2, 64, 10_000], sample_size = 10_000)]
fn ring_hash_bounded(bencher: Bencher<'_, '_>, entries: usize) {
    let weights = vec![1; entries];
    let balancer = RingHash::new(Arc::new(ring_of(entries)), Some(1_250), &weights);
    let counts = Counts::idle(entries);
    let mut user = 0_u64;
    bencher.bench_local(|| {
        user += 1;
        let key = hash(&user.to_be_bytes());
        let entry = balancer.pick(key, &weights, &counts, |_| false);
        entry.map(|entry| counts.leave(entry))
    });
}

#[divan::bench(args = [2, 64, 10_000], sample_size = 10_000)]
fn ring_hash_unbounded(bencher: Bencher<'_, '_>, entries: usize) {
    let weights = vec![1; entries];
    let balancer = RingHash::new(Arc::new(ring_of(entries)), None, &weights);
    let counts = Counts::idle(entries);
    let mut user = 0_u64;
    bencher.bench_local(|| {
        user += 1;
        balancer.pick(hash(&user.to_be_bytes()), &weights, &counts, |_| false)
    });
}

#[divan::bench(args = [3, 64, 10_000], sample_count = 10)]
fn making_rings(bencher: Bencher<'_, '_>, entries: usize) {
    bencher.bench_local(|| ring_of(black_box(entries)).points());
}

#[divan::bench(args = [3, 64, 10_000], sample_count = 10)]
fn making_lotteries(bencher: Bencher<'_, '_>, entries: usize) {
    let weights = unequal(entries);
    bencher.bench_local(|| Random::new(black_box(&weights)));
}
