//! What one request carries: a batch as it was read from the spool, or a piece of one.

use std::ops::Range;
use std::sync::Arc;

use crate::evidence::spool::follow::Batch;
use crate::evidence::spool::segment::{Frame, Header};

/// A part of a batch: all of it at first, less where a sink does not take so much at once.
#[derive(Clone, Debug)]
pub struct Piece {
    header: Arc<Header>,
    frames: Arc<Vec<(u64, Frame)>>,
    range: Range<usize>,
}

impl Piece {
    /// All of a batch.
    pub fn whole(batch: Batch) -> Piece {
        let range = 0..batch.frames.len();
        Piece { header: batch.header, frames: Arc::new(batch.frames), range }
    }

    /// What the segment of the records says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its frames, with their sequence numbers: erased ones as well, which are nothing to send.
    pub fn frames(&self) -> &[(u64, Frame)] {
        self.frames.get(self.range.clone()).unwrap_or_default()
    }

    /// The bytes of its records.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.frames().iter().filter_map(|(_, frame)| match frame {
            Frame::Record(record) => Some(record.as_slice()),
            Frame::Erased(_) => None,
        })
    }

    /// Two halves; `None` where there is only one record.
    pub fn halves(&self) -> Option<(Piece, Piece)> {
        let part = |range| Piece { range, ..self.clone() };
        let middle = self.range.start + self.range.len() / 2;
        (self.range.len() > 1).then(|| (part(self.range.start..middle), part(middle..self.range.end)))
    }
}
