//! What evidence is started from: where it goes, and its bounds.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::stdout::Output;
use super::words::FloorMark;
use super::{ship, spool};
use crate::clock::Clock;

/// Where evidence goes.
pub struct Settings {
    /// The gateway's name, on every record.
    pub gateway: Arc<str>,
    /// Marks every record, where the gateway's address floor is not the one for production.
    pub floor: Option<FloorMark>,
    /// Until when the gateway only observes, on every decision.
    pub observe: Option<Timestamp>,
    /// Wall-clock time.
    pub clock: Clock,
    /// Whether the paths of plain HTTP requests are recorded.
    pub paths: Paths,
    /// Where records are kept.
    pub spool: spool::Settings,
    /// Standard output, if records go there.
    pub output: Option<Output>,
    /// Where the spool's records go from there.
    pub sinks: Vec<ship::Sink>,
    /// Bounds.
    pub limits: Limits,
}

impl Settings {
    /// The way to the collector, if there is one: what it is shown can be changed while the gateway runs.
    pub fn collector(&self) -> Option<ship::otlp::Client> {
        self.sinks.iter().find_map(|sink| match sink {
            ship::Sink::Otlp(client) => Some(client.clone()),
            ship::Sink::Syslog(_) | ship::Sink::Ocsf(_) => None,
        })
    }
}

/// Whether the paths of plain HTTP requests are recorded: people put names and keys into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// They are, without the query.
    Keep,
    /// They are not.
    Drop,
}

/// Bounds of evidence.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records that may wait, those that live connections will still write included: at least twice the connections.
    /// A record takes about 2 KiB while it waits, at worst about 64.
    pub queue: u32,
    /// Decisions kept in memory to answer why.
    pub recent: usize,
    /// The first pause after a failed write or export.
    pub retry_first: Duration,
    /// The longest pause.
    pub retry_longest: Duration,
    /// How records are sent to sinks.
    pub shipping: ship::Limits,
    /// Pairs of identity and domain that are remembered to tell a first visit.
    pub first_seen: usize,
    /// How long an admission waits for its record to stand.
    pub commit_timeout: Duration,
    /// How often the spool is brought to the disk.
    pub sync_interval: Duration,
    /// Bytes that may wait for the disk.
    pub unsynced_bytes: usize,
    /// Bytes of one segment.
    pub segment_bytes: u64,
    /// How long a segment is written.
    pub segment_age: Duration,
    /// How often the log is signed, if there is anything new in it.
    pub checkpoint_interval: Duration,
    /// Records after which it is signed in any case.
    pub checkpoint_records: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            queue: 65_536,
            recent: 4_096,
            retry_first: Duration::from_millis(50),
            retry_longest: Duration::from_secs(30),
            shipping: ship::Limits {
                records: 512,
                bytes: 1 << 20,
                in_flight: 4,
                retry_first: Duration::from_millis(50),
                retry_longest: Duration::from_secs(30),
            },
            first_seen: 1_000_000,
            commit_timeout: Duration::from_secs(5),
            sync_interval: Duration::from_millis(200),
            unsynced_bytes: 64 << 20,
            segment_bytes: 16 << 20,
            segment_age: Duration::from_secs(600),
            checkpoint_interval: Duration::from_secs(1),
            checkpoint_records: 512,
        }
    }
}
