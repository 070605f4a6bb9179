//! A folder of configuration files: which of its files count, in which order, and all of them as they were at one
//! moment.
//!
//! Files count that are called `*.yaml` or `*.yml`, in the order of their names, octet by octet. Names that begin with
//! `.` (hidden files, and the `..data` of a ConfigMap, to which its visible names lead) or end in `~` are passed over in
//! silence; so are folders. Everything else lies there for another reason, such as a certificate, and is only listed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::problem::Problem;
use crate::config::source::{self, MAX_BYTES};

/// What lies in a folder.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// What counts, in order.
    pub(crate) counted: Vec<OsString>,
    /// What does not, in order.
    pub(crate) left_out: Vec<OsString>,
}

/// A folder that was read.
pub(crate) struct Folder {
    /// In order; never empty.
    pub(crate) files: Vec<(PathBuf, Result<Vec<u8>, Problem>)>,
    pub(crate) left_out: Vec<PathBuf>,
}

/// Whether a file of this name is one of a folder's configuration files.
pub(crate) fn counts(name: &OsStr) -> bool {
    let octets = name.as_bytes();
    let ending = Path::new(name).extension();
    !is_passed_over(octets) && ending.is_some_and(|end| end == "yaml" || end == "yml")
}

fn is_passed_over(name: &[u8]) -> bool {
    name.starts_with(b".") || name.ends_with(b"~")
}

/// What lies in this folder.
///
/// # Errors
/// When it cannot be listed.
pub(crate) fn names(folder: &Path) -> io::Result<Names> {
    let mut names = Names::default();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        // A link that leads nowhere is no folder: it is told when it is read.
        if is_passed_over(name.as_bytes()) || folder.join(&name).is_dir() {
            continue;
        }
        match counts(&name) {
            true => names.counted.push(name),
            false => names.left_out.push(name),
        }
    }
    names.counted.sort();
    names.left_out.sort();
    Ok(names)
}

/// Reads all files of a folder as they were at one moment: when one of them changes meanwhile, as at the swap of a
/// ConfigMap, all are read again.
///
/// # Errors
/// When the folder cannot be listed, holds no file that counts, or never stands still.
pub(crate) fn read(folder: &Path) -> Result<Folder, Problem> {
    /// What changes that often between two looks is being written to all the time.
    const TRIES: usize = 20;
    let called = folder.display().to_string();
    for _ in 0..TRIES {
        let before = Standing::of(folder).map_err(|error| source::unreadable(&called, &error))?;
        if before.names.counted.is_empty() {
            return Err(nothing_in(&called, &before.names));
        }
        let mut left = MAX_BYTES;
        let read_one = |name: &OsString| {
            let path = folder.join(name);
            let text = read_file(&path, left);
            let length = text.as_ref().map_or(0, Vec::len);
            left = left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
            (path, text)
        };
        let files = before.names.counted.iter().map(read_one).collect();
        if Standing::of(folder).is_ok_and(|after| after.marks == before.marks) {
            let left_out = before.names.left_out.iter();
            return Ok(Folder {
                files,
                left_out: left_out.map(|name| folder.join(name)).collect(),
            });
        }
        std::thread::yield_now();
    }
    Err(Problem::of_file(
        &called,
        "its files change while they are read",
        "write files aside, under a name that begins with \".\", and rename them when they are whole",
    ))
}

fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Problem> {
    let name = path.display().to_string();
    // A pipe of that name would keep the reader waiting for ever.
    if fs::metadata(path).is_ok_and(|facts| !facts.is_file()) {
        return Err(Problem::of_file(
            &name,
            "this is no file",
            "remove it from the folder, or rename it",
        ));
    }
    let is_dangling = fs::symlink_metadata(path).is_ok() && !path.exists();
    source::read(path, &name, max_bytes).map_err(|problem| match is_dangling {
        true => Problem::of_file(
            &name,
            "this link leads to no file",
            "remove it, or put the file there",
        ),
        false => problem,
    })
}

fn nothing_in(called: &str, names: &Names) -> Problem {
    let remedy = match names.left_out.first() {
        Some(other) => format!(
            "name the files *.yaml or *.yml; {} is neither",
            other.to_string_lossy()
        ),
        None => "put *.yaml or *.yml files into it, or name a file with --config".to_owned(),
    };
    Problem::of_file(called, "this folder holds no configuration file", remedy)
}

/// By what a change of the folder or of a file in it shows.
struct Standing {
    names: Names,
    marks: Vec<(OsString, Option<Mark>)>,
}

/// Device, inode, length, and the times of the last change of content and of the inode.
type Mark = (u64, u64, u64, (i64, i64), (i64, i64));

impl Standing {
    fn of(folder: &Path) -> io::Result<Self> {
        let names = names(folder)?;
        let mark = |facts: Metadata| {
            let written = (facts.mtime(), facts.mtime_nsec());
            let changed = (facts.ctime(), facts.ctime_nsec());
            (facts.dev(), facts.ino(), facts.len(), written, changed)
        };
        let mut marks: Vec<_> = names
            .counted
            .iter()
            .map(|name| (name.clone(), fs::metadata(folder.join(name)).ok().map(mark)))
            .collect();
        // Swapped there and back, it leads to the same files, and is another link.
        let link = fs::symlink_metadata(folder.join("..data"));
        marks.push((OsString::from("..data"), link.ok().map(mark)));
        Ok(Self { names, marks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_files_count_in_the_order_of_their_octets_and_nothing_hidden_does() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.yaml",
            "B.yaml",
            "10.yaml",
            "9.yml",
            "\u{e9}.yaml",
            ".a.yaml",
            "a.yaml~",
            "a.YAML",
            "notes.txt",
            "..data",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("sub.yaml")).unwrap();

        let names = names(folder.path()).unwrap();

        assert_eq!(
            names.counted,
            ["10.yaml", "9.yml", "B.yaml", "b.yaml", "\u{e9}.yaml"]
        );
        assert_eq!(names.left_out, ["a.YAML", "notes.txt"]);
    }

    #[test]
    fn a_folder_without_a_file_that_counts_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let empty = read(folder.path()).err().unwrap();
        assert!(empty.message.contains("holds no configuration"), "{empty}");
        fs::write(folder.path().join("fiel.json"), "").unwrap();
        let other = read(folder.path()).err().unwrap();
        assert!(other.remedy.contains("fiel.json is neither"), "{other}");
    }

    #[test]
    fn a_pipe_and_a_link_to_nowhere_are_told_and_keep_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("a.yaml")).unwrap();
        let pipe = folder.path().join("b.yaml");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();

        let read = read(folder.path()).unwrap();

        let told: Vec<String> = read
            .files
            .into_iter()
            .map(|(_, text)| text.unwrap_err().message)
            .collect();
        assert_eq!(told, ["this link leads to no file", "this is no file"]);
    }
}
