//! What an import has put together so far: rules, guardrails and workloads, before they are text.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::told::Spot;
use crate::pattern::{HostPattern, IdentityPattern};

/// Longest id that the language takes.
const ID_MAX: usize = 63;

pub(super) struct Draft {
    /// What the source is called, such as `smokescreen`.
    pub(super) source: &'static str,
    pub(super) fragments: Vec<Fragment>,
    pub(super) guardrails: Vec<Rule>,
    pub(super) workloads: Vec<Workload>,
    ids: BTreeSet<String>,
}

pub(super) struct Fragment {
    pub(super) id: String,
    pub(super) owner: Option<String>,
    pub(super) rules: Vec<Rule>,
    ids: BTreeSet<String>,
}

pub(super) struct Rule {
    pub(super) id: String,
    pub(super) purpose: String,
    pub(super) spot: Spot,
    pub(super) body: Body,
}

/// What a rule says beside its name.
pub(super) struct Body {
    pub(super) who: Who,
    pub(super) hosts: Vec<HostPattern>,
    pub(super) cidrs: Vec<IpNet>,
    pub(super) ports: Vec<u16>,
    pub(super) when: Option<String>,
}

pub(super) enum Who {
    Anyone,
    Among(Vec<Entry>),
}

/// One entry of `identities`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: IdentityPattern,
    pub(super) label: Option<(&'static str, &'static str)>,
}

pub(super) struct Workload {
    pub(super) id: IdentityPattern,
    pub(super) label: (&'static str, &'static str),
}

impl Draft {
    pub(super) fn new(source: &'static str) -> Draft {
        // Those of the files that every import has.
        let ids = ["imported", "guard", "workloads"].map(str::to_owned).into();
        Draft { source, fragments: Vec::new(), guardrails: Vec::new(), workloads: Vec::new(), ids }
    }

    /// The fragment of this name and owner, begun if it is not there.
    pub(super) fn fragment(&mut self, name: &str, owner: Option<&str>) -> Option<&mut Fragment> {
        let known = self.fragments.iter().position(|fragment| fragment.owner.as_deref() == owner);
        let at = known.unwrap_or_else(|| {
            let id = unused(name, &mut self.ids);
            let owner = owner.map(str::to_owned);
            self.fragments.push(Fragment { id, owner, rules: Vec::new(), ids: BTreeSet::new() });
            self.fragments.len() - 1
        });
        self.fragments.get_mut(at)
    }

    /// Add a guardrail.
    pub(super) fn guard(&mut self, name: &str, purpose: String, spot: &Spot, body: Body) {
        let mut ids: BTreeSet<String> = self.guardrails.iter().map(|rule| rule.id.clone()).collect();
        let id = unused(name, &mut ids);
        self.guardrails.push(Rule { id, purpose, spot: spot.clone(), body });
    }

    pub(super) fn rules(&self) -> usize {
        self.guardrails.len() + self.fragments.iter().map(|fragment| fragment.rules.len()).sum::<usize>()
    }
}

impl Fragment {
    /// Add an allow.
    pub(super) fn allow(&mut self, name: &str, purpose: String, spot: &Spot, body: Body) {
        let id = unused(name, &mut self.ids);
        self.rules.push(Rule { id, purpose, spot: spot.clone(), body });
    }
}

/// An id like `name` that nothing else has.
fn unused(name: &str, taken: &mut BTreeSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let base: String = name.chars().map(plain).collect();
    let base = base.trim_matches(['-', '.', '_']);
    let base = if base.is_empty() { "rule" } else { base };
    let mut count = 1_usize;
    loop {
        let suffix = if count == 1 { String::new() } else { format!("-{count}") };
        let id: String = base.chars().take(ID_MAX - suffix.len()).chain(suffix.chars()).collect();
        if taken.insert(id.clone()) {
            return id;
        }
        count += 1;
    }
}
