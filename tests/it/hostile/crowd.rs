//! Very many clients at once. The route answers by itself: it is about the clients' side alone.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Client, Fiel, Scrape};

/// As many as are to come at once: more than the 1,024 that many programs let the kernel hold.
const CROWD: usize = 2_200;

const LAST: &str = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// So many of them as this process and fiel may have sockets for, and the kernel will hold.
fn crowd(held: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: limit,
        maximum: limit,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    // Other tests of this process have theirs.
    let room = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap());
    CROWD.min(room.saturating_sub(2_000) / 2).min(held)
}

/// fiel with these limits of its listener, as the inside of a map.
fn answering(limits: &str) -> Fiel {
    Fiel::start(&answering_by(limits))
}

fn answering_by(limits: &str) -> String {
    format!(
        "\
admin: {{ bind: 127.0.0.1:0 }}
listeners:
  - name: web
    bind: 127.0.0.1:0
    limits: {{ {limits} }}
routes:
  - name: here
    respond: {{ status: 200, body: here }}
pools:
  unused: {{ endpoints: [ 127.0.0.1:9 ] }}
"
    )
}

#[test]
fn thousands_of_connections_at_once_are_all_taken() {
    let fiel = answering("");

    let mut clients: Vec<Client> = (0..crowd(usize::MAX))
        .map(|_| Client::connect(fiel.address("web")))
        .collect();
    for client in &mut clients {
        client.send(LAST);
    }

    for client in &mut clients {
        assert_eq!(client.response().text(), "here");
    }
}

#[test]
fn the_kernel_holds_as_many_connections_as_the_system_allows() {
    // The kernel takes less than it was asked for where this is lower.
    let allowed = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    let crowd = crowd(allowed.trim().parse().unwrap_or(128));
    let fiel = answering("maxConnections: 1");
    let mut first = Client::connect(fiel.address("web"));
    assert_eq!(first.get("/").status, 200);

    // None of them is accepted while the first is there: without room the kernel would not even let them connect.
    let mut waiting: Vec<Client> = (0..crowd)
        .map(|_| Client::connect(fiel.address("web")))
        .collect();
    for client in &mut waiting {
        client.send(LAST);
    }
    drop(first);

    for mut client in waiting {
        assert_eq!(client.response().text(), "here");
    }
}

#[test]
fn fiel_takes_as_many_descriptors_as_it_may_have() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fiel.yaml");
    fs::write(&file, answering_by("")).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -S -n 200; exec \"$0\" run --config \"$1\""])
        .arg(env!("CARGO_BIN_EXE_fiel"))
        .arg(file);
    let fiel = Fiel::command(command, folder);
    fiel.wait_until_ready();

    let hard = getrlimit(Resource::Nofile)
        .maximum
        .map(|limit| limit as f64);
    assert_eq!(Scrape::of(&fiel).value("process_max_fds"), hard);
}
