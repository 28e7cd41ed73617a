//! What an override covers, as people write it: checked at once, every fault by its field.

use ipnet::IpNet;

use super::Kind;
use crate::address;
use crate::decision::{Keeping, RuleInfo};
use crate::document::rules::Lifts;
use crate::document::rules::{Enforcement, Trust};
use crate::pattern::{HostPattern, IdentityPattern};
use crate::rule::{Rule, Selector, Tier, Who};

/// Entries of one list: an override is written by hand, in a hurry.
const ENTRIES_MAX: usize = 64;

/// Who, where to, and with what data. An empty list is a fault: nothing reads as "everything" by omission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// Identity ids and patterns.
    pub identities: Vec<String>,
    /// Host names and patterns.
    pub hosts: Vec<String>,
    /// Networks, for destinations that are IP literals. Never beside `hosts`.
    pub cidrs: Vec<String>,
    /// Ports.
    pub ports: Vec<u16>,
    /// The connection's classes must be among these.
    pub data_classes: Vec<String>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, such as `destinations.hosts`.
    pub field: &'static str,
    /// What is wrong, and how to mend it.
    pub detail: String,
}

struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, field: &'static str, detail: impl Into<String>) {
        self.0.push(Fault { field, detail: detail.into() });
    }

    fn list<T: PartialEq>(
        &mut self,
        field: &'static str,
        texts: &[String],
        parse: impl Fn(&str) -> Result<T, (String, String)>,
    ) -> Box<[T]> {
        if texts.len() > ENTRIES_MAX {
            self.add(field, format!("more than {ENTRIES_MAX} entries"));
            return Box::new([]);
        }
        let mut found = Vec::new();
        for text in texts {
            match parse(text) {
                Ok(value) if found.contains(&value) => {}
                Ok(value) => found.push(value),
                Err((problem, help)) => self.add(field, format!("{problem}; {help}")),
            }
        }
        found.into()
    }
}

/// The rule that it means.
pub(super) fn rule(kind: &Kind, info: RuleInfo, spec: &Spec) -> Result<Rule, Vec<Fault>> {
    let mut faults = Faults(Vec::new());
    let identities = faults.list("identities", &spec.identities, identity);
    let hosts = faults.list("destinations.hosts", &spec.hosts, host);
    let networks = faults.list("destinations.cidrs", &spec.cidrs, network);
    if spec.identities.is_empty() {
        faults.add("identities", "name at least one identity: nobody is meant by leaving it out");
    }
    if spec.hosts.is_empty() && spec.cidrs.is_empty() {
        faults.add("destinations", "name `hosts`, or `cidrs` for IP literals");
    }
    if !spec.hosts.is_empty() && !spec.cidrs.is_empty() {
        faults.add("destinations.cidrs", "either `hosts` or `cidrs`: ask for two where both are needed");
    }
    if spec.ports.is_empty() || spec.ports.len() > ENTRIES_MAX || spec.ports.contains(&0) {
        faults.add("destinations.ports", "name the ports, each from 1 to 65535, such as `[443]`");
    }
    if spec.data_classes.is_empty() || spec.data_classes.len() > ENTRIES_MAX {
        faults.add("data_classes", "name the classes that may travel, such as `[\"internal\"]`");
    }
    if !faults.0.is_empty() {
        return Err(faults.0);
    }
    let mut ports = spec.ports.clone();
    ports.sort_unstable();
    ports.dedup();
    let selector = |id| Selector { id: Some(id), spiffe_id: None, labels: Box::new([]), scope: None };
    Ok(Rule {
        expires: info.expires,
        info: info.into(),
        tier: Tier::Allow,
        enforcement: Enforcement::Enforce,
        trust: Trust::Registered,
        lifts: Lifts::NONE,
        // What is carried by override is what people ask about later.
        keeping: match kind {
            Kind::Grant => Keeping::Synced,
            Kind::Lifts(_) | Kind::Permits(_) => Keeping::AsConfigured,
        },
        budget: None,
        review_by: None,
        who: Who::Among(identities.into_iter().map(selector).collect()),
        hosts,
        ports: ports.into(),
        networks,
        at_most: Some(crate::registry::sorted(spec.data_classes.iter().map(|name| name.as_str().into()).collect())),
        any_of: None,
        when: None,
    })
}

fn identity(text: &str) -> Result<IdentityPattern, (String, String)> {
    let found = IdentityPattern::parse(text)?;
    let capture = found.captures().next().map(str::to_owned);
    match capture {
        Some(name) => Err((format!("the capture `{{{name}}}` has no use here"), "write `*`".to_owned())),
        None => Ok(found),
    }
}

fn host(text: &str) -> Result<HostPattern, (String, String)> {
    let found = HostPattern::parse(text)?;
    let wide = match &found {
        HostPattern::Exact(_) => false,
        HostPattern::Child(apex) | HostPattern::Below(apex) => !apex.contains('.'),
    };
    match wide {
        true => Err((format!("`{text}` is a whole top-level domain"), "name the domains that are meant".to_owned())),
        false => Ok(found),
    }
}

fn network(text: &str) -> Result<IpNet, (String, String)> {
    let network = crate::document::parse_network(text)?;
    if let Some(block) = address::closed_block(network) {
        return Err((format!("`{text}` can never be opened: {block}"), "no override looks under the floor".to_owned()));
    }
    // A prefix this short is not a destination any more.
    let shortest = match network {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 24,
    };
    match network.prefix_len() < shortest {
        true => Err((format!("`{text}` is too much of the Internet"), format!("at least /{shortest}"))),
        false => Ok(network),
    }
}
