//! Reads the records of a spool in their order, across segments, while a gateway may be writing to it.
//!
//! A reader takes no lock and writes nothing. The newest segment is the one that grows: a frame that is not whole there
//! is one that is not finished yet. Waiting is the caller's.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::{self, SegmentFile};
use super::segment::{self, Frame, Header, Reader};

/// Records of one segment that follow each other; never none.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What their segment says of itself.
    pub header: Arc<Header>,
    /// The sequence number of the first.
    pub first: u64,
    /// The records with their sequence numbers.
    pub frames: Vec<(u64, Frame)>,
}

/// Records that cannot be had. Each loss is told once, and the next call goes on behind it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Their segments are not there, as after a retention that did not wait for this reader.
    #[error("records {first} to {last} are not in the spool any more: their segments were removed")]
    Removed {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// Their segment is damaged, and behind damage no frame can be found.
    #[error("records from {first} on cannot be read from `{}`: {why}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// The first of them.
        first: u64,
        /// The last of them; `None` where no later segment tells it yet.
        last: Option<u64>,
        /// What is wrong.
        why: segment::Fault,
    },
    /// The directory or a file cannot be read. Nothing was passed over: the next call tries again.
    #[error("the spool cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A reader of a spool, with its place in it.
#[derive(Debug)]
pub struct Follower {
    directory: PathBuf,
    /// The sequence number of the next record that is wanted.
    next: u64,
    /// Segments that begin before this record are done with.
    floor: u64,
    segment: Option<Segment>,
    /// The record at which the newest segment was told to be damaged, so that it is told once.
    told: Option<u64>,
}

/// The segment that is being read.
#[derive(Debug)]
struct Segment {
    file: SegmentFile,
    header: Arc<Header>,
    reader: Reader<File>,
    /// A record that did not fit into the last batch.
    held: Option<(u64, Frame)>,
    /// Where a later segment begins, once it was seen: then this one does not grow any more.
    sealed_by: Option<u64>,
}

/// Why a segment gave no more records.
enum End {
    /// The file ends, or the batch is full.
    Clean,
    /// As it was found.
    Fault(segment::Fault),
}

impl Follower {
    /// Read what comes after the record `after`; 0 begins with the oldest that is there.
    ///
    /// `directory` is a spool, or a folder that holds nothing but segments. It need not be there yet.
    pub fn open(directory: &Path, after: u64) -> Follower {
        let next = after.saturating_add(1);
        Follower { directory: directory.to_owned(), next, floor: 0, segment: None, told: None }
    }

    /// The last record that was read, or told to be lost.
    pub fn position(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// The next records: at most so many, and so many bytes of them together, but at least one. `None` is nothing new.
    pub fn next_batch(&mut self, records: usize, bytes: usize) -> Result<Option<Batch>, Fault> {
        // Every turn ends, or is in a later segment than the last one, or saw that a segment has become a sealed one.
        loop {
            let Some(segment) = &mut self.segment else {
                if self.enter()? {
                    continue;
                }
                return Ok(None);
            };
            let (frames, end) = segment.read(self.next, records, bytes);
            if let Some((first, _)) = frames.first() {
                let batch = Batch { header: segment.header.clone(), first: *first, frames };
                self.next = batch.first.saturating_add(batch.frames.len() as u64);
                return Ok(Some(batch));
            }
            if let End::Fault(segment::Fault::Io(error)) = end {
                return Err(error.into());
            }
            match segment.sealed_by {
                Some(following) => self.leave(following, end)?,
                None => {
                    segment.sealed_by = following(&self.directory, segment.file.first)?;
                    // What was written before it was sealed may have come after the look at it.
                    if segment.sealed_by.is_none() {
                        return self.wait(end);
                    }
                }
            }
        }
    }

    /// Open the segment that has the next record, or the first one after it; false where there is none.
    fn enter(&mut self) -> Result<bool, Fault> {
        loop {
            let segments = match directory::segments(&self.directory) {
                Ok(segments) => segments,
                // A gateway that never ran has written nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let mut left = segments.into_iter().filter(|file| file.first >= self.floor).peekable();
            let mut chosen = left.next();
            while let Some(later) = left.next_if(|file| file.first <= self.next) {
                chosen = Some(later);
            }
            let Some(file) = chosen else { return Ok(false) };
            if file.first > self.next {
                let first = std::mem::replace(&mut self.next, file.first);
                // Who begins at the beginning begins with what there is.
                if first > 1 {
                    return Err(Fault::Removed { first, last: file.first - 1 });
                }
            }
            let sealed_by = left.peek().map(|later| later.first);
            match open(&file) {
                Ok((header, reader)) => {
                    self.segment = Some(Segment { file, header, reader, held: None, sealed_by });
                    return Ok(true);
                }
                // It was removed since it was listed.
                Err(segment::Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(segment::Fault::Io(error)) => return Err(error.into()),
                Err(why) => match sealed_by {
                    Some(following) => self.lost(file.path, file.first, following, why)?,
                    None => return self.damaged(file.path, file.first, why).map(|()| false),
                },
            }
        }
    }

    /// Be done with a segment that does not grow any more.
    fn leave(&mut self, following: u64, end: End) -> Result<(), Fault> {
        let Some(segment) = self.segment.take() else { return Ok(()) };
        match end {
            End::Clean => self.floor = following,
            End::Fault(why) => self.lost(segment.file.path, segment.reader.next_sequence(), following, why)?,
        }
        Ok(())
    }

    /// Nothing more of the newest segment for now.
    fn wait(&mut self, end: End) -> Result<Option<Batch>, Fault> {
        let Some(segment) = &self.segment else { return Ok(None) };
        match end {
            End::Clean => Ok(None),
            End::Fault(why) => {
                let (path, first) = (segment.file.path.clone(), segment.reader.next_sequence());
                self.damaged(path, first, why).map(|()| None)
            }
        }
    }

    /// The newest segment has something that is no frame. It is tried again: a gateway that starts cuts it off.
    fn damaged(&mut self, path: PathBuf, at: u64, why: segment::Fault) -> Result<(), Fault> {
        let first = at.max(self.next);
        match why {
            segment::Fault::Torn { .. } => Ok(()),
            segment::Fault::Damaged { .. } | segment::Fault::Header(_) if self.told == Some(first) => Ok(()),
            segment::Fault::Damaged { .. } | segment::Fault::Header(_) => {
                self.told = Some(first);
                Err(Fault::Damaged { path, first, last: None, why })
            }
            segment::Fault::Io(error) => Err(error.into()),
        }
    }

    /// Pass over what a sealed segment has lost.
    fn lost(&mut self, path: PathBuf, at: u64, following: u64, why: segment::Fault) -> Result<(), Fault> {
        let first = at.max(self.next);
        self.floor = following;
        if first >= following {
            return Ok(());
        }
        self.next = following;
        match self.told {
            Some(told) if told == first => Ok(()),
            Some(_) | None => Err(Fault::Damaged { path, first, last: Some(following - 1), why }),
        }
    }
}

impl Segment {
    /// Records from `next` on, and why there are no more of them.
    fn read(&mut self, next: u64, records: usize, bytes: usize) -> (Vec<(u64, Frame)>, End) {
        let (mut frames, mut size) = (Vec::new(), 0_usize);
        let end = loop {
            let (sequence, frame) = match self.held.take().map_or_else(|| self.reader.next(), |held| Ok(Some(held))) {
                Ok(Some(next)) => next,
                Ok(None) => break End::Clean,
                // Whatever was read of a frame that is not whole is read again next time.
                Err(fault) => match self.reader.retry() {
                    Ok(()) => break End::Fault(fault),
                    Err(error) => break End::Fault(error.into()),
                },
            };
            if sequence < next {
                continue;
            }
            size = size.saturating_add(frame.bytes());
            if !frames.is_empty() && (frames.len() >= records || size > bytes) {
                self.held = Some((sequence, frame));
                break End::Clean;
            }
            frames.push((sequence, frame));
        };
        (frames, end)
    }
}

fn open(file: &SegmentFile) -> Result<(Arc<Header>, Reader<File>), segment::Fault> {
    let reader = Reader::open(File::open(&file.path)?)?;
    let header = reader.header().clone();
    if header.first != file.first {
        return Err(segment::Fault::Header(format!("it says that it begins with record {}", header.first)));
    }
    Ok((Arc::new(header), reader))
}

/// Where the segment after the one that begins with `first` begins.
fn following(directory: &Path, first: u64) -> io::Result<Option<u64>> {
    Ok(directory::segments(directory)?.into_iter().map(|file| file.first).find(|begin| *begin > first))
}

#[cfg(test)]
mod tests;
