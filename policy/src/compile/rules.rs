//! One rule as written to one rule compiled, with the checks that need more than the rule itself.

use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use super::scope::CompiledScope;
use super::shared::Shared;
use super::{Surroundings, lifetime};
use crate::address;
use crate::budget::{Budget, Measure};
use crate::decision::{Keeping, RuleInfo};
use crate::diagnostic::{At, Place, Report, meant_or};
use crate::document::rules::{Action, RawRule, RawSelector, Targets};
use crate::expr::{Expr, HostKey};
use crate::host::{Host, name_within};
use crate::pattern::HostPattern;
use crate::rule::{Rule, Selector, Tier, Who};

/// Where a rule lives.
pub(super) struct Home<'p> {
    pub(super) id: &'p str,
    pub(super) owner: Option<&'p str>,
    /// `None` for guardrails: they stand over everything.
    pub(super) scope: Option<&'p CompiledScope<'p>>,
}

/// Compile it. Whatever is wrong goes to the report; a rule that comes back beside errors is never used.
pub(super) fn compile(
    raw: &RawRule,
    home: &Home<'_>,
    around: &Surroundings<'_>,
    shared: &mut Shared,
    report: &mut Report<'_>,
) -> Option<Rule> {
    let owner = raw.owner.as_deref().or(home.owner);
    if owner.is_none() {
        let why = "a rule that nobody answers for is never reviewed and never deleted";
        report.error_why(raw.place, "nobody answers for this rule", why, "write `owner` here or in `metadata`");
    }
    for named in [&raw.at_most, &raw.any_of].into_iter().flatten() {
        around.known_classes(named, report);
    }
    check_classes_meet(raw, report);
    let when = shared.condition(raw, report);
    let (networks, sets_end) = networks_of(&raw.destinations, raw.action == Action::Allow, around, report);
    if let Some(scope) = home.scope {
        scope.check(raw, &networks, when.as_ref(), report);
    }
    check_hosts(raw, report);
    super::claims::selectors(raw, around, report);
    if let (Some(expr), Some(written)) = (&when, &raw.when) {
        check_when_meets(raw, expr, written.place, report);
        super::claims::check(raw, expr, written, around, report);
    }
    lifetime::check(raw, around, report);
    let tier = match (home.scope, raw.action) {
        (None, _) => Tier::Guardrail,
        (Some(_), Action::Deny) => Tier::TeamDeny,
        (Some(_), Action::Allow) => Tier::Allow,
    };
    // A deny outlives the sets that it names: losing them would open access.
    let expires = match raw.action {
        Action::Allow => raw.expires.as_ref().map(|at| at.value).into_iter().chain(sets_end).min(),
        Action::Deny => None,
    };
    let info = Arc::new(RuleInfo {
        path: format!("{}/{}", home.id, raw.id.value).into(),
        owner: owner?.into(),
        purpose: raw.purpose.as_str().into(),
        ticket: raw.ticket.as_deref().map(Into::into),
        expires,
    });
    Some(Rule {
        budget: budget(raw, &info),
        info,
        tier,
        enforcement: raw.enforcement,
        trust: raw.trust,
        lifts: raw.lifts,
        keeping: raw.keeping.as_ref().map_or(Keeping::AsConfigured, |at| at.value),
        who: who(raw, home),
        hosts: unique(raw.destinations.hosts.iter().map(|at| at.value.clone())),
        ports: shared.ports(&raw.destinations.ports),
        networks: unique(networks.into_iter().map(|(network, _)| network)),
        at_most: raw.at_most.as_deref().map(|named| shared.classes(named)),
        any_of: raw.any_of.as_deref().map(|named| shared.classes(named)),
        expires,
        review_by: raw.review_by.as_ref().map(|at| at.value),
        when,
    })
}

/// What each identity may have under it.
fn budget(raw: &RawRule, rule: &Arc<RuleInfo>) -> Option<Arc<Budget>> {
    let written = &raw.limits.as_ref()?.value;
    let most = |wanted: Measure| written.iter().find(|(measure, _)| *measure == wanted).map(|(_, most)| *most);
    Some(Arc::new(Budget {
        rule: Arc::clone(rule),
        connections: most(Measure::Connections),
        new_connections_per_second: most(Measure::NewConnections),
        upload_bytes_per_day: most(Measure::Upload),
        download_bytes_per_day: most(Measure::Download),
        max_connection_seconds: most(Measure::Duration),
    }))
}

/// Who is meant. Where a team's rule names no id, the identities of its fragment's scope are.
fn who(raw: &RawRule, home: &Home<'_>) -> Who {
    let scope = home.scope.and_then(|scope| scope.identities.clone());
    let compiled = |selector: &RawSelector| Selector {
        id: selector.id.as_ref().map(|at| at.value.clone()),
        spiffe_id: selector.spiffe_id.as_ref().map(|at| at.value.clone()),
        labels: selector.labels.as_slice().into(),
        scope: scope.clone().filter(|_| selector.id.is_none() && selector.spiffe_id.is_none()),
    };
    match (&raw.identities, scope.is_some()) {
        (Some(list), _) => Who::Among(list.iter().map(compiled).collect()),
        (None, true) => {
            let all = Selector { id: None, spiffe_id: None, labels: Box::new([]), scope: scope.clone() };
            Who::Among(Box::new([all]))
        }
        (None, false) => Who::Anyone,
    }
}

type PlacedNetworks = Vec<(IpNet, Place)>;

/// The networks of a rule, and the earliest end of the sets that it names.
pub(super) fn networks_of(
    to: &Targets,
    opens: bool,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> (PlacedNetworks, Option<Timestamp>) {
    let mut found: PlacedNetworks = to.cidrs.iter().map(|at| (at.value, at.place)).collect();
    let mut end: Option<Timestamp> = None;
    for name in &to.cidr_sets {
        let Some(set) = around.sets.get(name.value.as_str()) else {
            let help = meant_or(&name.value, around.sets.keys().copied(), || {
                "list it under `cidr_sets` of a `Destinations` file".to_owned()
            });
            report.error_help(name.place, format!("there is no CIDR set `{}`", name.value), help);
            continue;
        };
        found.extend(set.cidrs.iter().map(|at| (at.value, name.place)));
        end = [end, set.expires].into_iter().flatten().min();
    }
    if opens {
        for (network, place) in &found {
            if let Some(block) = address::closed_block(*network) {
                let message = format!("`{network}` can never be opened: {block}");
                let why = "whoever reads the rule would believe that it opens what no rule can open";
                report.error_why(*place, message, why, "no rule looks under the address floor: delete it");
            }
        }
    }
    (found, end)
}

/// `at_most` and `any_of` without a class in common hold for no connection.
fn check_classes_meet(raw: &RawRule, report: &mut Report<'_>) {
    let (Some(most), Some(any)) = (&raw.at_most, &raw.any_of) else { return };
    if !any.iter().any(|class| most.iter().any(|known| known.value == class.value))
        && let Some(first) = any.first()
    {
        let help = "a class of `any_of` must also be in `at_most`";
        report.error_help(first.place, "this rule can never match: no class is in both lists", help);
    }
}

/// A `when` that is false for every host that the rule names.
fn check_when_meets(raw: &RawRule, when: &Expr, place: Place, report: &mut Report<'_>) {
    let Some(keys) = when.host_keys() else { return };
    let hosts = &raw.destinations.hosts;
    let meet = |key: &HostKey| hosts.is_empty() || hosts.iter().any(|host| meets(&host.value, key));
    if !keys.iter().any(meet) {
        let help = "`when` is false for every host that the rule names";
        report.error_help(place, "this rule can never match", help);
    }
}

/// Whether a host can be meant by both.
fn meets(pattern: &HostPattern, key: &HostKey) -> bool {
    match key {
        HostKey::Exact(name) => Host::parse(name.as_bytes()).is_ok_and(|host| pattern.matches(&host)),
        HostKey::Within(apex) => match pattern {
            HostPattern::Exact(name) => name_within(name, apex),
            HostPattern::Child(base) | HostPattern::Below(base) => name_within(base, apex) || name_within(apex, base),
        },
    }
}

/// A pattern below a whole top-level domain is hardly ever meant.
fn check_hosts(raw: &RawRule, report: &mut Report<'_>) {
    for host in &raw.destinations.hosts {
        let wide = match &host.value {
            HostPattern::Exact(_) => false,
            HostPattern::Child(apex) | HostPattern::Below(apex) => !apex.contains('.'),
        };
        if wide && raw.action == Action::Allow {
            let why = "anybody can register a name in it, and be reached";
            let message = format!("`{}` is a whole top-level domain", host.value);
            report.warning_why(host.place, message, why, "name the domains that are meant");
        }
    }
}

pub(super) fn class_names(named: &[At<String>]) -> Box<[Box<str>]> {
    unique(named.iter().map(|at| at.value.as_str().into()))
}

pub(super) fn unique<T: Ord>(items: impl Iterator<Item = T>) -> Box<[T]> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items.into()
}
