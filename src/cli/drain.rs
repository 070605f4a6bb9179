//! `fiel drain`: has a running fiel send its clients elsewhere, before the SIGTERM that is to come.

use std::io::{self, Write as _};

use crate::cli::client::{self, Client};
use crate::cli::failure::Failure;

/// What was typed after `fiel drain`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Wishes {
    #[command(flatten)]
    whom: client::Whom,
}

/// Gives the order; it has begun when this returns.
///
/// # Errors
/// [`Failure::Wrong`] when it could not be given, [`Failure::Usage`] when the token cannot be read.
pub(crate) fn drain(wishes: &Wishes) -> Result<(), Failure> {
    let client = Client::try_new(&wishes.whom)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Start(format!("error: could not start: {error}")))?;
    let ordered = runtime.block_on(client.post("/drain"));
    // Looking up a name may take longer than anybody waits for it.
    runtime.shutdown_background();
    ordered?;
    let told = format!(
        "fiel at {} drains: /readyz fails and clients are asked to close; SIGTERM ends it",
        client.address()
    );
    // Who has closed the pipe has the exit code.
    writeln!(io::stdout(), "{told}").ok();
    Ok(())
}
