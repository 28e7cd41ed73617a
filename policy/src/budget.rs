//! What `limits` of a rule mean: how much each identity may have under that rule, counted for the two together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::decision::RuleInfo;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Connections that are open at once.
    Connections,
    /// Connections that were opened within the last second.
    NewConnections,
    /// Bytes from the client to the destination since midnight UTC.
    Upload,
    /// Bytes from the destination to the client since midnight UTC.
    Download,
    /// Seconds since a connection was admitted.
    Duration,
}

impl Measure {
    /// All of them, in the order of the documentation.
    pub const ALL: [Measure; 5] =
        [Measure::Connections, Measure::NewConnections, Measure::Upload, Measure::Download, Measure::Duration];

    /// The key below `limits`.
    pub const fn key(self) -> &'static str {
        match self {
            Measure::Connections => "connections",
            Measure::NewConnections => "new_connections_per_second",
            Measure::Upload => "upload_bytes_per_day",
            Measure::Download => "download_bytes_per_day",
            Measure::Duration => "max_connection_duration",
        }
    }

    /// An amount of it as a rule writes it: `200`, `5GiB`, `1h`.
    pub fn show(self, amount: u64) -> String {
        let (units, smallest): (&[(&str, u64)], &str) = match self {
            Measure::Connections | Measure::NewConnections => (&[], ""),
            Measure::Upload | Measure::Download => {
                (&[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)], "B")
            }
            Measure::Duration => (&[("d", 86_400), ("h", 3_600), ("m", 60)], "s"),
        };
        let unit = units.iter().find(|(_, size)| amount >= *size && amount.is_multiple_of(*size));
        let (name, size) = unit.copied().unwrap_or((smallest, 1));
        format!("{}{name}", amount / size)
    }
}

/// The limits of one rule. Each is at least 1; `None` where the rule does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Whose limits these are.
    pub rule: Arc<RuleInfo>,
    /// Connections at once.
    pub connections: Option<u64>,
    /// New connections in any second.
    pub new_connections_per_second: Option<u64>,
    /// Bytes to destinations in a day of UTC.
    pub upload_bytes_per_day: Option<u64>,
    /// Bytes from destinations in a day of UTC.
    pub download_bytes_per_day: Option<u64>,
    /// The longest life of one connection, in seconds.
    pub max_connection_seconds: Option<u64>,
}

impl Budget {
    /// How much there may be of this.
    pub fn most(&self, measure: Measure) -> Option<u64> {
        match measure {
            Measure::Connections => self.connections,
            Measure::NewConnections => self.new_connections_per_second,
            Measure::Upload => self.upload_bytes_per_day,
            Measure::Download => self.download_bytes_per_day,
            Measure::Duration => self.max_connection_seconds,
        }
    }

    /// The longest life of one connection.
    pub fn max_connection_duration(&self) -> Option<Duration> {
        self.max_connection_seconds.map(Duration::from_secs)
    }
}

/// `web/api: connections 200, upload_bytes_per_day 5GiB`.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.rule.path)?;
        let limits = Measure::ALL.into_iter().filter_map(|measure| Some((measure, self.most(measure)?)));
        for (at, (measure, most)) in limits.enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma} {} {}", measure.key(), measure.show(most))?;
        }
        Ok(())
    }
}

/// The rule's path under `rule`, and each limit under its key, in connections, bytes and seconds.
impl Serialize for Budget {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("rule", &*self.rule.path)?;
        for measure in Measure::ALL {
            if let Some(most) = self.most(measure) {
                map.serialize_entry(measure.key(), &most)?;
            }
        }
        map.end()
    }
}
