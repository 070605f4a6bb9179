//! The rows in which peers are compared under the same load, and how they are told.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use crate::chart::{self, Group};
use crate::crowd::Crowd;
use crate::figures::{median, short};
use crate::fleet::{self, Fleet, Settings};
use crate::house;
use crate::load::{self, CONNECTIONS, Load, Over, Round};
use crate::peer::{self, Meter, Process, body};
use crate::upstream;

/// One row: a load upon proxies with these settings.
struct Row {
    name: &'static str,
    title: &'static str,
    settings: Settings,
    load: Load,
    /// Connections that rest beside the load.
    idle: usize,
}

fn rows() -> Vec<Row> {
    let plain = Settings::default();
    let secure = Settings {
        secure: true,
        ..plain
    };
    let get = Load {
        path: "/",
        ..Load::default()
    };
    let row = |name, title, settings, load| Row {
        name,
        title,
        settings,
        load,
        idle: 0,
    };
    vec![
        row("keepalive", "keep-alive, 13 octets", plain, get),
        row(
            "logged",
            "keep-alive, access log to a file",
            Settings {
                logged: true,
                ..plain
            },
            get,
        ),
        row(
            "answers",
            "answers of 16 KiB",
            plain,
            Load {
                path: "/16k",
                ..get
            },
        ),
        row(
            "uploads",
            "uploads of 64 KiB",
            plain,
            Load {
                upload: 64 << 10,
                ..get
            },
        ),
        row(
            "connect",
            "a new connection for each request",
            plain,
            Load {
                closes: true,
                ..get
            },
        ),
        row(
            "split",
            "a split of 95:5",
            Settings {
                split: true,
                ..plain
            },
            get,
        ),
        row(
            "routes",
            "1,000 host routes",
            Settings {
                routes: 1_000,
                ..plain
            },
            Load {
                host: Some("host-500.example"),
                ..get
            },
        ),
        row(
            "pools",
            "1,000 hosts in turn, each with a pool of its own",
            Settings {
                routes: 1_000,
                pool_each: true,
                ..plain
            },
            Load { hosts: 999, ..get },
        ),
        row(
            "endpoints",
            "1,000 endpoints",
            Settings {
                endpoints: 1_000,
                ..plain
            },
            get,
        ),
        row(
            "probed",
            "1,000 endpoints probed every second",
            Settings {
                endpoints: 1_000,
                probed: true,
                ..plain
            },
            get,
        ),
        row(
            "tls",
            "TLS, keep-alive, 13 octets",
            secure,
            Load {
                over: Over::Tls,
                ..get
            },
        ),
        row(
            "handshakes",
            "TLS, a full handshake for each request",
            secure,
            Load {
                over: Over::Strangers,
                ..get
            },
        ),
        row(
            "resumptions",
            "TLS, a new connection for each request, its session resumed",
            secure,
            Load {
                over: Over::Tls,
                closes: true,
                ..get
            },
        ),
        row(
            "http2",
            "HTTP/2 over TLS, HTTP/1.1 to the endpoint",
            secure,
            Load {
                over: Over::Http2,
                ..get
            },
        ),
        Row {
            idle: 10_000,
            ..row("idle", "beside 10,000 idle connections", plain, get)
        },
    ]
}

/// The names of all rows.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let compared = rows().into_iter().map(|row| row.name);
    compared
        .chain(["low", "download", "tls-download", upstream::ROW])
        .chain(house::ROWS)
}

/// Runs the rows of these names, or all.
pub(crate) fn run(wanted: &[String]) -> Result<()> {
    if let Some(unknown) = wanted.iter().find(|word| names().all(|name| name != *word)) {
        bail!("no row is called {unknown}: `list` names them");
    }
    peer::stay_beside()?;
    let folder = tempfile::tempdir()?;
    let wants = |row: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == row);
    let bench = Bench {
        fleet: Fleet::start(folder.path())?,
        rounds: setting("ROUNDS", 5)?,
        seconds: setting("SECONDS", 3)?,
        peers: std::env::var("PEERS").unwrap_or_else(|_| fleet::NAMES.join(",")),
    };
    let mut groups = Vec::new();
    for row in rows().iter().filter(|row| wants(row.name)) {
        groups.push(bench.compare(row)?);
    }
    if wants("low") {
        groups.push(bench.low()?);
    }
    if wants("download") {
        bench.download(Over::Plain)?;
    }
    if wants("tls-download") {
        bench.download(Over::Tls)?;
    }
    if wants(upstream::ROW) {
        let peers = |settings: &Settings| bench.peers(settings);
        upstream::download(peers, bench.rounds)?;
    }
    if let Ok(file) = std::env::var("SVG") {
        fs::write(file, chart::svg(&groups))?;
    }
    for row in house::ROWS.into_iter().filter(|row| wants(row)) {
        house::run(row, &bench.fleet, bench.rounds)?;
    }
    Ok(())
}

fn setting(name: &str, default: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name} is no number: {text}")),
        Err(_) => Ok(default),
    }
}

struct Bench<'a> {
    fleet: Fleet<'a>,
    rounds: usize,
    seconds: usize,
    peers: String,
}

impl Bench<'_> {
    fn compare(&self, row: &Row) -> Result<Group> {
        let mut peers = self.peers(&row.settings)?;
        if row.load.over == Over::Http2 && !peer::is_installed("h2load") {
            println!("h2load is not installed: no row for HTTP/2\n");
            peers.clear();
        }
        if row.idle > 0 {
            peer::descriptors()?;
            peers.retain(|peer| ["fiel", "nginx", "haproxy"].contains(&peer.name));
        }
        let mut resting = Vec::new();
        for peer in &peers {
            if row.idle > 0 {
                resting.push(Crowd::gather(peer.address, row.idle)?);
            }
        }
        let mut all: Vec<Vec<Round>> = peers.iter().map(|_| Vec::new()).collect();
        for _ in 0..self.rounds {
            for (peer, rounds) in peers.iter().zip(&mut all) {
                self.check(peer)?;
                rounds.push(match row.load.over {
                    Over::Strangers => {
                        load::strangers(peer, self.seconds, &self.fleet.certificate)?
                    }
                    Over::Plain | Over::Tls | Over::Http2 => {
                        load::round(peer, &row.load, self.seconds, self.fleet.folder)?
                    }
                });
                self.check(peer)?;
            }
        }
        println!(
            "### {}: {CONNECTIONS} connections, one worker, {} rounds of {} s\n",
            row.title, self.rounds, self.seconds
        );
        println!(
            "| | µs of the core a request | of which its own | requests/s | p99, µs |\n|---|---|---|---|---|"
        );
        let mut bars = Vec::new();
        for (peer, rounds) in peers.iter().zip(&all) {
            let micros = median(rounds.iter().map(|round| round.micros));
            println!(
                "| {} | {} | {} | {:.0} | {:.0} |",
                peer.name,
                short(micros),
                short(median(rounds.iter().map(|round| round.own_micros))),
                median(rounds.iter().map(|round| round.requests_a_second)),
                median(rounds.iter().map(|round| round.p99_micros)),
            );
            bars.push((peer.name, micros));
        }
        let micros: Vec<Vec<f64>> = all
            .iter()
            .map(|rounds| rounds.iter().map(|round| round.micros).collect())
            .collect();
        tell_ratios(&peers, &micros);
        Ok(Group {
            title: row.title.to_owned(),
            bars,
        })
    }

    /// A rate that leaves the proxy idle most of the time: what a wake-up costs.
    fn low(&self) -> Result<Group> {
        const RATE: u32 = 3_000;
        let peers = self.peers(&Settings::default())?;
        let mut micros: Vec<Vec<f64>> = peers.iter().map(|_| Vec::new()).collect();
        let mut p99s = micros.clone();
        for _ in 0..self.rounds {
            for (number, peer) in peers.iter().enumerate() {
                let meter = Meter::start(peer)?;
                let seen = house::steadily(peer, RATE, self.seconds)?;
                let spent = meter.stop()?.core;
                micros[number].push(spent.as_secs_f64() * 1e6 / seen.requests as f64);
                p99s[number].push(seen.p99.as_secs_f64() * 1e6);
            }
        }
        let title = "3,000 requests a second";
        println!(
            "### {title}, {} rounds of {} s\n",
            self.rounds, self.seconds
        );
        println!("| | µs of the core a request | p99, µs |\n|---|---|---|");
        let mut bars = Vec::new();
        for ((peer, micros), p99s) in peers.iter().zip(&micros).zip(p99s) {
            let micros = median(micros.iter().copied());
            println!(
                "| {} | {} | {:.0} |",
                peer.name,
                short(micros),
                median(p99s)
            );
            bars.push((peer.name, micros));
        }
        tell_ratios(&peers, &micros);
        Ok(Group {
            title: title.to_owned(),
            bars,
        })
    }

    fn download(&self, over: Over) -> Result<()> {
        let (settings, title) = match over {
            Over::Plain => (Settings::default(), "one download of 1 GiB"),
            Over::Tls | Over::Http2 | Over::Strangers => {
                let secure = Settings {
                    secure: true,
                    ..Settings::default()
                };
                (secure, "one download of 1 GiB through TLS")
            }
        };
        let peers = self.peers(&settings)?;
        println!("### {title}\n");
        println!("| | seconds of a core | GiB/s |\n|---|---|---|");
        let mut spent: Vec<Vec<f64>> = peers.iter().map(|_| Vec::new()).collect();
        let mut rates = spent.clone();
        for _ in 0..self.rounds {
            for (number, peer) in peers.iter().enumerate() {
                let receive = || match peer.secure {
                    Some(secure) => self.fleet.certificate.body_length(secure, "/big"),
                    None => peer::body_length(peer.address, "/big"),
                };
                let (seconds, rate) = load::download(peer, fleet::BIG, receive)?;
                spent[number].push(seconds);
                rates[number].push(rate);
            }
        }
        for ((peer, spent), rates) in peers.iter().zip(&spent).zip(rates) {
            let spent = median(spent.iter().copied());
            println!("| {} | {spent:.3} | {:.2} |", peer.name, median(rates));
        }
        tell_ratios(&peers, &spent);
        Ok(())
    }

    /// A peer that answers wrongly may be fast.
    fn check(&self, peer: &Process) -> Result<()> {
        let over_tls = peer
            .secure
            .map(|secure| self.fleet.certificate.body(secure));
        for answer in [Some(body(peer.address, "/")), over_tls]
            .into_iter()
            .flatten()
        {
            let answer = answer?;
            ensure!(
                answer == "hello, world\n",
                "{} answered {answer:?}",
                peer.name
            );
        }
        Ok(())
    }

    /// Everybody who can take part.
    fn peers(&self, settings: &Settings) -> Result<Vec<Process>> {
        let mut peers = Vec::new();
        for name in fleet::NAMES {
            if self.peers.split(',').any(|wanted| wanted == name) {
                peers.extend(self.fleet.peer(name, settings)?);
            }
        }
        Ok(peers)
    }
}

/// fiel against the better of nginx and haproxy, and against the relay, as medians over the rounds.
fn tell_ratios(peers: &[Process], figures: &[Vec<f64>]) {
    let of = |name: &str| {
        let place = peers.iter().position(|peer| peer.name == name)?;
        figures.get(place)
    };
    let Some(ours) = of("fiel") else {
        return;
    };
    println!();
    let rivals: Vec<&Vec<f64>> = ["nginx", "haproxy"].into_iter().filter_map(of).collect();
    if !rivals.is_empty() {
        let ratio = ours.iter().enumerate().map(|(round, ours)| {
            let best = rivals.iter().map(|rival| rival[round]);
            ours / best.fold(f64::INFINITY, f64::min)
        });
        println!(
            "fiel / the better of nginx and haproxy: {:.3}",
            median(ratio)
        );
    }
    if let Some(relay) = of("relay") {
        let ratio = ours.iter().zip(relay).map(|(ours, relay)| ours / relay);
        println!("fiel / relay: {:.3}", median(ratio));
    }
    println!();
}
