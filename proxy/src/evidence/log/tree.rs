//! The tree in memory: on each level the hashes of the tile that is not full yet. Appending a record costs one leaf hash
//! and, on average, one node hash.

use super::hash::{Hash, node_hash, perfect_root, perfect_roots};
use super::tile::{Tile, WIDTH};

/// An append-only Merkle tree of which only the right edge is in memory.
#[derive(Debug)]
pub struct Tree {
    size: u64,
    /// From the leaves up.
    levels: Vec<Level>,
    /// Tiles that are full and not written yet, in the order in which they became so.
    pub(super) full: Vec<Tile>,
    /// Leaves in full tiles that were written.
    pub(super) tiled: u64,
    /// Leaves in full tiles that are on the disk.
    pub(super) covered: u64,
}

#[derive(Debug, Default)]
struct Level {
    /// Full tiles of this level.
    full: u64,
    /// Hashes of the one that is not.
    hashes: Vec<Hash>,
}

impl Tree {
    /// Without leaves.
    pub fn new() -> Tree {
        Tree { size: 0, levels: Vec::new(), full: Vec::new(), tiled: 0, covered: 0 }
    }

    /// With so many leaves, whose unfinished tiles are these, from the leaves up.
    pub(super) fn with(size: u64, unfinished: Vec<Vec<Hash>>) -> Tree {
        let mut each = WIDTH as u64;
        let mut levels = Vec::new();
        for mut hashes in unfinished {
            hashes.reserve(WIDTH.saturating_sub(hashes.len()));
            levels.push(Level { full: size / each, hashes });
            each = each.saturating_mul(WIDTH as u64);
        }
        Tree { levels, ..Tree::new() }.of_size(size)
    }

    fn of_size(mut self, size: u64) -> Tree {
        self.size = size;
        self
    }

    /// Add a leaf.
    pub fn append(&mut self, leaf: Hash) {
        self.size += 1;
        let mut hash = leaf;
        for number in 0..=self.levels.len() {
            if number == self.levels.len() {
                self.levels.push(Level { full: 0, hashes: Vec::with_capacity(WIDTH) });
            }
            let Some(level) = self.levels.get_mut(number) else { return };
            level.hashes.push(hash);
            if level.hashes.len() < WIDTH {
                return;
            }
            let hashes = std::mem::replace(&mut level.hashes, Vec::with_capacity(WIDTH));
            hash = perfect_root(&hashes);
            // Sixty-four bits of leaves have eight levels.
            let tile = Tile { level: u8::try_from(number).unwrap_or(u8::MAX), index: level.full, hashes };
            level.full += 1;
            self.full.push(tile);
        }
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Leaves that stand in full tiles on the disk.
    pub fn covered(&self) -> u64 {
        self.covered
    }

    /// The Merkle tree hash of all leaves.
    pub fn root(&self) -> Hash {
        let mut roots = Vec::new();
        self.levels.iter().rev().for_each(|level| perfect_roots(&level.hashes, &mut roots));
        let folded = roots.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
        folded.unwrap_or_else(Hash::of_nothing)
    }

    /// The tiles that are not full, as far as they go.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = Tile> + '_ {
        self.levels.iter().enumerate().filter(|(_, level)| !level.hashes.is_empty()).map(|(number, level)| Tile {
            level: u8::try_from(number).unwrap_or(u8::MAX),
            index: level.full,
            hashes: level.hashes.clone(),
        })
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new()
    }
}
