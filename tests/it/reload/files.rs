//! How a change of the file is noticed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::{IN_FORCE, REJECTED, UNCHANGED, answering};
use crate::support::wait::eventually;
use crate::support::{Fiel, client};

/// Runs with the file at `path` in a folder that `prepare` fills.
fn start(path: &str, prepare: impl FnOnce(&Path)) -> Fiel {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_fiel"));
    command
        .args(["run", "--config"])
        .arg(folder.path().join(path));
    let fiel = Fiel::command(command, folder);
    fiel.wait_until_ready();
    fiel
}

#[track_caller]
fn assert_answers(fiel: &Fiel, text: &str) {
    let web = fiel.address("web");
    eventually(&format!("the answer {text:?}"), || {
        (client::get(web, "/").text() == text).then_some(())
    });
}

fn put(folder: &Path, path: &str, text: &str) {
    fs::write(folder.join(path), answering(text)).unwrap();
}

#[test]
fn a_file_renamed_over_is_taken_up() {
    let fiel = Fiel::start(&answering("0"));
    for round in 1..4 {
        fiel.rewrite(&answering(&round.to_string()));
        fiel.wait_for_logs(IN_FORCE, round);
        assert_answers(&fiel, &round.to_string());
    }
}

#[test]
fn a_file_written_in_place_is_taken_up() {
    let fiel = Fiel::start(&answering("0"));
    for round in 1..4 {
        put(fiel.folder(), "fiel.yaml", &round.to_string());
        assert_answers(&fiel, &round.to_string());
    }
}

#[test]
fn a_file_written_piece_by_piece_is_taken_up_whole() {
    let fiel = Fiel::start(&answering("one"));
    let text = format!("{}accessLog: {{ output: \"off\" }}\n", answering("two"));
    let mut file = fs::File::create(fiel.file()).unwrap();
    for piece in text.as_bytes().chunks(40) {
        file.write_all(piece).unwrap();
        file.sync_all().unwrap();
    }
    drop(file);
    assert_answers(&fiel, "two");
}

#[test]
fn a_swap_of_a_config_map_is_taken_up_each_time() {
    // As the kubelet lays it out, and swaps it: a folder of the moment, a link to it, links through that one.
    let fiel = start("fiel.yaml", |root| {
        fs::create_dir(root.join("..2026_11_20_11_00_00.0")).unwrap();
        put(root, "..2026_11_20_11_00_00.0/fiel.yaml", "0");
        symlink("..2026_11_20_11_00_00.0", root.join("..data")).unwrap();
        symlink("..data/fiel.yaml", root.join("fiel.yaml")).unwrap();
    });
    for round in 1..4 {
        let name = |round: usize| format!("..2026_11_20_11_00_00.{round}");
        let root = fiel.folder();
        fs::create_dir(root.join(name(round))).unwrap();
        put(
            root,
            &format!("{}/fiel.yaml", name(round)),
            &round.to_string(),
        );
        symlink(name(round), root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        fs::remove_dir_all(root.join(name(round - 1))).unwrap();
        fiel.wait_for_logs(IN_FORCE, round);
        assert_answers(&fiel, &round.to_string());
    }
    let log = fiel.log().join("\n");
    assert!(!log.contains(REJECTED), "{log}");
}

#[test]
fn a_file_that_becomes_a_link_is_taken_up_and_what_it_leads_to_as_well() {
    let fiel = Fiel::start(&answering("one"));
    let root = fiel.folder();
    fs::create_dir(root.join("elsewhere")).unwrap();
    put(root, "elsewhere/other.yaml", "two");
    symlink("elsewhere/other.yaml", root.join("link")).unwrap();
    fs::rename(root.join("link"), fiel.file()).unwrap();
    assert_answers(&fiel, "two");
    put(root, "elsewhere/other.yaml", "three");
    assert_answers(&fiel, "three");
}

#[test]
fn a_file_that_has_gone_is_reported_and_taken_up_when_it_is_back() {
    let fiel = Fiel::start(&answering("one"));
    fs::remove_file(fiel.file()).unwrap();
    let line = fiel.wait_for_log(REJECTED);
    assert!(line.contains("fiel.yaml"), "{line}");
    assert_answers(&fiel, "one");
    put(fiel.folder(), "fiel.yaml", "two");
    assert_answers(&fiel, "two");
}

#[test]
fn a_folder_put_in_the_place_of_the_files_is_taken_up_and_watched() {
    let fiel = start("conf/fiel.yaml", |root| {
        for (folder, text) in [("conf", "one"), ("next", "two")] {
            fs::create_dir(root.join(folder)).unwrap();
            put(&root.join(folder), "fiel.yaml", text);
        }
    });
    let at = |path: &str| -> PathBuf { fiel.folder().join(path) };
    fs::rename(at("conf"), at("old")).unwrap();
    fs::rename(at("next"), at("conf")).unwrap();
    assert_answers(&fiel, "two");
    put(fiel.folder(), "conf/fiel.yaml", "three");
    assert_answers(&fiel, "three");
}

#[test]
fn a_file_that_is_touched_is_left_alone_and_unchanged_when_asked() {
    let fiel = Fiel::start(&answering("one"));
    let file = fs::File::options().append(true).open(fiel.file()).unwrap();
    file.set_modified(std::time::SystemTime::now()).unwrap();
    drop(file);

    fiel.signal(Signal::HUP);

    let line = fiel.wait_for_log(UNCHANGED);
    assert!(line.contains("Signal"), "{line}");
}

/// The parts of the usual configuration, and what this route of it answers.
fn put_parts(folder: &Path, text: &str) {
    let whole = answering(text);
    let (edge, rest) = whole.split_at(whole.find("routes:").unwrap());
    let (routes, pools) = rest.split_at(rest.find("pools:").unwrap());
    for (name, part) in [("a.yaml", edge), ("b.yaml", routes), ("c.yml", pools)] {
        fs::write(folder.join(name), part).unwrap();
    }
}

#[test]
fn a_folder_is_taken_up_when_a_file_of_it_comes_changes_is_renamed_or_goes() {
    let fiel = start("conf", |root| {
        fs::create_dir(root.join("conf")).unwrap();
        put_parts(&root.join("conf"), "one");
    });
    let at = |name: &str| fiel.folder().join("conf").join(name);
    assert_answers(&fiel, "one");

    let routes = fs::read_to_string(at("b.yaml")).unwrap();
    fs::write(at("b.yaml"), routes.replace("one", "two")).unwrap();
    assert_answers(&fiel, "two");

    let route = "routes: [ { name: get, match: { methods: [GET] }, respond: { body: three } } ]";
    fs::write(at("d.yaml"), route).unwrap();
    assert_answers(&fiel, "three");

    fs::rename(at("d.yaml"), at("d.yaml.off")).unwrap();
    assert_answers(&fiel, "two");
    fs::rename(at("d.yaml.off"), at("e.yaml")).unwrap();
    assert_answers(&fiel, "three");

    fs::write(at(".e.yaml"), route.replace("three", "four")).unwrap();
    fs::rename(at(".e.yaml"), at("e.yaml")).unwrap();
    assert_answers(&fiel, "four");

    fs::remove_file(at("e.yaml")).unwrap();
    assert_answers(&fiel, "two");

    fs::write(at("d.yaml"), "workers: 1\nworkers: 2\n").unwrap();
    let line = fiel.wait_for_log(REJECTED);
    assert!(line.contains("d.yaml:2:1"), "{line}");
    assert_answers(&fiel, "two");
}

#[test]
fn a_swap_of_a_config_map_of_several_files_is_taken_up_whole_each_time() {
    let name = |round: usize| format!("..2026_11_20_11_00_00.{round}");
    let fiel = start("conf", |root| {
        let conf = root.join("conf");
        fs::create_dir_all(conf.join(name(0))).unwrap();
        put_parts(&conf.join(name(0)), "0");
        symlink(name(0), conf.join("..data")).unwrap();
        for part in ["a.yaml", "b.yaml", "c.yml"] {
            symlink(format!("..data/{part}"), conf.join(part)).unwrap();
        }
    });
    let conf = fiel.folder().join("conf");
    for round in 1..4 {
        fs::create_dir(conf.join(name(round))).unwrap();
        put_parts(&conf.join(name(round)), &round.to_string());
        symlink(name(round), conf.join("..data_tmp")).unwrap();
        fs::rename(conf.join("..data_tmp"), conf.join("..data")).unwrap();
        fs::remove_dir_all(conf.join(name(round - 1))).unwrap();
        fiel.wait_for_logs(IN_FORCE, round);
        assert_answers(&fiel, &round.to_string());
    }
    let log = fiel.log().join("\n");
    assert!(!log.contains(REJECTED), "{log}");
    assert_eq!(log.matches(IN_FORCE).count(), 3, "{log}");
}

#[test]
fn a_folder_put_in_the_place_of_the_folder_is_taken_up_and_watched() {
    let fiel = start("conf", |root| {
        for (folder, text) in [("conf", "one"), ("next", "two")] {
            fs::create_dir(root.join(folder)).unwrap();
            put_parts(&root.join(folder), text);
        }
    });
    let at = |path: &str| -> PathBuf { fiel.folder().join(path) };
    fs::rename(at("conf"), at("old")).unwrap();
    fs::rename(at("next"), at("conf")).unwrap();
    assert_answers(&fiel, "two");
    let routes = fs::read_to_string(at("conf/b.yaml")).unwrap();
    fs::write(at("conf/b.yaml"), routes.replace("two", "three")).unwrap();
    assert_answers(&fiel, "three");
}
