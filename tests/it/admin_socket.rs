//! The admin address at a unix socket: its file, who may ask what, and the commands that ask.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;

use crate::support::wait::DEADLINE;
use crate::support::{Endpoint, Fiel};

fn at_socket(endpoint: &Endpoint, keys: &str) -> String {
    format!(
        "\
admin: {{ bind: \"unix:admin.sock\"{keys} }}
listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools: {{ app: {{ endpoints: [\"{}\"] }} }}
",
        endpoint.address()
    )
}

fn ask(path: &Path, line: &str, fields: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!("{line} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn command(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_fiel");
    Command::new(program).args(args).output().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

#[test]
fn only_its_own_user_may_connect_and_any_host_or_none_will_do() {
    let endpoint = Endpoint::start("app");
    let fiel = Fiel::start(&at_socket(&endpoint, ""));
    let path = fiel.folder().join("admin.sock");
    assert_eq!(mode(&path), 0o600);
    for host in ["", "Host: localhost\r\n", "Host: evil.example\r\n"] {
        let answer = ask(&path, "GET /livez", host);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
        let answer = ask(&path, "POST /reload", host);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let config = ask(&path, "GET /config", "");
    assert!(config.contains("\"mode\": \"0600\""), "{config}");
    fiel.wait_for_log("Admin listening address=unix:");
}

#[test]
fn orders_need_the_token_where_there_is_one() {
    let endpoint = Endpoint::start("app");
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "secret\n").unwrap();
    let keys = format!(
        ", unix: {{ mode: \"0660\" }}, tokenFile: {}",
        token.display()
    );
    let fiel = Fiel::start(&at_socket(&endpoint, &keys));
    let path = fiel.folder().join("admin.sock");
    assert_eq!(mode(&path), 0o660);
    let status = |line, fields| ask(&path, line, fields)[9..12].to_owned();
    assert_eq!(status("GET /status", ""), "200");
    assert_eq!(status("POST /reload", ""), "401");
    let right = "Authorization: Bearer secret\r\n";
    assert_eq!(status("POST /reload", right), "200");
}

#[test]
fn the_commands_ask_over_it_and_the_file_goes_with_fiel() {
    let endpoint = Endpoint::start("app");
    let fiel = Fiel::start(&at_socket(&endpoint, ""));
    let path = fiel.folder().join("admin.sock");
    let admin = format!("unix:{}", path.display());

    let shown = command(&["status", "--admin", &admin]);
    assert!(shown.status.success(), "{shown:?}");
    let table = String::from_utf8(shown.stdout).unwrap();
    assert!(table.contains(&endpoint.address().to_string()), "{table}");

    let left = command(&["drain", "--admin", &admin]);
    assert!(left.status.success(), "{left:?}");
    let answer = ask(&path, "GET /readyz", "");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");

    fiel.signal(Signal::TERM);
    assert!(fiel.wait_exit().success());
    assert!(!path.exists());
    let nobody = command(&["status", "--admin", &admin]);
    assert_eq!(nobody.status.code(), Some(1));
    let told = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(
        told.contains(&format!("could not reach fiel at {admin}")),
        "{told}"
    );
}

#[test]
fn a_name_without_a_file_will_do_as_well() {
    let endpoint = Endpoint::start("app");
    let name = format!("unix:@fiel-admin-{}", std::process::id());
    let _fiel = Fiel::start(&at_socket(&endpoint, "").replace("unix:admin.sock", &name));
    let shown = command(&["status", "--admin", &name]);
    assert!(shown.status.success(), "{shown:?}");
}

#[test]
fn another_socket_or_other_rights_need_a_restart() {
    let endpoint = Endpoint::start("app");
    let fiel = Fiel::start(&at_socket(&endpoint, ""));
    let path = fiel.folder().join("admin.sock");
    let other = at_socket(&endpoint, ", unix: { mode: \"0666\" }");
    fiel.rewrite(&other.replace("admin.sock", "other.sock"));
    let line = fiel.wait_for_log("Keys keep their old values until a restart");
    assert!(
        line.contains("admin.bind") && line.contains("admin.unix"),
        "{line}"
    );
    assert_eq!(mode(&path), 0o600);
    assert!(ask(&path, "GET /status", "").contains("admin.unix"));
}
