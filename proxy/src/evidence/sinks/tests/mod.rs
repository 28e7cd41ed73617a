//! The sinks, from records as standard output shows them to what a receiver gets.

use serde_json::{Value, json};

mod grammar;

mod messages;

mod events;

mod files;

mod receivers;

/// A denial as standard output shows it.
const DENIAL: &str = r#"{"schema":1,"kind":"decision","id":"019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5","sequence":41,"time":"2026-11-22T10:00:00.123456Z","gateway":"gw-1","effect":"deny","outcome":"refused","mode":"normal","stage":"request","reason":{"code":"no_rule","text":"no rule lets spiffe://corp.example/ns/payments/sa/checkout reach api.stripe.com:22"},"nearest":[{"rule":"payments/stripe","owner":"alice@example.com","expires":"2027-04-30T00:00:00Z","failed":[{"clause":"destinations.ports","seen":22,"wanted":[443]}]}],"identity":{"id":"spiffe://corp.example/ns/payments/sa/checkout","method":"mtls","labels":{"app":"checkout"}},"data_classes":["internal","pci"],"data_classes_from":"registered","client":{"address":"10.8.3.4","port":51234},"listener":"mesh","destination":{"host":"api.stripe.com","port":22},"request":{"protocol":"connect"},"policy":{"bundle":"corp","digest":"sha256:00ff","serial":0},"timings":{"decide_us":1}}"#;

/// Its close, had it been admitted.
const CLOSE: &str = r#"{"schema":1,"kind":"close","id":"019a8f3e-3c4d-7e5f-8a9b-0c1d2e3f4a5b","sequence":44,"time":"2026-11-22T10:00:07.5Z","gateway":"gw-1","bytes_sent":1834,"bytes_received":90211,"duration_ms":6120,"ending":"client_closed"}"#;

/// A reload that was rejected.
const POLICY: &str = r#"{"schema":1,"kind":"policy","id":"019a8f3e-4c4d-7e5f-8a9b-0c1d2e3f4a5b","sequence":45,"time":"2026-11-22T10:00:08Z","gateway":"gw-1","result":"rejected","error":"teams/a.yaml:3:1: a \"rule\" without [purpose]","policy":{"bundle":"corp","digest":"sha256:00ff","serial":7}}"#;

fn denial() -> Value {
    serde_json::from_str(DENIAL).unwrap()
}

fn close() -> Value {
    serde_json::from_str(CLOSE).unwrap()
}

fn policy() -> Value {
    serde_json::from_str(POLICY).unwrap()
}

/// A plain HTTP request that was admitted, with everything that a record may hold.
fn request() -> Value {
    let record = crate::evidence::tests::shape::full();
    let mut record = serde_json::to_value(record).unwrap();
    record["request"]["protocol"] = json!("http");
    record["id"] = json!("019a8f3e-5c4d-7e5f-8a9b-0c1d2e3f4a5b");
    record["gateway"] = json!("gw-1");
    record["sequence"] = json!(46);
    record
}

fn gap() -> Value {
    json!({"schema": 1, "kind": "gap", "id": "019a8f3e-6c4d-7e5f-8a9b-0c1d2e3f4a5b", "sequence": 47,
        "time": "2026-11-22T10:00:09Z", "gateway": "gw-1", "gap": {"cause": "dropped", "first": 3, "last": 9, "bytes": 4096}})
}
