//! The rows of the comparison.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::peer::{Process, free_address};

const PROXY_CORE: usize = 0;
const LOAD_CORE: usize = 1;
const CONNECTIONS: usize = 64;
const IDLE_CONNECTIONS: usize = 5_000;

/// Runs the rows of these names, or all.
pub(crate) fn run(wanted: &[String]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bench = Bench {
        folder: folder.path(),
        backend: backend(folder.path())?,
        rounds: setting("ROUNDS", 5)?,
        seconds: setting("SECONDS", 3)?,
    };
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
    rounds: usize,
    seconds: usize,
}

/// What one round of load saw.
#[derive(Clone, Copy, Debug)]
struct Round {
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
        let before = peer.processor_time()?;
        let began = Instant::now();
        let output = Command::new("taskset")
            .args(["-c", &LOAD_CORE.to_string(), "wrk", "-t1", "--latency"])
            .args([format!("-c{CONNECTIONS}"), format!("-d{}s", self.seconds)])
            .args(["-H", &format!("Host: {host}")])
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
            micros_a_request: spent.as_secs_f64() * 1e6 / requests,
            requests_a_second: requests / took.as_secs_f64(),
            p99_micros: micros(&p99)?,
        })
    }

    fn fiel(&self, terms: &Terms) -> Result<Process> {
        let address = free_address()?;
        let mut yaml = format!(
            "workers: 1\nadmin: {{ bind: \"{}\" }}\nlisteners: [ {{ name: web, bind: \"{address}\" }} ]\n",
            free_address()?
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
                    1 + endpoint / 65_025,
                    endpoint / 255 % 255,
                    1 + endpoint % 254
                )?;
            }
        }
        // A file of its own: fiel would take up another one's as a reload.
        let file = self.folder.join(format!("fiel-{}.yaml", address.port()));
        fs::write(&file, yaml)?;
        let file = file.to_str().context("a folder that is no text")?;
        Process::start(
            &[env!("CARGO_BIN_EXE_fiel"), "run", "--config", file],
            PROXY_CORE,
            address,
        )
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
    std::thread::sleep(Duration::from_secs(3));
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
