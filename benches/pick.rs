//! The price of one pick, alone and with several threads at the one position. `cargo bench --bench pick`.

use std::sync::Arc;

use divan::{Bencher, black_box};
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
