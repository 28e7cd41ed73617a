//! What a fragment may speak about: outside its scope a rule is a load error.
//!
//! Private ranges are more than destinations: they are what the address floor keeps shut. A scope that lists its
//! destinations grants a private range only where its `cidrs` list a network that contains it; `destinations: any` says
//! any, and the rule must still name the range itself.

use std::sync::Arc;

use ipnet::IpNet;

use crate::address;
use crate::diagnostic::{At, Place, Report};
use crate::document::bundle::{Reach, Scope};
use crate::document::rules::{Action, RawRule};
use crate::expr::{Expr, HostKey};
use crate::pattern::{HostPattern, IdentityPattern};
use crate::rule::{Rule, Who};

/// A scope, with its identities ready to be shared by rules.
pub(super) struct CompiledScope<'p> {
    scope: &'p Scope,
    /// `None` where the scope is every identity.
    pub(super) identities: Option<Arc<[IdentityPattern]>>,
}

impl<'p> CompiledScope<'p> {
    pub(super) fn of(scope: &'p Scope) -> CompiledScope<'p> {
        let identities = match &scope.identities {
            Reach::Any => None,
            Reach::Only(list) => Some(Arc::from(list.clone())),
        };
        CompiledScope { scope, identities }
    }

    /// Check everything that a rule names. `networks` are its CIDRs and those of its sets.
    pub(super) fn check(
        &self,
        raw: &RawRule,
        networks: &[(IpNet, Place)],
        when: Option<&Expr>,
        report: &mut Report<'_>,
    ) {
        self.check_identities(raw, report);
        self.check_classes(raw, report);
        let keys = when.and_then(Expr::host_keys);
        let to = &raw.destinations;
        // An allow without one has been told so already.
        if raw.action == Action::Deny && to.hosts.is_empty() && networks.is_empty() && keys.is_none() {
            let help = "a team speaks about destinations: write `destinations: {hosts: […]}`";
            report.error_help(raw.place, "this rule has neither a host nor a CIDR key", help);
        }
        for host in &to.hosts {
            if !self.grants_host(&host.value) {
                outside(host.place, &host.value.to_string(), "hosts", report);
            }
        }
        for (network, place) in networks {
            self.check_network(raw, *network, *place, report);
        }
        if to.hosts.is_empty() && networks.is_empty() {
            for key in keys.into_iter().flatten() {
                self.check_key(&key, raw.when.as_ref().map_or(raw.place, |when| when.place), report);
            }
        }
    }

    fn check_identities(&self, raw: &RawRule, report: &mut Report<'_>) {
        let Some(granted) = &self.identities else { return };
        if let Some(place) = raw.anyone {
            outside(place, "anyone", "identities", report);
        }
        let named = raw.identities.iter().flatten().flat_map(|selector| [&selector.id, &selector.spiffe_id]);
        for id in named.flatten() {
            if !granted.iter().any(|pattern| pattern.contains(&id.value)) {
                outside(id.place, &id.value.to_string(), "identities", report);
            }
        }
    }

    fn check_classes(&self, raw: &RawRule, report: &mut Report<'_>) {
        let Reach::Only(granted) = &self.scope.data_classes else { return };
        for class in raw.at_most.iter().chain(&raw.any_of).flatten() {
            if !granted.iter().any(|known| known.value == class.value) {
                outside(class.place, &class.value, "data classes", report);
            }
        }
        if let (Action::Allow, None, Some(any)) = (raw.action, &raw.at_most, &raw.any_of) {
            // `any_of` lets other classes travel along, whatever they are.
            let why = "it holds as soon as one of these is carried, whatever travels along";
            let help = "name the classes that may travel with `at_most`";
            let place = any.first().map_or(raw.place, |class: &At<String>| class.place);
            report.error_why(place, "`any_of` alone allows data classes outside the fragment's scope", why, help);
        }
    }

    fn check_network(&self, raw: &RawRule, network: IpNet, place: Place, report: &mut Report<'_>) {
        let Reach::Only((_, cidrs)) = &self.scope.destinations else { return };
        if cidrs.iter().any(|granted| granted.contains(&network)) {
            return;
        }
        // The hosts are in the scope, and public networks only narrow them; a deny may narrow them as it likes.
        let narrows = !raw.destinations.hosts.is_empty();
        match raw.action {
            Action::Allow if narrows && address::network_is_global(network) => {}
            Action::Deny if narrows => {}
            Action::Allow | Action::Deny => outside(place, &network.to_string(), "networks", report),
        }
    }

    fn check_key(&self, key: &HostKey, place: Place, report: &mut Report<'_>) {
        let inside = match key {
            HostKey::Exact(text) => match text.parse::<std::net::IpAddr>() {
                Ok(ip) => match &self.scope.destinations {
                    Reach::Any => true,
                    Reach::Only((_, cidrs)) => cidrs.iter().any(|granted| granted.contains(&ip)),
                },
                Err(_) => self.grants_host(&HostPattern::Exact(text.as_str().into())),
            },
            HostKey::Within(apex) => {
                self.grants_host(&HostPattern::Exact(apex.as_str().into()))
                    && self.grants_host(&HostPattern::Below(apex.as_str().into()))
            }
        };
        if !inside {
            let (HostKey::Exact(text) | HostKey::Within(text)) = key;
            outside(place, text, "hosts", report);
        }
    }

    fn grants_host(&self, host: &HostPattern) -> bool {
        self.scope.grants_host(host)
    }
}

impl Scope {
    fn grants_host(&self, host: &HostPattern) -> bool {
        match &self.destinations {
            Reach::Any => true,
            Reach::Only((hosts, _)) => hosts.iter().any(|granted| granted.contains(host)),
        }
    }

    /// Whether an exception stays inside; if not, what lies outside.
    pub(crate) fn takes(&self, rule: &Rule) -> Result<(), String> {
        let outside = |what: &dyn std::fmt::Display| Err(format!("`{what}` is outside the fragment's scope"));
        if let (Reach::Only(granted), Who::Among(selectors)) = (&self.identities, &rule.who) {
            for selector in selectors {
                // Everything in an entry must hold, so one pattern inside is enough; labels alone may be anybody's.
                let mut patterns = [&selector.id, &selector.spiffe_id].into_iter().flatten().peekable();
                let Some(first) = patterns.peek().copied() else { return outside(&"labels alone") };
                if !patterns.any(|id| granted.iter().any(|pattern| pattern.contains(id))) {
                    return outside(first);
                }
            }
        }
        if let Some(host) = rule.hosts.iter().find(|host| !self.grants_host(host)) {
            return outside(host);
        }
        if let Reach::Only((_, cidrs)) = &self.destinations
            && let Some(network) = rule.networks.iter().find(|network| !cidrs.iter().any(|c| c.contains(*network)))
        {
            return outside(network);
        }
        if let Reach::Only(granted) = &self.data_classes {
            let mut classes = rule.at_most.as_deref().into_iter().flatten().map(|class| &**class);
            if let Some(class) = classes.find(|class| !granted.iter().any(|known| known.value == **class)) {
                return outside(&class);
            }
        }
        Ok(())
    }
}

fn outside(place: Place, what: &str, kind: &str, report: &mut Report<'_>) {
    let message = format!("`{what}` is outside the fragment's scope");
    let why = "a team speaks only for what the platform has granted it";
    let help = format!("the bundle grants the fragment its {kind} under `scope`: name less, or ask the bundle's owner");
    report.error_why(place, message, why, help);
}
