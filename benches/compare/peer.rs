//! The proxies that are compared, the endpoint behind them, and what the system says of their processes.

use std::fs;
use std::io::{ErrorKind, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Where a proxy runs, and where all the rest does.
pub(crate) const PROXY_CORE: usize = 0;
pub(crate) const LOAD_CORE: usize = 1;

/// How long a process may take to come up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A process with its children, ended with the value.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: &'static str,
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where it speaks TLS.
    pub(crate) secure: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    /// From its start to its first answer.
    pub(crate) started_in: Duration,
}

/// What a stretch of work has cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// All that the proxy's core did, interrupts and what the kernel does for its sockets among it. Nothing else runs there.
    pub(crate) core: Duration,
    /// What of it the scheduler accounted to the peer's own threads.
    pub(crate) own: Duration,
}

/// Measures a stretch of a peer's work.
pub(crate) struct Meter<'a> {
    peer: &'a Process,
    began: Instant,
    idle: Duration,
    own: Duration,
}

impl<'a> Meter<'a> {
    pub(crate) fn start(peer: &'a Process) -> Result<Self> {
        Ok(Self {
            peer,
            own: peer.processor_time()?,
            idle: idle_time()?,
            began: Instant::now(),
        })
    }

    pub(crate) fn stop(self) -> Result<Spent> {
        let took = self.began.elapsed();
        let idle = idle_time()?.saturating_sub(self.idle);
        Ok(Spent {
            core: took.saturating_sub(idle),
            own: self.peer.processor_time()?.saturating_sub(self.own),
        })
    }
}

/// Keeps this process off the proxy's core.
pub(crate) fn stay_beside() -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(LOAD_CORE);
    Ok(sched_setaffinity(None, &cores)?)
}

/// How many descriptors a process may have open; this one takes them all, and its children with it.
pub(crate) fn descriptors() -> Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    }))
}

/// For how long the proxy's core has had nothing to do; the kernel tells it in hundredths of a second.
fn idle_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let core = format!("cpu{PROXY_CORE} ");
    let line = stat.lines().find(|line| line.starts_with(&core));
    let columns = line.context("no such core")?.split_whitespace();
    let columns: Vec<u64> = columns.skip(1).flat_map(str::parse).collect();
    // Idle, and idle while something waits for a disk.
    let (Some(idle), Some(waiting)) = (columns.get(3), columns.get(4)) else {
        bail!("/proc/stat has no idle time");
    };
    Ok(Duration::from_millis((idle + waiting) * 10))
}

impl Process {
    /// Starts a command on a core and waits until the address answers a request.
    pub(crate) fn start(
        name: &'static str,
        command: &[String],
        core: usize,
        address: SocketAddr,
    ) -> Result<Self> {
        let core = core.to_string();
        let began = Instant::now();
        let child = Command::new("taskset")
            .args(["-c", &core])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("could not start {command:?}"))?;
        let mut process = Self {
            name,
            child,
            address,
            secure: None,
            admin: None,
            started_in: Duration::ZERO,
        };
        while !answers(address) {
            if let Some(status) = process.child.try_wait()? {
                bail!("{command:?} ended with {status}");
            }
            if began.elapsed() > PATIENCE {
                bail!("{command:?} does not answer on {address}");
            }
            std::thread::yield_now();
        }
        process.started_in = began.elapsed();
        Ok(process)
    }

    /// Processor time so far of all threads of the process and its children.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let mut nanos = 0;
        for process in self.processes()? {
            for task in fs::read_dir(format!("/proc/{process}/task"))? {
                let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
                let ran = schedstat.split(' ').next().context("an empty schedstat")?;
                nanos += ran.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Processor time so far of the process's threads of this name.
    pub(crate) fn thread_time(&self, name: &str) -> Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))?.trim() == name {
                let schedstat = fs::read_to_string(task.join("schedstat"))?;
                nanos += schedstat
                    .split(' ')
                    .next()
                    .context("an empty schedstat")?
                    .parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Resident memory of the process and its children, in octets. Pages that they share count once.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        self.rollup("Pss:")
    }

    /// What of it is their own: neither of a file nor shared with anybody else. By this a thing more is measured; pages of
    /// the program come and go by themselves.
    pub(crate) fn own_bytes(&self) -> Result<u64> {
        Ok(self.rollup("Pss_Anon:")? + self.rollup("Pss_Shmem:")?)
    }

    /// A line of what the kernel tells of the memory of the process and its children, in octets.
    pub(crate) fn rollup(&self, name: &str) -> Result<u64> {
        let mut kilobytes = 0;
        for process in self.processes()? {
            let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
            let line = rollup
                .lines()
                .find(|line| line.starts_with(name))
                .with_context(|| format!("no {name} line"))?;
            kilobytes += line
                .split_whitespace()
                .nth(1)
                .with_context(|| format!("an empty {name} line"))?
                .parse::<u64>()?;
        }
        Ok(kilobytes << 10)
    }

    fn processes(&self) -> Result<Vec<u32>> {
        let root = self.child.id();
        let mut all = vec![root];
        let children = fs::read_to_string(format!("/proc/{root}/task/{root}/children"))?;
        for child in children.split_whitespace() {
            all.push(child.parse()?);
        }
        Ok(all)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM lets nginx's master take its workers along.
        let ended = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        if ended.is_err() {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

/// Whether a command is on the path.
pub(crate) fn is_installed(command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([Path::new("/usr/sbin").to_owned()])
        .any(|folder| folder.join(command).is_file())
}

/// A port that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn answers(address: SocketAddr) -> bool {
    status(address, "/").is_ok_and(|status| status < 500)
}

/// The body of the answer to a path.
pub(crate) fn body(address: SocketAddr, path: &str) -> Result<String> {
    let answer = String::from_utf8(ask(address, path)?)?;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .context("no end of the head")?;
    ensure!(
        answer.starts_with("HTTP/1.1 200 "),
        "{path} was answered: {answer:.80}"
    );
    Ok(body.to_owned())
}

fn status(address: SocketAddr, path: &str) -> Result<u16> {
    let answer = ask(address, path)?;
    let code = answer.get(9..12).context("no status line")?;
    Ok(std::str::from_utf8(code)?.parse()?)
}

/// How many octets the body of the answer to a path has.
pub(crate) fn body_length(address: SocketAddr, path: &str) -> Result<u64> {
    length_of_body(request(address, path)?)
}

/// How many octets an answer has behind its head, to the end of its connection.
pub(crate) fn length_of_body(mut stream: impl Read) -> Result<u64> {
    let mut piece = vec![0; 256 << 10];
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let octets = stream.read(&mut piece)?;
        anyhow::ensure!(octets > 0, "the head was cut");
        head.extend_from_slice(&piece[..octets]);
    }
    let end = head.windows(4).position(|end| end == b"\r\n\r\n");
    let mut received = (head.len() - end.context("no end of the head")? - 4) as u64;
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(received),
            Ok(octets) => received += octets as u64,
            // Not every peer says in its session that it closes.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(received),
            Err(error) => return Err(error.into()),
        }
    }
}

fn request(address: SocketAddr, path: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes())?;
    Ok(socket)
}

fn ask(address: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let mut socket = request(address, path)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    Ok(answer)
}
