//! `evidence`: where decision records stay, and where they go from there.

mod spool;

mod syslog;

mod ocsf;

use std::path::Path;

pub use crate::collector::Transport;
use crate::collector::{self, Collector};
use crate::node::Node;
use crate::reading::{Reading, optional};
pub use ocsf::Ocsf;
pub use spool::{Spool, WhenFull};
pub use syslog::{Form, Syslog};

/// Where decision records stay, and where they go from there.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What standard output carries.
    pub stdout: Stdout,
    /// When a record counts as kept.
    pub durability: Durability,
    /// Where every record stays first.
    pub spool: Spool,
    /// Whether the paths of plain HTTP requests stand in records.
    pub request_path: RequestPath,
    /// A collector.
    pub otlp: Option<Otlp>,
    /// A syslog receiver.
    pub syslog: Option<Syslog>,
    /// A file of OCSF events.
    pub ocsf: Option<Ocsf>,
}

/// What standard output carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// One readable line for each decision.
    Text,
    /// One JSON object a line.
    Json,
    /// No records.
    None,
}

/// When a record counts as kept, and the connection may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it is written: it survives the death of the process. It is on the disk one `evidence_sync_interval` later.
    Interval,
    /// When it is on the disk: it survives the death of the machine.
    Synced,
}

/// Whether the paths of plain HTTP requests stand in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestPath {
    /// They do, without the query.
    Keep,
    /// They do not.
    Drop,
}

/// A collector of records.
#[derive(Clone, Debug)]
pub struct Otlp {
    /// The collector.
    pub collector: Collector,
    /// How exports are packed.
    pub compression: Compression,
}

/// How exports are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip: records of one gateway resemble each other, and shrink to a tenth.
    Gzip,
    /// Not at all.
    None,
}

impl Evidence {
    /// What holds where the file says nothing; the spool is below `directory`.
    pub(crate) fn below(directory: &Path) -> Evidence {
        Evidence {
            stdout: Stdout::Text,
            durability: Durability::Interval,
            spool: Spool::below(directory),
            request_path: RequestPath::Keep,
            otlp: None,
            syslog: None,
            ocsf: None,
        }
    }
}

pub(crate) fn convert(node: Option<&Node>, reading: &mut Reading<'_>) -> Option<Evidence> {
    let default = Evidence::below(reading.directory);
    let Some(node) = node else { return Some(default) };
    let keys = ["stdout", "durability", "spool", "request_path", "otlp", "syslog", "ocsf"];
    let [stdout, durability, spool, request_path, otlp, syslog, ocsf] = reading.fields(node, keys)?;
    let stdout = optional(stdout, reading, |node, reading| {
        reading.choice(node, &[("text", Stdout::Text), ("json", Stdout::Json), ("none", Stdout::None)])
    });
    let durability = optional(durability, reading, |node, reading| {
        reading.choice(node, &[("interval", Durability::Interval), ("synced", Durability::Synced)])
    });
    let spool = optional(spool, reading, spool::convert);
    let request_path = optional(request_path, reading, |node, reading| {
        reading.choice(node, &[("keep", RequestPath::Keep), ("drop", RequestPath::Drop)])
    });
    let otlp = optional(otlp, reading, self::otlp);
    let syslog = optional(syslog, reading, syslog::convert);
    let ocsf = optional(ocsf, reading, ocsf::convert);
    Some(Evidence {
        stdout: stdout?.unwrap_or(default.stdout),
        durability: durability?.unwrap_or(default.durability),
        spool: spool?.unwrap_or(default.spool),
        request_path: request_path?.unwrap_or(default.request_path),
        otlp: otlp?,
        syslog: syslog?,
        ocsf: ocsf?,
    })
}

fn otlp(node: &Node, reading: &mut Reading<'_>) -> Option<Otlp> {
    let keys = collector::keys(node, Some("compression"), reading)?;
    let collector = collector::convert(node, &keys, reading);
    let compression = optional(keys.more, reading, |node, reading| {
        reading.choice(node, &[("gzip", Compression::Gzip), ("none", Compression::None)])
    });
    Some(Otlp { collector: collector?, compression: compression?.unwrap_or(Compression::Gzip) })
}
