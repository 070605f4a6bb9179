//! Reloads while there is traffic: nothing is lost, and the counts of a split stay exact.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use super::reload;
use crate::support::client::Client;
use crate::support::{Behaviour, Endpoint, Fiel, yaml};

/// Clients that ask at the same time, each on a connection of its own.
const CLIENTS: usize = 4;

/// Asks again and again on kept connections until `during` is over; how many answers there were, all of them right.
fn under_load<R>(web: SocketAddr, during: impl FnOnce() -> R) -> (R, usize) {
    struct StopOnDrop<'a>(&'a AtomicBool);
    impl Drop for StopOnDrop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(web);
                    let mut count = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        let answer = client.get("/");
                        assert_eq!((answer.status, answer.header("connection")), (200, None));
                        assert_eq!(answer.cut_short, None);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let stop = StopOnDrop(&is_over);
        let result = during();
        drop(stop);
        let counts = clients.into_iter().map(|client| client.join().unwrap());
        (result, counts.sum())
    })
}

/// The lines of the access log in the order of their positions, of which each is there once.
fn in_order(mut lines: Vec<Value>) -> Vec<Value> {
    let position = |line: &Value| line["position"].as_u64();
    lines.sort_by_key(position);
    let positions: Vec<_> = lines.iter().map(position).collect();
    let expected: Vec<_> = (0..lines.len() as u64).map(Some).collect();
    assert_eq!(positions, expected, "every position once");
    lines
}

fn is_of(line: &Value, pool: &str) -> i64 {
    i64::from(line["pool"] == pool)
}

#[test]
fn a_hundred_reloads_lose_nothing_and_leave_a_split_alone() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let piece = vec![b'x'; 1 << 20];
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n";
    for endpoint in [&one, &two] {
        let mut pieces = vec![head.as_bytes().to_vec()];
        pieces.resize(5, piece.clone());
        endpoint.behave_at("/download", Behaviour::pieces(pieces));
        endpoint.behave_at("/socket", Behaviour::upgrade());
    }
    let text = |round: usize| {
        let pools = yaml::shop(&[("a", "19", &[one.address()]), ("b", "1", &[two.address()])]);
        let other = format!(
            "routes:\n  - name: other\n    match: {{ path: {{ exact: /other }} }}\n    respond: {{ status: 200, body: \"{round}\" }}\n"
        );
        pools.replace("routes:\n", &other)
    };
    let fiel = Fiel::start(&text(0));
    let web = fiel.address("web");
    let mut download = Client::connect(web);
    download.send("GET /download HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(download.head().status, 200);
    let mut socket = Client::connect(web);
    let upgrade =
        "GET /socket HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    assert_eq!(socket.request(upgrade).status, 101);

    let ((), answers) = under_load(web, || {
        for round in 1..=100 {
            reload(&fiel, &text(round), round);
            socket.send(format!("{round:03}"));
            assert_eq!(socket.read_exact(3), format!("{round:03}").as_bytes());
            if round % 25 == 0 {
                one.release();
                two.release();
                assert_eq!(download.read_exact(1 << 20), piece);
            }
        }
    });

    socket.finish_sending();
    socket.read_to_end();
    let lines = in_order(fiel.wait_for_access_log(answers + 2));
    assert!(
        answers > 100,
        "{answers} answers while there were 100 reloads"
    );
    let mut got = 0;
    for (before, line) in lines.iter().enumerate() {
        got += is_of(line, "b");
        let asked = i64::try_from(before).unwrap() + 1;
        // At most half a request from a twentieth of them.
        assert!((40 * got - 2 * asked).abs() <= 20, "{got} of {asked}");
    }
    let most = one.connections().max(two.connections());
    assert!(most <= 4 * CLIENTS + 2, "{most} connections to an endpoint");
}

/// The weights of the second pool in turn, of 100 in all.
const WEIGHTS: [i64; 7] = [5, 50, 0, 25, 99, 1, 100];

fn weighted(one: &Endpoint, two: &Endpoint, round: usize) -> String {
    let weight = WEIGHTS[round % WEIGHTS.len()];
    let (first, second) = ((100 - weight).to_string(), weight.to_string());
    let text = yaml::shop(&[
        ("a", &first, &[one.address()]),
        ("b", &second, &[two.address()]),
    ]);
    ["a", "b"].into_iter().fold(text, |text, pool| {
        let named = format!("  {pool}:\n    endpoints");
        text.replace(
            &named,
            &format!("  {pool}:\n    version: \"{round}\"\n    endpoints"),
        )
    })
}

#[test]
fn shares_stay_exact_from_one_weight_to_the_next() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let fiel = Fiel::start(&weighted(&one, &two, 0));
    let web = fiel.address("web");
    let mut ends = Vec::new();
    let mut asked = 0;
    for round in 0..21 {
        if round > 0 {
            reload(&fiel, &weighted(&one, &two, round), round);
        }
        let count = 3 + 5 * round % 11;
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut client = Client::connect(web);
                    for _ in 0..count {
                        assert_eq!(client.get("/").status, 200);
                    }
                });
            }
        });
        asked += count * CLIENTS;
        ends.push(asked);
    }

    let lines = in_order(fiel.wait_for_access_log(asked));
    let (mut got, mut owed, mut round) = (0, 0, 0);
    for (before, line) in lines.iter().enumerate() {
        if before == ends[round] {
            round += 1;
        }
        got += is_of(line, "b");
        owed += WEIGHTS[round % WEIGHTS.len()];
        assert!(
            (100 * got - owed).abs() <= 50,
            "{got} instead of {owed} hundredths at {before} in {round}"
        );
        assert_eq!(line["version"], round.to_string(), "at {before}");
    }
}

#[test]
fn shares_stay_exact_while_weights_change_under_load() {
    const ROUNDS: usize = 21;
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let fiel = Fiel::start(&weighted(&one, &two, 0));
    let web = fiel.address("web");

    let ((), answers) = under_load(web, || {
        for round in 1..ROUNDS {
            let before = fiel.output().len();
            reload(&fiel, &weighted(&one, &two, round), round);
            fiel.wait_for_access_log(before + 20);
        }
    });

    let lines = in_order(fiel.wait_for_access_log(answers));
    // Between two weights there is a position where one ends and the other begins. The version in a line tells where
    // within a few positions, as a request may have read its route just before. So every history that the lines
    // allow is followed; at least one must have kept the bound at each position.
    let mut histories = BTreeSet::from([(0_usize, 0_i64)]);
    for (before, line) in lines.iter().enumerate() {
        let told: usize = line["version"].as_str().unwrap().parse().unwrap();
        let got = 100 * is_of(line, "b");
        let step = |&(round, off): &(usize, i64)| {
            let off = off + got - WEIGHTS[round % WEIGHTS.len()];
            (off.abs() <= 50).then_some((round, off))
        };
        let may_begin = histories
            .iter()
            .flat_map(|&(round, off)| [(round, off), (round + 1, off)]);
        let may_begin: BTreeSet<_> = may_begin
            .filter(|(round, _)| round.abs_diff(told) <= 1)
            .collect();
        let kept: BTreeSet<_> = may_begin.iter().filter_map(step).collect();
        assert!(
            !kept.is_empty(),
            "at {before}: {histories:?} and then {line}"
        );
        histories = kept;
    }
}
