//! What a request costs, side by side with others in the same run: processor time, latency, memory, time to the first answer.
//!
//! Two shared cores drift, so absolute numbers mean little: peers run in turns, round after round, and what is told is
//! each peer's median and, round by round, fiel's ratio to the better of nginx and haproxy. The peer is pinned to the first
//! core, load and endpoint to the last. Processor time is all that the peer's core did
//! meanwhile, the kernel's work for its sockets included, which the scheduler accounts to nobody where it is done in
//! interrupts. Every round's answers are checked: a wrong one ends the run.
//!
//! Run with `cargo bench --bench compare`; it needs `nginx` and `wrk` (Debian packages of these names) on the path, `h2load` (nghttp2-client)
//! for its row, and takes `haproxy`, `envoy`, `traefik` and `caddy` along where they are. `cargo bench --bench compare -- ROW...` runs only those rows
//! (`-- list` names them); `ROUNDS` and `SECONDS` set how often and how long, `PEERS=fiel,nginx` who takes part, and
//! `SVG=FILE` draws the bars, and `FIEL=FILE` measures that binary.

mod chart;
mod crowd;
mod figures;
mod fleet;
mod house;
mod load;
mod others;
mod peer;
mod relay;
mod rows;
mod secure;
mod sidecar;
mod steady;
mod upstream;

use std::process::ExitCode;

fn main() -> ExitCode {
    // `cargo bench` passes a flag of its own.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    if let [relay, listen, endpoint] = words.as_slice()
        && relay == relay::COMMAND
    {
        return ended(relay::run(listen, endpoint));
    }
    if let [crowd, address, count] = words.as_slice()
        && crowd == crowd::COMMAND
    {
        return ended(crowd::run(address, count));
    }
    if words == ["list"] {
        rows::names().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    for tool in ["nginx", "wrk", "taskset"] {
        if !peer::is_installed(tool) {
            println!("{tool} is not installed: nothing is compared");
            return ExitCode::SUCCESS;
        }
    }
    ended(rows::run(&words))
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
