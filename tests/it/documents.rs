//! What the documents tell to type, typed: every command of theirs is run as it stands, against a fiel that is running.
//!
//! Commands that begin with `cargo` are not repeated here: the demo is tested in `cli`, the examples in `tests/examples.rs`.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fiel::metrics::families::{ALL, Kind};

use crate::real::tool;
use crate::support::wait::eventually;
use crate::support::{Client, Endpoint, Fiel};

/// Requests before the commands are run: some count them in the access log.
const REQUESTS: usize = 200;

#[test]
fn every_command_in_the_documents_works_as_it_stands() {
    if tool("curl").is_none() || tool("jq").is_none() {
        return;
    }
    let (old, new) = (Endpoint::start("v1"), Endpoint::start("v2"));
    let fiel = Fiel::start(&format!(
        "admin: {{ bind: 127.0.0.1:0 }}
accessLog: {{ output: {{ file: access.log }} }}
listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes:
  - name: shop
    split: [ {{ pool: shop-v1, weight: 95 }}, {{ pool: shop-v2, weight: 5 }} ]
pools:
  shop-v1: {{ endpoints: [ \"{}\" ] }}
  shop-v2: {{ endpoints: [ \"{}\" ] }}
",
        old.address(),
        new.address()
    ));
    let mut client = Client::connect(fiel.address("web"));
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/").status, 200);
    }
    let log = fiel.folder().join("access.log");
    eventually("all lines of the access log", || {
        let lines = fs::read_to_string(&log).unwrap().lines().count();
        (lines >= REQUESTS).then_some(())
    });
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for beside in ["config", "examples"] {
        symlink(root.join(beside), fiel.folder().join(beside)).unwrap();
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_fiel")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();

    let mut printed = String::new();
    let mut count = 0;
    for (document, block) in shell_blocks(root) {
        let typed: String = block
            .lines()
            .filter(|line| !line.starts_with("cargo "))
            .fold(String::new(), |typed, line| typed + line + "\n")
            .replace("127.0.0.1:9901", &fiel.admin().to_string())
            .replace("127.0.0.1:8080", &fiel.address("web").to_string())
            .replace("127.0.0.1:9001", &old.address().to_string());
        if typed.trim().is_empty() {
            continue;
        }
        count += 1;
        let done = Command::new("sh")
            .args(["-e", "-c", &typed])
            .current_dir(fiel.folder())
            .env("PATH", format!("{}:{path}", binary.display()))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}:\n{typed}\n{done:?}",
            document.display()
        );
        printed.push_str(&String::from_utf8(done.stdout).unwrap());
    }

    assert!(count >= 5, "only {count} blocks of commands");
    let counted: Vec<Vec<&str>> = printed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for share in [["95", "shop-v1"], ["5", "shop-v2"]] {
        assert!(counted.iter().any(|line| *line == share), "{printed}");
    }
}

#[test]
fn the_reference_of_metrics_is_made_from_their_declarations() {
    let mut reference = "# Metrics

`GET /metrics` on the admin address, in Prometheus' text format. Made from `src/metrics/families.rs`; a test compares.

Durations are seconds, sizes bytes. `route` and `pool` are `none` where there is none, and `code` is 499 when the client left
first. No label takes a value from a request. Series of what left the configuration go when it has drained; those of single endpoints
are left out above `metrics.maxEndpoints`. Buckets of histograms: 0.001 0.0025 0.005 0.01 0.02 0.035 0.05 0.1 0.2 0.35 0.5 1 2.5 5 10.

| name | type | labels | says |
|---|---|---|---|
"
    .to_owned();
    for family in ALL {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, labels, help) = (family.name, labels.join(", "), family.help);
        writeln!(reference, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &reference).unwrap();
    }

    let written = fs::read_to_string(&file).unwrap();
    assert!(
        written == reference,
        "UPDATE_GOLDEN=1 rewrites docs/metrics.md"
    );
}

/// Each block of shell commands in the documents, with where it stands.
fn shell_blocks(root: &Path) -> Vec<(PathBuf, String)> {
    let mut documents: Vec<PathBuf> = [root.to_owned(), root.join("docs")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    documents.sort();
    let blocks = |document: PathBuf| -> Vec<(PathBuf, String)> {
        let text = fs::read_to_string(&document).unwrap();
        text.split("```sh\n")
            .skip(1)
            .filter_map(|rest| Some((document.clone(), rest.split_once("```")?.0.to_owned())))
            .collect()
    };
    documents.into_iter().flat_map(blocks).collect()
}
