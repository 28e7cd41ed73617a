//! The log's files: the signing key, the tiles, and the last checkpoint.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::files::Files;
use super::hash::{Hash, perfect_root};
use super::note::{Checkpoint, NoteError, VerifyingKey};
use super::tile::{self, Tile, WIDTH};
use super::tree::Tree;

const KEY: &str = "signing.key";
pub(super) const PUBLIC: &str = "log.pub";
const CHECKPOINT: &str = "checkpoint";
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("`{path}`: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may read the key.
    #[error("others may read the signing key `{0}`: `chmod 600` it, if nobody has")]
    Exposed(PathBuf),
    /// The file holds no key.
    #[error("`{0}` holds no Ed25519 private key in PKCS #8 and PEM")]
    Key(PathBuf),
    /// The public key is another one's.
    #[error(
        "`{0}` is not the public key of `signing.key`: one of them was replaced, and records signed with it are elsewhere"
    )]
    OtherKey(PathBuf),
    /// The last checkpoint is not the log's.
    #[error("`{path}`: {error}")]
    Note {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: NoteError,
    },
    /// A file without which the log cannot be gone on with.
    #[error(
        "`{0}` is gone, and this log cannot be gone on with without it: put it back, or move the directory away to begin a \
         new log"
    )]
    Lost(PathBuf),
    /// Going on would be a second history under the same name.
    #[error(
        "records 1 to {0} are not those that the published checkpoint signs: `gatepass evidence verify` tells which was \
         altered; move the directory away to begin a new log"
    )]
    Forked(u64),
    /// Leaves that the tree needs are nowhere.
    #[error("the hash of record {0} is neither in a tile nor in a segment")]
    Missing(u64),
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| Error::Io { path, error }
}

/// The files of a log that a gateway writes.
pub struct Store {
    directory: PathBuf,
    key: Ed25519KeyPair,
    public: VerifyingKey,
}

impl Store {
    /// Open the log in this directory, or begin one with a key of its own.
    pub fn open(directory: &Path, gateway: &str) -> Result<Store, Error> {
        std::fs::create_dir_all(directory).map_err(io_error(directory))?;
        let (path, public) = (directory.join(KEY), directory.join(PUBLIC));
        let begun = directory.join(tile::FOLDER).exists() || directory.join(CHECKPOINT).exists();
        if begun && !public.exists() {
            return Err(Error::Lost(public));
        }
        if !path.exists() {
            // The key comes before its name, so that a start which was cut short is none.
            if public.exists() {
                return Err(Error::Lost(path));
            }
            write_key(&path).map_err(io_error(&path))?;
        }
        let key = read_key(&path)?;
        let public = key.public_key().as_ref().try_into().map_err(|_| Error::Key(path))?;
        let public = named(directory, gateway, public)?;
        Ok(Store { directory: directory.to_owned(), key, public })
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        self.public.name()
    }

    /// Sign a tree.
    pub fn sign(&self, size: u64, root: Hash) -> Checkpoint {
        Checkpoint::sign(self.public.name(), size, root, &self.key)
    }

    /// Write the tiles that are full.
    pub fn write_tiles(&self, tree: &mut Tree) -> io::Result<()> {
        while let Some(tile) = tree.full.first() {
            tile.write(&self.directory)?;
            if tile.level == 0 {
                tree.tiled = (tile.index + 1) * WIDTH as u64;
            }
            tree.full.remove(0);
        }
        Ok(())
    }

    /// Bring the full tiles of leaves before `end` to the disk, as far as they are written. Those above can be made anew
    /// from them.
    pub fn cover(&self, tree: &mut Tree, end: u64) -> io::Result<()> {
        let (mut covered, mut folders) = (tree.covered, BTreeSet::new());
        while covered < end.min(tree.tiled) {
            let path = self.directory.join(tile::path(0, covered / WIDTH as u64, WIDTH));
            File::open(&path)?.sync_all()?;
            let above = path.ancestors().skip(1).take_while(|above| above.starts_with(&self.directory));
            folders.extend(above.map(Path::to_owned));
            covered += WIDTH as u64;
        }
        // A file whose folder is not on the disk is not on it either.
        folders.iter().try_for_each(|folder| File::open(folder)?.sync_all())?;
        tree.covered = covered;
        Ok(())
    }

    /// Write the tiles that are not full, and remove their narrower forms.
    pub fn write_partial(&self, tree: &Tree) -> io::Result<()> {
        for tile in tree.unfinished() {
            tile.write(&self.directory)?;
            forget_narrower(&tile::partial_folder(&self.directory, tile.level, tile.index), tile.hashes.len())?;
            if let Some(before) = tile.index.checked_sub(1) {
                forget_narrower(&tile::partial_folder(&self.directory, tile.level, before), WIDTH)?;
            }
        }
        Ok(())
    }

    /// Put the checkpoint where auditors look for it.
    pub fn publish(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let path = self.directory.join(CHECKPOINT);
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(checkpoint.note().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(new, path)
    }

    /// The last checkpoint that was published.
    pub fn published(&self) -> Result<Option<Checkpoint>, Error> {
        published(&self.directory, &self.public)
    }

    /// The tree of so many leaves again. `kept` is the first leaf whose record is still there: tiles before it are on the
    /// disk, those after it a loss of power may have taken in any order. `leaves` gives leaf hashes from an index on, for
    /// those that no tile has.
    ///
    /// # Errors
    /// Leaves are nowhere, or are not those that the published checkpoint signs.
    pub fn restore<I: Iterator<Item = io::Result<Hash>>>(
        &self,
        size: u64,
        kept: u64,
        leaves: impl FnOnce(u64) -> I,
    ) -> Result<Tree, Error> {
        let width = WIDTH as u64;
        let covered = kept.min(size) / width * width;
        let mut tiled = covered;
        while tiled + width <= size && self.full_tile(0, tiled / width)?.is_some() {
            tiled += width;
        }
        self.forget_beyond(size)?;
        let mut unfinished = vec![Vec::new()];
        let (mut count, mut level) = (tiled / width, 0);
        while count > 0 {
            level += 1;
            self.mend(level, covered, count / width)?;
            let first = count / width * width;
            unfinished.push((first..count).map(|index| self.hash(level, index)).collect::<Result<_, _>>()?);
            count /= width;
        }
        let mut tree = Tree::with(tiled, unfinished);
        (tree.tiled, tree.covered) = (tiled, covered);
        let published = self.published()?;
        if let Some(before) = published.as_ref().filter(|published| published.size() < tiled) {
            let then = Files::of(&self.directory).tree(before.size()).map_err(io_error(&self.directory))?;
            is_signed(&then.ok_or(Error::Missing(before.size()))?, before)?;
        }
        let mut missing = leaves(tiled);
        for number in tiled..size {
            published.iter().try_for_each(|published| is_signed(&tree, published))?;
            let leaf = missing.next().ok_or(Error::Missing(number + 1))?;
            tree.append(leaf.map_err(io_error(&self.directory))?);
        }
        published.iter().try_for_each(|published| is_signed(&tree, published))?;
        Ok(tree)
    }

    /// Make the full tiles of a level anew that a loss of power took.
    fn mend(&self, level: u8, covered: u64, full: u64) -> Result<(), Error> {
        let first = covered >> (8 * (u32::from(level) + 1)).min(63);
        for index in first..full {
            if self.full_tile(level, index)?.is_none() {
                let hashes = index * WIDTH as u64..(index + 1) * WIDTH as u64;
                let hashes = hashes.map(|index| self.hash(level, index)).collect::<Result<_, _>>()?;
                Tile { level, index, hashes }.write(&self.directory).map_err(io_error(&self.directory))?;
            }
        }
        Ok(())
    }

    /// The hash of so many leaves as a tile of this level holds, the `index`-th such: from its own tile, or from those below.
    fn hash(&self, level: u8, index: u64) -> Result<Hash, Error> {
        let (tile, place) = (index / WIDTH as u64, usize::try_from(index % WIDTH as u64).unwrap_or(0));
        if let Some(tile) = self.full_tile(level, tile)? {
            return tile.hashes.get(place).copied().ok_or(Error::Missing(index));
        }
        let Some(below) = level.checked_sub(1) else { return Err(Error::Missing(index + 1)) };
        if let Some(tile) = self.full_tile(below, index)? {
            return Ok(perfect_root(&tile.hashes));
        }
        let first = index * WIDTH as u64;
        let hashes =
            (first..first + WIDTH as u64).map(|index| self.hash(below, index)).collect::<Result<Vec<_>, _>>()?;
        Ok(perfect_root(&hashes))
    }

    fn full_tile(&self, level: u8, index: u64) -> Result<Option<Tile>, Error> {
        Tile::read_full(&self.directory, level, index).map_err(io_error(&self.directory))
    }

    /// Tiles of records that a loss of power took: their numbers will be others'.
    fn forget_beyond(&self, size: u64) -> Result<(), Error> {
        let mut each = WIDTH as u64;
        for level in 0..8 {
            let mut index = size / each;
            loop {
                let full = self.directory.join(tile::path(level, index, WIDTH));
                let partial = tile::partial_folder(&self.directory, level, index);
                let there = remove(std::fs::remove_file(&full)).map_err(io_error(&full))?;
                remove(std::fs::remove_dir_all(&partial)).map_err(io_error(&partial))?;
                if !there {
                    break;
                }
                index += 1;
            }
            each = each.saturating_mul(WIDTH as u64);
        }
        Ok(())
    }
}

/// A tree of the size that was signed has the root that was signed.
fn is_signed(tree: &Tree, published: &Checkpoint) -> Result<(), Error> {
    let forked = tree.size() == published.size() && tree.root() != published.root();
    if forked { Err(Error::Forked(published.size())) } else { Ok(()) }
}

/// The last checkpoint in this directory.
pub(super) fn published(directory: &Path, key: &VerifyingKey) -> Result<Option<Checkpoint>, Error> {
    let path = directory.join(CHECKPOINT);
    let note = match std::fs::read_to_string(&path) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::Io { path, error }),
    };
    Checkpoint::verify(&note, key).map(Some).map_err(|error| Error::Note { path, error })
}

/// Whether something was removed; that there was nothing is no error.
fn remove(outcome: io::Result<()>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

fn forget_narrower(folder: &Path, width: usize) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let narrower = entry.file_name().to_str().and_then(|name| name.parse().ok()).is_some_and(|w: usize| w < width);
        if narrower {
            remove(std::fs::remove_file(entry.path()))?;
        }
    }
    if width == WIDTH { remove(std::fs::remove_dir(folder)).map(|_| ()) } else { Ok(()) }
}

/// The public key with the log's name; both are kept from the first start on.
fn named(directory: &Path, gateway: &str, public: [u8; 32]) -> Result<VerifyingKey, Error> {
    let path = directory.join(PUBLIC);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let known = VerifyingKey::parse(&text).ok_or_else(|| Error::OtherKey(path.clone()))?;
            if known == VerifyingKey::new(known.name(), public) { Ok(known) } else { Err(Error::OtherKey(path)) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // The end of it is random.
            let id = uuid::Uuid::now_v7().simple().to_string();
            let gateway: String =
                gateway.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' }).collect();
            let name = format!("gatepass.evidence/{gateway}/{}", id.get(24..).unwrap_or_default());
            let key = VerifyingKey::new(&name, public);
            let new = path.with_extension("new");
            let mut file = File::create(&new).map_err(io_error(&new))?;
            let written = writeln!(file, "{}", key.to_text()).and_then(|()| file.sync_all());
            written.and_then(|()| std::fs::rename(&new, &path)).map_err(io_error(&path)).map(|()| key)
        }
        Err(error) => Err(Error::Io { path, error }),
    }
}

/// A new key, for its owner only from the first moment on.
fn write_key(path: &Path) -> io::Result<()> {
    let failed = |_| io::Error::other("no key could be made");
    let key = Ed25519KeyPair::generate().map_err(failed)?;
    let der = key.to_pkcs8().map_err(failed)?;
    let new = path.with_extension("new");
    remove(std::fs::remove_file(&new))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    write!(file, "{BEGIN}\n{}\n{END}\n", STANDARD.encode(der.as_ref()))?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

fn read_key(path: &Path) -> Result<Ed25519KeyPair, Error> {
    let metadata = std::fs::metadata(path).map_err(io_error(path))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(Error::Exposed(path.to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(io_error(path))?;
    let body = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(body, _)| body);
    let der = body.and_then(|body| STANDARD.decode(body.split_whitespace().collect::<String>()).ok());
    let key = der.and_then(|der| Ed25519KeyPair::from_pkcs8(&der).ok());
    key.ok_or_else(|| Error::Key(path.to_owned()))
}
