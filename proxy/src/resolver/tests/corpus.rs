//! Every row of the corpus, pinned to one outcome here or, by name, to the level that pins it.

use std::collections::BTreeSet;

use gatepass_policy::address::{Class, classify};
use hickory_resolver::proto::op::ResponseCode;

use super::names::Over;
use super::*;

const CORPUS: &str = include_str!("../../../../tests/corpus/dns.tsv");

/// Rows that this level cannot decide, and why. Their answers are resolved faithfully, bad ones included: what the
/// decision cannot see it cannot deny.
const ELSEWHERE: &[(&str, &str)] = &[
    ("D045", "that a denied name is not asked for is the passage's order: this level is not called"),
    ("D046", "how many names of an allowed wildcard are asked for is the policy's and the record's"),
    ("D048", "the gateway's own address is the floor's knowledge; `dial::endpoints` refuses it too"),
];

/// What the row's name resolves to, and how many A questions that took.
struct Outcome {
    result: Result<Resolved, ResolveError>,
    names: Names,
}

async fn outcome(
    text: &str,
    limits: Limits,
    script: impl Fn(&names::Asked) -> Reply + Send + Sync + 'static,
) -> Outcome {
    let names = Names::start(script).await;
    let result = resolve(&limited(&names, limits), text).await;
    Outcome { result, names }
}

/// A server with one A and, where given, one AAAA.
async fn simple(v4: Option<&'static str>, v6: Option<&'static str>) -> Outcome {
    outcome("allowed.test", LIMITS, move |asked| {
        let ip = if asked.kind == RecordType::A { v4 } else { v6 };
        Reply::Records(ip.into_iter().map(|ip| address(&asked.name, 60, ip)).collect())
    })
    .await
}

/// All answers reach the decision, and that one of them cannot be allowed without being named.
fn closed(outcome: &Outcome, expected: &[&str], bad: &str, class: Class) {
    let mut answers = outcome.result.as_ref().unwrap().answers.clone();
    answers.sort();
    let mut expected = ips(expected);
    expected.sort();
    assert_eq!(answers, expected);
    assert_eq!(classify(bad.parse().unwrap()).class, class);
}

#[tokio::test]
async fn every_row_of_the_corpus_has_one_outcome() {
    let rows = CORPUS.lines().filter(|line| !line.starts_with('#')).skip(1);
    let mut seen = BTreeSet::new();
    for row in rows {
        let id = row.split('\t').next().unwrap();
        assert!(seen.insert(id), "{id} stands twice");
        match ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == id) {
            Some((_, reason)) => assert!(!reason.is_empty()),
            None => pin(id).await,
        }
    }
    assert!(ELSEWHERE.iter().all(|(id, _)| seen.contains(id)), "a row that is pinned elsewhere is gone");
    assert!(seen.len() >= 23, "rows are missing");
}

async fn pin(id: &str) {
    match id {
        "D003" => closed(&simple(Some("127.0.0.1"), None).await, &["127.0.0.1"], "127.0.0.1", Class::Loopback),
        "D004" => {
            closed(
                &simple(Some("169.254.169.254"), None).await,
                &["169.254.169.254"],
                "169.254.169.254",
                Class::Metadata,
            );
        }
        "D009" => {
            closed(&simple(None, Some("2002:a00:5::1")).await, &["2002:a00:5::1"], "2002:a00:5::1", Class::Reserved)
        }
        "D010" => {
            closed(&simple(None, Some("fd00:ec2::254")).await, &["fd00:ec2::254"], "fd00:ec2::254", Class::Metadata)
        }
        "D014" => {
            closed(
                &simple(Some("93.184.215.14"), Some("::1")).await,
                &["93.184.215.14", "::1"],
                "::1",
                Class::Loopback,
            );
        }
        "D015" => many().await,
        "D017" => rebind_without_ttl().await,
        "D018" | "D019" => rebind_between().await,
        "D020" => late_family().await,
        "D022" => aliased("a.evil.test", "10.0.0.5").await,
        "D023" => aliased("denied.test", "93.184.215.14").await,
        "D024" => alias_loop().await,
        "D027" => wrong_name().await,
        "D028" => spoofed().await,
        "D034" => absent().await,
        "D036" => timed_out().await,
        "D037" => truncated().await,
        "D041" => negative_ttl().await,
        "D042" => absolute().await,
        other => panic!("row {other} is pinned nowhere"),
    }
}

/// D015: all 201 answers are there, the bad one among them, and none of it fits into one UDP packet.
async fn many() {
    let outcome = outcome("allowed.test", LIMITS, |asked| match (asked.kind, asked.over) {
        (RecordType::A, Over::Udp) => Reply::Truncated,
        (RecordType::A, _) => {
            let ip = |number| if number == 137 { "127.0.0.1".into() } else { format!("93.184.215.{number}") };
            Reply::Records((0..=200).map(|number| address(&asked.name, 60, &ip(number))).collect())
        }
        _ => nothing(),
    })
    .await;
    let answers = outcome.result.unwrap().answers;
    assert_eq!(answers.len(), 201);
    assert!(answers.contains(&ips(&["127.0.0.1"])[0]), "the bad answer is gone");
}

/// D017: one lookup is one answer to check and to dial; the next lookup asks again, as a TTL of 0 demands.
async fn rebind_without_ttl() {
    let (names, resolver) = rebinding(0).await;
    assert_eq!(resolve(&resolver, "allowed.test").await.unwrap().answers, ips(&["93.184.215.14"]));
    assert_eq!(names.count(RecordType::A), 1);
    assert_eq!(resolve(&resolver, "allowed.test").await.unwrap().answers, ips(&["127.0.0.1"]));
    assert_eq!(names.count(RecordType::A), 2);
}

/// D018: within the TTL the first answer stands, without a packet, and is checked again. D019: a dial that fails has
/// nothing to look up with, since `dial` takes endpoints.
async fn rebind_between() {
    let (names, resolver) = rebinding(60).await;
    for _ in 0..2 {
        assert_eq!(resolve(&resolver, "allowed.test").await.unwrap().answers, ips(&["93.184.215.14"]));
    }
    assert_eq!(names.count(RecordType::A), 1);
}

async fn rebinding(ttl: u32) -> (Names, Resolver) {
    let asked_before = std::sync::atomic::AtomicUsize::new(0);
    let names = Names::start(move |asked| {
        if asked.kind != RecordType::A {
            return nothing();
        }
        let first = asked_before.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        let ip = if first { "93.184.215.14" } else { "127.0.0.1" };
        Reply::Records(vec![address(&asked.name, ttl, ip)])
    })
    .await;
    let resolver = resolver(&names);
    (names, resolver)
}

/// D020: the AAAA that comes too late is neither an answer nor, later, in the cache.
async fn late_family() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let held = gate.clone();
    let names = Names::start(move |asked| match asked.kind {
        RecordType::A => Reply::Records(vec![address(&asked.name, 60, "93.184.215.14")]),
        _ => Reply::Later(held.clone(), Box::new(Reply::Records(vec![address(&asked.name, 60, "::1")]))),
    })
    .await;
    let resolver = limited(&names, Limits { resolution_delay: Duration::from_millis(50), ..LIMITS });
    assert_eq!(resolve(&resolver, "allowed.test").await.unwrap().answers, ips(&["93.184.215.14"]));
    gate.notify_waiters();
    assert_eq!(resolve(&resolver, "allowed.test").await.unwrap().answers, ips(&["93.184.215.14"]));
}

/// D022, D023: the address at the end counts, and the chain is on the facts.
async fn aliased(target: &'static str, ip: &'static str) {
    let outcome = outcome("allowed.test", LIMITS, move |asked| match asked.kind {
        RecordType::A => Reply::Records(vec![alias("allowed.test", 60, target), address(target, 60, ip)]),
        _ => Reply::Records(vec![alias("allowed.test", 60, target)]),
    })
    .await;
    let resolved = outcome.result.unwrap();
    assert_eq!((resolved.answers, resolved.cname), (ips(&[ip]), vec![target.to_string()]));
}

/// D024: in one response, or over several.
async fn alias_loop() {
    for together in [true, false] {
        let outcome = outcome("a.test", LIMITS, move |asked| {
            let mut records = vec![alias("a.test", 60, "b.test"), alias("b.test", 60, "a.test")];
            if !together {
                records.retain(|record| record.name == names::name(&asked.name));
            }
            Reply::Records(records)
        })
        .await;
        assert_eq!(outcome.result, Err(ResolveError::Failed("the name's aliases form a loop")));
        assert!(outcome.names.asked().len() <= 4, "{:?}", outcome.names.asked());
    }
}

/// D027: an answer about another name is a failure, not an absence.
async fn wrong_name() {
    let outcome =
        outcome("allowed.test", LIMITS, |_| Reply::Records(vec![address("other.test", 60, "93.184.215.14")])).await;
    assert_eq!(outcome.result, Err(ResolveError::Failed("the name server's answer is about another name")));
}

/// D028: responses with another id, to another question or from another port are passed over, and the true one counts.
async fn spoofed() {
    let outcome = outcome("allowed.test", LIMITS, |asked| match asked.kind {
        RecordType::A => Reply::Raw(|question| {
            let forged = |change: fn(&mut hickory_resolver::proto::op::Message)| {
                let mut message = names::answer_to(question);
                change(&mut message);
                message.add_answer(address("allowed.test", 60, "203.0.113.66"));
                message.to_vec().unwrap()
            };
            let mut honest = names::answer_to(question);
            honest.add_answer(address("allowed.test", 60, "93.184.215.14"));
            vec![
                forged(|message| message.metadata.id ^= 1),
                forged(|message| message.queries[0].name = names::name("other.test")),
                forged(|message| message.queries.clear()),
                vec![0],
                honest.to_vec().unwrap(),
            ]
        }),
        _ => nothing(),
    })
    .await;
    assert_eq!(outcome.result.unwrap().answers, ips(&["93.184.215.14"]));

    let names = Names::start(|_| Reply::Elsewhere(vec![address("allowed.test", 60, "203.0.113.66")])).await;
    let resolver = limited(&names, Limits { timeout: Duration::from_millis(500), ..LIMITS });
    assert_eq!(resolve(&resolver, "allowed.test").await, Err(ResolveError::Timeout));
}

/// D034; that the memory of it is bounded stands in `time`.
async fn absent() {
    let outcome = outcome("allowed.test", LIMITS, |_| Reply::Empty(ResponseCode::NXDomain, Some(60))).await;
    assert_eq!(outcome.result, Err(ResolveError::Nxdomain));
}

/// D036; that the slot comes back stands in `time`.
async fn timed_out() {
    let start = Instant::now();
    let limits = Limits { timeout: Duration::from_millis(300), ..LIMITS };
    let outcome = outcome("allowed.test", limits, |_| Reply::Silence).await;
    assert_eq!(outcome.result, Err(ResolveError::Timeout));
    assert!(start.elapsed() < LIMITS.timeout);
}

/// D037: what does not fit is asked for over TCP, once.
async fn truncated() {
    let outcome = outcome("allowed.test", LIMITS, |asked| match (asked.over, asked.kind) {
        (Over::Udp, _) => Reply::Truncated,
        (_, RecordType::A) => Reply::Records(vec![address(&asked.name, 60, "93.184.215.14")]),
        _ => nothing(),
    })
    .await;
    assert_eq!(outcome.result.unwrap().answers, ips(&["93.184.215.14"]));
    let over_tcp = |asked: &names::Asked| asked.over == Over::Tcp && asked.kind == RecordType::A;
    assert_eq!(outcome.names.asked().iter().filter(|asked| over_tcp(asked)).count(), 1);
}

/// D041: 0x80000000 is 0, and so the answer is not kept.
async fn negative_ttl() {
    let names = Names::start(|asked| match asked.kind {
        RecordType::A => Reply::Records(vec![address(&asked.name, 0x8000_0000, "93.184.215.14")]),
        _ => nothing(),
    })
    .await;
    let resolver = resolver(&names);
    for packets in 1..=2 {
        assert_eq!(resolve(&resolver, "allowed.test").await.unwrap().min_ttl, 0);
        assert_eq!(names.count(RecordType::A), packets);
    }
}

/// D042: a single label is asked for as it is, whatever `/etc/resolv.conf` would append.
async fn absolute() {
    let outcome = outcome("intranet", LIMITS, |_| Reply::Empty(ResponseCode::NXDomain, Some(60))).await;
    assert_eq!(outcome.result, Err(ResolveError::Nxdomain));
    assert!(outcome.names.asked().iter().all(|asked| asked.name == "intranet."), "{:?}", outcome.names.asked());
}
