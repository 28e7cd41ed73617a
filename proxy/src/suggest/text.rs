//! A suggestion as the YAML of a fragment. Whatever a record said stands between quotes, escaped, or in a comment from
//! which it cannot break out.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Asked, LeftOut, Part, Rule, Suggestion, Times};
use crate::evidence::questions::row::moment;

/// What stands where an owner belongs, so that the file is refused until there is one.
const NOBODY: &str = "TODO: write who answers for these rules";

/// The file.
pub fn write(asked: &Asked, suggestion: &Suggestion) -> String {
    let mut text = String::new();
    head(asked, suggestion, &mut text);
    let id = quoted(&asked.fragment);
    let owner = quoted(asked.owner.as_deref().unwrap_or(NOBODY));
    line(
        &mut text,
        format_args!("apiVersion: gatepass/v1\nkind: Fragment\nmetadata: {{id: {id}, owner: {owner}}}\nrules:"),
    );
    for one in &suggestion.rules {
        rule(one, &mut text);
    }
    left_out(&suggestion.left_out, &mut text);
    if suggestion.listed != Some(true) {
        scope(asked, suggestion, &mut text);
    }
    text
}

/// What is not suggested and why, a line each.
pub fn left_out(parts: &std::collections::BTreeMap<LeftOut, Part>, text: &mut String) {
    if parts.is_empty() {
        return;
    }
    line(text, format_args!("# Not suggested:"));
    for (why, part) in parts {
        let mut examples: Vec<String> = part.examples.iter().map(|example| plain(example)).collect();
        if examples.len() > 7 {
            examples.truncate(7);
            examples.push("…".to_owned());
        }
        let examples = if examples.is_empty() { String::new() } else { format!(" ({})", examples.join(", ")) };
        line(text, format_args!("#   {} times: {}{examples}", part.times, why.sentence()));
    }
}

impl LeftOut {
    /// Why, for people.
    fn sentence(&self) -> String {
        match self {
            LeftOut::Allowed => "the bundle allows it already, as far as the records tell".to_owned(),
            LeftOut::Denied(by) => format!("{} denies it, whatever is allowed", plain(by)),
            LeftOut::Closed => {
                "an address that no rule opens: metadata, loopback, reserved, the gateway's own".to_owned()
            }
            LeftOut::Private => "a private address; --private names each".to_owned(),
            LeftOut::Anonymous => "no credentials were shown, and the gateway asked for some".to_owned(),
            LeftOut::NotOfPolicy => "not refused by the policy, or it failed: no rule would help".to_owned(),
            LeftOut::Unnamed => "a name on the record cannot stand in a rule".to_owned(),
            LeftOut::Outside(why) => plain(why),
            LeftOut::TooMuch => {
                "more different destinations than are kept: ask for less, with --for or --since".to_owned()
            }
        }
    }
}

fn head(asked: &Asked, suggestion: &Suggestion, text: &mut String) {
    let seen = suggestion.seen.map_or_else(|| "no decisions".to_owned(), |seen| observed(seen, "decisions"));
    line(text, format_args!("# Suggested by `gatepass suggest` from {seen}."));
    line(text, format_args!("# For review: it allows what was observed, and nobody has said yet that this was right."));
    if asked.owner.is_none() {
        line(text, format_args!("# `gatepass check` refuses it until `owner` says who answers for it."));
    }
}

fn rule(rule: &Rule, text: &mut String) {
    line(text, format_args!("  # observed {}", observed(rule.seen, "times")));
    for (pattern, names) in &rule.patterns {
        line(
            text,
            format_args!("  # {pattern} stands for {names} names that were observed, and for all others like them"),
        );
    }
    if rule.private {
        line(text, format_args!("  # PRIVATE: this opens addresses that the floor keeps shut otherwise"));
    }
    if rule.identities.iter().any(|id| id == gatepass_policy::identity::ANONYMOUS) {
        line(text, format_args!("  # ANONYMOUS: this is for whoever shows no credentials"));
    }
    line(text, format_args!("  - id: {}\n    action: allow", quoted(&rule.id)));
    let purpose = format!("observed {}; say what for", observed(rule.seen, "times"));
    line(text, format_args!("    purpose: {}\n    identities:", quoted(&purpose)));
    for id in &rule.identities {
        let key = if id.starts_with("spiffe://") { "spiffe_id" } else { "id" };
        line(text, format_args!("      - {key}: {}", quoted(id)));
    }
    line(text, format_args!("    destinations:"));
    for (key, entries) in [("hosts", &rule.hosts), ("cidrs", &rule.cidrs)] {
        if !entries.is_empty() {
            line(text, format_args!("      {key}: [{}]", list(entries)));
        }
    }
    let ports: Vec<String> = rule.ports.iter().map(ToString::to_string).collect();
    line(text, format_args!("      ports: [{}]", ports.join(", ")));
    line(text, format_args!("    data_classes: {{at_most: [{}]}}", list(&rule.classes)));
    if rule.declared {
        line(text, format_args!("    trust_declared: true"));
    }
    line(text, format_args!("    expires: \"{}\"", seconds(rule.expires)));
}

/// What the bundle must say for the fragment to load: a scope that is as narrow as the rules are.
fn scope(asked: &Asked, suggestion: &Suggestion, text: &mut String) {
    let of = |each: fn(&Rule) -> &[String]| {
        let mut all: Vec<String> = suggestion.rules.iter().flat_map(|rule| each(rule).iter().cloned()).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    line(text, format_args!("# A bundle takes it where `bundle.yaml` lists it under `fragments`, such as:"));
    line(text, format_args!("#   - id: {}\n#     scope:", quoted(&asked.fragment)));
    line(text, format_args!("#       identities: [{}]", list(&of(|rule| &rule.identities))));
    let places = [("hosts", of(|rule| &rule.hosts)), ("cidrs", of(|rule| &rule.cidrs))];
    let places: Vec<String> = places
        .iter()
        .filter(|(_, entries)| !entries.is_empty())
        .map(|(key, entries)| format!("{key}: [{}]", list(entries)))
        .collect();
    line(text, format_args!("#       destinations: {{{}}}", places.join(", ")));
    line(text, format_args!("#       data_classes: [{}]", list(&of(|rule| &rule.classes))));
}

fn observed(seen: Times, what: &str) -> String {
    let time = |at| seconds(moment(at));
    format!("{} {what}, {} to {}", seen.times, time(seen.first), time(seen.last))
}

fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{what}");
}

fn list(entries: &[String]) -> String {
    entries.iter().map(|entry| quoted(entry)).collect::<Vec<_>>().join(", ")
}

/// A double-quoted scalar (YAML 1.2, section 7.3.1): printable ASCII as it is, everything else escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Text in a comment: one line of printable ASCII, whatever it was.
fn plain(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).take(300).collect()
}
