//! The rows of the comparison.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::peer::{Process, body, free_address};
use crate::steady;

const PROXY_CORE: usize = 0;
const LOAD_CORE: usize = 1;
const CONNECTIONS: usize = 64;
const IDLE_CONNECTIONS: usize = 5_000;
const RELOADS: usize = 100;
/// Requests a second where the load is steady.
const RATE: u32 = 1_000;

/// Runs the rows of these names, or all.
pub(crate) fn run(wanted: &[String]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bench = Bench {
        folder: folder.path(),
        backend: backend(folder.path())?,
        probed: TcpListener::bind("0.0.0.0:0")?,
        rounds: setting("ROUNDS", 5)?,
        seconds: setting("SECONDS", 3)?,
    };
    let taken = bench.probed.try_clone()?;
    // Accepts what probes connect to until the process ends.
    thread::spawn(move || taken.incoming().for_each(drop));
    let wants = |row: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == row);
    let none = Terms::default();
    if wants("keepalive") {
        bench.load("keep-alive, 13 octets, no access log", &none, &none)?;
    }
    if wants("logged") {
        let logged = Terms {
            logged: true,
            ..none
        };
        bench.load(
            "keep-alive, 13 octets, access log to a file",
            &logged,
            &logged,
        )?;
    }
    if wants("scale") {
        let many = Terms {
            routes: 10_000,
            endpoints: 1,
            ..none
        };
        bench.against_itself("10,000 host routes against one", &many)?;
        let many = Terms {
            routes: 1,
            endpoints: 10_000,
            ..none
        };
        bench.loading("10,000 endpoints", &many)?;
        let many = Terms {
            routes: 10_000,
            endpoints: 10_000,
            ..none
        };
        bench.loading("10,000 routes and 10,000 endpoints", &many)?;
    }
    if wants("reload") {
        for routes in [1, 10_000] {
            bench.reloads(&Terms { routes, ..none })?;
        }
    }
    if wants("probes") {
        bench.probes()?;
    }
    if wants("connect") {
        bench.connect()?;
    }
    if wants("memory") {
        bench.memory()?;
    }
    if wants("start") {
        bench.start()?;
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

/// What a proxy is configured for.
#[derive(Clone, Copy, Debug)]
struct Terms {
    logged: bool,
    routes: usize,
    endpoints: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            logged: false,
            routes: 1,
            endpoints: 1,
        }
    }
}

struct Bench<'a> {
    folder: &'a Path,
    backend: Process,
    /// What probes connect to, on every loopback address.
    probed: TcpListener,
    rounds: usize,
    seconds: usize,
}

/// What one round of load saw.
#[derive(Clone, Copy, Debug)]
struct Round {
    requests: f64,
    micros_a_request: f64,
    requests_a_second: f64,
    p99_micros: f64,
}

impl Bench<'_> {
    /// fiel against nginx under the same load, in turns.
    fn load(&self, row: &str, fiel: &Terms, nginx: &Terms) -> Result<()> {
        let fiel = self.fiel(fiel)?;
        let nginx = self.nginx(nginx)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            ours.push(self.round(&fiel, "bench")?);
            theirs.push(self.round(&nginx, "bench")?);
        }
        println!(
            "{row}: {CONNECTIONS} connections, one worker, {} rounds of {} s",
            self.rounds, self.seconds
        );
        print_rounds("fiel", &ours);
        print_rounds("nginx", &theirs);
        let ratios = ours
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| ours.micros_a_request / theirs.micros_a_request);
        println!(
            "  processor time a request, fiel / nginx: {:.3} (median of rounds)\n",
            median(ratios)
        );
        Ok(())
    }

    /// fiel under these terms against fiel with one route.
    fn against_itself(&self, row: &str, terms: &Terms) -> Result<()> {
        let many = self.fiel(terms)?;
        let one = self.fiel(&Terms::default())?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            ours.push(self.round(&many, &format!("host-{}.example", terms.routes / 2))?);
            theirs.push(self.round(&one, "bench")?);
        }
        println!("{row}: started in {:?}", many.started_in);
        print_rounds("many", &ours);
        print_rounds("one", &theirs);
        let ratios = ours
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| ours.micros_a_request / theirs.micros_a_request);
        println!(
            "  processor time a request, many / one: {:.3} (median of rounds)\n",
            median(ratios)
        );
        Ok(())
    }

    fn loading(&self, row: &str, terms: &Terms) -> Result<()> {
        let mut times = Vec::new();
        for _ in 0..self.rounds {
            times.push(self.fiel(terms)?.started_in.as_secs_f64());
        }
        println!(
            "{row}: from start to the first answer {:.3} s (median)\n",
            median(times.into_iter())
        );
        Ok(())
    }

    /// What a hundred reloads do to requests that come steadily.
    fn reloads(&self, terms: &Terms) -> Result<()> {
        let (fiel, file) = self.fiel_with_file(terms, "")?;
        let yaml = fs::read_to_string(&file)?;
        let stop = AtomicBool::new(false);
        let limit = Duration::from_secs(300);
        let (calm, stirred) = thread::scope(|scope| -> Result<_> {
            let calm = steady::load(fiel.address, "bench", RATE, &stop, Duration::from_secs(5))?;
            let load = scope.spawn(|| steady::load(fiel.address, "bench", RATE, &stop, limit));
            for reload in 0..RELOADS {
                let changed = format!("{yaml}    connect: {{ timeout: {}ms }}\n", 1_001 + reload);
                replace(&file, &changed)?;
                wait_for_reload(&fiel, reload + 1)?;
            }
            stop.store(true, Ordering::Relaxed);
            let stirred = load
                .join()
                .map_err(|_| anyhow::anyhow!("the load panicked"))??;
            Ok((calm, stirred))
        })?;
        println!(
            "{RELOADS} reloads with {} routes, {RATE} requests/s",
            terms.routes
        );
        print_seen("calm", &calm);
        print_seen("reloads", &stirred);
        println!();
        Ok(())
    }

    /// What probes of 10,000 endpoints do to requests that come steadily.
    fn probes(&self) -> Result<()> {
        let stop = AtomicBool::new(false);
        let many = Terms {
            endpoints: 10_000,
            ..Terms::default()
        };
        let probe = format!(
            "    readinessProbe: {{ tcpSocket: {{ port: {} }}, periodSeconds: 5 }}\n",
            self.probed.local_addr()?.port()
        );
        let take = |probe: &str| -> Result<steady::Seen> {
            let (fiel, _) = self.fiel_with_file(&many, probe)?;
            // The first probes go out at 1,000 a second: the steady state is what counts.
            wait_until_probed(&fiel)?;
            steady::load(fiel.address, "bench", RATE, &stop, Duration::from_secs(10))
        };
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            without.push(take("")?);
            with.push(take(&probe)?);
        }
        println!(
            "10,000 endpoints probed every 5 s, {RATE} requests/s, medians of {} rounds",
            self.rounds
        );
        for (name, seen) in [("without", &without), ("with", &with)] {
            println!(
                "  {name:8} p50 {:7.0} µs, p99 {:7.0} µs",
                median(seen.iter().map(|seen| seen.p50.as_secs_f64() * 1e6)),
                median(seen.iter().map(|seen| seen.p99.as_secs_f64() * 1e6)),
            );
        }
        println!();
        Ok(())
    }

    /// A new connection for each request, and what of it the hand-over from the accepting thread costs.
    fn connect(&self) -> Result<()> {
        let (fiel, nginx) = (
            self.fiel(&Terms::default())?,
            self.nginx(&Terms::default())?,
        );
        let close = ["-H", "Connection: close"];
        let (mut ours, mut theirs, mut accepting) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let before = fiel.thread_time("fiel-accept")?;
            let round = self.round_with(&fiel, "bench", &close)?;
            let accepted = fiel.thread_time("fiel-accept")? - before;
            accepting.push(accepted.as_secs_f64() * 1e6 / round.requests);
            ours.push(round.micros_a_request);
            theirs.push(self.round_with(&nginx, "bench", &close)?.micros_a_request);
        }
        let accepting = median(accepting.into_iter());
        println!(
            "a new connection a request, {} rounds of {} s",
            self.rounds, self.seconds
        );
        println!(
            "  fiel   {:6.1} µs of a core a request, of which the accepting thread {accepting:.1} µs",
            median(ours.into_iter())
        );
        println!(
            "  nginx  {:6.1} µs of a core a request\n",
            median(theirs.into_iter())
        );
        Ok(())
    }

    /// Memory at rest, and what an idle connection adds.
    fn memory(&self) -> Result<()> {
        println!("resident memory (Pss), one worker");
        for (name, peer) in [
            ("fiel", self.fiel(&Terms::default())?),
            ("nginx", self.nginx(&Terms::default())?),
        ] {
            let before = peer.resident_bytes()?;
            let mut idle = Vec::with_capacity(IDLE_CONNECTIONS);
            for _ in 0..IDLE_CONNECTIONS {
                idle.push(asked_once(peer.address)?);
            }
            rest();
            let grown = peer.resident_bytes()?.saturating_sub(before);
            println!(
                "  {name:6} at rest {:6.1} MiB, {:6} octets an idle connection (of {IDLE_CONNECTIONS}, each after one request)",
                before as f64 / f64::from(1 << 20),
                grown / IDLE_CONNECTIONS as u64,
            );
        }
        println!();
        Ok(())
    }

    /// From start to the first answer.
    fn start(&self) -> Result<()> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds.max(10) {
            ours.push(self.fiel(&Terms::default())?.started_in.as_secs_f64() * 1e3);
            theirs.push(self.nginx(&Terms::default())?.started_in.as_secs_f64() * 1e3);
        }
        println!("from start to the first answer, median");
        println!(
            "  fiel   {:.1} ms\n  nginx  {:.1} ms\n",
            median(ours.into_iter()),
            median(theirs.into_iter())
        );
        Ok(())
    }

    fn round(&self, peer: &Process, host: &str) -> Result<Round> {
        self.round_with(peer, host, &[])
    }

    fn round_with(&self, peer: &Process, host: &str, more: &[&str]) -> Result<Round> {
        let before = peer.processor_time()?;
        let began = Instant::now();
        let output = Command::new("taskset")
            .args([
                "-c",
                &LOAD_CORE.to_string(),
                "wrk",
                "-t1",
                "--latency",
                "--timeout",
                "10s",
            ])
            .args([format!("-c{CONNECTIONS}"), format!("-d{}s", self.seconds)])
            .args(["-H", &format!("Host: {host}")])
            .args(more)
            .arg(format!("http://{}/", peer.address))
            .output()?;
        let took = began.elapsed();
        let spent = peer.processor_time()? - before;
        let text = String::from_utf8(output.stdout)?;
        ensure!(
            !text.contains("Non-2xx"),
            "wrong answers under load:\n{text}"
        );
        ensure!(
            !text.contains("Socket errors"),
            "broken connections under load:\n{text}"
        );
        let requests = field(&text, |line| line.contains(" requests in "), 0)?.parse::<f64>()?;
        let p99 = field(&text, |line| line.trim_start().starts_with("99%"), 1)?;
        Ok(Round {
            requests,
            micros_a_request: spent.as_secs_f64() * 1e6 / requests,
            requests_a_second: requests / took.as_secs_f64(),
            p99_micros: micros(&p99)?,
        })
    }

    fn fiel(&self, terms: &Terms) -> Result<Process> {
        self.fiel_with_file(terms, "").map(|(fiel, _)| fiel)
    }

    /// fiel and its file; `more` is added to the pool that holds the many endpoints.
    fn fiel_with_file(&self, terms: &Terms, more: &str) -> Result<(Process, PathBuf)> {
        let (address, admin) = (free_address()?, free_address()?);
        let mut yaml = format!(
            "workers: 1\nadmin: {{ bind: \"{admin}\" }}\nlisteners: [ {{ name: web, bind: \"{address}\" }} ]\n"
        );
        let output = match terms.logged {
            true => format!(
                "{{ file: \"{}\" }}",
                self.folder.join("fiel-access.log").display()
            ),
            false => "\"off\"".to_owned(),
        };
        writeln!(yaml, "accessLog: {{ output: {output} }}")?;
        yaml.push_str("routes:\n");
        for route in 1..terms.routes {
            writeln!(
                yaml,
                "  - {{ name: r{route}, match: {{ hosts: [host-{route}.example] }}, split: [ {{ pool: app }} ] }}"
            )?;
        }
        writeln!(yaml, "  - {{ name: all, split: [ {{ pool: app }} ] }}")?;
        writeln!(
            yaml,
            "pools:\n  app:\n    endpoints: [ \"{}\" ]",
            self.backend.address
        )?;
        if terms.endpoints > 1 {
            // Nobody is asked there: what counts is that they are known.
            writeln!(yaml, "  others:\n    endpoints:")?;
            for endpoint in 1..terms.endpoints {
                writeln!(
                    yaml,
                    "      - 127.{}.{}.{}:80",
                    1 + endpoint / 62_500,
                    endpoint / 250 % 250,
                    1 + endpoint % 250
                )?;
            }
            yaml.push_str(more);
        }
        // A file of its own: fiel would take up another one's as a reload.
        let file = self.folder.join(format!("fiel-{}.yaml", address.port()));
        fs::write(&file, yaml)?;
        let text = file.to_str().context("a folder that is no text")?;
        let command = [env!("CARGO_BIN_EXE_fiel"), "run", "--config", text];
        let mut process = Process::start(&command, PROXY_CORE, address)?;
        process.admin = Some(admin);
        Ok((process, file))
    }

    fn nginx(&self, terms: &Terms) -> Result<Process> {
        let address = free_address()?;
        let log = match terms.logged {
            true => format!("access_log {}/nginx-access.log;", self.folder.display()),
            false => "access_log off;".to_owned(),
        };
        let settings = format!(
            "{log} upstream app {{ server {}; keepalive 256; keepalive_requests 1000000000; }}
             server {{ listen {address} backlog=4096; location / {{ proxy_pass http://app; proxy_http_version 1.1;
               proxy_set_header Connection \"\"; proxy_set_header Host $host;
               proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
               proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Request-Id $request_id; }} }}",
            self.backend.address,
        );
        start_nginx(self.folder, "proxy", &settings, PROXY_CORE, address)
    }
}

/// Writes a file and renames it over another.
fn replace(file: &Path, text: &str) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, file)?;
    Ok(())
}

fn wait_for_reload(fiel: &Process, count: usize) -> Result<()> {
    let line = format!("fiel_config_reloads_total{{result=\"applied\"}} {count}\n");
    wait_for_metric(fiel, &line)
}

fn wait_until_probed(fiel: &Process) -> Result<()> {
    wait_for_metric(
        fiel,
        "fiel_pool_endpoints{pool=\"others\",state=\"ready\"} 9999\n",
    )
}

fn wait_for_metric(fiel: &Process, line: &str) -> Result<()> {
    let admin = fiel.admin.context("a peer without an admin address")?;
    let began = Instant::now();
    while !body(admin, "/metrics")?.contains(line) {
        ensure!(
            began.elapsed() < Duration::from_secs(60),
            "{line} did not come in a minute"
        );
        pause(Duration::from_millis(20));
    }
    Ok(())
}

fn print_seen(name: &str, seen: &steady::Seen) {
    println!(
        "  {name:8} {:6} requests, p50 {:?}, p99 {:?}, longest {:?}, longest time between two answers {:?}",
        seen.requests, seen.p50, seen.p99, seen.longest, seen.longest_gap,
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench polls what it cannot await"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

fn backend(folder: &Path) -> Result<Process> {
    let address = free_address()?;
    let settings = format!(
        "access_log off; server {{ listen {address} backlog=4096; location / {{ return 200 \"hello, world\\n\"; }} }}"
    );
    start_nginx(folder, "backend", &settings, LOAD_CORE, address)
}

fn start_nginx(
    folder: &Path,
    name: &str,
    settings: &str,
    core: usize,
    address: SocketAddr,
) -> Result<Process> {
    let file = folder.join(format!("{name}.conf"));
    fs::write(
        &file,
        format!(
            "worker_processes 1; daemon off; pid {0}/{name}.pid; error_log /dev/null;
             events {{ worker_connections 20000; }}
             http {{ keepalive_requests 1000000000; keepalive_timeout 600s; client_body_temp_path {0}/{name}-body;
               proxy_temp_path {0}/{name}-proxy; fastcgi_temp_path {0}/{name}-fastcgi; uwsgi_temp_path {0}/{name}-uwsgi;
               scgi_temp_path {0}/{name}-scgi; {settings} }}",
            folder.display(),
        ),
    )?;
    let file = file.to_str().context("a folder that is no text")?;
    Process::start(&["nginx", "-c", file], core, address)
}

/// Gives idle connections the second after which fiel puts them to rest.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing outside of the process tells when that has happened"
)]
fn rest() {
    thread::sleep(Duration::from_secs(3));
}

/// A connection that has been answered once and stays open.
fn asked_once(address: SocketAddr) -> Result<TcpStream> {
    use std::io::{Read as _, Write as _};
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n")?;
    let mut answer = [0; 1024];
    let octets = socket.read(&mut answer)?;
    if !answer[..octets].starts_with(b"HTTP/1.1 200") {
        bail!(
            "an idle connection was answered with {:?}",
            String::from_utf8_lossy(&answer[..octets])
        );
    }
    Ok(socket)
}

fn field(text: &str, is_line: impl Fn(&str) -> bool, position: usize) -> Result<String> {
    let line = text
        .lines()
        .find(|line| is_line(line))
        .with_context(|| format!("wrk said:\n{text}"))?;
    Ok(line
        .split_whitespace()
        .nth(position)
        .context("a short line")?
        .to_owned())
}

/// Reads `1.23ms`, `456.00us`, `1.20s`.
fn micros(text: &str) -> Result<f64> {
    let unit = text
        .find(|letter: char| letter.is_ascii_alphabetic())
        .context("a time without a unit")?;
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => bail!("an unknown unit: {text}"),
    };
    Ok(number.parse::<f64>()? * factor)
}

fn print_rounds(name: &str, rounds: &[Round]) {
    println!(
        "  {name:6} {:6.1} µs of a core a request, {:8.0} requests/s, p99 {:6.0} µs",
        median(rounds.iter().map(|round| round.micros_a_request)),
        median(rounds.iter().map(|round| round.requests_a_second)),
        median(rounds.iter().map(|round| round.p99_micros)),
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
