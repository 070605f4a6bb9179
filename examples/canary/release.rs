//! The walk-through itself: six weights, a thousand requests at each.

use std::io::Write;

use crate::clients;
use crate::endpoint::Endpoint;
use crate::proxy::Proxy;

/// Weights of the old version and of the new one.
const STEPS: [(&str, &str); 6] = [
    ("100", "0"),
    ("99.9", "0.1"),
    ("99", "1"),
    ("90", "10"),
    ("50", "50"),
    ("0", "100"),
];

/// Requests at each step, so that each share is a whole number of them.
const REQUESTS: u64 = 1_000;

/// Connections that the requests come over, spread over two workers.
const CLIENTS: usize = 8;

pub(crate) fn walk(out: &mut dyn Write) -> anyhow::Result<()> {
    // Four replicas of the old version, one of the new: what each version gets does not depend on that.
    let old: Vec<Endpoint> = start("v1", 4)?;
    let new: Vec<Endpoint> = start("v2", 1)?;
    let file = |weights| configuration(weights, &old, &new);
    let proxy = Proxy::start(&file(STEPS[0]))?;

    writeln!(
        out,
        "{:>14} {:>6} {:>6} {:>7}",
        "weights", "v1", "v2", "failed"
    )?;
    for weights in STEPS {
        proxy.reload(&file(weights))?;
        let told = clients::ask(proxy.address, REQUESTS, CLIENTS)?;
        writeln!(
            out,
            "{:>14} {:>6} {:>6} {:>7}",
            format!("{} : {}", weights.0, weights.1),
            told.of("v1"),
            told.of("v2"),
            told.failed
        )?;
    }
    let counts: Vec<String> = old.iter().map(|one| one.answered().to_string()).collect();
    writeln!(
        out,
        "the four replicas of v1 answered {}",
        counts.join(", ")
    )?;

    proxy.stop()?;
    for endpoint in old.into_iter().chain(new) {
        endpoint.stop()?;
    }
    Ok(())
}

fn start(version: &'static str, replicas: usize) -> anyhow::Result<Vec<Endpoint>> {
    (0..replicas)
        .map(|_| Ok(Endpoint::start(version)?))
        .collect()
}

fn configuration(weights: (&str, &str), old: &[Endpoint], new: &[Endpoint]) -> String {
    let list = |endpoints: &[Endpoint]| {
        let quoted = endpoints.iter().map(|one| format!("\"{}\"", one.address));
        quoted.collect::<Vec<_>>().join(", ")
    };
    format!(
        "workers: 2
admin: {{ bind: 127.0.0.1:0 }}
accessLog: {{ output: off }}
listeners:
  - {{ name: web, bind: 127.0.0.1:0 }}
routes:
  - name: shop
    split:
      - {{ pool: shop-v1, weight: {} }}
      - {{ pool: shop-v2, weight: {} }}
pools:
  shop-v1: {{ version: v1, endpoints: [ {} ] }}
  shop-v2: {{ version: v2, endpoints: [ {} ] }}
",
        weights.0,
        weights.1,
        list(old),
        list(new)
    )
}
