//! A world for tests: a small bundle around the rules of a test, and facts that a test changes one at a time.

use std::sync::Arc;

use jiff::Timestamp;

use crate::address::Floor;
use crate::decision::{Decision, Verdict};
use crate::facts::{Facts, Hello, Proof, Protocol, Resolved, ServerCertificate, Tls, Upstream};
use crate::host::Authority;
use crate::identity::Identity;
use crate::{Compiled, Diagnostic, PolicySet, SourceFile, compile};

pub(super) const NOW: &str = "2030-01-01T00:00:00Z";
pub(super) const WEB: &str = "spiffe://t.test/ns/web/sa/shop";

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.as_bytes().to_vec() }
}

const BUNDLE: &str = r#"
apiVersion: gatepass/v1
kind: Bundle
metadata: {id: test, owner: platform@t.test}
data_classes: [{id: public}, {id: internal}, {id: pii}]
lifetimes: {default: 365d, wildcard: 90d, data_classes: {pii: 30d}}
fragments:
  - {id: web, owner: web@t.test, scope: {identities: any, destinations: any, data_classes: any}}
  - id: wide
    owner: wide@t.test
    scope:
      identities: any
      destinations: {hosts: ["**.test", "test"], cidrs: ["0.0.0.0/0"]}
      data_classes: any
  - id: narrow
    owner: narrow@t.test
    scope:
      identities: ["spiffe://t.test/ns/web/**"]
      destinations: {hosts: ["**.narrow.test", "narrow.test"], cidrs: ["10.1.0.0/16"]}
      data_classes: [public, internal]
"#;

const WORKLOADS: &str = r#"
apiVersion: gatepass/v1
kind: Workloads
metadata: {id: workloads}
workloads:
  - {id: "spiffe://t.test/ns/web/sa/shop", labels: {env: prod}, data_classes: [public, internal], may_declare: [public]}
"#;

const CATALOGUE: &str = r#"
apiVersion: gatepass/v1
kind: Destinations
metadata: {id: catalogue}
destinations:
  - {hosts: ["api.test", "**.api.test"], tags: [signed]}
  - {hosts: ["*.api.test"], tags: [near]}
cidr_sets:
  - {id: lan, cidrs: ["10.1.2.0/24"], expires: "2030-03-01T00:00:00Z"}
"#;

/// The files of a bundle with these rules of the fragment `web`, and these guardrails.
pub(super) fn files(rules: &str, guardrails: &str) -> Vec<SourceFile> {
    let book = |kind: &str, id: &str, rules: &str| {
        format!("apiVersion: gatepass/v1\nkind: {kind}\nmetadata: {{id: {id}, owner: {id}@t.test}}\nrules:\n{rules}\n")
    };
    let mut files =
        vec![file("bundle.yaml", BUNDLE), file("workloads.yaml", WORKLOADS), file("catalogue.yaml", CATALOGUE)];
    if !rules.is_empty() {
        files.push(file("web.yaml", &book("Fragment", "web", rules)));
    }
    if !guardrails.is_empty() {
        files.push(file("guard.yaml", &book("Guardrails", "guard", guardrails)));
    }
    files
}

/// The same with the rules in the fragment `narrow`.
pub(super) fn narrow_files(rules: &str) -> Vec<SourceFile> {
    let text = format!("apiVersion: gatepass/v1\nkind: Fragment\nmetadata: {{id: narrow}}\nrules:\n{rules}\n");
    let mut files = files("", "");
    files.push(file("narrow.yaml", &text));
    files
}

#[track_caller]
pub(super) fn compiled(files: &[SourceFile]) -> Compiled {
    match compile(files, at(NOW)) {
        Ok(compiled) => compiled,
        Err(problems) => panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()),
    }
}

#[track_caller]
pub(super) fn policy(rules: &str, guardrails: &str) -> PolicySet {
    compiled(&files(rules, guardrails)).set
}

/// Problems as `file:line:column message`.
pub(super) fn problems(files: &[SourceFile]) -> Vec<String> {
    match compile(files, at(NOW)) {
        Ok(_) => Vec::new(),
        Err(found) => found.iter().map(place_and_message).collect(),
    }
}

pub(super) fn place_and_message(found: &Diagnostic) -> String {
    format!("{}:{}:{} {}", found.file, found.line, found.column, found.message)
}

/// An allow of everything that `allow` needs, with these fields in place of or beside the usual ones.
pub(super) fn allow(id: &str, destinations: &str, more: &str) -> String {
    let mut text =
        format!("  - id: {id}\n    action: allow\n    purpose: test\n    destinations: {{{destinations}}}\n");
    for (key, usual) in [
        ("identities", "    identities: [{id: \"spiffe://t.test/ns/web/sa/shop\"}]\n"),
        ("data_classes", "    data_classes: {at_most: [public, internal]}\n"),
        ("expires", "    expires: \"2030-02-01T00:00:00Z\"\n"),
    ] {
        let named = more.contains(&format!("{key}: ")) || (key == "identities" && more.contains("anyone"));
        if !named {
            text.push_str(usual);
        }
    }
    for line in more.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    text
}

pub(super) fn deny(id: &str, more: &str) -> String {
    let mut text = format!("  - id: {id}\n    action: deny\n    purpose: test\n");
    for line in more.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    text
}

/// What the shop asks for, at the request stage.
pub(super) fn asks(set: &PolicySet, to: &str) -> Facts {
    asks_as(set, WEB, to)
}

pub(super) fn asks_as(set: &PolicySet, id: &str, to: &str) -> Facts {
    let destination = Authority::parse(to.as_bytes()).unwrap();
    let identity = Identity::named(id);
    Facts {
        now: at(NOW),
        mode: "normal".into(),
        source: Some("192.0.2.9:40000".parse().unwrap()),
        listener: Some("test".into()),
        subject: set.subject(&identity, None).unwrap(),
        identity,
        tags: set.tags(&destination.host),
        destination,
        protocol: Protocol::Connect,
        request: None,
        floor: Arc::new(Floor::default()),
        resolved: None,
        tls: None,
        upstream: None,
    }
}

pub(super) fn resolved(facts: &Facts, answers: &[&str]) -> Facts {
    let answers = answers.iter().map(|ip| ip.parse().unwrap()).collect();
    let resolved = Resolved { answers, cname: Vec::new(), min_ttl: 60, secure: false };
    Facts { resolved: Some(resolved), ..facts.clone() }
}

pub(super) fn with_sni(facts: &Facts, sni: Option<&str>) -> Facts {
    let hello = Hello { sni: sni.map(str::to_owned), ..Hello::default() };
    Facts { tls: Some(Tls::Hello(hello)), ..facts.clone() }
}

/// A server that showed a certificate with these names, and whether it proves the host.
pub(super) fn shown(facts: &Facts, verified: bool, names: &[&str]) -> Facts {
    let certificate = ServerCertificate {
        proof: if verified { Proof::Verified } else { Proof::Unverified("no authority is known".into()) },
        dns_sans: Some(names.iter().map(ToString::to_string).collect()),
        issuer: Some("CN=test authority".to_owned()),
        spki_sha256: Some("00ff".to_owned()),
        not_after: Some(at("2030-03-01T00:00:00Z")),
        tls_version: Some("1.3".to_owned()),
    };
    Facts { upstream: Some(Arc::new(Upstream::Shown(certificate))), ..facts.clone() }
}

/// A server of which the probe got no certificate.
pub(super) fn nothing(facts: &Facts) -> Facts {
    Facts { upstream: Some(Arc::new(Upstream::Nothing("it does not speak TLS".into()))), ..facts.clone() }
}

/// `allow|deny reason rule at stage`, or `pending` and what it waits for.
pub(super) fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Allow(decision) | Verdict::Deny(decision) => {
            let rule = decision.rule.as_ref().map_or("-", |rule| &*rule.path);
            format!("{} {} {rule} at {}", decision.effect.as_str(), decision.reason, decision.stage)
        }
        Verdict::Pending(missing) => {
            let names: Vec<&str> = missing.iter().map(|attribute| attribute.row().name).collect();
            format!("pending {}", names.join(" "))
        }
    }
}

pub(super) fn decision(verdict: Verdict) -> Decision {
    match verdict {
        Verdict::Allow(decision) | Verdict::Deny(decision) => decision,
        Verdict::Pending(missing) => panic!("pending on {missing:?}"),
    }
}
