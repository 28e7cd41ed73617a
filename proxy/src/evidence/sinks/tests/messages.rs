//! Records as syslog messages.

use proptest::prelude::*;
use serde_json::Map;

use super::grammar::{self, Message};
use super::*;
use crate::evidence::sinks::rfc5424::{self, PARAMS, Sender, frame, ocsf_message};
use crate::evidence::text::clean;

fn sender() -> Sender {
    Sender::new("gate.example", 17)
}

fn read(record: &Value) -> Message {
    let text = rfc5424::message(record, &sender());
    grammar::message(&text).unwrap_or_else(|| panic!("not a message: {text}"))
}

#[test]
fn a_denial_is_a_message_with_structured_data_and_a_sentence() {
    assert_eq!(
        rfc5424::message(&denial(), &sender()),
        "<108>1 2026-11-22T10:00:00.123456Z gate.example gatepass 17 decision [gatepass@32473 \
         id=\"019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5\" sequence=\"41\" gateway=\"gw-1\" effect=\"deny\" outcome=\"refused\" \
         reason=\"no_rule\" identity=\"spiffe://corp.example/ns/payments/sa/checkout\" method=\"mtls\" \
         data_classes=\"internal,pci\" client=\"10.8.3.4:51234\" listener=\"mesh\" destination=\"api.stripe.com:22\" \
         bundle=\"corp\" digest=\"sha256:00ff\"] \
         no rule lets spiffe://corp.example/ns/payments/sa/checkout reach api.stripe.com:22"
    );
}

#[test]
fn a_close_and_a_rejected_policy_say_what_happened_and_how_bad_it_is() {
    let text = rfc5424::message(&close(), &sender());
    assert!(text.starts_with("<110>1 2026-11-22T10:00:07.5Z gate.example gatepass 17 close ["), "{text}");
    assert!(text.ends_with("ending=\"client_closed\" bytes_sent=\"1834\" bytes_received=\"90211\" duration_ms=\"6120\"] the connection ended: client_closed"), "{text}");
    let message = read(&policy());
    assert_eq!((message.priority, message.kind.as_str()), (107, "policy"));
    assert_eq!(message.param("result"), Some("rejected"));
    assert_eq!(message.param("error"), Some("teams/a.yaml:3:1: a \"rule\" without [purpose]"));
    assert_eq!(message.text.as_deref(), Some("the policy corp sha256:00ff was rejected"));
    assert_eq!((read(&gap()).priority, read(&gap()).param("last")), (108, Some("9")));
    assert_eq!(read(&request()).priority, 110);
}

#[test]
fn every_parameter_has_a_name_of_its_own_and_a_field_of_the_records() {
    let names: std::collections::HashSet<_> = PARAMS.iter().map(|param| param.name).collect();
    assert_eq!(names.len(), PARAMS.len());
    let shown: std::collections::HashSet<String> = [denial(), close(), policy(), request(), gap()]
        .iter()
        .flat_map(|record| read(record).data.remove(0).1)
        .map(|(name, _)| name)
        .collect();
    let not_here = ["cut_by", "size", "root"];
    for name in names {
        assert!(shown.contains(name) || not_here.contains(&name), "{name} is never shown");
    }
}

#[test]
fn what_could_end_a_value_or_a_message_is_escaped() {
    let mut record = denial();
    record["identity"]["id"] = json!("a\"b\\c]d\ne\u{202e}");
    record["destination"] = json!({"host": "2001:db8::1", "port": 443});
    record["reason"]["text"] = json!("m\u{fc}nchen\r\n<34>1 forged");
    let text = rfc5424::message(&record, &sender());
    assert!(text.contains(r#"identity="a\"b\\c\]d\\u{a}e\\u{202e}""#), "{text}");
    let message = grammar::message(&text).unwrap();
    assert_eq!(message.param("destination"), Some("[2001:db8::1]:443"));
    assert_eq!(message.text.as_deref(), Some("\u{feff}m\u{fc}nchen\\u{d}\\u{a}<34>1 forged"));
}

#[test]
fn what_a_header_cannot_hold_is_left_out() {
    let mut record = denial();
    record["kind"] = json!("deci sion\n\u{e9}");
    record["time"] = json!("-000001-01-01T00:00:00Z");
    let text = rfc5424::message(&record, &Sender::new("g\u{e4}te one", 1));
    assert!(text.starts_with("<108>1 - gteone gatepass 1 decision ["), "{text}");
    let text = rfc5424::message(&json!(null), &Sender::new("", 1));
    assert_eq!(text, "<108>1 - - gatepass 1 - [gatepass@32473]");
}

#[test]
fn an_event_in_a_message_is_the_event_in_ascii() {
    let mut record = denial();
    record["reason"]["text"] = json!("m\u{fc}nchen \u{1f600} \u{7f}");
    let text = ocsf_message(&record, &sender());
    assert!(text.is_ascii() && text.bytes().all(|byte| byte >= b' ' && byte != 0x7f), "{text}");
    let message = grammar::message(&text).unwrap();
    assert!(message.data.is_empty());
    let event: Value = serde_json::from_str(&message.text.unwrap()).unwrap();
    assert_eq!(event, crate::evidence::sinks::ocsf::event(&record));
    assert_eq!(event["message"], "m\u{fc}nchen \u{1f600} \u{7f}");
}

/// Any JSON at all.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Text with what could break a frame in it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\\]\\[\"\\\\ =<>\\n\\r\\x00\\x1b\u{85}\u{2028}a-z0-9]{0,24}",
        "-?[0-9]{4}-1[0-2]-01T00:00:00(\\.[0-9]{1,9})?Z"
    ]
}

/// A record in which some fields hold anything at all.
fn record() -> impl Strategy<Value = Value> {
    let base = prop::sample::select(vec![denial(), close(), policy(), request(), gap(), json!({})]);
    let paths = PARAMS.iter().map(|param| param.path).chain([
        "kind",
        "time",
        "reason",
        "error",
        "destination.port",
        "client.port",
    ]);
    let change = (prop::sample::select(paths.collect::<Vec<_>>()), anything());
    let changed = (base, prop::collection::vec(change, 0..6)).prop_map(|(mut record, changes)| {
        for (path, value) in changes {
            let pointer = format!("/{}", path.replace('.', "/"));
            if let Some(place) = record.pointer_mut(&pointer) {
                *place = value;
            } else if !path.contains('.') {
                record[path] = value;
            }
        }
        record
    });
    prop_oneof![9 => changed, 1 => anything()]
}

proptest! {
    #[test]
    fn no_record_makes_a_malformed_frame(records in prop::collection::vec(record(), 1..4), host in text()) {
        let sender = Sender::new(&host, 1);
        for form in [rfc5424::message, ocsf_message] {
            let mut bytes = Vec::new();
            records.iter().for_each(|record| frame(&form(record, &sender), &mut bytes));
            let messages = grammar::frames(&bytes).expect("frames");
            prop_assert_eq!(messages.len(), records.len());
            for text in messages {
                prop_assert!(grammar::message(&text).is_some(), "{}", text);
                prop_assert!(!text.chars().any(char::is_control), "{}", text);
            }
        }
    }

    #[test]
    fn a_value_comes_back_as_it_was_cleaned(value in text()) {
        let mut record = denial();
        record["identity"]["id"] = value.clone().into();
        let cleaned = clean(&value, usize::MAX);
        let message = read(&record);
        prop_assert_eq!(message.param("identity"), Some(&*cleaned));
    }
}

#[test]
fn a_sink_says_of_each_kind_what_the_collector_is_told() {
    use crate::evidence::sinks::view::{Severity, View};
    let checkpoint = json!({"schema":1,"kind":"checkpoint","id":"019a8f3e-6c4d-7e5f-8a9b-0c1d2e3f4a5b","sequence":3,"time":"2026-11-22T10:00:09Z","gateway":"g","checkpoint":{"size":2,"root":"x","note":"y"}});
    let mut activated = policy();
    activated["result"] = json!("activated");
    for record in [denial(), request(), close(), policy(), activated, gap(), checkpoint] {
        let log = crate::evidence::otlp::encode::log_record(&record).unwrap();
        let view = View(&record);
        assert_eq!(view.event_name(), log.event_name);
        let text = match view.severity() {
            Severity::Info => "INFO",
            Severity::Warn => "WARN",
            Severity::Error => "ERROR",
        };
        assert_eq!(text, log.severity_text);
        assert!(format!("{:?}", log.body).contains(&*view.sentence()), "{:?} {}", log.body, view.sentence());
        assert!(format!("{:?}", log.attributes[0]).contains(&*view.uid()));
    }
}
