//! Programs of all kinds, each of which ends in its own way.

use std::fs;
use std::path::Path;

use super::*;
use crate::probe::counts::ProbeResult::{self, Failure, Success};

/// Only a net for when something hangs.
const AGES: Duration = Duration::from_secs(60);

fn program(command: &[&str]) -> Arc<Program> {
    let words: Vec<Word> = command
        .iter()
        .map(|text| Word {
            text: (*text).into(),
            is_secret: false,
        })
        .collect();
    let endpoint = "127.0.0.1:8080".parse().unwrap();
    Arc::new(Program::new(&words, "shop".into(), &endpoint))
}

fn sh(script: &str) -> Arc<Program> {
    program(&["sh", "-c", script])
}

async fn asked(program: &Arc<Program>) -> (ProbeResult, String) {
    let answer = ask(program, AGES).await.expect("it ends");
    (answer.result, answer.detail.into_owned())
}

/// The process that has written its number here, once it has.
async fn number_in(file: &Path) -> i32 {
    for _ in 0..5_000 {
        if let Ok(text) = fs::read_to_string(file)
            && let Some(line) = text.strip_suffix('\n')
        {
            return line.parse().unwrap();
        }
        sleep(Duration::from_millis(2)).await;
    }
    panic!("nothing is in {}", file.display());
}

/// Waits until there is no such process any more, not even a zombie that is ours.
async fn wait_until_gone(number: i32) {
    let mut state = String::new();
    for _ in 0..5_000 {
        let Ok(stat) = fs::read_to_string(format!("/proc/{number}/stat")) else {
            return;
        };
        let (_, behind) = stat.rsplit_once(") ").unwrap();
        let mut words = behind.split(' ');
        state = words.next().unwrap().to_owned();
        let parent: u32 = words.next().unwrap().parse().unwrap();
        if state == "Z" && parent != std::process::id() {
            return;
        }
        sleep(Duration::from_millis(2)).await;
    }
    panic!("{number} is still there: {state}");
}

#[tokio::test]
async fn the_exit_status_decides_and_the_first_words_say_why() {
    let cases = [
        ("exit 0", Success, "exit status 0"),
        ("echo fine", Success, "exit status 0"),
        ("exit 3", Failure, "exit status 3"),
        (
            "echo; echo '  no  db '; echo more >&2; exit 1",
            Failure,
            "exit status 1: no  db",
        ),
        (
            "printf 'a\\033[31mb\\rc' >&2; exit 1",
            Failure,
            "exit status 1: a[31mbc",
        ),
        ("kill -9 $$", Failure, "killed by signal 9"),
    ];
    for (script, result, detail) in cases {
        let answer = asked(&sh(script)).await;
        assert_eq!(answer, (result, detail.to_owned()), "{script}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_a_failure_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    fs::write(&plain, "exit 0").unwrap();
    let plain = plain.to_str().unwrap();
    let denied = format!("could not run {plain}: permission denied");
    let cases = [
        (
            "no-such-program-here",
            "could not run no-such-program-here: there is none",
        ),
        ("/no/such", "could not run /no/such: there is none"),
        (plain, denied.as_str()),
    ];
    for (name, detail) in cases {
        let answer = asked(&program(&[name])).await;
        assert_eq!(answer, (Failure, detail.to_owned()));
    }
}

#[tokio::test]
async fn it_is_told_its_pool_and_its_endpoint_beside_the_environment_of_fiel() {
    let script = "test \"$FIEL_POOL $FIEL_ENDPOINT\" = 'shop 127.0.0.1:8080' && test -n \"$PATH\"";
    assert_eq!(asked(&sh(script)).await.0, Success);
}

#[tokio::test]
async fn arguments_go_through_no_shell() {
    let words = ["test", "$HOME;*", "=", "$HOME;*"];
    assert_eq!(asked(&program(&words)).await.0, Success);
}

/// What this process was itself started with and passes on without having a say in it.
fn passed_on() -> Vec<String> {
    const CLOSED_ON_EXEC: u32 = 0o2_000_000;
    let mut numbers = Vec::new();
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.map(|flags| u32::from_str_radix(flags.trim(), 8).unwrap());
        if flags.is_some_and(|flags| flags & CLOSED_ON_EXEC == 0) {
            numbers.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    numbers
}

#[tokio::test]
async fn it_inherits_no_file_and_reads_nothing() {
    let _open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script =
        "cat; cd /proc/self/fd && for fd in *; do test -e $fd && printf \"$fd \"; done; exit 1";

    let (_, said) = asked(&sh(script)).await;

    let fds = said.strip_prefix("exit status 1: ").unwrap();
    let known = passed_on();
    let leaked: Vec<&str> = fds
        .split(' ')
        .filter(|fd| !["0", "1", "2"].contains(fd) && !known.iter().any(|known| known == fd))
        .collect();
    assert_eq!(leaked, Vec::<&str>::new(), "of {fds}");
    assert!(fds.starts_with("0 1 "), "{fds}");
}

#[tokio::test]
async fn much_output_is_read_and_forgotten() {
    let (result, detail) = asked(&sh("yes word | head -c 3000000; exit 1")).await;
    assert_eq!((result, detail.as_str()), (Failure, "exit status 1: word"));
    let (_, detail) = asked(&sh("yes | tr -d '\\n' | head -c 3000000; exit 1")).await;
    let expected = format!("exit status 1: {}…", "y".repeat(TOLD_LETTERS));
    assert_eq!(detail, expected);
}

#[tokio::test]
async fn at_the_timeout_the_whole_group_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let [leader, child] = ["leader", "child"].map(|name| folder.path().join(name));
    let script = format!(
        "echo $$ > {}; sleep 1000 & echo $! > {}; wait",
        leader.display(),
        child.display()
    );
    // Longer where that was too short for both to be there.
    let mut limit = Duration::from_secs(1);
    while !child.exists() && limit < AGES {
        assert_eq!(ask(&sh(&script), limit).await, None);
        limit *= 4;
    }
    for file in [leader, child] {
        wait_until_gone(number_in(&file).await).await;
    }
}

#[tokio::test]
async fn one_that_nobody_waits_for_any_more_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("child");
    let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
    let asking = tokio::spawn(async move { ask(&sh(&script), AGES).await });
    let number = number_in(&file).await;
    asking.abort();
    wait_until_gone(number).await;
}

#[tokio::test]
async fn what_it_leaves_behind_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("child");
    let script = format!("sleep 1000 & echo $! > {}", file.display());
    assert_eq!(asked(&sh(&script)).await.0, Success);
    wait_until_gone(number_in(&file).await).await;
}
