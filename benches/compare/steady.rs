//! A steady load of so many requests a second, each sent when it is due whether or not the last was answered in time:
//! what is measured begins at the moment it was due, so that a stall is felt by all who would have come meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// Connections over which the load is spread.
const LANES: u32 = 8;

/// What a steady load saw.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) requests: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) longest: Duration,
    /// The longest time between two answers, whoever got them.
    pub(crate) longest_gap: Duration,
}

/// Sends `rate` requests a second until `stop` is set, and at most for `limit`.
pub(crate) fn load(
    address: SocketAddr,
    host: &str,
    rate: u32,
    stop: &AtomicBool,
    limit: Duration,
) -> Result<Seen> {
    let began = Instant::now();
    let lanes = thread::scope(|scope| {
        let handles: Vec<_> = (0..LANES)
            .map(|lane| {
                scope.spawn(move || run_lane(address, host, rate, lane, began, stop, limit))
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| {
                handle
                    .join()
                    .map_err(|_| anyhow::anyhow!("a lane panicked"))?
            })
            .collect::<Result<Vec<_>>>()
    })?;
    let mut answers: Vec<(Instant, Duration)> = lanes.into_iter().flatten().collect();
    ensure!(answers.len() > 100, "only {} answers", answers.len());
    answers.sort_by_key(|(at, _)| *at);
    let gaps = answers
        .windows(2)
        .map(|pair| pair[1].0.duration_since(pair[0].0));
    let longest_gap = gaps.max().unwrap_or_default();
    let mut took: Vec<Duration> = answers.iter().map(|(_, took)| *took).collect();
    took.sort_unstable();
    Ok(Seen {
        requests: took.len(),
        p50: took[took.len() / 2],
        p99: took[took.len() * 99 / 100],
        longest: took[took.len() - 1],
        longest_gap,
    })
}

fn run_lane(
    address: SocketAddr,
    host: &str,
    rate: u32,
    lane: u32,
    began: Instant,
    stop: &AtomicBool,
    limit: Duration,
) -> Result<Vec<(Instant, Duration)>> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let mut buffer = vec![0; 4096];
    let mut answers = Vec::new();
    let mut turn = lane;
    while !stop.load(Ordering::Relaxed) && began.elapsed() < limit {
        let due = began + Duration::from_secs(1) * turn / rate;
        wait_until(due);
        socket.write_all(request.as_bytes())?;
        let octets = socket.read(&mut buffer)?;
        let answer = std::str::from_utf8(&buffer[..octets]).context("an answer that is no text")?;
        ensure!(
            answer.starts_with("HTTP/1.1 200"),
            "answered with {answer:?}"
        );
        let now = Instant::now();
        answers.push((now, now.duration_since(due)));
        turn += LANES;
    }
    Ok(answers)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a load generator keeps time by sleeping"
)]
fn wait_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now()));
}
