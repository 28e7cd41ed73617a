//! The records that a question is asked of: spools, segments and exports, read one record at a time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::row::Row;
use crate::evidence::otlp::decode;
use crate::evidence::otlp::message::Garbled;
use crate::evidence::spool::directory;
use crate::evidence::spool::follow::{Fault, Follower};
use crate::evidence::spool::segment::{self, Frame, Header, Reader};
use crate::recorded::{self, Recorded};

/// Bytes of one line of an export: several times the largest record.
const LINE_MAX: u64 = 1 << 20;
/// Records and bytes that are held at a time.
const BATCH: (usize, usize) = (4096, 4 << 20);
/// Complaints that are kept: a file that is no export at all has one for each of its lines.
const FAULTS_MAX: usize = 20;

/// One record, in the form in which it was found.
pub enum Record<'a> {
    /// From a spool.
    Bytes(&'a [u8], &'a Header),
    /// From an export.
    Json(&'a Value),
}

impl<'a> Record<'a> {
    /// What questions look at.
    ///
    /// # Errors
    ///
    /// [`Garbled`] where it is no record.
    pub fn row(&self) -> Result<Row<'a>, Garbled> {
        match self {
            Record::Bytes(bytes, _) => Row::of_bytes(bytes),
            Record::Json(json) => Row::of_json(json),
        }
    }

    /// All of it.
    ///
    /// # Errors
    ///
    /// [`Garbled`] where it is no record.
    pub fn json(&self) -> Result<Cow<'a, Value>, Garbled> {
        match self {
            Record::Bytes(bytes, header) => decode::record(bytes, &header.gateway).map(Cow::Owned),
            Record::Json(json) => Ok(Cow::Borrowed(json)),
        }
    }
}

/// What is read.
#[derive(Clone, Debug)]
enum Source {
    /// A spool, or a folder of segments.
    Directory(PathBuf),
    Segment(PathBuf),
    /// JSON, a record a line.
    Lines(PathBuf),
    /// The same, from standard input.
    Input,
    Parquet(PathBuf),
}

/// Everything that a question is asked of, in the order in which it was named.
#[derive(Clone, Debug)]
pub struct Sources {
    sources: Vec<Source>,
    /// How much there is to read.
    pub bytes: u64,
}

/// What could not be read, so that no answer passes for a whole one.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    /// The first of them, in words.
    pub told: Vec<String>,
    /// How many more there are.
    pub more: u64,
    /// Records that were erased: known to have been there, and nothing else of them.
    pub erased: u64,
}

impl Gaps {
    /// Something could not be read.
    pub fn add(&mut self, what: String) {
        if self.told.len() < FAULTS_MAX { self.told.push(what) } else { self.more += 1 }
    }

    /// Whether everything could be read.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }
}

/// Receives the records, and says whether to go on.
pub type Take<'t> = dyn FnMut(&Record<'_>, &Row<'_>) -> ControlFlow<()> + 't;

impl Sources {
    /// Look at what there is. Files called `.seg` are segments, other files are exports: Parquet where they begin as such
    /// files do, JSON lines otherwise. `-` is standard input, JSON lines.
    ///
    /// # Errors
    ///
    /// A sentence where one of them is not there.
    pub fn find(paths: &[PathBuf]) -> Result<Sources, String> {
        let mut found = Sources { sources: Vec::new(), bytes: 0 };
        for path in paths {
            if path.as_os_str() == "-" {
                found.sources.push(Source::Input);
                continue;
            }
            let said = |error: io::Error| format!("`{}` cannot be read: {error}", path.display());
            let metadata = path.metadata().map_err(said)?;
            if metadata.is_dir() {
                let segments = directory::segments(path).map_err(said)?;
                found.bytes += segments.iter().map(|segment| segment.bytes).sum::<u64>();
                found.sources.push(Source::Directory(path.clone()));
                continue;
            }
            found.bytes += metadata.len();
            found.sources.push(match path.to_string_lossy().ends_with(segment::SUFFIX) {
                true => Source::Segment(path.clone()),
                false if recorded::parquet::begins_as_one(path).map_err(said)? => Source::Parquet(path.clone()),
                false => Source::Lines(path.clone()),
            });
        }
        Ok(found)
    }

    /// Hand every record to `take`, and the bytes read so far to `progress`. Parquet files are told as gaps: what they
    /// hold is asked with SQL.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read at all. What is damaged or gone is told in the [`Gaps`].
    pub fn each(&self, progress: &mut dyn FnMut(u64), take: &mut Take<'_>) -> io::Result<Gaps> {
        let mut gaps = Gaps::default();
        let asked = self.sources.iter().filter(|source| match source {
            Source::Parquet(path) => {
                gaps.add(format!("`{}` is a Parquet file: ask it with SQL, or name the spool", path.display()));
                false
            }
            Source::Directory(_) | Source::Segment(_) | Source::Lines(_) | Source::Input => true,
        });
        let asked: Vec<&Source> = asked.collect();
        let mut see = |found: Found<'_>| match found {
            Found::Record(record) => Ok(take(&record, &record.row()?)),
            Found::Line(_) => Ok(ControlFlow::Continue(())),
        };
        Reading::of(gaps, progress, &mut see).all(&asked)
    }

    /// Hand every record to `take` with the facts that it keeps, and the bytes read so far to `progress`.
    ///
    /// # Errors
    ///
    /// As [`Sources::each`].
    pub fn each_recorded(
        &self,
        progress: &mut dyn FnMut(u64),
        take: &mut dyn FnMut(&Recorded<'_>) -> ControlFlow<()>,
    ) -> io::Result<Gaps> {
        let mut see = |found: Found<'_>| match found {
            Found::Record(Record::Bytes(bytes, _)) => Ok(take(&Recorded::of_bytes(bytes)?)),
            Found::Record(Record::Json(json)) => Ok(take(&Recorded::of_json(json)?)),
            Found::Line(line) => Ok(take(line)),
        };
        Reading::of(Gaps::default(), progress, &mut see).all(&self.sources.iter().collect::<Vec<_>>())
    }
}

/// A record, before anything is known of it.
enum Found<'a> {
    Record(Record<'a>),
    /// From a Parquet file.
    Line(&'a Recorded<'a>),
}

type See<'t> = dyn FnMut(Found<'_>) -> Result<ControlFlow<()>, Garbled> + 't;

struct Reading<'t, 'f> {
    gaps: Gaps,
    /// For each log the ranges of records that were read: an archive and a spool may have the same segments.
    seen: HashMap<String, Vec<(u64, u64)>>,
    read: u64,
    progress: &'t mut dyn FnMut(u64),
    see: &'t mut See<'f>,
}

impl<'t, 'f> Reading<'t, 'f> {
    fn of(gaps: Gaps, progress: &'t mut dyn FnMut(u64), see: &'t mut See<'f>) -> Reading<'t, 'f> {
        Reading { gaps, seen: HashMap::new(), read: 0, progress, see }
    }

    fn all(mut self, sources: &[&Source]) -> io::Result<Gaps> {
        for source in sources {
            let flow = match source {
                Source::Directory(path) => self.directory(path)?,
                Source::Segment(path) => self.segment(path)?,
                Source::Lines(path) => self.lines(File::open(path)?, &format!("`{}`", path.display()))?,
                Source::Input => self.lines(io::stdin().lock(), "standard input")?,
                Source::Parquet(path) => self.parquet(path),
            };
            if flow.is_break() {
                break;
            }
        }
        Ok(self.gaps)
    }

    fn directory(&mut self, path: &Path) -> io::Result<ControlFlow<()>> {
        let mut follower = Follower::open(path, 0);
        loop {
            match follower.next_batch(BATCH.0, BATCH.1) {
                Ok(None) => return Ok(ControlFlow::Continue(())),
                Ok(Some(batch)) => {
                    if self.frames(&batch.header, &batch.frames).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    self.saw(&batch.header, batch.first, batch.first + batch.frames.len() as u64 - 1);
                }
                Err(Fault::Io(error)) => return Err(error),
                Err(fault) => self.gaps.add(fault.to_string()),
            }
        }
    }

    fn segment(&mut self, path: &Path) -> io::Result<ControlFlow<()>> {
        let said = |fault: segment::Fault| format!("`{}`: {fault}", path.display());
        let mut reader = match Reader::open(File::open(path)?) {
            Ok(reader) => reader,
            Err(fault) => {
                self.gaps.add(said(fault));
                return Ok(ControlFlow::Continue(()));
            }
        };
        let header = reader.header().clone();
        let mut frames = Vec::new();
        loop {
            match reader.next() {
                Ok(None) => break,
                Ok(Some(frame)) => frames.push(frame),
                Err(fault) => {
                    self.gaps.add(said(fault));
                    break;
                }
            }
            if frames.len() == BATCH.0 {
                if self.frames(&header, &frames).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                frames.clear();
            }
        }
        let flow = self.frames(&header, &frames);
        self.saw(&header, header.first, reader.next_sequence().saturating_sub(1));
        Ok(flow)
    }

    fn frames(&mut self, header: &Header, frames: &[(u64, Frame)]) -> ControlFlow<()> {
        let seen = self.seen.get(&header.log).cloned().unwrap_or_default();
        for (sequence, frame) in frames {
            self.read += (frame.bytes() + segment::FRAME_OVERHEAD) as u64;
            if seen.iter().any(|(first, last)| first <= sequence && sequence <= last) {
                continue;
            }
            match frame {
                Frame::Erased(_) => self.gaps.erased += 1,
                Frame::Record(bytes) => {
                    self.record(Record::Bytes(bytes, header), &|| format!("record {sequence}"))?;
                }
            }
        }
        (self.progress)(self.read);
        ControlFlow::Continue(())
    }

    fn saw(&mut self, header: &Header, first: u64, last: u64) {
        let seen = self.seen.entry(header.log.clone()).or_default();
        match seen.last_mut() {
            Some(range) if range.1 + 1 == first => range.1 = last,
            Some(_) | None => seen.push((first, last)),
        }
    }

    fn lines(&mut self, from: impl io::Read, name: &str) -> io::Result<ControlFlow<()>> {
        let mut from = BufReader::with_capacity(256 << 10, from);
        let (mut line, mut number) = (Vec::new(), 0_u64);
        loop {
            line.clear();
            if from.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
                (self.progress)(self.read);
                return Ok(ControlFlow::Continue(()));
            }
            number += 1;
            self.read += line.len() as u64;
            let place = || format!("line {number} of {name}");
            match serde_json::from_slice(&line) {
                Ok(json) if self.record(Record::Json(&json), &place).is_break() => return Ok(ControlFlow::Break(())),
                Ok(_) => {}
                Err(error) => self.gaps.add(format!("{}: {error}", place())),
            }
            if number.is_multiple_of(1024) {
                (self.progress)(self.read);
            }
        }
    }

    fn parquet(&mut self, path: &Path) -> ControlFlow<()> {
        let before = self.read;
        let mut take = |line: &Recorded<'_>| (self.see)(Found::Line(line)).unwrap_or(ControlFlow::Continue(()));
        let mut progress = |read| {
            self.read = before + read;
            (self.progress)(self.read);
        };
        match recorded::parquet::each(path, &mut progress, &mut take) {
            Ok(flow) => flow,
            Err(fault) => {
                self.gaps.add(format!("`{}`: {fault}", path.display()));
                ControlFlow::Continue(())
            }
        }
    }

    fn record(&mut self, record: Record<'_>, place: &dyn Fn() -> String) -> ControlFlow<()> {
        (self.see)(Found::Record(record)).unwrap_or_else(|Garbled| {
            self.gaps.add(format!("{} is no record of this version", place()));
            ControlFlow::Continue(())
        })
    }
}
