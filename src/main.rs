//! The `fiel` binary: what was typed goes to [`fiel::cli`], and its verdict becomes the exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Chosen by measurement: see BENCHMARKS.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    fiel::cli::start(std::env::args_os())
}
