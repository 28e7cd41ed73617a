//! Exceptions: a developer asks, somebody whom the policy names decides, and time ends it.

use gatepass_policy::overrides::{Kind, Override};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::draft::{check_length, check_text};
use super::entry::{Destinations, Done, Terms, WORKLOAD, Who, show_length};
use super::exception::{Effect, Exception, Status, may_wait};
use super::grants::APPROVING;
use super::held::{EXCEPTIONS, Entry};
use super::store::{Committed, Condition, Transaction, Unavailable, Write};
use super::{Refused, State};

/// What somebody asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionRequest {
    /// For whom; a workload asks for itself and leaves it out.
    #[serde(default)]
    pub identities: Vec<String>,
    /// Where to.
    #[serde(default)]
    pub destinations: Destinations,
    /// With what data; left out: what the registry gives the one identity that is named.
    #[serde(default)]
    pub data_classes: Vec<String>,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// The ticket.
    #[serde(default)]
    pub ticket: Option<String>,
    /// For how long, such as `24h`.
    #[serde(rename = "for")]
    pub length: String,
    /// The fragment in whose scope it permits; left out: the one that takes it.
    #[serde(default)]
    pub permits: Option<String>,
    /// The guardrail that it lifts.
    #[serde(default)]
    pub lifts: Option<String>,
    /// The denial that led to it.
    #[serde(default)]
    pub decision: Option<String>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Requester {
    /// An operator, for anyone.
    Operator(Who),
    /// A workload, for itself, with the data classes that it has.
    Workload {
        /// Its identity.
        identity: String,
        /// Its data classes.
        data_classes: Vec<String>,
    },
}

pub(super) fn key(id: &str) -> String {
    format!("{EXCEPTIONS}{id}")
}

impl State {
    /// Ask for an exception. It waits for an approver.
    pub async fn request_exception(&self, by: Requester, request: ExceptionRequest) -> Result<Value, Refused> {
        let who = match &by {
            Requester::Operator(who) => who.clone(),
            Requester::Workload { identity, .. } => {
                Who { name: identity.clone(), person: identity.clone(), method: WORKLOAD.to_owned() }
            }
        };
        self.limit(&who)?;
        let exception = self.draft_exception(&by, who, request)?;
        {
            let held = self.held();
            let now = self.now();
            let pending = held.exceptions.values().map(|entry| &entry.value);
            let pending: Vec<&Exception> = pending.filter(|one| one.status(now) == Status::Pending).collect();
            let same = |one: &&&Exception| {
                one.terms == exception.terms
                    && one.effect == exception.effect
                    && one.requested.by == exception.requested.by
            };
            if let Some(first) = pending.iter().find(same) {
                return Ok(first.view(now));
            }
            if !may_wait(&pending, &exception.requested.by) {
                let detail = "too many requests wait already: withdraw some, or have them decided";
                return Err(Refused::Conflict(detail.to_owned()));
            }
        }
        let key = key(&exception.id);
        if self.record_exception(&exception, "requested", Some(&exception.requested.by)).await.is_err() {
            return Err(Refused::unrecorded("nothing was asked for"));
        }
        let value = serde_json::to_vec(&exception).map_err(|error| Refused::Unavailable(error.to_string()))?;
        let transaction = Transaction {
            conditions: vec![Condition::Absent(key.clone())],
            writes: vec![Write::Put { key, value, ttl: None }],
        };
        match self.commit(transaction).await {
            Ok(Committed::Yes { .. }) => {
                self.announce_exception(&exception, "requested", Some(&exception.requested.by));
                Ok(exception.view(self.now()))
            }
            Ok(Committed::No) => Err(Refused::Conflict("ask again".to_owned())),
            Err(error) => Err(Refused::Unavailable(error.to_string())),
        }
    }

    fn draft_exception(&self, by: &Requester, who: Who, request: ExceptionRequest) -> Result<Exception, Refused> {
        check_text("reason", &request.reason, 3)?;
        request.ticket.iter().try_for_each(|ticket| check_text("ticket", ticket, 1))?;
        request.decision.iter().try_for_each(|decision| check_text("decision", decision, 1))?;
        let set = &self.policy.current().set;
        let ceiling = set.ceilings().exception.min(self.ceilings.exception);
        let length = check_length(&request.length, ceiling)?;
        let (identities, data_classes) = match by {
            Requester::Operator(_) => (request.identities.clone(), request.data_classes.clone()),
            Requester::Workload { identity, data_classes } => {
                if request.identities.iter().any(|one| one != identity) {
                    let detail = format!("a workload asks for itself alone: `{identity}`");
                    return Err(Refused::field("identities", detail));
                }
                let classes =
                    if request.data_classes.is_empty() { data_classes.clone() } else { request.data_classes.clone() };
                (vec![identity.clone()], classes)
            }
        };
        if let Err(unknown) = set.classes(&data_classes) {
            return Err(Refused::field("data_classes", format!("`{unknown}` is not a data class of the policy")));
        }
        let terms = Terms { identities, destinations: request.destinations.clone(), data_classes };
        let effect = self.effect(&terms, &request)?;
        Ok(Exception {
            id: Uuid::now_v7().to_string(),
            effect,
            terms,
            reason: request.reason,
            ticket: request.ticket,
            seconds: length.as_secs(),
            requested: Done { at: self.now(), by: who, reason: None },
            decision: request.decision,
            approved: None,
            begins: None,
            ends: None,
            closed: None,
            reminded: None,
        })
    }

    /// What it is to do, checked against the policy in force.
    fn effect(&self, terms: &Terms, request: &ExceptionRequest) -> Result<Effect, Refused> {
        let snapshot = self.policy.current();
        let end = Some(jiff::Timestamp::MAX);
        let try_as = |kind: Kind| -> Result<(), Refused> {
            let info = gatepass_policy::decision::RuleInfo {
                path: "exception/draft".into(),
                owner: "nobody".into(),
                purpose: "a draft".into(),
                ticket: None,
                expires: end,
            };
            let one = Override::new(kind, info, &terms.spec()).map_err(|faults| {
                Refused::Invalid(faults.into_iter().map(|fault| (fault.field.to_owned(), fault.detail)).collect())
            })?;
            match snapshot.set.lay("normal", &[one]).1.into_iter().find(|dormant| &*dormant.path == "exception/draft") {
                None => Ok(()),
                Some(dormant) => Err(Refused::field("permits", dormant.why)),
            }
        };
        match (&request.permits, &request.lifts) {
            (Some(_), Some(_)) => Err(Refused::field("lifts", "one exception does one thing: ask for two")),
            (None, Some(guardrail)) => match try_as(Kind::Lifts(guardrail.as_str().into())) {
                Err(Refused::Invalid(faults)) => {
                    let renamed = faults
                        .into_iter()
                        .map(|(field, detail)| (if field == "permits" { "lifts".to_owned() } else { field }, detail));
                    Err(Refused::Invalid(renamed.collect()))
                }
                other => other.map(|()| Effect::Lifts(guardrail.clone())),
            },
            (Some(fragment), None) => {
                try_as(Kind::Permits(fragment.as_str().into())).map(|()| Effect::Permits(fragment.clone()))
            }
            (None, None) => {
                let mut refused = None;
                for fragment in snapshot.set.fragments() {
                    match try_as(Kind::Permits(fragment.into())) {
                        Ok(()) => return Ok(Effect::Permits(fragment.to_owned())),
                        Err(Refused::Invalid(faults)) if faults.iter().any(|(field, _)| field != "permits") => {
                            return Err(Refused::Invalid(faults));
                        }
                        Err(other) => refused = Some(other),
                    }
                }
                let detail = "no fragment's scope takes this: its owner, or the platform's, has to change the bundle";
                Err(match refused {
                    None | Some(Refused::Invalid(_)) => Refused::field("permits", detail),
                    Some(other) => other,
                })
            }
        }
    }

    fn find_exception(&self, id: &str) -> Result<Entry<Exception>, Refused> {
        let none = || Refused::NotFound("no exception has this id".to_owned());
        self.held().exceptions.get(id).cloned().ok_or_else(none)
    }

    pub(super) async fn put_exception(&self, one: &Exception, revision: u64) -> Result<Committed, Unavailable> {
        let value = serde_json::to_vec(one).map_err(|error| Unavailable(error.to_string()))?;
        let key = key(&one.id);
        let conditions = vec![Condition::At { key: key.clone(), revision }];
        self.commit(Transaction { conditions, writes: vec![Write::Put { key, value, ttl: None }] }).await
    }

    fn may_decide(&self, who: &Who, one: &Exception) -> Result<(), Refused> {
        if who.is(&one.requested.by) {
            return Err(Refused::Forbidden("nobody decides on what they asked for, under whatever name".to_owned()));
        }
        let named = |approvers: &[Box<str>]| approvers.iter().any(|one| **one == *who.name || **one == *who.person);
        match self.policy.current().set.exception_approvers(one.fragment()) {
            Some(approvers) if !named(approvers) => {
                Err(Refused::Forbidden("the policy names others to decide on this exception".to_owned()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Let it hold.
    pub async fn approve_exception(&self, who: &Who, id: &str) -> Result<Value, Refused> {
        let Entry { value: mut one, revision } = self.find_exception(id)?;
        self.may_decide(who, &one)?;
        let now = self.now();
        if one.status(now) != Status::Pending {
            return Err(Refused::Conflict(format!("the exception is {}", one.status(now).as_str())));
        }
        // What the policy takes may have changed since it was asked for.
        let request = ExceptionRequest {
            identities: Vec::new(),
            destinations: Destinations::default(),
            data_classes: Vec::new(),
            reason: String::new(),
            ticket: None,
            length: String::new(),
            permits: one.fragment().map(str::to_owned),
            lifts: match &one.effect {
                Effect::Lifts(guardrail) => Some(guardrail.clone()),
                Effect::Permits(_) => None,
            },
            decision: None,
        };
        self.effect(&one.terms, &request)?;
        if one.approved.as_ref().is_some_and(|done| now.duration_since(done.at) < APPROVING) {
            return Err(Refused::Conflict("somebody else approves it just now: look at it again".to_owned()));
        }
        one.approved = Some(Done { at: now, by: who.clone(), reason: None });
        // Of two who decide at once one goes on from here.
        let revision = self.decided(self.put_exception(&one, revision).await)?;
        one.begin(self.now());
        if self.record_exception(&one, "approved", Some(who)).await.is_err() {
            let undone = Exception { begins: None, ends: None, approved: None, ..one };
            let _ = self.put_exception(&undone, revision).await;
            return Err(Refused::unrecorded("it does not hold; approve it again"));
        }
        let kept = self.put_exception(&one, revision).await;
        if kept == Ok(Committed::No) {
            let _ = self.record_exception(&one, "failed", Some(who)).await;
        }
        self.decided(kept)?;
        self.took(&one);
        self.announce_exception(&one, "approved", Some(who));
        Ok(one.view(self.now()))
    }

    /// Deny it, or end it.
    pub async fn close_exception(&self, who: &Who, id: &str, reason: Option<String>) -> Result<Value, Refused> {
        let Entry { value: mut one, revision } = self.find_exception(id)?;
        let now = self.now();
        let action = match one.status(now) {
            Status::Pending if who.is(&one.requested.by) => "withdrawn",
            Status::Pending => {
                self.may_decide(who, &one)?;
                "denied"
            }
            Status::Active => "withdrawn",
            other => return Err(Refused::Conflict(format!("the exception is {}", other.as_str()))),
        };
        reason.iter().try_for_each(|reason| check_text("reason", reason, 1))?;
        one.closed = Some(Done { at: now, by: who.clone(), reason });
        self.decided(self.put_exception(&one, revision).await)?;
        if self.record_exception(&one, action, Some(who)).await.is_err() {
            eprintln!("state: the exception {id} was {action} by {}, and the record of it could not be kept", who.name);
        }
        if action == "denied" {
            self.took(&one);
        }
        self.announce_exception(&one, action, Some(who));
        Ok(one.view(now))
    }

    /// How long the requester waited.
    fn took(&self, one: &Exception) {
        let took = self.now().duration_since(one.requested.at).max(SignedDuration::ZERO);
        self.metrics.exception_decision.record(took.as_secs_f64());
    }

    fn decided(&self, committed: Result<Committed, Unavailable>) -> Result<u64, Refused> {
        match committed {
            Ok(Committed::Yes { revision }) => Ok(revision),
            Ok(Committed::No) => Err(Refused::Conflict("it was changed meanwhile: look at it again".to_owned())),
            Err(error) => Err(Refused::Unavailable(error.to_string())),
        }
    }

    /// Every exception of the store, the newest first.
    pub fn list_exceptions(&self) -> Vec<Value> {
        let now = self.now();
        let held = self.held();
        let exceptions = held.exceptions.values().rev().map(|entry| {
            let mut view = entry.value.view(now);
            if let Value::Object(fields) = &mut view {
                fields.insert("status".to_owned(), held.exception_status(&entry.value, now).as_str().into());
            }
            view
        });
        exceptions.collect()
    }

    /// One, for whoever may see it: its requester, or an operator (`None`).
    pub fn exception(&self, id: &str, requester: Option<&str>) -> Result<Value, Refused> {
        let one = self.find_exception(id)?.value;
        match requester {
            Some(identity) if one.requested.by.name != identity => {
                Err(Refused::NotFound("no exception has this id".to_owned()))
            }
            Some(_) | None => Ok(one.view(self.now())),
        }
    }
}

/// Exceptions as a file of the bundle: what was approved, as a change for review.
pub fn export(exceptions: &[Value]) -> String {
    let mut text = String::from(
        "apiVersion: gatepass/v1\nkind: Exceptions\nmetadata: {id: approved-exceptions, owner: \"…\"}   # who answers for these\nexceptions:\n",
    );
    for one in exceptions {
        let word = |pointer: &str| one.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let quoted = |text: &str| Value::from(text).to_string();
        let effect = match (one.get("permits"), one.get("lifts")) {
            (Some(fragment), _) => format!("permits: {}", quoted(fragment.as_str().unwrap_or_default())),
            (None, guardrail) => format!("lifts: {}", quoted(guardrail.and_then(Value::as_str).unwrap_or_default())),
        };
        let identities = one.get("identities").and_then(Value::as_array).into_iter().flatten();
        let identities: Vec<String> = identities.map(|id| format!("{{id: {id}}}")).collect();
        let list = |pointer: &str| one.pointer(pointer).cloned().unwrap_or_else(|| json!([]));
        let places = ["hosts", "cidrs"]
            .iter()
            .filter_map(|key| one.pointer(&format!("/destinations/{key}")).map(|places| format!("{key}: {places}, ")));
        let places: String = places.collect();
        text += &format!("  - id: {}\n    {effect}\n", quoted(&format!("ex-{}", word("/id"))));
        text += &format!("    identities: [{}]\n", identities.join(", "));
        text += &format!("    destinations: {{{places}ports: {}}}\n", list("/destinations/ports"));
        text += &format!("    data_classes: {{at_most: {}}}\n", list("/data_classes"));
        text += &format!("    reason: {}\n", quoted(word("/reason")));
        if one.get("ticket").is_some() {
            text += &format!("    ticket: {}\n", quoted(word("/ticket")));
        }
        text += &format!("    approved_by: [{}]\n", quoted(word("/approved/by/person")));
        text += &format!("    issued: {}\n    expires: {}\n", quoted(word("/begins")), quoted(word("/ends")));
    }
    if exceptions.is_empty() {
        text += "  []\n";
    }
    text
}

/// How long exceptions may live here, for people.
pub fn ceiling_text(state: &State) -> String {
    let ceiling = state.policy.current().set.ceilings().exception.min(state.ceilings.exception);
    show_length(ceiling)
}
