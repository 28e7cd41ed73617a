//! One batch until it is through: sent again without end while the sink fails, halved where the sink takes no such
//! batch, and what it rejects for good put into quarantine.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use super::Limits;
use super::health::Health;
use super::piece::Piece;
use super::quarantine;
use super::sink::{Answer, Sink};
use crate::evidence::next_pause;
use crate::metrics::SinkMetrics;

/// What every delivery to a sink shares.
pub(super) struct Delivery {
    pub sink: Sink,
    pub spool: PathBuf,
    pub limits: Limits,
    pub health: Health,
    pub metrics: SinkMetrics,
}

/// What is to become of a piece after an answer.
enum Fate {
    /// The sink has it.
    Taken,
    /// It goes to the quarantine: so many of it were rejected, and why.
    Kept(u64, String),
    /// Each half is sent by itself.
    Halved(Piece, Piece),
    /// It is sent again, not before this long.
    Again { why: String, after: Option<Duration>, halves: Option<(Piece, Piece)> },
}

impl Delivery {
    /// Deliver a batch. This ends only when every record of it is taken or in quarantine.
    pub async fn through(&self, batch: Piece) {
        let mut pieces = vec![batch];
        let (mut pause, mut failing) = (self.limits.retry_first, None);
        while let Some(piece) = pieces.pop() {
            let count = piece.records().count() as u64;
            if count == 0 {
                continue;
            }
            match fate(self.sink.send(&piece).await, &piece, count) {
                Fate::Taken => self.metrics.exported.increment(count),
                Fate::Kept(rejected, why) => {
                    self.metrics.exported.increment(count - rejected);
                    self.quarantine(&piece, rejected, why).await;
                }
                Fate::Halved(first, second) => pieces.extend([second, first]),
                Fate::Again { why, after, halves } => {
                    self.metrics.failures.increment(1);
                    self.health.failed(&why);
                    failing.get_or_insert_with(|| self.health.failing());
                    match halves {
                        Some((first, second)) => pieces.extend([second, first]),
                        None => pieces.push(piece),
                    }
                    self.health.pause(self.wait(pause, after)).await;
                    pause = next_pause(pause, self.limits.retry_longest);
                    continue;
                }
            }
            pause = self.limits.retry_first;
            self.health.worked();
            if let Some(batch) = failing.take() {
                self.health.recovered(batch);
            }
        }
    }

    /// As long as the back-off says, or as the sink asks for, but never longer than the longest pause.
    fn wait(&self, pause: Duration, after: Option<Duration>) -> Duration {
        after.map_or_else(|| jittered(pause), |after| after.max(pause)).min(self.limits.retry_longest)
    }

    /// Put a piece into quarantine. Where that fails it is tried again: without it the cursor must not move.
    async fn quarantine(&self, piece: &Piece, rejected: u64, why: String) {
        self.metrics.rejected.increment(rejected);
        let first = piece.frames().first().map_or(0, |(sequence, _)| *sequence);
        self.health.rejected(rejected, first, &why);
        let (mut pause, mut failing) = (self.limits.retry_first, None);
        loop {
            let (spool, sink, piece, why) = (self.spool.clone(), self.sink.name().as_str(), piece.clone(), why.clone());
            let kept =
                tokio::task::spawn_blocking(move || quarantine::keep(&spool, sink, &piece, rejected, &why)).await;
            let error = match kept {
                Ok(Ok(())) => break,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            self.health.failed(&format!("rejected records cannot be put into quarantine: {error}"));
            failing.get_or_insert_with(|| self.health.failing());
            tokio::time::sleep(jittered(pause)).await;
            pause = next_pause(pause, self.limits.retry_longest);
        }
        if let Some(batch) = failing {
            self.health.recovered(batch);
        }
    }
}

fn fate(answer: Answer, piece: &Piece, count: u64) -> Fate {
    match answer {
        Answer::Taken => Fate::Taken,
        Answer::Partly { rejected, why } => Fate::Kept(rejected.min(count), why),
        Answer::Refused(why) | Answer::TooLarge(why) => match piece.halves() {
            Some((first, second)) => Fate::Halved(first, second),
            None => Fate::Kept(count, why),
        },
        // One record that exhausts something does not do so by its size.
        Answer::Exhausted(why) => Fate::Again { why, after: None, halves: piece.halves() },
        Answer::Failed { why, after } => Fate::Again { why, after, halves: None },
    }
}

/// Between a half and all of it: the gateways of a fleet shall not come back all at once.
fn jittered(pause: Duration) -> Duration {
    // The keys of a hasher are random, which is as much as a pause needs.
    let random = RandomState::new().build_hasher().finish() >> 32;
    let share = random as f64 / f64::from(u32::MAX);
    pause.mul_f64(0.5 + share / 2.0)
}
