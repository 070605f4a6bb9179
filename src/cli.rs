//! The command line: what was typed, told to the one function that does it, and its verdict as an exit code.
//!
//! Only arguments and printing live here; what a configuration means and how the proxy runs is decided elsewhere.
//! Commands of later versions are known by name, so that typing one says so, but they are not offered. Nothing is
//! ever started with silent defaults: without a command, or without a file, fiel explains itself instead.

mod check;
mod client;
mod completions;
mod demo;
mod drain;
mod failure;
mod help;
mod plain;
mod run;
mod schema;
mod status;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};

use self::failure::Failure;

/// Reads the command line, does what it says, and prints what went wrong to standard error.
///
/// Exit codes: 0 fine, 1 the configuration or a check is wrong, 2 wrong usage, 3 could not bind or start.
pub fn start(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let typed = match Typed::try_parse_from(args) {
        Ok(typed) => typed,
        Err(error) => return answer_typing(&error),
    };
    match obey(typed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    // A closed pipe is no reason for another exit code, as the panic of `eprintln!` would be.
    writeln!(io::stderr(), "{failure}").ok();
    failure.exit_code()
}

fn obey(typed: Typed) -> Result<(), Failure> {
    match typed.command {
        None => Err(Failure::Usage(help::WELCOME.to_owned())),
        Some(Command::Run { config }) => run::run(&config),
        Some(Command::Check { config }) => check::check(&config),
        Some(Command::Demo(wishes)) => demo::demo(&wishes),
        Some(Command::Drain(wishes)) => drain::drain(&wishes),
        Some(Command::Status(wishes)) => status::status(&wishes),
        Some(Command::Schema { part }) => {
            schema::schema(part);
            Ok(())
        }
        Some(Command::Completions { shell }) => {
            completions::completions(Typed::command(), shell);
            Ok(())
        }
    }
}

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "fiel",
    version,
    about = help::ABOUT,
    after_help = help::AFTER,
    after_long_help = help::AFTER_LONG,
    arg_required_else_help = false
)]
struct Typed {
    #[command(subcommand)]
    command: Option<Command>,
}

/// The commands of this version.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy with a configuration
    #[command(long_about = help::RUN, after_long_help = help::RUN_MORE)]
    Run {
        /// The configuration: a YAML file, or a folder of them
        #[arg(short, long, value_name = "PATH")]
        config: PathBuf,
    },
    /// Validate a configuration without binding a port
    #[command(long_about = help::CHECK, after_long_help = help::CHECK_MORE)]
    Check {
        /// The configuration: a YAML file, or a folder of them
        #[arg(short, long, value_name = "PATH")]
        config: PathBuf,
    },
    /// Show a canary at work: endpoints of two versions and the proxy, in one process
    #[command(long_about = help::DEMO, after_long_help = help::DEMO_MORE)]
    Demo(demo::Wishes),
    /// Show what a running fiel is at: listeners, shares, pools and endpoints
    #[command(long_about = help::STATUS, after_long_help = help::STATUS_MORE)]
    Status(status::Wishes),
    /// Have a running fiel send its clients elsewhere, before its end
    #[command(long_about = help::DRAIN, after_long_help = help::DRAIN_MORE)]
    Drain(drain::Wishes),
    /// Print the JSON Schema of the configuration, for editors
    #[command(long_about = help::SCHEMA, after_long_help = help::SCHEMA_MORE)]
    Schema {
        /// For one file of a folder: what is needed may stand in another
        #[arg(long)]
        part: bool,
    },
    /// Print the completions for a shell
    #[command(long_about = help::COMPLETIONS, after_long_help = help::COMPLETIONS_MORE)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Answers what could not be understood, and `--help` and `--version`, which come the same way.
fn answer_typing(error: &clap::Error) -> ExitCode {
    if let Some(later) = later_command(error) {
        return report(&Failure::Usage(later));
    }
    // A closed pipe (`fiel --help | head -1`) is no reason to complain.
    error.print().ok();
    if let Some(tip) = missing_flag(error) {
        writeln!(io::stderr(), "\n{tip}").ok();
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        // clap's own code for all that is wrong usage.
        _ => ExitCode::from(2),
    }
}

/// What to say of a command that exists, but not yet.
fn later_command(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let (name, instead) = help::LATER.iter().find(|(known, _)| known == name)?;
    Some(format!(
        "error: `fiel {name}` is not in this version\n\n  {instead}\n  in this version: run, check, demo, status, drain, schema, completions; `fiel --help` says more"
    ))
}

/// What to say where a path was given without its flag, or not at all.
fn missing_flag(error: &clap::Error) -> Option<String> {
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::MissingRequiredArgument, _) => Some(help::NO_CONFIG.to_owned()),
        (ErrorKind::UnknownArgument, Some(ContextValue::String(typed)))
            if !typed.starts_with('-') =>
        {
            Some(format!(
                "  tip: a path follows its flag: `--config {typed}`"
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_holds_together() {
        Typed::command().debug_assert();
    }

    #[test]
    fn no_command_of_a_later_version_is_offered() {
        let offered = Typed::command();
        for (name, _) in help::LATER {
            assert!(
                offered.find_subcommand(name).is_none(),
                "`{name}` is both offered and said to be missing"
            );
        }
    }
}
