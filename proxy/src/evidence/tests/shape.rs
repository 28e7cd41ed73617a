//! The JSON of the records is the contract's.

use gatepass_policy::decision::Shadow;
use serde_json::Value;

use super::*;
use crate::evidence::act::{ActRecord, By, Details, Sentence};
use crate::evidence::fields::{FIELDS, Place};
use crate::evidence::parts::{Timings, Trace};
use crate::evidence::record::{CheckpointRecord, GapRecord};
use crate::evidence::words::Outcome;

/// A denial and a close in the exact spelling of the contract.
const DENIAL: &str = r#"{"schema":1,"kind":"decision","id":"019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5","sequence":41,"time":"2026-11-22T10:00:00.123456Z","gateway":"gw-1","effect":"deny","outcome":"refused","mode":"normal","stage":"request","reason":{"code":"no_rule","text":"no rule lets spiffe://corp.example/ns/payments/sa/checkout reach api.stripe.com:22"},"nearest":[{"rule":"payments/stripe","owner":"alice@example.com","expires":"2027-04-30T00:00:00Z","failed":[{"clause":"destinations.ports","seen":22,"wanted":[443]}]}],"identity":{"id":"spiffe://corp.example/ns/payments/sa/checkout","method":"network","labels":{"app":"checkout","env":"prod","team":"payments"}},"data_classes":["internal","pci"],"data_classes_from":"registered","client":{"address":"10.8.3.4","port":51234},"listener":"mesh","destination":{"host":"api.stripe.com","port":22},"request":{"protocol":"connect"},"policy":{"bundle":"corp","digest":"sha256:00ff","serial":0},"timings":{"decide_us":1}}"#;
const CLOSE: &str = r#"{"schema":1,"kind":"close","id":"019a8f3e-3c4d-7e5f-8a9b-0c1d2e3f4a5b","sequence":44,"time":"2026-11-22T10:00:07.5Z","gateway":"gw-1","bytes_sent":1834,"bytes_received":90211,"duration_ms":6120,"ending":"client_closed"}"#;

#[test]
fn a_denial_is_written_byte_for_byte_as_the_contract_shows_it() {
    let facts = Facts { destination: Authority::parse(b"api.stripe.com:22").unwrap(), ..facts() };
    let failed = vec![FailedClause {
        clause: "destinations.ports".into(),
        seen: Shown::Int(22),
        wanted: Shown::List(vec![Shown::Int(443)]),
    }];
    let nearest = [Nearest { rule: rule(), failed }];
    let mut record = DecisionRecord::decided(&facts, &decision(Effect::Deny, Reason::NoRule), &nearest, policy_ref())
        .with_timings(Timings { decide_us: Some(1), ..Timings::default() });
    record.id = "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5".parse().unwrap();
    record.sequence = record::Sequence::known(41);
    record.gateway = Text::name("gw-1");
    let who = record.identity.as_mut().unwrap();
    (who.method, who.cert_sha256) = ("network", None);
    assert_eq!(serde_json::to_string(&record).unwrap(), DENIAL);
}

#[test]
fn a_close_is_written_byte_for_byte_as_the_contract_shows_it() {
    let record = CloseRecord {
        schema: record::SCHEMA,
        kind: "close",
        id: "019a8f3e-3c4d-7e5f-8a9b-0c1d2e3f4a5b".parse().unwrap(),
        sequence: 44,
        time: "2026-11-22T10:00:07.5Z".parse().unwrap(),
        gateway: Text::name("gw-1"),
        floor: None,
        carried: Some(record::Carried { bytes_sent: 1834, bytes_received: 90211, duration_ms: 6120 }),
        ending: words::Ending::ClientClosed,
        cut_by: None,
    };
    assert_eq!(serde_json::to_string(&record).unwrap(), CLOSE);
}

/// A record with every field there is.
pub(crate) fn full() -> DecisionRecord {
    let decided = Decision {
        shadow: vec![Shadow { rule: rule(), effect: Effect::Deny }],
        used_declared: true,
        stage: Stage::Tls,
        ..decision(Effect::Allow, Reason::Allowed)
    };
    let nearest = [Nearest { rule: rule(), failed: Vec::new() }];
    DecisionRecord::decided(&all_facts(), &decided, &nearest, policy_ref())
        .with_dialled("203.0.113.7:443".parse().unwrap(), "192.0.2.1:40000".parse().unwrap())
        .with_trace(Some(Trace { id: [0x0a; 16], span: [0xb0; 8] }))
        .with_timings(Timings { decide_us: Some(1), dns_us: Some(2), dial_us: Some(3), probe_us: Some(4) })
}

fn checkpoint() -> Item {
    let checkpoint = record::Signed { size: 1, root: "cm9vdA==".into(), note: "note\n".into() };
    let (id, time, gateway, kind) = (Uuid::now_v7(), facts().now, Text::name("gw-1"), "checkpoint");
    let record = CheckpointRecord { schema: 1, kind, id, sequence: 2, time, gateway, floor: None, checkpoint };
    Item::Checkpoint(Box::new(record))
}

fn gap() -> Item {
    let gap = record::Gap { cause: words::GapCause::Torn, first: Some(1), last: Some(2), bytes: Some(3) };
    let (id, time, gateway) = (Uuid::now_v7(), facts().now, Text::name("gw-1"));
    Item::Gap(Box::new(GapRecord { schema: 1, kind: "gap", id, sequence: 3, time, gateway, floor: None, gap }))
}

fn act(kind: words::ActKind) -> Item {
    let by = By { name: Text::name("olga"), person: Text::name("olga@x.test"), by: "certificate" };
    Item::Act(Box::new(ActRecord {
        schema: 1,
        kind,
        id: Uuid::now_v7(),
        sequence: 4,
        time: facts().now,
        gateway: Text::name("gw-1"),
        floor: None,
        mode: None,
        reason: Sentence { text: Text::name("an incident") },
        grant: Some(Text::name("g1")),
        exception: Some(Text::name("e1")),
        action: "approved",
        drill: true,
        operator: Some(by),
        details: Details::default().text("ticket", "INC-1"),
    }))
}

/// The dotted paths of a record; what the table has as one field is one path.
fn paths(prefix: &str, value: &Value, into: &mut Vec<String>) {
    let Value::Object(fields) = value else { return into.push(prefix.to_owned()) };
    if FIELDS.iter().any(|field| field.path == prefix) {
        return into.push(prefix.to_owned());
    }
    for (key, value) in fields {
        paths(&if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") }, value, into);
    }
}

#[tokio::test]
async fn the_table_has_every_field_that_is_written_and_no_other() {
    let (evidence, _pipe, lines) = start(PipeState::Flows, 16);
    let admission = evidence.reserve().unwrap().admit(Arc::new(full()), Durability::Interval).await.unwrap();
    admission.close(Close {
        now: facts().now,
        sent: 1,
        received: 2,
        ending: words::Ending::Expired,
        cut_by: Some("a/b".into()),
    });
    let peer = "192.0.2.9:1".parse().unwrap();
    let unread =
        DecisionRecord::unread(facts().now, peer, "plain", Reason::InvalidRequest, "").with_malformed_target(b"%");
    evidence.reserve().unwrap().refuse(unread);
    evidence.policy(facts().now, words::PolicyResult::Rejected, Some("no"), policy_ref()).unwrap();
    let mut written = Vec::new();
    for record in flushed(&evidence, &lines).await {
        paths("", &record, &mut written);
    }
    for own in [checkpoint(), gap(), act(words::ActKind::Grant), act(words::ActKind::Exception)] {
        paths("", &own.json(), &mut written);
    }
    let observed = DecisionRecord { observe: Some(facts().now), would_deny: true, ..full() };
    paths("", &serde_json::to_value(observed).unwrap(), &mut written);
    let table: std::collections::BTreeSet<&str> = FIELDS.iter().map(|field| field.path).collect();
    assert_eq!(written.iter().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), table);
    let names: Vec<Place> = FIELDS.iter().map(|field| field.place).collect();
    assert!(names.iter().enumerate().all(|(i, name)| !names[..i].contains(name)), "one attribute, one field");
}

#[test]
fn no_query_no_header_and_no_credential_is_ever_written() {
    let clause = |clause: &str, seen: &str| FailedClause {
        clause: clause.into(),
        seen: Shown::Text(seen.into()),
        wanted: Shown::Text("x".into()),
    };
    let failed = vec![
        clause("when: request.query == \"x\"", "query-secret"),
        clause("when: request.headers[\"cookie\"] == \"x\"", "header-secret"),
    ];
    let denied = decision(Effect::Deny, Reason::NoRule);
    let record = DecisionRecord::decided(&all_facts(), &denied, &[Nearest { rule: rule(), failed }], policy_ref());
    let json = serde_json::to_string(&record).unwrap();
    assert!(!json.contains("secret"), "{json}");
    assert_eq!(json.matches("(not recorded)").count(), 2);
    assert!(json.contains(r#""request":{"protocol":"connect","method":"GET","path":"/v1/charges"}"#), "{json}");
}

#[test]
fn the_largest_record_that_facts_and_a_bundle_can_make_fits_a_frame() {
    let long = |length: usize| "\u{202e}".repeat(length);
    let list = Shown::List((0..200).map(|_| Shown::Text(long(300))).collect());
    let failed = (0..40).map(|_| FailedClause { clause: long(300), seen: list.clone(), wanted: list.clone() });
    let near = Nearest { rule: rule(), failed: failed.collect() };
    let many = |count: usize| (0..count).map(|_| long(300)).collect::<Vec<_>>();
    let facts = Facts {
        tls: Some(Tls::Hello(Hello {
            sni: Some(long(300)),
            alpn: many(300),
            versions: many(300),
            ech: false,
            ja4: Some(long(300).into()),
        })),
        upstream: Some(Arc::new(Upstream::Shown(ServerCertificate {
            proof: Proof::Unverified(long(300).into()),
            dns_sans: Some(many(300)),
            issuer: Some(long(5000)),
            spki_sha256: Some(long(300)),
            not_after: Some("2027-01-01T00:00:00Z".parse().unwrap()),
            tls_version: Some(long(300)),
        }))),
        identity: Identity::token(&long(5000)),
        request: all_facts().request.map(|request| HttpRequest { path: long(5000), ..request }),
        resolved: all_facts().resolved.map(|resolved| Resolved {
            answers: (0..300u16).map(|n| IpAddr::from([0x2001, 0xdb8, 1, 2, 3, 4, 5, n])).collect(),
            cname: many(300),
            ..resolved
        }),
        ..all_facts()
    };
    let nearest = [near.clone(), near.clone(), near];
    let record = DecisionRecord::decided(&facts, &decision(Effect::Deny, Reason::NoRule), &nearest, policy_ref());
    let bytes = crate::evidence::encode::tests::bytes_of(&mut Item::Decision(Arc::new(record)), u64::MAX >> 1);
    assert!((30_000..spool::segment::RECORD_MAX).contains(&bytes.len()), "{}", bytes.len());
}

#[test]
fn what_a_client_sent_cannot_forge_a_record_or_a_line() {
    let evil = "a\u{202e}b\nfake\u{1b}[2J";
    let facts = Facts {
        tls: Some(Tls::Hello(Hello { sni: Some(evil.into()), alpn: vec![evil.into()], ..Hello::default() })),
        request: all_facts().request.map(|request| HttpRequest { path: evil.into(), method: evil.into(), ..request }),
        resolved: all_facts().resolved.map(|resolved| Resolved { cname: vec![evil.into()], ..resolved }),
        identity: Identity::token(evil),
        ..all_facts()
    };
    let near = Nearest {
        rule: rule(),
        failed: vec![FailedClause { clause: "tls.sni".into(), seen: Shown::Text(evil.into()), wanted: Shown::Null }],
    };
    let record = DecisionRecord::decided(&facts, &decision(Effect::Deny, Reason::NoRule), &[near], policy_ref());
    let json = serde_json::to_string(&record).unwrap();
    let mut line = Vec::new();
    line::write(&serde_json::to_value(&record).unwrap(), None, Colour::Off, &mut line);
    let line = String::from_utf8(line).unwrap();
    for text in [&json, line.trim_end()] {
        assert!(!text.contains(['\u{202e}', '\u{1b}', '\n']) && !text.contains("\\u001b"), "{text}");
        assert!(text.contains("u{202e}"), "{text}");
    }
    assert_eq!(json.matches("u{202e}").count(), 8, "{json}");
}

#[test]
fn every_reason_makes_a_record_that_names_it_and_reads_as_a_sentence() {
    for reason in Reason::ALL {
        let effect = match reason {
            Reason::Allowed | Reason::Grant | Reason::Permitted => Effect::Allow,
            _ => Effect::Deny,
        };
        for rule in [None, Some(rule())] {
            let decided = Decision { rule, detail: Some("because".into()), ..decision(effect, *reason) };
            let json = serde_json::to_value(DecisionRecord::decided(&facts(), &decided, &[], policy_ref())).unwrap();
            assert_eq!(json["reason"]["code"], reason.code());
            assert!(json["reason"]["text"].as_str().unwrap().contains("because"), "{json}");
            assert_eq!(json["outcome"], if effect == Effect::Allow { "admitted" } else { "refused" });
        }
    }
}

#[test]
fn the_address_floor_names_the_address_and_the_allow_it_overrode() {
    let decided = Decision {
        detail: Some("169.254.169.254 (cloud metadata)".into()),
        overridden: Some(rule()),
        stage: Stage::Resolved,
        ..decision(Effect::Deny, Reason::AddressFloor)
    };
    let record = DecisionRecord::decided(&all_facts(), &decided, &[], policy_ref());
    let expected = "169.254.169.254 (cloud metadata) must not be reached (payments/stripe alone would have allowed it)";
    assert_eq!(record.reason.text.as_str(), expected);
    assert!(record.rule.is_none());
}

#[test]
fn a_failure_says_that_the_policy_allowed_and_what_failed() {
    let record = DecisionRecord::failed(&facts(), None, Reason::DnsNxdomain, "api.stripe.com", policy_ref());
    let json = serde_json::to_value(record).unwrap();
    assert_eq!((&json["effect"], &json["outcome"]), (&"allow".into(), &"failed".into()));
    assert_eq!(json["reason"]["text"], "the name does not exist: api.stripe.com");
    assert_eq!(json["stage"], "request");
}

#[test]
fn a_malformed_request_is_recorded_without_facts() {
    let peer = "[::ffff:192.0.2.9]:7".parse().unwrap();
    let record = DecisionRecord::unread(facts().now, peer, "plain", Reason::InvalidRequest, "the host is empty")
        .with_malformed_target(b"user:secret@:443?secret");
    let json = serde_json::to_value(record).unwrap();
    assert_eq!(json["client"], serde_json::json!({"address": "192.0.2.9", "port": 7}));
    assert_eq!(json["destination"], serde_json::json!({"text": "…@:443"}));
    assert_eq!(json["stage"], "request");
    for absent in ["identity", "rule", "policy", "timings", "data_classes", "floor"] {
        assert!(json.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn declared_classes_and_the_development_floor_are_told() {
    let json = serde_json::to_value(full()).unwrap();
    assert_eq!(json["data_classes"], serde_json::json!(["internal"]));
    assert_eq!(json["data_classes_from"], "declared");
    assert_eq!(json["floor"], "development");
    assert_eq!(json["destination"]["address"], "203.0.113.7");
}

#[test]
fn the_readable_line_says_when_what_who_where_why_and_which() {
    let mut record = denied();
    record.id = "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5".parse().unwrap();
    let mut bytes = Vec::new();
    line::write(&serde_json::to_value(&record).unwrap(), None, Colour::Off, &mut bytes);
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "2026-11-22T10:00:00.123Z DENY   spiffe://corp.example/ns/payments/sa/checkout → api.stripe.com:443  \
         no_rule, nearest payments/stripe (destinations.ports: 443 is not in [22])  \
         019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5\n"
    );
    assert_eq!(allowed().outcome, Outcome::Admitted);
}
