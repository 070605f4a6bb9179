//! `fiel demo`: a canary at work in one process, to be seen and played with before any file is written.
//!
//! Four small endpoints run on a thread of their own; the configuration in front of them is written to a private
//! folder and goes the way of `fiel run`, so that everything shown is what a user gets, a reload by editing the file
//! included. Nothing here proxies: the demo only prepares, prints what to try, and tidies up.

mod cast;
mod configuration;
mod endpoint;
mod folder;
mod page;

use std::env;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use self::cast::placed;
use self::endpoint::Endpoints;
use self::folder::Folder;
use crate::cli::failure::Failure;
use crate::cli::run;

/// What may be wished for.
#[derive(Debug, Args)]
pub(crate) struct Wishes {
    /// The port of the proxy on 127.0.0.1; 0 takes any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The port of the admin address on 127.0.0.1; 0 takes any free one
    #[arg(long, default_value_t = 9901)]
    admin_port: u16,
    /// Only print the configuration, with ports 9001 to 9004 for the endpoints, and exit
    #[arg(long)]
    print_config: bool,
}

/// Runs the demo until a signal has stopped it.
///
/// # Errors
/// [`Failure::Start`] when a port is taken, or the endpoints or the folder could not be made.
pub(crate) fn demo(wishes: &Wishes) -> Result<(), Failure> {
    let proxy = loopback(wishes.port);
    let admin = loopback(wishes.admin_port);
    if wishes.print_config {
        let addresses = [9001, 9002, 9003, 9004].map(loopback);
        print(&configuration::yaml(proxy, admin, &placed(&addresses)));
        return Ok(());
    }

    let endpoints = Endpoints::start(&cast::CAST)
        .map_err(|error| not_started("could not start the demo endpoints", &error))?;
    let placed = placed(endpoints.addresses());
    let folder = Folder::with_file("demo.yaml", &configuration::yaml(proxy, admin, &placed))
        .map_err(|error| not_started("could not write the demo's configuration", &error))?;

    run::serve(folder.file(), |bound, asked| {
        let proxy = bound.tcp().unwrap_or(proxy);
        let admin = asked.tcp().unwrap_or(admin);
        // Under its own path: the demo is seldom installed.
        let program = env::current_exe().unwrap_or_else(|_| PathBuf::from("fiel"));
        print(&page::text(&program, proxy, admin, &placed, folder.file()));
    })
    .map_err(with_other_ports)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn not_started(what: &str, error: &io::Error) -> Failure {
    Failure::Start(format!("error: {what}: {error}"))
}

/// What could not be bound is named already; how to choose another port is known only here.
fn with_other_ports(failure: Failure) -> Failure {
    match failure {
        Failure::Start(text) => Failure::Start(format!(
            "{}\n\n  remedy: if a port is taken, choose others: `fiel demo --port 8088 --admin-port 9988`, or 0 for any free one",
            text.trim_end()
        )),
        other @ (Failure::Wrong(_) | Failure::Usage(_)) => other,
    }
}

/// Prints to standard output; a reader that has gone (`| head`) is no failure.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_comes_with_a_remedy() {
        let failure = with_other_ports(Failure::Start(
            "error: could not bind 127.0.0.1:8080: in use\n".to_owned(),
        ));

        let text = failure.to_string();
        assert!(
            text.starts_with("error: could not bind 127.0.0.1:8080"),
            "{text}"
        );
        assert!(text.contains("--port"), "{text}");
        assert!(matches!(failure, Failure::Start(_)));
    }
}
