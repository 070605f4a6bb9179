//! HTTP/2 by tools that were not written for fiel: curl, nghttp and h2load. One that is missing is said to be.

use std::process::Command;

use crate::support::terms::before;
use crate::support::{Behaviour, Endpoint};

use super::super::real::{run, tool};

#[test]
fn curl_asks_and_uploads() {
    let Some(curl) = tool("curl") else { return };
    let endpoint = Endpoint::behaving("app", Behaviour::echo());
    let fiel = before(&endpoint);
    let at = format!("http://{}/", fiel.address("web"));
    let sent = "x".repeat(300_000);
    let file = fiel.folder().join("sent");
    std::fs::write(&file, &sent).unwrap();
    let file = format!("@{}", file.display());
    let args = [
        "-sS",
        "--max-time",
        "30",
        "--http2-prior-knowledge",
        "--data-binary",
        &file,
        &at,
    ];
    let answer = run(Command::new(curl).args(args));
    assert!(answer.status.success(), "{answer:?}");
    assert!(
        answer.stdout == sent.as_bytes(),
        "{} octets",
        answer.stdout.len()
    );
}

#[test]
fn nghttp_and_h2load_are_content() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let at = format!("http://{}/", fiel.address("web"));
    if let Some(nghttp) = tool("nghttp") {
        let answer = run(Command::new(nghttp).args(["-v", "--no-dep", &at, &at]));
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(
            answer.status.success() && text.contains(":status: 200"),
            "{text}"
        );
    }
    if let Some(h2load) = tool("h2load") {
        let answer = run(Command::new(h2load).args(["-n", "500", "-c", "5", "-m", "10", &at]));
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(text.contains("500 succeeded, 0 failed"), "{text}");
    }
}
