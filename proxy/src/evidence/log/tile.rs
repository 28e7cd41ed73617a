//! Tiles: 256 hashes of one level side by side, one file each (C2SP tlog-tiles, "Merkle tree").

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::hash::Hash;

/// Hashes in a full tile.
pub(super) const WIDTH: usize = 256;

/// The folder that all tiles are in.
pub(super) const FOLDER: &str = "tile";

/// How often a reader looks again for a tile that a wider one took the place of.
const TRIES: u32 = 8;

/// A tile, full or as far as it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// 0 holds leaf hashes; each hash of the next level is the root of a full tile of this one.
    pub level: u8,
    /// Counts the tiles of its level from the left, from 0.
    pub index: u64,
    /// At least one, at most [`WIDTH`].
    pub hashes: Vec<Hash>,
}

/// The path of a tile below the log's directory: `tile/0/x001/x234/067`, and `.p/W` behind it where it is not full.
pub(super) fn path(level: u8, index: u64, width: usize) -> PathBuf {
    let mut digits = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        digits = format!("x{:03}/{digits}", rest % 1000);
        rest /= 1000;
    }
    let partial = if width < WIDTH { format!(".p/{width}") } else { String::new() };
    PathBuf::from(format!("{FOLDER}/{level}/{digits}{partial}"))
}

impl Tile {
    /// Write it below this directory, complete or not at all.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let path = directory.join(path(self.level, self.index, self.hashes.len()));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let new = path.with_extension("new");
        let bytes: Vec<u8> = self.hashes.iter().flat_map(|hash| hash.0).collect();
        File::create(&new)?.write_all(&bytes)?;
        std::fs::rename(new, path)
    }

    /// Read a full tile; `None` where there is none.
    pub fn read_full(directory: &Path, level: u8, index: u64) -> io::Result<Option<Tile>> {
        let path = directory.join(path(level, index, WIDTH));
        let hashes = match std::fs::read(&path) {
            Ok(bytes) => hashes(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // A tile that is too short was being written when a machine lost power: it is made anew.
        Ok(hashes.filter(|hashes| hashes.len() == WIDTH).map(|hashes| Tile { level, index, hashes }))
    }

    /// Read the widest tile that is not full; `None` where there is none.
    pub fn read_partial(directory: &Path, level: u8, index: u64) -> io::Result<Option<Tile>> {
        let folder = partial_folder(directory, level, index);
        for _ in 0..TRIES {
            let Some(width) = widest(&folder)? else { return Ok(None) };
            match std::fs::read(folder.join(width.to_string())) {
                Ok(bytes) => {
                    let hashes = hashes(&bytes).filter(|hashes| hashes.len() == width);
                    return Ok(hashes.map(|hashes| Tile { level, index, hashes }));
                }
                // A gateway that runs has written a wider one since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

fn widest(folder: &Path) -> io::Result<Option<usize>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<usize>().ok()).max()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The folder of the narrower forms of a tile.
pub(super) fn partial_folder(directory: &Path, level: u8, index: u64) -> PathBuf {
    let full = directory.join(path(level, index, WIDTH));
    let mut name = full.into_os_string();
    name.push(".p");
    PathBuf::from(name)
}

fn hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let chunks = bytes.chunks_exact(32);
    chunks.remainder().is_empty().then(|| chunks.filter_map(|chunk| chunk.try_into().ok().map(Hash)).collect())
}
