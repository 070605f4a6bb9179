//! fiel between a client and a server of gRPC's own Python implementation (`peer.py`), which is another code base than
//! tonic's: the one that most languages share.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::real::demanded;
use crate::support::terms::Terms;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/grpc/peer.py")
}

/// Python with the package `grpcio`.
fn python() -> Option<Command> {
    let has_grpc = Command::new("python3")
        .args(["-c", "import grpc"])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|tried| tried.status.success());
    demanded("python3 with grpcio", has_grpc).then(|| Command::new("python3"))
}

/// The server, until it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn grpc_in_python_finds_nothing_amiss() {
    let (Some(mut serving), Some(mut calling)) = (python(), python()) else {
        return;
    };
    let mut server = Server(
        serving
            .arg(script())
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut port = String::new();
    let told = server.0.stdout.take().expect("it was asked for");
    BufReader::new(told).read_line(&mut port).unwrap();
    let address = format!("127.0.0.1:{}", port.trim()).parse().unwrap();
    let fiel = Terms {
        route: &["match: { path: { prefix: /test.Echo/ } }"],
        pool: &[
            "protocol: http2",
            "readinessProbe: { grpc: {}, periodSeconds: 0.1 }",
        ],
        ..Terms::default()
    }
    .before_all(&[address]);
    fiel.wait_for_state(address, "ready", 1);

    let called = calling
        .arg(script())
        .arg("call")
        .arg(fiel.address("web").to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();

    assert!(called.status.success(), "{called:?}");
    assert_eq!(called.stdout, b"all well\n");
}
