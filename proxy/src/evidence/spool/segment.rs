//! One segment of the spool: a header, then frames. A frame is `[length][crc32c][record]`.
//!
//! A segment is `NNNNNNNNNNNNNNNNNNNN.seg`, the twenty digits being the sequence number of its first record; the n-th
//! frame after it has the n-th number after that, so a record is found without being decoded. Both integers of a frame
//! are little-endian; the checksum (RFC 3720, Castagnoli) covers the four bytes of the length and the record, so that a
//! stretch of zeros is no frame. Where the highest bit of the length is set the record was erased, and the frame holds
//! the 32 bytes of its leaf hash instead.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

/// Bytes of one record: the largest that the encoder makes is about 20 KiB.
pub const RECORD_MAX: usize = 64 << 10;

/// The first bytes of every segment; the last one is the version of the format.
pub const MAGIC: &[u8; 8] = b"GPSPOOL\x01";

/// The suffix of a segment's name.
pub const SUFFIX: &str = ".seg";

/// Bytes before a record in its frame.
pub const FRAME_OVERHEAD: usize = 8;

/// Bytes of a header: names are bounded, and this bounds what a damaged length makes a reader take.
const HEADER_MAX: usize = 16 << 10;

const ERASED: u32 = 1 << 31;

/// What a segment says of itself before its first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The sequence number of the first record.
    pub first: u64,
    /// The gateway's name: `service.instance.id`, and `gateway` in the JSON of each record.
    pub gateway: String,
    /// The origin of the log that the records are leaves of.
    pub log: String,
    /// The run of the process that wrote it, a UUIDv7.
    pub run: String,
    /// When it was begun, RFC 3339.
    pub created: String,
    /// The gateway's version: `service.version`.
    pub version: String,
    /// The machine's name, where it is known: `host.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// What stands in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The bytes of a record: an OTLP `LogRecord` message.
    Record(Vec<u8>),
    /// The record was erased; its leaf hash remains.
    Erased([u8; 32]),
}

impl Frame {
    /// Bytes of what stands in it.
    pub fn bytes(&self) -> usize {
        match self {
            Frame::Record(record) => record.len(),
            Frame::Erased(leaf) => leaf.len(),
        }
    }
}

/// Why a segment cannot be read on from here.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file ends inside a frame or the header: a write that was cut short, or is under way.
    #[error("the file ends within a frame at byte {at}")]
    Torn {
        /// Where the frame begins.
        at: u64,
    },
    /// The frame is there and is not what was written.
    #[error("the frame at byte {at} is damaged: {what}")]
    Damaged {
        /// Where the frame begins.
        at: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The header is not one.
    #[error("this is no segment of a spool: {0}")]
    Header(String),
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The name of the segment that begins with this record.
pub fn file_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The first record of the segment of this name; `None` where it is no segment's name.
pub fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

impl Header {
    /// The bytes before the first frame.
    pub fn encode(&self) -> Vec<u8> {
        // Strings and a number only: nothing here can fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(MAGIC.len() + FRAME_OVERHEAD + json.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&json).to_le_bytes());
        bytes.extend_from_slice(&json);
        bytes
    }
}

/// Append the frame of a record. The record may come in pieces.
pub fn write_frame(pieces: &[&[u8]], into: &mut Vec<u8>) {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    write(u32::try_from(length).unwrap_or(u32::MAX), pieces, into);
}

/// Append the frame of a record that was erased.
pub fn write_erased(leaf: &[u8; 32], into: &mut Vec<u8>) {
    write(32 | ERASED, &[leaf], into);
}

fn write(word: u32, pieces: &[&[u8]], into: &mut Vec<u8>) {
    let word = word.to_le_bytes();
    let sum = pieces.iter().fold(crc32c::crc32c(&word), |sum, piece| crc32c::crc32c_append(sum, piece));
    into.extend_from_slice(&word);
    into.extend_from_slice(&sum.to_le_bytes());
    pieces.iter().for_each(|piece| into.extend_from_slice(piece));
}

/// Reads a segment from its beginning.
#[derive(Debug)]
pub struct Reader<R> {
    from: BufReader<R>,
    header: Header,
    /// Where the next frame begins.
    at: u64,
    /// The sequence number of the next frame.
    next: u64,
}

impl<R: Read> Reader<R> {
    /// Read the header.
    pub fn open(from: R) -> Result<Reader<R>, Fault> {
        let mut from = BufReader::with_capacity(256 << 10, from);
        let mut fixed = [0; 16];
        if fill(&mut from, &mut fixed)? < fixed.len() {
            return Err(Fault::Torn { at: 0 });
        }
        let (magic, rest) = fixed.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(Fault::Header("it does not begin as one of this version does".into()));
        }
        let (length, sum) = words(rest);
        let length = length as usize;
        if length > HEADER_MAX {
            return Err(Fault::Header("its header is too long".into()));
        }
        let mut json = vec![0; length];
        if fill(&mut from, &mut json)? < length {
            return Err(Fault::Torn { at: 0 });
        }
        if crc32c::crc32c(&json) != sum {
            return Err(Fault::Header("the checksum of its header is wrong".into()));
        }
        let header: Header = serde_json::from_slice(&json).map_err(|error| Fault::Header(error.to_string()))?;
        let (at, next) = (16 + length as u64, header.first);
        Ok(Reader { from, header, at, next })
    }

    /// What the segment says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the next frame begins, in bytes from the beginning of the file.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The sequence number that the next frame has.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// The next frame with its sequence number; `None` at the end of the file.
    #[expect(clippy::should_implement_trait, reason = "an iterator that has ended is done with; a segment may grow")]
    pub fn next(&mut self) -> Result<Option<(u64, Frame)>, Fault> {
        if self.from.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let at = self.at;
        let mut fixed = [0; FRAME_OVERHEAD];
        if fill(&mut self.from, &mut fixed)? < fixed.len() {
            return Err(Fault::Torn { at });
        }
        let (word, sum) = words(&fixed);
        let length = (word & !ERASED) as usize;
        if length > RECORD_MAX {
            return Err(Fault::Damaged { at, what: "its length is impossible" });
        }
        let mut record = vec![0; length];
        if fill(&mut self.from, &mut record)? < length {
            return Err(Fault::Torn { at });
        }
        if crc32c::crc32c_append(crc32c::crc32c(&word.to_le_bytes()), &record) != sum {
            return Err(Fault::Damaged { at, what: "its checksum is wrong" });
        }
        let frame = match word & ERASED {
            0 => Frame::Record(record),
            _ => Frame::Erased(
                record.try_into().map_err(|_| Fault::Damaged { at, what: "what remains of it is no leaf hash" })?,
            ),
        };
        let sequence = self.next;
        self.next += 1;
        self.at += (FRAME_OVERHEAD + length) as u64;
        Ok(Some((sequence, frame)))
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Forget what was read of the frame at [`Reader::at`], so that the next call reads it anew: a writer may have
    /// finished it since.
    pub fn retry(&mut self) -> io::Result<()> {
        self.from.seek(SeekFrom::Start(self.at)).map(|_| ())
    }
}

/// The two integers of a frame or a header.
fn words(bytes: &[u8]) -> (u32, u32) {
    let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    (word(bytes), word(bytes.get(4..).unwrap_or_default()))
}

/// Fill the buffer as far as the file goes; how much of it that is.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn header(first: u64) -> Header {
        Header {
            first,
            gateway: "gw-1".into(),
            log: "gatepass.test/gw-1".into(),
            run: "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5".into(),
            created: "2026-11-22T10:00:00Z".into(),
            version: "0.1.0".into(),
            host: None,
        }
    }

    fn segment() -> Vec<u8> {
        let mut bytes = header(7).encode();
        write_frame(&[b"one"], &mut bytes);
        write_frame(&[b"t", b"w", b"o"], &mut bytes);
        write_erased(&[9; 32], &mut bytes);
        bytes
    }

    #[test]
    fn what_was_written_is_read_with_its_sequence_numbers() {
        let bytes = segment();
        let mut reader = Reader::open(bytes.as_slice()).unwrap();
        assert_eq!(reader.header(), &header(7));
        assert_eq!(reader.next().unwrap(), Some((7, Frame::Record(b"one".to_vec()))));
        assert_eq!(reader.next().unwrap(), Some((8, Frame::Record(b"two".to_vec()))));
        assert_eq!(reader.next().unwrap(), Some((9, Frame::Erased([9; 32]))));
        assert_eq!((reader.next().unwrap(), reader.at()), (None, bytes.len() as u64));
    }

    #[test]
    fn every_single_flipped_bit_is_noticed_at_the_frame_that_it_is_in() {
        let bytes = segment();
        let body = header(7).encode().len();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(mut reader) = Reader::open(bytes.as_slice()) else {
                assert!(bit / 8 < body, "bit {bit}");
                continue;
            };
            let frame = [11, 11]
                .iter()
                .scan(body, |end, n| {
                    *end += n;
                    Some(*end)
                })
                .filter(|end| bit / 8 >= *end);
            let expected = 7 + frame.count() as u64;
            while let Ok(Some(_)) = reader.next() {}
            assert_eq!(reader.next_sequence(), expected, "bit {bit}");
        }
    }

    #[test]
    fn a_file_that_ends_anywhere_is_torn_there_or_ends_between_frames() {
        let bytes = segment();
        for end in 0..bytes.len() {
            let Ok(mut reader) = Reader::open(&bytes[..end]) else { continue };
            let ended = loop {
                match reader.next() {
                    Ok(Some(_)) => {}
                    other => break other,
                }
            };
            match ended {
                Ok(None) => assert_eq!(reader.at(), end as u64),
                Err(Fault::Torn { at }) => assert!(at == reader.at() && at < end as u64),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn zeros_are_no_frame_and_other_files_are_no_segment() {
        let mut bytes = segment();
        bytes.extend_from_slice(&[0; 64]);
        let mut reader = Reader::open(bytes.as_slice()).unwrap();
        for _ in 0..3 {
            reader.next().unwrap();
        }
        assert!(matches!(reader.next(), Err(Fault::Damaged { .. })));
        assert!(matches!(Reader::open(&b"a text file, longer than that"[..]), Err(Fault::Header(_))));
        assert_eq!((first_of(&file_name(41)), first_of("41.seg"), first_of("checkpoint")), (Some(41), None, None));
    }
}
