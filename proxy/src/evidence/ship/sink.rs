//! Where records go, and the little in which one sink differs from another.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;

use super::otlp;
use super::piece::Piece;
use crate::evidence::otlp::decode;
use crate::evidence::sinks::{ocsf, syslog};
use crate::evidence::words::SinkName;

/// A sink. Cheap to clone: every batch under way has one.
#[derive(Clone)]
pub enum Sink {
    /// An OpenTelemetry collector.
    Otlp(otlp::Client),
    /// A syslog receiver.
    Syslog(Arc<Mutex<syslog::Sender>>),
    /// A file of OCSF events.
    Ocsf(Arc<Mutex<ocsf::File>>),
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
    /// A syslog receiver.
    pub fn syslog(settings: syslog::Settings) -> Sink {
        Sink::Syslog(Arc::new(Mutex::new(syslog::Sender::new(settings))))
    }

    /// A file of OCSF events.
    pub fn ocsf(settings: ocsf::Settings) -> Sink {
        Sink::Ocsf(Arc::new(Mutex::new(ocsf::File::new(settings))))
    }

    /// The name of its cursor, and its label in metrics.
    pub(super) fn name(&self) -> SinkName {
        match self {
            Sink::Otlp(_) => SinkName::Otlp,
            Sink::Syslog(_) => SinkName::Syslog,
            Sink::Ocsf(_) => SinkName::Ocsf,
        }
    }

    /// What the operator's log calls it.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Sink::Otlp(_) => "the collector",
            Sink::Syslog(_) => "the syslog receiver",
            Sink::Ocsf(_) => "the file of OCSF events",
        }
    }

    /// Batches that may be under way at once: one where there is one stream, which has an order.
    pub(super) fn lanes(&self, most: usize) -> usize {
        match self {
            Sink::Otlp(_) => most.max(1),
            Sink::Syslog(_) | Sink::Ocsf(_) => 1,
        }
    }

    /// Send the records of a piece, once.
    pub(super) async fn send(&self, piece: &Piece) -> Answer {
        let sent = match self {
            Sink::Otlp(client) => return client.send(piece).await,
            Sink::Syslog(sender) => match json(piece).await {
                Ok(records) => sender.lock().await.send(&records).await,
                Err(answer) => return answer,
            },
            Sink::Ocsf(file) => match json(piece).await {
                Ok(records) => file.lock().await.append(&records).await,
                Err(answer) => return answer,
            },
        };
        sent.map_or_else(Answer::failed, |()| Answer::Taken)
    }

    /// The last thing: a stream is closed so that its receiver has read it.
    pub(super) async fn close(&self) {
        match self {
            Sink::Otlp(_) | Sink::Ocsf(_) => {}
            Sink::Syslog(sender) => {
                // What it has not read is sent once more by the next connection, or is lost: syslog promises no more.
                let _ = sender.lock().await.close().await;
            }
        }
    }
}

/// The records of a piece as the JSON of standard output.
async fn json(piece: &Piece) -> Result<Vec<Value>, Answer> {
    let piece = piece.clone();
    let decoded = tokio::task::spawn_blocking(move || {
        let gateway = &piece.header().gateway;
        piece.records().map(|record| decode::record(record, gateway)).collect::<Result<Vec<Value>, _>>()
    });
    match decoded.await {
        Ok(Ok(records)) => Ok(records),
        Ok(Err(error)) => Err(Answer::Refused(error.to_string())),
        Err(error) => Err(Answer::failed(format!("records could not be read: {error}"))),
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().as_str())
    }
}

impl Answer {
    /// A failure after which the sink may be asked as soon as one likes.
    pub(super) fn failed(why: impl Into<String>) -> Answer {
        Answer::Failed { why: why.into(), after: None }
    }
}
