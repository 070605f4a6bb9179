//! How late the prober is, and what it costs, with 10,000 endpoints on loopback probed every 5 s.
//!
//! `cargo bench --bench probe` prints the highest lag and the prober's processor time over 10 s at full rate, and how
//! far from 5 s after the one before each probe came in at the endpoints. Run by tests, it does nothing. The endpoints
//! answer from a thread of their own, so that two cores suffice.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fiel::change::EndpointKey;
use fiel::config::model::{Probe, ProbeAction, ProbeScheme};
use fiel::endpoint::{Endpoint, State};
use fiel::probe::{Counts, Plan, ProbeResult, Prober, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const ENDPOINTS: u16 = 10_000;
const PERIOD: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(10);

fn main() -> std::io::Result<()> {
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let offsets = Offsets::default();
    let seen = Arc::clone(&offsets);
    std::thread::spawn(move || runtime()?.block_on(answer(listener, seen)));
    runtime()?.block_on(measure(port, offsets))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// How far from a period after the one before each probe came in.
type Offsets = Arc<Mutex<Vec<Duration>>>;

async fn answer(listener: std::net::TcpListener, offsets: Offsets) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut last: HashMap<IpAddr, Instant> = HashMap::new();
    loop {
        let (mut stream, _) = listener.accept().await?;
        let now = Instant::now();
        if let Some(before) = last.insert(stream.local_addr()?.ip(), now) {
            let offset = (now - before).abs_diff(PERIOD);
            let mut offsets = offsets.lock().unwrap_or_else(PoisonError::into_inner);
            offsets.push(offset);
        }
        tokio::spawn(async move {
            let mut request = [0; 1024];
            if stream.read(&mut request).await.is_ok() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                drop(stream.write_all(answer).await);
            }
        });
    }
}

async fn measure(port: u16, offsets: Offsets) -> std::io::Result<()> {
    let (tell, mut changes) = mpsc::channel(1_024);
    tokio::spawn(async move { while changes.recv().await.is_some() {} });
    let counts = Arc::new(Counts::new());
    let prober = Prober::start(tell, Arc::clone(&counts), 1)?;
    prober.follow(Plan {
        targets: (0..ENDPOINTS).map(|number| target(number, port)).collect(),
    });
    // First probes go out for 10 s, and the lag of the first 20 s has left its window after 40.
    tokio::time::sleep(Duration::from_secs(41)).await;

    offsets
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
    let (sent, spent) = (sent(&counts), processor_time()?);
    let began = Instant::now();
    let mut highest = Duration::ZERO;
    while began.elapsed() < MEASURED {
        tokio::time::sleep(Duration::from_millis(50)).await;
        highest = highest.max(counts.lag());
    }
    let took = began.elapsed();
    let sent = self::sent(&counts) - sent;
    let spent = processor_time()?.saturating_sub(spent);
    println!("{sent} probes in {took:?}, highest lag {highest:?}");
    println!(
        "processor time {spent:?}: {:.1} % of a core, {:?} a probe",
        100.0 * spent.as_secs_f64() / took.as_secs_f64(),
        spent / u32::try_from(sent).unwrap_or(u32::MAX).max(1),
    );
    let mut offsets = offsets.lock().unwrap_or_else(PoisonError::into_inner);
    offsets.sort_unstable();
    if let (Some(p99), Some(most)) = (offsets.get(offsets.len() * 99 / 100), offsets.last()) {
        println!("off its period on arrival: p99 {p99:?}, most {most:?}");
    }
    for result in ProbeResult::ALL {
        let series = counts.series();
        let durations = series[0].tally.of(result);
        println!("{}: {:?}", result.word(), durations.read().buckets);
    }
    Ok(())
}

fn target(number: u16, port: u16) -> Target {
    let [high, low] = number.to_be_bytes();
    let address = SocketAddr::from(([127, 1, high, low], port));
    let key = EndpointKey {
        pool: "shop".into(),
        address: address.into(),
    };
    let endpoint = Endpoint::new(key, State::Unready, 1, SystemTime::now());
    let probe = Probe {
        action: ProbeAction::HttpGet {
            host: None,
            port: None,
            path: "/ready".into(),
            headers: Vec::new(),
            scheme: ProbeScheme::Http,
        },
        initial_delay: Duration::ZERO,
        period: PERIOD,
        timeout: Duration::from_secs(1),
        success_threshold: NonZeroU32::MIN,
        failure_threshold: NonZeroU32::MIN,
    };
    Target {
        endpoint: Arc::new(endpoint),
        startup: None,
        readiness: Some(Arc::new(probe)),
        liveness: None,
        secure: None,
        proxy_protocol: None,
    }
}

fn sent(counts: &Counts) -> u64 {
    let series = counts.series();
    let tallies = series
        .iter()
        .flat_map(|series| ProbeResult::ALL.map(|result| series.tally.of(result).read().count()));
    tallies.sum()
}

/// The processor time of the prober's thread so far, by the scheduler's own account.
fn processor_time() -> std::io::Result<Duration> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() != fiel::probe::THREAD {
            continue;
        }
        let account = std::fs::read_to_string(task.join("schedstat"))?;
        let nanos = account
            .split(' ')
            .next()
            .and_then(|nanos| nanos.parse().ok());
        return Ok(Duration::from_nanos(nanos.unwrap_or_default()));
    }
    Err(std::io::Error::other("there is no such thread"))
}
