//! What can be measured of a gateway's use from its evidence alone.

use std::collections::HashSet;
use std::sync::Arc;

use gatepass_policy::PolicySet;
use gatepass_policy::decision::Breadth;
use serde_json::{Value, json};

use super::groups::Groups;
use super::row::{Kind, Row};
use super::table::Table;
use super::{Open, Scope};

/// The measures, as far as they have come.
pub struct Measures<'p> {
    scope: Scope,
    set: Option<&'p PolicySet>,
    /// The allows of the policy that name hosts by patterns.
    broad: HashSet<&'p str>,
    denied: Groups<(String, String), u64>,
    /// Seconds from a request for an exception to its decision: how many, and their sum.
    answered: (u64, i64),
    /// Activations: how many, the first, the last.
    policies: Option<(u64, i64, i64)>,
    rejected: u64,
    admitted: Share,
    /// By the gateway's own source address.
    points: Groups<Arc<String>, Share>,
    open: Open<(Arc<String>, Breadth)>,
}

/// A part of the traffic, and how much of it goes by rules with wildcards.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    connections: u64,
    bytes: i64,
    wildcard_connections: u64,
    wildcard_bytes: i64,
}

impl<'p> Measures<'p> {
    /// Of these decisions; with the policy that is in use, its wildcards as well.
    pub fn new(scope: Scope, set: Option<&'p PolicySet>) -> Measures<'p> {
        Measures {
            scope,
            set,
            broad: set.into_iter().flat_map(wildcards).collect(),
            denied: Groups::new(),
            answered: (0, 0),
            policies: None,
            rejected: 0,
            admitted: Share::default(),
            points: Groups::new(),
            open: Open::new(),
        }
    }

    /// Look at a record.
    pub fn see(&mut self, row: &Row<'_>) {
        match row.kind {
            Kind::Decision => self.decision(row),
            Kind::Close => self.close(row),
            Kind::Policy if self.scope.span.has(row.time) => self.policy(row),
            Kind::Exception if self.scope.span.has(row.time) => self.exception(row),
            Kind::Policy | Kind::Exception | Kind::Grant | Kind::Checkpoint | Kind::Other => {}
        }
    }

    fn decision(&mut self, row: &Row<'_>) {
        if !self.scope.filter.takes(row) {
            return;
        }
        let counts = self.scope.span.has(row.time);
        match row.outcome {
            "refused" if counts => {
                if let Some(count) = self.denied.entry((row.who().to_owned(), row.destination()), || 0) {
                    *count += 1;
                }
            }
            "admitted" => {
                let (point, breadth) = (Arc::new(row.local.to_owned()), self.breadth(row.rule));
                if counts {
                    let add = |share: &mut Share| {
                        share.connections += 1;
                        share.wildcard_connections += u64::from(breadth == Breadth::Wildcard);
                    };
                    add(&mut self.admitted);
                    if let Some(share) = self.points.entry(point.clone(), Share::default) {
                        add(share);
                    }
                }
                self.open.admitted(row, || Arc::new((point, breadth)));
            }
            _ => {}
        }
    }

    fn breadth(&self, path: &str) -> Breadth {
        if self.broad.contains(path) { Breadth::Wildcard } else { Breadth::Named }
    }

    fn close(&mut self, row: &Row<'_>) {
        let Some(group) = self.open.closed(row) else { return };
        if !self.scope.span.has(row.time) {
            return;
        }
        let bytes = row.sent.saturating_add(row.received);
        let add = |share: &mut Share| {
            share.bytes = share.bytes.saturating_add(bytes);
            if group.1 == Breadth::Wildcard {
                share.wildcard_bytes = share.wildcard_bytes.saturating_add(bytes);
            }
        };
        add(&mut self.admitted);
        if let Some(share) = self.points.entry(group.0.clone(), Share::default) {
            add(share);
        }
    }

    fn policy(&mut self, row: &Row<'_>) {
        if row.result != "activated" {
            self.rejected += 1;
            return;
        }
        let (count, first, last) = self.policies.unwrap_or((0, row.time, row.time));
        self.policies = Some((count + 1, first.min(row.time), last.max(row.time)));
    }

    /// The record of its decision says how long it waited.
    fn exception(&mut self, row: &Row<'_>) {
        if let ("approved" | "denied", Some(waited)) = (row.action, row.details.int("waited_s")) {
            self.answered = (self.answered.0 + 1, self.answered.1.saturating_add(waited));
        }
    }

    /// One line a measure, then the two lists.
    pub fn answer(self) -> Vec<(&'static str, Table)> {
        let mut summary = Table::new(&["measure", "value", "of"]);
        let refused: u64 = self.denied.total();
        let (answered, waited) = self.answered;
        summary.rows = vec![
            line("denied attempts", refused.into(), format!("{} pairs of identity and destination", self.denied.len())),
            match answered {
                0 => line("seconds from exception request to decision", Value::Null, "none recorded".into()),
                _ => line(
                    "seconds from exception request to decision",
                    seconds(waited.saturating_mul(1_000_000), answered),
                    format!("{answered} requests, mean"),
                ),
            },
            between_updates(self.policies, self.rejected),
        ];
        summary.rows.extend(self.wildcards());
        let mut denied = Table::new(&["identity", "destination", "attempts"]);
        denied.notes.extend(self.denied.note());
        for ((identity, destination), count) in self.denied.sorted(|count| *count) {
            denied.rows.push(vec![identity.into(), destination.into(), count.into()]);
        }
        let mut points = Table::new(&["source address", "connections", "share", "bytes", "share of bytes"]);
        points.notes.extend(self.points.note());
        let all = self.admitted;
        for (point, share) in self.points.sorted(|share| share.connections) {
            let name = if point.is_empty() { "(not dialled)" } else { point.as_str() };
            let connections = part(share.connections.into(), all.connections.into());
            let bytes = part(share.bytes.into(), all.bytes.into());
            points.rows.push(vec![name.into(), share.connections.into(), connections, share.bytes.into(), bytes]);
        }
        vec![("measures", summary), ("denied", denied), ("egress_points", points)]
    }

    fn wildcards(&self) -> Vec<Vec<Value>> {
        let names =
            ["share of allows with wildcard hosts", "share of connections under them", "share of bytes under them"];
        let Some(set) = self.set else {
            return names.map(|name| line(name, Value::Null, "name the bundle: --bundle DIR".into())).into();
        };
        let (broad, all) = (self.broad.len(), set.allows().count());
        let Share { connections, bytes, wildcard_connections, wildcard_bytes } = self.admitted;
        let [rules, under, carried] = names;
        vec![
            line(rules, part(broad as i128, all as i128), format!("{all} allows")),
            line(
                under,
                part(wildcard_connections.into(), connections.into()),
                format!("{connections} admitted connections"),
            ),
            line(carried, part(wildcard_bytes.into(), bytes.into()), format!("{bytes} bytes")),
        ]
    }
}

/// The paths of allows that name hosts by patterns, or not at all.
fn wildcards(set: &PolicySet) -> impl Iterator<Item = &str> {
    set.allows().filter(|(_, breadth)| *breadth == Breadth::Wildcard).map(|(rule, _)| &*rule.path)
}

fn between_updates(policies: Option<(u64, i64, i64)>, rejected: u64) -> Vec<Value> {
    let name = "seconds between policy activations";
    let (count, first, last) = policies.unwrap_or_default();
    let of = format!("{count} activations, {rejected} rejected");
    // One activation is no time between two.
    let value = if count < 2 { Value::Null } else { seconds(last - first, count - 1) };
    line(name, value, of)
}

fn line(name: &str, value: Value, of: String) -> Vec<Value> {
    vec![name.into(), value, of.into()]
}

/// The mean, in seconds.
#[expect(clippy::cast_precision_loss, reason = "a mean for people")]
fn seconds(microseconds: i64, count: u64) -> Value {
    json!(microseconds as f64 / 1e6 / count as f64)
}

/// A share from 0 to 1; nothing of nothing is no share.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn part(some: i128, all: i128) -> Value {
    if all == 0 { Value::Null } else { json!(some as f64 / all as f64) }
}
