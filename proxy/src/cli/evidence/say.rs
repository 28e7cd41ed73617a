//! What is said, and to whom: answers to standard output, progress and trouble to standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::Exit;

/// How long work takes before its progress is shown.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far a read has come: on a terminal, once it has taken a second.
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
}

impl Progress {
    /// Of so many bytes.
    pub fn new(bytes: u64) -> Progress {
        Progress {
            bar: ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden()),
            begun: Instant::now(),
        }
    }

    /// So many bytes are read.
    pub fn at(&mut self, read: u64) {
        if self.bar.is_hidden() {
            if self.begun.elapsed() < PATIENCE || !io::stderr().is_terminal() {
                return;
            }
            if let Ok(style) = ProgressStyle::with_template("{bar:32} {bytes} of {total_bytes}, {eta} left") {
                self.bar.set_style(style);
            }
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(read);
    }

    /// Everything is read.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Print an answer. A reader that has seen enough is no failure.
pub fn say(text: &str) -> Result<(), Exit> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| unheard(&error))
}

/// How a command ends that cannot write its answer.
pub fn unheard(error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Exit::Yes;
    }
    failed(&format!("the answer cannot be written: {error}"))
}

/// Say why it could not run.
pub fn failed(problem: &str) -> Exit {
    eprintln!("error: {problem}");
    Exit::Failed
}
