//! What a bound is an amount of.

use std::fmt;
use std::time::Duration;

/// An amount with its unit. `Display` writes it as a file would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Amount {
    /// `30s`
    Time(Duration),
    /// `64KiB`
    Size(usize),
    /// `100`
    Count(usize),
    /// A count, or what the limit on open files allows: see `connections_within`.
    Files(Option<usize>),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Amount::Time(time) => {
                let millis = time.as_millis();
                let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
                let unit = units.iter().find(|(_, size)| millis >= *size && millis.is_multiple_of(*size));
                let (name, size) = unit.copied().unwrap_or(("ms", 1));
                write!(f, "{}{name}", millis / size)
            }
            Amount::Size(bytes) => {
                let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
                let unit = units.iter().find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
                let (name, size) = unit.copied().unwrap_or(("B", 1));
                write!(f, "{}{name}", bytes / size)
            }
            Amount::Count(count) | Amount::Files(Some(count)) => write!(f, "{count}"),
            Amount::Files(None) => f.write_str("what the limit on open files allows"),
        }
    }
}
