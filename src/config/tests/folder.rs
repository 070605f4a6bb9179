//! A folder of files as one configuration.

use std::fs;
use std::path::Path;

use crate::config::load;
use crate::config::model::{LogFile, LogOutput};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn told(folder: &Path) -> String {
    let told = load(folder).map(|loaded| format!("{:?}", loaded.config));
    told.unwrap_err().to_string()
}

const LISTENERS: &str = "listeners: [ { name: web, bind: 127.0.0.1:8080 } ]\n";

#[test]
fn maps_are_merged_and_lists_joined_in_the_order_of_names() {
    let folder = folder(&[
        (
            "b.yaml",
            "routes: [ { name: one, split: [ { pool: a } ] } ]\npools: { a: { endpoints: [127.0.0.1:1] } }\n\
             shutdown: { delay: 1s }\nadmin: { hosts: [b.internal] }\n",
        ),
        (
            "a.yml",
            "routes: [ { name: two, match: { methods: [GET] }, split: [ { pool: b } ] } ]\n\
             pools: { b: { endpoints: [127.0.0.1:2] }, a: { endpoints: [127.0.0.1:3], version: x } }\n\
             shutdown: { drain: 2s }\nadmin: { hosts: [a.internal] }\n",
        ),
        ("c.yaml", "# nothing but words\n"),
        ("listeners.yaml", LISTENERS),
        (".hidden.yaml", "workers: nonsense"),
        ("b.yaml~", "workers: nonsense"),
        ("notes.txt", "not: [yaml"),
    ]);

    let loaded = load(folder.path()).unwrap_or_else(|problems| panic!("{problems}"));

    let config = &loaded.config;
    let routes: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(routes, ["two", "one"]);
    let hosts: Vec<&str> = config.admin.hosts.iter().map(|host| &**host).collect();
    assert_eq!(hosts, ["a.internal", "b.internal"]);
    assert_eq!(config.shutdown.delay.as_secs(), 1);
    assert_eq!(config.shutdown.drain.as_secs(), 2);
    let a = config.pools.iter().find(|pool| &*pool.name == "a").unwrap();
    let addresses = a.endpoints.iter().map(|e| e.address.to_string());
    assert_eq!(
        addresses.collect::<Vec<_>>(),
        ["127.0.0.1:3", "127.0.0.1:1"]
    );
    assert_eq!(a.version.as_deref(), Some("x"));
    let at = |name: &str| folder.path().join(name);
    assert_eq!(loaded.files, [folder.path()]);
    assert_eq!(
        loaded.parts,
        ["a.yml", "b.yaml", "c.yaml", "listeners.yaml"].map(at)
    );
    assert_eq!(loaded.left_out, [at("notes.txt")]);
}

#[test]
fn a_folder_of_one_file_means_what_the_file_means() {
    let text = super::LEAST;
    let folder = folder(&[("fiel.yaml", text)]);

    let whole = load(folder.path()).unwrap();
    let file = load(&folder.path().join("fiel.yaml")).unwrap();

    assert_eq!((&whole.config, &whole.hash), (&file.config, &file.hash));
    assert_eq!(file.parts, file.files);
}

#[test]
fn relative_files_lie_in_the_folder_and_variables_are_filled_in_everywhere() {
    let folder = folder(&[
        ("a.yaml", super::LEAST),
        ("admin.token", "secret\n"),
        (
            "b.yaml",
            "admin: { tokenFile: \"${NO_SUCH_VARIABLE_1:-admin.token}\" }\n",
        ),
        (
            "c.yaml",
            "accessLog: { output: { file: access.log } }\nzone: ${NO_SUCH_VARIABLE_2:-z}\n",
        ),
    ]);

    let loaded = load(folder.path()).unwrap_or_else(|problems| panic!("{problems}"));

    let token = folder.path().join("admin.token");
    assert_eq!(loaded.config.admin.token_file.as_ref(), Some(&token));
    assert_eq!(loaded.files, [folder.path(), &token]);
    let log = LogOutput::File(LogFile::endless(folder.path().join("access.log")));
    assert_eq!(loaded.config.access_log.output, log);
    assert_eq!(loaded.config.zone.as_deref(), Some("z"));
}

#[test]
fn a_config_map_is_read_through_its_links() {
    let folder = folder(&[]);
    let at = |path: &str| folder.path().join(path);
    fs::create_dir(at("..2026_11_20")).unwrap();
    std::os::unix::fs::symlink("..2026_11_20", at("..data")).unwrap();
    for (name, text) in [("a.yaml", super::LEAST), ("b.yaml", "zone: b\n")] {
        fs::write(at("..data").join(name), text).unwrap();
        std::os::unix::fs::symlink(format!("..data/{name}"), at(name)).unwrap();
    }

    let loaded = load(folder.path()).unwrap_or_else(|problems| panic!("{problems}"));

    assert_eq!(loaded.config.zone.as_deref(), Some("b"));
    assert_eq!(loaded.parts, [at("a.yaml"), at("b.yaml")]);
    assert!(loaded.left_out.is_empty(), "{:?}", loaded.left_out);
}

#[test]
fn what_aliases_repeat_is_bounded_over_all_files() {
    // Each by itself is allowed: 60 times 1,000.
    let text = |name: &str| {
        let items = vec!["x"; 1_000].join(", ");
        let repeats = vec![format!("*{name}"); 60].join(", ");
        format!("{name}: &{name} [{items}]\n{name}s: [{repeats}]\n")
    };
    let one = folder(&[("a.yaml", &text("a"))]);
    let two = folder(&[("a.yaml", &text("a")), ("b.yaml", &text("b"))]);

    assert!(
        !told(one.path()).contains("repeat more"),
        "{}",
        told(one.path())
    );
    let told = told(two.path());
    assert!(
        told.contains("b.yaml:") && told.contains("repeat more"),
        "{told}"
    );
}

#[test]
fn a_file_that_is_not_utf_8_is_told_beside_the_problems_of_the_others() {
    let folder = folder(&[
        ("a.yaml", "zone: [\n"),
        ("c.yaml", "zone: ${NO_SUCH_VARIABLE}\n"),
    ]);
    fs::write(folder.path().join("b.yaml"), b"a: 1\nb: \xff\n").unwrap();

    let told = told(folder.path());

    let places = ["a.yaml:", "b.yaml:2:4", "c.yaml:1:7"].map(|place| told.find(place));
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{told}"
    );
    assert!(told.ends_with("3 problems in 3 files"), "{told}");
    assert!(!told.contains("missing"), "{told}");
}

#[test]
fn a_swap_in_the_middle_of_reading_never_mixes_two_folders() {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    fs::create_dir(at("conf")).unwrap();
    for release in ["1", "2"] {
        fs::create_dir(at("conf").join(format!("..{release}"))).unwrap();
        for name in ["a", "b"] {
            let text = match name {
                "a" => format!("{}zone: z{release}\n", super::LEAST),
                _ => format!("environment: z{release}\n"),
            };
            fs::write(at("conf").join(format!("..{release}/{name}.yaml")), text).unwrap();
        }
    }
    let swap = |release: &str| {
        std::os::unix::fs::symlink(format!("..{release}"), at("conf/..data_tmp")).unwrap();
        fs::rename(at("conf/..data_tmp"), at("conf/..data")).unwrap();
    };
    swap("1");
    for name in ["a.yaml", "b.yaml"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), at("conf").join(name)).unwrap();
    }
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                swap("2");
                swap("1");
            }
        });
        for _ in 0..20 {
            // It may never stand still, which is told; it is never mixed.
            if let Ok(loaded) = load(&at("conf")) {
                assert_eq!(loaded.config.zone, loaded.config.environment);
            }
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
