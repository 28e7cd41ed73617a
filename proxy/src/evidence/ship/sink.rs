//! Where records go, and the little in which one sink differs from another.

use std::time::Duration;

use super::otlp;
use super::piece::Piece;

/// A sink. Cheap to clone: every batch under way has one.
#[derive(Clone, Debug)]
pub enum Sink {
    /// An OpenTelemetry collector.
    Otlp(otlp::Client),
}

/// What a sink said to the records of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has them.
    Taken,
    /// It has them but for so many, which it does not want, now or later. Which ones it does not say.
    Partly {
        /// How many.
        rejected: u64,
        /// Its reason.
        why: String,
    },
    /// Something in them can never be taken.
    Refused(String),
    /// They are too many bytes at once.
    TooLarge(String),
    /// A bound of the sink's was hit, and it does not say which: a pause may help, or fewer records.
    Exhausted(String),
    /// It may have them or not: they are to be sent again.
    Failed {
        /// What went wrong.
        why: String,
        /// When the sink wants to be asked again.
        after: Option<Duration>,
    },
}

impl Sink {
    /// The name of its cursor.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Sink::Otlp(_) => "otlp",
        }
    }

    /// What the operator's log calls it.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Sink::Otlp(_) => "the collector",
        }
    }

    /// Batches that may be under way at once: one where the order of records has to be kept.
    pub(super) fn lanes(&self, most: usize) -> usize {
        match self {
            Sink::Otlp(_) => most.max(1),
        }
    }

    /// Send the records of a piece, once.
    pub(super) async fn send(&self, piece: &Piece) -> Answer {
        match self {
            Sink::Otlp(client) => client.send(piece).await,
        }
    }
}

impl Answer {
    /// A failure after which the sink may be asked as soon as one likes.
    pub(super) fn failed(why: impl Into<String>) -> Answer {
        Answer::Failed { why: why.into(), after: None }
    }
}
