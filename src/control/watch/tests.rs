//! Over real files and the system's own notices: the slow look is as good as off, so that only notices count.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;

use super::*;

/// A net, never a measure.
const DEADLINE: Duration = Duration::from_secs(30);

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

/// A file that is being followed.
struct Followed {
    root: PathBuf,
    changes: mpsc::Receiver<Change>,
    files: watch::Sender<Vec<PathBuf>>,
    _folder: tempfile::TempDir,
}

impl Followed {
    /// Follows `path` in a folder that `prepare` fills, once it is known that notices come.
    async fn begin(path: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        prepare(&root);
        let file = root.join(path);
        // As if it had been read before the last change: the follower says so when it is ready.
        let seen = Seen(vec![(file.clone(), Content::default())]);
        let (files, followed) = watch::channel(vec![file]);
        let (asked, changes) = mpsc::channel(16);
        tokio::spawn(follow_looking_every(
            NEVER,
            ReloadCause::File,
            seen,
            followed,
            asked,
        ));
        let mut this = Self {
            root,
            changes,
            files,
            _folder: folder,
        };
        this.changed().await;
        this
    }

    /// Waits for a reload to be asked for.
    async fn changed(&mut self) {
        let change = tokio::time::timeout(DEADLINE, self.changes.recv()).await;
        let change = change.expect("a change is noticed");
        assert!(matches!(change, Some(Change::Reload { .. })), "{change:?}");
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.root.join(path), text).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.root.join(from), self.root.join(to)).unwrap();
    }

    fn link(&self, target: &str, path: &str) {
        symlink(target, self.root.join(path)).unwrap();
    }
}

fn one_file(root: &Path) {
    fs::write(root.join("a.yaml"), "1").unwrap();
}

#[tokio::test]
async fn a_rename_over_the_file_is_noticed() {
    let mut file = Followed::begin("a.yaml", one_file).await;
    for round in 0..3 {
        file.write("aside", &format!("round {round}"));
        file.rename("aside", "a.yaml");
        file.changed().await;
    }
}

#[tokio::test]
async fn a_write_in_place_is_noticed_when_its_writer_closes_it() {
    let mut file = Followed::begin("a.yaml", one_file).await;
    file.write("a.yaml", "2");
    file.changed().await;
}

#[tokio::test]
async fn a_write_whose_writer_keeps_the_file_open_is_noticed_once_it_is_quiet() {
    let mut file = Followed::begin("a.yaml", one_file).await;
    let mut open = fs::File::options()
        .append(true)
        .open(file.root.join("a.yaml"))
        .unwrap();
    open.write_all(b"2").unwrap();
    file.changed().await;
    drop(open);
}

#[tokio::test]
async fn a_log_that_grows_beside_the_file_keeps_no_change_from_being_noticed() {
    let mut file = Followed::begin("a.yaml", one_file).await;
    let mut log = fs::File::create(file.root.join("access.log")).unwrap();
    let mut open = fs::File::options()
        .append(true)
        .open(file.root.join("a.yaml"))
        .unwrap();
    open.write_all(b"2").unwrap();
    let chatter = async {
        loop {
            log.write_all(b"line\n").unwrap();
            tokio::time::sleep(QUIET / 10).await;
        }
    };
    tokio::select! {
        () = chatter => {}
        () = file.changed() => {}
    }
}

#[tokio::test]
async fn a_swap_of_the_link_of_a_config_map_is_noticed_each_time() {
    let mut file = Followed::begin("fiel.yaml", |root| {
        fs::create_dir(root.join("..0")).unwrap();
        fs::write(root.join("..0/fiel.yaml"), "0").unwrap();
        symlink("..0", root.join("..data")).unwrap();
        symlink("..data/fiel.yaml", root.join("fiel.yaml")).unwrap();
    })
    .await;
    for round in 1..4 {
        let name = format!("..{round}");
        fs::create_dir(file.root.join(&name)).unwrap();
        file.write(&format!("{name}/fiel.yaml"), &name);
        file.link(&name, "..data_tmp");
        file.rename("..data_tmp", "..data");
        fs::remove_dir_all(file.root.join(format!("..{}", round - 1))).unwrap();
        file.changed().await;
    }
}

#[tokio::test]
async fn a_link_of_a_folder_further_up_may_be_swapped() {
    let mut file = Followed::begin("current/a.yaml", |root| {
        for release in ["1", "2"] {
            fs::create_dir(root.join(release)).unwrap();
            fs::write(root.join(release).join("a.yaml"), release).unwrap();
        }
        symlink("1", root.join("current")).unwrap();
    })
    .await;
    file.link("2", "next");
    file.rename("next", "current");
    file.changed().await;
    file.write("2/a.yaml", "2.1");
    file.changed().await;
}

#[tokio::test]
async fn a_folder_may_be_put_in_the_place_of_the_files() {
    let mut file = Followed::begin("conf/a.yaml", |root| {
        for folder in ["conf", "next"] {
            fs::create_dir(root.join(folder)).unwrap();
            fs::write(root.join(folder).join("a.yaml"), folder).unwrap();
        }
    })
    .await;
    file.rename("conf", "old");
    file.rename("next", "conf");
    file.changed().await;
    file.write("conf/a.yaml", "2");
    file.changed().await;
}

#[tokio::test]
async fn a_folder_with_the_same_in_it_is_watched_in_the_place_of_the_old_one() {
    let mut file = Followed::begin("conf/a.yaml", |root| {
        for folder in ["conf", "next"] {
            fs::create_dir(root.join(folder)).unwrap();
            fs::write(root.join(folder).join("a.yaml"), "same").unwrap();
        }
    })
    .await;
    file.rename("conf", "old");
    file.rename("next", "conf");
    // Of the two changes either may be met first, and the second only through the new folder.
    fs::remove_dir_all(file.root.join("old")).unwrap();
    file.write("conf/a.yaml", "other");
    file.changed().await;
    file.write("conf/a.yaml", "yet another");
    file.changed().await;
}

#[tokio::test]
async fn a_file_that_has_gone_is_noticed_and_so_is_its_return() {
    let mut file = Followed::begin("a.yaml", one_file).await;
    fs::remove_file(file.root.join("a.yaml")).unwrap();
    file.changed().await;
    file.write("a.yaml", "2");
    file.changed().await;
}

#[tokio::test]
async fn a_file_may_become_a_link_and_what_it_leads_to_is_followed() {
    let mut file = Followed::begin("a.yaml", |root| {
        one_file(root);
        fs::create_dir(root.join("elsewhere")).unwrap();
        fs::write(root.join("elsewhere/b.yaml"), "2").unwrap();
    })
    .await;
    fs::remove_file(file.root.join("a.yaml")).unwrap();
    file.link("elsewhere/b.yaml", "a.yaml");
    file.changed().await;
    file.write("elsewhere/b.yaml", "3");
    // Where the link was slow to come, its absence was a change of its own.
    file.changed().await;
}

#[tokio::test]
async fn a_file_that_the_configuration_names_is_followed_from_then_on() {
    let mut file = Followed::begin("a.yaml", |root| {
        one_file(root);
        fs::write(root.join("token"), "1").unwrap();
    })
    .await;
    let both = vec![file.root.join("a.yaml"), file.root.join("token")];
    file.files.send_replace(both);
    // Nobody tells when it is taken up, so it is changed until it is noticed.
    for round in 0..1000 {
        file.write("token", &format!("{round}"));
        let noticed = tokio::time::timeout(QUIET, file.changes.recv()).await;
        if noticed.is_ok() {
            return;
        }
    }
    panic!("a change of the token is not noticed");
}

fn a_folder(root: &Path) {
    fs::create_dir(root.join("conf")).unwrap();
    for name in ["a.yaml", "b.yaml"] {
        fs::write(root.join("conf").join(name), name).unwrap();
    }
}

impl Followed {
    /// Waits for a reload to be asked for, and for the moment of quiet in which a second one would be.
    async fn changed_once(&mut self) {
        self.changed().await;
        // What a quiet moment would still bring.
        tokio::time::sleep(2 * QUIET).await;
        assert!(self.changes.try_recv().is_err(), "noticed a second time");
    }
}

#[tokio::test]
async fn each_change_of_a_folder_is_noticed_once() {
    let mut folder = Followed::begin("conf", a_folder).await;
    folder.write("conf/c.yaml", "added");
    folder.changed_once().await;
    folder.write("conf/c.yaml", "written in place");
    folder.changed_once().await;
    folder.write("conf/.c.yaml", "renamed over");
    folder.rename("conf/.c.yaml", "conf/c.yaml");
    folder.changed_once().await;
    folder.rename("conf/c.yaml", "conf/d.yaml");
    folder.changed_once().await;
    fs::remove_file(folder.root.join("conf/d.yaml")).unwrap();
    folder.changed_once().await;
}

#[tokio::test]
async fn what_does_not_count_in_a_folder_wakes_nobody() {
    let mut folder = Followed::begin("conf", a_folder).await;
    for name in ["access.log", "b.yaml~", ".b.yaml.swp", "notes.txt"] {
        folder.write(&format!("conf/{name}"), "x");
    }
    folder.write("conf/b.yaml", "2");
    folder.changed_once().await;
}

#[tokio::test]
async fn a_swap_of_a_config_map_with_one_file_more_and_one_less_is_noticed_once() {
    let mut folder = Followed::begin("conf", |root| {
        fs::create_dir_all(root.join("conf/..0")).unwrap();
        for name in ["a.yaml", "b.yaml"] {
            fs::write(root.join("conf/..0").join(name), "0").unwrap();
            symlink(format!("..data/{name}"), root.join("conf").join(name)).unwrap();
        }
        symlink("..0", root.join("conf/..data")).unwrap();
    })
    .await;
    // In the order of the kubelet: the new folder, the swap, links for what is new, links of what has gone.
    fs::create_dir(folder.root.join("conf/..1")).unwrap();
    folder.write("conf/..1/a.yaml", "1");
    folder.write("conf/..1/c.yaml", "1");
    folder.link("..1", "conf/..data_tmp");
    folder.rename("conf/..data_tmp", "conf/..data");
    folder.link("..data/c.yaml", "conf/c.yaml");
    fs::remove_file(folder.root.join("conf/b.yaml")).unwrap();
    fs::remove_dir_all(folder.root.join("conf/..0")).unwrap();
    folder.changed_once().await;
    // And the new folder is watched.
    folder.write("conf/..1/c.yaml", "2");
    folder.changed_once().await;
}

#[tokio::test]
async fn another_folder_in_the_place_of_the_old_one_is_noticed_once_and_watched() {
    let mut folder = Followed::begin("conf", |root| {
        a_folder(root);
        fs::create_dir(root.join("next")).unwrap();
        fs::write(root.join("next/a.yaml"), "next").unwrap();
    })
    .await;
    folder.rename("conf", "old");
    folder.rename("next", "conf");
    folder.changed_once().await;
    folder.write("conf/z.yaml", "2");
    folder.changed_once().await;
}
