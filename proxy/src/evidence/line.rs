//! A record as one line that a person reads: when, what, who to where, why, and the id to ask about.
//!
//! It is made of the record's JSON, so that standard output and whoever reads the spool later see the same line.

use std::io::Write as _;

use gatepass_policy::decision::{FailedClause, Shown};
use serde_json::Value;

use super::record::DecisionRecord;
use super::stdout::Colour;
use super::text::{Text, clean};

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Append the line of a record. `label` is who and where, for a close, which does not say it itself.
///
/// Checkpoints have none: there is one every second, and nobody reads them here.
pub fn write(json: &Value, label: Option<&str>, colour: Colour, into: &mut Vec<u8>) {
    let line = match text(json, "/kind") {
        "decision" => decision(json),
        "close" => close(json, label),
        "policy" => policy(json),
        "gap" => gap(json),
        "checkpoint" => return,
        other => {
            Line { verdict: other.to_ascii_uppercase(), paint: YELLOW, what: text(json, "/reason/text").to_owned() }
        }
    };
    let (paint, dim, plain) = match colour {
        Colour::On => (line.paint, DIM, PLAIN),
        Colour::Off => ("", "", ""),
    };
    // A client's text was cleaned when it entered the record; names from configuration and bundle were not.
    let what = clean(&line.what, usize::MAX);
    let verdict = clean(&line.verdict, 16);
    let time = milliseconds(text(json, "/time"));
    // Writing to a Vec cannot fail.
    let _ = write!(into, "{dim}{time}{plain} {paint}{verdict:<6}{plain} {what}");
    match (text(json, "/kind"), text(json, "/id")) {
        ("policy" | "gap", _) | (_, "") => {}
        (_, id) => {
            let _ = write!(into, "  {dim}{}{plain}", clean(id, 64));
        }
    }
    into.push(b'\n');
}

/// `spiffe://… → example.com:443`, or whatever of it is known.
pub fn who_and_where(json: &Value) -> String {
    let destination = json.get("destination").map(|destination| Asked {
        host: text(destination, "/host"),
        port: destination.get("port").and_then(Value::as_u64),
        written: text(destination, "/text"),
    });
    from_to(text(json, "/identity/id"), text(json, "/client/address"), destination)
}

/// The same, for a connection that is decided on just now: too often to make JSON of it for this alone.
pub(super) fn label(record: &DecisionRecord) -> String {
    let id = record.identity.as_ref().map_or("", |who| who.id.as_str());
    let address = record.client.map(|client| client.address.to_string()).unwrap_or_default();
    let destination = record.destination.as_ref().map(|destination| Asked {
        host: destination.host.as_ref().map_or("", Text::as_str),
        port: destination.port.map(Into::into),
        written: destination.text.as_ref().map_or("", Text::as_str),
    });
    from_to(id, &address, destination)
}

/// What was asked for; text that is absent is empty.
struct Asked<'r> {
    host: &'r str,
    port: Option<u64>,
    written: &'r str,
}

fn from_to(identity: &str, address: &str, destination: Option<Asked<'_>>) -> String {
    let mut text = match (identity, address) {
        (gatepass_policy::identity::ANONYMOUS, address) if !address.is_empty() => format!("anonymous@{address}"),
        ("", "") => "?".to_owned(),
        ("", address) => address.to_owned(),
        (id, _) => id.to_owned(),
    };
    let Some(Asked { host, port, written }) = destination else { return text };
    text.push_str(" → ");
    match (host, port, written) {
        (host, Some(port), _) if host.contains(':') => text.push_str(&format!("[{host}]:{port}")),
        (host, Some(port), _) if !host.is_empty() => text.push_str(&format!("{host}:{port}")),
        (_, _, "") => text.push('?'),
        (_, _, written) => text.push_str(&format!("`{written}`")),
    }
    text
}

/// What differs between the kinds.
struct Line {
    verdict: String,
    paint: &'static str,
    what: String,
}

fn decision(json: &Value) -> Line {
    let (verdict, paint) = match text(json, "/outcome") {
        "admitted" => ("ALLOW", GREEN),
        "failed" => ("FAIL", YELLOW),
        _ => ("DENY", RED),
    };
    Line { verdict: verdict.to_owned(), paint, what: format!("{:<48}  {}", who_and_where(json), why(json)) }
}

/// The rule, or the reason and what a person would ask next. Who and where stand before it already.
fn why(json: &Value) -> String {
    let (code, rule) = (text(json, "/reason/code"), text(json, "/rule/path"));
    match (code, rule, text(json, "/nearest/0/rule")) {
        ("allowed", rule, _) if !rule.is_empty() => rule.to_owned(),
        ("no_rule", _, "") => code.to_owned(),
        ("no_rule", _, near) => match json.pointer("/nearest/0/failed/0") {
            Some(failed) => format!("{code}, nearest {near} ({})", clause(failed)),
            None => format!("{code}, nearest {near}"),
        },
        ("guardrail" | "team_deny" | "rule_expired" | "rule_error", rule, _) if !rule.is_empty() => {
            format!("{code} {rule}")
        }
        (_, _, _) => format!("{code}: {}", text(json, "/reason/text")),
    }
}

fn clause(json: &Value) -> FailedClause {
    let value = |name| json.get(name).map_or(Shown::Null, shown);
    FailedClause { clause: text(json, "/clause").to_owned(), seen: value("seen"), wanted: value("wanted") }
}

fn shown(json: &Value) -> Shown {
    match json {
        Value::Null => Shown::Null,
        Value::Bool(truth) => Shown::Bool(*truth),
        Value::String(text) => Shown::Text(text.clone()),
        Value::Array(values) => Shown::List(values.iter().map(shown).collect()),
        Value::Number(_) | Value::Object(_) => json.as_i64().map_or_else(|| Shown::Text(json.to_string()), Shown::Int),
    }
}

fn close(json: &Value, label: Option<&str>) -> Line {
    let number = |name| json.get(name).and_then(Value::as_u64);
    let mut what = format!("{:<48}  {}", label.unwrap_or("?"), text(json, "/ending"));
    if let (Some(sent), Some(received), Some(ms)) =
        (number("bytes_sent"), number("bytes_received"), number("duration_ms"))
    {
        what.push_str(&format!(" after {}, {} sent, {} received", seconds(ms), size(sent), size(received)));
    }
    match text(json, "/cut_by") {
        "" => {}
        rule => what.push_str(&format!(", cut by {rule}")),
    }
    Line { verdict: "CLOSE".to_owned(), paint: DIM, what }
}

fn policy(json: &Value) -> Line {
    let result = text(json, "/result");
    let mut what = format!("{} {} {result}", text(json, "/policy/bundle"), text(json, "/policy/digest"));
    match text(json, "/error") {
        "" => {}
        error => what.push_str(&format!(": {error}")),
    }
    Line { verdict: "POLICY".to_owned(), paint: if result == "activated" { GREEN } else { RED }, what }
}

fn gap(json: &Value) -> Line {
    let number = |pointer| json.pointer(pointer).and_then(Value::as_u64);
    let cause = text(json, "/gap/cause");
    let what = match (number("/gap/first"), number("/gap/last"), number("/gap/bytes")) {
        (Some(first), Some(last), _) => format!("records {first} to {last} are missing: {cause}"),
        (_, _, bytes) => format!("{} bytes are missing: {cause}", bytes.unwrap_or(0)),
    };
    Line { verdict: "GAP".to_owned(), paint: RED, what }
}

fn text<'j>(json: &'j Value, pointer: &str) -> &'j str {
    json.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A time with three digits after the point, so that lines stand below each other.
fn milliseconds(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => format!("{time:.3}"),
        Err(_) => clean(time, 32).into_owned(),
    }
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
