//! What fiel is shipped in: the image and the unit. They are read here as far as that is possible without an engine or a
//! machine that systemd runs; `systemd-analyze` looks at the unit where it is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::real::tool;

/// The instructions of the Dockerfile, those over several lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = fs::read_to_string("Dockerfile").unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let instructions = joined.lines().filter(|line| !line.trim().is_empty());
    instructions
        .map(|line| {
            let (name, rest) = line.split_once(' ').unwrap();
            (
                name.to_owned(),
                rest.split_whitespace().collect::<Vec<_>>().join(" "),
            )
        })
        .collect()
}

#[test]
fn the_image_holds_the_binary_alone_and_runs_it_as_nobody_in_particular() {
    let instructions = instructions();
    let last = instructions
        .iter()
        .rposition(|(name, _)| name == "FROM")
        .unwrap();
    let (build, image) = instructions.split_at(last);
    assert_eq!(image[0].1, "scratch");
    let of = |name: &str| -> Vec<&str> {
        let named = image.iter().filter(|(other, _)| other == name);
        named.map(|(_, rest)| rest.as_str()).collect()
    };
    assert_eq!(of("USER"), ["65532:65532"]);
    assert_eq!(of("ENTRYPOINT"), ["[\"/fiel\"]"]);
    let command = "[\"run\", \"--config\", \"/etc/fiel/config/fiel.yaml\"]";
    assert_eq!(of("CMD"), [command]);
    assert_eq!(of("COPY").len(), 2, "{image:?}");

    let (_, run) = build.iter().rfind(|(name, _)| name == "RUN").unwrap();
    for part in ["--release --locked", "-unknown-linux-musl", "--bin fiel"] {
        assert!(run.contains(part), "{part}: {run}");
    }
    // By a profile too, in the way that `just pgo` goes.
    assert!(run.contains("benches/profiled"), "{run}");
    assert!(
        fs::read_to_string("justfile")
            .unwrap()
            .contains("benches/profiled")
    );
    let mode = fs::metadata("benches/profiled")
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111, "{mode:o}");
    // The toolchain is one that builds it.
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let needed = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let minor = |version: &str| -> u32 {
        let minor = version.trim_matches('"').split('.').nth(1).unwrap();
        minor.parse().unwrap()
    };
    let base = instructions[0].1.strip_prefix("rust:").unwrap();
    let (used, _) = base.split_once('-').unwrap();
    assert!(minor(used) >= minor(needed.unwrap()), "{base}");
}

#[test]
fn what_the_image_is_built_from_is_not_left_out_of_its_context() {
    let ignored = fs::read_to_string(".dockerignore").unwrap();
    let ignored: Vec<&str> = ignored
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "benches",
        "examples",
        "tests",
        "config",
        "README.md",
    ] {
        assert!(!ignored.contains(&needed), "{needed}");
    }
    for left_out in ["target", ".git"] {
        assert!(ignored.contains(&left_out), "{left_out}");
    }
}

#[test]
fn the_unit_is_right_and_confined_in_the_eyes_of_systemd() {
    let unit = fs::read_to_string("examples/systemd/fiel.service").unwrap();
    for line in [
        "Type=notify",
        "ExecReload=/usr/local/bin/fiel check --config /etc/fiel",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "MemoryDenyWriteExecute=yes",
    ] {
        assert!(unit.lines().any(|other| other == line), "{line}");
    }
    let Some(analyze) = tool("systemd-analyze") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fiel.service");
    let binary = env!("CARGO_BIN_EXE_fiel");
    fs::write(&file, unit.replace("/usr/local/bin/fiel", binary)).unwrap();

    let verified = Command::new(analyze)
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(
        verified.status.success() && !told.contains("fiel.service"),
        "{told}"
    );
    // Exposure in tenths: what is left is the network itself.
    let judged = Command::new(analyze)
        .args(["security", "--offline=yes", "--threshold=20"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(judged.status.success(), "{judged:?}");
}
