//! What a path holds: a file's octets, or the configuration files of a folder, by their names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::config::folder;

/// What a path held at a moment; nothing where there was nothing to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content(BTreeMap<OsString, Option<u64>>);

impl Content {
    /// What the path holds now. A file stands under no name, those of a folder under theirs. A name without octets is
    /// one that will have some in a moment, or never: a link that leads nowhere, or a file behind the `..data` of a
    /// ConfigMap that has no link of its own yet.
    pub(super) fn of(path: &Path) -> Self {
        if !path.is_dir() {
            let file = digest(path).map(|digest| (OsString::new(), Some(digest)));
            return Self(file.into_iter().collect());
        }
        let names = |folder: &Path| folder::names(folder).unwrap_or_default().counted;
        let behind = path.join("..data");
        let promised = names(&behind).into_iter().map(|name| (name, None));
        let mut files: BTreeMap<OsString, Option<u64>> = promised.collect();
        for name in names(path) {
            let file = path.join(&name);
            // A pipe would keep us waiting.
            let octets = file.is_file().then(|| digest(&file)).flatten();
            files.insert(name, octets);
        }
        Self(files)
    }

    /// Whether this may be the middle of a change that takes several steps, so that a moment's wait shows its end:
    /// something has gone that was there, or is promised that was not.
    pub(super) fn is_on_the_way_from(&self, before: &Self) -> bool {
        let gone = |(name, octets): (&OsString, &Option<u64>)| {
            octets.is_some() && !self.0.get(name).is_some_and(Option::is_some)
        };
        let promised = |(name, octets): (&OsString, &Option<u64>)| {
            octets.is_none() && !before.0.contains_key(name)
        };
        before.0.iter().any(gone) || self.0.iter().any(promised)
    }
}

/// Tells contents apart; `None` where there is nothing to read.
fn digest(file: &Path) -> Option<u64> {
    use std::hash::Hasher as _;
    let octets = fs::read(file).ok()?;
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(&octets);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_has_gone_or_is_promised_is_on_the_way_and_what_is_new_or_other_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("a.yaml"), "1").unwrap();
        fs::write(path("notes.txt"), "1").unwrap();
        let first = Content::of(root.path());

        fs::write(path("notes.txt"), "2").unwrap();
        assert_eq!(Content::of(root.path()), first);

        fs::write(path("a.yaml"), "2").unwrap();
        fs::write(path("b.yaml"), "1").unwrap();
        let second = Content::of(root.path());
        assert!(second != first && !second.is_on_the_way_from(&first));

        fs::rename(path("a.yaml"), path("c.yaml")).unwrap();
        let third = Content::of(root.path());
        assert!(third.is_on_the_way_from(&second));

        fs::create_dir(path("..1")).unwrap();
        for name in ["b.yaml", "c.yaml", "d.yaml"] {
            fs::write(path("..1").join(name), "1").unwrap();
        }
        symlink("..1", path("..data")).unwrap();
        let swapped = Content::of(root.path());
        assert!(swapped.is_on_the_way_from(&third), "d.yaml has no link yet");
        symlink("..data/d.yaml", path("d.yaml")).unwrap();
        assert!(!Content::of(root.path()).is_on_the_way_from(&third));

        fs::remove_dir_all(root.path()).unwrap();
        assert_eq!(Content::of(root.path()), Content::default());
    }
}
