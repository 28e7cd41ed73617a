//! `limits` of an allow: at least one, each an amount with its unit, none of them zero.

use crate::budget::Measure;
use crate::diagnostic::{At, Report};
use crate::source::read::Fields;
use crate::source::{Node, Style, Value};

/// What is written, each with its amount: connections, bytes or seconds.
pub(crate) type RawLimits = Vec<(Measure, u64)>;

/// Most connections, at once or in a second: each is remembered.
const CONNECTIONS_MAX: u64 = 1_000_000;

/// Read them. `None` if anything of it is wrong; the report says what.
pub(crate) fn read(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<RawLimits>> {
    let mut fields = Fields::of(node, "`limits`", report)?;
    let before = report.error_count();
    let mut limits = Vec::new();
    for measure in Measure::ALL {
        if let Some(amount) = fields.optional(measure.key()).and_then(|node| amount(measure, node, report)) {
            limits.push((measure, amount));
        }
    }
    fields.finish(report);
    if report.error_count() > before {
        return None;
    }
    if limits.is_empty() {
        report.error_help(
            node.place,
            "no limit is named",
            "name one, such as `connections: 200`, or leave the key out",
        );
        return None;
    }
    Some(At { value: limits, place: node.place })
}

fn amount(measure: Measure, node: &Node<'_>, report: &mut Report<'_>) -> Option<u64> {
    let written = match &node.value {
        Value::Text(text, Style::Plain) => Some(text.as_ref()),
        Value::Text(..) | Value::List(_) | Value::Map(_) => None,
    };
    let (what, help) = match measure {
        Measure::Connections | Measure::NewConnections => {
            ("a whole number up to 1000000 is wanted here", "write it without quotes and unit: `200`")
        }
        Measure::Upload | Measure::Download => {
            ("a number of bytes is wanted here", "write `64KiB`, `500MiB`, `5GiB` or `1TiB`: units are powers of 1024")
        }
        Measure::Duration => ("a length of time is wanted here", "write `30s`, `5m`, `1h` or `7d`"),
    };
    let parsed = written.and_then(|text| match measure {
        Measure::Connections | Measure::NewConnections => number(text).filter(|count| *count <= CONNECTIONS_MAX),
        Measure::Upload | Measure::Download => bytes(text),
        Measure::Duration => seconds(text),
    });
    match parsed {
        None => {
            report.error_help(node.place, what, help);
            None
        }
        Some(0) => {
            let message = format!("`{}` of 0 lets nothing through", measure.key());
            report.error_help(node.place, message, "delete the rule, or write how much it allows");
            None
        }
        Some(amount) => Some(amount),
    }
}

/// A decimal number in its one spelling: no sign, no leading zero, no separators.
fn number(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    number(digits)?.checked_mul(*size)
}

fn bytes(text: &str) -> Option<u64> {
    with_unit(text, &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)])
}

fn seconds(text: &str) -> Option<u64> {
    with_unit(text, &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)])
}
