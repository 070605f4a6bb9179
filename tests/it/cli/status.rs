//! `fiel status`: what it shows of a running fiel, and what it says where it cannot.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::{Said, assert_parts, fiel, said};
use crate::support::wait::eventually;
use crate::support::{Endpoint, Fiel, client, yaml};

fn status(admin: SocketAddr, more: &[&str]) -> Said {
    let admin = admin.to_string();
    fiel(&[&["status", "--admin", &admin], more].concat())
}

/// An address where nobody listens, and no other test will.
fn nobody() -> SocketAddr {
    let socket = TcpListener::bind("127.83.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

/// Answers every connection with this, and goes on to the end of the test.
fn answering(answer: &'static str) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        for stream in socket.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 1024];
            let read = stream.read(&mut head).unwrap();
            assert!(read > 0);
            // A client that has seen enough may be gone.
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    address
}

#[test]
fn it_shows_listeners_shares_pools_and_endpoints_in_columns() {
    let (one, two) = (Endpoint::start("one"), Endpoint::start("two"));
    let running = Fiel::start(&yaml::shop(&[
        ("v1", "95", &[one.address()]),
        ("v2", "5", &[two.address()]),
    ]));
    let web = running.address("web");
    for _ in 0..40 {
        assert_eq!(client::get(web, "/").status, 200);
    }

    let said = status(running.admin(), &[]);

    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(said.err, "");
    assert_parts(
        &said.out,
        &[
            concat!("fiel ", env!("CARGO_PKG_VERSION"), " running"),
            &web.to_string(),
            "shop: any request",
            "  v1              95   95 %  95 %        38     38.00",
            "  v2               5    5 %   5 %         2      2.00",
            &one.address().to_string(),
            "ready",
        ],
    );
    assert!(
        !said.out.contains('\u{1b}'),
        "colours without a terminal: {}",
        said.out
    );
}

#[test]
fn as_json_it_is_what_the_admin_address_says() {
    let endpoint = Endpoint::start("a");
    let running = Fiel::start(&yaml::shop(&[("a", "1", &[endpoint.address()])]));

    let said = status(running.admin(), &["--json"]);

    assert_eq!(said.code, Some(0), "{}", said.err);
    let shown: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(shown, client::request(running.admin(), request).json());
}

#[test]
fn a_fiel_that_is_not_there_is_named_with_what_to_do() {
    let nobody = nobody();
    let said = status(nobody, &[]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert_eq!(said.out, "");
    assert_parts(
        &said.err,
        &[
            &nobody.to_string(),
            "refused",
            "remedy:",
            "--admin",
            "fiel run",
        ],
    );

    let said = fiel(&["status", "--admin", "unix:none.sock"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert_parts(&said.err, &["unix:none.sock", "No such file"]);
}

#[test]
fn what_is_typed_wrongly_is_wrong_usage() {
    for (args, part) in [
        (&["--admin", "127.0.0.1"][..], "no port"),
        (&["--admin", "https://127.0.0.1:9901"], "TLS"),
        (&["--watch", "--interval", "1"], "100ms or more"),
        (&["--interval", "1s"], "--watch"),
        (&["--watch", "--json"], "--json"),
        (&["--token-file", "none.token"], "none.token"),
    ] {
        let said = fiel(&[&["status"], args].concat());
        assert_eq!(said.code, Some(2), "{args:?}: {}", said.err);
        assert_parts(&said.err, &[part]);
    }
}

#[test]
fn a_token_is_asked_for_brought_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (
        file("right.token", "hunter2\n"),
        file("wrong.token", "hunter3\n"),
    );
    let running = Fiel::start(&format!(
        "admin: {{ bind: \"0.0.0.0:0\", tokenFile: \"{right}\" }}\n{}",
        yaml::shop(&[("a", "1", &["127.0.0.1:9".parse().unwrap()])])
            .replace("admin: { bind: 127.0.0.1:0 }\n", "")
    ));
    let admin = SocketAddr::from(([127, 0, 0, 1], running.admin().port()));

    let without = status(admin, &[]);
    let with_wrong = status(admin, &["--token-file", &wrong]);
    let with_right = status(admin, &["--token-file", &right]);

    assert_eq!(without.code, Some(1), "{}", without.err);
    assert_parts(&without.err, &["wants the token", "--token-file"]);
    assert_eq!(with_wrong.code, Some(1), "{}", with_wrong.err);
    assert_parts(&with_wrong.err, &["does not know this token"]);
    assert!(!with_wrong.err.contains("hunter"), "{}", with_wrong.err);
    assert_eq!(with_right.code, Some(0), "{}", with_right.err);
}

#[test]
fn refusals_and_strangers_are_explained() {
    let forbidden = "HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nno \u{1b}[2J\n";
    let unknown = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let other = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let nonsense = "SSH-2.0-x\r\n";
    for (answer, parts) in [
        (forbidden, &["(403)", "admin.hosts"][..]),
        (unknown, &["(404)", "readBind"]),
        (other, &["no status of fiel"]),
        (nonsense, &["HTTP"]),
    ] {
        let said = status(answering(answer), &[]);
        assert_eq!(said.code, Some(1), "{answer:?}: {}", said.err);
        assert_parts(&said.err, &[parts, &["remedy:"]].concat());
        assert!(!said.err.contains('\u{1b}'), "{:?}", said.err);
    }
}

#[test]
fn a_unix_socket_is_asked_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let asked = thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        let mut head = [0; 1024];
        let read = stream.read(&mut head).unwrap();
        let answer = "{\"phase\": \"draining\", \"more\": {}}";
        let head_of_it = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        stream
            .write_all(format!("{head_of_it}{answer}").as_bytes())
            .unwrap();
        String::from_utf8_lossy(&head[..read]).into_owned()
    });

    let said = fiel(&["status", "--admin", &format!("unix:{}", path.display())]);

    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_parts(&said.out, &["draining"]);
    let asked = asked.join().unwrap();
    assert_parts(&asked, &["GET /status HTTP/1.1", "host: localhost"]);
}

/// `fiel status --watch` with its output.
struct Watching {
    child: Child,
    out: std::sync::Arc<std::sync::Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Watching {
    fn start(admin: SocketAddr) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fiel"))
            .args([
                "status",
                "--watch",
                "--interval",
                "100ms",
                "--admin",
                &admin.to_string(),
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdout.take().unwrap();
        let out = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let into = std::sync::Arc::clone(&out);
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut piece) {
                into.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&piece[..count]));
            }
        });
        Self {
            child,
            out,
            reader: Some(reader),
        }
    }

    /// Waits until this is shown `count` times in what has come since the last call.
    fn wait_for(&self, part: &str, count: usize) {
        eventually(&format!("{part:?} in the status"), || {
            let mut out = self.out.lock().unwrap();
            let is_there = out.matches(part).count() >= count;
            is_there.then(|| out.clear())
        });
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().unwrap();
        self.reader.take().map(thread::JoinHandle::join);
    }
}

#[test]
fn watching_goes_on_through_a_restart_and_ends_with_ctrl_c() {
    let admin = nobody();
    let text = yaml::shop(&[("a", "1", &["127.0.0.1:9".parse().unwrap()])]).replace(
        "admin: { bind: 127.0.0.1:0 }",
        &format!("admin: {{ bind: \"{admin}\" }}"),
    );
    let mut watching = Watching::start(admin);
    watching.wait_for("waiting for fiel: could not reach", 2);
    for _ in 0..2 {
        let running = Fiel::start(&text);
        watching.wait_for(" running\n", 2);
        drop(running);
        watching.wait_for("waiting for fiel: ", 2);
    }

    kill_process(Pid::from_child(&watching.child), Signal::INT).unwrap();

    assert_eq!(watching.child.wait().unwrap().code(), Some(0));
}

#[test]
fn watching_ends_when_nobody_reads_it_any_more() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fiel"))
        .args([
            "status",
            "--watch",
            "--interval",
            "100ms",
            "--admin",
            &nobody().to_string(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();

    drop(child.stdout.take());

    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn watching_does_not_wait_for_what_will_not_change() {
    let address = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fiel"));
    let said = said(command.args(["status", "--watch", "--admin", &address]));
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert_parts(&said.err, &["readBind"]);
}
