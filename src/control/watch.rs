//! Sees when the configuration file has changed, however it is changed.
//!
//! Notices come from the folder that holds the file and from the one that holds what it resolves to, so that a rename
//! over it, a write in place and a ConfigMap's `..data` swap are all seen. A notice only makes us look: what counts is
//! whether the octets differ from those seen last. Notices may be missing (bind mounts, network file systems): a slow
//! look every few seconds is the net.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep_until};

use crate::change::{Change, ReloadCause};

/// How long a file that is written in place must be left alone before it is taken for whole.
const QUIET: Duration = Duration::from_millis(100);

/// How often the file is looked at without any notice.
const POLL: Duration = Duration::from_secs(5);

/// Notices that may wait; one is as good as many.
const NOTICES: usize = 16;

/// What a notice says about the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    /// It is whole: something was renamed, or its writer has closed it.
    Whole,
    /// Somebody is writing.
    Writing,
}

/// Watches a configuration's files until nobody listens, and asks for a reload at each change.
pub(crate) async fn follow(
    path: PathBuf,
    mut files: watch::Receiver<Vec<PathBuf>>,
    changes: mpsc::Sender<Change>,
) {
    let (noticed, mut notices) = mpsc::channel(NOTICES);
    let mut watcher = Watcher::try_new(noticed);
    let mut seen = Seen::now(&path, &files.borrow_and_update());
    watcher.cover(&seen.folders);
    let mut polls = interval(POLL);
    let mut quiet_at: Option<Instant> = None;
    loop {
        let mut look = false;
        tokio::select! {
            Some(notice) = notices.recv() => match notice {
                Notice::Whole => look = true,
                Notice::Writing => quiet_at = Some(Instant::now() + QUIET),
            },
            () = at(quiet_at) => {
                quiet_at = None;
                look = true;
            }
            _ = polls.tick() => {
                // Without a notice nobody says that the writer is done: look again after a moment of quiet.
                if quiet_at.is_none() && Seen::now(&path, &files.borrow()) != seen {
                    quiet_at = Some(Instant::now() + QUIET);
                }
            }
            changed = files.changed() => {
                if changed.is_err() {
                    return;
                }
                let depends_on = files.borrow_and_update().clone();
                seen.take_up(&path, &depends_on);
                watcher.cover(&seen.folders);
            }
        }
        if !look {
            continue;
        }
        let present = Seen::now(&path, &files.borrow());
        if present == seen {
            continue;
        }
        quiet_at = None;
        seen = present;
        watcher.cover(&seen.folders);
        let reload = Change::Reload {
            cause: ReloadCause::File,
            reply: None,
        };
        if changes.send(reload).await.is_err() {
            return;
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What the files held when they were last looked at.
#[derive(Debug)]
struct Seen {
    contents: Vec<(PathBuf, Option<u64>)>,
    folders: BTreeSet<PathBuf>,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        self.contents == other.contents
    }
}

impl Seen {
    fn now(path: &Path, files: &[PathBuf]) -> Self {
        let mut all: Vec<&Path> = vec![path];
        all.extend(
            files
                .iter()
                .map(PathBuf::as_path)
                .filter(|file| *file != path),
        );
        let contents = all
            .iter()
            .map(|file| (file.to_path_buf(), digest(file)))
            .collect();
        let folders = all.iter().flat_map(|file| folders_of(file)).collect();
        Self { contents, folders }
    }

    /// Takes up files that a new configuration depends on, without forgetting what was seen of the others.
    fn take_up(&mut self, path: &Path, files: &[PathBuf]) {
        let mut present = Self::now(path, files);
        for (file, content) in &mut present.contents {
            if let Some((_, known)) = self.contents.iter().find(|(known, _)| known == file) {
                *content = *known;
            }
        }
        *self = present;
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

/// The folder of a file as named, and that of what it resolves to.
fn folders_of(file: &Path) -> Vec<PathBuf> {
    let parent = |file: &Path| match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut folders = vec![parent(file)];
    if let Ok(resolved) = fs::canonicalize(file) {
        folders.push(parent(&resolved));
    }
    folders
}

/// Notices from the system, as far as it gives any.
struct Watcher {
    inner: Option<RecommendedWatcher>,
    covered: BTreeSet<PathBuf>,
}

impl Watcher {
    fn try_new(noticed: mpsc::Sender<Notice>) -> Self {
        let made = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Some(notice) = event.ok().and_then(|event| notice_of(event.kind)) {
                // A full channel already holds a reason to look.
                noticed.try_send(notice).ok();
            }
        });
        let inner = made
            .inspect_err(|error| tracing::warn!(%error, "Files cannot be watched, they are looked at every few seconds"))
            .ok();
        Self {
            inner,
            covered: BTreeSet::new(),
        }
    }

    /// Watches these folders and no others. A folder that was replaced is watched anew, as it has the same name only.
    fn cover(&mut self, folders: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.inner else {
            return;
        };
        for gone in self.covered.difference(folders) {
            // It may be gone from the disk as well.
            drop(watcher.unwatch(gone));
        }
        self.covered = folders
            .iter()
            .filter(|folder| watcher.watch(folder, RecursiveMode::NonRecursive).is_ok())
            .cloned()
            .collect();
    }
}

fn notice_of(kind: EventKind) -> Option<Notice> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(_)) => Some(Notice::Whole),
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Any => {
            Some(Notice::Writing)
        }
        EventKind::Access(_) | EventKind::Other => None,
    }
}
