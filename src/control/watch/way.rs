//! The way that a path leads to a file: the folders in which a change may make it lead elsewhere.
//!
//! The path is walked as the kernel walks it; where it leads to a folder of configuration files, so is the path of each
//! of these. A folder counts where a link of the way stands in it, or the file itself;
//! where the way breaks off, the last folder that is there counts, so that the rest is seen to come. Not seen is a
//! folder further up that is renamed with all that is in it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::config::folder;

/// Links followed at most, as in the kernel.
const LINKS: usize = 40;

/// The ways to some files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// In which something decides where the way leads, free of links themselves.
    pub(super) folders: BTreeSet<PathBuf>,
    /// What decides, by its name alone: the folder is spelt as it was when the watch was set.
    names: BTreeSet<OsString>,
    /// Of the folders, those whose configuration files all count, whatever they are called.
    whole: BTreeSet<PathBuf>,
}

impl Way {
    pub(super) fn to_all<'a>(files: impl Iterator<Item = &'a Path>) -> Self {
        let mut way = Self::default();
        for file in files {
            let Some(end) = way.walk(file).filter(|end| end.is_dir()) else {
                continue;
            };
            for name in folder::names(&end).unwrap_or_default().counted {
                way.walk(&end.join(name));
            }
            // Which files there are is decided in it, and in the folder of a ConfigMap behind it.
            way.walk(&end.join("..data"));
            way.whole.insert(end.clone());
            way.folders.insert(end);
        }
        way
    }

    /// Whether what happened at this path may concern the way.
    pub(super) fn passes(&self, path: &Path) -> bool {
        let is_part = |name| {
            let folder = path.parent();
            folder.is_some_and(|folder| self.whole.contains(folder)) && folder::counts(name)
        };
        self.folders.contains(path)
            || path
                .file_name()
                .is_some_and(|name| self.names.contains(name) || is_part(name))
    }

    /// Where the way ends, free of links, unless it breaks off.
    fn walk(&mut self, file: &Path) -> Option<PathBuf> {
        let file = std::path::absolute(file).ok()?;
        let mut at = PathBuf::from("/");
        let mut left = steps(&file);
        let mut links = 0;
        while let Some(step) = left.pop() {
            let name = match step {
                Step::Root => {
                    at = PathBuf::from("/");
                    continue;
                }
                Step::Up => {
                    at.pop();
                    continue;
                }
                Step::Down(name) => name,
            };
            let here = at.join(&name);
            let target = fs::read_link(&here).ok().filter(|_| links < LINKS);
            let is_last = left.is_empty();
            if target.is_some() || is_last || !here.exists() {
                self.folders.insert(at.clone());
                self.names.insert(name);
            }
            match target {
                Some(target) => {
                    links += 1;
                    left.extend(steps(&target));
                }
                None if !is_last && !here.exists() => return None,
                None => at = here,
            }
        }
        Some(at)
    }
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

/// The last first.
fn steps(path: &Path) -> Vec<Step> {
    path.components()
        .rev()
        .filter_map(|component| match component {
            Component::RootDir => Some(Step::Root),
            Component::ParentDir => Some(Step::Up),
            Component::Normal(name) => Some(Step::Down(name.to_owned())),
            Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folders(file: &Path) -> Vec<PathBuf> {
        Way::to_all(std::iter::once(file))
            .folders
            .into_iter()
            .collect()
    }

    #[test]
    fn a_plain_file_is_decided_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::write(root.join("a.yaml"), "").unwrap();
        assert_eq!(
            folders(&root.join("./x/../a.yaml")),
            std::slice::from_ref(&root)
        );
        assert_eq!(folders(&root.join("none.yaml")), [root]);
    }

    #[test]
    fn every_link_on_the_way_is_decided_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("releases/1")).unwrap();
        fs::create_dir(root.join("conf")).unwrap();
        fs::write(root.join("releases/1/a.yaml"), "").unwrap();
        symlink("releases/1", root.join("current")).unwrap();
        symlink("../current/a.yaml", root.join("conf/a.yaml")).unwrap();

        let way = Way::to_all(std::iter::once(root.join("conf/a.yaml").as_path()));

        let expected = [root.clone(), root.join("conf"), root.join("releases/1")];
        assert_eq!(way.folders.iter().cloned().collect::<Vec<_>>(), expected);
        assert!(way.passes(Path::new("/x/current")));
        assert!(way.passes(&root.join("conf")));
        assert!(!way.passes(&root.join("conf/access.log")));
    }

    #[test]
    fn a_way_that_breaks_off_is_watched_where_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        assert_eq!(folders(&root.join("none/yet/a.yaml")), [root]);
    }

    #[test]
    fn links_in_a_circle_come_to_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(folders(&root.join("a")), [root]);
    }

    #[test]
    fn of_a_folder_every_configuration_file_counts_and_the_way_to_each() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("conf/..1")).unwrap();
        fs::write(root.join("conf/..1/a.yaml"), "").unwrap();
        symlink("..1", root.join("conf/..data")).unwrap();
        symlink("..data/a.yaml", root.join("conf/a.yaml")).unwrap();

        let way = Way::to_all(std::iter::once(root.join("conf").as_path()));

        let expected = [root.clone(), root.join("conf"), root.join("conf/..1")];
        assert_eq!(way.folders.iter().cloned().collect::<Vec<_>>(), expected);
        for name in ["conf", "conf/..data", "conf/new.yaml"] {
            assert!(way.passes(&root.join(name)), "{name}");
        }
        for name in [
            "conf/access.log",
            "conf/.new.yaml",
            "new.yaml",
            "conf/a.yaml~",
        ] {
            assert!(!way.passes(&root.join(name)), "{name}");
        }
    }
}
