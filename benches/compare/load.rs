//! One round of load upon a peer, by wrk or h2load, and what it cost.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::peer::{LOAD_CORE, Meter, Process};
use crate::secure::Certificate;

/// Connections of a load.
pub(crate) const CONNECTIONS: usize = 64;

/// Connections and streams on each of a load over HTTP/2: as many requests at once as `CONNECTIONS`.
const HTTP2: (usize, usize) = (8, 8);

/// Clients who shake hands at the same time, each in a thread of its own.
const STRANGERS: usize = 16;

/// What the clients speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Over {
    #[default]
    Plain,
    Tls,
    /// Over TLS.
    Http2,
    /// TLS, each time with a full handshake, which wrk, who remembers sessions, does not do.
    Strangers,
}

/// What the clients do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) path: &'static str,
    pub(crate) host: Option<&'static str>,
    /// Asks `host-1.example`, `host-2.example` and so on, so many in turn.
    pub(crate) hosts: usize,
    /// A new connection for each request.
    pub(crate) closes: bool,
    /// Octets of a request's body.
    pub(crate) upload: usize,
    pub(crate) over: Over,
}

impl Load {
    fn target(&self, peer: &Process) -> Result<String> {
        let path = self.path;
        match self.over {
            Over::Plain => Ok(format!("http://{}{path}", peer.address)),
            Over::Tls | Over::Http2 | Over::Strangers => {
                let secure = peer.secure.context("a peer without TLS")?;
                Ok(format!("https://{secure}{path}"))
            }
        }
    }
}

/// What one round saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) requests: f64,
    /// What the proxy's core did for a request.
    pub(crate) micros: f64,
    /// What of it was the peer's own.
    pub(crate) own_micros: f64,
    pub(crate) requests_a_second: f64,
    pub(crate) p99_micros: f64,
}

/// Asks for so many seconds.
pub(crate) fn round(peer: &Process, load: &Load, seconds: usize, folder: &Path) -> Result<Round> {
    let core = LOAD_CORE.to_string();
    let mut command = Command::new("taskset");
    command.args(["-c", &core]);
    match load.over {
        Over::Plain | Over::Tls => wrk(&mut command, load, seconds, folder)?,
        Over::Http2 => h2load(&mut command, seconds),
        Over::Strangers => bail!("strangers ask from within"),
    }
    command.arg(load.target(peer)?);

    let meter = Meter::start(peer)?;
    let began = Instant::now();
    let output = command.output()?;
    let took = began.elapsed();
    let spent = meter.stop()?;
    let text = String::from_utf8(output.stdout)?;
    let (requests, p99_micros) = match load.over {
        Over::Plain | Over::Tls => told_by_wrk(&text),
        Over::Http2 => told_by_h2load(&text),
        Over::Strangers => bail!("strangers ask from within"),
    }
    .with_context(|| format!("{} was asked:\n{text}", peer.name))?;
    Ok(Round {
        requests,
        micros: spent.core.as_secs_f64() * 1e6 / requests,
        own_micros: spent.own.as_secs_f64() * 1e6 / requests,
        requests_a_second: requests / took.as_secs_f64(),
        p99_micros,
    })
}

/// Asks for so many seconds, with a full handshake each time.
pub(crate) fn strangers(
    peer: &Process,
    seconds: usize,
    certificate: &Certificate,
) -> Result<Round> {
    let secure = peer.secure.context("a peer without TLS")?;
    let time = Duration::from_secs(seconds as u64);
    let meter = Meter::start(peer)?;
    let mut took = certificate.strangers(secure, STRANGERS, time)?;
    let spent = meter.stop()?;
    took.sort_unstable();
    let requests = took.len() as f64;
    let p99 = took
        .get(took.len() * 99 / 100)
        .context("nobody was answered")?;
    Ok(Round {
        requests,
        micros: spent.core.as_secs_f64() * 1e6 / requests,
        own_micros: spent.own.as_secs_f64() * 1e6 / requests,
        requests_a_second: requests / time.as_secs_f64(),
        p99_micros: p99.as_secs_f64() * 1e6,
    })
}

fn wrk(command: &mut Command, load: &Load, seconds: usize, folder: &Path) -> Result<()> {
    command.args(["wrk", "-t1", "--latency", "--timeout", "10s"]);
    command.args([format!("-c{CONNECTIONS}"), format!("-d{seconds}s")]);
    if let Some(host) = load.host {
        command.args(["-H", &format!("Host: {host}")]);
    }
    if load.closes {
        command.args(["-H", "Connection: close"]);
    }
    let mut script = String::new();
    if load.upload > 0 {
        writeln!(
            script,
            "wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", {})",
            load.upload
        )?;
    }
    if load.hosts > 0 {
        writeln!(
            script,
            "local asked, turn = {{}}, 0
init = function()
  for host = 1, {0} do asked[host] = wrk.format(nil, nil, {{ Host = \"host-\" .. host .. \".example\" }}) end
end
request = function()
  turn = turn % {0} + 1
  return asked[turn]
end",
            load.hosts
        )?;
    }
    if !script.is_empty() {
        let file = folder.join("load.lua");
        fs::write(&file, script)?;
        command.arg("-s").arg(file);
    }
    Ok(())
}

/// Requests, and the 99th percentile in microseconds.
fn told_by_wrk(text: &str) -> Result<(f64, f64)> {
    for wrong in ["Non-2xx", "Socket errors"] {
        ensure!(!text.contains(wrong), "{wrong}");
    }
    let requests = field(text, |line| line.contains(" requests in "), 0)?.parse()?;
    let p99 = field(text, |line| line.trim_start().starts_with("99%"), 1)?;
    Ok((requests, micros(&p99)?))
}

fn h2load(command: &mut Command, seconds: usize) {
    let (connections, streams) = HTTP2;
    command.args(["h2load", "-t1"]);
    command.args([format!("-c{connections}"), format!("-m{streams}")]);
    command.arg(format!("-D{seconds}"));
}

/// Requests, and their greatest time in microseconds: h2load tells no percentiles.
fn told_by_h2load(text: &str) -> Result<(f64, f64)> {
    // requests: N total, N started, N done, N succeeded, N failed, N errored, N timeout
    let line = text.lines().find(|line| line.starts_with("requests:"));
    let words: Vec<&str> = line.context("no line of requests")?.split(' ').collect();
    let count = |what: &str| -> Result<f64> {
        let place = words
            .iter()
            .position(|word| word.trim_end_matches(',') == what);
        let before = place.and_then(|place| words.get(place.checked_sub(1)?));
        Ok(before.with_context(|| format!("no word {what}"))?.parse()?)
    };
    for wrong in ["failed", "errored", "timeout"] {
        ensure!(count(wrong)? == 0.0, "some {wrong}");
    }
    let greatest = field(text, |line| line.starts_with("time for request:"), 4)?;
    Ok((count("succeeded")?, micros(&greatest)?))
}

/// One GET of a big body by one client, received in this process: seconds of the proxy's core for each GiB, and GiB a second.
pub(crate) fn download(
    peer: &Process,
    octets: u64,
    receive: impl FnOnce() -> Result<u64>,
) -> Result<(f64, f64)> {
    let meter = Meter::start(peer)?;
    let began = Instant::now();
    let received = receive()?;
    let took = began.elapsed().as_secs_f64();
    let spent = meter.stop()?;
    ensure!(
        received == octets,
        "{} sent {received} of {octets} octets",
        peer.name
    );
    let gibibytes = octets as f64 / f64::from(1 << 30);
    Ok((spent.core.as_secs_f64() / gibibytes, gibibytes / took))
}

fn field(text: &str, is_line: impl Fn(&str) -> bool, position: usize) -> Result<String> {
    let line = text
        .lines()
        .find(|line| is_line(line))
        .context("a line is missing")?;
    let word = line.split_whitespace().nth(position);
    Ok(word.context("a short line")?.to_owned())
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
