//! Exceptions as written to the overrides they are.

use std::sync::Arc;

use super::Surroundings;
use super::lifetime;
use super::rules::{class_names, networks_of, unique};
use crate::decision::{Keeping, RuleInfo};
use crate::diagnostic::{At, Report};
use crate::document::exceptions::{ExceptionEffect, RawException};
use crate::document::rules::{Enforcement, Lifts, Trust};
use crate::overrides::{Kind, Override};
use crate::rule::{Rule, Selector, Tier, Who};

/// One exception with the place to complain at once it is known whether the policy takes it.
pub(super) fn compile(
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
