//! `evidence.ocsf`: a file of records as OCSF events, one JSON object a line.

use std::path::PathBuf;

use crate::node::Node;
use crate::problem::Located;
use crate::reading::{Reading, optional};

/// A file of OCSF events.
#[derive(Clone, Debug)]
pub struct Ocsf {
    /// The file; its directory exists.
    pub file: Located<PathBuf>,
    /// Bytes after which it becomes `FILE.1`, and a new one begins.
    pub rotate_size: u64,
    /// How many former files remain.
    pub rotate_keep: usize,
}

/// An agent reads one file in seconds, and an editor opens it.
const ROTATE_SIZE: u64 = 100 << 20;
const ROTATE_SIZE_RANGE: (u64, u64) = (1 << 20, 1 << 40);

const ROTATE_KEEP: usize = 10;
const ROTATE_KEEP_RANGE: (usize, usize) = (1, 1_000);

pub(super) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Ocsf> {
    let [file, rotate_size, rotate_keep] = reading.fields(node, ["file", "rotate_size", "rotate_keep"])?;
    let file = reading.required(node, file, "file").and_then(|node| reading.file_to_be(node));
    let rotate_size = optional(rotate_size, reading, |node, reading| {
        let size = reading.size(node)?;
        let (least, most) = ROTATE_SIZE_RANGE;
        if size < least || size > most {
            reading.found.error(&node.place, "`evidence.ocsf.rotate_size` goes from 1MiB to 1TiB");
            return None;
        }
        Some(size)
    });
    let rotate_keep = optional(rotate_keep, reading, |node, reading| {
        let count = reading.count(node)?;
        let (least, most) = ROTATE_KEEP_RANGE;
        if count < least || count > most {
            reading.found.error(&node.place, format!("`evidence.ocsf.rotate_keep` goes from {least} to {most}"));
            return None;
        }
        Some(count)
    });
    Some(Ocsf {
        file: file?,
        rotate_size: rotate_size?.unwrap_or(ROTATE_SIZE),
        rotate_keep: rotate_keep?.unwrap_or(ROTATE_KEEP),
    })
}
