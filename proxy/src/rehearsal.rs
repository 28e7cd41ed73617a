//! What another policy, grant or mode would do: which open tunnels it would cut, and what of the last day's traffic it
//! would have refused. Nothing is changed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepass_policy::decision::Verdict;
use gatepass_policy::facts::{Facts, Hello, Protocol, Resolved, Tls};
use gatepass_policy::host::{Authority, Host};
use gatepass_policy::identity::Identity;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::admin::Problem;
use crate::evidence::questions::row::Kind;
use crate::evidence::questions::source::Sources;
use crate::live::told;
use crate::policy_store::{Over, Snapshot};
use crate::shared::Shared;

/// How far back records are looked at.
const BACK: SignedDuration = SignedDuration::from_hours(24);

/// Kinds of traffic that are told one by one; the rest is counted.
const TOLD_MAX: usize = 200;

/// What would lie over the policy, in place of what does.
pub async fn of_overrides(shared: Arc<Shared>, over: Over) -> Result<Value, Problem> {
    blocking(move || {
        let candidate = {
            let current = shared.policy.current();
            current.candidate(Arc::clone(&current.set), &over)
        };
        let now = shared.clock.now();
        let cut: Vec<Value> = shared.live.preview(&candidate, now).iter().map(|one| told(one, now)).collect();
        let refused = refused(&shared.spool, &candidate, &shared, now);
        Ok(json!({"mode": *over.mode, "would_cut": cut, "would_refuse": refused}))
    })
    .await
}

/// Away from the event loop.
async fn blocking(work: impl FnOnce() -> Result<Value, Problem> + Send + 'static) -> Result<Value, Problem> {
    let fault = || Problem::new(http::StatusCode::INTERNAL_SERVER_ERROR, "this ended in a fault of the gateway");
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(fault()))
}

/// Who went where, and was allowed to.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    identity: String,
    destination: String,
    rule: String,
}

/// What of the last day's admitted traffic the candidate would deny, by who, where and the rule that denies.
fn refused(spool: &Path, candidate: &Snapshot, shared: &Shared, now: Timestamp) -> Value {
    let since = now.checked_sub(BACK).unwrap_or(Timestamp::MIN).as_microsecond();
    let mut found: BTreeMap<Seen, u64> = BTreeMap::new();
    let (mut looked_at, mut unread, mut others) = (0u64, 0u64, 0u64);
    let sources = match Sources::find(&[PathBuf::from(spool)]) {
        Ok(sources) => sources,
        Err(why) => return json!({"error": why}),
    };
    let read = sources.each(&mut |_| {}, &mut |record, row| {
        if row.kind != Kind::Decision || row.time < since || row.outcome != "admitted" {
            return ControlFlow::Continue(());
        }
        looked_at += 1;
        let facts = record.json().ok().and_then(|json| facts_of(&json, candidate, shared, now));
        let Some(facts) = facts else {
            unread += 1;
            return ControlFlow::Continue(());
        };
        let rule = match candidate.decide(&facts) {
            Verdict::Allow(_) => return ControlFlow::Continue(()),
            Verdict::Deny(denial) => {
                denial.rule.map_or_else(|| denial.reason.code().to_owned(), |rule| rule.path.to_string())
            }
            Verdict::Pending(_) => "pending".to_owned(),
        };
        let seen = Seen { identity: facts.identity.id().to_owned(), destination: facts.destination.to_string(), rule };
        if found.len() < TOLD_MAX || found.contains_key(&seen) {
            *found.entry(seen).or_default() += 1;
        } else {
            others += 1;
        }
        ControlFlow::Continue(())
    });
    let mut told: Vec<(Seen, u64)> = found.into_iter().collect();
    told.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let told: Vec<Value> = told
        .into_iter()
        .map(|(seen, times)| {
            json!({"identity": seen.identity, "destination": seen.destination, "by": seen.rule, "times": times})
        })
        .collect();
    json!({
        "since": now.checked_sub(BACK).unwrap_or(Timestamp::MIN).to_string(),
        "decisions": looked_at,
        "refused": told,
        "others": others,
        "unreadable": unread,
        "complete": read.is_ok_and(|gaps| gaps.is_empty()),
    })
}

/// The facts of a recorded decision, as the candidate's policy knows who and where; the time is now.
fn facts_of(json: &Value, candidate: &Snapshot, shared: &Shared, now: Timestamp) -> Option<Facts> {
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
    let host = Host::parse(text("/destination/host")?.as_bytes()).ok()?;
    let port = u16::try_from(json.pointer("/destination/port")?.as_u64()?).ok()?;
    let destination = Authority { host, port };
    let identity = Identity::named(text("/identity/id")?);
    let mut subject = candidate.set.registered(&identity);
    if text("/data_classes_from") == Some("declared") {
        let declared = json.pointer("/data_classes")?.as_array()?.iter().filter_map(Value::as_str);
        let declared: Vec<String> = declared.map(str::to_owned).collect();
        subject = candidate.set.subject(&identity, Some(declared.join(",").as_bytes())).ok()?;
    }
    let protocol = match text("/request/protocol")? {
        "http" => Protocol::Http,
        "transparent" => Protocol::Transparent,
        _ => Protocol::Connect,
    };
    let addresses = json.pointer("/destination/addresses").and_then(Value::as_array).into_iter().flatten();
    let mut answers: Vec<IpAddr> = addresses.filter_map(|one| one.as_str()?.parse().ok()).collect();
    if answers.is_empty() {
        answers.extend(text("/destination/address").and_then(|one| one.parse::<IpAddr>().ok()));
    }
    let strings = |pointer: &str| -> Vec<String> {
        let list = json.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let tls = match (protocol, json.pointer("/tls/present").and_then(Value::as_bool)) {
        (Protocol::Http, _) => Some(Tls::Absent),
        (_, Some(true)) => Some(Tls::Hello(Hello {
            sni: text("/tls/sni").map(str::to_owned),
            alpn: strings("/tls/alpn"),
            versions: strings("/tls/versions"),
            ech: json.pointer("/tls/ech").and_then(Value::as_bool).unwrap_or(false),
        })),
        // Nothing hung on it then; the rules of the candidate may be others, and then it counts as absent.
        (_, Some(false) | None) => Some(Tls::Absent),
    };
    Some(Facts {
        now,
        mode: Arc::clone(candidate.overrides.mode()),
        source: text("/client/address").and_then(|one| Some(std::net::SocketAddr::new(one.parse().ok()?, 0))),
        listener: text("/listener").map(Arc::from),
        tags: candidate.set.tags(&destination.host),
        identity,
        subject,
        destination,
        protocol,
        request: None,
        floor: shared.floor.load_full(),
        resolved: (!answers.is_empty()).then_some(Resolved {
            answers,
            cname: strings("/dns/cname"),
            min_ttl: 0,
            secure: json.pointer("/dns/secure").and_then(Value::as_bool).unwrap_or(false),
        }),
        tls,
    })
}
