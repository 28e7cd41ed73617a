//! What no override can do, whatever the policy and the connection: over random small ones.

use proptest::prelude::*;

use super::properties::{asked, bundle, config, numbered, spec};
use super::world::{WEB, at, said};
use crate::address::Floor;
use crate::decide::knowledge;
use crate::decision::{Reason, RuleInfo, Verdict};
use crate::document::rules::Enforcement;
use crate::expr::Truth;
use crate::facts::Facts;
use crate::overrides::{Kind, Override, Spec};
use crate::rule::{Rule, Tier, known_answers};
use crate::{PolicySet, compile};

const WHO: &[&str] = &[WEB, "spiffe://t.test/**", "token:a"];
const HOSTS: &[&str] = &["a.test", "**.a.test", "b.a.test", "z.test"];
const CIDRS: &[&str] = &["8.8.8.0/24", "10.1.0.0/16"];
const PORTS: &[u16] = &[443, 80, 22];
const CLASSES: &[&[&str]] = &[&["public", "internal"], &["public"], &["unclassified"]];
const ENDS: &[&str] = &["2030-01-20T00:00:00Z", "2029-12-31T00:00:00Z"];
const MODES: &[&str] = &["normal", "lockdown", "ported", "unheard-of"];

/// The modes of [`MODES`] that the bundle has.
const OF_BUNDLE: &str = "modes: {lockdown: {allow_when: \"false\"}, ported: {allow_when: 'destination.port == 443'}}\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Grants,
    Permits,
    Lifts(usize),
}

#[derive(Clone, Copy, Debug)]
struct Over {
    does: Does,
    who: usize,
    to: usize,
    port: usize,
    classes: usize,
    ends: usize,
}

fn over() -> impl Strategy<Value = Over> {
    let does = prop_oneof![Just(Does::Grants), Just(Does::Permits), (0..10usize).prop_map(Does::Lifts)];
    let to = 0..HOSTS.len() + CIDRS.len();
    (does, (0..WHO.len(), to, 0..PORTS.len(), 0..CLASSES.len(), 0..4usize)).prop_map(
        |(does, (who, to, port, classes, ends))| Over { does, who, to, port, classes, ends: usize::from(ends == 3) },
    )
}

impl Over {
    fn compiled(&self, n: usize) -> Override {
        let (kind, path) = match self.does {
            Does::Grants => (Kind::Grant, format!("grant/{n}")),
            Does::Permits => (Kind::Permits("wide".into()), format!("exception/{n}")),
            Does::Lifts(rule) => (Kind::Lifts(format!("guard/r{rule}").into()), format!("exception/{n}")),
        };
        let info = RuleInfo {
            path: path.into(),
            owner: "o@t.test".into(),
            purpose: "p".into(),
            ticket: None,
            expires: Some(at(ENDS[self.ends])),
        };
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let (hosts, cidrs) = match HOSTS.get(self.to) {
            Some(host) => (texts(&[host]), Vec::new()),
            None => (Vec::new(), texts(&[CIDRS[self.to - HOSTS.len()]])),
        };
        let spec = Spec {
            identities: texts(&[WHO[self.who]]),
            hosts,
            cidrs,
            ports: vec![PORTS[self.port]],
            data_classes: texts(CLASSES[self.classes]),
        };
        Override::new(kind, info, &spec).unwrap()
    }
}

fn set_of(specs: &[(usize, super::properties::Spec)]) -> PolicySet {
    let mut files = bundle(specs);
    let main = files.iter_mut().find(|file| file.name == "bundle.yaml").unwrap();
    main.text.extend(OF_BUNDLE.bytes());
    compile(&files, at(super::world::NOW)).unwrap().set
}

fn under(set: &PolicySet, mode: &str, overrides: &[Override], facts: &Facts) -> Verdict {
    let (laid, _) = set.lay(mode, overrides);
    set.decide_under(&Facts { mode: mode.into(), ..facts.clone() }, &laid)
}

fn allows(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Allow(_))
}

fn in_force<'o>(overrides: &'o [Override], facts: &'o Facts) -> impl Iterator<Item = &'o Override> {
    overrides.iter().filter(|one| one.covers(facts) && one.info().expires.is_some_and(|end| facts.now < end))
}

/// Enforced rules that say yes, or err.
fn speaking<'s>(set: &'s PolicySet, facts: &'s Facts) -> impl Iterator<Item = &'s Rule> {
    let rules = (0..set.first_free()).filter_map(|id| set.rule(id));
    rules
        .filter(|rule| rule.enforcement == Enforcement::Enforce)
        .filter(|rule| matches!(rule.judge(facts, knowledge(facts)).truth, Truth::Yes | Truth::Error(_)))
}

/// Whether this guardrail is lifted by what it lists and covers the connection.
fn is_lifted(rule: &Rule, overrides: &[Override], facts: &Facts) -> bool {
    in_force(overrides, facts).any(|one| match one.kind() {
        Kind::Grant => rule.lifts.grant,
        Kind::Lifts(path) => rule.lifts.exception && **path == *rule.info.path,
        Kind::Permits(_) => false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..config() })]

    #[test]
    fn no_override_goes_beyond_what_it_is_for(
        specs in prop::collection::vec(spec(), 0..10), overs in prop::collection::vec(over(), 0..6),
        mode in prop::sample::select(MODES), questions in prop::collection::vec(asked(), 24),
    ) {
        let set = set_of(&numbered(specs));
        let overrides: Vec<Override> = overs.iter().enumerate().map(|(n, over)| over.compiled(n)).collect();
        for asked in questions {
            let facts = Facts { mode: mode.into(), ..asked.facts(&set) };
            let verdict = under(&set, mode, &overrides, &facts);
            let denied = matches!(verdict, Verdict::Deny(_));
            let granted = in_force(&overrides, &facts).any(|one| *one.kind() == Kind::Grant);
            // The floor first: what can never be opened is not, and what opens by name only is not by a grant alone.
            let floor = Floor::default();
            let classes = known_answers(&facts).into_iter().flatten();
            let classes: Vec<_> = classes.map(|ip| floor.classify(*ip, facts.destination.port).class).collect();
            let shut = |may_open: bool| classes.iter().any(|class| class.on_floor() && floor.may_open(*class) == may_open);
            prop_assert!(!shut(false) || denied, "{asked:?}: {}", said(&verdict));
            if shut(true) && allows(&verdict) {
                let mut rules = speaking(&set, &facts).filter(|rule| rule.tier == Tier::Allow);
                let named = rules.any(|rule| !rule.networks.is_empty() && rule.expires.is_none_or(|end| facts.now < end));
                let permitted = overs.iter().zip(&overrides).any(|(over, one)| {
                    over.does == Does::Permits
                        && over.to >= HOSTS.len()
                        && in_force(std::slice::from_ref(one), &facts).next().is_some()
                });
                prop_assert!(named || permitted, "{asked:?}: {}", said(&verdict));
            }
            for rule in speaking(&set, &facts) {
                match rule.tier {
                    Tier::TeamDeny => prop_assert!(denied, "{asked:?} {}: {}", rule.info.path, said(&verdict)),
                    Tier::Guardrail if !is_lifted(rule, &overrides, &facts) => {
                        prop_assert!(denied, "{asked:?} {}: {}", rule.info.path, said(&verdict));
                    }
                    Tier::Guardrail | Tier::Allow => {}
                }
            }
            if let Verdict::Allow(decision) = &verdict {
                prop_assert_eq!(decision.reason == Reason::Grant, granted, "{:?}: {}", asked, said(&verdict));
                let open = mode == "normal" || (mode == "ported" && facts.destination.port == 443);
                prop_assert!(granted || open, "{mode} {asked:?}: {}", said(&verdict));
            }
            // Without any override there is no more than with all of them, and without one of them no more either.
            if !allows(&verdict) {
                for gone in 0..overrides.len() {
                    let mut rest = overrides.clone();
                    rest.remove(gone);
                    let after = under(&set, mode, &rest, &facts);
                    prop_assert!(!allows(&after), "{asked:?}: {} then {}", said(&verdict), said(&after));
                }
            }
            // And a mode allows nothing that normal does not.
            if !allows(&under(&set, "normal", &overrides, &facts)) {
                prop_assert!(!allows(&verdict), "{mode} {asked:?}: {}", said(&verdict));
            }
        }
    }

    #[test]
    fn under_overrides_too_no_later_stage_allows_what_one_denies(
        specs in prop::collection::vec(spec(), 0..8), overs in prop::collection::vec(over(), 1..6),
        mode in prop::sample::select(MODES), questions in prop::collection::vec(asked(), 16),
    ) {
        let set = set_of(&numbered(specs));
        let overrides: Vec<Override> = overs.iter().enumerate().map(|(n, over)| over.compiled(n)).collect();
        for asked in questions {
            let late = asked.facts(&set);
            let early = Facts { resolved: None, tls: if asked.http { late.tls.clone() } else { None }, ..late.clone() };
            let first = under(&set, mode, &overrides, &early);
            let second = under(&set, mode, &overrides, &late);
            if matches!(first, Verdict::Deny(_)) {
                prop_assert!(matches!(second, Verdict::Deny(_)), "{asked:?}: {} then {}", said(&first), said(&second));
            }
        }
    }
}
