//! A private folder with the demo's configuration, which goes when the demo goes.
//!
//! A real file, so that the demo can be edited while it runs and goes the very way of `fiel run`.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The folder, removed with its file on drop.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    file: PathBuf,
}

impl Folder {
    /// Makes a folder that only this user may enter, with one file in it.
    ///
    /// Names are tried in turn: one that is there already (another demo, or somebody's trap in a shared `/tmp`) is
    /// never used, because making a folder fails where anything stands.
    pub(crate) fn with_file(name: &str, text: &str) -> io::Result<Self> {
        let path = (0..100)
            .find_map(|turn| {
                let name = format!("fiel-demo-{}-{turn}", std::process::id());
                let path = std::env::temp_dir().join(name);
                match DirBuilder::new().mode(0o700).create(&path) {
                    Ok(()) => Some(Ok(path)),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                    Err(error) => Some(Err(error)),
                }
            })
            .unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))?;
        let folder = Self {
            file: path.join(name),
            path,
        };
        fs::write(&folder.file, text)?;
        Ok(folder)
    }

    /// The file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Only what the demo made goes, and the copy that the edit it proposes (`sed -i.old`) leaves behind; a file
        // that the user has put here stays, and the folder with it.
        fs::remove_file(&self.file).ok();
        fs::remove_file(self.file.with_extension("yaml.old")).ok();
        fs::remove_dir(&self.path).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_goes_with_its_owner() {
        let folder = Folder::with_file("a.yaml", "a: 1\n").unwrap();
        let (path, file) = (folder.path.clone(), folder.file.clone());
        assert_eq!(fs::read_to_string(&file).unwrap(), "a: 1\n");

        drop(folder);

        assert!(!path.exists(), "{} is still there", path.display());
    }

    #[test]
    fn two_demos_of_one_process_have_folders_of_their_own() {
        let one = Folder::with_file("a.yaml", "").unwrap();
        let other = Folder::with_file("a.yaml", "").unwrap();
        assert_ne!(one.file(), other.file());
    }
}
