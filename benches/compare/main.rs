//! What a request costs, side by side with nginx in the same run: processor time, memory, time to the first answer.
//!
//! Two shared cores drift, so absolute numbers mean little: peers run in turns, round after round, and what is told is
//! each peer's median and its ratio to nginx. The peer is pinned to the first core, load and endpoint to the last.
//! Processor time is what the scheduler has accounted to all threads of all of a peer's processes.
//!
//! Run with `cargo bench --bench compare`; it needs `nginx` and `wrk` (Debian packages of these names) on the path.
//! `cargo bench --bench compare -- ROW...` runs only those rows; `ROUNDS` and `SECONDS` set how often and how long.

mod peer;
mod rows;
mod steady;

use std::process::ExitCode;

fn main() -> ExitCode {
    // `cargo bench` passes a flag of its own.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    for tool in ["nginx", "wrk", "taskset"] {
        if !peer::is_installed(tool) {
            println!("{tool} is not installed: nothing is compared");
            return ExitCode::SUCCESS;
        }
    }
    match rows::run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
