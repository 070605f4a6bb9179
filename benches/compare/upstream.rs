//! The row of what a large answer costs that comes over HTTP/2 from its endpoint, beside the same over HTTP/1.1.

use anyhow::Result;

use crate::figures::median;
use crate::fleet::{self, Settings};
use crate::load;
use crate::peer::{self, Process};

/// Its name.
pub(crate) const ROW: &str = "http2-download";

/// One peer, once with each protocol towards the same endpoint, and what each round saw of both: seconds of a core, GiB a second.
struct Pair {
    peers: [Process; 2],
    rounds: [Vec<(f64, f64)>; 2],
}

/// What the endpoint is spoken to in, in the order of a pair.
const PROTOCOLS: [&str; 2] = ["HTTP/1.1", "HTTP/2"];

/// Downloads over either protocol in turns. Those take part who speak both.
pub(crate) fn download(
    peers: impl Fn(&Settings) -> Result<Vec<Process>>,
    rounds: usize,
) -> Result<()> {
    let plain = Settings::default();
    let over_http2 = Settings {
        http2: true,
        ..plain
    };
    let mut over_http1 = peers(&plain)?;
    let mut pairs = Vec::new();
    for http2 in peers(&over_http2)? {
        let same = over_http1.iter().position(|peer| peer.name == http2.name);
        pairs.extend(same.map(|place| Pair {
            peers: [over_http1.swap_remove(place), http2],
            rounds: Default::default(),
        }));
    }
    // Those who speak one protocol only are not needed.
    drop(over_http1);
    for _ in 0..rounds {
        for pair in &mut pairs {
            for (peer, seen) in pair.peers.iter().zip(&mut pair.rounds) {
                let receive = || peer::body_length(peer.address, "/big");
                seen.push(load::download(peer, fleet::BIG, receive)?);
            }
        }
    }
    println!("### one download of 1 GiB, by what the endpoint speaks, {rounds} rounds\n");
    println!("| | endpoint speaks | seconds of a core | GiB/s |\n|---|---|---|---|");
    for pair in &pairs {
        for ((peer, seen), protocol) in pair.peers.iter().zip(&pair.rounds).zip(PROTOCOLS) {
            println!(
                "| {} | {protocol} | {:.3} | {:.2} |",
                peer.name,
                median(seen.iter().map(|(core, _)| *core)),
                median(seen.iter().map(|(_, rate)| *rate)),
            );
        }
    }
    println!();
    for pair in &pairs {
        let [http1, http2] = &pair.rounds;
        let both = || http1.iter().zip(http2);
        println!(
            "{}, HTTP/2 / HTTP/1.1: rate {:.3}, seconds of a core {:.3}",
            pair.peers[0].name,
            median(both().map(|((_, http1), (_, http2))| http2 / http1)),
            median(both().map(|((http1, _), (http2, _))| http2 / http1)),
        );
    }
    println!();
    Ok(())
}
