//! `gatepass evidence`: what is read of a spool, by the real binary.

mod export;

mod query;

mod sql;

mod tail;

mod erase;

mod live;

mod crash;

mod torn;

mod refused;

mod before;

mod flood;

mod pinned;

mod disk;

mod full;

mod content;

mod forgery;

mod slow;

pub(crate) mod clock;

mod closes;

mod prove;

use gatepass_tests::Spool;
use serde_json::{Value, json};

const PEOPLE: [&str; 3] = ["spiffe://corp.example/ns/pay/sa/checkout", "token:ci", "anonymous"];
const HOSTS: [&str; 5] = ["api.stripe.com", "www.stripe.com", "pypi.org", "203.0.113.7", "2001:db8::1"];

fn id(number: u64) -> String {
    format!("019a8f3e-1d2c-7b4a-9c1e-{number:012x}")
}

/// The moment so many seconds into the world.
fn at(seconds: u64) -> String {
    let time: jiff::Timestamp = "2026-11-22T10:00:00.25Z".parse().unwrap();
    (time + jiff::SignedDuration::from_secs(seconds.try_into().unwrap())).to_string()
}

fn policy(digest: &str) -> Value {
    json!({"bundle": "corp", "digest": digest, "serial": 0})
}

fn head(who: &str, host: &str, port: u16) -> Value {
    json!({
        "identity": {"id": who, "method": "mtls"},
        "client": {"address": "10.8.3.4", "port": 51234},
        "listener": "mesh",
        "destination": {"host": host, "port": port},
        "request": {"protocol": "connect"},
    })
}

fn decision(outcome: &str, code: &str, more: &[Value]) -> Value {
    let mut fields = json!({
        "effect": if outcome == "refused" { "deny" } else { "allow" },
        "outcome": outcome,
        "mode": "normal",
        "stage": "tls",
        "reason": {"code": code, "text": format!("about \"{code}\"\\")},
        "policy": policy("sha256:00ff"),
    });
    for more in more {
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    fields
}

fn allowed(who: &str, host: &str, rule: &str, expires: &str, local: &str) -> Value {
    let rule = json!({
        "rule": {"path": rule, "owner": "alice@example.com", "purpose": "payments", "expires": expires},
        "local": {"address": local, "port": 40000},
    });
    decision("admitted", "allowed", &[head(who, host, 443), rule])
}

fn denied(who: &str, host: &str) -> Value {
    let failed = json!([{"clause": "destinations.ports", "seen": 22, "wanted": [443]}]);
    let near = json!([{"rule": "payments/stripe", "owner": "alice@example.com", "failed": failed}]);
    decision("refused", "no_rule", &[head(who, host, 22), json!({"nearest": near})])
}

fn close(sent: u64, received: u64) -> Value {
    json!({"bytes_sent": sent, "bytes_received": received, "duration_ms": 6120, "ending": "client_closed"})
}

/// What somebody did to a grant or an exception.
fn act(kind: &str, about: u64, action: &str, person: Option<&str>, more: &Value) -> Value {
    let mut details = json!({
        "identities": [PEOPLE[1]], "hosts": [HOSTS[2], HOSTS[1]], "ports": ["443", "8443"], "data_classes": ["internal"],
        "reason": "the registry is away", "for": "30m", "requested_by": "alice@example.com",
    });
    details.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut fields = json!({
        kind: id(about), "action": action, "reason": {"text": format!("{kind} {action}")}, "details": details,
    });
    if let Some(person) = person {
        fields["operator"] = json!({"name": person, "person": person, "by": "certificate"});
    }
    fields
}

/// The same with grants and exceptions: one grant that was used, ended and was reviewed, one that was denied, an exercise
/// by code that holds on; one exception that was approved, one that was denied, one that waits.
fn overridden() -> Spool {
    let mut spool = world();
    let (alice, bob) = (Some("alice@example.com"), Some("bob@example.com"));
    let mut add = |kind: &str, seconds: u64, fields: Value| {
        let name = match fields.get("decision") {
            Some(name) => name.as_str().unwrap().to_owned(),
            None => id(9_000 + seconds),
        };
        spool.add(kind, &name, &at(seconds), fields);
    };
    let asked = json!({"second_factor": "approval", "scope": "fleet"});
    let held = json!({"second_factor": "approval", "scope": "fleet", "begins": at(5_010), "ends": at(6_810)});
    add("grant", 5_000, act("grant", 700, "requested", alice, &asked));
    add("grant", 5_010, act("grant", 700, "approved", bob, &held));
    let mut admitted = allowed(PEOPLE[1], HOSTS[2], "grant/700", &at(6_810), "192.0.2.1");
    admitted["grant"] = id(700).into();
    let mut ended = close(100, 23);
    for record in [&mut admitted, &mut ended] {
        record["decision"] = id(8_000).into();
    }
    add("decision", 5_020, admitted);
    add("grant", 5_020, act("grant", 700, "used", None, &held));
    add("close", 6_000, ended);
    add("grant", 6_810, act("grant", 700, "ended", None, &held));
    add("grant", 7_000, act("grant", 700, "reviewed", bob, &held));
    add("grant", 7_100, act("grant", 701, "requested", alice, &asked));
    add("grant", 7_110, act("grant", 701, "revoked", bob, &asked));
    let code = json!({"second_factor": "totp", "scope": "fleet", "begins": at(7_200), "ends": at(9_000)});
    for (seconds, action) in [(7_199, "requested"), (7_200, "approved")] {
        let mut exercise = act("grant", 702, action, alice, &code);
        exercise["drill"] = true.into();
        add("grant", seconds, exercise);
    }
    let permits = |more: Value| {
        let mut details = json!({"permits": "payments"});
        details.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        details
    };
    for (seconds, about) in [(7_300, 800), (7_301, 801), (7_302, 802)] {
        add("exception", seconds, act("exception", about, "requested", alice, &permits(json!({}))));
    }
    let approved = permits(json!({"waited_s": 90, "ends": at(20_000)}));
    add("exception", 7_390, act("exception", 800, "approved", bob, &approved));
    add("exception", 7_391, act("exception", 801, "denied", bob, &permits(json!({"waited_s": 30}))));
    spool
}

/// Some hundred records in four segments: policies, decisions of every outcome, ends, of several people and hosts.
fn world() -> Spool {
    let mut spool = Spool::new();
    let activated = json!({"result": "activated", "policy": policy("sha256:00ff")});
    spool.add("policy", &id(1), &at(0), activated.clone());
    // The same numbers every time, without a pattern.
    let mut state = 7_u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for number in 1..=150_u64 {
        let (who, host) = (PEOPLE[next(PEOPLE.len())], HOSTS[next(HOSTS.len())]);
        let (name, time) = (id(100 + number), at(number * 10));
        match next(5) {
            0 => spool.add("decision", &name, &time, denied(who, host)),
            1 => spool.add("decision", &name, &time, decision("failed", "dial_failed", &[head(who, host, 443)])),
            kind => {
                let (rule, expires) = match kind {
                    2 => ("payments/stripe", "2026-12-01T00:00:00Z"),
                    3 => ("build/pypi", "2027-06-01T00:00:00Z"),
                    _ => ("payments/old", "2026-11-23T00:00:00Z"),
                };
                let local = ["192.0.2.1", "198.51.100.7"][next(2)];
                spool.add("decision", &name, &time, allowed(who, host, rule, expires, local));
                if next(6) > 0 {
                    let fields = close(next(5000) as u64, next(900_000) as u64);
                    spool.add("close", &name, &at(number * 10 + 5), fields);
                }
                0
            }
        };
        if number % 40 == 0 {
            spool.seal();
        }
    }
    let malformed = json!({"destination": {"text": "…@:443"}, "client": {"address": "192.0.2.9", "port": 7}});
    spool.add("decision", &id(2), &at(2000), decision("refused", "invalid_request", &[malformed]));
    spool.add("policy", &id(3), &at(3600), activated);
    spool.add("checkpoint", &id(4), &at(3601), json!({"checkpoint": {"size": 9, "root": "abc=", "note": "a\nb\n"}}));
    spool
}
