//! The store under stress: threads take slots of a split by the newest snapshot while another publishes thousands.

// `cfg(test)` always holds here; it tells the lints that `unwrap` is at home.
#![cfg(test)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use fiel::change::EndpointKey;
use fiel::config::{self, Config, model};
use fiel::endpoint::{Endpoint, State};
use fiel::metrics::Metrics;
use fiel::pool::{Judged, Keys, Picked, Roster};
use fiel::snapshot::{Snapshot, Store, build};
use fiel::split::Turn;

const THREADS: usize = 4;
const SNAPSHOTS: u64 = 2_000;

/// Slots that are taken at least between two snapshots, so that each is used.
const BETWEEN: u64 = 20;

/// Every endpoint is ready.
struct AllReady;

impl build::Endpoints for AllReady {
    fn roster(&self, pool: &model::Pool) -> Arc<Roster> {
        Arc::new(Roster::new(pool, |_| &[]))
    }

    fn endpoint(&self, key: &EndpointKey) -> Arc<Endpoint> {
        let since = SystemTime::UNIX_EPOCH;
        Arc::new(Endpoint::new(key.clone(), State::Ready, 1, since))
    }

    fn judged(&self, _pool: &model::Pool) -> Judged {
        Judged::Yes
    }
}

/// Weights of the pools and of an endpoint that change with the round; some are away in some rounds.
fn configuration(round: u64) -> Config {
    let (a, b, c) = (90 + round % 7, 5 + round % 3, round % 4);
    let yaml = format!(
        "listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes:
  - name: all
    split: [ {{ pool: a, weight: {a} }}, {{ pool: b, weight: {b} }}, {{ pool: c, weight: {c} }} ]
pools:
  a: {{ endpoints: [ {{ address: \"127.0.0.1:1\", weight: {} }}, \"127.0.0.1:2\" ] }}
  b: {{ endpoints: [ \"127.0.0.1:3\" ] }}
  c: {{ endpoints: [ \"127.0.0.1:4\", \"127.0.0.1:5\" ] }}
",
        1 + round % 5
    );
    let loaded = config::read(yaml.as_bytes(), "t.yaml", Path::new(""), &|_| None);
    loaded
        .unwrap_or_else(|problems| panic!("{problems}"))
        .config
}

/// What one thread saw.
#[derive(Default)]
struct Seen {
    positions: Vec<u64>,
    /// The most times in a row that one take, or one pick, found its snapshot outdated.
    outdated: usize,
}

#[test]
fn every_slot_is_taken_once_and_nobody_is_turned_away_while_thousands_are_published() {
    let metrics = Metrics::new(THREADS);
    // Read once: reading is much slower than publishing. A prime number of them, so that the order of changes differs
    // from one time around to the next.
    let configs: Vec<Arc<Config>> = (0..53)
        .map(|round| Arc::new(configuration(round)))
        .collect();
    let first = build::whole(Arc::clone(&configs[0]), &AllReady, &metrics, None);
    let store = Arc::new(Store::new(first, THREADS));
    let taken = AtomicU64::new(0);
    let published = AtomicU64::new(1);

    let seen: Vec<Seen> = thread::scope(|scope| {
        let takers: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| take(&store, &taken, &published)))
            .collect();
        for round in 1..=SNAPSHOTS {
            while taken.load(Ordering::Relaxed) < round * BETWEEN {
                thread::yield_now();
            }
            let config = &configs[usize::try_from(round).unwrap() % configs.len()];
            let before = store.newest();
            let next = build::whole(Arc::clone(config), &AllReady, &metrics, Some(&before));
            store.publish(next);
            published.store(round + 1, Ordering::Relaxed);
        }
        takers
            .into_iter()
            .map(|taker| taker.join().unwrap())
            .collect()
    });

    let newest = store.newest();
    assert_eq!(newest.generation, SNAPSHOTS + 1);
    let mut positions: Vec<u64> = seen
        .iter()
        .flat_map(|seen| seen.positions.clone())
        .collect();
    positions.sort_unstable();
    assert!(
        (0..)
            .zip(&positions)
            .all(|(slot, &position)| slot == position),
        "a slot was lost or taken twice"
    );
    assert!(positions.len() as u64 >= SNAPSHOTS * BETWEEN);
    let split = newest.routes[0].split().unwrap();
    assert_eq!(split.assigned().iter().sum::<u64>(), positions.len() as u64);
    assert!(
        split
            .rotation()
            .tally()
            .iter()
            .all(|tally| tally.owed.abs() < 3.0),
        "{:?}",
        split.rotation().tally()
    );
    let outdated = seen.iter().map(|seen| seen.outdated).max().unwrap();
    // The path gives up after 64; a busy machine, which takes the processor away between reading and taking, has seen 9.
    assert!(outdated <= 32, "outdated {outdated} times in a row");
}

/// Takes slots until the last snapshot is out, reading as a worker does.
fn take(store: &Store, taken: &AtomicU64, published: &AtomicU64) -> Seen {
    let reader = store.reader();
    let mut seen = Seen::default();
    while published.load(Ordering::Relaxed) <= SNAPSHOTS {
        let mut outdated = 0;
        let mut view = reader.newest();
        let pool = loop {
            match view.routes[0].split().unwrap().take() {
                Turn::Entry { entry, position } => {
                    seen.positions
                        .push(position.expect("several pools have a schedule"));
                    break Arc::clone(view.pool(entry.pool));
                }
                Turn::Nobody { .. } => panic!("there is always somebody"),
                Turn::Outdated => {
                    outdated += 1;
                    view = reader.newest();
                }
            }
        };
        seen.outdated = seen.outdated.max(outdated);
        taken.fetch_add(1, Ordering::Relaxed);
        seen.outdated = seen
            .outdated
            .max(pick(&reader.newest(), &pool.spec().name, store));
    }
    seen
}

/// Picks an endpoint of this pool; how often the snapshot in hand was outdated.
fn pick(view: &Snapshot, pool: &str, store: &Store) -> usize {
    let mut outdated = 0;
    let mut pool = Arc::clone(view.pool_named(pool).unwrap());
    // Round robin has no use for it.
    let mut chance = fastrand::Rng::with_seed(1);
    loop {
        match pool.pick(&mut chance, &Keys::default()) {
            Picked::Member(_) => return outdated,
            Picked::Nobody => panic!("all are ready"),
            Picked::Outdated => {
                outdated += 1;
                pool = Arc::clone(store.newest().pool_named(&pool.spec().name).unwrap());
            }
        }
    }
}
