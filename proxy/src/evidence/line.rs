//! A record as one line that a person reads: when, what, who to where, why, and the id to ask about.

use std::io::Write as _;

use gatepass_policy::decision::{Effect, Reason};
use jiff::Timestamp;

use super::queue::Item;
use super::record::{Carried, CloseRecord, DecisionRecord, GapRecord, PolicyRecord};
use super::stdout::Colour;
use super::words::{Outcome, PolicyResult};

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

pub(super) fn write(item: &Item, colour: Colour, into: &mut Vec<u8>) {
    match item {
        Item::Decision(record) => decision(record, colour, into),
        Item::Close(record, label) => close(record, label.as_deref(), colour, into),
        Item::Policy(record) => policy(record, colour, into),
        // Every second one of these, and nobody reads them here.
        Item::Checkpoint(_) => {}
        Item::Gap(record) => gap(record, colour, into),
    }
}

/// `spiffe://… → example.com:443`, or whatever of it is known.
pub(super) fn who_and_where(record: &DecisionRecord) -> String {
    let mut text = match (&record.identity, &record.client) {
        (Some(who), Some(client)) if who.id.as_str() == gatepass_policy::identity::ANONYMOUS => {
            format!("anonymous@{}", client.address)
        }
        (Some(who), _) => who.id.to_string(),
        (None, Some(client)) => client.address.to_string(),
        (None, None) => "?".into(),
    };
    let Some(destination) = &record.destination else { return text };
    text.push_str(" → ");
    match (&destination.host, destination.port, &destination.text) {
        (Some(host), Some(port), _) if host.as_str().contains(':') => text.push_str(&format!("[{host}]:{port}")),
        (Some(host), Some(port), _) => text.push_str(&format!("{host}:{port}")),
        (_, _, Some(written)) => text.push_str(&format!("`{written}`")),
        (_, _, None) => text.push('?'),
    }
    text
}

fn decision(record: &DecisionRecord, colour: Colour, into: &mut Vec<u8>) {
    let (verdict, paint) = match (record.outcome, record.effect) {
        (Outcome::Admitted, _) => ("ALLOW", GREEN),
        (Outcome::Refused, Effect::Deny | Effect::Allow) => ("DENY", RED),
        (Outcome::Failed, _) => ("FAIL", YELLOW),
    };
    let what = format!("{:<48}  {}", who_and_where(record), why(record));
    put(into, record.time, verdict, paint, colour, &what, Some(record.id));
}

/// The rule, or the reason and what a person would ask next. Who and where stand before it already.
fn why(record: &DecisionRecord) -> String {
    let code = record.reason.code;
    match (code, &record.rule, record.nearest.first()) {
        (Reason::Allowed, Some(rule), _) => rule.0.path.to_string(),
        (Reason::NoRule, _, Some(near)) => match near.failed.first() {
            Some(clause) => format!("{code}, nearest {} ({clause})", near.rule.path),
            None => format!("{code}, nearest {}", near.rule.path),
        },
        (Reason::NoRule, _, None) => code.to_string(),
        (Reason::Guardrail | Reason::TeamDeny | Reason::RuleExpired | Reason::RuleError, Some(rule), _) => {
            format!("{code} {}", rule.0.path)
        }
        (_, _, _) => format!("{code}: {}", record.reason.text),
    }
}

fn close(record: &CloseRecord, label: Option<&str>, colour: Colour, into: &mut Vec<u8>) {
    let mut what = format!("{:<48}  {}", label.unwrap_or("?"), record.ending.as_str());
    match record.carried {
        Some(Carried { bytes_sent, bytes_received, duration_ms }) => what.push_str(&format!(
            " after {}, {} sent, {} received",
            seconds(duration_ms),
            size(bytes_sent),
            size(bytes_received)
        )),
        None => what.push_str(": the gateway died while it was open"),
    }
    if let Some(rule) = &record.cut_by {
        what.push_str(&format!(", cut by {rule}"));
    }
    put(into, record.time, "CLOSE", DIM, colour, &what, Some(record.id));
}

fn policy(record: &PolicyRecord, colour: Colour, into: &mut Vec<u8>) {
    let paint = match record.result {
        PolicyResult::Activated => GREEN,
        PolicyResult::Rejected => RED,
    };
    let mut what = format!("{} {} {}", record.policy.bundle, record.policy.digest, record.result.as_str());
    if let Some(error) = &record.error {
        what.push_str(&format!(": {error}"));
    }
    put(into, record.time, "POLICY", paint, colour, &what, None);
}

fn gap(record: &GapRecord, colour: Colour, into: &mut Vec<u8>) {
    let gap = record.gap;
    let what = match (gap.first, gap.last, gap.bytes) {
        (Some(first), Some(last), _) => format!("records {first} to {last} are missing: {}", gap.cause.as_str()),
        (_, _, bytes) => format!("{} bytes are missing: {}", bytes.unwrap_or(0), gap.cause.as_str()),
    };
    put(into, record.time, "GAP", RED, colour, &what, None);
}

fn put(
    into: &mut Vec<u8>,
    time: Timestamp,
    verdict: &str,
    paint: &str,
    colour: Colour,
    what: &str,
    id: Option<uuid::Uuid>,
) {
    let (paint, dim, plain) = match colour {
        Colour::On => (paint, DIM, PLAIN),
        Colour::Off => ("", "", ""),
    };
    // A client's text was cleaned when it entered the record; names from configuration and bundle were not.
    let what = super::text::clean(what, usize::MAX);
    // Writing to a Vec cannot fail.
    let _ = write!(into, "{dim}{time:.3}{plain} {paint}{verdict:<6}{plain} {what}");
    if let Some(id) = id {
        let _ = write!(into, "  {dim}{id}{plain}");
    }
    into.push(b'\n');
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

/// In the largest binary unit that leaves a whole number, one digit after the point.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (90211, "88.0 KiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
