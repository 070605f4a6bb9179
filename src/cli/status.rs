//! `fiel status`: what a running fiel is at, from its admin address, once or over and over.
//!
//! Nothing is worked out here: the numbers are those of `/status`, which `--json` prints as they came.

mod screen;
mod table;
mod view;

use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::client::{self, Client, Trouble};
use crate::cli::failure::Failure;
use crate::cli::status::screen::Screen;
use crate::cli::status::table::Tone;
use crate::units::parse_duration;

/// What was typed after `fiel status`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Wishes {
    #[command(flatten)]
    whom: client::Whom,
    /// Go on until Ctrl-C, and through restarts of fiel
    #[arg(short, long, conflicts_with = "json")]
    watch: bool,
    /// How often to ask while watching
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = period, requires = "watch")]
    interval: Duration,
    /// Print what /status says, as JSON
    #[arg(long)]
    json: bool,
}

fn period(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(100);
    const WANTED: &str = "write a duration of 100ms or more, such as 500ms, 2s or 1m";
    let period = parse_duration(text).map_err(|error| format!("{error}; {WANTED}"))?;
    match period < LEAST {
        true => Err(WANTED.to_owned()),
        false => Ok(period),
    }
}

/// Prints the status of a running fiel.
///
/// # Errors
/// [`Failure::Wrong`] when it cannot be had, [`Failure::Usage`] when the token cannot be read.
pub(crate) fn status(wishes: &Wishes) -> Result<(), Failure> {
    let client = Client::try_new(&wishes.whom)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Start(format!("error: could not start: {error}")))?;
    let shown = runtime.block_on(async {
        match (wishes.watch, wishes.json) {
            (true, _) => watch(&client, wishes.interval).await,
            (false, true) => print_json(&client).await,
            (false, false) => print(&client).await,
        }
    });
    // Looking up a name may take longer than anybody waits for it.
    runtime.shutdown_background();
    shown
}

async fn print(client: &Client) -> Result<(), Failure> {
    let (_, status) = ask(client).await?;
    let screen = Screen::new();
    let lines = view::lines(&status, SystemTime::now(), screen.paper());
    // Who has closed the pipe has seen enough.
    screen.print(&lines).ok();
    Ok(())
}

async fn print_json(client: &Client) -> Result<(), Failure> {
    let (text, _) = ask(client).await?;
    Screen::new().print(&[escaped(text.trim_end())]).ok();
    Ok(())
}

/// The control characters that JSON lets stand in its texts (RFC 8259 §7 wants only the first 32 escaped) as escapes,
/// which mean the same.
fn escaped(json: &str) -> String {
    json.chars()
        .flat_map(|c| match c {
            '\u{7f}'..='\u{9f}' => format!("\\u{:04x}", u32::from(c)).chars().collect(),
            c => vec![c],
        })
        .collect()
}

async fn watch(client: &Client, period: Duration) -> Result<(), Failure> {
    let mut screen = Screen::new();
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let asked = async {
            ticks.tick().await;
            ask(client).await
        };
        let answer = tokio::select! {
            answer = asked => answer,
            _ = &mut interrupted => return Ok(()),
        };
        let paper = screen.paper();
        let lines = match answer {
            Ok((_, status)) => view::lines(&status, SystemTime::now(), paper),
            Err(Trouble::Passing(text)) => {
                let first = text.lines().next().unwrap_or("");
                let waiting = format!("waiting for fiel: {first}");
                vec![paper.line(&waiting, Tone::Doubtful)]
            }
            Err(lasting @ Trouble::Lasting(_)) => return Err(lasting.into()),
        };
        if screen.redraw(&lines).is_err() {
            return Ok(());
        }
    }
}

/// What `/status` says, as it came and understood.
async fn ask(client: &Client) -> Result<(String, Value), Trouble> {
    let answer = client.get("/status").await?;
    let text = String::from_utf8(answer).ok();
    let understood = text.and_then(|text| {
        let status: Value = serde_json::from_str(&text).ok()?;
        status.is_object().then_some((text, status))
    });
    understood.ok_or_else(|| {
        Trouble::Lasting(format!(
            "what {} answered to /status is no status of fiel\n\n  \
             remedy: is it an admin address? The log of fiel names it (\"Admin listening\")",
            client.address()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::{escaped, period};

    #[test]
    fn json_stays_what_it_is_and_cannot_reach_the_terminal() {
        let text = "{\"a\": \"\u{9b}31m\u{7f}é\"}";
        let shown = escaped(text);
        assert_eq!(shown, "{\"a\": \"\\u009b31m\\u007fé\"}");
        let read = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&shown), read(text));
    }

    #[test]
    fn an_interval_is_a_duration_and_no_flood() {
        assert!(period("100ms").is_ok() && period("1m30s").is_ok());
        for text in ["99ms", "0", "1", "-1s", "x"] {
            assert!(
                period(text).unwrap_err().contains("100ms or more"),
                "{text}"
            );
        }
    }
}
