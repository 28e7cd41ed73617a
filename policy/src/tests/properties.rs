//! What holds for every policy and every connection: over random small ones.

use proptest::prelude::*;

use super::world::{NOW, WEB, asks_as, at, file, files, nothing, resolved, said, shown, with_sni};
use crate::decision::{Effect, Verdict};
use crate::expr::{Expr, Truth};
use crate::facts::{Facts, HttpRequest, Protocol, Tls};
use crate::rule::{End, Knowledge};
use crate::{PolicySet, SourceFile, compile};

/// A rule as a few choices out of small pools, so that rules and connections meet often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) kind: Kind,
    shadow: bool,
    who: usize,
    hosts: usize,
    ports: usize,
    cidrs: usize,
    classes: usize,
    ends: usize,
    when: usize,
    trust: bool,
    lifted: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Guardrail,
    Deny,
    Allow,
}

const WHO: &[&str] = &[
    "{id: \"spiffe://t.test/ns/web/sa/shop\"}",
    "{spiffe_id: \"spiffe://t.test/ns/*/sa/*\"}, {id: \"token:a\"}",
    "{spiffe_id: \"spiffe://t.test/ns/web/**\", labels: {env: prod}}",
    "{labels: {env: test}}, {id: \"token:*\"}",
    "{id: \"token:a\"}",
];
const HOSTS: &[&str] = &[
    "\"a.test\"",
    "\"*.a.test\"",
    "\"**.a.test\"",
    "\"a.test\", \"**.a.test\"",
    "\"b.a.test\", \"**.b.a.test\", \"z.test\"",
];
const PORTS: &[&str] = &["443", "80, 443", "22"];
const CIDRS: &[&str] = &["\"10.1.0.0/16\"", "\"10.0.0.0/8\", \"8.8.8.0/24\"", "\"8.8.0.0/16\", \"1.1.1.1/32\""];
const CLASSES: &[&str] = &[
    "at_most: [public, internal]",
    "at_most: [public]",
    "any_of: [internal]",
    "at_most: [unclassified], any_of: [unclassified]",
];
const ENDS: &[&str] = &["2030-01-20T00:00:00Z", "2029-12-31T00:00:00Z"];
const WHEN: &[&str] = &[
    "tls.present && tls.sni == destination.host",
    "tls.sni != destination.host",
    "dns.secure || destination.port == 443",
    "identity.cert_expires > now",
    "destination.host.within(\"a.test\")",
    "destination.host in [\"a.test\", \"8.8.8.8\"] && !tls.present",
    "request.protocol == \"http\" && request.method == \"GET\"",
    "destination.host == \"z.test\" || destination.host.endsWith(\".b.a.test\")",
    "data_classes.exists(c, c == \"internal\")",
    "identity.labels.env == \"prod\"",
    "upstream.verified",
    "!upstream.verified",
    "tls.sni == destination.host && upstream.dns_sans.exists(n, n == destination.host)",
];

const LIFTED: &[&str] = &["", "exception", "grant", "exception, grant"];

/// Nothing, or one of a pool, where `choice` is beyond the pool.
fn pick(pool: &[&'static str], choice: usize) -> Option<&'static str> {
    pool.get(choice).copied()
}

fn or_first(pool: &[&'static str], choice: usize) -> &'static str {
    pick(pool, choice).unwrap_or(pool[0])
}

impl Spec {
    /// Whether it looks at what the server proves.
    pub(super) fn asks_for_proof(&self) -> bool {
        pick(WHEN, self.when).is_some_and(|when| when.contains("upstream."))
    }

    fn yaml(&self, n: usize) -> String {
        let allow = self.kind == Kind::Allow;
        let action = if allow { "allow" } else { "deny" };
        let mut text = format!("  - id: r{n}\n    action: {action}\n    purpose: test\n");
        match (pick(WHO, self.who), allow) {
            (Some(who), _) => text.push_str(&format!("    identities: [{who}]\n")),
            (None, true) => text.push_str("    anyone: true\n"),
            (None, false) => {}
        }
        let hosts = pick(HOSTS, self.hosts);
        let cidrs = pick(CIDRS, self.cidrs);
        // Teams name a host or a network.
        let hosts = if self.kind != Kind::Guardrail && cidrs.is_none() { hosts.or(Some(HOSTS[3])) } else { hosts };
        let ports = if allow { Some(or_first(PORTS, self.ports)) } else { pick(PORTS, self.ports) };
        let parts = [("hosts", hosts), ("cidrs", cidrs), ("ports", ports)];
        let to: Vec<String> =
            parts.iter().filter_map(|(key, value)| value.map(|value| format!("{key}: [{value}]"))).collect();
        if !to.is_empty() {
            text.push_str(&format!("    destinations: {{{}}}\n", to.join(", ")));
        }
        let classes = if allow { Some(or_first(CLASSES, self.classes)) } else { pick(CLASSES, self.classes) };
        if let Some(classes) = classes {
            text.push_str(&format!("    data_classes: {{{classes}}}\n"));
        }
        if allow {
            text.push_str(&format!("    expires: \"{}\"\n    trust_declared: {}\n", ENDS[self.ends % 2], self.trust));
        }
        // Where no host fits both, the rule would be refused as one that can never match.
        let apart = hosts.is_some() && [(0, 7), (1, 5), (2, 5), (4, 5)].contains(&(self.hosts, self.when));
        if let Some(when) = pick(WHEN, self.when).filter(|_| !apart) {
            text.push_str(&format!("    when: '{when}'\n"));
        }
        if self.kind == Kind::Guardrail {
            text.push_str(&format!("    lifted_by: [{}]\n", LIFTED[self.lifted]));
        }
        if self.shadow {
            text.push_str("    enforcement: shadow\n");
        }
        text
    }
}

pub(super) fn spec() -> impl Strategy<Value = Spec> {
    let kind = prop_oneof![1 => Just(Kind::Guardrail), 1 => Just(Kind::Deny), 4 => Just(Kind::Allow)];
    let restricted = (0..WHO.len() + 2, 0..HOSTS.len() + 2, 0..PORTS.len() + 1, 0..CIDRS.len() * 3);
    let more = (
        0..CLASSES.len() * 2,
        0..3usize,
        0..WHEN.len() * 2,
        any::<bool>(),
        prop::bool::weighted(0.15),
        0..LIFTED.len(),
    );
    (kind, restricted, more).prop_map(
        |(kind, (who, hosts, ports, cidrs), (classes, ends, when, trust, shadow, lifted))| Spec {
            kind,
            shadow,
            who,
            hosts,
            ports,
            cidrs,
            classes,
            ends: ends / 2,
            when,
            trust,
            lifted,
        },
    )
}

fn book(kind: &str, id: &str, rules: &[String]) -> SourceFile {
    let head = format!("apiVersion: gatepass/v1\nkind: {kind}\nmetadata: {{id: {id}, owner: o@t.test}}\nrules:\n");
    file(&format!("{id}.yaml"), &(head + &rules.concat()))
}

pub(super) fn bundle(specs: &[(usize, Spec)]) -> Vec<SourceFile> {
    let of = |guardrail: bool| -> Vec<String> {
        let matching = specs.iter().filter(|(_, spec)| (spec.kind == Kind::Guardrail) == guardrail);
        matching.map(|(n, spec)| spec.yaml(*n)).collect()
    };
    let mut all = files("", "");
    for (kind, id, rules) in [("Fragment", "wide", of(false)), ("Guardrails", "guard", of(true))] {
        if !rules.is_empty() {
            all.push(book(kind, id, &rules));
        }
    }
    all
}

pub(super) fn set_of(specs: &[(usize, Spec)]) -> PolicySet {
    super::world::compiled(&bundle(specs)).set
}

pub(super) fn numbered(specs: Vec<Spec>) -> Vec<(usize, Spec)> {
    specs.into_iter().enumerate().collect()
}

#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) who: &'static str,
    pub(super) host: &'static str,
    pub(super) port: u16,
    pub(super) answers: Option<Vec<&'static str>>,
    pub(super) tls: Option<Option<&'static str>>,
    /// Whether the server's certificate proves the host, `None` where it has none.
    pub(super) proved: Option<Option<bool>>,
    pub(super) declared: bool,
    pub(super) http: bool,
    pub(super) now: &'static str,
}

pub(super) fn asked() -> impl Strategy<Value = Asked> {
    let who = prop::sample::select(vec![WEB, "spiffe://t.test/ns/other/sa/x", "token:a", "token:b", "anonymous"]);
    let hosts =
        vec!["a.test", "b.a.test", "c.b.a.test", "z.test", "other.test", "8.8.8.8", "10.1.2.3", "169.254.169.254"];
    let answers = vec![
        vec!["1.1.1.1"],
        vec!["8.8.8.8", "8.8.8.9"],
        vec!["10.1.2.3"],
        vec!["10.1.2.3", "10.9.9.9"],
        vec!["1.1.1.1", "10.1.2.3"],
        vec!["169.254.169.254"],
    ];
    let tls = vec![None, Some("a.test"), Some("b.a.test")];
    (
        (who, prop::sample::select(hosts), prop::sample::select(vec![443u16, 80, 22])),
        (prop::option::weighted(0.8, prop::sample::select(answers)), prop::option::of(prop::sample::select(tls))),
        (
            any::<bool>(),
            prop::bool::weighted(0.2),
            prop::option::of(prop::option::of(any::<bool>())),
            prop::sample::select(vec![NOW, "2030-01-19T00:00:00Z", "2030-01-20T00:00:00Z"]),
        ),
    )
        .prop_map(|((who, host, port), (answers, tls), (declared, http, proved, now))| Asked {
            who,
            host,
            port,
            answers,
            tls,
            proved,
            declared,
            http,
            now,
        })
}

impl Asked {
    pub(super) fn facts(&self, set: &PolicySet) -> Facts {
        let mut facts = asks_as(set, self.who, &format!("{}:{}", self.host, self.port));
        facts.now = at(self.now);
        if self.declared && self.who == WEB {
            facts.subject = set.subject(&facts.identity, Some(b"public")).unwrap();
        }
        if let Some(answers) = &self.answers {
            // The answer for a literal is the literal.
            let literal = [self.host];
            facts = resolved(&facts, if facts.destination.host.ip().is_some() { &literal } else { answers });
        }
        if self.http {
            let head = HttpRequest {
                method: "GET".into(),
                path: "/".into(),
                query: String::new(),
                headers: Default::default(),
                content_length: Some(0),
            };
            return Facts { protocol: Protocol::Http, request: Some(head), tls: Some(Tls::Absent), ..facts };
        }
        let Some(sni) = self.tls else { return facts };
        let facts = with_sni(&facts, sni);
        match self.proved {
            Some(Some(verified)) => shown(&facts, verified, &[self.host]),
            Some(None) => nothing(&facts),
            None => facts,
        }
    }
}

/// Everything that a decision says.
fn whole(verdict: &Verdict) -> String {
    let more = match verdict {
        Verdict::Allow(decision) | Verdict::Deny(decision) => {
            let paths: Vec<&str> = decision.shadow.iter().map(|shadow| &*shadow.rule.path).collect();
            let overridden = decision.overridden.as_ref().map(|rule| rule.path.clone());
            format!("{paths:?} {:?} {overridden:?} {}", decision.detail, decision.used_declared)
        }
        Verdict::Pending(_) => String::new(),
    };
    said(verdict) + &more
}

fn denies(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Deny(decision) if decision.effect == Effect::Deny)
}

pub(super) fn config() -> ProptestConfig {
    ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_index_decides_as_walking_all_rules_does(
        specs in prop::collection::vec(spec(), 0..14), questions in prop::collection::vec(asked(), 12),
    ) {
        let specs = numbered(specs);
        let (indexed, linear) = (set_of(&specs), set_of(&specs).without_index());
        for asked in questions {
            let facts = asked.facts(&indexed);
            prop_assert_eq!(whole(&indexed.decide(&facts)), whole(&linear.decide(&facts)), "{:?}", asked);
        }
    }

    #[test]
    fn the_order_of_files_and_rules_is_nowhere_in_a_decision(
        (specs, turned) in prop::collection::vec(spec(), 1..10).prop_map(numbered)
            .prop_flat_map(|specs| (Just(specs.clone()), Just(specs).prop_shuffle())),
        questions in prop::collection::vec(asked(), 8),
    ) {
        let mut files = bundle(&turned);
        files.reverse();
        let (set, other) = (set_of(&specs), compile(&files, at(NOW)).unwrap().set);
        for asked in questions {
            let facts = asked.facts(&set);
            prop_assert_eq!(whole(&set.decide(&facts)), whole(&other.decide(&facts)));
            let near = |set: &PolicySet| format!("{:?}", set.nearest(&facts, 3));
            prop_assert_eq!(near(&set), near(&other));
        }
    }

    #[test]
    fn more_denies_or_fewer_allows_never_open_anything(
        specs in prop::collection::vec(spec(), 1..10), at in any::<prop::sample::Index>(),
        questions in prop::collection::vec(asked(), 8),
    ) {
        let specs = numbered(specs);
        let (gone, spec) = specs[at.index(specs.len())];
        let rest: Vec<(usize, Spec)> = specs.iter().copied().filter(|(n, _)| *n != gone).collect();
        // An allow that is taken away, or a deny that is added.
        let (before, after) = match spec.kind {
            Kind::Allow => (set_of(&specs), set_of(&rest)),
            Kind::Guardrail | Kind::Deny => (set_of(&rest), set_of(&specs)),
        };
        for asked in questions {
            let facts = asked.facts(&before);
            if denies(&before.decide(&facts)) {
                prop_assert!(denies(&after.decide(&facts)), "{:?} {:?}", spec, asked);
            }
        }
    }

    #[test]
    fn what_a_stage_denies_no_later_stage_allows(
        specs in prop::collection::vec(spec(), 1..10), questions in prop::collection::vec(asked(), 8),
    ) {
        let set = set_of(&numbered(specs));
        for asked in questions {
            let early = Asked { answers: None, tls: None, ..asked.clone() }.facts(&set);
            let middle = Asked { tls: None, ..asked.clone() }.facts(&set);
            let heard = Asked { proved: None, ..asked.clone() }.facts(&set);
            let late = asked.facts(&set);
            for (first, second) in [(&early, &middle), (&middle, &heard), (&heard, &late), (&early, &late)] {
                let (first, second) = (set.decide(first), set.decide(second));
                if denies(&first) {
                    prop_assert!(denies(&second), "{:?}: {} then {}", asked, said(&first), said(&second));
                }
                if matches!(first, Verdict::Allow(_)) {
                    prop_assert!(matches!(second, Verdict::Allow(_)), "{:?}: {}", asked, said(&second));
                }
            }
        }
    }

    #[test]
    fn a_rule_means_what_its_one_expression_means(spec in spec(), questions in prop::collection::vec(asked(), 24)) {
        let set = set_of(&[(0, spec)]);
        let rule = set.rule(0).unwrap();
        let text = set.desugar(&rule.info.path).unwrap();
        let expr = Expr::parse(&text).map_err(|problems| format!("{text}: {problems:?}")).unwrap();
        for asked in questions {
            let facts = asked.facts(&set);
            let judged = rule.judge(&facts, Knowledge::Partial);
            let structured = match judged.end {
                End::Ahead => judged.truth,
                End::Past => Truth::No,
            };
            let desugared = expr.eval(&facts, rule.reading());
            // Structured fields know the address of an IP literal from the start, an expression from the resolved stage on.
            if facts.resolved.is_none() && facts.destination.host.ip().is_some() && matches!(desugared, Truth::Pending(_)) {
                continue;
            }
            prop_assert_eq!(
                std::mem::discriminant(&structured), std::mem::discriminant(&desugared),
                "{} on {:?}: {:?}, desugared {:?}", text, asked, structured, desugared
            );
        }
    }
}
