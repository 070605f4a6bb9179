//! Chapter 1: what the command line says, and the exit code it says it with.

use std::net::TcpListener;
use std::process::Command;

use rustix::process::Signal;

use crate::support::{Endpoint, Fiel, client, yaml};

/// What one call has said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn fiel(args: &[&str]) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_fiel"))
        .args(args)
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
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
        "status",
        "rollout",
        "autoscale",
        "generate",
        "upgrade",
        "schema",
        "completions",
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
#[ignore = "needs the configuration loader"]
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
#[ignore = "needs the configuration loader"]
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
#[ignore = "needs the data plane"]
fn fiel_says_where_it_listens_proxies_and_drains_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let endpoint = Endpoint::start("a");
        let fiel = Fiel::start(&yaml::shop(&[("a", "1", &[endpoint.address()])]));

        let answer = client::get(fiel.address("web"), "/");

        assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
        assert_eq!(client::get(fiel.admin(), "/livez").status, 200);
        fiel.signal(signal);
        assert_eq!(fiel.wait_exit().code(), Some(0), "{signal:?}");
    }
}

#[test]
#[ignore = "needs the data plane"]
fn a_taken_port_is_named_and_exits_with_three() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flags in [
        ["--port", &port, "--admin-port", "0"],
        ["--admin-port", &port, "--port", "0"],
    ] {
        let said = fiel(&[&["demo"], &flags[..]].concat());

        assert_eq!(said.code, Some(3), "{}", said.err);
        assert_parts(
            &said.err,
            &[&format!("127.0.0.1:{port}"), "remedy:", "--port"],
        );
        assert_eq!(said.out, "", "no page without a proxy");
    }
}

#[test]
#[ignore = "needs the data plane"]
fn the_demo_splits_exactly_prints_its_addresses_and_stops_with_ctrl_c() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fiel"));
    command.args(["demo", "--port", "0", "--admin-port", "0"]);
    let demo = Fiel::command(command, tempfile::tempdir().unwrap());
    demo.wait_until_ready();
    let (web, admin) = (demo.address("web"), demo.admin());

    for round in 0..3 {
        let canaries = (0..20)
            .filter(|_| client::get(web, "/").header("x-version") == Some("v2"))
            .count();
        assert_eq!(canaries, 1, "of 20 in round {round}");
    }

    assert_eq!(client::get(admin, "/status").status, 200);
    demo.signal(Signal::INT);
    assert_eq!(demo.wait_exit().code(), Some(0));
    let page = demo.output().join("\n");
    assert_parts(
        &page,
        &[
            &web.to_string(),
            &admin.to_string(),
            "/demo/unready",
            "Ctrl-C",
        ],
    );
}
