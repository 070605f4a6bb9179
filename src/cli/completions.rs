//! `fiel completions`: what a shell needs to complete the command line, made from the definition of the command line.

use std::io::{self, Write as _};

use clap_complete::{Shell, generate};

/// Prints the completions for this shell.
pub(crate) fn completions(mut definition: clap::Command, shell: Shell) {
    let mut script = Vec::new();
    generate(shell, &mut definition, "fiel", &mut script);
    // Who has closed the pipe has seen enough.
    io::stdout().write_all(&script).ok();
}
