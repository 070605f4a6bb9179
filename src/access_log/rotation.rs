//! From a full file to the next: `access.log` becomes `access.log.1`, which becomes `access.log.2`, and so on.
//!
//! Gaps, as an interruption between two steps would leave, are closed by and by. What lies beyond the last file that is
//! kept is somebody else's.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Moves a file out of the way and those before it on by one; the oldest goes. With none to keep, the file itself goes.
///
/// # Errors
/// The system's, where something could not be moved. What was moved by then stays so.
pub(super) fn shift(path: &Path, keep: u32) -> io::Result<()> {
    if keep == 0 {
        return present(fs::remove_file(path));
    }
    for older in (1..keep).rev() {
        present(fs::rename(numbered(path, older), numbered(path, older + 1)))?;
    }
    present(fs::rename(path, numbered(path, 1)))
}

/// A file that is not there needs no moving.
fn present(moved: io::Result<()>) -> io::Result<()> {
    match moved {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved,
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_move_on_by_one_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("access.log");
        let there = || -> Vec<String> {
            (0..5)
                .filter_map(|number| {
                    let path = match number {
                        0 => log.clone(),
                        number => numbered(&log, number),
                    };
                    Some(format!("{number}:{}", fs::read_to_string(path).ok()?))
                })
                .collect()
        };
        for round in ["a", "b", "c", "d"] {
            fs::write(&log, round).unwrap();
            shift(&log, 2).unwrap();
        }
        assert_eq!(there(), ["1:d", "2:c"]);
        fs::remove_file(numbered(&log, 1)).unwrap();
        fs::write(&log, "e").unwrap();
        shift(&log, 3).unwrap();
        assert_eq!(there(), ["1:e", "3:c"], "a gap moves on too");
        fs::write(&log, "f").unwrap();
        shift(&log, 0).unwrap();
        assert_eq!(there(), ["1:e", "3:c"], "none is kept");
        shift(&log, 1).unwrap();
        assert_eq!(there(), ["1:e", "3:c"], "there is nothing to move");
    }
}
