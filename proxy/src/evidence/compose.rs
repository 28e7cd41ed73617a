//! How a record is made of facts and a decision, and of what is known where a request never became facts.

use std::net::SocketAddr;
use std::sync::Arc;

use gatepass_policy::decision::{Decision, Effect, FailedClause, Nearest, Reason, RuleInfo, Shown};
use gatepass_policy::facts::{Facts, Proof, Resolved, Tls, Upstream};
use gatepass_policy::host::Authority;
use gatepass_policy::identity::Identity;
use gatepass_policy::overrides::NORMAL;
use gatepass_policy::schema::Stage;
use jiff::Timestamp;
use uuid::Uuid;

use super::parts::{
    Destination, Dns, Near, PolicyRef, ReasonText, Request, Rule, ShadowRule, Timings, TlsFacts, Trace, UpstreamFacts,
    Who,
};
use super::record::{DecisionRecord, SCHEMA, Sequence};
use super::spelling;
use super::text::{
    IDENTITY_MAX, LIST_MAX, NEAREST_BYTES, NEAREST_MAX, PATH_MAX, REASON_MAX, Text, clean, malformed_target,
};
use super::words::{ClassesFrom, FloorMark, Outcome};

impl DecisionRecord {
    /// The policy's own verdict, carried or refused. `nearest` belongs to a denial.
    pub fn decided(facts: &Facts, decision: &Decision, nearest: &[Nearest], policy: PolicyRef) -> DecisionRecord {
        let (outcome, code) = match decision.effect {
            Effect::Allow => (Outcome::Admitted, decision.reason),
            Effect::Deny => (Outcome::Refused, decision.reason),
        };
        let reason = ReasonText { code, text: Text::new(&sentence(facts, decision), REASON_MAX) };
        let mut record = of_facts(facts, decision.effect, outcome, decision.stage, reason, policy);
        lay_over(&mut record, facts, decision);
        if let (Effect::Allow, Some(destination)) = (decision.effect, &mut record.destination) {
            destination.domain = facts.destination.host.registered_domain().map(Text::name);
        }
        let mut room = NEAREST_BYTES;
        record.nearest = nearest.iter().take(NEAREST_MAX).map(|nearest| near(nearest, &mut room)).collect();
        record
    }

    /// Permitted as far as it was decided, but the name could not be resolved or the destination not be reached.
    pub fn failed(
        facts: &Facts,
        decision: Option<&Decision>,
        reason: Reason,
        detail: &str,
        policy: PolicyRef,
    ) -> DecisionRecord {
        let stage = decision.map_or_else(|| latest(facts), |decision| decision.stage);
        let effect = decision.map_or(Effect::Allow, |decision| decision.effect);
        let mut record = of_facts(facts, effect, Outcome::Failed, stage, general(reason, detail), policy);
        record.would_deny = effect == Effect::Deny;
        if let Some(decision) = decision {
            lay_over(&mut record, facts, decision);
        }
        record
    }

    /// Refused by the gateway itself, not by a rule: credentials, data class, hello, limit, drain.
    pub fn refused(facts: &Facts, reason: Reason, detail: &str, policy: PolicyRef) -> DecisionRecord {
        of_facts(facts, Effect::Deny, Outcome::Refused, latest(facts), general(reason, detail), policy)
    }

    /// Refused because of a limit; of a rule's, with that rule, and with what it sees and wants.
    pub fn limited(facts: &Facts, detail: &str, clause: Option<&Nearest>, policy: PolicyRef) -> DecisionRecord {
        let mut record = DecisionRecord::refused(facts, Reason::Limit, detail, policy);
        record.rule = clause.map(|clause| Rule(Arc::clone(&clause.rule)));
        record.nearest = clause.iter().map(|clause| near(clause, &mut { NEAREST_BYTES })).collect();
        record
    }

    /// Refused before there were facts: a malformed request, bad credentials, a failed TLS handshake.
    pub fn unread(now: Timestamp, client: SocketAddr, listener: &str, reason: Reason, detail: &str) -> DecisionRecord {
        DecisionRecord {
            client: Some(client.into()),
            listener: Some(Text::name(listener)),
            ..bare(now, Effect::Deny, Outcome::Refused, Stage::Request, general(reason, detail))
        }
    }

    /// As one that is carried whatever the policy says of it: a denial that is only observed.
    #[must_use]
    pub fn carried(mut self) -> DecisionRecord {
        self.outcome = Outcome::Admitted;
        self.would_deny = self.effect == Effect::Deny;
        self
    }

    /// With the target that could not be read: user information and query left out.
    #[must_use]
    pub fn with_malformed_target(mut self, raw: &[u8]) -> DecisionRecord {
        self.destination = Some(Destination { text: Some(malformed_target(raw)), ..Destination::default() });
        self
    }

    /// With the authority that was asked for.
    #[must_use]
    pub fn with_asked(mut self, authority: &Authority) -> DecisionRecord {
        self.destination = Some(asked(authority));
        self
    }

    /// With the address that was dialled and the gateway's own socket on that connection.
    #[must_use]
    pub fn with_dialled(mut self, peer: SocketAddr, local: SocketAddr) -> DecisionRecord {
        let destination = self.destination.get_or_insert_default();
        destination.address = Some(gatepass_policy::address::unmap(peer.ip()));
        self.local = Some(local.into());
        self
    }

    /// Leave the request's path out, also where a clause saw it.
    pub(super) fn forget_path(&mut self) {
        if let Some(request) = &mut self.request {
            request.path = None;
        }
        let clauses = self.nearest.iter_mut().flat_map(|near| &mut near.failed);
        clauses.filter(|failed| failed.clause.contains("path")).for_each(|failed| failed.seen = not_recorded());
    }

    /// With the moment by the wall clock: a decision asks the one that never goes back.
    #[must_use]
    pub fn with_time(mut self, wall: Timestamp) -> DecisionRecord {
        self.time = wall;
        self
    }

    /// With the span of the request.
    #[must_use]
    pub fn with_trace(mut self, trace: Option<Trace>) -> DecisionRecord {
        self.trace = trace;
        self
    }

    /// With what the parts took.
    #[must_use]
    pub fn with_timings(mut self, timings: Timings) -> DecisionRecord {
        self.timings = timings;
        self
    }
}

/// What every record has.
fn bare(now: Timestamp, effect: Effect, outcome: Outcome, stage: Stage, reason: ReasonText) -> DecisionRecord {
    DecisionRecord {
        schema: SCHEMA,
        kind: "decision",
        id: Uuid::nil(),
        sequence: Sequence::default(),
        time: now,
        gateway: Text::name(""),
        floor: None,
        observe: None,
        effect,
        outcome,
        would_deny: false,
        mode: Text::name(NORMAL),
        stage,
        reason,
        rule: None,
        grant: None,
        exception: None,
        liftable: false,
        nearest: Vec::new(),
        shadow: Vec::new(),
        identity: None,
        data_classes: None,
        data_classes_from: None,
        client: None,
        listener: None,
        destination: None,
        dns: None,
        tls: None,
        upstream: None,
        request: None,
        local: None,
        policy: None,
        trace: None,
        timings: Timings::default(),
    }
}

fn of_facts(
    facts: &Facts,
    effect: Effect,
    outcome: Outcome,
    stage: Stage,
    reason: ReasonText,
    policy: PolicyRef,
) -> DecisionRecord {
    let mut destination = asked(&facts.destination);
    if let Some(resolved) = &facts.resolved {
        destination.addresses = resolved.answers.iter().take(LIST_MAX).copied().collect();
    }
    DecisionRecord {
        mode: Text::plain(&facts.mode),
        floor: facts.floor.development_loopback.then_some(FloorMark::Development),
        identity: Some(who(facts)),
        data_classes: Some(facts.subject.registered.clone()),
        data_classes_from: Some(ClassesFrom::Registered),
        client: facts.source.map(Into::into),
        listener: facts.listener.as_deref().map(Text::name),
        destination: Some(destination),
        // A literal has no DNS answer to speak of.
        dns: facts.resolved.as_ref().filter(|_| facts.destination.host.ip().is_none()).map(dns),
        tls: facts.tls.as_ref().map(tls),
        upstream: facts.upstream.as_deref().map(upstream),
        request: Some(request(facts)),
        policy: Some(policy),
        ..bare(facts.now, effect, outcome, stage, reason)
    }
}

/// What a decision knows beyond effect, stage and reason.
fn lay_over(record: &mut DecisionRecord, facts: &Facts, decision: &Decision) {
    record.rule = decision.rule.clone().map(Rule);
    let path = decision.rule.as_deref().map(|rule| &*rule.path);
    if decision.reason == Reason::Grant {
        record.grant = path.and_then(|path| path.strip_prefix("grant/")).map(Text::name);
    }
    let lifting = decision.exception.as_deref().map(|exception| &*exception.path);
    let exception = path.filter(|_| decision.reason == Reason::Permitted).or(lifting);
    record.exception = exception.map(|path| Text::name(path.strip_prefix("exception/").unwrap_or(path)));
    record.liftable = decision.liftable;
    record.shadow = decision
        .shadow
        .iter()
        .take(LIST_MAX)
        .map(|shadow| ShadowRule { rule: Text::name(&shadow.rule.path), effect: shadow.effect })
        .collect();
    if let (true, Some(declared)) = (decision.used_declared, &facts.subject.declared) {
        record.data_classes = Some(declared.clone());
        record.data_classes_from = Some(ClassesFrom::Declared);
    }
}

/// The latest stage whose facts are known.
fn latest(facts: &Facts) -> Stage {
    match (&facts.resolved, &facts.tls, &facts.upstream) {
        (None, _, _) => Stage::Request,
        (Some(_), None, _) => Stage::Resolved,
        (Some(_), Some(_), None) => Stage::Tls,
        (Some(_), Some(_), Some(_)) => Stage::Certificate,
    }
}

fn asked(authority: &Authority) -> Destination {
    Destination {
        host: Some(Text::name(&authority.host.to_text())),
        port: Some(authority.port),
        ..Destination::default()
    }
}

fn who(facts: &Facts) -> Who {
    let identity: &Identity = &facts.identity;
    Who {
        id: Text::new(identity.id(), IDENTITY_MAX),
        method: identity.method().as_str(),
        labels: facts.subject.labels.clone(),
        cert_sha256: identity.certificate().map(|certificate| Text::name(&certificate.sha256)),
    }
}

fn dns(resolved: &Resolved) -> Dns {
    Dns {
        cname: resolved.cname.iter().take(LIST_MAX).map(|name| Text::name(name)).collect(),
        min_ttl: resolved.min_ttl,
        secure: resolved.secure,
    }
}

fn tls(tls: &Tls) -> TlsFacts {
    match tls {
        Tls::Absent => {
            TlsFacts { present: false, sni: None, alpn: Vec::new(), versions: Vec::new(), ech: None, ja4: None }
        }
        Tls::Hello(hello) => TlsFacts {
            present: true,
            sni: hello.sni.as_deref().map(Text::name),
            alpn: hello.alpn.iter().take(LIST_MAX).map(|protocol| Text::name(protocol)).collect(),
            versions: hello.versions.iter().take(LIST_MAX).map(|version| Text::name(version)).collect(),
            ech: Some(hello.ech),
            ja4: hello.ja4.as_deref().map(Text::name),
        },
    }
}

fn upstream(upstream: &Upstream) -> UpstreamFacts {
    let certificate = match upstream {
        Upstream::Nothing(why) => return UpstreamFacts { fault: Some(Text::name(why)), ..UpstreamFacts::default() },
        Upstream::Shown(certificate) => certificate,
    };
    let names = certificate.dns_sans.iter().flatten();
    UpstreamFacts {
        verified: certificate.proof == Proof::Verified,
        fault: match &certificate.proof {
            Proof::Verified => None,
            Proof::Unverified(why) => Some(Text::name(why)),
        },
        dns_sans: names.take(LIST_MAX).map(|name| Text::name(name)).collect(),
        issuer: certificate.issuer.as_deref().map(|issuer| Text::new(issuer, PATH_MAX)),
        spki_sha256: certificate.spki_sha256.as_deref().map(Text::name),
        not_after: certificate.not_after,
        tls_version: certificate.tls_version.as_deref().map(Text::name),
    }
}

fn request(facts: &Facts) -> Request {
    Request {
        protocol: facts.protocol.as_str(),
        method: facts.request.as_ref().map(|request| Text::name(&request.method)),
        // The facts keep the query apart; only the path is taken.
        path: facts.request.as_ref().map(|request| Text::new(&request.path, PATH_MAX)),
    }
}

/// What stood in the way of a rule, as long as there is room: lists of long names must not make a record a large one.
fn near(nearest: &Nearest, room: &mut usize) -> Near {
    let told = nearest.failed.iter().take(LIST_MAX).map(|clause| FailedClause {
        clause: clean(&clause.clause, super::text::NAME_MAX).into_owned(),
        seen: if tells_secrets(&clause.clause) { not_recorded() } else { spelling::cleaned(&clause.seen) },
        wanted: spelling::cleaned(&clause.wanted),
    });
    let fits = |failed: &FailedClause| {
        let bytes = failed.clause.len() + length(&failed.seen) + length(&failed.wanted);
        let left = room.checked_sub(bytes);
        *room = left.unwrap_or(0);
        left.is_some()
    };
    Near { rule: nearest.rule.clone(), failed: told.take_while(fits).collect() }
}

/// About as many bytes as it takes in a record.
fn length(shown: &Shown) -> usize {
    match shown {
        Shown::Null | Shown::Bool(_) => 8,
        Shown::Int(_) => 16,
        Shown::Text(text) => text.len() + 8,
        Shown::List(items) => items.iter().map(length).sum::<usize>() + 8,
    }
}

fn not_recorded() -> Shown {
    Shown::Text("(not recorded)".into())
}

/// Whether the value that this clause saw may hold a query string or a header, which no record ever does.
fn tells_secrets(clause: &str) -> bool {
    ["query", "headers", "header"].iter().any(|part| clause.contains(part))
}

fn general(code: Reason, detail: &str) -> ReasonText {
    let text = if detail.is_empty() { code.sentence().to_owned() } else { format!("{}: {detail}", code.sentence()) };
    ReasonText { code, text: Text::new(&text, REASON_MAX) }
}

/// A sentence about this very case.
fn sentence(facts: &Facts, decision: &Decision) -> String {
    let (who, destination) = (facts.identity.id(), &facts.destination);
    let rule: Option<&RuleInfo> = decision.rule.as_deref();
    let mut text = match (decision.reason, rule) {
        (Reason::Allowed | Reason::Grant | Reason::Permitted, Some(rule)) => {
            format!("{} lets {who} reach {destination}", rule.path)
        }
        (Reason::Guardrail | Reason::TeamDeny, Some(rule)) => {
            format!("{} forbids that {who} reaches {destination}: {}", rule.path, rule.purpose)
        }
        (Reason::NoRule, _) => format!("no rule lets {who} reach {destination}"),
        (Reason::RuleExpired, Some(RuleInfo { path, expires: Some(expires), .. })) => {
            format!("{path}, which let {who} reach {destination}, expired at {expires}")
        }
        (Reason::AddressFloor, _) => match &decision.detail {
            Some(detail) => format!("{detail} must not be reached"),
            None => decision.reason.sentence().to_owned(),
        },
        (Reason::RuleError, Some(rule)) => format!("{} could not be evaluated", rule.path),
        (reason, _) => reason.sentence().to_owned(),
    };
    if let (Some(detail), false) = (&decision.detail, decision.reason == Reason::AddressFloor) {
        text.push_str(": ");
        text.push_str(detail);
    }
    if let Some(overridden) = &decision.overridden {
        text.push_str(&format!(" ({} alone would have allowed it)", overridden.path));
    }
    text
}
