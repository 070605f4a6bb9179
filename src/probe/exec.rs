//! The `exec` probe: a program beside fiel, without a shell; exit status 0 is success.
//!
//! It has fiel's environment and working directory, as one that the kubelet runs has its container's, with the pool and
//! the endpoint in variables of their own; its input is empty. Of its output the first words become the reason. It
//! leads a process group, which is killed as a whole at the timeout, or when nobody waits for it any more, or when it has
//! ended and left something behind. Starting one blocks its thread until the program has taken over, so that threads
//! of their own do it. What a result counts as is decided elsewhere.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};

use crate::config::model::Word;
use crate::location::Location;
use crate::probe::answer::Answer;
use crate::probe::within::within;
use crate::supervisor::VARIABLES;

/// The most programs that run at once, for all probes; further ones wait, which shows as lag.
const MOST: usize = 64;

static RUNNING: Semaphore = Semaphore::const_new(MOST);

/// The right to run one.
pub(crate) type Turn = SemaphorePermit<'static>;

/// The most octets of a program's output that are looked at; the rest is read and forgotten.
const OUTPUT_BYTES: usize = 1 << 10;

/// The most characters of it that are told.
const TOLD_LETTERS: usize = 120;

/// How long one that was killed is waited for. Only what hangs in the kernel takes longer.
const REAP: Duration = Duration::from_secs(1);

/// What a supervisor means for fiel alone, beside the variables of its own protocol.
const NOT_PASSED_ON: [&str; 3] = ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"];

/// A program made ready to be run again and again.
#[derive(Debug)]
pub(crate) struct Program {
    command: Vec<Word>,
    pool: Arc<str>,
    endpoint: String,
}

impl Program {
    /// Makes one ready.
    pub(crate) fn new(command: &[Word], pool: Arc<str>, endpoint: &Location) -> Self {
        Self {
            command: command.to_vec(),
            pool,
            endpoint: endpoint.to_string(),
        }
    }

    fn start(&self) -> io::Result<Running> {
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let (read, write) = io::pipe()?;
        let mut command = Command::new(&*program.text);
        command
            .args(arguments.iter().map(|word| &*word.text))
            .env("FIEL_POOL", &*self.pool)
            .env("FIEL_ENDPOINT", &self.endpoint)
            .stdin(Stdio::null())
            .stdout(write.try_clone()?)
            .stderr(write)
            .process_group(0)
            .kill_on_drop(true);
        for name in NOT_PASSED_ON.into_iter().chain(VARIABLES) {
            command.env_remove(name);
        }
        let output = Receiver::from_owned_fd(OwnedFd::from(read))?;
        let child = command.spawn()?;
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(id.try_into().ok()?))
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(Running {
            child: Some(child),
            group,
            output,
            said: Vec::new(),
        })
    }

    fn could_not_start(&self, error: &io::Error) -> Answer {
        let errno = Errno::from_io_error(error);
        let name = match self.command.first() {
            Some(word) if !word.is_secret => &*word.text,
            _ => "the program",
        };
        match errno {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => {
                Answer::unknown(format!("not run: {error}"))
            }
            Some(Errno::NOENT) => Answer::failure(format!("could not run {name}: there is none")),
            Some(Errno::ACCESS) => {
                Answer::failure(format!("could not run {name}: permission denied"))
            }
            Some(Errno::NOEXEC) => {
                Answer::failure(format!("could not run {name}: it is no program"))
            }
            _ => Answer::failure(format!("could not run {name}: {error}")),
        }
    }
}

/// Waits until a program may be run.
pub(crate) async fn turn() -> Option<Turn> {
    // It is never closed.
    RUNNING.acquire().await.ok()
}

/// Runs it; `None` when it has not ended in time, and was killed.
pub(crate) async fn ask(program: &Arc<Program>, limit: Duration) -> Option<Answer> {
    let mut running = None;
    let work = async {
        let starting = {
            let program = Arc::clone(program);
            // One that nobody waits for any more is killed where it is dropped, on that thread.
            tokio::task::spawn_blocking(move || program.start())
        };
        let started = match starting.await {
            Ok(Ok(started)) => running.insert(started),
            Ok(Err(error)) => return program.could_not_start(&error),
            Err(_) => return Answer::unknown("not run: fiel ends"),
        };
        match started.end().await {
            Ok(status) => judge(status, &started.said),
            Err(error) => Answer::unknown(format!("not waited for: {error}")),
        }
    };
    let answer = within(limit, work).await;
    if answer.is_none()
        && let Some(child) = running.as_mut().and_then(Running::kill)
        && let Some(running) = &running
    {
        bury(child, running.group).await;
    }
    answer
}

/// A program that was started. Dropped before it has ended, it is killed.
#[derive(Debug)]
struct Running {
    /// `None` once it has ended, or somebody else waits for it.
    child: Option<Child>,
    group: Pid,
    output: Receiver,
    said: Vec<u8>,
}

impl Running {
    /// Waits for its end and takes in what it says meanwhile; what it has left behind by then is killed.
    async fn end(&mut self) -> io::Result<ExitStatus> {
        let Some(child) = &mut self.child else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut chunk = [0; 4 << 10];
        let mut is_open = true;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                read = self.output.read(&mut chunk), if is_open => match read {
                    Ok(0) | Err(_) => is_open = false,
                    Ok(count) => keep(&mut self.said, &chunk[..count]),
                },
            }
        };
        self.child = None;
        while let Ok(count @ 1..) = self.output.try_read(&mut chunk) {
            keep(&mut self.said, &chunk[..count]);
            if self.said.len() >= OUTPUT_BYTES {
                break;
            }
        }
        // Its number cannot have come round to another group since: that takes as many new processes as there are
        // numbers.
        if kill_process_group(self.group, Signal::KILL).is_ok() {
            tokio::spawn(bury_adopted(self.group));
        }
        Ok(status)
    }

    /// Kills the whole group, and gives back the one that is to be waited for.
    fn kill(&mut self) -> Option<Child> {
        let child = self.child.take()?;
        // While it was not waited for, its number stays its own.
        if child.id().is_some() && kill_process_group(self.group, Signal::KILL).is_err() {
            tracing::debug!(group = %self.group, "Program of a probe had ended before it was killed");
        }
        Some(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = self.group;
        if let Some(child) = self.kill()
            && let Ok(runtime) = Handle::try_current()
        {
            // Where the runtime ends too, tokio waits for it with whatever other runtime there is.
            runtime.spawn(bury(child, group));
        }
    }
}

/// Waits for one that was killed, and for what it leaves to us.
async fn bury(mut child: Child, group: Pid) {
    match timeout(REAP, child.wait()).await {
        Ok(_) => bury_adopted(group).await,
        Err(_) => tracing::warn!(%group, "Program of a probe was killed and does not end"),
    }
}

/// Waits for processes of a killed group whose parents have ended before them. Where fiel is the first process of a
/// container, they become its children, and nobody else would ever wait for them.
async fn bury_adopted(group: Pid) {
    const LOOKS: u32 = 10;
    for _ in 0..LOOKS {
        match waitpgid(group, WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => sleep(REAP / LOOKS).await,
            // There is none, as nearly always.
            Err(_) => return,
        }
    }
}

fn keep(said: &mut Vec<u8>, chunk: &[u8]) {
    let room = OUTPUT_BYTES.saturating_sub(said.len());
    said.extend_from_slice(&chunk[..chunk.len().min(room)]);
}

fn judge(status: ExitStatus, said: &[u8]) -> Answer {
    if status.success() {
        return Answer::success("exit status 0");
    }
    let mut detail = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    };
    let words = told(said);
    if !words.is_empty() {
        detail.push_str(": ");
        detail.push_str(&words);
    }
    Answer::failure(detail)
}

/// The first line of an output that says something, on one line of a log.
fn told(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let mut letters = line.chars().filter(|letter| !letter.is_control());
    let mut words: String = letters.by_ref().take(TOLD_LETTERS).collect();
    if letters.next().is_some() {
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests;
