//! What a request costs in instructions and allocations, counted by valgrind: the same in every run of the same build,
//! however busy the machine is, so that growth is seen where a time would hide it.
//!
//! The binary runs under callgrind twice, for few requests and for many; the difference is what the others cost. One
//! client asks one request after the other, so that each pays for its wake-ups alone; the kernel's part is not
//! counted. Run with `cargo bench --bench cost`; it needs `valgrind` on the path.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// Requests of the two runs.
const FEW: u32 = 500;
const MANY: u32 = 2_500;

/// How long anything may take under valgrind.
const PATIENCE: Duration = Duration::from_secs(60);

/// Functions of the allocator that hand out memory.
const ALLOCATORS: [&str; 3] = [
    "mi_malloc_aligned",
    "mi_zalloc_aligned",
    "mi_realloc_aligned",
];

/// A kind of request.
struct Work {
    title: &'static str,
    /// Octets of the request's body and of its answer's.
    sent: usize,
    answered: usize,
    logged: bool,
    closes: bool,
    /// Asked over HTTP/2, a stream after the other.
    streams: bool,
}

const PLAIN: Work = Work {
    title: "keep-alive, 13 octets",
    sent: 0,
    answered: 13,
    logged: false,
    closes: false,
    streams: false,
};

fn main() -> ExitCode {
    let installed = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !installed.is_ok_and(|status| status.success()) {
        println!("valgrind is not installed: nothing is counted");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    println!("| a request | instructions | allocations |\n|---|---|---|");
    let mut plain = None;
    for work in [
        PLAIN,
        Work {
            title: "with a line in the access log",
            logged: true,
            ..PLAIN
        },
        Work {
            title: "with a body of 1 KiB",
            sent: 1 << 10,
            ..PLAIN
        },
        Work {
            title: "with an answer of 16 KiB",
            answered: 16 << 10,
            ..PLAIN
        },
        Work {
            title: "on a connection of its own",
            closes: true,
            ..PLAIN
        },
        Work {
            title: "over HTTP/2, a stream at a time",
            streams: true,
            ..PLAIN
        },
    ] {
        let cost = cost_of(&work)?;
        println!(
            "| {} | {:.0} | {:.2} |",
            work.title,
            cost.instructions,
            cost.allocations.values().sum::<f64>()
        );
        plain.get_or_insert(cost);
    }
    println!("\n| who allocates for the first | times |\n|---|---|");
    for (caller, times) in plain.map(|cost| cost.allocations).unwrap_or_default() {
        if times >= 0.01 {
            println!("| `{caller}` | {times:.2} |");
        }
    }
    Ok(())
}

/// What was counted: in a whole run, or for one request.
struct Cost {
    instructions: f64,
    /// By the function that asked for them.
    allocations: BTreeMap<String, f64>,
}

fn cost_of(work: &Work) -> Result<Cost> {
    let few = counted(work, FEW)?;
    let many = counted(work, MANY)?;
    let each = |many: f64, few: f64| (many - few) / f64::from(MANY - FEW);
    let allocations = many.allocations.into_iter().map(|(caller, times)| {
        let before = few.allocations.get(&caller).copied().unwrap_or_default();
        (caller, each(times, before))
    });
    Ok(Cost {
        instructions: each(many.instructions, few.instructions),
        allocations: allocations.collect(),
    })
}

/// Runs fiel under callgrind for so many requests.
fn counted(work: &Work, requests: u32) -> Result<Cost> {
    let folder = tempfile::tempdir()?;
    let (file, out) = (folder.path().join("fiel.yaml"), folder.path().join("out"));
    let (web, admin) = (free_address()?, free_address()?);
    let log = match work.logged {
        true => format!("{{ file: \"{}\" }}", folder.path().join("log").display()),
        false => "\"off\"".to_owned(),
    };
    let endpoint = endpoint(work.sent, work.answered)?;
    fs::write(
        &file,
        format!(
            "workers: 1\nadmin: {{ bind: \"{admin}\" }}\naccessLog: {{ output: {log} }}
listeners: [ {{ name: web, bind: \"{web}\" }} ]\nroutes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools: {{ app: {{ endpoints: [ \"{endpoint}\" ] }} }}\n"
        ),
    )?;
    let fiel = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .args([env!("CARGO_BIN_EXE_fiel"), "run", "--config"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut fiel = Killed(fiel);
    ask(web, work, requests)?;
    // An interrupt drains without a delay.
    let killed = Command::new("kill")
        .args(["-INT", &fiel.0.id().to_string()])
        .status()?;
    ensure!(killed.success(), "fiel could not be told to end");
    ensure!(fiel.0.wait()?.success(), "fiel did not end well");
    read(&out)
}

/// A process that does not outlive the value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It has usually ended, which makes an error of both.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn ask(web: SocketAddr, work: &Work, requests: u32) -> Result<()> {
    let began = Instant::now();
    while TcpStream::connect(web).is_err() {
        ensure!(began.elapsed() < PATIENCE, "fiel did not come up");
        thread::yield_now();
    }
    if work.streams {
        return ask_by_streams(web, work, requests);
    }
    let close = if work.closes {
        "Connection: close\r\n"
    } else {
        ""
    };
    let line = match work.sent {
        0 => "GET / HTTP/1.1\r\n".to_owned(),
        octets => format!("POST / HTTP/1.1\r\nContent-Length: {octets}\r\n"),
    };
    let head = format!("{line}Host: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n{close}\r\n");
    let mut request = head.into_bytes();
    request.resize(request.len() + work.sent, b'x');
    let mut kept = None;
    for _ in 0..requests {
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => connect(web)?,
        };
        stream.write_all(&request)?;
        let mut answer = Vec::new();
        let end = loop {
            let mut piece = [0; 32 << 10];
            let octets = stream.read(&mut piece)?;
            ensure!(octets > 0, "the connection was closed in an answer");
            answer.extend_from_slice(&piece[..octets]);
            if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        ensure!(answer.starts_with(b"HTTP/1.1 200 "), "a wrong answer");
        let mut rest = vec![0; (end + work.answered).saturating_sub(answer.len())];
        stream.read_exact(&mut rest)?;
        if !work.closes {
            kept = Some(stream);
        }
    }
    Ok(())
}

/// The same over one connection of HTTP/2 in the clear, whose first window takes all that is answered.
fn ask_by_streams(web: SocketAddr, work: &Work, requests: u32) -> Result<()> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    const ACK: u8 = 1;
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| -> Result<Vec<u8>> {
        let mut frame = vec![0, 0, u8::try_from(payload.len())?, kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        Ok(frame)
    };
    // GET, http, /, and three fields that are not to be indexed (RFC 7541 §6.1, §6.2.2).
    let block = b"\x82\x86\x84\x01\x05bench\x0f\x2b\x05bench\x0f\x04\x03*/*";
    let mut stream = connect(web)?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])?)?;
    let mut incoming = BufReader::new(stream.try_clone()?);
    for number in 0..requests {
        stream.write_all(&frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            2 * number + 1,
            block,
        )?)?;
        let mut octets = 0;
        loop {
            let mut head = [0; 9];
            incoming.read_exact(&mut head)?;
            let [high, middle, low, kind, flags, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
            incoming.read_exact(&mut payload)?;
            match kind {
                SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[])?)?,
                // 200 is the eighth entry of the static table.
                HEADERS => ensure!(payload.first() == Some(&0x88), "a wrong answer"),
                DATA => octets += payload.len(),
                _ => {}
            }
            if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                break;
            }
        }
        ensure!(octets == work.answered, "an answer of {octets} octets");
    }
    Ok(())
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// An endpoint that answers each request of one size with so many octets.
fn endpoint(sent: usize, answered: usize) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Sat, 21 Nov 2026 07:00:00 GMT\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {answered}\r\nConnection: keep-alive\r\n\r\n"
    )
    .into_bytes();
    answer.resize(answer.len() + answered, b'x');
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            // A connection ends with its proxy.
            thread::spawn(move || drop(serve(stream, sent, &answer)));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream, sent: usize, answer: &[u8]) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 8 << 10];
        let octets = stream.read(&mut piece)?;
        ensure!(octets > 0, "the proxy has closed");
        request.extend_from_slice(&piece[..octets]);
        let end = request.windows(4).position(|four| four == b"\r\n\r\n");
        if end.is_some_and(|end| request.len() >= end + 4 + sent) {
            request.clear();
            stream.write_all(answer)?;
        }
    }
}

/// Reads what callgrind has written: the total, and who called the allocator how often.
fn read(out: &Path) -> Result<Cost> {
    let text = fs::read_to_string(out)?;
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut instructions = None;
    let mut allocations = BTreeMap::new();
    let (mut caller, mut callee) = ("", "");
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            caller = named(name, &mut names);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            callee = named(name, &mut names);
        } else if let Some(calls) = line.strip_prefix("calls=") {
            // One allocator may be the inside of another.
            if ALLOCATORS.contains(&callee) && !caller.starts_with("mi_") {
                let times = calls.split(' ').next().unwrap_or_default();
                *allocations.entry(caller.to_owned()).or_default() += times.parse::<f64>()?;
            }
        } else if let Some(total) = line.strip_prefix("totals: ") {
            instructions = Some(total.trim().parse::<f64>()?);
        }
    }
    Ok(Cost {
        instructions: instructions.context("callgrind has written no total")?,
        allocations,
    })
}

/// A function's name, which stands behind its number where that comes first.
fn named<'t>(text: &'t str, names: &mut BTreeMap<&'t str, &'t str>) -> &'t str {
    match text.split_once(' ') {
        Some((number, name)) => {
            names.insert(number, name);
            name
        }
        None => names.get(text).copied().unwrap_or(text),
    }
}
