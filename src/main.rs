//! The `fiel` binary: what was typed goes to [`fiel::cli`], and its verdict becomes the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    fiel::cli::start(std::env::args_os())
}
