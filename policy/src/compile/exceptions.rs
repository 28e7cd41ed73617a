//! Exceptions as written to the overrides they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lifetime;
use super::rules::{class_names, networks_of, unique};
use super::{ExceptionBook, ONE_NAME, Surroundings};
use crate::decision::{Keeping, RuleInfo};
use crate::diagnostic::{At, Place, Report, meant_or};
use crate::document::exceptions::{ExceptionEffect, RawException};
use crate::document::rules::{Enforcement, Lifts, Trust};
use crate::overrides::{Kind, Override};
use crate::rule::{Rule, Selector, Tier, Who};

/// Complain about every guardrail and fragment that an exception names and the bundle does not have.
pub(super) fn known_targets(
    around: &Surroundings<'_>,
    books: &[ExceptionBook],
    rules: &[(Rule, Place)],
    report: &mut Report<'_>,
) {
    let guardrails: Vec<&str> =
        rules.iter().filter(|(rule, _)| rule.tier == Tier::Guardrail).map(|(rule, _)| &*rule.info.path).collect();
    let fragments: Vec<&str> = around.bundle.fragments.iter().map(|grant| grant.id.value.as_str()).collect();
    for raw in books.iter().flat_map(|book| &book.exceptions) {
        let (named, known, what) = match &raw.effect {
            ExceptionEffect::Lifts(named) => (named, &guardrails, "guardrail"),
            ExceptionEffect::Permits(named) => (named, &fragments, "fragment"),
        };
        if !known.contains(&named.value.as_str()) {
            let help = meant_or(&named.value, known.iter().copied(), || match known.is_empty() {
                true => format!("the bundle has no {what} at all"),
                false => format!("it has {}", known.join(", ")),
            });
            report.error_help(named.place, format!("the policy has no {what} `{}`", named.value), help);
        }
    }
}

pub(super) type Exceptions = (Vec<Override>, BTreeMap<Box<str>, Place>);

/// Every exception that can be read, and where each stands by its path.
pub(super) fn all(around: &Surroundings<'_>, books: &[ExceptionBook], report: &mut Report<'_>) -> Exceptions {
    let (mut found, mut places) = (Vec::new(), BTreeMap::new());
    for book in books {
        for raw in &book.exceptions {
            let one = compile(raw, &book.id, book.owner.as_deref(), around, report);
            let Some(one) = one else { continue };
            if let Some(first) = places.insert(one.info().path.clone(), raw.place()) {
                let message = format!("another exception of this file has the id `{}`", raw.id.value);
                report.again(raw.place(), first, message, ONE_NAME, "give each exception an id of its own");
            }
            found.push(one);
        }
    }
    (found, places)
}

/// One exception with the place to complain at once it is known whether the policy takes it.
fn compile(
    raw: &RawException,
    home: &At<String>,
    owner: Option<&str>,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<Override> {
    let place = raw.place();
    if raw.identities.is_empty() {
        report.error_help(place, "an exception must name `identities`", "nobody is meant by leaving it out");
    }
    if raw.destinations.ports.is_empty() {
        report.error_help(place, "an exception must name `destinations.ports`", "such as `ports: [443]`");
    }
    if raw.destinations.hosts.is_empty() && raw.destinations.cidrs.is_empty() && raw.destinations.cidr_sets.is_empty() {
        report.error_help(place, "an exception must name `destinations`", "with `hosts`, `cidrs` or `cidr_sets`");
    }
    around.known_classes(&raw.at_most, report);
    lifetime::exception(raw, around, report);
    let (networks, sets_end) = networks_of(&raw.destinations, true, around, report);
    let expires = Some(raw.expires.value).into_iter().chain(sets_end).min();
    let kind = match &raw.effect {
        ExceptionEffect::Lifts(path) => Kind::Lifts(path.value.as_str().into()),
        ExceptionEffect::Permits(fragment) => Kind::Permits(fragment.value.as_str().into()),
    };
    let selector = |raw: &crate::document::rules::RawSelector| Selector {
        id: raw.id.as_ref().map(|at| at.value.clone()),
        spiffe_id: raw.spiffe_id.as_ref().map(|at| at.value.clone()),
        labels: raw.labels.as_slice().into(),
        scope: None,
    };
    let rule = Rule {
        info: Arc::new(RuleInfo {
            path: format!("{}/{}", home.value, raw.id.value).into(),
            owner: owner.or(raw.approved_by.first().map(|at| at.value.as_str()))?.into(),
            purpose: raw.reason.as_str().into(),
            ticket: raw.ticket.as_deref().map(Into::into),
            expires,
        }),
        tier: Tier::Allow,
        enforcement: Enforcement::Enforce,
        trust: Trust::Registered,
        lifts: Lifts::NONE,
        keeping: Keeping::AsConfigured,
        budget: None,
        review_by: None,
        who: Who::Among(raw.identities.iter().map(selector).collect()),
        hosts: unique(raw.destinations.hosts.iter().map(|at| at.value.clone())),
        ports: raw.destinations.ports.as_slice().into(),
        networks: unique(networks.into_iter().map(|(network, _)| network)),
        at_most: Some(class_names(&raw.at_most).into()),
        any_of: None,
        expires,
        when: None,
    };
    Some(Override::compiled(kind, rule))
}
