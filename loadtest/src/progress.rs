//! Tells the person who waits how far a run is.

use std::io::{IsTerminal, Write};
use std::time::Instant;

const WIDTH: usize = 24;

/// A bar on a terminal, a line a step elsewhere; always on standard error.
#[derive(Debug)]
pub struct Progress {
    steps: usize,
    done: usize,
    begun: Instant,
    terminal: bool,
}

impl Progress {
    /// A run of that many steps begins.
    pub fn new(steps: usize) -> Progress {
        Progress { steps, done: 0, begun: Instant::now(), terminal: std::io::stderr().is_terminal() }
    }

    /// The next step begins.
    pub fn step(&mut self, what: &str) {
        let line = line(self.done, self.steps, self.begun.elapsed().as_secs_f64(), what);
        let mut stderr = std::io::stderr().lock();
        // Progress that cannot be shown is no reason to stop.
        let _ = match self.terminal {
            true => write!(stderr, "\r\x1b[2K{line}").and_then(|()| stderr.flush()),
            false => writeln!(stderr, "{line}"),
        };
        self.done += 1;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}

fn line(done: usize, steps: usize, seconds: f64, what: &str) -> String {
    let filled = (WIDTH * done).checked_div(steps).unwrap_or(0).min(WIDTH);
    let bar: String = (0..WIDTH).map(|cell| if cell < filled { '#' } else { '.' }).collect();
    let left = match done {
        0 => String::new(),
        _ => format!(", {:.0} s left", seconds / done as f64 * steps.saturating_sub(done) as f64),
    };
    format!("[{bar}] {}/{steps}{left}  {what}", done + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_and_how_long() {
        assert_eq!(line(0, 12, 0.0, "squid: idle"), "[........................] 1/12  squid: idle");
        assert_eq!(line(6, 12, 60.0, "direct"), "[############............] 7/12, 60 s left  direct");
        assert_eq!(line(12, 12, 60.0, ""), "[########################] 13/12, 0 s left  ");
    }
}
