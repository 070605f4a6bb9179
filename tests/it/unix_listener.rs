//! Unix sockets to listen on: their files, their rights, their clients, and what reloads and ends make of them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::process::Signal;

use crate::support::wait::{DEADLINE, eventually};
use crate::support::{Behaviour, Endpoint, Fiel};

/// A listener at `a.sock` beside the configuration, with these keys.
fn at_socket(endpoint: &Endpoint, keys: &str) -> String {
    format!(
        "\
admin: {{ bind: 127.0.0.1:0 }}
listeners: [ {{ name: web, bind: \"unix:a.sock\"{keys} }} ]
routes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools: {{ app: {{ endpoints: [\"{}\"] }} }}
",
        endpoint.address()
    )
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn ask_over(stream: &mut UnixStream, fields: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn ask(path: &Path, fields: &str) -> String {
    ask_over(&mut connect(path), fields)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

#[test]
fn requests_are_served_and_their_client_has_no_address() {
    let endpoint = Endpoint::start("app");
    let fiel = Fiel::start(&at_socket(&endpoint, ""));
    let path = fiel.folder().join("a.sock");
    assert_eq!(mode(&path), 0o660);

    let answer = ask(&path, "X-Forwarded-For: 6.6.6.6\r\n");

    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("app"),
        "{answer}"
    );
    let request = &endpoint.requests()[0];
    assert_eq!(request.header("x-forwarded-for"), None);
    assert_eq!(request.header("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(fiel.wait_for_access_log(1)[0]["client"], "unix:");
}

#[test]
fn a_proxy_on_the_same_host_is_believed_where_it_is_named() {
    let endpoint = Endpoint::start("app");
    let fiel = Fiel::start(&at_socket(&endpoint, ", trustedProxies: [unix]"));
    ask(
        &fiel.folder().join("a.sock"),
        "X-Forwarded-For: 1.2.3.4\r\n",
    );
    assert_eq!(
        endpoint.requests()[0].header("x-forwarded-for").as_deref(),
        Some("1.2.3.4")
    );
    assert_eq!(fiel.wait_for_access_log(1)[0]["client"], "1.2.3.4");
}

#[test]
fn the_file_goes_with_fiel_and_what_a_killed_one_left_is_taken_over() {
    let endpoint = Endpoint::start("app");
    let fiel = Fiel::launch(&at_socket(&endpoint, ""));
    fiel.wait_until_ready();
    let path = fiel.folder().join("a.sock");
    fiel.signal(Signal::TERM);
    assert!(fiel.wait_exit().success());
    assert!(!path.exists());

    // As after a kill: a file at which nobody listens.
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("left.sock");
    drop(UnixListener::bind(&left).unwrap());
    assert!(left.exists());
    let yaml = at_socket(&endpoint, "").replace("unix:a.sock", &format!("unix:{}", left.display()));
    let fiel = Fiel::start(&yaml);
    assert!(ask(&left, "").starts_with("HTTP/1.1 200 "));
    drop(fiel);
}

#[test]
fn a_file_or_a_listener_in_the_way_is_an_error_and_stays() {
    let endpoint = Endpoint::start("app");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    let taken = folder.path().join("taken.sock");
    let listener = UnixListener::bind(&taken).unwrap();
    for (path, why) in [(&file, "no socket"), (&taken, "another process listens")] {
        let yaml =
            at_socket(&endpoint, "").replace("unix:a.sock", &format!("unix:{}", path.display()));
        let fiel = Fiel::launch(&yaml);
        assert_eq!(fiel.wait_exit().code(), Some(3));
        let line = fiel.wait_for_log("could not bind");
        assert!(line.contains(why), "{line}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    connect(&taken);
    drop(listener);
}

#[test]
fn a_reload_keeps_the_socket_gives_it_new_rights_and_moves_it() {
    let endpoint = Endpoint::start("app");
    let fiel = Fiel::start(&at_socket(&endpoint, ""));
    let path = fiel.folder().join("a.sock");
    let inode = || fs::symlink_metadata(&path).unwrap().ino();
    let before = inode();
    let mut early = connect(&path);

    fiel.rewrite(&at_socket(&endpoint, ", unix: { mode: \"0600\" }"));
    eventually("the new mode", || (mode(&path) == 0o600).then_some(()));
    assert_eq!(inode(), before);

    fiel.rewrite(&at_socket(&endpoint, "").replace("a.sock", "b.sock"));
    let moved = fiel.folder().join("b.sock");
    eventually("the old socket to go", || (!path.exists()).then_some(()));
    assert!(ask(&moved, "").starts_with("HTTP/1.1 200 "));
    assert!(ask_over(&mut early, "").starts_with("HTTP/1.1 200 "));

    // Rights that cannot be given leave everything as it is.
    fiel.rewrite(
        &at_socket(&endpoint, ", unix: { group: no-such-group }").replace("a.sock", "b.sock"),
    );
    fiel.wait_for_log("no-such-group");
    assert!(ask(&moved, "").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_header_of_the_proxy_protocol_gives_a_client_its_address() {
    let endpoint = Endpoint::start("app");
    let fiel = Fiel::start(&at_socket(&endpoint, ", proxyProtocol: { from: [unix] }"));
    let mut stream = connect(&fiel.folder().join("a.sock"));
    stream
        .write_all(b"PROXY TCP4 192.0.2.9 10.0.0.1 256 80\r\n")
        .unwrap();
    assert!(ask_over(&mut stream, "").starts_with("HTTP/1.1 200 "));
    assert_eq!(
        endpoint.requests()[0].header("x-forwarded-for").as_deref(),
        Some("192.0.2.9")
    );
}

#[test]
fn who_leaves_is_noticed_while_it_waits() {
    let endpoint = Endpoint::behaving("app", Behaviour::stall());
    let fiel = Fiel::start(&at_socket(&endpoint, ""));
    let mut stream = connect(&fiel.folder().join("a.sock"));
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        .unwrap();
    endpoint.wait_for_requests(1);
    drop(stream);
    assert_eq!(fiel.wait_for_access_log(1)[0]["status"], 499);
}
