//! Where the admin listener listens: an address, or a socket in the file system that is the owner's alone.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A bound socket.
#[derive(Debug)]
pub enum Socket {
    /// An address.
    Tcp(TcpListener),
    /// A socket in the file system, and its path.
    Unix(UnixListener, PathBuf),
}

/// A connection that was taken.
pub(super) enum Accepted {
    /// From this address.
    Tcp(TcpStream, SocketAddr),
    /// From this machine.
    Unix(UnixStream),
}

/// Permission bits of group and others that let them write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

impl Socket {
    /// Listen on this path: mode 0600, in a directory in which nobody else can put something in its place.
    ///
    /// # Errors
    /// What is wrong with the directory or with what stands at the path. Only a socket that nobody serves is replaced.
    pub fn unix(path: &Path) -> Result<Socket, String> {
        let refused = |why: String| format!("error: `admin` cannot listen on `unix:{}`: {why}", path.display());
        let told = |error: io::Error| refused(error.to_string());
        let directory = crate::reload::directory_of(path);
        let name = path.file_name().ok_or_else(|| refused("it names no file".to_owned()))?;
        let found = std::fs::symlink_metadata(&directory).map_err(told)?;
        if !found.is_dir() {
            return Err(refused(format!("`{}` is not a directory, or is a link to one", directory.display())));
        }
        if found.mode() & WRITABLE_BY_OTHERS != 0 {
            let why = format!("others may write to `{}`: give it mode 0700 or 0755", directory.display());
            return Err(refused(why));
        }
        let us = rustix::process::geteuid().as_raw();
        if found.uid() != us && found.uid() != 0 {
            return Err(refused(format!("`{}` belongs to another user, who could replace it", directory.display())));
        }
        vacant(path).map_err(&refused)?;
        // Made where nobody else can reach it, and moved into its place once its mode is right: there is no moment at
        // which others could connect.
        let hidden = directory.join(format!(".gatepass-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&hidden).map_err(told)?;
        let made = hidden.join(name);
        let bound = UnixListener::bind(&made)
            .and_then(|socket| std::fs::set_permissions(&made, PermissionsExt::from_mode(0o600)).map(|()| socket))
            .and_then(|socket| std::fs::rename(&made, path).map(|()| socket));
        if bound.is_err() {
            let _ = std::fs::remove_file(&made);
        }
        let _ = std::fs::remove_dir(&hidden);
        bound.map(|socket| Socket::Unix(socket, path.to_owned())).map_err(told)
    }

    /// The address, where it is one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                // On a dual-stack socket an IPv4 client arrives in IPv6 clothes.
                let from = SocketAddr::new(gatepass_policy::address::unmap(from.ip()), from.port());
                Ok(Accepted::Tcp(stream, from))
            }
            Socket::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

/// Nothing stands at the path, or a socket that nobody serves.
fn vacant(path: &Path) -> Result<(), String> {
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
        Ok(found) => found.file_type(),
    };
    if found.is_symlink() {
        return Err("a symbolic link stands there: remove it".to_owned());
    }
    if !found.is_socket() {
        return Err("something that is no socket stands there: remove it".to_owned());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(format!("a socket stands there, and whether it is served cannot be told: {error}")),
        Ok(_) => Err("another process serves the socket that stands there".to_owned()),
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.address()) {
            (Socket::Unix(_, path), _) => write!(f, "unix:{}", path.display()),
            (Socket::Tcp(_), Some(address)) => address.fmt(f),
            (Socket::Tcp(_), None) => f.write_str("an unknown address"),
        }
    }
}
