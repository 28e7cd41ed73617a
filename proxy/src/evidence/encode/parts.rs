//! The attributes of a decision, in the order of the table of fields.

use gatepass_policy::decision::{FailedClause, Reason, RuleInfo, Shown};
use gatepass_policy::facts::Protocol;

use crate::evidence::act::{ActRecord, Detail};
use crate::evidence::parts::{Destination, Dns, Near, PolicyRef, Request, Timings, TlsFacts, UpstreamFacts, Who};
use crate::evidence::record::DecisionRecord;
use crate::evidence::spelling::microseconds;
use crate::evidence::text::{LIST_MAX, NAME_MAX, Text, clean};
use crate::evidence::wire::{Value, Wire};
use crate::evidence::words::Outcome;

/// OTLP has signed numbers only; no count comes near their end.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn count(key: &str, number: u64, wire: &mut Wire<'_>) {
    wire.int(key, signed(number));
}

/// From the effect to what rules in shadow would have said.
pub(super) fn verdict(record: &DecisionRecord, wire: &mut Wire<'_>) {
    if let Some(until) = record.observe {
        wire.displayed("gatepass.observe", &microseconds(until));
    }
    wire.text("gatepass.decision.effect", record.effect.as_str());
    wire.text("gatepass.decision.outcome", record.outcome.as_str());
    if record.would_deny {
        wire.bool("gatepass.decision.would_deny", true);
    }
    wire.text("gatepass.mode", record.mode.as_str());
    wire.text("gatepass.decision.stage", record.stage.as_str());
    wire.text("gatepass.decision.reason", record.reason.code.code());
    if let Some(rule) = &record.rule {
        let rule: &RuleInfo = &rule.0;
        wire.text("security_rule.name", &clean(&rule.path, NAME_MAX));
        wire.text("gatepass.rule.owner", &clean(&rule.owner, NAME_MAX));
        wire.text("gatepass.rule.purpose", &clean(&rule.purpose, NAME_MAX));
        if let Some(expires) = rule.expires {
            wire.displayed("gatepass.rule.expires", &microseconds(expires));
        }
    }
    if let Some(grant) = &record.grant {
        wire.text("gatepass.grant.id", grant.as_str());
    }
    if let Some(exception) = &record.exception {
        wire.text("gatepass.exception.id", exception.as_str());
    }
    if !record.nearest.is_empty() {
        wire.attribute("gatepass.nearest", |value| value.array(&record.nearest, near));
    }
    if !record.shadow.is_empty() {
        wire.attribute("gatepass.shadow", |value| {
            value.array(&record.shadow, |value, shadow| {
                value.map(|map| {
                    map.text("rule", shadow.rule.as_str());
                    map.text("effect", shadow.effect.as_str());
                });
            });
        });
    }
}

fn near(value: &mut Value<'_, '_>, near: &Near) {
    value.map(|map| {
        map.text("rule", &clean(&near.rule.path, NAME_MAX));
        map.text("owner", &clean(&near.rule.owner, NAME_MAX));
        if let Some(expires) = near.rule.expires {
            map.pair("expires", |value| value.displayed(&microseconds(expires)));
        }
        map.pair("failed", |value| value.array(&near.failed, failed));
    });
}

fn failed(value: &mut Value<'_, '_>, failed: &FailedClause) {
    value.map(|map| {
        map.text("clause", &failed.clause);
        map.pair("seen", |value| shown(value, &failed.seen));
        map.pair("wanted", |value| shown(value, &failed.wanted));
    });
}

fn shown(value: &mut Value<'_, '_>, what: &Shown) {
    match what {
        Shown::Null => {}
        Shown::Bool(truth) => value.bool(*truth),
        Shown::Int(number) => value.int(*number),
        Shown::Text(text) => value.text(text),
        Shown::List(items) => value.array(items, shown),
    }
}

/// Who, where to and how: from the identity to the timings.
pub(super) fn circumstances(record: &DecisionRecord, wire: &mut Wire<'_>) {
    if let Some(identity) = &record.identity {
        who(identity, wire);
    }
    if let Some(classes) = &record.data_classes {
        wire.attribute("gatepass.data_classes", |value| {
            value.array(classes.iter().take(LIST_MAX), |value, class| value.text(&clean(class, NAME_MAX)));
        });
    }
    if let Some(from) = record.data_classes_from {
        wire.text("gatepass.data_classes_from", from.as_str());
    }
    if let Some(client) = &record.client {
        wire.address("client.address", client.address);
        wire.int("client.port", client.port.into());
    }
    if let Some(listener) = &record.listener {
        wire.text("gatepass.listener", listener.as_str());
    }
    if let Some(asked) = &record.destination {
        destination(asked, wire);
    }
    if let Some(answer) = &record.dns {
        dns(answer, wire);
    }
    if let Some(hello) = &record.tls {
        tls(hello, wire);
    }
    if let Some(proved) = &record.upstream {
        upstream(proved, wire);
    }
    if let Some(how) = &record.request {
        request(how, wire);
    }
    if let Some(local) = &record.local {
        wire.address("network.local.address", local.address);
        wire.int("network.local.port", local.port.into());
    }
    if let Some(reference) = &record.policy {
        policy(reference, wire);
    }
    timings(&record.timings, wire);
}

fn who(who: &Who, wire: &mut Wire<'_>) {
    wire.text("user.id", who.id.as_str());
    wire.text("gatepass.identity.method", who.method);
    if !who.labels.is_empty() {
        wire.attribute("gatepass.identity.labels", |value| {
            value.map(|map| {
                for (key, value) in who.labels.iter().take(LIST_MAX) {
                    map.text(&clean(key, NAME_MAX), &clean(value, NAME_MAX));
                }
            });
        });
    }
    if let Some(certificate) = &who.cert_sha256 {
        wire.text("tls.client.hash.sha256", certificate.as_str());
    }
}

fn destination(asked: &Destination, wire: &mut Wire<'_>) {
    if let Some(host) = &asked.host {
        wire.text("server.address", host.as_str());
    }
    if let Some(port) = asked.port {
        wire.int("server.port", port.into());
    }
    if let Some(domain) = &asked.domain {
        wire.text("gatepass.destination.domain", domain.as_str());
    }
    if let Some(first) = asked.first_seen {
        wire.bool("gatepass.destination.first_seen", first);
    }
    if let Some(text) = &asked.text {
        wire.text("gatepass.destination.text", text.as_str());
    }
    if !asked.addresses.is_empty() {
        wire.attribute("dns.answers", |value| {
            value.array(&asked.addresses, |value, address| value.address(*address));
        });
    }
    if let Some(address) = asked.address {
        wire.address("network.peer.address", address);
    }
}

fn dns(answer: &Dns, wire: &mut Wire<'_>) {
    texts("gatepass.dns.cname", &answer.cname, wire);
    wire.int("gatepass.dns.min_ttl", answer.min_ttl.into());
    wire.bool("gatepass.dns.secure", answer.secure);
}

fn tls(hello: &TlsFacts, wire: &mut Wire<'_>) {
    wire.bool("gatepass.tls.present", hello.present);
    if let Some(name) = &hello.sni {
        wire.text("gatepass.tls.sni", name.as_str());
    }
    texts("gatepass.tls.alpn", &hello.alpn, wire);
    texts("gatepass.tls.versions", &hello.versions, wire);
    if let Some(ech) = hello.ech {
        wire.bool("gatepass.tls.ech", ech);
    }
    if let Some(ja4) = &hello.ja4 {
        wire.text("gatepass.tls.ja4", ja4.as_str());
    }
}

fn upstream(proved: &UpstreamFacts, wire: &mut Wire<'_>) {
    wire.bool("gatepass.upstream.verified", proved.verified);
    if let Some(fault) = &proved.fault {
        wire.text("gatepass.upstream.fault", fault.as_str());
    }
    texts("gatepass.upstream.dns_sans", &proved.dns_sans, wire);
    if let Some(issuer) = &proved.issuer {
        wire.text("gatepass.upstream.issuer", issuer.as_str());
    }
    if let Some(pin) = &proved.spki_sha256 {
        wire.text("gatepass.upstream.spki_sha256", pin.as_str());
    }
    if let Some(end) = proved.not_after {
        wire.displayed("gatepass.upstream.not_after", &microseconds(end));
    }
    if let Some(version) = &proved.tls_version {
        wire.text("gatepass.upstream.tls_version", version.as_str());
    }
}

fn texts(key: &str, texts: &[Text], wire: &mut Wire<'_>) {
    if !texts.is_empty() {
        wire.attribute(key, |value| value.array(texts, |value, text| value.text(text.as_str())));
    }
}

fn request(how: &Request, wire: &mut Wire<'_>) {
    wire.text("gatepass.request.protocol", how.protocol);
    if let Some(method) = &how.method {
        wire.text("http.request.method", method.as_str());
    }
    if let Some(path) = &how.path {
        wire.text("url.path", path.as_str());
    }
}

/// What an act tells.
pub(super) fn act(record: &ActRecord, wire: &mut Wire<'_>) {
    let named = [("gatepass.mode", &record.mode), ("gatepass.grant.id", &record.grant)];
    for (key, name) in named.into_iter().chain([("gatepass.exception.id", &record.exception)]) {
        name.iter().for_each(|name| wire.text(key, name.as_str()));
    }
    wire.text("gatepass.action", record.action);
    if record.drill {
        wire.bool("gatepass.drill", true);
    }
    if let Some(operator) = &record.operator {
        wire.text("gatepass.operator.name", operator.name.as_str());
        wire.text("gatepass.operator.person", operator.person.as_str());
        wire.text("gatepass.operator.by", operator.by);
    }
    if !record.details.is_empty() {
        wire.attribute("gatepass.details", |value| {
            value.map(|map| {
                for (key, detail) in &record.details.0 {
                    map.pair(key, |value| match detail {
                        Detail::Text(text) => value.text(text.as_str()),
                        Detail::Texts(texts) => value.array(texts, |value, text| value.text(text.as_str())),
                        Detail::Int(number) => value.int(*number),
                        Detail::Bool(truth) => value.bool(*truth),
                    });
                }
            });
        });
    }
}

pub(super) fn policy(policy: &PolicyRef, wire: &mut Wire<'_>) {
    wire.text("security_rule.ruleset.name", policy.bundle.as_str());
    wire.text("security_rule.version", policy.digest.as_str());
    count("gatepass.policy.serial", policy.serial, wire);
}

fn timings(timings: &Timings, wire: &mut Wire<'_>) {
    let parts = [
        ("gatepass.timings.decide_us", timings.decide_us),
        ("gatepass.timings.dns_us", timings.dns_us),
        ("gatepass.timings.dial_us", timings.dial_us),
        ("gatepass.timings.probe_us", timings.probe_us),
    ];
    for (key, took) in parts {
        took.into_iter().for_each(|took| count(key, took, wire));
    }
}

/// What the conventions have names for and follows from the rest: see `fields::DERIVED`.
pub(super) fn derived(record: &DecisionRecord, wire: &mut Wire<'_>) {
    if record.client.is_some() {
        wire.text("network.transport", "tcp");
    }
    if record.request.as_ref().is_some_and(|request| request.protocol == Protocol::Http.as_str()) {
        wire.text("network.protocol.name", "http");
        wire.text("url.scheme", "http");
    }
    if let Some(Destination { address: Some(_), port: Some(port), .. }) = &record.destination {
        wire.int("network.peer.port", (*port).into());
    }
    if let (Some(_), Some(Destination { host: Some(host), .. })) = (&record.dns, &record.destination) {
        wire.text("dns.question.name", host.as_str());
    }
    let code: Reason = record.reason.code;
    match record.outcome {
        Outcome::Admitted => {}
        Outcome::Refused | Outcome::Failed => wire.text("error.type", code.code()),
    }
}
