//! A record as the bytes that are spooled and sent: an OTLP `LogRecord`, written by hand into one reused buffer.
//!
//! This runs on the connection's task, before the client is answered, so it allocates nothing and takes less than a
//! microsecond. What it writes is, byte for byte, what [`otlp::encode`](super::otlp::encode) makes of the record's JSON by
//! the table of fields; a property test holds the two together. Only the sequence number is left out, because the writer
//! gives it when the record is written.

mod parts;

use super::act::ActRecord;
use super::fields::UID;
use super::queue::Item;
use super::record::{CheckpointRecord, CloseRecord, DecisionRecord, GapRecord, PolicyRecord};
use super::spelling::microseconds;
use super::wire::Wire;
use super::words::{ActKind, Ending, FloorMark, Outcome, PolicyResult};
use parts::count;

/// Fields of `LogRecord`.
const TIME: u8 = 1;
const SEVERITY: u8 = 2;
const SEVERITY_TEXT: u8 = 3;
const BODY: u8 = 5;
const TRACE: u8 = 9;
const SPAN: u8 = 10;
const OBSERVED: u8 = 11;
const EVENT: u8 = 12;

/// A record but for its sequence number, which goes in between.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    bytes: Vec<u8>,
    split: usize,
}

/// How grave a record is (OpenTelemetry, log data model).
#[derive(Clone, Copy, Debug)]
struct Severity {
    number: u8,
    text: &'static str,
}

const INFO: Severity = Severity { number: 9, text: "INFO" };
const WARN: Severity = Severity { number: 13, text: "WARN" };
const ERROR: Severity = Severity { number: 17, text: "ERROR" };

fn severity_of(ending: Ending) -> Severity {
    match ending {
        Ending::ClientClosed | Ending::UpstreamClosed | Ending::Idle | Ending::MaxDuration | Ending::Drained => INFO,
        Ending::Expired | Ending::PolicyChanged | Ending::GrantEnded | Ending::ModeChanged | Ending::Limit => WARN,
        Ending::Error => ERROR,
    }
}

impl Encoded {
    /// Into a buffer whose content is of no use any more.
    pub fn of(item: &Item, mut buffer: Vec<u8>) -> Encoded {
        buffer.clear();
        let mut record = Encoded { bytes: buffer, split: 0 };
        match item {
            Item::Decision(decision) => record.decision(decision),
            Item::Close(close, _) => record.close(close),
            Item::Policy(policy) => record.policy(policy),
            Item::Checkpoint(checkpoint) => record.checkpoint(checkpoint),
            Item::Gap(gap) => record.gap(gap),
            Item::Act(act) => record.act(act),
        }
        record
    }

    /// The bytes before and after the attribute of the sequence number.
    pub fn pieces(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at_checked(self.split).unwrap_or_default()
    }

    /// The buffer, for another record.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// What every record begins with, up to where the sequence number goes. `time` is cut to microseconds, as in JSON.
    fn begin(&mut self, time: jiff::Timestamp, severity: Severity, body: impl FnOnce(&mut Wire<'_>)) -> u64 {
        let nanoseconds = u64::try_from(microseconds(time).as_nanosecond()).unwrap_or(0);
        let mut wire = Wire { into: &mut self.bytes };
        wire.fixed64(TIME, nanoseconds);
        wire.enumeration(SEVERITY, severity.number);
        wire.bytes(SEVERITY_TEXT, severity.text.as_bytes());
        body(&mut wire);
        nanoseconds
    }

    /// The record's key, its id with what follows it, and what every record has.
    fn key(&mut self, id: uuid::Uuid, more: &str, floor: Option<FloorMark>) -> Wire<'_> {
        let mut buffer = [0; 64];
        let id: &str = id.as_hyphenated().encode_lower(&mut buffer);
        let mut wire = Wire { into: &mut self.bytes };
        match more {
            "" => wire.text(UID, id),
            more => wire.displayed(UID, &format_args!("{id}{more}")),
        }
        wire.int("gatepass.schema", super::record::SCHEMA.into());
        wire.text("gatepass.decision.id", id);
        self.split = self.bytes.len();
        let mut wire = Wire { into: &mut self.bytes };
        if let Some(floor) = floor {
            wire.text("gatepass.floor", floor.as_str());
        }
        wire
    }

    fn end(&mut self, nanoseconds: u64, event: &str, trace: Option<&super::parts::Trace>) {
        let mut wire = Wire { into: &mut self.bytes };
        if let Some(trace) = trace {
            wire.bytes(TRACE, &trace.id);
            wire.bytes(SPAN, &trace.span);
        }
        wire.fixed64(OBSERVED, nanoseconds);
        wire.bytes(EVENT, event.as_bytes());
    }

    fn decision(&mut self, record: &DecisionRecord) {
        let severity = match record.outcome {
            Outcome::Admitted => INFO,
            Outcome::Refused | Outcome::Failed => WARN,
        };
        let time = self.begin(record.time, severity, |wire| wire.text_value(BODY, record.reason.text.as_str()));
        let mut wire = self.key(record.id, "", record.floor);
        parts::verdict(record, &mut wire);
        parts::circumstances(record, &mut wire);
        parts::derived(record, &mut wire);
        self.end(time, "gatepass.decision", record.trace.as_ref());
    }

    fn close(&mut self, record: &CloseRecord) {
        let ending = record.ending.as_str();
        let time = self.begin(record.time, severity_of(record.ending), |wire| {
            wire.displayed_value(BODY, &format_args!("the connection ended: {ending}"));
        });
        let mut wire = self.key(record.id, "/close", record.floor);
        if let Some(carried) = record.carried {
            count("gatepass.transmit.bytes", carried.bytes_sent, &mut wire);
            count("gatepass.receive.bytes", carried.bytes_received, &mut wire);
            #[expect(clippy::cast_precision_loss, reason = "no connection lasts 2^53 ms")]
            wire.double("gatepass.duration", carried.duration_ms as f64 / 1000.0);
        }
        wire.text("gatepass.ending", ending);
        if let Some(rule) = &record.cut_by {
            wire.text("gatepass.cut_by", rule.as_str());
        }
        self.end(time, "gatepass.connection.closed", None);
    }

    fn policy(&mut self, record: &PolicyRecord) {
        let (result, policy) = (record.result.as_str(), &record.policy);
        let (severity, event) = match record.result {
            PolicyResult::Activated => (INFO, "gatepass.policy.activated"),
            PolicyResult::Rejected => (ERROR, "gatepass.policy.rejected"),
        };
        let time = self.begin(record.time, severity, |wire| {
            wire.displayed_value(BODY, &format_args!("the policy {} {} was {result}", policy.bundle, policy.digest));
        });
        let mut wire = self.key(record.id, "", record.floor);
        wire.text("gatepass.policy.result", result);
        if let Some(error) = &record.error {
            wire.text("error.message", error.as_str());
        }
        parts::policy(policy, &mut wire);
        self.end(time, event, None);
    }

    fn checkpoint(&mut self, record: &CheckpointRecord) {
        let time = self.begin(record.time, INFO, |wire| wire.text_value(BODY, "the records so far are signed"));
        let mut wire = self.key(record.id, "", record.floor);
        count("gatepass.checkpoint.size", record.checkpoint.size, &mut wire);
        wire.text("gatepass.checkpoint.root", &record.checkpoint.root);
        wire.text("gatepass.checkpoint.note", &record.checkpoint.note);
        self.end(time, "gatepass.evidence.checkpoint", None);
    }

    fn gap(&mut self, record: &GapRecord) {
        let time = self.begin(record.time, WARN, |wire| wire.text_value(BODY, "records are missing here"));
        let mut wire = self.key(record.id, "", record.floor);
        wire.text("gatepass.gap.cause", record.gap.cause.as_str());
        let numbers = [
            ("gatepass.gap.first", record.gap.first),
            ("gatepass.gap.last", record.gap.last),
            ("gatepass.gap.bytes", record.gap.bytes),
        ];
        for (key, number) in numbers {
            number.into_iter().for_each(|number| count(key, number, &mut wire));
        }
        self.end(time, "gatepass.evidence.gap", None);
    }

    fn act(&mut self, record: &ActRecord) {
        let severity = match record.kind {
            ActKind::Grant | ActKind::Mode => WARN,
            ActKind::Exception | ActKind::Admin => INFO,
        };
        let time = self.begin(record.time, severity, |wire| wire.text_value(BODY, record.reason.text.as_str()));
        let mut wire = self.key(record.id, "", record.floor);
        parts::act(record, &mut wire);
        let mut wire = Wire { into: &mut self.bytes };
        wire.fixed64(OBSERVED, time);
        wire.bytes(EVENT, format!("gatepass.{}.{}", record.kind.as_str(), record.action).as_bytes());
    }
}

/// The attribute of a sequence number, in place of what `into` holds.
pub(super) fn sequence(sequence: u64, into: &mut Vec<u8>) {
    into.clear();
    Wire { into }.int("gatepass.evidence.sequence", parts::signed(sequence));
}

#[cfg(test)]
pub(crate) mod tests;
