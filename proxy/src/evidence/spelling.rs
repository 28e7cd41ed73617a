//! How the policy's types are spelled in a record, cleaned where a person or a client wrote them.

use std::sync::Arc;

use gatepass_policy::decision::{Effect, Reason, RuleInfo, Shown};
use gatepass_policy::facts::Labels;
use gatepass_policy::schema::Stage;
use jiff::Timestamp;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::parts::{Near, Rule};
use super::text::{LIST_MAX, NAME_MAX, clean};

pub(super) fn no_labels(labels: &Arc<Labels>) -> bool {
    labels.is_empty()
}

/// Microseconds are what the contract shows; more digits would only be noise of the clock.
pub(super) fn time<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&microseconds(*time))
}

/// The same where there may be none; it is only called where there is one.
pub(super) fn some_time<S: Serializer>(some: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match some {
        Some(moment) => time(moment, to),
        None => to.serialize_none(),
    }
}

/// The moment, cut to whole microseconds.
pub(super) fn microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

pub(super) fn hex<S: Serializer>(bytes: &(impl AsRef<[u8]> + ?Sized), to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Hex(bytes.as_ref()))
}

/// Bytes as lower-case hexadecimal digits.
pub(super) struct Hex<'a>(pub &'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

pub(super) fn effect<S: Serializer>(effect: &Effect, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(effect.as_str())
}

pub(super) fn stage<S: Serializer>(stage: &Stage, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(stage.as_str())
}

pub(super) fn reason<S: Serializer>(reason: &Reason, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(reason.code())
}

pub(super) fn classes<S: Serializer>(classes: &Option<Arc<[Box<str>]>>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(classes.iter().flat_map(|classes| classes.iter()).take(LIST_MAX).map(|class| clean(class, NAME_MAX)))
}

pub(super) fn labels<S: Serializer>(labels: &Arc<Labels>, to: S) -> Result<S::Ok, S::Error> {
    let shown = labels.iter().take(LIST_MAX);
    to.collect_map(shown.map(|(key, value)| (clean(key, NAME_MAX), clean(value, NAME_MAX))))
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("path", &clean(&self.0.path, NAME_MAX))?;
        owner_and_end(&mut map, &self.0, Purpose::Shown)?;
        map.end()
    }
}

impl Serialize for Near {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("rule", &clean(&self.rule.path, NAME_MAX))?;
        owner_and_end(&mut map, &self.rule, Purpose::LeftOut)?;
        map.serialize_entry("failed", &self.failed)?;
        map.end()
    }
}

enum Purpose {
    Shown,
    LeftOut,
}

fn owner_and_end<M: serde::ser::SerializeMap>(map: &mut M, rule: &RuleInfo, purpose: Purpose) -> Result<(), M::Error> {
    map.serialize_entry("owner", &clean(&rule.owner, NAME_MAX))?;
    match purpose {
        Purpose::Shown => map.serialize_entry("purpose", &clean(&rule.purpose, NAME_MAX))?,
        Purpose::LeftOut => {}
    }
    match rule.expires {
        Some(expires) => map.serialize_entry("expires", &microseconds(expires)),
        None => Ok(()),
    }
}

/// A value of an explanation, cleaned and bounded.
pub(super) fn cleaned(shown: &Shown) -> Shown {
    match shown {
        Shown::Null => Shown::Null,
        Shown::Bool(value) => Shown::Bool(*value),
        Shown::Int(value) => Shown::Int(*value),
        Shown::Text(value) => Shown::Text(clean(value, NAME_MAX).into_owned()),
        Shown::List(values) => Shown::List(values.iter().take(LIST_MAX).map(cleaned).collect()),
    }
}
