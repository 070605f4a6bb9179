//! Sockets in the file system: bound where nobody listens, with the rights that were asked for, and taken away when nobody
//! listens any more.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::model::SocketRights;

/// Where the system's users stand, and its groups.
const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The file of a socket that is listened on. Dropping it takes the file away, if it is still the same.
#[derive(Debug)]
pub(crate) struct Claim {
    path: Arc<Path>,
    /// The device and the file on it.
    file: (u64, u64),
}

impl Drop for Claim {
    fn drop(&mut self) {
        let is_ours = identity(&self.path).is_ok_and(|file| file == self.file);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "Socket's file could not be removed");
        }
    }
}

/// Binds and listens at a file.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] where somebody listens there, [`io::ErrorKind::AlreadyExists`] where a file that is no socket
/// is in the way, and the kernel's.
pub(crate) fn listen(
    path: &Arc<Path>,
    rights: &SocketRights,
    backlog: i32,
) -> io::Result<(UnixListener, Claim)> {
    clear(path)?;
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address)?;
    let claim = Claim {
        path: Arc::clone(path),
        file: identity(path)?,
    };
    // Nobody can connect before there is somebody who listens, whatever the rights are until then.
    grant(path, rights)?;
    socket.listen(backlog)?;
    Ok((socket.into(), claim))
}

/// Binds and listens at a name without a file.
///
/// # Errors
/// The kernel's, as when the name is taken.
pub(crate) fn listen_abstract(name: &str, backlog: i32) -> io::Result<UnixListener> {
    // Without a path in front of it, what begins with a zero octet is such a name.
    let address = SockAddr::unix(format!("\0{name}"))?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address)?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Gives a socket's file its rights.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] for a user or a group that there is not, and the kernel's.
pub(crate) fn grant(path: &Path, rights: &SocketRights) -> io::Result<()> {
    let number = |name: &Option<Arc<str>>, file: &str, kind: &str| match name {
        None => Ok(None),
        Some(name) => number_of(name, file, kind).map(Some),
    };
    let owner = number(&rights.owner, USERS, "user")?;
    let group = number(&rights.group, GROUPS, "group")?;
    if owner.is_some() || group.is_some() {
        chown(path, owner, group)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(rights.mode))
}

/// The number of a user or a group. Only the files of the system are asked: who is known elsewhere is given by number.
fn number_of(name: &str, file: &str, kind: &str) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let text = fs::read_to_string(file)?;
    let found = text.lines().find_map(|line| {
        let mut words = line.split(':');
        (words.next() == Some(name)).then(|| words.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| {
        let error = format!("there is no {kind} \"{name}\" in {file}");
        io::Error::new(io::ErrorKind::NotFound, error)
    })
}

/// Takes away the file of a socket on which nobody listens any more, as a process leaves it that was killed.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => {
            let error = "a file that is no socket is in the way";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, error));
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // It is not waited for anybody to take the connection: who has a queue is there.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => {
            let error = "another process listens there";
            Err(io::Error::new(io::ErrorKind::AddrInUse, error))
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(PathBuf::from(path))?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn place() -> (tempfile::TempDir, Arc<Path>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock").into();
        (folder, path)
    }

    fn open(path: &Arc<Path>) -> io::Result<(UnixListener, Claim)> {
        listen(path, &SocketRights::default(), 8)
    }

    #[test]
    fn the_file_has_its_rights_and_goes_with_its_listener() {
        let (_folder, path) = place();
        let (listener, claim) = open(&path).unwrap();
        let mode = fs::symlink_metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o660);
        UnixStream::connect(&path).unwrap();
        drop((listener, claim));
        assert!(!path.exists());
    }

    #[test]
    fn where_somebody_listens_nobody_else_does() {
        let (_folder, path) = place();
        let _first = open(&path).unwrap();
        assert_eq!(open(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn what_a_dead_process_left_behind_is_taken_away() {
        let (_folder, path) = place();
        let (listener, claim) = open(&path).unwrap();
        std::mem::forget(claim);
        drop(listener);
        assert!(path.exists());
        let _second = open(&path).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn what_is_no_socket_stays() {
        let (_folder, path) = place();
        fs::write(&path, "precious").unwrap();
        assert_eq!(
            open(&path).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_file_that_another_has_taken_over_stays() {
        let (_folder, path) = place();
        let (_listener, claim) = open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(claim);
        assert!(path.exists());
    }

    #[test]
    fn users_and_groups_are_known_by_name_and_by_number() {
        assert_eq!(number_of("root", USERS, "user").unwrap(), 0);
        assert_eq!(number_of("1234", GROUPS, "group").unwrap(), 1234);
        let unknown = number_of("no-such-group", GROUPS, "group").unwrap_err();
        assert_eq!(unknown.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_name_without_a_file_can_be_connected_to() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("fiel-test-{}", std::process::id());
        let listener = listen_abstract(&name, 8).unwrap();
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        UnixStream::connect_addr(&address).unwrap();
        drop(listener);
        assert!(UnixStream::connect_addr(&address).is_err());
    }
}
