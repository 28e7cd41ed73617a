//! What is written of a decision and of a connection's end: the fields, in the order and spelling of the contract.
//!
//! Absent means omitted. Whatever a client or a bundle wrote is [`Text`], or is cleaned while it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gatepass_policy::decision::Effect;
use gatepass_policy::schema::Stage;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::parts::{
    Destination, Dns, Near, PolicyRef, ReasonText, Request, Rule, ShadowRule, Socket, Timings, TlsFacts, Trace,
    UpstreamFacts, Who,
};
use super::spelling;
use super::text::Text;
use super::words::{ClassesFrom, Ending, FloorMark, GapCause, Outcome, PolicyResult};

/// The version of the records' form.
pub const SCHEMA: u8 = 1;

/// One decision, at its final verdict. `id`, `sequence` and `gateway` are given when it is admitted or refused.
#[derive(Clone, Debug, Serialize)]
pub struct DecisionRecord {
    /// [`SCHEMA`].
    pub schema: u8,
    /// Always `decision`.
    pub kind: &'static str,
    /// UUIDv7, the same on the close.
    #[serde(skip_serializing_if = "Uuid::is_nil")]
    pub id: Uuid,
    /// Per gateway, without holes, from 1.
    #[serde(skip_serializing_if = "Sequence::is_missing")]
    pub sequence: Sequence,
    /// The moment of the decision.
    #[serde(serialize_with = "spelling::time")]
    pub time: Timestamp,
    /// The gateway's name.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub gateway: Text,
    /// Only on the development floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<FloorMark>,
    /// Until when the gateway only observes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observe: Option<Timestamp>,
    /// What the policy says.
    #[serde(serialize_with = "spelling::effect")]
    pub effect: Effect,
    /// What happened.
    pub outcome: Outcome,
    /// True where the policy denies, and the gateway only observes: it was not refused for that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub would_deny: bool,
    /// The containment mode.
    pub mode: Text,
    /// The latest stage whose facts were known.
    #[serde(serialize_with = "spelling::stage")]
    pub stage: Stage,
    /// Why.
    pub reason: ReasonText,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// The break-glass grant that allowed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<Text>,
    /// The exception that allowed it, or that lifted a guardrail which would have denied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<Text>,
    /// Whether the guardrail that denied it takes exceptions. Only for the answer to whoever asked: the policy says it, too.
    #[serde(skip)]
    pub liftable: bool,
    /// The allows that came nearest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<Near>,
    /// What rules in shadow would have said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<ShadowRule>,
    /// Who asked; absent where nobody could be made out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Who>,
    /// The data classes that decided.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "spelling::classes")]
    pub data_classes: Option<Arc<[Box<str>]>>,
    /// Where they came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_classes_from: Option<ClassesFrom>,
    /// The client's socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Socket>,
    /// The listener's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<Text>,
    /// What was asked for, and what was dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
    /// What DNS said beside the addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// What the client's first bytes were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFacts>,
    /// What the server proved to the gateway's own probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamFacts>,
    /// How it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// The gateway's own source address of the connection to the destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<Socket>,
    /// The policy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRef>,
    /// The span of the request, where it is traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// How long the parts took.
    #[serde(skip_serializing_if = "Timings::is_empty")]
    pub timings: Timings,
}

/// The number of a record, which the writer gives when it is written: readers of memory may come before.
#[derive(Debug, Default)]
pub struct Sequence(AtomicU64);

impl Sequence {
    /// A number that is known.
    pub fn known(number: u64) -> Sequence {
        Sequence(AtomicU64::new(number))
    }

    fn is_missing(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    pub(super) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }
}

impl Clone for Sequence {
    fn clone(&self) -> Sequence {
        Sequence::known(self.0.load(Ordering::Relaxed))
    }
}

impl Serialize for Sequence {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0.load(Ordering::Relaxed))
    }
}

/// The end of an admitted connection.
#[derive(Clone, Debug, Serialize)]
pub struct CloseRecord {
    /// [`SCHEMA`].
    pub schema: u8,
    /// Always `close`.
    pub kind: &'static str,
    /// The decision's.
    pub id: Uuid,
    /// Per gateway, without holes.
    pub sequence: u64,
    /// The moment of the end.
    #[serde(serialize_with = "spelling::time")]
    pub time: Timestamp,
    /// The gateway's name.
    pub gateway: Text,
    /// Only on the development floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<FloorMark>,
    /// How much was carried, for how long; absent where the death of the gateway took the knowledge.
    #[serde(flatten)]
    pub carried: Option<Carried>,
    /// How it ended.
    pub ending: Ending,
    /// The rule whose end or change cut it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_by: Option<Text>,
}

/// How much a connection carried, for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// Bytes from the client to the destination.
    pub bytes_sent: u64,
    /// Bytes from the destination to the client.
    pub bytes_received: u64,
    /// From the admission to the end.
    pub duration_ms: u64,
}

/// A policy that was activated, or a reload that was rejected.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyRecord {
    /// [`SCHEMA`].
    pub schema: u8,
    /// Always `policy`.
    pub kind: &'static str,
    /// UUIDv7.
    pub id: Uuid,
    /// Per gateway, without holes.
    pub sequence: u64,
    /// The moment.
    #[serde(serialize_with = "spelling::time")]
    pub time: Timestamp,
    /// The gateway's name.
    pub gateway: Text,
    /// Only on the development floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<FloorMark>,
    /// What became of it.
    pub result: PolicyResult,
    /// The first problem of a rejected one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Text>,
    /// The policy that holds from now on.
    pub policy: PolicyRef,
}

/// The log so far, signed.
#[derive(Clone, Debug, Serialize)]
pub struct CheckpointRecord {
    /// [`SCHEMA`].
    pub schema: u8,
    /// Always `checkpoint`.
    pub kind: &'static str,
    /// UUIDv7.
    pub id: Uuid,
    /// One more than what is signed.
    pub sequence: u64,
    /// The moment.
    #[serde(serialize_with = "spelling::time")]
    pub time: Timestamp,
    /// The gateway's name.
    pub gateway: Text,
    /// Only on the development floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<FloorMark>,
    /// What is signed.
    pub checkpoint: Signed,
}

/// What a checkpoint signs.
#[derive(Clone, Debug, Serialize)]
pub struct Signed {
    /// So many records, from the first.
    pub size: u64,
    /// Their Merkle root, in base64.
    pub root: Box<str>,
    /// The signed note (C2SP tlog-checkpoint).
    pub note: Box<str>,
}

/// Records that are missing, and why.
#[derive(Clone, Debug, Serialize)]
pub struct GapRecord {
    /// [`SCHEMA`].
    pub schema: u8,
    /// Always `gap`.
    pub kind: &'static str,
    /// UUIDv7.
    pub id: Uuid,
    /// Per gateway, without holes.
    pub sequence: u64,
    /// The moment.
    #[serde(serialize_with = "spelling::time")]
    pub time: Timestamp,
    /// The gateway's name.
    pub gateway: Text,
    /// Only on the development floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<FloorMark>,
    /// What is missing.
    pub gap: Gap,
}

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Why.
    pub cause: GapCause,
    /// The first record that is missing, where it had a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// How many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}
