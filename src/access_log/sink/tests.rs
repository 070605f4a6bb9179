//! Full disks, folders that go, files that are full.

use super::*;
use crate::config::model::{LogFile, LogOutput};
use std::fs;
use std::path::PathBuf;

struct Scene {
    folder: tempfile::TempDir,
    metrics: Arc<Metrics>,
}

impl Scene {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            metrics: Metrics::new(1),
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("logs/access.log")
    }

    fn sink(&self, max_bytes: Option<u64>, keep: u32) -> Sink {
        fs::create_dir_all(self.log().parent().unwrap()).unwrap();
        self.sink_to(&LogOutput::File(LogFile {
            path: self.log(),
            max_bytes,
            keep,
        }))
    }

    fn sink_to(&self, place: &LogOutput) -> Sink {
        let output = Output::open(place).unwrap();
        Sink::new(output, Arc::default(), Arc::clone(&self.metrics))
    }

    fn dropped(&self) -> u64 {
        let text = self.metrics.text(Vec::new());
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix("fiel_access_log_dropped_total "));
        value.unwrap().parse().unwrap()
    }

    /// What the files beside the log hold, by their names.
    fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(self.log().parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read_to_string(path).unwrap_or_default())
            })
            .collect();
        files.sort();
        files
    }
}

fn line(sink: &mut Sink, text: &str) {
    sink.push(|buffer| buffer.extend_from_slice(format!("{text}\n").as_bytes()));
}

fn named(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    files.iter().map(owned).collect()
}

#[test]
fn a_line_cut_short_is_ended_before_the_next_and_counts_as_lost() {
    let scene = Scene::new();
    let mut sink = scene.sink(None, 0);

    // As if the disk had become full in the middle of the second of three lines.
    sink.buffer = b"one\ntwo\nthree\n".to_vec();
    sink.lines = 3;
    let go_on = || ControlFlow::Continue(());
    sink.output.write(b"one\ntw", go_on).unwrap();
    sink.failed(6, &io::ErrorKind::StorageFull.into());
    sink.lines = 0;
    sink.buffer.clear();
    line(&mut sink, "four");
    sink.flush();

    let text = fs::read_to_string(scene.log()).unwrap();
    assert_eq!(text, "one\ntw\nfour\n");
    assert_eq!(scene.dropped(), 2);
    assert!(!sink.torn);
}

#[test]
fn a_file_that_ends_within_a_line_is_gone_on_with_on_a_new_one() {
    let scene = Scene::new();
    fs::create_dir_all(scene.log().parent().unwrap()).unwrap();
    fs::write(scene.log(), "whole\ncut o").unwrap();

    let mut sink = scene.sink(None, 0);
    line(&mut sink, "next");
    sink.flush();

    let text = fs::read_to_string(scene.log()).unwrap();
    assert_eq!(text, "whole\ncut o\nnext\n");
}

#[test]
fn a_full_disk_loses_lines_but_nothing_else() {
    let scene = Scene::new();
    let full = LogFile::endless("/dev/full".into());
    let mut sink = scene.sink_to(&LogOutput::File(full));
    for _ in 0..3 {
        line(&mut sink, "line");
        sink.flush();
    }
    assert_eq!(scene.dropped(), 3);
    assert_eq!(sink.failing.over(), Some(3), "complained of once");
}

#[test]
fn a_folder_that_went_costs_lines_until_it_is_back() {
    let scene = Scene::new();
    let mut sink = scene.sink(None, 0);
    let folder = scene.log().parent().unwrap().to_owned();
    line(&mut sink, "before");
    sink.flush();

    fs::remove_dir_all(&folder).unwrap();
    for text in ["lost", "lost too"] {
        line(&mut sink, text);
        sink.flush();
    }
    assert_eq!(scene.dropped(), 2);
    fs::create_dir(&folder).unwrap();
    line(&mut sink, "after");
    sink.flush();

    assert_eq!(scene.files(), named(&[("access.log", "after\n")]));
    assert_eq!(scene.dropped(), 2);
}

#[test]
fn a_file_that_was_removed_is_made_anew_and_one_that_was_moved_is_kept() {
    let scene = Scene::new();
    let mut sink = scene.sink(None, 0);
    let moved = scene.log().with_file_name("moved");
    line(&mut sink, "one");
    sink.flush();
    fs::rename(scene.log(), &moved).unwrap();
    line(&mut sink, "two");
    sink.flush();
    assert_eq!(scene.files(), named(&[("moved", "one\ntwo\n")]));
    fs::remove_file(moved).unwrap();
    line(&mut sink, "three");
    sink.flush();
    assert_eq!(scene.files(), named(&[("access.log", "three\n")]));
    assert_eq!(scene.dropped(), 0);
}

#[test]
fn a_full_file_is_followed_by_another_and_the_oldest_goes() {
    let scene = Scene::new();
    // Two lines of five octets each fit, a third does not.
    let mut sink = scene.sink(Some(12), 2);
    for index in 1..=9 {
        line(&mut sink, &format!("no {index}"));
    }
    sink.flush();

    let expected = [
        ("access.log", "no 9\n"),
        ("access.log.1", "no 7\nno 8\n"),
        ("access.log.2", "no 5\nno 6\n"),
    ];
    assert_eq!(scene.files(), named(&expected));
    assert_eq!(scene.dropped(), 0);
}

#[test]
fn with_none_to_keep_a_full_file_starts_over() {
    let scene = Scene::new();
    let mut sink = scene.sink(Some(12), 0);
    for index in 1..=5 {
        line(&mut sink, &format!("no {index}"));
    }
    sink.flush();
    assert_eq!(scene.files(), named(&[("access.log", "no 5\n")]));
}

#[test]
fn a_line_that_is_larger_than_a_file_has_one_of_its_own() {
    let scene = Scene::new();
    let mut sink = scene.sink(Some(8), 3);
    for text in ["a", "a very long line", "b", "c"] {
        line(&mut sink, text);
    }
    sink.flush();
    let expected = [
        ("access.log", "b\nc\n"),
        ("access.log.1", "a very long line\n"),
        ("access.log.2", "a\n"),
    ];
    assert_eq!(scene.files(), named(&expected));
}

#[test]
fn a_restart_goes_on_with_the_size_that_the_file_has() {
    let scene = Scene::new();
    for text in ["one", "two", "three"] {
        let mut sink = scene.sink(Some(9), 1);
        line(&mut sink, text);
        sink.flush();
    }
    let expected = [("access.log", "three\n"), ("access.log.1", "one\ntwo\n")];
    assert_eq!(scene.files(), named(&expected));
}

#[test]
fn a_file_that_cannot_be_rotated_grows_on_and_no_line_is_lost() {
    let scene = Scene::new();
    let mut sink = scene.sink(Some(8), 1);
    let in_the_way = scene.log().with_file_name("access.log.1");
    fs::create_dir_all(in_the_way.join("x")).unwrap();
    for text in ["one", "two", "three", "four"] {
        line(&mut sink, text);
    }
    sink.flush();
    let text = fs::read_to_string(scene.log()).unwrap();
    assert_eq!(text, "one\ntwo\nthree\nfour\n");

    fs::remove_dir_all(in_the_way).unwrap();
    // As if a second had passed.
    sink.rotate_from = None;
    line(&mut sink, "five");
    sink.flush();
    let expected = [
        ("access.log", "five\n"),
        ("access.log.1", "one\ntwo\nthree\nfour\n"),
    ];
    assert_eq!(scene.files(), named(&expected));
    assert_eq!(scene.dropped(), 0);
}

#[test]
fn a_file_put_in_the_place_of_a_full_one_is_gone_on_with() {
    let scene = Scene::new();
    let mut sink = scene.sink(Some(8), 1);
    line(&mut sink, "one");
    line(&mut sink, "two");
    sink.flush();
    fs::rename(scene.log(), scene.log().with_file_name("theirs")).unwrap();
    fs::write(scene.log(), "x\n").unwrap();
    line(&mut sink, "three");
    sink.flush();
    let expected = [("access.log", "x\nthree\n"), ("theirs", "one\ntwo\n")];
    assert_eq!(scene.files(), named(&expected));
}

#[test]
fn what_a_symbolic_link_leads_to_is_never_rotated() {
    let scene = Scene::new();
    fs::create_dir_all(scene.log().parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("real", scene.log()).unwrap();
    let mut sink = scene.sink(Some(8), 1);
    for text in ["one", "two", "three"] {
        line(&mut sink, text);
    }
    sink.flush();
    let files = scene.files();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["access.log", "real"]);
    assert_eq!(files[1].1, "one\ntwo\nthree\n");
}

#[test]
fn a_next_file_may_be_read_by_those_who_might_read_the_one_before() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    let mut sink = scene.sink(Some(8), 1);
    fs::set_permissions(scene.log(), fs::Permissions::from_mode(0o644)).unwrap();
    for text in ["one", "two", "three"] {
        line(&mut sink, text);
    }
    sink.flush();
    let mode = fs::metadata(scene.log()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}
