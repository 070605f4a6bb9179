//! Chapter 5, the access log: its formats, its files, and what becomes of it when it cannot be written.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use regex::Regex;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;

use crate::support::wait::eventually;
use crate::support::{Client, Endpoint, Fiel, Scrape, client};

/// One route to two pools of this endpoint, whose requests have positions, and this `accessLog`.
fn logging(endpoint: &Endpoint, access_log: &str) -> String {
    let address = endpoint.address();
    format!(
        "workers: 1\n\
         listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]\n\
         admin: {{ bind: 127.0.0.1:0 }}\n\
         routes: [ {{ name: shop, split: [ {{ pool: shop-v1, weight: 95 }}, {{ pool: shop-v2, weight: 5 }} ] }} ]\n\
         pools:\n  shop-v1: {{ version: \"1.8.2\", endpoints: [ \"{address}\" ] }}\n\
         \u{20} shop-v2: {{ version: \"1.9.0\", endpoints: [ \"{address}\" ] }}\n\
         accessLog: {access_log}\n",
    )
}

fn dropped(fiel: &Fiel) -> f64 {
    Scrape::of(fiel)
        .value("fiel_access_log_dropped_total")
        .expect("it is always there")
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn wait_for_lines(file: &Path, count: usize) -> Vec<String> {
    eventually(&format!("{count} lines in {}", file.display()), || {
        let lines = lines(file);
        (lines.len() >= count).then_some(lines)
    })
}

const REQUEST: &str = "GET /api/items?secret=1 HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    X-Request-Id: 7f3c9d0e\r\n\
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
    Referer: https://example.com/from?secret=1\r\n\
    User-Agent: curl/8.5.0\r\n\r\n";

/// A line without what differs from one request to the next.
fn masked(line: &str) -> String {
    let patterns = [
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
        (r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d", "TIME"),
        (r#""(duration|connect|first_byte)":[\d.]+"#, "\"$1\":N"),
        (r#""endpoint":"127.0.0.1:\d+""#, "\"endpoint\":\"E\""),
    ];
    patterns
        .iter()
        .fold(line.to_owned(), |line, (pattern, mask)| {
            let pattern = Regex::new(pattern).unwrap();
            pattern.replace_all(&line, *mask).into_owned()
        })
}

#[test]
fn each_format_is_written_as_its_example_in_the_documents_is() {
    let document = fs::read_to_string("docs/access-log.md").unwrap();
    let examples: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with('{') || line.starts_with("127.0.0.1 "))
        .collect();
    let formats = ["json", "ecs", "common", "combined"];
    assert_eq!(examples.len(), formats.len());
    let endpoint = Endpoint::start("a");
    for (format, example) in formats.into_iter().zip(examples) {
        let fiel = Fiel::start(&logging(&endpoint, &format!("{{ format: {format} }}")));

        client::request(fiel.address("web"), REQUEST);

        let line = eventually("its line", || fiel.output().first().cloned());
        assert_eq!(masked(&line), masked(example), "{format}: {line}");
    }
}

#[test]
fn files_beside_the_configuration_are_bounded_in_size_and_number() {
    let endpoint = Endpoint::start("a");
    let access_log = "{ output: { file: access.log, maxBytes: 2KiB, keep: 2 } }";
    let fiel = Fiel::start(&logging(&endpoint, access_log));
    let mut client = Client::connect(fiel.address("web"));
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 200);
    }
    let file = |name: &str| fiel.folder().join(name);
    let last = eventually("the last line", || {
        let last = lines(&file("access.log")).pop()?;
        last.contains("\"position\":99}").then_some(last)
    });
    assert!(last.starts_with('{'), "{last}");

    let mut positions = Vec::new();
    for name in ["access.log.2", "access.log.1", "access.log"] {
        let size = fs::metadata(file(name)).unwrap().len();
        assert!(size <= 2_048, "{name} has {size} octets");
        for line in lines(&file(name)) {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            positions.push(line["position"].as_u64().unwrap());
        }
    }
    assert!(positions.len() > 6, "{positions:?}");
    let first = positions[0];
    assert_eq!(positions, (first..100).collect::<Vec<_>>(), "none is lost");
    assert!(!file("access.log.3").exists());
    assert_eq!(dropped(&fiel), 0.0);
}

#[test]
fn a_reload_changes_format_and_output_without_a_restart() {
    let endpoint = Endpoint::start("a");
    let fiel = Fiel::start(&logging(&endpoint, "{ output: { file: one.log } }"));
    let [one, two] = ["one.log", "two.log"].map(|name| fiel.folder().join(name));
    let mut client = Client::connect(fiel.address("web"));
    let mut reload = |access_log: &str, count: usize| {
        fiel.rewrite(&logging(&endpoint, access_log));
        fiel.wait_for_logs("Configuration is in force", count);
        assert_eq!(client.get("/").status, 200);
    };

    reload("{ format: common, output: { file: one.log } }", 1);
    reload("{ format: ecs, output: { file: two.log } }", 2);
    reload("{ output: \"off\" }", 3);
    reload("{ format: combined, output: { file: one.log } }", 4);

    let first = wait_for_lines(&one, 2);
    assert!(first[0].starts_with("127.0.0.1 - - ["), "{first:?}");
    assert!(first[1].ends_with("\"-\" \"-\""), "{first:?}");
    let second = wait_for_lines(&two, 1);
    assert!(second[0].starts_with("{\"@timestamp\":"), "{second:?}");
    assert_eq!((first.len(), second.len()), (2, 1));
}

#[test]
fn a_full_disk_is_told_once_and_no_request_notices() {
    let endpoint = Endpoint::start("a");
    let fiel = Fiel::start(&logging(&endpoint, "{ output: { file: /dev/full } }"));
    let mut client = Client::connect(fiel.address("web"));
    for count in 1..=3 {
        assert_eq!(client.get("/").status, 200);
        eventually("the line to be counted", || {
            (dropped(&fiel) >= f64::from(count)).then_some(())
        });
    }
    fiel.signal(Signal::TERM);
    assert!(fiel.wait_exit().success());
    let told = fiel.wait_for_logs("Access log cannot be written", 1);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("output=/dev/full"), "{}", told[0]);
}

#[test]
fn a_disk_that_has_room_again_is_written_again() {
    let endpoint = Endpoint::start("a");
    let folder = tempfile::tempdir().unwrap();
    let yaml = folder.path().join("fiel.yaml");
    let log = folder.path().join("access.log");
    fs::write(
        &yaml,
        logging(&endpoint, "{ output: { file: access.log } }"),
    )
    .unwrap();
    // No file larger than 8 blocks of 512 octets.
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -f 8 && exec \"$0\" run --config \"$1\""])
        .arg(env!("CARGO_BIN_EXE_fiel"))
        .arg(yaml);
    let fiel = Fiel::command(command, folder);
    fiel.wait_until_ready();
    let mut client = Client::connect(fiel.address("web"));
    eventually("a line to find no room", || {
        assert_eq!(client.get("/").status, 200);
        (dropped(&fiel) > 0.0).then_some(())
    });
    fiel.wait_for_log("Access log cannot be written");

    File::create(&log).unwrap();
    assert_eq!(client.get("/again").status, 200);

    fiel.wait_for_log("Access log is written again");
    // What waited before may be written first.
    eventually("the line in the file", || {
        let text = fs::read_to_string(&log).unwrap();
        text.contains("\"/again\"").then_some(())
    });
}

#[test]
fn a_reader_that_does_not_read_holds_up_neither_requests_nor_the_end() {
    let endpoint = Endpoint::start("a");
    let folder = tempfile::tempdir().unwrap();
    let yaml = folder.path().join("fiel.yaml");
    let pipe = folder.path().join("pipe");
    fs::write(&yaml, logging(&endpoint, "{ output: stdout }")).unwrap();
    mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
    let _unread = File::options().read(true).write(true).open(&pipe).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" run --config \"$1\" > \"$2\""])
        .arg(env!("CARGO_BIN_EXE_fiel"))
        .args([&yaml, &pipe]);
    let fiel = Fiel::command(command, folder);
    fiel.wait_until_ready();
    let mut client = Client::connect(fiel.address("web"));
    let target = format!("/{}", "x".repeat(4_000));
    // 64 KiB are in the pipe.
    for _ in 0..100 {
        assert_eq!(client.get(&target).status, 200);
    }

    fiel.signal(Signal::TERM);

    assert!(fiel.wait_exit().success());
    fiel.wait_for_log("Last lines of the access log could not be written in time");
}
