//! Chapter 1: what the command line says, and the exit code it says it with.

mod editor;
mod status;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::wait::eventually;
use crate::support::{Endpoint, Fiel, client, yaml};

/// What one call has said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn fiel(args: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fiel"));
    command.args(args).current_dir(folder.path());
    said(command.env("NO_COLOR", "1"))
}

fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[track_caller]
fn assert_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn bare_fiel_explains_itself_and_starts_nothing() {
    let said = fiel(&[]);

    assert_eq!(said.code, Some(2), "{}", said.err);
    assert_parts(
        &said.err,
        &[
            "fiel demo",
            "fiel check --config",
            "fiel run --config",
            "Nothing was started",
        ],
    );
    assert_eq!(said.out, "");
}

#[test]
fn help_and_version_are_no_failure() {
    for args in [["--help"], ["-h"], ["--version"], ["help"]] {
        let said = fiel(&args);
        assert_eq!(said.code, Some(0), "{args:?}: {}", said.err);
        assert_eq!(said.err, "", "{args:?}");
        assert!(said.out.contains("fiel"), "{args:?}: {}", said.out);
    }
    let version = fiel(&["--version"]).out;
    assert_eq!(version.trim(), concat!("fiel ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_teaches_exit_codes_signals_and_environment() {
    assert_parts(
        &fiel(&["--help"]).out,
        &[
            "Examples:",
            "Exit codes:",
            "FIEL_LOG",
            "NO_COLOR",
            "run",
            "check",
            "demo",
            "status",
            "drain",
            "schema",
            "completions",
        ],
    );
    assert_parts(
        &fiel(&["run", "--help"]).out,
        &[
            "Examples:",
            "SIGTERM",
            "SIGINT",
            "SIGQUIT",
            "SIGHUP",
            "SIGUSR1",
            "FIEL_LOG",
            "Exit codes",
        ],
    );
    assert_parts(
        &fiel(&["check", "--help"]).out,
        &["Examples:", "Exit codes: 0"],
    );
    for (command, part) in [
        ("status", "--token-file"),
        ("drain", "--token-file"),
        ("schema", "yaml-language-server"),
        ("completions", "fish"),
    ] {
        let help = fiel(&[command, "--help"]).out;
        assert_parts(&help, &["Examples:", "Exit codes:", part]);
    }
    assert_parts(
        &fiel(&["demo", "--help"]).out,
        &[
            "--port",
            "--admin-port",
            "--print-config",
            "/demo/unready",
            "/demo/slow?ms=400",
        ],
    );
}

#[test]
fn help_offers_only_what_is_in_this_version() {
    let help = fiel(&["--help"]).out;
    for later in ["explain", "rollout", "autoscale", "upgrade", "SIGUSR2"] {
        assert!(!help.contains(later), "{later:?} in:\n{help}");
    }
}

#[test]
fn a_command_of_a_later_version_says_so() {
    for command in [
        "explain",
        "diff",
        "rollout",
        "autoscale",
        "generate",
        "upgrade",
    ] {
        for args in [
            vec![command],
            vec![command, "-X", "GET", "--config", "a.yaml", "x"],
        ] {
            let said = fiel(&args);
            assert_eq!(said.code, Some(2), "{args:?}: {}", said.err);
            assert_parts(
                &said.err,
                &[&format!("`fiel {command}` is not in this version")],
            );
        }
    }
}

#[test]
fn a_mistyped_command_gets_the_nearest_known_one() {
    let said = fiel(&["chekc"]);

    assert_eq!(said.code, Some(2));
    assert_parts(&said.err, &["chekc", "'check'"]);
}

#[test]
fn a_missing_flag_is_asked_for() {
    for command in ["run", "check"] {
        let said = fiel(&[command]);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert_parts(&said.err, &["--config <PATH>", "fiel demo --print-config"]);

        let said = fiel(&[command, "fiel.yaml"]);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert_parts(&said.err, &["tip:", "--config fiel.yaml"]);
    }
}

#[test]
fn a_missing_file_explains_itself() {
    for command in ["run", "check"] {
        for flag in ["--config", "-c"] {
            let said = fiel(&[command, flag, "none.yaml"]);
            assert_eq!(said.code, Some(1), "{}", said.err);
            assert_parts(
                &said.err,
                &["could not read none.yaml", "remedy:", "fiel demo"],
            );
            assert_eq!(said.out, "");
        }
    }
}

#[test]
fn a_port_that_is_no_port_is_wrong_usage() {
    let said = fiel(&["demo", "--port", "65536"]);

    assert_eq!(said.code, Some(2));
    assert_parts(&said.err, &["65536", "--port"]);
}

#[test]
fn the_configuration_of_the_demo_can_be_printed() {
    let said = fiel(&["demo", "--print-config", "--port", "8088"]);

    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_parts(
        &said.out,
        &[
            "bind: 127.0.0.1:8088",
            "bind: 127.0.0.1:9901",
            "weight: 95",
            "readinessProbe",
        ],
    );
}

#[test]
fn a_right_configuration_is_summed_up_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.yaml");
    std::fs::write(&file, fiel(&["demo", "--print-config"]).out).unwrap();
    let file = file.to_str().unwrap();

    let said = fiel(&["check", "--config", file]);

    assert_eq!(said.code, Some(0), "{}", said.err);
    let expected = format!("{file}: fine: 1 listener, 1 route, 2 pools, 4 endpoints\n");
    assert_eq!(said.out, expected);
}

#[test]
fn a_wrong_configuration_names_every_problem_and_exits_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.yaml");
    let text = yaml::shop(&[("a", "1", &[]), ("b", "-1", &[])]);
    std::fs::write(&file, format!("{text}workrs: 1\n")).unwrap();

    for command in ["check", "run"] {
        let said = fiel(&[command, "--config", file.to_str().unwrap()]);

        assert_eq!(said.code, Some(1), "{}", said.err);
        assert_eq!(said.out, "");
        assert_parts(&said.err, &["wrong.yaml:", "-1", "workrs", "workers"]);
    }
}

#[test]
fn fiel_says_where_it_listens_proxies_and_drains_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let endpoint = Endpoint::start("a");
        let fiel = Fiel::start(&yaml::shop(&[("a", "1", &[endpoint.address()])]));

        let answer = client::get(fiel.address("web"), "/");

        assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
        fiel.signal(signal);
        assert_eq!(fiel.wait_exit().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn a_folder_of_configurations_is_summed_up_with_what_was_read_and_what_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let text = yaml::shop(&[("a", "1", &["127.0.0.1:9001".parse().unwrap()])]);
    let (edge, pools) = text.split_at(text.find("pools:").unwrap());
    put("10-edge.yaml", edge);
    put("20-pools.yml", pools);
    put("notes.txt", "");
    put(".hidden.yaml", "no: [yaml");
    let path = folder.path().to_str().unwrap();

    let said = fiel(&["check", "--config", path]);

    assert_eq!(said.code, Some(0), "{}", said.err);
    let expected = format!(
        "{path}: fine: 1 listener, 1 route, 1 pool, 1 endpoint\nread: 10-edge.yaml, 20-pools.yml\n\
         not read, being neither *.yaml nor *.yml: notes.txt\n"
    );
    assert_eq!(said.out, expected);
}

#[test]
fn the_problems_of_a_folder_are_told_all_at_once_each_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["run", "check"] {
        let said = fiel(&[command, "--config", folder.path().to_str().unwrap()]);
        assert_eq!(said.code, Some(1), "{}", said.err);
        assert_parts(&said.err, &["holds no configuration file", "help:"]);
    }
    for (name, text) in [
        ("a.yaml", "workers: 1\n"),
        ("b.yaml", "workers: 1\nworkrs: 1\n"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }

    let said = fiel(&["check", "--config", folder.path().to_str().unwrap()]);

    assert_eq!(said.code, Some(1), "{}", said.err);
    assert_parts(
        &said.err,
        &[
            "b.yaml:1:1: the key \"workers\"",
            "in line 1 of ",
            "b.yaml:2:1: unknown key",
        ],
    );
}

#[test]
fn doubts_about_a_right_configuration_are_warnings_each() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doubtful.yaml");
    let address = "127.0.0.1:9001".parse().unwrap();
    let text = yaml::shop(&[("a", "1", &[address])]);
    let unused = "  b: { endpoints: [127.0.0.1:9002] }\n  c: { endpoints: [127.0.0.1:9003] }\n";
    std::fs::write(&file, format!("{text}{unused}")).unwrap();
    let file = file.to_str().unwrap();

    let said = fiel(&["check", "--config", file]);

    assert_eq!(said.code, Some(0), "{}", said.err);
    let summary = format!("{file}: fine: 1 listener, 1 route, 3 pools, 3 endpoints\n");
    assert!(said.out.starts_with(&summary), "{}", said.out);
    let warnings: Vec<_> = said
        .out
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .collect();
    assert_eq!(warnings.len(), 2, "{}", said.out);
    for (warning, pool) in warnings.iter().zip(["\"b\"", "\"c\""]) {
        assert!(
            warning.contains(file) && warning.contains(pool),
            "{warning}"
        );
    }
}

/// A configuration with a doubt, and a problem that shows only when it is started: its port is taken.
fn doubtful_and_taken() -> (TcpListener, String) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = yaml::shop(&[("a", "1", &[address])])
        .replace("    bind: 127.0.0.1:0", &format!("    bind: {address}"));
    let text = format!("{text}  unused: {{ endpoints: [{address}] }}\n");
    (taken, text)
}

/// Runs with this configuration, which does not come up, and these variables.
fn run(text: &str, variables: &[(&str, &str)]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fiel.yaml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fiel"));
    command.args(["run", "-c"]).arg(file).env_remove("FIEL_LOG");
    said(command.envs(variables.iter().copied()))
}

#[test]
fn a_listener_whose_port_is_taken_is_named_and_exits_with_three() {
    let (taken, text) = doubtful_and_taken();

    let said = run(&text, &[]);

    assert_eq!(said.code, Some(3), "{}", said.err);
    let address = taken.local_addr().unwrap().to_string();
    assert_parts(&said.err, &["error: could not bind", &address, "in use"]);
    assert!(!said.err.contains("Listening"), "{}", said.err);
}

#[test]
fn a_wrong_configuration_is_told_before_anything_is_bound() {
    let (_taken, text) = doubtful_and_taken();

    let said = run(&text.replace("weight: 1", "weight: -1"), &[]);

    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(!said.err.contains("bind"), "{}", said.err);
}

#[test]
fn the_log_filter_is_taken_from_the_environment() {
    let (_taken, text) = doubtful_and_taken();
    let doubt = "Configuration is doubtful";

    let usual = run(&text, &[]);
    assert_parts(&usual.err, &["WARN", doubt]);
    let strict = run(&text, &[("FIEL_LOG", "error")]);
    assert!(!strict.err.contains(doubt), "{}", strict.err);
    let wrong = run(&text, &[("FIEL_LOG", "fiel=loud")]);
    assert_parts(&wrong.err, &["Log filter is not understood", "loud", doubt]);

    for said in [usual, strict, wrong] {
        assert_eq!(said.code, Some(3), "{}", said.err);
        assert!(
            !said.err.contains('\u{1b}'),
            "colours without a terminal: {}",
            said.err
        );
    }
}

#[test]
fn a_taken_port_is_named_and_exits_with_three() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();

    let said = fiel(&["demo", "--port", &port, "--admin-port", "0"]);

    assert_eq!(said.code, Some(3), "{}", said.err);
    let address = format!("127.0.0.1:{port}");
    assert_parts(&said.err, &[&address, "remedy:", "--port"]);
    assert_eq!(said.out, "", "no page without a proxy");
}

/// A demo on free ports, once it has printed its page.
fn demo() -> (Fiel, SocketAddr, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fiel"));
    command.args(["demo", "--port", "0", "--admin-port", "0"]);
    let demo = Fiel::command(command, tempfile::tempdir().unwrap());
    let page = eventually("the page of the demo", || {
        let page = demo.output().join("\n");
        page.contains("Stop with Ctrl-C").then_some(page)
    });
    let web = demo.address("web");
    (demo, web, page)
}

/// An address of the demo's page, by the words before it.
fn printed_address(page: &str, what: &str) -> SocketAddr {
    let line = page
        .lines()
        .find(|line| line.trim_start().starts_with(what))
        .unwrap();
    let (_, after) = line.split_once("http://").unwrap();
    after.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_demo_splits_exactly_prints_its_addresses_and_stops_with_ctrl_c() {
    let (demo, web, page) = demo();
    assert_eq!(printed_address(&page, "proxy"), web);
    assert_parts(&page, &["/demo/unready", "/status"]);

    for round in 0..3 {
        let canaries = (0..20)
            .filter(|_| client::get(web, "/").header("x-version") == Some("v2"))
            .count();
        assert_eq!(canaries, 1, "of 20 in round {round}");
    }

    demo.signal(Signal::INT);
    assert_eq!(demo.wait_exit().code(), Some(0));
    let file = page
        .lines()
        .find_map(|line| line.trim().strip_prefix("configured   "))
        .unwrap();
    assert!(!Path::new(file).exists(), "{file} is left behind");
}

#[test]
fn an_endpoint_of_the_demo_that_says_so_gets_no_requests_and_nobody_sees_an_error() {
    let (demo, web, page) = demo();
    let first = printed_address(&page, "endpoint 1");
    for _ in 0..4 {
        assert_eq!(client::get(web, "/").status, 200);
    }
    let state = |to: &str| format!("endpoint={first} from=\"{to}");
    demo.wait_for_log(&state("starting"));

    let told = client::request(
        first,
        "POST /demo/unready HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(told.status, 200, "{}", told.text());
    demo.wait_for_log(&state("ready\" to=\"unready"));

    let count = || client::get(first, "/demo").text();
    // The line is written a moment before the workers know.
    eventually("20 requests that all go elsewhere", || {
        let before = count();
        for _ in 0..20 {
            assert_eq!(client::get(web, "/").status, 200);
        }
        (count() == before).then_some(())
    });
    client::request(
        first,
        "POST /demo/ready HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n",
    );
    demo.wait_for_log(&state("unready\" to=\"ready"));
}

#[test]
fn an_edit_of_the_demos_file_is_taken_up() {
    let (demo, web, page) = demo();
    let file = page
        .lines()
        .find_map(|line| line.trim().strip_prefix("configured   "))
        .unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let half = text
        .replace("weight: 95", "weight: 50")
        .replace("weight: 5 ", "weight: 50 ");

    std::fs::write(file, half).unwrap();

    demo.wait_for_log("Configuration is in force");
    let canaries = (0..20)
        .filter(|_| client::get(web, "/").header("x-version") == Some("v2"))
        .count();
    assert_eq!(canaries, 10, "of 20");
}
