//! The world as a bundle, and questions as facts.

use std::fmt::Write;
use std::sync::Arc;

use gatepass_policy::address::Floor;
use gatepass_policy::facts::{Facts, Hello, Protocol, Resolved, Tls};
use gatepass_policy::host::Authority;
use gatepass_policy::identity::Identity;
use gatepass_policy::{Compiled, PolicySet, SourceFile, compile};

use crate::world::{self, END, FILE, Host, NOW, Question, Rule, Who};

const WORKLOADS: &str = r#"apiVersion: gatepass/v1
kind: Workloads
metadata: {id: workloads, owner: platform@corp.example}
workloads:
  - id: "spiffe://corp.example/ns/{namespace}/sa/{app}"
    labels: {team: "{namespace}", app: "{app}", env: prod}
    data_classes: [internal]
"#;

const GUARDRAILS: &str = r#"apiVersion: gatepass/v1
kind: Guardrails
metadata: {id: guard, owner: platform@corp.example}
rules:
  - id: names-agree
    action: deny
    purpose: what was asked for is what is spoken to
    lifted_by: []
    when: tls.present && tls.sni != destination.host
  - id: only-tls-on-443
    action: deny
    purpose: nothing but TLS on 443
    lifted_by: [exception, grant]
    when: destination.port == 443 && request.protocol != "http" && !tls.present
  - id: no-card-data
    action: deny
    purpose: card data has a way of its own
    lifted_by: [exception]
    data_classes: {any_of: [pci]}
"#;

/// The files of a bundle with so many rules.
pub fn files(rules: usize) -> Vec<SourceFile> {
    let numbers: Vec<usize> = (0..rules).collect();
    let teams: Vec<&[usize]> = numbers.chunks(FILE).collect();
    let mut bundle = String::from(
        "apiVersion: gatepass/v1\nkind: Bundle\nmetadata: {id: bench, owner: platform@corp.example}\n\
         data_classes: [{id: public}, {id: internal}, {id: pci}]\nlifetimes: {default: 730d, wildcard: 730d}\nfragments:\n",
    );
    for team in 0..teams.len() {
        let scope = format!("identities: [\"spiffe://corp.example/ns/team{team}/**\"], destinations: any");
        writeln!(bundle, "  - {{id: team{team}, scope: {{{scope}, data_classes: [public, internal]}}}}").unwrap();
    }
    let mut files =
        vec![file("bundle.yaml", bundle), file("workloads.yaml", WORKLOADS), file("guardrails.yaml", GUARDRAILS)];
    for (team, rules) in teams.into_iter().enumerate() {
        let mut text = format!(
            "apiVersion: gatepass/v1\nkind: Fragment\nmetadata: {{id: team{team}, owner: team{team}@corp.example}}\nrules:\n"
        );
        rules.iter().for_each(|number| write_rule(&mut text, &world::rule(*number)));
        files.push(file(&format!("teams/team{team}.yaml"), text));
    }
    files
}

/// The same, each allow with a condition that no other rule has.
pub fn files_with_conditions(rules: usize) -> Vec<SourceFile> {
    let condition = |line: &str, number: usize| match line.starts_with("    expires:") {
        true => format!("{line}\n    when: destination.port == 443 && tls.sni != \"elsewhere{number}.example\"\n"),
        false => format!("{line}\n"),
    };
    let plain = files(rules).into_iter();
    plain
        .enumerate()
        .map(|(at, plain)| {
            let text = String::from_utf8(plain.text).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with("    when: tls.sni"));
            let text: String = lines.enumerate().map(|(line, text)| condition(text, at * 10_000 + line)).collect();
            file(&plain.name, text)
        })
        .collect()
}

/// One file of a bundle.
pub fn file(name: &str, text: impl Into<String>) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.into().into_bytes() }
}

fn write_rule(text: &mut String, rule: &Rule) {
    let number = rule.number;
    let action = if rule.allow { "allow" } else { "deny" };
    let who = match &rule.who {
        Who::Workload(id) => format!("{{spiffe_id: \"{id}\"}}"),
        Who::Namespace(name) => format!("{{spiffe_id: \"spiffe://corp.example/ns/{name}/**\"}}"),
        Who::Labelled { app, env } => format!("{{labels: {{app: {app}, env: {env}}}}}"),
    };
    let hosts: Vec<String> = rule.hosts.iter().map(host).collect();
    write!(
        text,
        "  - id: rule-{number}\n    action: {action}\n    purpose: call what vendor {number} offers to the shop\n    \
         ticket: TEAM-{number}\n    identities: [{who}]\n    destinations: {{hosts: [{}], ports: [{}]}}\n",
        hosts.join(", "),
        rule.port
    )
    .unwrap();
    if rule.allow {
        write!(
            text,
            "    data_classes: {{at_most: [public, internal]}}\n    issued: \"2026-11-01T00:00:00Z\"\n    expires: \"{END}\"\n"
        )
        .unwrap();
    }
    if rule.condition {
        text.push_str("    when: tls.sni == destination.host && destination.port == 443\n");
    }
}

fn host(host: &Host) -> String {
    match host {
        Host::Exact(name) => format!("\"{name}\""),
        Host::Child(apex) => format!("\"*.{apex}\""),
        Host::Below(apex) => format!("\"**.{apex}\""),
    }
}

/// A bundle that must be good.
pub fn load(files: &[SourceFile]) -> PolicySet {
    let Compiled { set, warnings, .. } = compile(files, NOW.parse().unwrap())
        .unwrap_or_else(|problems| panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()));
    assert!(warnings.is_empty(), "{warnings:?}");
    set
}

/// The world, loaded.
pub fn set(rules: usize) -> PolicySet {
    load(&files(rules))
}

/// The same with one more port on one rule.
pub fn edited(rules: usize) -> PolicySet {
    let mut files = files(rules);
    let rule = format!("- id: rule-{}\n", world::middle(rules));
    let mut edits = 0;
    for file in &mut files {
        let text = String::from_utf8(file.text.clone()).unwrap();
        if let Some((before, after)) = text.split_once(&rule) {
            file.text = format!("{before}{rule}{}", after.replacen("ports: [443]", "ports: [443, 8443]", 1)).into_bytes();
            edits += 1;
        }
    }
    assert_eq!(edits, 1);
    load(&files)
}

/// A host that the rule in the middle allows.
pub fn allowed_host(rules: usize) -> String {
    world::question(world::middle(rules)).host
}

/// An identity that it allows.
pub fn allowed_id(rules: usize) -> String {
    world::question(world::middle(rules)).id()
}

/// The sample bundle of a company.
pub fn sample() -> Vec<SourceFile> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples/corp");
    let (mut open, mut files) = (vec![root.clone()], Vec::new());
    while let Some(directory) = open.pop() {
        for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                open.push(path);
            } else if name.ends_with(".yaml") {
                files.push(SourceFile { name, text: std::fs::read(path).unwrap() });
            }
        }
    }
    files
}

/// Everything that is known at the last stage.
pub fn facts(set: &PolicySet, question: &Question) -> Facts {
    let identity = Identity::named(&question.id());
    let destination = Authority::parse(format!("{}:{}", question.host, question.port).as_bytes()).unwrap();
    let versions = vec!["1.3".to_owned(), "1.2".to_owned()];
    let hello = Hello { sni: Some(question.host.clone()), versions, ..Hello::default() };
    Facts {
        now: NOW.parse().unwrap(),
        mode: "normal".into(),
        source: Some("192.0.2.9:40000".parse().unwrap()),
        listener: Some("mesh".into()),
        subject: set.subject(&identity, None).unwrap(),
        identity,
        tags: set.tags(&destination.host),
        destination,
        protocol: Protocol::Connect,
        request: None,
        floor: Arc::new(Floor::default()),
        resolved: Some(Resolved {
            answers: vec!["93.184.216.34".parse().unwrap()],
            cname: Vec::new(),
            min_ttl: 60,
            secure: false,
        }),
        tls: Some(Tls::Hello(hello)),
        upstream: None,
    }
}
