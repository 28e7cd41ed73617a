//! Records as OCSF events.

use super::*;
use crate::evidence::sinks::ocsf::{VERSION, event};

#[test]
fn a_denial_is_a_network_activity_that_was_blocked() {
    let wanted = json!({
        "metadata": {
            "version": VERSION,
            "product": {"name": "Gatepass", "vendor_name": "Gatepass", "version": env!("CARGO_PKG_VERSION")},
            "profiles": ["host", "network_proxy", "security_control"],
            "uid": "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5",
            "event_code": "gatepass.decision",
            "correlation_uid": "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5",
            "sequence": 41,
            "original_time": "2026-11-22T10:00:00.123456Z",
            "log_version": "1",
        },
        "time": 1_795_341_600_123_i64,
        "timezone_offset": 0,
        "category_uid": 4, "category_name": "Network Activity",
        "class_uid": 4001, "class_name": "Network Activity",
        "activity_id": 5, "activity_name": "Refuse",
        "type_uid": 400_105,
        "severity_id": 2, "severity": "Low",
        "status_id": 2, "status": "Failure",
        "status_code": "no_rule",
        "message": "no rule lets spiffe://corp.example/ns/payments/sa/checkout reach api.stripe.com:22",
        "device": {"name": "gw-1", "type_id": 9, "type": "Firewall"},
        "action_id": 2, "action": "Denied",
        "disposition_id": 2, "disposition": "Blocked",
        "status_detail": "no rule lets spiffe://corp.example/ns/payments/sa/checkout reach api.stripe.com:22",
        "policy": {"name": "corp", "uid": "sha256:00ff", "version": "0", "is_applied": true},
        "actor": {"user": {
            "uid": "spiffe://corp.example/ns/payments/sa/checkout",
            "name": "spiffe://corp.example/ns/payments/sa/checkout",
            "type_id": 4, "type": "Service",
        }},
        "src_endpoint": {"ip": "10.8.3.4", "port": 51234},
        "dst_endpoint": {"hostname": "api.stripe.com", "port": 22},
        "connection_info": {
            "uid": "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5",
            "direction_id": 2, "direction": "Outbound", "protocol_name": "tcp", "protocol_num": 6,
        },
        "unmapped": {
            "mode": "normal",
            "stage": "request",
            "nearest": denial()["nearest"],
            "identity": {"method": "mtls", "labels": {"app": "checkout"}},
            "data_classes": ["internal", "pci"],
            "data_classes_from": "registered",
            "listener": "mesh",
            "request": {"protocol": "connect"},
            "timings": {"decide_us": 1},
        },
    });
    assert_eq!(
        serde_json::to_string_pretty(&event(&denial())).unwrap(),
        serde_json::to_string_pretty(&wanted).unwrap()
    );
}

#[test]
fn an_admitted_request_is_an_http_activity_with_its_rule_and_both_sides() {
    let event = event(&request());
    assert_eq!(
        (&event["class_uid"], &event["activity_name"], &event["type_uid"]),
        (&json!(4002), &json!("Get"), &json!(400_203))
    );
    assert_eq!(
        (&event["action"], &event["disposition"], &event["status"]),
        (&json!("Allowed"), &json!("Allowed"), &json!("Success"))
    );
    assert_eq!(
        event["firewall_rule"],
        json!({"uid": "payments/stripe", "name": "payments/stripe", "desc": "card payments"})
    );
    assert_eq!(event["dst_endpoint"], json!({"hostname": "api.stripe.com", "ip": "203.0.113.7", "port": 443}));
    assert_eq!(event["proxy_endpoint"], json!({"ip": "192.0.2.1", "port": 40000, "name": "gw-1"}));
    assert_eq!(
        event["http_request"],
        json!({"uid": "019a8f3e-5c4d-7e5f-8a9b-0c1d2e3f4a5b", "http_method": "GET",
            "url": {"scheme": "http", "hostname": "api.stripe.com", "port": 443, "path": "/v1/charges"}})
    );
    assert_eq!(event["unmapped"].get("request"), None);
}

#[test]
fn a_method_that_the_schema_does_not_know_keeps_its_name() {
    let mut record = request();
    record["request"]["method"] = json!("PURGE");
    let event = event(&record);
    assert_eq!(
        (&event["activity_id"], &event["activity_name"], &event["type_uid"]),
        (&json!(99), &json!("PURGE"), &json!(400_299))
    );
    assert_eq!(event["unmapped"]["request"], json!({"method": "PURGE"}));
}

#[test]
fn each_outcome_has_its_own_words() {
    let words = |effect: &str, outcome: &str, reason: &str| {
        let mut record = denial();
        (record["effect"], record["outcome"], record["reason"]["code"]) =
            (json!(effect), json!(outcome), json!(reason));
        let event = event(&record);
        ["activity_name", "action", "disposition", "status"]
            .map(|key| event[key].as_str().unwrap().to_owned())
            .join(" ")
    };
    assert_eq!(words("allow", "admitted", "allowed"), "Open Allowed Allowed Success");
    assert_eq!(words("allow", "failed", "dial_failed"), "Fail Allowed Error Failure");
    assert_eq!(words("deny", "refused", "guardrail"), "Refuse Denied Blocked Failure");
    assert_eq!(words("deny", "refused", "identity_required"), "Refuse Denied Unauthorized Failure");
    assert_eq!(words("deny", "refused", "invalid_request"), "Refuse Denied Rejected Failure");
}

#[test]
fn a_close_counts_bytes_and_is_joined_to_its_decision() {
    let event = event(&close());
    assert_eq!(
        (&event["class_uid"], &event["type_uid"], &event["duration"]),
        (&json!(4001), &json!(400_102), &json!(6120))
    );
    assert_eq!(event["traffic"], json!({"bytes_out": 1834, "bytes_in": 90211, "bytes": 92045}));
    assert_eq!(event["metadata"]["uid"], "019a8f3e-3c4d-7e5f-8a9b-0c1d2e3f4a5b/close");
    assert_eq!(event["metadata"]["correlation_uid"], event["connection_info"]["uid"]);
    assert_eq!(
        (&event["status_code"], &event["status"], event.get("unmapped")),
        (&json!("client_closed"), &json!("Success"), None)
    );
}

#[test]
fn a_policy_is_an_entity_that_was_activated_or_not() {
    let event = event(&policy());
    assert_eq!(
        (&event["class_uid"], &event["activity_name"], &event["status"]),
        (&json!(3004), &json!("Activate"), &json!("Failure"))
    );
    assert_eq!(
        event["entity"],
        json!({"name": "corp", "uid": "sha256:00ff", "version": "7", "type_id": 5, "type": "Policy"})
    );
    assert_eq!((&event["severity_id"], &event["status_code"]), (&json!(3), &json!("rejected")));
    assert_eq!(event["status_detail"], "teams/a.yaml:3:1: a \"rule\" without [purpose]");
    assert_eq!(event.get("unmapped"), None);
}

#[test]
fn what_the_schema_has_no_class_for_is_a_base_event_with_everything_in_it() {
    let event = event(&gap());
    assert_eq!(
        (&event["class_uid"], &event["activity_name"], &event["type_uid"]),
        (&json!(0), &json!("gap"), &json!(99))
    );
    assert_eq!((&event["severity"], &event["unmapped"]["gap"]), (&json!("Low"), &gap()["gap"]));
}

#[test]
fn an_event_is_called_as_a_collector_knows_it() {
    let code = |record: &Value| event(record)["metadata"]["event_code"].as_str().unwrap().to_owned();
    assert_eq!(
        [denial(), close(), policy(), gap()].map(|record| code(&record)),
        ["gatepass.decision", "gatepass.connection.closed", "gatepass.policy.rejected", "gatepass.evidence.gap"]
    );
}

/// What version 1.7.0 requires of each class, or wants at least one of.
const REQUIRED: [&str; 7] = ["metadata", "time", "category_uid", "class_uid", "activity_id", "type_uid", "severity_id"];

#[test]
fn every_event_has_what_its_class_requires() {
    let bare = json!({"kind": "decision", "effect": "deny", "outcome": "refused"});
    for record in [denial(), request(), close(), policy(), gap(), bare, json!({}), json!(null), json!(["kind"])] {
        let event = event(&record);
        for key in REQUIRED {
            assert!(event.get(key).is_some(), "{key} in {event}");
        }
        for path in ["/metadata/version", "/metadata/product/name"] {
            assert!(event.pointer(path).is_some(), "{path} in {event}");
        }
        let number = |key: &str| event[key].as_u64().unwrap();
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
        assert_eq!(number("class_uid") / 1000, number("category_uid"));
        match number("category_uid") {
            4 => assert!(event.get("src_endpoint").or(event.get("dst_endpoint")).is_some(), "{event}"),
            3 => assert!(event["entity"].get("name").is_some(), "{event}"),
            _ => assert_eq!(number("class_uid"), 0),
        }
        assert!(number("class_uid") != 4002 || event.get("http_request").is_some(), "{event}");
        if let Some(connection) = event.get("connection_info") {
            assert!(connection.get("direction_id").is_some());
        }
    }
}

/// Every number, text and truth in a value.
fn leaves(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.values().for_each(|value| leaves(value, into)),
        Value::Array(values) => values.iter().for_each(|value| leaves(value, into)),
        Value::String(text) => into.push(text.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => into.push(value.to_string()),
    }
}

#[test]
fn nothing_that_a_record_says_is_lost() {
    for record in [denial(), request(), close(), policy(), gap()] {
        let (mut said, mut told) = (Vec::new(), Vec::new());
        leaves(&record, &mut said);
        leaves(&event(&record), &mut told);
        // These are told in the schema's own words.
        let translated = ["decision", "close", "policy", "allow", "deny", "admitted", "refused", "http"];
        for leaf in said.iter().filter(|leaf| !translated.contains(&leaf.as_str())) {
            assert!(told.contains(leaf), "`{leaf}` of {record}");
        }
    }
}
