//! The price of one pick by each balancer, and what it costs that several threads share a position. `cargo bench --bench pick`.
//!
//! The first table is `divan`'s, of one thread (or of as many as it says, each timed for itself). The second, told as a table of
//! Markdown, has threads that pick without a pause from one position; `-- shared` prints it alone.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use fiel::balance::least_request::LeastRequest;
use fiel::balance::loads::{Load, Loads};
use fiel::balance::pick::{Picked, Picker, Wish};
use fiel::balance::power_of_two;
use fiel::balance::random::Random;
use fiel::balance::ring_hash::{Ring, RingHash, hash};
use fiel::balance::{Rotation, Take};
use fiel::config::model::PoolId;
use fiel::metrics::Metrics;
use fiel::pool::Standing;
use fiel::split::{Entry, Split, Turn};
use fiel::units::Weight;

fn main() -> ExitCode {
    // `cargo test` runs benches too, to see that they do.
    let is_test = std::env::args().any(|argument| argument == "--test");
    if !std::env::args().any(|argument| argument == "shared") {
        divan::main();
    }
    shared(if is_test { 1_000 } else { 5_000_000 });
    ExitCode::SUCCESS
}

/// Threads at one position; 8 of them where there are as many cores.
const THREADS: [usize; 4] = [1, 2, 4, 8];

/// Of as many rounds the median is told.
const ROUNDS: usize = 5;

/// What sharing costs: threads that do nothing but pick, from one split or one pool, all beginning at one moment. Told are
/// nanoseconds from there to the end of the last, divided by the picks of all: with nothing shared, twice the threads halve it as
/// long as each has a core, with a position fought over it stays, or grows.
fn shared(picks: u64) {
    let cores = available_parallelism().map_or(1, usize::from);
    let one = split(&[100_000]);
    let two = split(&[95_000, 5_000]);
    let weights = [1, 1];
    let robin = Picker::RoundRobin(Arc::new(Rotation::new(&weights)));
    let counts = Counts::idle(2);
    let pick_of = |split: &Split| match split.take() {
        Turn::Entry { entry, .. } => entry.pool.0,
        Turn::Outdated | Turn::Nobody { .. } => unreachable!("all of its pools are able"),
    };
    println!(
        "\n### one position, several threads: nanoseconds a pick, all threads together ({cores} cores)\n"
    );
    println!(
        "| threads | a split of one pool: nothing is shared | a split of two, 95:5 | roundRobin over two endpoints |\n|---|---|---|---|"
    );
    for threads in THREADS {
        if threads > cores.max(4) {
            continue;
        }
        let of_one = aggregate(threads, picks, || pick_of(&one));
        let of_two = aggregate(threads, picks, || pick_of(&two));
        let in_turn = aggregate(threads, picks, || {
            let mut chance = fastrand::Rng::with_seed(7);
            let wish = Wish {
                chance: &mut chance,
                key: None,
            };
            match robin.pick(&weights, &counts, wish) {
                Picked::Entry(entry) => entry,
                Picked::Closed | Picked::Nobody => unreachable!("nothing follows it"),
            }
        });
        println!("| {threads} | {of_one:.1} | {of_two:.1} | {in_turn:.1} |");
    }
    println!(
        "\nOnly {cores} threads have a core here: more take turns on them and never meet more than {} others at the position, so that \
         what more cores would pay for it cannot be seen. A proxy's worker does some 10 µs of other work between two picks.\n",
        cores - 1
    );
}

/// The median of some rounds.
fn aggregate(threads: usize, picks: u64, pick: impl Fn() -> usize + Sync) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Barrier::new(threads);
            let took = thread::scope(|scope| {
                let working: Vec<_> = (0..threads)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            let began = Instant::now();
                            for _ in 0..picks {
                                black_box(pick());
                            }
                            (began, Instant::now())
                        })
                    })
                    .collect();
                let times = working.into_iter().map(|thread| thread.join());
                let times: Vec<_> = times
                    .map(|times| times.expect("a pick does not panic"))
                    .collect();
                let began = times.iter().map(|(began, _)| *began).min();
                let ended = times.iter().map(|(_, ended)| *ended).max();
                ended
                    .zip(began)
                    .map_or(Duration::ZERO, |(ended, began)| ended - began)
            });
            took.as_secs_f64() * 1e9 / (picks * threads as u64) as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// A split over pools that are all able, with these weights in thousandths.
fn split(weights: &[u64]) -> Split {
    let metrics = Metrics::new(1);
    let entry = |(index, weight): (usize, &u64)| {
        let name: Arc<str> = format!("p{index}").into();
        Entry {
            pool: PoolId(index),
            weight: Weight::from_thousandths(*weight),
            strict: false,
            traffic: metrics.traffic("r", &name),
            name,
        }
    };
    let entries = weights.iter().enumerate().map(entry).collect();
    Split::build(entries, &vec![Standing::Able; weights.len()], None)
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

/// As each thread sees it, in samples so short that on few cores some find nobody beside them.
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
