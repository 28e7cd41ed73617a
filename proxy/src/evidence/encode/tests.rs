//! What is written by hand is what the table of fields says, byte for byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use gatepass_policy::decision::{Effect, FailedClause, Reason, RuleInfo, Shown};
use gatepass_policy::schema::Stage;
use jiff::Timestamp;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use uuid::Uuid;

use super::*;
use crate::evidence::act::{By, Detail, Details, Sentence};
use crate::evidence::otlp::encode::log_record;
use crate::evidence::parts::{
    Destination, Dns, Near, PolicyRef, ReasonText, Request, Rule, ShadowRule, Socket, Timings, TlsFacts, Trace,
    UpstreamFacts, Who,
};
use crate::evidence::record::{Carried, Gap, Sequence, Signed};
use crate::evidence::text::Text;
use crate::evidence::words::{ClassesFrom, GapCause};

/// The bytes of an item as the writer puts them together.
pub(crate) fn bytes_of(item: &mut Item, sequence: u64) -> Vec<u8> {
    item.number(sequence);
    let encoded = Encoded::of(item, vec![1, 2, 3]);
    let (before, after) = encoded.pieces();
    let mut number = vec![1, 2, 3];
    super::sequence(sequence, &mut number);
    [before, &number, after].concat()
}

fn text() -> BoxedStrategy<Text> {
    // Short ones, some that take two bytes of length, some that are cut.
    prop_oneof!["[a-z0-9./:é\u{202e}\n]{0,12}", "[a-z]{100,300}"].prop_map(|text| Text::name(&text)).boxed()
}

fn raw() -> BoxedStrategy<String> {
    prop_oneof!["[a-z0-9 ./é\u{1b}]{0,10}", "[a-z]{120,300}"].boxed()
}

fn time() -> BoxedStrategy<Timestamp> {
    (0i64..4_000_000_000, 0i32..1_000_000_000).prop_map(|(s, ns)| Timestamp::new(s, ns).unwrap()).boxed()
}

fn rule() -> BoxedStrategy<Arc<RuleInfo>> {
    (raw(), raw(), raw(), option::of(time()))
        .prop_map(|(path, owner, purpose, expires)| {
            let (path, owner, purpose) = (path.into(), owner.into(), purpose.into());
            Arc::new(RuleInfo { path, owner, purpose, ticket: None, expires })
        })
        .boxed()
}

fn shown() -> BoxedStrategy<Shown> {
    let leaf = prop_oneof![
        Just(Shown::Null),
        any::<bool>().prop_map(Shown::Bool),
        any::<i64>().prop_map(Shown::Int),
        raw().prop_map(Shown::Text),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Shown::List)).boxed()
}

fn near() -> BoxedStrategy<Near> {
    let clause = (raw(), shown(), shown()).prop_map(|(clause, seen, wanted)| FailedClause { clause, seen, wanted });
    (rule(), prop::collection::vec(clause, 0..3)).prop_map(|(rule, failed)| Near { rule, failed }).boxed()
}

fn socket() -> BoxedStrategy<Socket> {
    (any::<std::net::IpAddr>(), any::<u16>()).prop_map(|(address, port)| Socket { address, port }).boxed()
}

fn who() -> BoxedStrategy<Who> {
    let labels = prop::collection::btree_map(raw().prop_map(Box::from), raw().prop_map(Box::from), 0..4);
    (text(), labels, option::of(text()))
        .prop_map(|(id, labels, cert_sha256)| {
            let labels: Arc<BTreeMap<Box<str>, Box<str>>> = Arc::new(labels);
            Who { id, method: "mtls", labels, cert_sha256 }
        })
        .boxed()
}

fn destination() -> BoxedStrategy<Destination> {
    let addresses = prop::collection::vec(any::<std::net::IpAddr>(), 0..3);
    let names = (option::of(text()), option::of(text()), option::of(text()));
    (names, option::of(any::<u16>()), option::of(any::<bool>()), addresses, option::of(any::<std::net::IpAddr>()))
        .prop_map(|((host, domain, text), port, first_seen, addresses, address)| Destination {
            host,
            port,
            domain,
            first_seen,
            text,
            addresses,
            address,
        })
        .boxed()
}

fn tls() -> BoxedStrategy<TlsFacts> {
    let texts = || prop::collection::vec(text(), 0..3);
    (any::<bool>(), option::of(text()), texts(), texts(), option::of(any::<bool>()), option::of(text()))
        .prop_map(|(present, sni, alpn, versions, ech, ja4)| TlsFacts { present, sni, alpn, versions, ech, ja4 })
        .boxed()
}

fn upstream() -> BoxedStrategy<UpstreamFacts> {
    let texts = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    (any::<bool>(), texts, prop::collection::vec(text(), 0..3), option::of(time()))
        .prop_map(|(verified, (fault, issuer, spki_sha256, tls_version), dns_sans, not_after)| UpstreamFacts {
            verified,
            fault,
            dns_sans,
            issuer,
            spki_sha256,
            not_after,
            tls_version,
        })
        .boxed()
}

prop_compose! {
    fn verdict()(
        effect in prop_oneof![Just(Effect::Allow), Just(Effect::Deny)],
        outcome in prop::sample::select(Outcome::ALL),
        code in prop::sample::select(Reason::ALL),
        stage in prop_oneof![Just(Stage::Request), Just(Stage::Resolved), Just(Stage::Tls), Just(Stage::Certificate)],
        text in text(),
        rule in option::of(rule()),
        nearest in prop::collection::vec(near(), 0..3),
        shadow in prop::collection::vec((text(), any::<bool>()), 0..3),
    ) -> DecisionRecord {
        let shadow = shadow.into_iter().map(|(rule, allow)| {
            ShadowRule { rule, effect: if allow { Effect::Allow } else { Effect::Deny } }
        });
        DecisionRecord {
            effect, outcome, stage, nearest,
            mode: Text::name("normal"),
            reason: ReasonText { code, text },
            rule: rule.map(Rule),
            shadow: shadow.collect(),
            ..crate::evidence::tests::denied()
        }
    }
}

prop_compose! {
    fn decision()(
        verdict in verdict().boxed(),
        time in time(),
        identity in option::of(who()),
        classes in option::of(prop::collection::vec(raw().prop_map(Box::from), 0..40)),
        client in option::of(socket()),
        listener in option::of(text()),
        destination in option::of(destination()),
        dns in option::of((prop::collection::vec(text(), 0..3), any::<u32>(), any::<bool>())),
        (tls, upstream) in (option::of(tls()), option::of(upstream())),
        request in option::of((any::<bool>(), option::of(text()), option::of(text()))),
        local in option::of(socket()),
        more in (option::of(any::<([u8; 16], [u8; 8])>()), option::of(0u64..1 << 40), any::<u128>(), any::<bool>()),
    ) -> DecisionRecord {
        let (trace, took, id, development) = more;
        DecisionRecord {
            id: Uuid::from_u128(id | 1),
            gateway: Text::name("gw"),
            floor: development.then_some(FloorMark::Development),
            time, identity, client, listener, destination, tls, upstream, local,
            data_classes: classes.map(Arc::from),
            data_classes_from: Some(ClassesFrom::Declared),
            dns: dns.map(|(cname, min_ttl, secure)| Dns { cname, min_ttl, secure }),
            request: request.map(|(http, method, path)| {
                Request { protocol: if http { "http" } else { "connect" }, method, path }
            }),
            policy: Some(PolicyRef::new("corp", "sha256:00ff", 3)),
            trace: trace.map(|(id, span)| Trace { id, span }),
            timings: Timings { decide_us: took, dns_us: None, dial_us: took, probe_us: took },
            sequence: Sequence::default(),
            ..verdict
        }
    }
}

fn close() -> BoxedStrategy<CloseRecord> {
    let numbers = (any::<u64>(), 0..u64::MAX / 2, 0u64..1 << 40, any::<u128>());
    (numbers, time(), prop::sample::select(Ending::ALL), option::of(text()))
        .prop_map(|((sent, received, duration_ms, id), time, ending, cut_by)| CloseRecord {
            schema: 1,
            kind: "close",
            id: Uuid::from_u128(id),
            sequence: 0,
            time,
            gateway: Text::name("gw"),
            floor: None,
            carried: (sent % 8 > 0).then_some(Carried { bytes_sent: sent / 2, bytes_received: received, duration_ms }),
            ending,
            cut_by,
        })
        .boxed()
}

fn policy() -> BoxedStrategy<PolicyRecord> {
    (time(), any::<bool>(), option::of(text()), text())
        .prop_map(|(time, activated, error, name)| PolicyRecord {
            schema: 1,
            kind: "policy",
            id: Uuid::from_u128(7),
            sequence: 0,
            time,
            gateway: Text::name("gw"),
            floor: Some(FloorMark::Development),
            result: if activated { PolicyResult::Activated } else { PolicyResult::Rejected },
            error,
            policy: PolicyRef::new(name.as_str(), "sha256:00ff", 0),
        })
        .boxed()
}

fn own() -> BoxedStrategy<Item> {
    let gap = (time(), option::of(any::<u32>()), option::of(any::<u32>())).prop_map(|(time, first, bytes)| {
        let gap =
            Gap { cause: GapCause::Dropped, first: first.map(Into::into), last: None, bytes: bytes.map(Into::into) };
        let (id, gateway) = (Uuid::from_u128(9), Text::name("gw"));
        Item::Gap(Box::new(GapRecord { schema: 1, kind: "gap", id, sequence: 0, time, gateway, floor: None, gap }))
    });
    let checkpoint = (time(), any::<u32>()).prop_map(|(time, size)| {
        let checkpoint = Signed { size: size.into(), root: "abc=".into(), note: "a\nnote\n".into() };
        let (id, gateway) = (Uuid::from_u128(9), Text::name("gw"));
        Item::Checkpoint(Box::new(CheckpointRecord {
            schema: 1,
            kind: "checkpoint",
            id,
            sequence: 0,
            time,
            gateway,
            floor: None,
            checkpoint,
        }))
    });
    prop_oneof![gap, checkpoint].boxed()
}

fn act() -> BoxedStrategy<Item> {
    let kinds = prop::sample::select(ActKind::ALL);
    let details = prop::collection::vec(
        prop_oneof![
            text().prop_map(Detail::Text),
            prop::collection::vec(text(), 0..3).prop_map(Detail::Texts),
            any::<i64>().prop_map(Detail::Int),
            any::<bool>().prop_map(Detail::Bool),
        ],
        0..4,
    );
    (kinds, time(), option::of(text()), text(), option::of((text(), text())), any::<bool>(), details)
        .prop_map(|(kind, time, subject, sentence, operator, drill, details)| {
            let subject = |of| subject.clone().filter(|_| kind == of);
            Item::Act(Box::new(ActRecord {
                schema: 1,
                kind,
                id: Uuid::from_u128(9),
                sequence: 0,
                time,
                gateway: Text::name("gw"),
                floor: None,
                mode: subject(ActKind::Mode),
                reason: Sentence { text: sentence },
                grant: subject(ActKind::Grant),
                exception: subject(ActKind::Exception),
                action: "approved",
                drill,
                operator: operator.map(|(name, person)| By { name, person, by: "certificate" }),
                details: Details(["a", "b", "c", "d"].into_iter().zip(details).collect()),
            }))
        })
        .boxed()
}

/// Every kind of record.
pub(crate) fn item() -> BoxedStrategy<Item> {
    prop_oneof![
        4 => decision().boxed().prop_map(|record| Item::Decision(Arc::new(record))),
        2 => close().prop_map(|record| Item::Close(Box::new(record), None)),
        1 => policy().prop_map(|record| Item::Policy(Box::new(record))),
        1 => own(),
        1 => act(),
    ]
    .boxed()
}

proptest! {
    #[test]
    fn the_bytes_are_those_of_the_table_and_decode_to_the_same_message(mut item in item(), sequence in 1u64..1 << 50) {
        let bytes = bytes_of(&mut item, sequence);
        let wanted = log_record(&item.json()).unwrap();
        prop_assert_eq!(&LogRecord::decode(bytes.as_slice()).unwrap(), &wanted);
        prop_assert_eq!(bytes, wanted.encode_to_vec());
    }
}

#[test]
fn what_is_not_a_record_is_no_log_record() {
    for text in ["{}", "[]", r#"{"kind":"decision"}"#, r#"{"kind":"other","id":"x","time":"2026-11-22T10:00:00Z"}"#] {
        assert!(log_record(&serde_json::from_str(text).unwrap()).is_none(), "{text}");
    }
}
