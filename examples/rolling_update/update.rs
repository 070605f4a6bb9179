//! The walk-through itself. For each replica: start the new one, add it to the file, wait until its probe says that it is
//! ready, take the old one out of the file, wait until it holds no request, stop it.

use std::collections::VecDeque;
use std::io::Write;

use crate::clients;
use crate::endpoint::Endpoint;
use crate::load::Load;
use crate::proxy::Proxy;
use crate::status::{wait_until, wait_until_ready};

const REPLICAS: usize = 4;

/// Connections of the load.
const CLIENTS: usize = 8;

/// Requests between two steps.
const BETWEEN: u64 = 200;

pub(crate) fn walk(out: &mut dyn Write) -> anyhow::Result<()> {
    let mut replicas = VecDeque::new();
    for _ in 0..REPLICAS {
        replicas.push_back(Endpoint::start("v1")?);
    }
    let proxy = Proxy::start(&configuration(&replicas))?;
    for replica in &replicas {
        wait_until_ready(&proxy, "shop", replica.address)?;
    }

    let load = Load::start(proxy.address, CLIENTS);
    let (mut by_old, mut replaced) = (0, 0);
    for _ in 0..REPLICAS {
        load.wait_for(BETWEEN)?;
        let new = Endpoint::start("v2")?;
        replicas.push_back(new);
        proxy.reload(&configuration(&replicas))?;
        wait_until_ready(&proxy, "shop", replicas[REPLICAS].address)?;

        let Some(old) = replicas.pop_front() else {
            break;
        };
        proxy.reload(&configuration(&replicas))?;
        let left = old.address.to_string();
        wait_until(&proxy, "the old replica holds no request", |status| {
            let mut leaving = status["leaving"].as_array().into_iter().flatten();
            !leaving.any(|entry| entry["address"] == *left)
        })?;
        by_old += old.stop()?;
        replaced += 1;
        writeln!(out, "replaced {replaced} of {REPLICAS}")?;
    }
    load.wait_for(BETWEEN)?;
    let told = load.stop()?;
    let after = clients::ask(proxy.address, BETWEEN, CLIENTS)?;

    let by_new: u64 = replicas.iter().map(Endpoint::answered).sum();
    anyhow::ensure!(
        told.of("v1") == by_old && told.of("v2") + BETWEEN == by_new,
        "an answer was lost, or a request came twice: {told:?}, {by_old} and {by_new}"
    );
    writeln!(out, "failed under way: {}", told.failed)?;
    writeln!(
        out,
        "afterwards: {} of v1, {} of v2",
        after.of("v1"),
        after.of("v2")
    )?;

    proxy.stop()?;
    for replica in replicas {
        replica.stop()?;
    }
    Ok(())
}

fn configuration(replicas: &VecDeque<Endpoint>) -> String {
    let quoted = replicas.iter().map(|one| format!("\"{}\"", one.address));
    let endpoints = quoted.collect::<Vec<_>>().join(", ");
    format!(
        "workers: 2
admin: {{ bind: 127.0.0.1:0 }}
accessLog: {{ output: off }}
listeners:
  - {{ name: web, bind: 127.0.0.1:0 }}
routes:
  - {{ name: shop, split: [ {{ pool: shop }} ] }}
pools:
  shop:
    endpoints: [ {endpoints} ]
    readinessProbe: {{ httpGet: {{ path: /ready }}, periodSeconds: 1 }}
"
    )
}
