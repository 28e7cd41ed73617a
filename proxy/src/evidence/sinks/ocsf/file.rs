//! A file of OCSF events, one JSON object a line: appended to, synced, and rotated by size.
//!
//! `Ok` means that the batch is on the disk. A batch that failed half-way is taken back, so that what follows is whole;
//! after a crash the line that was cut short is taken back when the file is opened again.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

/// Where events go.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file; former ones are `FILE.1`, the newest, and so on.
    pub path: PathBuf,
    /// Bytes that a file holds, or one batch where that is more.
    pub rotate_size: u64,
    /// How many former files remain.
    pub rotate_keep: usize,
}

/// The file, opened when there is something to write.
pub struct File {
    settings: Arc<Settings>,
    open: Option<Open>,
}

struct Open {
    file: fs::File,
    size: u64,
}

/// Bytes of one event, generously: how far back the end of the last whole line is looked for.
const LINE_MAX: u64 = 1 << 20;

impl File {
    /// Nothing is opened yet.
    pub fn new(settings: Settings) -> File {
        File { settings: Arc::new(settings), open: None }
    }

    /// Append a batch. After an error the same batch is to be appended again; the error says what failed.
    pub async fn append(&mut self, records: &[Value]) -> Result<(), String> {
        let mut lines = Vec::new();
        for record in records {
            lines.extend_from_slice(super::event(record).to_string().as_bytes());
            lines.push(b'\n');
        }
        let (settings, open) = (Arc::clone(&self.settings), self.open.take());
        let appended = tokio::task::spawn_blocking(move || append(&settings, open, &lines)).await;
        let failed = |why: &dyn std::fmt::Display| format!("the file {}: {why}", self.settings.path.display());
        self.open = Some(appended.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?);
        Ok(())
    }
}

fn append(settings: &Settings, open: Option<Open>, lines: &[u8]) -> io::Result<Open> {
    let path = &settings.path;
    let mut open = match open.filter(|open| is_at(&open.file, path)) {
        Some(open) => open,
        None => Open::at(path)?,
    };
    let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    if open.size > 0 && open.size.saturating_add(length) > settings.rotate_size {
        drop(open);
        rotate(path, settings.rotate_keep)?;
        open = Open::at(path)?;
    }
    let written = open.file.write_all(lines).and_then(|()| open.file.sync_data());
    if let Err(error) = written {
        // Should this fail as well, the next opening finds the cut line.
        let _ = open.file.set_len(open.size);
        return Err(error);
    }
    open.size = open.size.saturating_add(length);
    Ok(open)
}

impl Open {
    fn at(path: &Path) -> io::Result<Open> {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
        let size = whole_lines(&file)?;
        file.set_len(size)?;
        sync_directory(path)?;
        Ok(Open { file, size })
    }
}

/// Bytes up to the end of the last whole line. What follows it is the begin of an event, or the file is not ours.
fn whole_lines(mut file: &fs::File) -> io::Result<u64> {
    let size = file.metadata()?.len();
    let from = size.saturating_sub(LINE_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(LINE_MAX).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let cut = tail.get(whole..).unwrap_or_default();
    if (whole == 0 && from > 0) || !(cut.is_empty() || cut.starts_with(b"{")) {
        let message = "it holds something else than events; name another file";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(from.saturating_add(u64::try_from(whole).unwrap_or(0)))
}

/// Whether the file is still the one of that name: a program that rotates files may have moved it.
fn is_at(file: &fs::File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        (_, _) => false,
    }
}

/// Give each file the next number; the one with the last number goes.
fn rotate(path: &Path, keep: usize) -> io::Result<()> {
    for number in (1..keep).rev() {
        shift(&numbered(path, number), &numbered(path, number + 1))?;
    }
    shift(path, &numbered(path, 1))?;
    sync_directory(path)
}

fn shift(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// A new name is on the disk once its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(above)?.sync_all()
}
