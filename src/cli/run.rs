//! `fiel run`: the proxy with a configuration, until it is told to stop.
//!
//! [`serve`] is the only place where the command line meets the proxy itself; `fiel demo` goes through it as well.

use std::path::Path;

use crate::cli::check;
use crate::cli::failure::Failure;
use crate::config::model::Bind;
use crate::run::{self, RunError, Running};
use crate::socket::raise_descriptor_limit;

/// Runs the proxy with the configuration at `config` until a signal has stopped it.
pub(crate) fn run(config: &Path) -> Result<(), Failure> {
    serve(config, |_, _| {})
}

/// Loads `config`, sets up the log, binds everything, calls `ready` once with the addresses of the first listener
/// and of admin, and returns when the proxy has drained.
///
/// # Errors
/// [`Failure::Wrong`] with every problem of the configuration; [`Failure::Start`] with what could not be bound.
pub(crate) fn serve(config: &Path, ready: impl FnOnce(&Bind, &Bind)) -> Result<(), Failure> {
    check::find(config)?;
    crate::log::start();
    if let Err(error) = raise_descriptor_limit() {
        tracing::warn!(%error, "Descriptor limit could not be raised");
    }
    let tell = |running: &Running| {
        if let Some((_, first)) = running.listeners.first() {
            ready(first, &running.admin);
        }
    };
    run::run(config, tell).map_err(|error| match error {
        RunError::Config(problems) => Failure::Wrong(problems.to_string()),
        RunError::Bind { .. } | RunError::Start { .. } => Failure::Start(format!("error: {error}")),
    })
}
