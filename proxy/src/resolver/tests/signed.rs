//! DNSSEC, with a root of the test's own: proven, unproven, forged, and not asked for.

use std::time::SystemTime;

use hickory_resolver::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, NSEC, RRSIG, SigInput};
use hickory_resolver::proto::dnssec::{SigningKey, TBS};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::NS;
use hickory_resolver::proto::rr::{DNSClass, RData, Record, SerialNumber};

use super::names::name;
use super::*;

/// A root zone with one key.
struct Root {
    key: Ed25519SigningKey,
    dnskey: DNSKEY,
}

impl Root {
    fn mint() -> Arc<Root> {
        let key = Ed25519SigningKey::from_pkcs8(&Ed25519SigningKey::generate_pkcs8().unwrap()).unwrap();
        let dnskey = DNSKEY::from_key(&key.to_public_key().unwrap());
        Arc::new(Root { key, dnskey })
    }

    fn anchors(&self) -> TrustAnchors {
        let mut anchors = TrustAnchors::empty();
        anchors.insert(self.dnskey.public_key());
        anchors
    }

    /// The record and its signature, valid from an hour ago until an hour hence.
    fn sign(&self, record: Record) -> Vec<Record> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as u32;
        let input = SigInput {
            type_covered: record.record_type(),
            algorithm: self.key.algorithm(),
            num_labels: record.name.num_labels(),
            original_ttl: record.ttl,
            sig_expiration: SerialNumber::new(now + 3600),
            sig_inception: SerialNumber::new(now - 3600),
            key_tag: self.dnskey.calculate_key_tag().unwrap(),
            signer_name: Name::root(),
        };
        let signed = TBS::from_input(&record.name, DNSClass::IN, &input, std::iter::once(&record)).unwrap();
        let signature = RRSIG::from_sig(input, self.key.sign(&signed).unwrap());
        let (owner, ttl) = (record.name.clone(), record.ttl);
        vec![record, Record::from_rdata(owner, ttl, RData::DNSSEC(DNSSECRData::RRSIG(signature)))]
    }

    fn keys(&self) -> Reply {
        let key = Record::from_rdata(Name::root(), 60, RData::DNSSEC(DNSSECRData::DNSKEY(self.dnskey.clone())));
        Reply::Records(self.sign(key))
    }
}

/// A server whose answers are signed and then `changed`.
async fn server(root: &Arc<Root>, changed: fn(&mut Vec<Record>)) -> Names {
    let root = root.clone();
    Names::start(move |asked| {
        let mut records = match asked.kind {
            RecordType::DNSKEY => return root.keys(),
            RecordType::A => root.sign(address(&asked.name, 60, "192.0.2.1")),
            RecordType::AAAA => root.sign(address(&asked.name, 60, "2001:db8::1")),
            _ => return nothing(),
        };
        changed(&mut records);
        Reply::Records(records)
    })
    .await
}

fn validating(root: &Root, names: &Names) -> Resolver {
    let settings = Settings { dnssec: Dnssec::Validate, ..settings(&[names]) };
    Resolver::trusting(&settings, root.anchors()).unwrap()
}

const UNPROVEN: ResolveError = ResolveError::Failed("dnssec does not prove the answer");

#[tokio::test]
async fn an_answer_signed_from_the_root_is_secure() {
    let root = Root::mint();
    let names = server(&root, |_| {}).await;
    let resolved = resolve(&validating(&root, &names), "signed.test").await.unwrap();
    assert_eq!(resolved.answers, ips(&["2001:db8::1", "192.0.2.1"]));
    assert!(resolved.secure);
}

#[tokio::test]
async fn a_signed_answer_is_not_secure_where_nobody_validates() {
    let root = Root::mint();
    let names = server(&root, |_| {}).await;
    let resolved = resolve(&resolver(&names), "signed.test").await.unwrap();
    assert_eq!((resolved.answers.len(), resolved.secure), (2, false));
}

#[tokio::test]
async fn the_server_saying_that_it_validated_proves_nothing() {
    let names = Names::start(|_| {
        Reply::Raw(|question| {
            let mut message = names::answer_to(question);
            message.metadata.authentic_data = true;
            if question.queries[0].query_type == RecordType::A {
                message.add_answer(address("ad.test", 60, "192.0.2.1"));
            }
            vec![message.to_vec().unwrap()]
        })
    })
    .await;
    assert!(!resolve(&resolver(&names), "ad.test").await.unwrap().secure);
    let root = Root::mint();
    assert_eq!(resolve(&validating(&root, &names), "ad.test").await.unwrap_err(), UNPROVEN);
}

#[tokio::test]
async fn an_answer_that_was_changed_fails() {
    let root = Root::mint();
    let names = server(&root, |records| records[0] = address(&records[0].name.to_ascii(), 60, "192.0.2.66")).await;
    assert_eq!(resolve(&validating(&root, &names), "forged.test").await.unwrap_err(), UNPROVEN);
}

#[tokio::test]
async fn an_answer_whose_signature_was_taken_away_fails() {
    let root = Root::mint();
    let names = server(&root, |records| records.truncate(1)).await;
    assert_eq!(resolve(&validating(&root, &names), "stripped.test").await.unwrap_err(), UNPROVEN);
}

#[tokio::test]
async fn an_answer_signed_by_somebody_else_fails() {
    let (root, other) = (Root::mint(), Root::mint());
    let names = server(&other, |_| {}).await;
    assert_eq!(resolve(&validating(&root, &names), "other.test").await.unwrap_err(), UNPROVEN);
    let iana = Settings { dnssec: Dnssec::Validate, ..settings(&[&names]) };
    assert_eq!(resolve(&Resolver::new(&iana).unwrap(), "other.test").await.unwrap_err(), UNPROVEN);
}

#[tokio::test]
async fn that_a_name_does_not_exist_must_be_proven_too() {
    let root = Root::mint();
    let signer = root.clone();
    let names = Names::start(move |asked| match asked.kind {
        RecordType::DNSKEY => signer.keys(),
        _ => Reply::Empty(ResponseCode::NXDomain, Some(60)),
    })
    .await;
    assert_eq!(resolve(&validating(&root, &names), "gone.test").await.unwrap_err(), UNPROVEN);
}

#[tokio::test]
async fn an_answer_from_a_zone_that_is_proven_to_be_unsigned_is_used_and_not_secure() {
    let root = Root::mint();
    let signer = root.clone();
    let names = Names::start(move |asked| match (asked.kind, asked.name.as_str()) {
        (RecordType::DNSKEY, _) => signer.keys(),
        (RecordType::NS, "test.") => {
            Reply::Records(vec![Record::from_rdata(name("test"), 60, RData::NS(NS(name("ns.test"))))])
        }
        // "There is a delegation to `test`, and it has no keys."
        (RecordType::DS, "test.") => {
            let proof = NSEC::new_cover_self(name("zzz"), [RecordType::NS]);
            let proof = Record::from_rdata(name("test"), 60, RData::DNSSEC(DNSSECRData::NSEC(proof)));
            Reply::Authority(signer.sign(proof))
        }
        (RecordType::A, _) => Reply::Records(vec![address(&asked.name, 60, "192.0.2.1")]),
        _ => nothing(),
    })
    .await;
    let resolved = resolve(&validating(&root, &names), "unsigned.test").await.unwrap();
    assert_eq!((resolved.answers, resolved.secure), (ips(&["192.0.2.1"]), false));
}

#[tokio::test]
async fn a_forwarders_answers_are_used_unvalidated_and_are_never_secure() {
    let (root, world) = (Root::mint(), dual(&[], &[]).await);
    let corp = dual(&["10.0.0.1"], &[]).await;
    let forwarders = vec![Forwarder { domain: "corp.test".into(), servers: vec![Server::Plain(corp.address)] }];
    let settings = Settings { dnssec: Dnssec::Validate, forwarders, ..settings(&[&world]) };
    let resolver = Resolver::trusting(&settings, root.anchors()).unwrap();
    let resolved = resolve(&resolver, "db.corp.test").await.unwrap();
    assert_eq!((resolved.answers, resolved.secure), (ips(&["10.0.0.1"]), false));
}
