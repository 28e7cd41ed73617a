//! `gatepass certs dev`: a development authority, a gateway and a client certificate as files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::subject::SpiffeId;

use super::{Ca, Crl, Error, Leaf, Name, Validity};

/// What development certificates are to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dev {
    /// The client's identity, such as `spiffe://dev.example/ns/demo/sa/client`.
    pub client: SpiffeId,
    /// Names of the gateway beside `localhost`, `127.0.0.1` and `::1`.
    pub gateway_names: Vec<Name>,
    /// From when until when, for all of them.
    pub validity: Validity,
    /// What to do about files of these names that are there already.
    pub existing: Existing,
}

/// What to do about files that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Write nothing, and name the first.
    Refuse,
    /// Replace them.
    Replace,
}

/// Where everything is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// `ca.pem`: what clients trust the gateway by.
    pub ca: PathBuf,
    /// `ca.key`
    pub ca_key: PathBuf,
    /// `clients-ca.pem`: what the gateway trusts clients by; the same authority.
    pub clients_ca: PathBuf,
    /// `clients.crl`: revokes nothing, and is as long valid as the certificates.
    pub crl: PathBuf,
    /// `gateway.pem`
    pub gateway: PathBuf,
    /// `gateway.key`
    pub gateway_key: PathBuf,
    /// `client.pem`
    pub client: PathBuf,
    /// `client.key`
    pub client_key: PathBuf,
}

/// Who may read a file.
#[derive(Clone, Copy)]
enum Secrecy {
    Public = 0o644,
    Secret = 0o600,
}

/// Mint a development authority, a gateway and a client certificate into `directory`, which is made if need be.
///
/// # Errors
/// [`Error::Exists`] with [`Existing::Refuse`], before anything is written; [`Error::Unmintable`] for names that no
/// certificate can hold; [`Error::Unwritable`] for the file system.
pub fn dev(directory: &Path, wanted: &Dev) -> Result<Written, Error> {
    let at = |name: &str| directory.join(name);
    let written = Written {
        ca: at("ca.pem"),
        ca_key: at("ca.key"),
        clients_ca: at("clients-ca.pem"),
        crl: at("clients.crl"),
        gateway: at("gateway.pem"),
        gateway_key: at("gateway.key"),
        client: at("client.pem"),
        client_key: at("client.key"),
    };
    let ca = Ca::root("gatepass development CA", wanted.validity)?;
    let crl = ca.crl(&Crl { revoked: &[], validity: wanted.validity, distribution_point: None })?;
    let mut names = vec![
        Name::Dns("localhost".to_owned()),
        Name::Ip(Ipv4Addr::LOCALHOST.into()),
        Name::Ip(Ipv6Addr::LOCALHOST.into()),
    ];
    names.extend_from_slice(&wanted.gateway_names);
    let gateway = ca.issue(&Leaf::server(names, wanted.validity))?;
    let client = ca.issue(&Leaf::client(vec![Name::Uri(wanted.client.to_string())], wanted.validity))?;
    let files = [
        (&written.ca, ca.pem(), Secrecy::Public),
        (&written.ca_key, ca.key_pem(), Secrecy::Secret),
        (&written.clients_ca, ca.pem(), Secrecy::Public),
        (&written.crl, crl.pem()?, Secrecy::Public),
        (&written.gateway, gateway.chain_pem(), Secrecy::Public),
        (&written.gateway_key, gateway.key_pem(), Secrecy::Secret),
        (&written.client, client.chain_pem(), Secrecy::Public),
        (&written.client_key, client.key_pem(), Secrecy::Secret),
    ];
    make_room(directory, files.iter().map(|(path, _, _)| path.as_path()), wanted.existing)?;
    for (path, text, secrecy) in &files {
        write(path, text, *secrecy).map_err(|error| Error::Unwritable(path.to_path_buf(), error))?;
    }
    Ok(written)
}

fn make_room<'a>(directory: &Path, mut paths: impl Iterator<Item = &'a Path>, existing: Existing) -> Result<(), Error> {
    fs::create_dir_all(directory).map_err(|error| Error::Unwritable(directory.to_owned(), error))?;
    match existing {
        // A dangling link counts as a file: writing through it would land elsewhere.
        Existing::Refuse => match paths.find(|path| path.symlink_metadata().is_ok()) {
            Some(path) => Err(Error::Exists(path.to_owned())),
            None => Ok(()),
        },
        Existing::Replace => paths.try_for_each(|path| match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Unwritable(path.to_owned(), error))
            }
            Ok(()) | Err(_) => Ok(()),
        }),
    }
}

/// The file is new, so that its mode is ours from its first byte on.
fn write(path: &Path, text: &str, secrecy: Secrecy) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(secrecy as u32).open(path)?;
    file.write_all(text.as_bytes())
}
