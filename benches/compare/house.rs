//! Rows that look at fiel itself: its size, its start, and what reloads and probes do to requests that come steadily.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::figures::median;
use crate::fleet::{Fleet, Settings};
use crate::load::{self, Load};
use crate::peer::{self, Process, body};
use crate::{sidecar, steady};

/// Their names.
pub(crate) const ROWS: [&str; 8] = [
    "scale", "sizes", "reload", "probes", "memory", "sidecar", "handover", "start",
];

const MANY: usize = 10_000;
/// Connections at rest, as far as descriptors go.
const IDLE: usize = 20_000;
/// Requests a second where the load is steady.
const RATE: u32 = 1_000;

/// Runs the row of this name.
pub(crate) fn run(row: &str, fleet: &Fleet<'_>, rounds: usize) -> Result<()> {
    match row {
        "scale" => scale(fleet, rounds),
        "sizes" => sizes(fleet),
        "reload" => reload(fleet, 1, 1_000).and_then(|()| reload(fleet, MANY, 100)),
        "probes" => probes(fleet, rounds),
        "memory" => memory(fleet),
        "sidecar" => sidecar::at_rest(fleet),
        "handover" => handover(fleet, rounds),
        "start" => start(fleet, rounds),
        _ => bail!("no row is called {row}"),
    }
}

/// Routes and pools of so many, each endpoint of a pool under its own address.
#[derive(Clone, Copy, Debug)]
struct Size {
    routes: usize,
    /// Routes split over two pools.
    splits: usize,
    endpoints: usize,
}

impl Size {
    fn yaml(self, fleet: &Fleet<'_>) -> Result<String> {
        let mut yaml = "routes:\n".to_owned();
        for route in 1..self.routes {
            let split = if route <= self.splits {
                "{ pool: app, weight: 99.9 }, { pool: next, weight: 0.1 }"
            } else {
                "{ pool: app }"
            };
            writeln!(
                yaml,
                "  - {{ name: r{route}, match: {{ hosts: [host-{route}.example] }}, split: [ {split} ] }}"
            )?;
        }
        let endpoint = fleet.endpoint.address;
        writeln!(
            yaml,
            "  - {{ name: all, split: [ {{ pool: app }} ] }}\npools:\n  app: {{ endpoints: [ \"{endpoint}\" ] }}"
        )?;
        writeln!(yaml, "  next: {{ endpoints: [ \"{endpoint}\" ] }}")?;
        if self.endpoints > 1 {
            // Nobody is asked there: what counts is that they are known.
            yaml.push_str("  others:\n    endpoints:\n");
            for number in 1..self.endpoints {
                writeln!(
                    yaml,
                    "      - 127.{}.{}.{}:80",
                    1 + number / 62_500,
                    number / 250 % 250,
                    1 + number % 250
                )?;
            }
        }
        Ok(yaml)
    }
}

const ONE: Size = Size {
    routes: 1,
    splits: 0,
    endpoints: 1,
};

/// Processor time a request with many of each against one of each, and the time to load them.
fn scale(fleet: &Fleet<'_>, rounds: usize) -> Result<()> {
    println!("### many against one\n");
    println!(
        "| | processor time a request, many / one | from start to the first answer |\n|---|---|---|"
    );
    let rows = [
        (
            "10,000 host routes",
            Size {
                routes: MANY,
                ..ONE
            },
        ),
        (
            "10,000 splits",
            Size {
                routes: MANY,
                splits: MANY,
                ..ONE
            },
        ),
        (
            "10,000 endpoints",
            Size {
                endpoints: MANY,
                ..ONE
            },
        ),
        (
            "all three",
            Size {
                routes: MANY,
                splits: MANY,
                endpoints: MANY,
            },
        ),
    ];
    for (title, size) in rows {
        let (many, _) = fleet.fiel_of(&size.yaml(fleet)?)?;
        let (one, _) = fleet.fiel_of(&ONE.yaml(fleet)?)?;
        let host = if size.routes > 1 {
            "host-5000.example"
        } else {
            "bench"
        };
        let load = |host| Load {
            path: "/",
            host: Some(host),
            ..Load::default()
        };
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let ours = load::round(&many, &load(host), 2, fleet.folder)?;
            let theirs = load::round(&one, &load("bench"), 2, fleet.folder)?;
            ratios.push(ours.micros / theirs.micros);
        }
        let mut times = vec![many.started_in];
        for _ in 1..rounds {
            times.push(fleet.fiel_of(&size.yaml(fleet)?)?.0.started_in);
        }
        println!(
            "| {title} | {:.3} | {:.3} s |",
            median(ratios),
            median(times.iter().map(Duration::as_secs_f64))
        );
    }
    println!();
    Ok(())
}

/// What a route, a split, an endpoint and an idle connection hold of memory.
fn sizes(fleet: &Fleet<'_>) -> Result<()> {
    println!("### memory of its own (Pss_Anon, Pss_Shmem) of one more\n");
    println!("| | octets |\n|---|---|");
    let resident = |size: Size| -> Result<u64> {
        let (fiel, _) = fleet.fiel_of(&size.yaml(fleet)?)?;
        // What was needed to read the file is given back by and by.
        pause(Duration::from_secs(2));
        fiel.own_bytes()
    };
    let routes = resident(Size {
        routes: MANY,
        ..ONE
    })?;
    let one = resident(ONE)?;
    let splits = resident(Size {
        routes: MANY,
        splits: MANY,
        ..ONE
    })?;
    let endpoints = resident(Size {
        endpoints: MANY,
        ..ONE
    })?;
    let each = |many: u64, few: u64| many.saturating_sub(few) / MANY as u64;
    println!("| route | {} |", each(routes, one));
    println!(
        "| split of two pools, beside its route | {} |",
        each(splits, routes)
    );
    println!("| endpoint | {} |", each(endpoints, one));

    let (fiel, _) = fleet.fiel_of(&ONE.yaml(fleet)?)?;
    let before = fiel.own_bytes()?;
    let count = peer::descriptors()?.saturating_sub(200).min(IDLE);
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        idle.push(asked_once(fiel.address)?);
    }
    rest();
    let grown = fiel.own_bytes()?.saturating_sub(before);
    println!(
        "| idle connection (of {count} on one worker) | {} |\n",
        grown / count as u64
    );
    Ok(())
}

/// What so many reloads do to requests that come steadily, and to memory.
fn reload(fleet: &Fleet<'_>, routes: usize, reloads: usize) -> Result<()> {
    let size = Size { routes, ..ONE };
    let (fiel, file) = fleet.fiel_of(&size.yaml(fleet)?)?;
    let yaml = fs::read_to_string(&file)?;
    let stop = AtomicBool::new(false);
    let limit = Duration::from_secs(300);
    let (calm, stirred, grown) = thread::scope(|scope| -> Result<_> {
        let five = Duration::from_secs(5);
        let calm = steady::load(fiel.address, "bench", RATE, &stop, five)?;
        let load = scope.spawn(|| steady::load(fiel.address, "bench", RATE, &stop, limit));
        // What the first makes is kept, as the state that the next is compared with.
        let reloaded = reload_often(&fiel, &file, &yaml, 0..10).and_then(|()| {
            let before = fiel.own_bytes()?;
            reload_often(&fiel, &file, &yaml, 10..reloads)?;
            rest();
            Ok(fiel.own_bytes()? as i64 - before as i64)
        });
        stop.store(true, Ordering::Relaxed);
        let stirred = load.join();
        let grown = reloaded?;
        let stirred = stirred.map_err(|_| anyhow::anyhow!("the load panicked"))??;
        Ok((calm, stirred, grown))
    })?;
    println!("### {reloads} reloads with {routes} routes, {RATE} requests a second\n");
    println!("| | p50 | p99 | longest | longest time between two answers |\n|---|---|---|---|---|");
    for (name, seen) in [("calm", &calm), ("reloading", &stirred)] {
        println!(
            "| {name} | {:.0?} | {:.0?} | {:.1?} | {:.1?} |",
            seen.p50, seen.p99, seen.longest, seen.longest_gap
        );
    }
    println!(
        "\nmemory (Pss) after the tenth and after the last: {:+.1} MiB",
        grown as f64 / f64::from(1 << 20)
    );
    println!();
    Ok(())
}

fn reload_often(fiel: &Process, file: &Path, yaml: &str, reloads: Range<usize>) -> Result<()> {
    for reload in reloads {
        let changed = format!(
            "{yaml}  changed: {{ endpoints: [\"127.0.0.1:1\"], connect: {{ timeout: {}ms }} }}\n",
            1_001 + reload
        );
        let new = file.with_extension("new");
        fs::write(&new, changed)?;
        fs::rename(&new, file)?;
        let line = format!(
            "fiel_config_reloads_total{{result=\"applied\"}} {}\n",
            reload + 1
        );
        wait_for_metric(fiel, &line)?;
    }
    Ok(())
}

/// What probes of 10,000 endpoints do to requests that come steadily.
fn probes(fleet: &Fleet<'_>, rounds: usize) -> Result<()> {
    let probed = TcpListener::bind("0.0.0.0:0")?;
    let port = probed.local_addr()?.port();
    probed.set_nonblocking(true)?;
    // Accepts what probes connect to until the process ends, many at once: endpoints are elsewhere, and theirs is no work that
    // load and proxy should feel.
    thread::spawn(move || {
        loop {
            while probed.accept().is_ok() {}
            pause(Duration::from_millis(50));
        }
    });
    let many = Size {
        endpoints: MANY,
        ..ONE
    };
    let probe =
        format!("    readinessProbe: {{ tcpSocket: {{ port: {port} }}, periodSeconds: 5 }}\n");
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (probe, seen) in [("", &mut without), (&*probe, &mut with)] {
            let (fiel, _) = fleet.fiel_of(&(many.yaml(fleet)? + probe))?;
            // The first probes go out at 1,000 a second: the steady state is what counts.
            let ready = "fiel_pool_endpoints{pool=\"others\",state=\"ready\"} 9999\n";
            wait_for_metric(&fiel, ready)?;
            seen.push(steadily(&fiel, RATE, 10)?);
        }
    }
    println!("### 10,000 endpoints probed every 5 s beside {RATE} requests a second\n");
    println!("| | p50, µs | p99, µs |\n|---|---|---|");
    for (name, seen) in [("without", &without), ("with", &with)] {
        println!(
            "| {name} | {:.0} | {:.0} |",
            median(seen.iter().map(|seen| seen.p50.as_secs_f64() * 1e6)),
            median(seen.iter().map(|seen| seen.p99.as_secs_f64() * 1e6)),
        );
    }
    println!();
    Ok(())
}

/// Memory at rest and for each idle connection, beside others'.
fn memory(fleet: &Fleet<'_>) -> Result<()> {
    println!("### memory, one worker: Pss at rest, and its own of each connection\n");
    println!(
        "| | at rest, MiB | octets an idle connection (of 5,000, each after one request) |\n|---|---|---|"
    );
    for name in ["fiel", "nginx", "haproxy"] {
        let Some(peer) = fleet.peer(name, &Settings::default())? else {
            continue;
        };
        rest();
        let (at_rest, before) = (peer.resident_bytes()?, peer.own_bytes()?);
        let mut idle = Vec::new();
        for _ in 0..5_000 {
            idle.push(asked_once(peer.address)?);
        }
        rest();
        let grown = peer.own_bytes()?.saturating_sub(before);
        println!(
            "| {name} | {:.1} | {} |",
            at_rest as f64 / f64::from(1 << 20),
            grown / 5_000
        );
    }
    println!();
    Ok(())
}

/// What of a new connection the hand-over from the accepting thread costs, where several workers make one necessary.
fn handover(fleet: &Fleet<'_>, rounds: usize) -> Result<()> {
    let fiel = fleet.fiel_of_workers(2)?;
    let closes = Load {
        path: "/",
        closes: true,
        ..Load::default()
    };
    let (mut all, mut accepting) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let before = fiel.thread_time("fiel-accept")?;
        let round = load::round(&fiel, &closes, 2, fleet.folder)?;
        let accepted = fiel.thread_time("fiel-accept")? - before;
        accepting.push(accepted.as_secs_f64() * 1e6 / round.requests);
        all.push(round.micros);
    }
    println!(
        "### a new connection for each request, two workers: {:.1} µs of the core, of which the accepting thread {:.1}\n",
        median(all),
        median(accepting)
    );
    Ok(())
}

/// From start to the first answer.
fn start(fleet: &Fleet<'_>, rounds: usize) -> Result<()> {
    println!("### from start to the first answer\n\n| | ms |\n|---|---|");
    for name in ["fiel", "nginx", "haproxy"] {
        let mut times = Vec::new();
        for _ in 0..rounds.max(10) {
            if let Some(peer) = fleet.peer(name, &Settings::default())? {
                times.push(peer.started_in.as_secs_f64() * 1e3);
            }
        }
        if !times.is_empty() {
            println!("| {name} | {:.1} |", median(times));
        }
    }
    println!();
    Ok(())
}

/// Requests at a steady rate for some seconds.
pub(crate) fn steadily(peer: &Process, rate: u32, seconds: usize) -> Result<steady::Seen> {
    let limit = Duration::from_secs(seconds as u64);
    steady::load(peer.address, "bench", rate, &AtomicBool::new(false), limit)
}

/// A connection that has been answered once and stays open.
pub(crate) fn asked_once(address: SocketAddr) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n")?;
    let mut answer = [0; 1024];
    let octets = socket.read(&mut answer)?;
    let text = String::from_utf8_lossy(&answer[..octets]);
    ensure!(
        text.starts_with("HTTP/1.1 200"),
        "an idle connection was answered {text:?}"
    );
    Ok(socket)
}

fn wait_for_metric(fiel: &Process, line: &str) -> Result<()> {
    let admin = fiel.admin.context("a peer without an admin address")?;
    let began = Instant::now();
    while !body(admin, "/metrics")?.contains(line) {
        let waited = began.elapsed();
        ensure!(
            waited < Duration::from_secs(60),
            "{line} did not come in a minute"
        );
        pause(Duration::from_millis(20));
    }
    Ok(())
}

/// Gives idle connections the second after which fiel puts them to rest.
fn rest() {
    pause(Duration::from_secs(3));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench waits for what it cannot await"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}
