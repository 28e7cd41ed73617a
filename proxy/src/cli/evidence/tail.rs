//! `gatepass evidence tail`: the last records, and then each as it comes.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use clap::Args;
use notify::{RecursiveMode, Watcher as _};

use super::from::{About, DIRECTORY, During};
use super::picker::{Checkpoints, Picker};
use super::say::{failed, unheard};
use crate::cli::Exit;
use crate::cli::style::Paint;
use crate::evidence::Colour;
use crate::evidence::line;
use crate::evidence::otlp::decode;
use crate::evidence::questions::row::Row;
use crate::evidence::spool::directory::{self, SegmentFile};
use crate::evidence::spool::follow::{Batch, Fault, Follower};
use crate::evidence::spool::segment::{Frame, Reader};

/// Records and bytes that are read at once.
const BATCH: (usize, usize) = (1024, 1 << 20);
/// How long a look at the spool waits for a change that was not announced: shared file systems announce none.
const LOOK: Duration = Duration::from_millis(500);
/// How many changes announced at once are one.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub struct Arguments {
    /// The spool of the gateway.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    directory: PathBuf,
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    during: During,
    /// Begin with so many records [default: 20; all of them with --since].
    #[arg(short = 'n', long = "lines", value_name = "N")]
    lines: Option<usize>,
    /// End with the last record there is.
    #[arg(long)]
    no_follow: bool,
    /// JSON, a record a line, as the gateway writes it to standard output.
    #[arg(long)]
    json: bool,
}

/// How a record is shown.
#[derive(Clone, Copy)]
enum Form {
    Json,
    Line(Colour),
}

pub fn run(arguments: &Arguments) -> Exit {
    if !arguments.directory.is_dir() {
        let problem = format!("there is no spool in `{}`", arguments.directory.display());
        eprintln!("help: name the gateway's `evidence.spool.directory` with --directory");
        return failed(&problem);
    }
    match tail(arguments) {
        Ok(()) => Exit::Yes,
        Err(exit) => exit,
    }
}

fn tail(arguments: &Arguments) -> Result<(), Exit> {
    let span = arguments.during.span();
    let lines = arguments.lines.unwrap_or(if span.since == i64::MIN { 20 } else { usize::MAX });
    let colour = if Paint::stdout() == Paint::Ansi { Colour::On } else { Colour::Off };
    let form = if arguments.json { Form::Json } else { Form::Line(colour) };
    let checkpoints = if arguments.json { Checkpoints::Shown } else { Checkpoints::LeftOut };
    let mut picker = Picker::new(arguments.about.filter(), span, checkpoints);
    // Before the first look, so that no change falls between.
    let changes = if arguments.no_follow { None } else { Some(Changes::watch(&arguments.directory)) };
    let start = begin(&arguments.directory, &picker, lines).map_err(|error| unread(&error))?;
    let mut follower = Follower::open(&arguments.directory, start);
    let mut last = VecDeque::new();
    while let Some(batch) = next(&mut follower)? {
        for bytes in shown(&batch, &mut picker, form) {
            last.push_back(bytes);
            if last.len() > lines {
                last.pop_front();
            }
        }
    }
    write(last.into_iter())?;
    let Some(changes) = changes else { return Ok(()) };
    loop {
        match next(&mut follower)? {
            Some(batch) => write(shown(&batch, &mut picker, form).into_iter())?,
            None => changes.wait(),
        }
    }
}

/// The next records; what is lost is told, and read over.
fn next(follower: &mut Follower) -> Result<Option<Batch>, Exit> {
    loop {
        match follower.next_batch(BATCH.0, BATCH.1) {
            Ok(batch) => return Ok(batch),
            Err(Fault::Io(error)) => return Err(unread(&error)),
            Err(fault) => eprintln!("warning: {fault}"),
        }
    }
}

/// The record after which to begin, so that enough are shown: whole segments, from the newest back.
fn begin(directory: &Path, picker: &Picker, lines: usize) -> io::Result<u64> {
    let mut enough = 0_usize;
    let segments = directory::segments(directory)?;
    for segment in segments.iter().rev() {
        let (shown, first) = count(segment, picker);
        enough = enough.saturating_add(shown);
        let before = |time| time < picker.since();
        if enough >= lines || first.is_some_and(before) {
            return Ok(segment.first.saturating_sub(1));
        }
    }
    Ok(segments.first().map_or(0, |segment| segment.first.saturating_sub(1)))
}

/// How many records of a segment are shown, and the time of its first one. What cannot be read is told when it is
/// followed.
fn count(segment: &SegmentFile, picker: &Picker) -> (usize, Option<i64>) {
    let (mut shown, mut first) = (0, None);
    let Ok(mut reader) = std::fs::File::open(&segment.path).map_err(Into::into).and_then(Reader::open) else {
        return (shown, first);
    };
    while let Ok(Some((_, frame))) = reader.next() {
        let Frame::Record(bytes) = frame else { continue };
        if let Ok(row) = Row::of_bytes(&bytes) {
            first = first.or(Some(row.time));
            shown += usize::from(picker.may_show(&row));
        }
    }
    (shown, first)
}

/// The lines of what is shown of a batch.
fn shown(batch: &Batch, picker: &mut Picker, form: Form) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for (sequence, frame) in &batch.frames {
        let Frame::Record(bytes) = frame else { continue };
        let (Ok(row), Ok(json)) = (Row::of_bytes(bytes), decode::record(bytes, &batch.header.gateway)) else {
            eprintln!("warning: record {sequence} is no record of this version");
            continue;
        };
        let Some(label) = picker.shows(&row, &json) else { continue };
        let mut line = Vec::new();
        match form {
            Form::Json => line.extend_from_slice(format!("{json}\n").as_bytes()),
            Form::Line(colour) => line::write(&json, label.as_deref(), colour, &mut line),
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    lines
}

fn write(lines: impl Iterator<Item = Vec<u8>>) -> Result<(), Exit> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let write = || {
        for line in lines {
            out.write_all(&line)?;
        }
        out.flush()
    };
    write().map_err(|error| unheard(&error))
}

fn unread(error: &io::Error) -> Exit {
    failed(&format!("the spool cannot be read: {error}"))
}

/// Announcements that the spool has changed.
struct Changes {
    /// Ends with the announcements.
    _watcher: Option<notify::RecommendedWatcher>,
    announced: Receiver<()>,
}

impl Changes {
    fn watch(directory: &Path) -> Changes {
        // One announcement that waits says as much as a thousand.
        let (announce, announced) = sync_channel(1);
        let handler = move |event: notify::Result<notify::Event>| {
            // Looking at the folder is announced as well.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _ = announce.try_send(());
            }
        };
        // Without announcements there is the look from time to time.
        let watcher = notify::recommended_watcher(handler).ok().and_then(|mut watcher| {
            let segments = directory.join(directory::SEGMENTS);
            let folder = if segments.is_dir() { segments } else { directory.to_owned() };
            watcher.watch(&folder, RecursiveMode::NonRecursive).ok().map(|()| watcher)
        });
        Changes { _watcher: watcher, announced }
    }

    fn wait(&self) {
        match self.announced.recv_timeout(LOOK) {
            // A busy gateway announces every write.
            Ok(()) => {
                std::thread::sleep(PAUSE);
                while self.announced.try_recv().is_ok() {}
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            // No watcher: nothing is ever announced, and the channel has no other end.
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK / 5),
        }
    }
}
