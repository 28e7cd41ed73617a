//! Where records go, from the configuration.

use std::sync::Arc;

use gatepass_config::Config;
use gatepass_config::evidence::{self as config, RequestPath, Stdout, WhenFull};
use gatepass_config::floor::Loopback;

use super::sinks;
use crate::clock::Clock;
use crate::evidence::words::FloorMark;
use crate::evidence::{Durability, Full, Limits, Output, Paths, Settings, spool};

/// The queue has room for what waits and for every live connection's close on top of it.
pub(super) fn settings(config: &Config, connections: usize, name: Arc<str>, clock: Clock) -> Result<Settings, String> {
    let (evidence, limits) = (&config.evidence, &config.limits);
    let queue = limits.evidence_queue.saturating_add(connections.saturating_mul(2));
    Ok(Settings {
        gateway: name,
        floor: match config.floor.loopback {
            Loopback::Development => Some(FloorMark::Development),
            Loopback::Closed => None,
        },
        observe: config.observe.as_ref().map(|until| until.value),
        clock,
        paths: match evidence.request_path {
            RequestPath::Keep => Paths::Keep,
            RequestPath::Drop => Paths::Drop,
        },
        spool: spool_settings(evidence),
        output: output(evidence.stdout)?,
        sinks: sinks::sinks(evidence, limits)?,
        limits: Limits {
            queue: u32::try_from(queue).unwrap_or(u32::MAX),
            recent: limits.recent_decisions,
            retry_first: limits.evidence_retry_first,
            retry_longest: limits.evidence_retry_longest,
            shipping: sinks::bounds(limits),
            first_seen: limits.evidence_first_seen,
            commit_timeout: limits.evidence_commit_timeout,
            sync_interval: limits.evidence_sync_interval,
            unsynced_bytes: limits.evidence_unsynced_bytes,
            segment_bytes: evidence.spool.segment_bytes(limits),
            segment_age: limits.evidence_segment_age,
            checkpoint_interval: limits.evidence_checkpoint_interval,
            checkpoint_records: u64::try_from(limits.evidence_checkpoint_records).unwrap_or(u64::MAX),
        },
    })
}

fn output(stdout: Stdout) -> Result<Option<Output>, String> {
    let unusable = |error: std::io::Error| format!("error: standard output cannot be written to: {error}");
    match stdout {
        Stdout::Text => Output::stdout_text().map(Some).map_err(unusable),
        Stdout::Json => Output::stdout_json().map(Some).map_err(unusable),
        Stdout::None => Ok(None),
    }
}

fn spool_settings(evidence: &config::Evidence) -> spool::Settings {
    let spool = &evidence.spool;
    spool::Settings {
        directory: spool.directory.value.clone(),
        max_size: spool.max_size,
        full: match spool.when_full {
            WhenFull::Refuse => Full::Refuse,
            WhenFull::DropOldest => Full::DropOldest,
        },
        keep: spool.keep,
        archive: spool.archive.as_ref().map(|archive| archive.value.clone()),
        durability: match evidence.durability {
            config::Durability::Interval => Durability::Interval,
            config::Durability::Synced => Durability::Synced,
        },
    }
}
