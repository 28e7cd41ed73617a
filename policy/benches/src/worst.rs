//! Bundles that are shaped badly on purpose: everything in one place.

use gatepass_policy::SourceFile;

use crate::gatepass::{file, files};
use crate::world::{self, END, Question};

/// Two rules under `count` guardrails without a key, of which each is judged in every decision.
pub fn guardrails(count: usize) -> Vec<SourceFile> {
    // Three are there already.
    let rules = (3..count).map(|number| {
        format!(
            "  - id: g{number}\n    action: deny\n    purpose: a test\n    when: tls.ech && tls.sni == \"x{number}.example\"\n"
        )
    });
    let text = format!("{}{}", head("Guardrails", "more"), rules.collect::<String>());
    files(2).into_iter().chain([file("more.yaml", text)]).collect()
}

/// `count` rules of one host, each for another workload.
pub fn one_host(count: usize) -> Vec<SourceFile> {
    let identity = |number: usize| format!("spiffe_id: \"spiffe://corp.example/ns/team0/sa/app{number}\"");
    fragment((0..count).map(|number| allow(number, &identity(number), "api.vendor.example")))
}

/// The same by labels, so that the identity is no key: the last rule is the one.
pub fn one_host_by_labels(count: usize) -> Vec<SourceFile> {
    let labels = |number: usize| format!("labels: {{app: app{}, env: prod}}", count - 1 - number);
    fragment((0..count).map(|number| allow(number, &labels(number), "api.vendor.example")))
}

/// A wildcard at every depth of a name of so many labels.
pub fn deep(labels: usize) -> Vec<SourceFile> {
    let name = deep_name(labels);
    let apexes = std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.'));
    let patterns: Vec<String> =
        apexes.map(|(_, apex)| format!("**.{apex}")).filter(|p| p.matches('.').count() > 2).collect();
    let identity = "spiffe_id: \"spiffe://corp.example/ns/team0/sa/app0\"";
    fragment(patterns.iter().enumerate().map(|(number, pattern)| allow(number, identity, pattern)))
}

/// `a.a.….example`
pub fn deep_name(labels: usize) -> String {
    format!("{}example", "a.".repeat(labels - 1))
}

/// What the workload of rule 0 asks for.
pub fn question(host: &str) -> Question {
    Question { host: host.to_owned(), ..world::question(0) }
}

fn allow(number: usize, identity: &str, host: &str) -> String {
    format!(
        "  - id: r{number}\n    action: allow\n    purpose: a test\n    identities: [{{{identity}}}]\n    \
         destinations: {{hosts: [\"{host}\"], ports: [443]}}\n    data_classes: {{at_most: [public, internal]}}\n    expires: \"{END}\"\n"
    )
}

fn fragment(rules: impl Iterator<Item = String>) -> Vec<SourceFile> {
    let text = format!("{}{}", head("Fragment", "team0"), rules.collect::<String>());
    let others = files(1).into_iter().filter(|file| !file.name.starts_with("teams/"));
    others.chain([file("team0.yaml", text)]).collect()
}

fn head(kind: &str, id: &str) -> String {
    format!("apiVersion: gatepass/v1\nkind: {kind}\nmetadata: {{id: {id}, owner: platform@corp.example}}\nrules:\n")
}
