//! Standard output: lines for people, or JSON for programs, of every record that stands in the spool.
//!
//! A thread of its own, because standard output may block for as long as its reader likes; the spool goes on meanwhile,
//! until there is no room for records that wait here.

use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::watch;

use super::line;
use super::queue::{Item, Queue};
use super::room::Room;
use super::{Limits, alarm, next_pause};

/// Records in one write: some 512 KiB of JSON, so that a burst does not become one huge buffer.
const BATCH: usize = 512;

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One line to be read by people.
    Text(Colour),
    /// One JSON object a line.
    Json,
}

/// Whether the readable line is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// With ANSI colours.
    On,
    /// Without.
    Off,
}

/// Where lines go, and in which form.
pub struct Output {
    format: Format,
    to: Box<dyn Write + Send>,
}

impl Output {
    /// Lines of this form to `to`. Whatever it buffers counts as written.
    pub fn new(format: Format, to: Box<dyn Write + Send>) -> Output {
        Output { format, to }
    }

    /// Readable lines to standard output, coloured on a terminal unless `NO_COLOR` is set (no-color.org).
    pub fn stdout_text() -> io::Result<Output> {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colour = if wanted && io::stdout().is_terminal() { Colour::On } else { Colour::Off };
        Ok(Output::new(Format::Text(colour), Box::new(unbuffered_stdout()?)))
    }

    /// JSON to standard output.
    pub fn stdout_json() -> io::Result<Output> {
        Ok(Output::new(Format::Json, Box::new(unbuffered_stdout()?)))
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.format, Format::Text(_))
    }
}

/// The standard library's handle buffers, and takes a closed descriptor for success.
fn unbuffered_stdout() -> io::Result<std::fs::File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// A record with the room that it holds until it is out; the log's own records hold none.
pub(super) type Line = (Item, Option<Room>);

/// The writer's end. It is bounded by the room that records hold.
pub(super) type Lines = Sender<Line>;

/// Start the thread; it ends when the writer has, and all is out or cannot be. The receiver is closed then.
pub(super) fn start(output: Output, queue: &Arc<Queue>, limits: Limits) -> io::Result<(Lines, watch::Receiver<()>)> {
    let (to, from) = channel();
    let (running, ended) = watch::channel(());
    let printer = Printer { queue: Arc::clone(queue), output, limits, _running: running };
    std::thread::Builder::new().name("evidence-stdout".into()).spawn(move || printer.run(&from))?;
    Ok((to, ended))
}

struct Printer {
    queue: Arc<Queue>,
    output: Output,
    limits: Limits,
    _running: watch::Sender<()>,
}

impl Printer {
    fn run(mut self, from: &Receiver<Line>) {
        let mut bytes = Vec::new();
        while let Ok(first) = from.recv() {
            let batch: Vec<_> = std::iter::once(first).chain(from.try_iter().take(BATCH - 1)).collect();
            bytes.clear();
            batch.iter().for_each(|(item, _)| render(item, self.output.format, &mut bytes));
            self.write(&bytes);
        }
    }

    /// Write, and again from where it failed until it is out or the queue is stopped.
    fn write(&mut self, mut rest: &[u8]) {
        let mut pause = self.limits.retry_first;
        while !rest.is_empty() {
            let written = self.output.to.write(rest);
            match written.and_then(|written| rest.get(written..).ok_or(io::ErrorKind::WriteZero.into())) {
                Ok(left) if left.len() < rest.len() => {
                    rest = left;
                    pause = self.limits.retry_first;
                    if self.queue.set_output_fails(false) {
                        alarm("evidence: standard output takes records again");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                failed => {
                    if self.queue.set_output_fails(true) {
                        let why = failed.err().map_or_else(|| "nothing was taken".into(), |error| error.to_string());
                        alarm(&format!("evidence: standard output fails ({why}); new connections are refused"));
                    }
                    if self.queue.sleep_unless_stopped(pause) {
                        return;
                    }
                    pause = next_pause(pause, self.limits.retry_longest);
                }
            }
        }
    }
}

fn render(item: &Item, format: Format, into: &mut Vec<u8>) {
    match format {
        Format::Text(colour) => line::write(&item.json(), item.label(), colour, into),
        Format::Json => {
            // Records have string keys only and Vec takes every byte: nothing here can fail.
            let _ = match item {
                Item::Decision(record) => serde_json::to_writer(&mut *into, &**record),
                Item::Close(record, _) => serde_json::to_writer(&mut *into, record),
                Item::Policy(record) => serde_json::to_writer(&mut *into, record),
                Item::Checkpoint(record) => serde_json::to_writer(&mut *into, record),
                Item::Gap(record) => serde_json::to_writer(&mut *into, record),
                Item::Act(record) => serde_json::to_writer(&mut *into, record),
            };
            into.push(b'\n');
        }
    }
}
