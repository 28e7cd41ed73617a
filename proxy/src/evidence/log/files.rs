//! The log's files for whoever checks it: read only, and without the signing key.

use std::io;
use std::path::{Path, PathBuf};

use super::hash::{Hash, perfect_root};
use super::note::{Checkpoint, VerifyingKey};
use super::store::{self, Error};
use super::tile::{Tile, WIDTH};
use super::tree::Tree;

const W: u64 = WIDTH as u64;

/// Tiles, checkpoint and public key below a directory.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    /// The tile that was looked at last: leaves are asked for in their order.
    last: Option<Tile>,
}

impl Files {
    /// Of this directory. Nothing needs to be there.
    pub fn of(directory: &Path) -> Files {
        Files { directory: directory.to_owned(), last: None }
    }

    /// The log's public key, if it is there.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key.
    pub fn key(&self) -> Result<Option<VerifyingKey>, Error> {
        let path = self.directory.join(store::PUBLIC);
        match std::fs::read_to_string(&path) {
            Ok(text) => VerifyingKey::parse(&text).map(Some).ok_or(Error::Key(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::Io { path, error }),
        }
    }

    /// The last checkpoint that was published, if this key signed it.
    ///
    /// # Errors
    /// The file cannot be read, or proves nothing.
    pub fn checkpoint(&self, key: &VerifyingKey) -> Result<Option<Checkpoint>, Error> {
        store::published(&self.directory, key)
    }

    /// The leaf of this index, where a tile holds it.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn leaf(&mut self, index: u64) -> io::Result<Option<Hash>> {
        let (number, place) = (index / W, usize::try_from(index % W).unwrap_or(0));
        let held = self.last.as_ref().filter(|tile| tile.level == 0 && tile.index == number);
        if held.is_none_or(|tile| tile.hashes.len() <= place) {
            self.last = match Tile::read_full(&self.directory, 0, number)? {
                Some(tile) => Some(tile),
                None => Tile::read_partial(&self.directory, 0, number)?,
            };
        }
        Ok(self.last.as_ref().and_then(|tile| tile.hashes.get(place).copied()))
    }

    /// The tree of the first `size` leaves; `None` where tiles do not tell all of them.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn tree(&mut self, size: u64) -> io::Result<Option<Tree>> {
        let full = size / W;
        let (mut unfinished, mut count, mut level) = (vec![Vec::new()], full, 0);
        while count > 0 {
            level += 1;
            let mut hashes = Vec::new();
            for index in count / W * W..count {
                let Some(hash) = self.node(level, index)? else { return Ok(None) };
                hashes.push(hash);
            }
            unfinished.push(hashes);
            count /= W;
        }
        let mut tree = Tree::with(full * W, unfinished);
        for index in full * W..size {
            let Some(leaf) = self.leaf(index)? else { return Ok(None) };
            tree.append(leaf);
        }
        Ok(Some(tree))
    }

    /// The root of the perfect tree of leaves `from..to`: as many as a power of two, from a multiple of that number on.
    /// `None` where tiles do not tell it.
    pub fn subtree(&mut self, from: u64, to: u64) -> Option<Hash> {
        let bits = (to - from).ilog2();
        let (level, each) = (bits / 8, 1u64 << (bits / 8 * 8));
        let hashes = (from / each..to / each).map(|index| self.node(u8::try_from(level).ok()?, index).ok()?);
        hashes.collect::<Option<Vec<Hash>>>().map(|hashes| perfect_root(&hashes))
    }

    /// The hash above the `index`-th full tile below this level; `None` where tiles do not tell it.
    pub(super) fn node(&mut self, level: u8, index: u64) -> io::Result<Option<Hash>> {
        if level == 0 {
            return self.leaf(index);
        }
        let place = usize::try_from(index % W).unwrap_or(0);
        if let Some(tile) = Tile::read_full(&self.directory, level, index / W)? {
            return Ok(tile.hashes.get(place).copied());
        }
        if let Some(tile) = Tile::read_full(&self.directory, level - 1, index)? {
            return Ok(Some(perfect_root(&tile.hashes)));
        }
        if level == 1 {
            return Ok(None);
        }
        let mut hashes = Vec::with_capacity(WIDTH);
        for below in index * W..(index + 1) * W {
            let Some(hash) = self.node(level - 1, below)? else { return Ok(None) };
            hashes.push(hash);
        }
        Ok(Some(perfect_root(&hashes)))
    }
}
