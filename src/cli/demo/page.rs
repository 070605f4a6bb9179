//! What the demo prints when it is ready: the addresses, what is what, and what to try.
//!
//! Every line of it can be pasted into a shell as it stands.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use crate::cli::demo::cast::Placed;

/// The whole page.
pub(crate) fn text(
    program: &Path,
    proxy: SocketAddr,
    admin: SocketAddr,
    endpoints: &[Placed],
    file: &Path,
) -> String {
    let (program, file) = (program.display(), file.display());
    let mut page = format!(
        "
fiel demo: a canary at 5 %, all in this one process

  proxy        http://{proxy}   route shop: shop-v1 95, shop-v2 5
  admin        http://{admin}   /status /metrics /livez /readyz
"
    );
    for (identity, address) in endpoints {
        let (number, pool) = (identity.number, identity.pool);
        writeln!(page, "  endpoint {number}   http://{address}   {pool}")
            .expect("a string takes all");
    }
    let [first, second, third] = [0, 1, 2].map(|i| endpoints[i % endpoints.len()].1);
    let canary = endpoints[endpoints.len() - 1].1;
    write!(
        page,
        "  configured   {file}

Try in another terminal:

  20 requests: exactly 19 answers of v1 and one of v2, whichever 20 you take
    for i in $(seq 20); do curl -s http://{proxy}/; done

  the exact counts, and every endpoint, as they change
    {program} status --watch --admin {admin}
    curl -s http://{admin}/status
    curl -s http://{admin}/metrics | grep fiel_split_assigned_total

  endpoint 1 says it is not ready: it gets no new requests, nobody sees an error
    curl -X POST http://{first}/demo/unready
    curl -s http://{admin}/metrics | grep fiel_pool_endpoints
    curl -X POST http://{first}/demo/ready

  endpoint 2 hangs and is found dead: what it holds is cut and tried elsewhere
    curl -X POST http://{second}/demo/dead
    for i in $(seq 20); do curl -s http://{proxy}/; done
    curl -X POST http://{second}/demo/alive

  endpoint 3 is slow
    curl -X POST 'http://{third}/demo/slow?ms=400'
    for i in $(seq 20); do curl -s -o /dev/null -w '%{{time_total}}\\n' http://{proxy}/; done
    curl -X POST http://{third}/demo/fast

  the canary fails: one request in 20 is a 500, and the metrics say of which pool
    curl -X POST http://{canary}/demo/failing
    for i in $(seq 20); do curl -s -o /dev/null -w '%{{http_code}}\\n' http://{proxy}/; done
    curl -s http://{admin}/metrics | grep fiel_requests_total
    curl -X POST http://{canary}/demo/healthy

  the canary gets half, without a restart
    sed -i.old 's/weight: 95/weight: 50/; s/weight: 5 /weight: 50 /' {file}

Stop with Ctrl-C.

"
    )
    .expect("a string takes all");
    page
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::cli::demo::{cast, configuration};

    fn local(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    fn endpoints() -> Vec<Placed> {
        cast::placed(&[1, 2, 3, 4].map(local))
    }

    #[test]
    fn the_page_names_every_address_and_how_to_stop() {
        let page = text(
            Path::new("/x/fiel"),
            local(8080),
            local(9901),
            &endpoints(),
            Path::new("/x/demo.yaml"),
        );

        for port in [8080, 9901, 1, 2, 3, 4] {
            assert!(page.contains(&format!("http://127.0.0.1:{port}")), "{page}");
        }
        let watch = "\n    /x/fiel status --watch --admin 127.0.0.1:9901\n";
        assert!(page.contains(watch), "{page}");
        assert!(page.contains("Stop with Ctrl-C"), "{page}");
    }

    #[test]
    fn the_edit_that_the_page_proposes_finds_its_weights() {
        let yaml = configuration::yaml(local(8080), local(9901), &endpoints());

        assert_eq!(yaml.matches("weight: 95").count(), 1, "{yaml}");
        assert_eq!(yaml.matches("weight: 5 ").count(), 1, "{yaml}");
    }
}
