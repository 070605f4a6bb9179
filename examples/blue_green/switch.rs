//! The walk-through itself: while a load goes on, the weights are turned over, and turned back.

use std::io::Write;
use std::net::SocketAddr;

use crate::clients;
use crate::endpoint::Endpoint;
use crate::load::Load;
use crate::proxy::Proxy;
use crate::status::wait_until_ready;

/// Requests asked for by themselves after each switch, beside the load that goes on.
const REQUESTS: u64 = 200;

/// Connections of the load.
const CLIENTS: usize = 8;

pub(crate) fn walk(out: &mut dyn Write) -> anyhow::Result<()> {
    let blue = Endpoint::start("blue")?;
    let green = Endpoint::start("green")?;
    let file = |blue_weight, green_weight| {
        configuration(blue_weight, green_weight, blue.address, green.address)
    };
    let proxy = Proxy::start(&file(100, 0))?;
    // Green is probed although it gets nothing yet: a switch to what is not ready would be none.
    wait_until_ready(&proxy, "shop-blue", blue.address)?;
    wait_until_ready(&proxy, "shop-green", green.address)?;

    let load = Load::start(proxy.address, CLIENTS);
    writeln!(
        out,
        "{:>8} {:>6} {:>6} {:>7}",
        "in force", "blue", "green", "failed"
    )?;
    for (name, weights) in [("blue", (100, 0)), ("green", (0, 100)), ("blue", (100, 0))] {
        load.wait_for(REQUESTS)?;
        // When this returns, every worker reads the new weights: no request that starts now goes by the old ones.
        proxy.reload(&file(weights.0, weights.1))?;
        let told = clients::ask(proxy.address, REQUESTS, CLIENTS)?;
        let (blue, green) = (told.of("blue"), told.of("green"));
        writeln!(out, "{name:>8} {blue:>6} {green:>6} {:>7}", told.failed)?;
    }
    let told = load.stop()?;
    writeln!(out, "the load beside it: {} failed", told.failed)?;
    anyhow::ensure!(
        told.of("blue") + told.of("green") + 3 * REQUESTS == blue.answered() + green.answered(),
        "an answer was lost, or a request came twice"
    );

    proxy.stop()?;
    blue.stop()?;
    green.stop()?;
    Ok(())
}

fn configuration(
    blue_weight: u32,
    green_weight: u32,
    blue: SocketAddr,
    green: SocketAddr,
) -> String {
    format!(
        "workers: 2
admin: {{ bind: 127.0.0.1:0 }}
accessLog: {{ output: off }}
listeners:
  - {{ name: web, bind: 127.0.0.1:0 }}
routes:
  - name: shop
    split:
      - {{ pool: shop-blue, weight: {blue_weight} }}
      - {{ pool: shop-green, weight: {green_weight} }}
pools:
  shop-blue:
    endpoints: [ \"{blue}\" ]
    readinessProbe: {{ httpGet: {{ path: /ready }}, periodSeconds: 1 }}
  shop-green:
    endpoints: [ \"{green}\" ]
    readinessProbe: {{ httpGet: {{ path: /ready }}, periodSeconds: 1 }}
"
    )
}
