//! A draft as the files of a bundle: the spelling that a person would choose, each rule with the line it came from.

use std::fmt::Write as _;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::Options;
use super::draft::{Body, Draft, Entry, Fragment, Rule, Who};
use crate::desugar::quoted;
use crate::pattern::{HostPattern, IdentityPattern};
use crate::source::SourceFile;

const DAY: i64 = 24 * 3600;

/// The files of the draft; none of an empty one.
pub(super) fn files(draft: &Draft, options: &Options) -> Vec<SourceFile> {
    if draft.rules() == 0 {
        return Vec::new();
    }
    let dates = Dates::of(options);
    let mut files = vec![("bundle.yaml".to_owned(), bundle(draft, options, &dates))];
    if !draft.workloads.is_empty() {
        files.push(("workloads.yaml".to_owned(), workloads(draft, options)));
    }
    if !draft.guardrails.is_empty() {
        files.push(("guardrails.yaml".to_owned(), guardrails(draft, options, &dates)));
    }
    for fragment in &draft.fragments {
        if !fragment.rules.is_empty() {
            files.push((format!("teams/{}.yaml", fragment.id), team(fragment, options, &dates)));
        }
    }
    files.into_iter().map(|(name, text)| SourceFile { name, text: text.into_bytes() }).collect()
}

struct Dates {
    issued: String,
    expires: String,
    ceiling: String,
}

impl Dates {
    fn of(options: &Options) -> Dates {
        let second = |moment: Timestamp| format!("{moment:.0}");
        let length = options.expires_in.as_secs();
        // Whole days are counted from midnight: that is what a person would write.
        let from = match length % DAY {
            0 => Timestamp::from_second(options.now.as_second() - options.now.as_second().rem_euclid(DAY)),
            _ => Timestamp::from_second(options.now.as_second()),
        };
        let from = from.unwrap_or(options.now);
        let end = from.checked_add(SignedDuration::from_secs(length)).unwrap_or(Timestamp::MAX);
        let ceiling = if length % DAY == 0 { format!("{}d", length / DAY) } else { format!("{length}s") };
        Dates { issued: second(from), expires: second(end), ceiling }
    }
}

fn head(kind: &str, id: &str, owner: Option<&str>) -> String {
    let owner = owner.map(|owner| format!(", owner: {}", quoted(owner))).unwrap_or_default();
    format!("apiVersion: gatepass/v1\nkind: {kind}\nmetadata: {{id: {id}{owner}}}\n")
}

/// Guardrails alone are no bundle; the scope is one that gives nothing.
const NO_FRAGMENT: &str =
    "  # No allow was carried over. A bundle has at least one fragment: fill in its name and scope.
  - id: fill-in
    scope: {identities: [\"token:fill-in\"], destinations: {hosts: [\"fill-in.invalid\"]}, data_classes: [unclassified]}
";

fn bundle(draft: &Draft, options: &Options, dates: &Dates) -> String {
    let mut text = format!("# Imported from {}. What it could not take over was told at the import.\n", draft.source);
    text.push_str(&head("Bundle", "imported", options.owner.as_deref()));
    text.push_str("data_classes:\n");
    for class in &options.data_classes {
        let _ = writeln!(text, "  - {{id: {class}}}");
    }
    let _ = writeln!(text, "lifetimes: {{default: {}}}\nfragments:", dates.ceiling);
    let filled = draft.fragments.iter().filter(|fragment| !fragment.rules.is_empty());
    let mut any = false;
    for fragment in filled {
        any = true;
        let _ = writeln!(text, "  - id: {}", fragment.id);
        if let Some(owner) = &fragment.owner {
            let _ = writeln!(text, "    owner: {}", quoted(owner));
        }
        let _ = writeln!(text, "    scope:\n      identities: {}", scope_identities(fragment));
        let _ = writeln!(text, "      destinations: {}", scope_destinations(fragment));
        let _ = writeln!(text, "      data_classes: [{}]", options.data_classes.join(", "));
    }
    if !any {
        text.push_str(NO_FRAGMENT);
    }
    text
}

fn scope_identities(fragment: &Fragment) -> String {
    let mut ids: Vec<String> = Vec::new();
    for rule in &fragment.rules {
        match &rule.body.who {
            Who::Anyone => return "any".to_owned(),
            Who::Among(entries) => ids.extend(entries.iter().map(|entry| quoted(&entry.id.to_string()))),
        }
    }
    listed(ids)
}

fn scope_destinations(fragment: &Fragment) -> String {
    let bodies = || fragment.rules.iter().map(|rule| &rule.body);
    let hosts = bodies().flat_map(|body| &body.hosts).map(|host| quoted(&host.to_string())).collect();
    let cidrs = bodies().flat_map(|body| &body.cidrs).map(|cidr| quoted(&cidr.to_string())).collect();
    places(hosts, cidrs)
}

fn places(hosts: Vec<String>, cidrs: Vec<String>) -> String {
    match (hosts.is_empty(), cidrs.is_empty()) {
        (_, true) => format!("{{hosts: {}}}", listed(hosts)),
        (true, false) => format!("{{cidrs: {}}}", listed(cidrs)),
        (false, false) => format!("{{hosts: {}, cidrs: {}}}", listed(hosts), listed(cidrs)),
    }
}

fn listed(mut items: Vec<String>) -> String {
    items.sort();
    items.dedup();
    format!("[{}]", items.join(", "))
}

fn workloads(draft: &Draft, options: &Options) -> String {
    let mut text = head("Workloads", "workloads", options.owner.as_deref());
    text.push_str("workloads:\n");
    let classes = options.data_classes.join(", ");
    for workload in &draft.workloads {
        let (key, value) = workload.label;
        let id = quoted(&workload.id.to_string());
        let _ = writeln!(text, "  - {{id: {id}, labels: {{{key}: {value}}}, data_classes: [{classes}]}}");
    }
    text
}

fn guardrails(draft: &Draft, options: &Options, dates: &Dates) -> String {
    let mut text = head("Guardrails", "guard", options.owner.as_deref());
    text.push_str("rules:\n");
    for rule in &draft.guardrails {
        begin(&mut text, rule, "deny");
        let _ = writeln!(text, "    lifted_by: []\n    review_by: \"{}\"", dates.expires);
        body(&mut text, &rule.body, Side::Deny);
    }
    text
}

fn team(fragment: &Fragment, options: &Options, dates: &Dates) -> String {
    let mut text = head("Fragment", &fragment.id, fragment.owner.as_deref());
    text.push_str("rules:\n");
    for rule in &fragment.rules {
        begin(&mut text, rule, "allow");
        body(&mut text, &rule.body, Side::Allow);
        let _ = writeln!(text, "    data_classes: {{at_most: [{}]}}", options.data_classes.join(", "));
        let _ = writeln!(text, "    issued: \"{}\"\n    expires: \"{}\"", dates.issued, dates.expires);
    }
    text
}

fn begin(text: &mut String, rule: &Rule, action: &str) {
    let _ = writeln!(text, "  # {}", rule.spot);
    let _ = writeln!(text, "  - id: {}\n    action: {action}\n    purpose: {}", rule.id, quoted(&rule.purpose));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Allow,
    Deny,
}

fn body(text: &mut String, body: &Body, side: Side) {
    match (&body.who, side) {
        (Who::Anyone, Side::Allow) => text.push_str("    anyone: true\n"),
        (Who::Anyone, Side::Deny) => {}
        (Who::Among(entries), _) => {
            let entries: Vec<String> = entries.iter().map(entry).collect();
            let _ = writeln!(text, "    identities: [{}]", entries.join(", "));
        }
    }
    let hosts = |hosts: &[HostPattern]| hosts.iter().map(|host| quoted(&host.to_string())).collect::<Vec<_>>();
    let cidrs = |cidrs: &[IpNet]| cidrs.iter().map(|cidr| quoted(&cidr.to_string())).collect::<Vec<_>>();
    let mut keys = Vec::new();
    if !body.hosts.is_empty() {
        keys.push(format!("hosts: {}", listed(hosts(&body.hosts))));
    }
    if !body.cidrs.is_empty() {
        keys.push(format!("cidrs: {}", listed(cidrs(&body.cidrs))));
    }
    if !body.ports.is_empty() {
        let ports: Vec<String> = body.ports.iter().map(u16::to_string).collect();
        keys.push(format!("ports: [{}]", ports.join(", ")));
    }
    if !keys.is_empty() {
        let _ = writeln!(text, "    destinations: {{{}}}", keys.join(", "));
    }
    if let Some(when) = &body.when {
        let _ = writeln!(text, "    when: {}", quoted(when));
    }
}

fn entry(entry: &Entry) -> String {
    let id = selector(&entry.id);
    match entry.label {
        Some((key, value)) => format!("{{{id}, labels: {{{key}: {value}}}}}"),
        None => format!("{{{id}}}"),
    }
}

fn selector(id: &IdentityPattern) -> String {
    let key = if id.is_spiffe() { "spiffe_id" } else { "id" };
    format!("{key}: {}", quoted(&id.to_string()))
}
