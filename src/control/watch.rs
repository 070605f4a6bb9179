//! Sees when the configuration, a file or a folder of them, has changed, however it is changed.
//!
//! Notices come from every folder in which something decides what the file's path leads to (see [`Way`]), so that a
//! rename over it, a write in place, a ConfigMap's `..data` swap and a folder put in another's place are all seen. A
//! notice only makes us look: what counts is whether the octets differ from those seen last. Notices may be missing
//! (bind mounts, network file systems): a slow look every few seconds is the net.

mod content;
mod way;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep_until};

use crate::change::{Change, ReloadCause};
use crate::control::watch::content::Content;
use crate::control::watch::way::Way;

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

/// What the files held when they were last looked at. To be taken before a configuration is read, so that no change
/// is missed between the reading and the first look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen(Vec<(PathBuf, Content)>);

/// Watches a configuration's files until nobody listens, and asks for a reload at each change.
pub(crate) async fn follow(
    seen: Seen,
    files: watch::Receiver<Vec<PathBuf>>,
    changes: mpsc::Sender<Change>,
) {
    follow_looking_every(POLL, ReloadCause::File, seen, files, changes).await;
}

/// The same for the files of certificates and authorities, of which only these are read again. What was read before the
/// watch was set is not known here, so each file counts as changed at first.
pub(crate) async fn follow_certificates(
    files: watch::Receiver<Vec<PathBuf>>,
    changes: mpsc::Sender<Change>,
) {
    let nothing = Seen(Vec::new());
    follow_looking_every(POLL, ReloadCause::Certificate, nothing, files, changes).await;
}

async fn follow_looking_every(
    poll: Duration,
    cause: ReloadCause,
    mut seen: Seen,
    mut files: watch::Receiver<Vec<PathBuf>>,
    changes: mpsc::Sender<Change>,
) {
    let (noticed, mut notices) = mpsc::channel(NOTICES);
    let mut watcher = Watcher::try_new(noticed);
    seen.take_up(&files.borrow_and_update(), cause);
    watcher.cover(&seen);
    // What came before the watch was set gave no notice.
    let mut look = Some(Look::Hasty);
    let mut polls = interval(poll);
    polls.reset();
    let mut quiet_at: Option<Instant> = None;
    loop {
        match look.take() {
            None => {}
            Some(patience) => {
                // Watched before it is read: what changes after the look gives a notice.
                watcher.cover(&seen);
                let present = seen.again();
                if present == seen {
                    // A notice about something else.
                } else if patience == Look::Hasty
                    && (cause == ReloadCause::Certificate || present.is_on_the_way_from(&seen))
                {
                    // One thing is being put in another's place by hand, and is between the two steps. A certificate
                    // and its key are two files, which often come one after the other.
                    quiet_at = Some(Instant::now() + QUIET);
                } else {
                    quiet_at = None;
                    seen = present;
                    let reload = Change::Reload { cause, reply: None };
                    if changes.send(reload).await.is_err() {
                        return;
                    }
                }
            }
        }
        tokio::select! {
            Some(notice) = notices.recv() => match notice {
                Notice::Whole => look = Some(Look::Hasty),
                Notice::Writing => quiet_at = Some(Instant::now() + QUIET),
            },
            () = at(quiet_at) => {
                quiet_at = None;
                look = Some(Look::Patient);
            }
            _ = polls.tick() => {
                // A folder further up may be another by now, which gives no notice.
                watcher.cover(&seen);
                // Without a notice nobody says that the writer is done: look again after a moment of quiet.
                if quiet_at.is_none() && seen.again() != seen {
                    quiet_at = Some(Instant::now() + QUIET);
                }
            }
            changed = files.changed() => {
                if changed.is_err() {
                    return;
                }
                seen.take_up(&files.borrow_and_update(), cause);
                watcher.cover(&seen);
                look = Some(Look::Hasty);
            }
        }
    }
}

/// What a look makes of a file that has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It may be back in a moment.
    Hasty,
    /// It has had its time.
    Patient,
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Seen {
    /// What this file holds now.
    pub(crate) fn now(path: &Path) -> Self {
        Self(vec![(path.to_owned(), Content::of(path))])
    }

    /// What the same files hold now.
    fn again(&self) -> Self {
        let files = self.0.iter();
        Self(
            files
                .map(|(file, _)| (file.clone(), Content::of(file)))
                .collect(),
        )
    }

    /// Takes up the files that a new configuration depends on, without forgetting what was seen of the others.
    fn take_up(&mut self, files: &[PathBuf], cause: ReloadCause) {
        let known = std::mem::take(&mut self.0);
        let seen_of = |file: &PathBuf| match known.iter().find(|(known, _)| known == file) {
            Some((_, content)) => content.clone(),
            None if cause == ReloadCause::Certificate => Content::default(),
            None => Content::of(file),
        };
        self.0 = files
            .iter()
            .map(|file| (file.clone(), seen_of(file)))
            .collect();
    }

    fn is_on_the_way_from(&self, before: &Self) -> bool {
        let mut pairs = self.0.iter().zip(&before.0);
        pairs.any(|((_, now), (_, then))| now.is_on_the_way_from(then))
    }

    fn way(&self) -> Way {
        Way::to_all(self.0.iter().map(|(file, _)| file.as_path()))
    }
}

/// Notices from the system, as far as it gives any.
struct Watcher {
    inner: Option<RecommendedWatcher>,
    /// Also read by the thread that gives notice, so that what else goes on in these folders, such as an access log
    /// that is written to, wakes nobody.
    covered: Arc<Mutex<Way>>,
}

impl Watcher {
    fn try_new(noticed: mpsc::Sender<Notice>) -> Self {
        let covered = Arc::<Mutex<Way>>::default();
        let way = Arc::clone(&covered);
        let made = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Some(notice) = event.ok().and_then(|event| notice_of(&event, &way)) {
                // A full channel already holds a reason to look.
                noticed.try_send(notice).ok();
            }
        });
        let inner = made
            .inspect_err(|error| tracing::warn!(%error, "Files cannot be watched, they are looked at every few seconds"))
            .ok();
        Self { inner, covered }
    }

    /// Watches the folders on the way to these files and no others. They are asked for anew each time: one that was
    /// put in another's place has the same name only.
    fn cover(&mut self, seen: &Seen) {
        let Some(watcher) = &mut self.inner else {
            return;
        };
        let way = seen.way();
        let before = {
            let mut covered = self.covered.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *covered, way.clone())
        };
        for gone in before.folders.difference(&way.folders) {
            // It may be gone from the disk as well.
            watcher.unwatch(gone).ok();
        }
        for folder in &way.folders {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::debug!(folder = %folder.display(), %error, "Folder cannot be watched");
            }
        }
    }
}

fn notice_of(event: &Event, way: &Mutex<Way>) -> Option<Notice> {
    if event.need_rescan() {
        return Some(Notice::Writing);
    }
    let notice = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(_)) => Notice::Whole,
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Any => {
            Notice::Writing
        }
        EventKind::Access(_) | EventKind::Other => return None,
    };
    let way = way.lock().unwrap_or_else(PoisonError::into_inner);
    let concerns_us = event.paths.is_empty() || event.paths.iter().any(|path| way.passes(path));
    concerns_us.then_some(notice)
}

#[cfg(test)]
mod tests;
