//! The segment that is being written: append, synchronise, begin the next, and what to do when a disk says no.
//!
//! A failed `fdatasync` is never tried again on the same file: the kernel may have dropped the pages and would then say
//! yes. Frames are kept in memory until they are on the disk, so they can be written anew into another segment instead.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::segment::{self, Header};

/// Frames that may not be on the disk yet.
#[derive(Debug)]
struct Chunk {
    /// Where they end in the file.
    end: u64,
    bytes: Vec<u8>,
}

/// How far a file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::evidence) struct Extent {
    /// Bytes from its beginning.
    pub end: u64,
    /// The sequence number of the last record in it; one less than the first's where there is none.
    pub last: u64,
}

/// The segment that is being written.
pub(in crate::evidence) struct Disk {
    directory: PathBuf,
    /// What every segment of this run says of itself; `first` and `created` are each segment's own.
    header: Header,
    file: Arc<File>,
    first: u64,
    /// Where the first frame begins.
    head: u64,
    begun: Instant,
    written: Extent,
    synced: Extent,
    unsynced: VecDeque<Chunk>,
    unsynced_bytes: usize,
    suspect: bool,
    /// The next segment may be there already, although beginning it failed.
    ended: bool,
    /// Segments that were ended, and nobody asked for yet.
    sealed: Vec<(u64, Extent)>,
}

impl Disk {
    /// Begin a segment in this directory; `header.first` is its first record.
    pub fn begin(directory: &Path, header: Header) -> io::Result<Disk> {
        let Begun { file, head, end } = create(directory, &header, &[])?;
        let first = header.first;
        let written = Extent { end, last: first - 1 };
        Ok(Disk {
            directory: directory.to_owned(),
            header,
            file: Arc::new(file),
            first,
            head,
            begun: Instant::now(),
            written,
            synced: written,
            unsynced: VecDeque::new(),
            unsynced_bytes: 0,
            suspect: false,
            ended: false,
            sealed: Vec::new(),
        })
    }

    /// The sequence number of its first record.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// What was written.
    pub fn written(&self) -> Extent {
        self.written
    }

    /// The last record that is on the disk.
    pub fn synced_last(&self) -> u64 {
        self.synced.last
    }

    /// When it was begun.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Bytes that are kept in memory because they may not be on the disk yet.
    pub fn unsynced_bytes(&self) -> usize {
        self.unsynced_bytes
    }

    /// Whether everything that was written is on the disk.
    pub fn is_synced(&self) -> bool {
        self.synced == self.written
    }

    /// Whether the disk did not take what was written, so that it has to be written anew.
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Whether nothing more may be written into this segment: readers look for it in the next one, which may be there.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Segments that were ended since this was asked last, oldest first: the first record, and what is in it.
    pub fn take_sealed(&mut self) -> Vec<(u64, Extent)> {
        std::mem::take(&mut self.sealed)
    }

    /// The file and how far it is written, for whoever synchronises it beside the writer; `None` where that failed before.
    pub fn to_sync(&self) -> Option<(Arc<File>, Extent)> {
        (!self.suspect).then(|| (Arc::clone(&self.file), self.written))
    }

    /// Look whether the segment still stands where readers look for it. Where somebody removed it, everything in it is
    /// written anew with the next records.
    pub fn look(&mut self) -> io::Result<bool> {
        let path = self.directory.join(segment::file_name(self.first));
        let known = self.file.metadata()?;
        match std::fs::metadata(path) {
            Ok(found) if (found.dev(), found.ino()) == (known.dev(), known.ino()) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let length = usize::try_from(self.synced.end - self.head).map_err(io::Error::other)?;
        if length > 0 {
            let mut bytes = vec![0; length];
            self.file.read_exact_at(&mut bytes, self.head)?;
            self.unsynced.push_front(Chunk { end: self.synced.end, bytes });
            self.unsynced_bytes += length;
            self.synced = Extent { end: self.head, last: self.first - 1 };
        }
        self.suspect = true;
        Ok(false)
    }

    /// Write frames; `last` is the sequence number of the last one. On an error nothing of them counts as written, and
    /// `bytes` is what it was.
    pub fn append(&mut self, bytes: &mut Vec<u8>, last: u64) -> io::Result<()> {
        if self.suspect {
            self.replace()?;
        }
        // At an explicit place: what an attempt that failed has left there is written over.
        self.file.write_all_at(bytes, self.written.end)?;
        self.written = Extent { end: self.written.end + bytes.len() as u64, last };
        self.unsynced_bytes += bytes.len();
        let bytes = std::mem::take(bytes);
        self.unsynced.push_back(Chunk { end: self.written.end, bytes });
        Ok(())
    }

    /// Bring everything that was written to the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        let Some((file, to)) = self.to_sync() else { return self.replace() };
        if self.is_synced() {
            return Ok(());
        }
        let outcome = file.sync_data();
        self.synced_beside(&file, to, outcome)
    }

    /// What became of a synchronisation of [`Disk::to_sync`].
    pub fn synced_beside(&mut self, file: &Arc<File>, to: Extent, outcome: io::Result<()>) -> io::Result<()> {
        // A yes after a no means nothing, and a file that was replaced has nothing to say.
        if self.suspect || !Arc::ptr_eq(file, &self.file) {
            return Ok(());
        }
        if let Err(error) = outcome {
            self.suspect = true;
            return Err(error);
        }
        self.synced = to;
        while self.unsynced.front().is_some_and(|chunk| chunk.end <= to.end) {
            let chunk = self.unsynced.pop_front();
            self.unsynced_bytes -= chunk.map_or(0, |chunk| chunk.bytes.len());
        }
        Ok(())
    }

    /// End this segment and begin the next: everything is on the disk first, so a sealed segment is whole.
    pub fn roll(&mut self) -> io::Result<()> {
        self.sync()?;
        // What an attempt that failed has left behind the records is written over by the next; here none comes any more, and
        // it would look like a record that was cut.
        if self.file.metadata()?.len() > self.written.end {
            self.file.set_len(self.written.end)?;
            self.file.sync_all().inspect_err(|_| self.suspect = true)?;
        }
        let last = self.written.last;
        let header = Header { first: last + 1, ..self.header.clone() };
        self.ended = true;
        let begun = create(&self.directory, &header, &[])?;
        self.become_of(begun, header.first, last);
        Ok(())
    }

    /// Write what may not be on the disk into a segment of its own, and cut it from the suspect one.
    fn replace(&mut self) -> io::Result<()> {
        let header = Header { first: self.synced.last + 1, ..self.header.clone() };
        let chunks: Vec<&[u8]> = self.unsynced.iter().map(|chunk| chunk.bytes.as_slice()).collect();
        let begun = create(&self.directory, &header, &chunks)?;
        let (old, cut, replaced) = (Arc::clone(&self.file), self.synced.end, header.first == self.first);
        self.become_of(begun, header.first, self.written.last);
        if !replaced {
            // What stays behind where this fails is the same records once more, and readers go by the numbers.
            let _ = old.set_len(cut);
        }
        Ok(())
    }

    fn become_of(&mut self, begun: Begun, first: u64, last: u64) {
        if first != self.first {
            self.sealed.push((self.first, self.synced));
        }
        let Begun { file, head, end } = begun;
        let written = Extent { end, last };
        self.file = Arc::new(file);
        (self.first, self.head) = (first, head);
        self.begun = Instant::now();
        (self.written, self.synced) = (written, written);
        self.unsynced.clear();
        self.unsynced_bytes = 0;
        self.suspect = false;
        self.ended = false;
    }
}

/// Whether room on the disk, or in somebody's share of it, is what was missing.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A segment that was begun.
struct Begun {
    file: File,
    /// Where its first frame begins, and where the last one ends.
    head: u64,
    end: u64,
}

/// A new segment with these frames, on the disk under its name when this returns. It takes the place of another one of
/// this name, of which nothing is on the disk.
fn create(directory: &Path, header: &Header, frames: &[&[u8]]) -> io::Result<Begun> {
    let path = directory.join(segment::file_name(header.first));
    let new = path.with_extension("new");
    let created = jiff::Timestamp::now().to_string();
    let head = Header { created, ..header.clone() }.encode();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new)?;
    let mut end = 0;
    for bytes in std::iter::once(head.as_slice()).chain(frames.iter().copied()) {
        file.write_all_at(bytes, end)?;
        end += bytes.len() as u64;
    }
    file.sync_all()?;
    std::fs::rename(&new, &path)?;
    File::open(directory)?.sync_all()?;
    Ok(Begun { file, head: head.len() as u64, end })
}

#[cfg(test)]
mod tests;
