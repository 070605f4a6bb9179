//! What a sidecar holds while nobody asks it anything: the ready-made one, with mutual TLS in and requests by host out.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::fleet::{Fleet, fiel, text, words};
use crate::peer::{PROXY_CORE, Process, free_address};

/// The configuration, where `cargo bench` runs.
const READY_MADE: &str = "config/sidecar.yaml";

/// How often it is asked, to see what comes back.
const REQUESTS: usize = 300;

/// After so long what was needed to read the file is given back.
const SOON: Duration = Duration::from_secs(5);

/// After so long at rest, what the last requests have needed is.
const LATER: Duration = Duration::from_secs(62);

/// Memory at rest, after some requests, and at rest again.
pub(crate) fn at_rest(fleet: &Fleet<'_>) -> Result<()> {
    let mut yaml = fs::read_to_string(READY_MADE)?;
    let (pod, out) = (free_address()?, free_address()?);
    let endpoint = fleet.endpoint.address.to_string();
    let pair = &fleet.certificate;
    for (old, new) in [
        ("0.0.0.0:8443", pod.to_string()),
        ("127.0.0.1:8081", out.to_string()),
        ("127.0.0.1:9901", free_address()?.to_string()),
        ("0.0.0.0:9902", free_address()?.to_string()),
        ("127.0.0.1:${SERVICE_PORT:-8000}", endpoint.clone()),
        ("orders.prod.svc.cluster.local:8080", endpoint.clone()),
        ("payments.prod.svc.cluster.local:8080", endpoint),
        ("tls/site.crt", pair.certificate.display().to_string()),
        ("tls/site.key", pair.key.display().to_string()),
        ("tls/ca.crt", pair.certificate.display().to_string()),
    ] {
        ensure!(yaml.contains(old), "{READY_MADE} has no {old}");
        yaml = yaml.replace(old, &new);
    }
    let file = fleet.write("sidecar.yaml", &yaml)?;
    let command = words(&[&fiel(), "run", "--config", text(&file)?]);
    let fiel = Process::start("fiel", &command, PROXY_CORE, out).context("the sidecar")?;
    println!("### a sidecar at rest, one worker, with TLS, MiB\n");
    println!("| | resident | Pss | its own |\n|---|---|---|---|");
    tell("since its start", &fiel, SOON)?;
    pair.as_member(pod, REQUESTS)?;
    tell(
        &format!("after {REQUESTS} requests, each with a handshake"),
        &fiel,
        SOON,
    )?;
    tell("a minute later", &fiel, LATER)?;
    println!();
    Ok(())
}

fn tell(when: &str, fiel: &Process, after: Duration) -> Result<()> {
    thread::park_timeout(after);
    let mib = |octets: u64| octets as f64 / f64::from(1 << 20);
    let [resident, pss] = ["Rss:", "Pss:"].map(|line| fiel.rollup(line));
    println!(
        "| {when} | {:.1} | {:.1} | {:.1} |",
        mib(resident?),
        mib(pss?),
        mib(fiel.own_bytes()?)
    );
    Ok(())
}
