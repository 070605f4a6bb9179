//! What fiel says about itself: one line an event on standard error, with time, level, message and fields.
//!
//! `FIEL_LOG` filters (`info` where it is not set; `debug`, `warn,fiel::probe=debug` and so on), `NO_COLOR` and an
//! output that is no terminal are written without colours. Requests are told of in the access log, not here: writing
//! these lines waits for standard error, so nothing on a request's usual way may log above TRACE.

use std::env;
use std::io::{self, IsTerminal as _, Write};

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;

/// The variable that holds the filter.
pub const FILTER_VARIABLE: &str = "FIEL_LOG";

/// Without the resolver's own warnings: it has one for each packet that somebody makes up.
const DEFAULT_FILTER: &str = "info,hickory_net=error,hickory_proto=error,hickory_resolver=error";

/// Begins to log. A filter that cannot be read is complained of, and the default takes its place; a second call, or
/// one in a program that has its own subscriber, changes nothing.
pub fn start() {
    let asked = env::var(FILTER_VARIABLE).unwrap_or_default();
    let (filter, problem) = filter(&asked);
    let colours = colours(
        env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        io::stderr().is_terminal(),
    );
    let subscriber = subscriber(filter, colours, move || OneLine {
        out: io::stderr(),
        colours,
    });
    if tracing::subscriber::set_global_default(subscriber).is_ok()
        && let Some(error) = problem
    {
        tracing::warn!(filter = asked, %error, "Log filter is not understood, info is used");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colours {
    Shown,
    Plain,
}

fn colours(refused: bool, terminal: bool) -> Colours {
    if terminal && !refused {
        Colours::Shown
    } else {
        Colours::Plain
    }
}

fn filter(asked: &str) -> (EnvFilter, Option<ParseError>) {
    let default = || EnvFilter::new(DEFAULT_FILTER);
    if asked.trim().is_empty() {
        return (default(), None);
    }
    match EnvFilter::try_new(asked) {
        Ok(filter) => (filter, None),
        Err(error) => (default(), Some(error)),
    }
}

fn subscriber<W>(filter: EnvFilter, colours: Colours, writer: W) -> impl Subscriber
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(colours == Colours::Shown)
        .with_writer(writer)
        .finish()
}

/// Keeps an event on its line, and control characters away from terminals: a cause that spans several lines, or that
/// an endpoint has put together, must not look like an event of its own. The formatter escapes them in messages, not
/// in fields.
struct OneLine<W> {
    out: W,
    colours: Colours,
}

impl<W: Write> Write for OneLine<W> {
    /// Takes an event whole, as the formatter hands it over.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let mut escaped = String::with_capacity(event.len() + 1);
        for (at, letter) in line.char_indices() {
            if letter.is_control() && !(self.colours == Colours::Shown && is_colour(&line[at..])) {
                escaped.extend(letter.escape_default());
            } else {
                escaped.push(letter);
            }
        }
        escaped.push('\n');
        self.out.write_all(escaped.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether the text begins with an escape sequence that does no more than choose a colour.
fn is_colour(text: &str) -> bool {
    text.strip_prefix("\u{1b}[")
        .map(|rest| {
            rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';')
        })
        .is_some_and(|rest| rest.starts_with('m'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(asked: &str, colours: Colours, events: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = subscriber(filter(asked).0, colours, move || OneLine {
            out: writer.clone(),
            colours,
        });
        tracing::subscriber::with_default(subscriber, events);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_is_one_line_of_time_level_message_and_fields() {
        let text = logged("", Colours::Plain, || {
            tracing::info!(pool = "v1", error = %"refused", "Endpoint is dead");
            tracing::debug!("Not shown");
        });
        let (time, rest) = text.split_once("  ").unwrap_or_else(|| panic!("{text:?}"));
        assert!(time.ends_with('Z') && time.contains('T'), "{time}");
        assert_eq!(rest, "INFO Endpoint is dead pool=\"v1\" error=refused\n");
    }

    #[test]
    fn what_spans_lines_or_moves_the_cursor_stays_on_its_line() {
        let text = logged("info", Colours::Plain, || {
            let error = "one\r\ntwo\n2026-01-01T00:00:00Z ERROR forged \u{1b}[2J";
            tracing::warn!(%error, "Reload was rejected");
        });
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(text.contains(r"error=one\r\ntwo\n2026"), "{text:?}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn the_filter_is_that_of_the_variable_and_a_wrong_one_is_reported() {
        let text = logged("warn,fiel::log=debug", Colours::Plain, || {
            tracing::debug!("Shown");
            tracing::info!(target: "hyper", "Not shown");
        });
        assert!(
            text.contains("DEBUG Shown") && !text.contains("Not"),
            "{text}"
        );
        assert!(filter("fiel=loud").1.is_some());
        assert!(filter("  ").1.is_none());
    }

    #[test]
    fn colours_are_for_terminals_of_those_who_want_them() {
        assert_eq!(colours(false, true), Colours::Shown);
        assert_eq!(colours(true, true), Colours::Plain);
        assert_eq!(colours(false, false), Colours::Plain);
        let text = logged("", Colours::Shown, || tracing::info!("Ready"));
        assert!(text.contains("\u{1b}[32m"), "{text:?}");
        let text = logged("", Colours::Shown, || {
            tracing::info!(error = %"\u{1b}[2J", "Ready");
        });
        assert!(text.contains(r"\u{1b}[2J"), "{text:?}");
    }
}
