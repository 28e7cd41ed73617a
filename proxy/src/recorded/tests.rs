//! Every form of a record has the same facts, and what is not on it is not known.

use std::ops::ControlFlow;
use std::sync::Arc;

use gatepass_policy::decision::Reason;
use gatepass_policy::facts::{Facts, Proof, ServerCertificate, Tls, Upstream};
use gatepass_policy::source::SourceFile;
use gatepass_policy::{PolicySet, compile};
use jiff::Timestamp;
use prost::Message as _;
use serde_json::{Value, json};

use super::facts::{Ground, Lack, Maker, Workloads};
use super::{Recorded, parquet};
use crate::evidence::otlp::encode::log_record;
use crate::evidence::questions::parquet as written;

const BUNDLE: &str = r#"apiVersion: gatepass/v1
kind: Bundle
metadata: {id: corp, owner: platform@example.com}
data_classes: [{id: public}, {id: internal}, {id: pci}]
lifetimes: {default: 365d}
fragments:
  - {id: team, owner: team@example.com, scope: {identities: any, destinations: any, data_classes: any}}
"#;

const WORKLOADS: &str = r#"apiVersion: gatepass/v1
kind: Workloads
metadata: {id: workloads, owner: platform@example.com}
workloads:
  - {id: "spiffe://corp.example/a", labels: {team: new}, data_classes: [internal, pci], may_declare: [internal]}
"#;

fn set() -> PolicySet {
    let file = |name: &str, text: &str| SourceFile { name: name.into(), text: text.into() };
    let files = [file("bundle.yaml", BUNDLE), file("workloads.yaml", WORKLOADS)];
    compile(&files, "2026-11-22T10:00:00Z".parse().unwrap()).unwrap().set
}

/// A tunnel that was admitted, with everything that a record can say of one.
fn admitted() -> Value {
    json!({
        "schema": 1, "kind": "decision", "id": "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5", "sequence": 7,
        "time": "2026-11-22T10:00:00.123456Z", "gateway": "gw-1", "floor": "development", "effect": "allow",
        "outcome": "admitted", "mode": "normal", "stage": "tls",
        "reason": {"code": "allowed", "text": "a/b lets it pass"},
        "rule": {"path": "a/b", "owner": "x@example.com", "purpose": "p"}, "grant": "g", "exception": "e",
        "identity": {
            "id": "spiffe://corp.example/a", "method": "jwt", "labels": {"team": "old", "env": "prod"},
            "cert_sha256": "abcd",
        },
        "data_classes": ["internal"], "data_classes_from": "declared",
        "client": {"address": "2001:db8::9", "port": 51234}, "listener": "mesh",
        "destination": {
            "host": "api.stripe.com", "port": 443, "addresses": ["3.18.12.63", "2600::1"], "address": "3.18.12.63",
        },
        "dns": {"cname": ["edge.stripe.com"], "min_ttl": 30, "secure": true},
        "tls": {"present": true, "sni": "api.stripe.com", "alpn": ["h2", "http/1.1"], "versions": ["1.3"], "ech": true},
        "request": {"protocol": "connect"},
        "bytes_sent": 5, "bytes_received": 6,
    })
}

fn refused() -> Value {
    let mut json = admitted();
    let fields = json.as_object_mut().unwrap();
    for key in ["dns", "tls", "rule", "floor", "grant", "exception", "bytes_sent", "bytes_received"] {
        fields.remove(key);
    }
    fields.insert("outcome".into(), "refused".into());
    fields.insert("destination".into(), json!({"host": "api.stripe.com", "port": 443}));
    fields.insert("request".into(), json!({"protocol": "http", "method": "GET", "path": "/a"}));
    fields.insert("data_classes_from".into(), "registered".into());
    json
}

fn facts(set: &PolicySet, record: &Recorded<'_>, workloads: Workloads) -> Result<Facts, Lack> {
    let mode: Arc<str> = "normal".into();
    Maker::new(set, Ground::Registries, workloads).facts(record, Timestamp::UNIX_EPOCH, &mode)
}

#[test]
fn every_form_of_a_record_has_the_same_facts() {
    let set = set();
    let records = [admitted(), refused(), admitted()];
    let mut wanted = Vec::new();
    for json in &records {
        let bytes = log_record(json).unwrap().encode_to_vec();
        let (of_json, of_bytes) = (Recorded::of_json(json).unwrap(), Recorded::of_bytes(&bytes).unwrap());
        for workloads in [Workloads::OfPolicy, Workloads::Recorded] {
            let of = |record| format!("{:?}", facts(&set, record, workloads));
            assert_eq!(of(&of_json), of(&of_bytes));
            wanted.push(of(&of_json));
        }
        let rest = |record: &Recorded<'_>| {
            let one = (record.kind, record.time, record.id.to_owned(), record.outcome.to_owned(), record.bytes_sent);
            (
                one,
                record.sentence.to_owned(),
                record.rule.to_owned(),
                record.grant.to_owned(),
                record.dialled.to_owned(),
            )
        };
        assert_eq!(rest(&of_json), rest(&of_bytes));
    }
    let file = std::env::temp_dir().join(format!("gatepass-recorded-{}.parquet", std::process::id()));
    let mut to = written::File::begin(std::fs::File::create(&file).unwrap()).unwrap();
    records.iter().for_each(|json| to.add(json).unwrap());
    to.end().unwrap();
    assert!(parquet::begins_as_one(&file).unwrap());
    let mut got = Vec::new();
    let flow = parquet::each(&file, &mut |_| {}, &mut |record| {
        for workloads in [Workloads::OfPolicy, Workloads::Recorded] {
            got.push(format!("{:?}", facts(&set, record, workloads)));
        }
        ControlFlow::Continue(())
    });
    std::fs::remove_file(&file).unwrap();
    assert_eq!((flow, got), (Ok(ControlFlow::Continue(())), wanted));
}

#[test]
fn what_is_not_on_a_record_is_not_known() {
    let set = set();
    let json = refused();
    let found = facts(&set, &Recorded::of_json(&json).unwrap(), Workloads::OfPolicy).unwrap();
    assert!(found.resolved.is_none() && found.tls == Some(Tls::Absent), "{found:?}");
    assert!(found.identity.certificate().is_none() && found.identity.lacks_certificate());
    let mut tunnel = admitted();
    tunnel.as_object_mut().unwrap().remove("tls");
    tunnel["dns"].as_object_mut().unwrap().remove("min_ttl");
    tunnel["client"].as_object_mut().unwrap().remove("port");
    tunnel.as_object_mut().unwrap().remove("listener");
    let found = facts(&set, &Recorded::of_json(&tunnel).unwrap(), Workloads::OfPolicy).unwrap();
    assert!(found.tls.is_none() && found.resolved.is_none(), "{found:?}");
    assert!(found.source.is_none() && found.listener.is_none(), "{found:?}");
}

#[test]
fn a_list_or_a_name_that_was_cut_is_not_known_either() {
    let set = set();
    let of = |change: &dyn Fn(&mut Value)| {
        let mut json = admitted();
        change(&mut json);
        facts(&set, &Recorded::of_json(&json).unwrap(), Workloads::OfPolicy)
    };
    let many: Vec<String> = (0..32).map(|n| format!("3.18.12.{n}")).collect();
    assert!(of(&|json| json["destination"]["addresses"] = json!(many)).unwrap().resolved.is_none());
    assert!(of(&|json| json["tls"]["sni"] = "a\\u{202e}b".into()).unwrap().tls.is_none());
    assert!(of(&|json| json["tls"]["alpn"] = json!(["h2…[+9 bytes]"])).unwrap().tls.is_none());
    assert_eq!(of(&|json| json["identity"]["id"] = "token:a…[+3 bytes]".into()).unwrap_err(), Lack::Cut);
    assert_eq!(of(&|json| json["destination"]["host"] = "not a host".into()).unwrap_err(), Lack::Cut);
    assert_eq!(of(&|json| json["destination"]["port"] = 70_000.into()).unwrap_err(), Lack::Unread);
    let refused = of(&|json| json["data_classes"] = json!(["pci"])).unwrap_err();
    assert!(matches!(refused, Lack::ClassRefused(_)), "{refused:?}");
}

#[test]
fn labels_and_classes_are_the_policys_unless_the_records_are_asked_for() {
    let set = set();
    let json = refused();
    let record = Recorded::of_json(&json).unwrap();
    let of_policy = facts(&set, &record, Workloads::OfPolicy).unwrap().subject;
    let recorded = facts(&set, &record, Workloads::Recorded).unwrap().subject;
    assert_eq!((of_policy.labels["team"].as_ref(), of_policy.registered.len()), ("new", 2));
    assert_eq!((recorded.labels["team"].as_ref(), recorded.registered.len()), ("old", 1));
}

#[test]
fn an_address_is_a_destination_and_its_own_answer() {
    let set = set();
    let mut json = refused();
    json["destination"]["host"] = "2001:db8::1".into();
    let found = facts(&set, &Recorded::of_json(&json).unwrap(), Workloads::OfPolicy).unwrap();
    assert_eq!(found.destination.to_string(), "[2001:db8::1]:443");
    assert_eq!(found.resolved.unwrap().answers, ["2001:db8::1".parse::<std::net::IpAddr>().unwrap()]);
}

#[test]
fn a_file_that_is_no_export_is_told() {
    let file = std::env::temp_dir().join(format!("gatepass-no-export-{}.parquet", std::process::id()));
    for bytes in [&b"PAR1"[..], b"PAR1 and then nothing of the kind PAR1", b""] {
        std::fs::write(&file, bytes).unwrap();
        let told = parquet::each(&file, &mut |_| {}, &mut |_| ControlFlow::Continue(()));
        assert!(told.is_err(), "{told:?}");
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn what_a_server_proved_is_read_back_from_the_record() {
    let all = crate::evidence::tests::all_facts();
    let Some(Upstream::Shown(certificate)) = all.upstream.as_deref().cloned() else { panic!("all facts are there") };
    let verified = ServerCertificate { proof: Proof::Verified, ..certificate.clone() };
    for upstream in [
        None,
        Some(Upstream::Shown(certificate)),
        Some(Upstream::Shown(verified)),
        Some(Upstream::Nothing("the server does not speak TLS".into())),
    ] {
        let upstream = upstream.map(std::sync::Arc::new);
        let facts = Facts { upstream: upstream.clone(), ..all.clone() };
        let policy = crate::evidence::parts::PolicyRef::new("corp", "00ff", 0);
        let record = crate::evidence::DecisionRecord::refused(&facts, Reason::NoRule, "", policy);
        let json = serde_json::to_value(record).unwrap();
        assert_eq!(super::facts::upstream(&Recorded::of_json(&json).unwrap()), upstream);
    }
}
