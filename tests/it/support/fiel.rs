//! The real binary, running: started with a configuration, found by the addresses it logs, told by signals, ended on
//! drop. Its log is printed when a test fails.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;

use super::wait::Watched;

/// A running fiel.
#[derive(Debug)]
pub(crate) struct Fiel {
    folder: TempDir,
    pid: Pid,
    seen: Arc<Watched<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

/// What has been seen of it.
#[derive(Debug, Default)]
struct Seen {
    log: Vec<String>,
    output: Vec<String>,
    open_pipes: usize,
    /// Set while the process is still a zombie, in one step with its being reaped: where this is `None` the pid is its.
    exit: Option<ExitStatus>,
}

impl Fiel {
    /// Starts it with this configuration and waits until it is ready. Listeners and admin take port 0.
    pub(crate) fn start(yaml: &str) -> Self {
        let fiel = Self::launch(yaml);
        fiel.wait_until_ready();
        fiel
    }

    /// Waits until everything is bound and a configuration is in force.
    pub(crate) fn wait_until_ready(&self) {
        self.expect("fiel to be ready", |seen| {
            let is_ready = |line: &String| line.ends_with(" Ready") || line.contains(" Ready ");
            seen.log.iter().any(is_ready).then_some(())
        });
    }

    /// Starts it with this configuration and does not wait.
    pub(crate) fn launch(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fiel.yaml");
        fs::write(&file, with_admin(yaml)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fiel"));
        command.arg("run").arg("--config").arg(file);
        Self::command(command, folder)
    }

    /// Runs this command; `folder` lives as long as it does.
    pub(crate) fn command(mut command: Command, folder: TempDir) -> Self {
        let mut child = command
            .env(
                "FIEL_LOG",
                std::env::var("FIEL_LOG").as_deref().unwrap_or("info"),
            )
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {command:?}: {error}"));
        let seen = Arc::new(Watched::new(Seen {
            open_pipes: 2,
            ..Seen::default()
        }));
        let log = child.stderr.take().expect("it was asked for");
        let output = child.stdout.take().expect("it was asked for");
        let pid = Pid::from_child(&child);
        let threads = vec![
            collect(log, Arc::clone(&seen), |seen| &mut seen.log),
            collect(output, Arc::clone(&seen), |seen| &mut seen.output),
            reap(child, Arc::clone(&seen)),
        ];
        Self {
            folder,
            pid,
            seen,
            threads,
        }
    }

    /// Where this listener answers.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        self.logged_address(&format!("the address of listener {listener:?}"), |line| {
            line.contains("Listening ") && field(line, "listener").as_deref() == Some(listener)
        })
    }

    /// Where admin answers.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.logged_address("the admin address", |line| {
            line.contains("Admin listening ")
        })
    }

    /// The newest address of a line like this: a reload may have bound another.
    fn logged_address(&self, what: &str, is_it: impl Fn(&str) -> bool) -> SocketAddr {
        self.expect(what, |seen| {
            let line = seen.log.iter().rfind(|line| is_it(line))?;
            field(line, "address")?.parse().ok()
        })
    }

    /// Its configuration file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("fiel.yaml")
    }

    /// The folder of its configuration, for further files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts another configuration in place, renamed over the old one.
    pub(crate) fn rewrite(&self, yaml: &str) {
        let aside = self.folder.path().join(".fiel.yaml.new");
        fs::write(&aside, with_admin(yaml)).unwrap();
        fs::rename(aside, self.file()).unwrap();
    }

    /// Sends it a signal; none where it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.pid;
        self.seen.read(|seen| {
            if seen.exit.is_none() {
                kill_process(pid, signal).unwrap();
            }
        });
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// How long its threads have been computing.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name before may hold anything; user and system time are the 12th and 13th behind it (proc(5)).
        let (_, behind) = stat.rsplit_once(") ").expect("a name in parentheses");
        let ticks: u64 = behind
            .split(' ')
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum();
        Duration::from_secs(ticks) / u32::try_from(clock_ticks_per_second()).unwrap()
    }

    /// Waits until it has ended and all its output is here.
    pub(crate) fn wait_exit(&self) -> ExitStatus {
        self.expect("the end of fiel", |seen| {
            seen.exit.filter(|_| seen.open_pipes == 0)
        })
    }

    /// All lines of standard error so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.seen.read(|seen| seen.log.clone())
    }

    /// Waits for a line of standard error with this part, the first of them.
    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        self.wait_for_logs(part, 1).remove(0)
    }

    /// Waits until so many lines of standard error have this part.
    pub(crate) fn wait_for_logs(&self, part: &str, count: usize) -> Vec<String> {
        self.expect(&format!("{count} log lines with {part:?}"), |seen| {
            let with_part: Vec<String> = seen
                .log
                .iter()
                .filter(|line| line.contains(part))
                .cloned()
                .collect();
            (with_part.len() >= count).then_some(with_part)
        })
    }

    /// Waits until this endpoint has come into this state for the `count`th time, and gives back the lines that say so.
    pub(crate) fn wait_for_state(
        &self,
        endpoint: SocketAddr,
        state: &str,
        count: usize,
    ) -> Vec<String> {
        let what = format!("{endpoint} to be {state}, time {count}");
        self.expect(&what, |seen| {
            let changes = changes_to(&seen.log, endpoint, state);
            (changes.len() >= count).then_some(changes)
        })
    }

    /// How this endpoint has come into this state so far, one line a change.
    pub(crate) fn changes_to(&self, endpoint: SocketAddr, state: &str) -> Vec<String> {
        self.seen
            .read(|seen| changes_to(&seen.log, endpoint, state))
    }

    /// All lines of standard output so far.
    pub(crate) fn output(&self) -> Vec<String> {
        self.seen.read(|seen| seen.output.clone())
    }

    /// The lines of standard output so far, as the JSON that the access log is.
    pub(crate) fn access_log(&self) -> Vec<serde_json::Value> {
        self.output().iter().map(|line| parsed(line)).collect()
    }

    /// Waits until the access log has so many lines.
    pub(crate) fn wait_for_access_log(&self, count: usize) -> Vec<serde_json::Value> {
        self.expect(&format!("{count} lines of access log"), |seen| {
            (seen.output.len() >= count).then_some(())
        });
        self.access_log()
    }

    /// Waits; where fiel has ended meanwhile, with all its output here, what is waited for will not come.
    fn expect<R>(&self, what: &str, mut ask: impl FnMut(&Seen) -> Option<R>) -> R {
        let answer = self.seen.wait_for(what, |seen| {
            let over = seen.exit.filter(|_| seen.open_pipes == 0);
            match (ask(seen), over) {
                (Some(answer), _) => Some(Ok(answer)),
                (None, Some(exit)) => Some(Err(exit)),
                (None, None) => None,
            }
        });
        answer.unwrap_or_else(|exit| panic!("fiel ended ({exit}) before {what}"))
    }
}

impl Drop for Fiel {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let joined: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        if thread::panicking() {
            let log = self.log().join("\n");
            let output = self.output().join("\n");
            eprintln!("--- log of fiel ---\n{log}\n--- its output ---\n{output}\n---");
        } else {
            assert!(joined.iter().all(Result::is_ok), "a reader panicked");
        }
    }
}

/// Reads a pipe line by line to its end.
fn collect(
    pipe: impl Read + Send + 'static,
    seen: Arc<Watched<Seen>>,
    into: fn(&mut Seen) -> &mut Vec<String>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            seen.change(|seen| into(seen).push(text));
            line.clear();
        }
        seen.change(|seen| seen.open_pipes -= 1);
    })
}

/// Waits for the end without reaping, then reaps in one step with saying so: no signal can go to a pid used again.
fn reap(mut child: Child, seen: Arc<Watched<Seen>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let pid = Pid::from_child(&child);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(pid), options).is_err_and(|error| error == Errno::INTR) {}
        seen.change(|seen| seen.exit = Some(child.wait().unwrap()));
    })
}

/// The lines that tell of changes of this endpoint's state to that one.
fn changes_to(log: &[String], endpoint: SocketAddr, state: &str) -> Vec<String> {
    let (endpoint, state) = (endpoint.to_string(), state.to_owned());
    let is_one = |line: &&String| {
        line.contains("Endpoint changed its state")
            && field(line, "endpoint").as_ref() == Some(&endpoint)
            && field(line, "to").as_ref() == Some(&state)
    };
    log.iter().filter(is_one).cloned().collect()
}

/// The value of a field in a log line, without quotes.
fn field(line: &str, name: &str) -> Option<String> {
    let named = format!("{name}=");
    let value = line.split(' ').find_map(|word| word.strip_prefix(&named))?;
    Some(value.trim_matches('"').to_owned())
}

fn parsed(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"))
}

/// A configuration with an admin address of its own, so that tests side by side do not take each other's.
fn with_admin(yaml: &str) -> String {
    match yaml.lines().any(|line| line.starts_with("admin:")) {
        true => yaml.to_owned(),
        false => format!("{yaml}\nadmin: {{ bind: 127.0.0.1:0 }}\n"),
    }
}
