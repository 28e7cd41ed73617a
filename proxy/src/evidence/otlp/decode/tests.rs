//! What is encoded decodes to the same JSON, key by key; whatever else the bytes are, nothing panics.

use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::*;
use crate::evidence::otlp::encode;
use crate::evidence::tests::shape::full;

fn bytes(json: &Value) -> Vec<u8> {
    encode::log_record(json).unwrap().encode_to_vec()
}

/// The same JSON, the order of the keys included.
fn assert_same(json: &Value) {
    let decoded = record(&bytes(json), "gw-1").unwrap();
    assert_eq!(serde_json::to_string(&decoded).unwrap(), serde_json::to_string(json).unwrap());
}

fn head(kind: &str) -> Map<String, Value> {
    let json = json!({
        "schema": 1, "kind": kind, "id": "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5", "sequence": 41,
        "time": "2026-11-22T10:00:00.123456Z", "gateway": "gw-1"
    });
    json.as_object().unwrap().clone()
}

/// A decision with every field there is.
fn whole() -> Value {
    let mut record = full();
    record.id = "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5".parse().unwrap();
    record.gateway = crate::evidence::text::Text::name("gw-1");
    serde_json::to_value(&record).unwrap()
}

#[test]
fn a_record_with_every_field_is_read_back_as_its_line() {
    assert_same(&whole());
}

#[test]
fn each_kind_is_known_by_its_event() {
    for (kind, more) in [
        ("close", json!({"bytes_sent": 1834, "bytes_received": 90211, "duration_ms": 6120, "ending": "client_closed"})),
        ("policy", json!({"result": "rejected", "policy": {"bundle": "corp", "digest": "sha256:00", "serial": 0}})),
        ("policy", json!({"result": "activated", "policy": {"bundle": "corp", "digest": "sha256:00", "serial": 0}})),
        ("checkpoint", json!({"checkpoint": {"size": 40, "root": "abc=", "note": "a\nb\n"}})),
        ("gap", json!({"gap": {"cause": "dropped", "first": 1, "last": 2, "bytes": 3}})),
        ("gap", json!({"gap": {"cause": "torn"}})),
        (
            "grant",
            json!({"reason": {"text": "for an incident"}, "grant": "g1", "action": "approved", "drill": true,
            "operator": {"name": "olga", "person": "olga@x", "by": "certificate"}, "details": {"ports": [443]}}),
        ),
        ("exception", json!({"reason": {"text": "a"}, "exception": "e1", "action": "requested"})),
        ("mode", json!({"mode": "lockdown", "reason": {"text": "a"}, "action": "changed"})),
        ("admin", json!({"reason": {"text": "a"}, "action": "called", "details": {"status": 200}})),
    ] {
        let mut json = head(kind);
        json.extend(more.as_object().unwrap().clone());
        assert_same(&json.into());
    }
    assert_eq!((kind("gatepass.grant.used"), kind("gatepass.mode.changed")), (Some("grant"), Some("mode")));
    assert_eq!((kind("gatepass.cake"), kind("other.decision"), kind("")), (None, None, None));
}

fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zé\"\\\\ ]{0,12}|[a-z]{200}".prop_map(Value::from),
    ];
    let nested = leaf.clone().boxed().prop_recursive(3, 12, 4, |inner| {
        let inner = prop_oneof![4 => inner, 1 => Just(Value::Null)];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z.]{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop_oneof![3 => leaf, 1 => nested].boxed()
}

/// A record of any kind with any of the fields, each with any value that its place can hold.
fn any_record() -> BoxedStrategy<Value> {
    let kind = prop::sample::select(vec![
        "decision",
        "close",
        "policy",
        "checkpoint",
        "gap",
        "grant",
        "exception",
        "mode",
        "admin",
    ]);
    let fields = prop::collection::vec(proptest::option::of(anything()), FIELDS.len());
    let numbers = (0i64..4_000_000_000_000_000, 0u64..1 << 48, any::<[u8; 16]>(), any::<u128>());
    (kind, fields, numbers).prop_map(of_fields).boxed()
}

/// Time, duration, trace and id.
type Numbers = (i64, u64, [u8; 16], u128);

fn of_fields((kind, fields, (time, ms, trace, id)): (&'static str, Vec<Option<Value>>, Numbers)) -> Value {
    let mut json = Map::new();
    for (field, any) in FIELDS.iter().zip(fields) {
        let value = match (field.place, any) {
            (Place::EventName, _) => kind.into(),
            (Place::Resource(_), _) => "gw-1".into(),
            (Place::Time, _) => Timestamp::from_microsecond(time).unwrap().to_string().into(),
            (Place::Attribute("gatepass.decision.id"), _) => format!("{id:032x}").into(),
            (Place::Body, _) if matches!(kind, "decision" | "grant" | "exception" | "mode" | "admin") => {
                "a sentence".into()
            }
            (Place::TraceId, Some(_)) => Hex(&trace).to_string().into(),
            (Place::SpanId, Some(_)) => Hex(&trace[..8]).to_string().into(),
            (Place::Seconds(_), Some(_)) => ms.into(),
            // An empty object has no field below it, and a table's row is never an empty text's.
            (Place::Attribute("gatepass.policy.result"), _) if kind == "policy" => "activated".into(),
            // It is a part of the event's name.
            (Place::Attribute("gatepass.action"), _) => "approved".into(),
            (Place::Attribute(_), Some(any)) => any,
            (_, _) => continue,
        };
        put(&mut json, field.path, value);
    }
    json.into()
}

proptest! {
    #[test]
    fn json_to_bytes_to_json_is_the_identity(json in any_record()) {
        let decoded = record(&bytes(&json), "gw-1").unwrap();
        prop_assert_eq!(serde_json::to_string(&decoded).unwrap(), serde_json::to_string(&json).unwrap());
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = record(&bytes, "gw-1");
    }

    #[test]
    fn no_change_to_a_record_makes_it_panic(at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = bytes(&whole());
        let at = at.index(bytes.len());
        bytes[at] = to;
        if cut {
            bytes.truncate(at);
        }
        let _ = record(&bytes, "gw-1");
    }
}

#[test]
fn nesting_without_an_end_is_refused() {
    let mut nested = Vec::new();
    for _ in 0..64 {
        let any = [
            &[0x2a, u8::try_from(nested.len() + 2).unwrap_or(0), 0x0a, u8::try_from(nested.len()).unwrap_or(0)],
            nested.as_slice(),
        ]
        .concat();
        nested = any;
        if nested.len() > 120 {
            break;
        }
    }
    let pair = [&[0x0a, 17], b"gatepass.decision".as_slice()].concat();
    assert!(value(Any::read(&nested).unwrap(), DEPTH).is_err());
    assert!(record(&pair, "gw-1").is_err(), "a record has an event and a time");
}

#[test]
fn attributes_of_another_version_are_left_out() {
    let mut message = encode::log_record(&{
        let mut json = head("gap");
        json.insert("gap".into(), json!({"cause": "torn"}));
        json.into()
    })
    .unwrap();
    let mut unknown = message.attributes[0].clone();
    unknown.key = "gatepass.something.new".into();
    message.attributes.insert(1, unknown);
    let json = record(&message.encode_to_vec(), "gw-1").unwrap();
    assert_eq!(json["gap"], json!({"cause": "torn"}));
    assert!(!json.to_string().contains("something"));
}
