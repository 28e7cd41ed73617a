//! What another policy, grant or mode would do: which open tunnels it would cut, and what of the last day's traffic it
//! would have refused. Nothing is changed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepass_policy::decision::Verdict;
use gatepass_policy::facts::{Facts, Hello, Proof, Protocol, Resolved, ServerCertificate, Tls, Upstream};
use gatepass_policy::host::{Authority, Host};
use gatepass_policy::identity::Identity;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

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
pub async fn of_overrides(shared: Arc<Shared>, turn: Turn, over: Over) -> Result<Value, Problem> {
    blocking(turn, move || {
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

/// One rehearsal at a time: each reads the records of a day.
#[derive(Clone, Debug)]
pub struct Turn(Arc<Semaphore>);

impl Turn {
    /// Nobody's yet.
    pub fn new() -> Turn {
        Turn(Arc::new(Semaphore::new(1)))
    }
}

/// Away from the event loop. Whoever does not wait for the answer has not ended the work.
async fn blocking(
    turn: Turn,
    work: impl FnOnce() -> Result<Value, Problem> + Send + 'static,
) -> Result<Value, Problem> {
    let Ok(mine) = turn.0.try_acquire_owned() else {
        let detail = "another rehearsal is under way: ask again when it has ended";
        return Err(Problem::new(http::StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let fault = || Problem::new(http::StatusCode::INTERNAL_SERVER_ERROR, "this ended in a fault of the gateway");
    let worked = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(mine);
        done
    });
    worked.await.unwrap_or_else(|_| Err(fault()))
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
            ja4: text("/tls/ja4").map(Box::from),
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
        upstream: upstream(json),
    })
}

/// What the server had proved. Where nobody had asked, it stays unknown, and what hangs on it is told as pending.
fn upstream(json: &Value) -> Option<Arc<Upstream>> {
    let of = json.get("upstream")?;
    let text = |key: &str| of.get(key).and_then(Value::as_str);
    let owned = |key: &str| text(key).map(str::to_owned);
    let fault = || Box::from(text("fault").unwrap_or_default());
    let Some(not_after) = text("not_after") else { return Some(Arc::new(Upstream::Nothing(fault()))) };
    let names = of.get("dns_sans").and_then(Value::as_array).into_iter().flatten();
    Some(Arc::new(Upstream::Shown(ServerCertificate {
        proof: if of.get("verified")? == true { Proof::Verified } else { Proof::Unverified(fault()) },
        dns_sans: Some(names.filter_map(Value::as_str).map(str::to_owned).collect()),
        issuer: owned("issuer"),
        spki_sha256: owned("spki_sha256"),
        not_after: not_after.parse().ok(),
        tls_version: owned("tls_version"),
    })))
}

#[cfg(test)]
mod tests {
    use gatepass_policy::decision::Reason;

    use super::*;
    use crate::evidence::DecisionRecord;
    use crate::evidence::parts::PolicyRef;
    use crate::evidence::tests::all_facts;

    #[test]
    fn what_a_server_proved_is_read_back_from_the_record() {
        let read_back = |upstream: Option<Arc<Upstream>>| {
            let facts = Facts { upstream, ..all_facts() };
            let record = DecisionRecord::refused(&facts, Reason::NoRule, "", PolicyRef::new("corp", "00ff", 0));
            (super::upstream(&serde_json::to_value(record).unwrap()), facts.upstream)
        };
        let shown = all_facts().upstream.as_deref().cloned();
        let Some(Upstream::Shown(certificate)) = shown else { panic!("all facts are there") };
        let verified = ServerCertificate { proof: Proof::Verified, ..certificate.clone() };
        for upstream in [
            None,
            Some(Upstream::Shown(certificate)),
            Some(Upstream::Shown(verified)),
            Some(Upstream::Nothing("the server does not speak TLS".into())),
        ] {
            let (read, written) = read_back(upstream.map(Arc::new));
            assert_eq!(read, written);
        }
    }

    #[tokio::test]
    async fn a_rehearsal_that_is_not_waited_for_keeps_others_from_beginning_until_it_ends() {
        let turn = Turn::new();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let first = tokio::spawn(blocking(turn.clone(), move || {
            let _ = ended.recv();
            Ok(Value::Null)
        }));
        while turn.0.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        let refused = blocking(turn.clone(), || Ok(Value::Null)).await.unwrap_err();
        assert_eq!(refused.status, http::StatusCode::SERVICE_UNAVAILABLE);
        end.send(()).unwrap();
        while turn.0.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(blocking(turn, || Ok(Value::Null)).await.unwrap(), Value::Null);
    }
}
