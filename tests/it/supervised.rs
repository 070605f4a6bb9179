//! What fiel tells the program that supervises it, systemd above all (sd_notify(3)): when it serves, reloads, ends.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

use crate::support::wait::{DEADLINE, eventually};
use crate::support::{Behaviour, Client, Endpoint, Fiel, yaml};

/// Who supervises: a socket of its own.
struct Supervisor {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Supervisor {
    /// At a path, as systemd is.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, folder }
    }

    /// Runs fiel with this configuration and these variables.
    fn run(&self, yaml: &str, variables: &[(&str, &str)]) -> Fiel {
        let address = self.folder.path().join("notify");
        supervised(address.to_str().unwrap(), yaml, variables)
    }

    /// The next message, as its lines.
    fn hear(&self) -> Vec<String> {
        hear(&self.socket)
    }

    /// The next message that is no sign of life.
    fn hear_news(&self) -> Vec<String> {
        loop {
            let message = self.hear();
            if message != ["WATCHDOG=1"] {
                return message;
            }
        }
    }
}

fn hear(socket: &UnixDatagram) -> Vec<String> {
    let mut message = [0; 4096];
    let length = socket.recv(&mut message).expect("a message in time");
    let text = String::from_utf8(message[..length].to_vec()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn supervised(address: &str, yaml: &str, variables: &[(&str, &str)]) -> Fiel {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fiel.yaml");
    std::fs::write(&file, yaml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fiel"));
    command.arg("run").arg("--config").arg(file);
    command.env("NOTIFY_SOCKET", address);
    command
        .env_remove("WATCHDOG_USEC")
        .env_remove("WATCHDOG_PID");
    command.envs(variables.iter().copied());
    Fiel::command(command, folder)
}

/// The value of a line of a message.
fn value<'a>(message: &'a [String], name: &str) -> Option<&'a str> {
    let named = |line: &'a String| line.split_once('=').filter(|(key, _)| *key == name);
    message.iter().find_map(named).map(|(_, value)| value)
}

#[test]
fn a_supervisor_is_told_of_the_start_of_reloads_and_of_the_end() {
    let supervisor = Supervisor::start();
    let endpoint = Endpoint::start("a");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let ending = "shutdown: { delay: 10s, drain: 20s }\n";
    let fiel = supervisor.run(&format!("{text}{ending}"), &[]);

    let message = supervisor.hear();
    assert_eq!(value(&message, "READY"), Some("1"));
    let first = value(&message, "STATUS").unwrap().to_owned();
    assert!(first.starts_with("Serving configuration "), "{first}");

    // A reload that changes nothing, asked for by the signal that `systemctl reload` sends.
    let before = clock_gettime(ClockId::Monotonic);
    fiel.signal(Signal::HUP);
    let message = supervisor.hear();
    assert_eq!(value(&message, "RELOADING"), Some("1"));
    let at: i64 = value(&message, "MONOTONIC_USEC").unwrap().parse().unwrap();
    assert!(at >= before.tv_sec * 1_000_000 + before.tv_nsec / 1_000);
    let message = supervisor.hear();
    assert_eq!(message, ["READY=1".to_owned(), format!("STATUS={first}")]);

    // A new one.
    fiel.rewrite(&format!("{text}zone: b\n{ending}"));
    assert_eq!(value(&supervisor.hear(), "RELOADING"), Some("1"));
    let message = supervisor.hear();
    assert_eq!(value(&message, "READY"), Some("1"));
    let second = value(&message, "STATUS").unwrap().to_owned();
    assert_ne!(first, second);

    // A wrong one: it still serves, and says which.
    fiel.rewrite("zone: [\n");
    assert_eq!(value(&supervisor.hear(), "RELOADING"), Some("1"));
    let message = supervisor.hear();
    assert_eq!(value(&message, "READY"), Some("1"));
    let told = value(&message, "STATUS").unwrap();
    assert!(
        told.starts_with(&second) && told.contains("rejected"),
        "{told}"
    );

    // Its end takes at most the delay, the drain, the last lines of the log, and some slack.
    fiel.signal(Signal::TERM);
    let message = supervisor.hear();
    assert_eq!(value(&message, "STOPPING"), Some("1"));
    assert_eq!(value(&message, "EXTEND_TIMEOUT_USEC"), Some("37000000"));
    fiel.signal(Signal::TERM);
    assert_eq!(fiel.wait_exit().code(), Some(0));
    supervisor.socket.set_nonblocking(true).unwrap();
    let more = supervisor.socket.recv(&mut [0; 64]).unwrap_err();
    assert_eq!(more.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_drain_without_a_limit_leaves_the_limit_to_the_supervisor() {
    let supervisor = Supervisor::start();
    let endpoint = Endpoint::start("a");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let fiel = supervisor.run(&format!("{text}shutdown: {{ drain: 0s }}\n"), &[]);
    assert_eq!(value(&supervisor.hear(), "READY"), Some("1"));

    fiel.signal(Signal::INT);

    let message = supervisor.hear();
    assert_eq!(message, ["STOPPING=1", "STATUS=Draining"]);
    assert_eq!(fiel.wait_exit().code(), Some(0));
}

#[test]
fn it_is_ready_for_its_supervisor_when_readyz_says_so_and_not_before() {
    let supervisor = Supervisor::start();
    let endpoint = Endpoint::start("a");
    endpoint.behave_at("/ready", Behaviour::stall());
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let probe = "    readinessProbe: { httpGet: { path: /ready }, timeoutSeconds: 1000 }\n";
    let began = Instant::now();
    let fiel = supervisor.run(&format!("{text}{probe}"), &[]);
    fiel.wait_until_ready();
    endpoint.wait_for_requests(1);
    supervisor.socket.set_nonblocking(true).unwrap();
    let early = supervisor.socket.recv(&mut [0; 64]);
    // After 5 s it is ready without a verdict.
    let is_slow = began.elapsed() >= Duration::from_secs(5);
    assert!(early.is_err() || is_slow, "told before the first verdict");
    supervisor.socket.set_nonblocking(false).unwrap();

    endpoint.release_all();

    if early.is_err() {
        assert_eq!(value(&supervisor.hear(), "READY"), Some("1"));
    }
}

#[test]
fn signs_of_life_come_while_workers_turn_their_loops_also_while_it_drains() {
    let supervisor = Supervisor::start();
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let yaml = format!("{text}shutdown: {{ drain: 0s }}\n");
    let fiel = supervisor.run(&yaml, &[("WATCHDOG_USEC", "100000")]);
    assert_eq!(value(&supervisor.hear_news(), "READY"), Some("1"));
    for _ in 0..3 {
        assert_eq!(supervisor.hear(), ["WATCHDOG=1"]);
    }
    let mut held = Client::connect(fiel.address("web"));
    held.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    endpoint.wait_for_requests(1);

    fiel.signal(Signal::TERM);

    assert_eq!(value(&supervisor.hear_news(), "STOPPING"), Some("1"));
    for _ in 0..3 {
        assert_eq!(supervisor.hear(), ["WATCHDOG=1"]);
    }
    endpoint.release_all();
    assert_eq!(held.response().status, 200);
    assert_eq!(fiel.wait_exit().code(), Some(0));
}

#[test]
fn a_watchdog_that_is_meant_for_another_process_is_left_alone() {
    let supervisor = Supervisor::start();
    let endpoint = Endpoint::start("a");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let variables = [("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")];
    let fiel = supervisor.run(&text, &variables);
    assert_eq!(value(&supervisor.hear(), "READY"), Some("1"));

    // A hundred signs of life would have come meanwhile.
    std::thread::park_timeout(Duration::from_millis(100));
    fiel.signal(Signal::INT);

    assert_eq!(value(&supervisor.hear(), "STOPPING"), Some("1"));
    assert_eq!(fiel.wait_exit().code(), Some(0));
}

#[test]
fn an_abstract_socket_is_told_as_well() {
    let name = format!("fiel-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let endpoint = Endpoint::start("a");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);

    let _fiel = supervised(&format!("@{name}"), &text, &[]);

    assert_eq!(value(&hear(&socket), "READY"), Some("1"));
}

#[test]
fn a_supervisor_that_is_not_there_keeps_nothing_from_being_served() {
    let endpoint = Endpoint::start("a");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    for address in ["/nowhere/notify", "vsock:2:1", "notify"] {
        let fiel = supervised(address, &text, &[]);
        fiel.wait_until_ready();
        let line = fiel.wait_for_log("NOTIFY_SOCKET cannot be used");
        assert!(line.contains("WARN") && line.contains(address), "{line}");
        let answer = crate::support::client::get(fiel.address("web"), "/");
        assert_eq!(answer.text(), "a");
    }
}

#[test]
fn a_supervisor_that_does_not_read_holds_nothing_up() {
    let supervisor = Supervisor::start();
    let endpoint = Endpoint::start("a");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let fiel = supervisor.run(&text, &[("WATCHDOG_USEC", "2000")]);

    fiel.wait_for_log("Supervisor could not be told");

    eventually("an answer", || {
        let answer = crate::support::client::get(fiel.address("web"), "/");
        (answer.text() == "a").then_some(())
    });
    fiel.signal(Signal::TERM);
    assert_eq!(fiel.wait_exit().code(), Some(0));
}
