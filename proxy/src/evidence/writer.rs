//! The one writer: drains the queue, writes standard output in one call a batch, and hands on to the exporter.
//!
//! A thread of its own, because standard output may block for as long as its reader likes.

use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use super::line;
use super::otlp::Exporter;
use super::queue::{Entry, Item, Queue};
use super::{Limits, Shared};
use crate::metrics::Metrics;

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

pub(super) fn start(
    shared: &Shared,
    output: Option<Output>,
    exporter: Option<Exporter>,
    limits: Limits,
) -> io::Result<()> {
    let (queue, metrics) = (shared.queue.clone(), shared.metrics.clone());
    let writer = Writer { queue, metrics, output, exporter, limits };
    std::thread::Builder::new().name("evidence".into()).spawn(move || writer.run())?;
    Ok(())
}

struct Writer {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    output: Option<Output>,
    exporter: Option<Exporter>,
    limits: Limits,
}

impl Writer {
    fn run(mut self) {
        let mut taken = Vec::new();
        let mut bytes = Vec::new();
        while self.queue.take(&mut taken) {
            let mut waiting = taken.drain(..);
            loop {
                let batch: Vec<Entry> = waiting.by_ref().take(BATCH).collect();
                if batch.is_empty() {
                    break;
                }
                self.write(&batch, &mut bytes);
                self.hand_on(batch);
            }
        }
    }

    /// Write a batch, and again from where it failed until it is out or the queue is stopped.
    fn write(&mut self, batch: &[Entry], bytes: &mut Vec<u8>) {
        let Some(output) = &mut self.output else { return };
        bytes.clear();
        for entry in batch {
            render(&entry.item, output.format, bytes);
        }
        let mut rest = bytes.as_slice();
        let mut pause = self.limits.retry_first;
        while !rest.is_empty() {
            match output.to.write(rest).and_then(|written| rest.get(written..).ok_or(io::ErrorKind::WriteZero.into())) {
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

    /// To the exporter, where there is one; otherwise the records are out, and their room is free.
    fn hand_on(&self, batch: Vec<Entry>) {
        self.metrics.evidence_records.increment(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        if let Some(exporter) = &self.exporter {
            for entry in batch {
                exporter.send(entry);
            }
        }
    }
}

/// Twice as long, up to the longest.
pub(super) fn next_pause(pause: Duration, longest: Duration) -> Duration {
    pause.saturating_mul(2).min(longest)
}

/// Tell the operator. Standard error may be closed, and then there is nobody to tell.
pub(super) fn alarm(what: &str) {
    let _ = writeln!(io::stderr(), "gatepass: {what}");
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
            };
            into.push(b'\n');
        }
    }
}
