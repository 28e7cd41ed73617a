//! Bundles for tests: the platform's files, and whatever rules a scenario needs.

use std::fmt::Write as _;

/// A bundle in the making.
#[derive(Clone, Debug)]
pub struct Bundle {
    guardrails: String,
    rules: String,
    workloads: String,
    destinations: String,
    platform: String,
}

/// The guardrail of the quickstart: what is asked for is what is spoken to.
pub const NAMES_AGREE: &str = r#"  - id: names-agree
    action: deny
    purpose: "what was asked for is what is spoken to"
    lifted_by: []
    when: tls.present && tls.sni != destination.host
  - id: only-tls-in-tunnels
    action: deny
    purpose: "a tunnel carries TLS and nothing else"
    lifted_by: []
    when: request.protocol == "connect" && !tls.present
"#;

impl Bundle {
    /// No rule at all: everything is denied.
    pub fn new() -> Bundle {
        Bundle {
            guardrails: String::new(),
            rules: String::new(),
            workloads: String::new(),
            destinations: String::new(),
            platform: String::new(),
        }
    }

    /// Demand that SNI and host agree, and that tunnels carry TLS.
    #[must_use]
    pub fn agreement(mut self) -> Bundle {
        self.guardrails.push_str(NAMES_AGREE);
        self
    }

    /// Anyone may reach `host` on `ports`, which lies on loopback. The rule is `team/ID`.
    #[must_use]
    pub fn allow(self, id: &str, host: &str, ports: &[u16]) -> Bundle {
        self.allow_from(id, "anyone: true", host, ports)
    }

    /// These identities may reach `host` on `ports`, which lies on loopback.
    #[must_use]
    pub fn allow_from(mut self, id: &str, identities: &str, host: &str, ports: &[u16]) -> Bundle {
        write!(
            self.rules,
            "  - id: {id}\n    action: allow\n    purpose: a test\n    {identities}\n    destinations: {{hosts: [\"{host}\"], cidr_sets: [loopback], ports: {ports:?}}}\n    data_classes: {{at_most: [unclassified, public, internal]}}\n    expires: \"{}\"\n",
            in_hours(24)
        )
        .unwrap();
        self
    }

    /// A rule of the fragment `team`, as written, indented by two.
    #[must_use]
    pub fn rule(mut self, text: &str) -> Bundle {
        self.rules.push_str(text);
        self
    }

    /// A guardrail of `guard`, as written, indented by two.
    #[must_use]
    pub fn guardrail(mut self, text: &str) -> Bundle {
        self.guardrails.push_str(text);
        self
    }

    /// Entries of the workload registry, as written, indented by two.
    #[must_use]
    pub fn workloads(mut self, text: &str) -> Bundle {
        self.workloads.push_str(text);
        self
    }

    /// Entries of the catalogue, as written, indented by two.
    #[must_use]
    pub fn destinations(mut self, text: &str) -> Bundle {
        self.destinations.push_str(text);
        self
    }

    /// Further keys of `bundle.yaml`, as written.
    #[must_use]
    pub fn platform(mut self, text: &str) -> Bundle {
        self.platform.push_str(text);
        self
    }

    /// The files, name and text.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let head = |kind: &str, id: &str| {
            format!("apiVersion: gatepass/v1\nkind: {kind}\nmetadata: {{id: {id}, owner: owner@example.com}}\n")
        };
        let list = |key: &str, text: &str| if text.is_empty() { String::new() } else { format!("{key}:\n{text}") };
        let bundle = head("Bundle", "corp")
            + "data_classes:\n  - {id: unclassified, description: \"not labelled\"}\n  - {id: public, description: \"may be published\"}\n  - {id: internal, description: \"for the company\"}\n  - {id: pci, description: \"card data\"}\nlifetimes: {default: 365d, wildcard: 365d}\nfragments:\n  - id: team\n    owner: team@example.com\n    scope:\n      identities: any\n      destinations: any\n      data_classes: any\n      egress_points: [direct]\n";
        let sets = "cidr_sets:\n  - {id: loopback, cidrs: [\"127.0.0.0/8\", \"::1/128\"], owner: owner@example.com}\n";
        let mut files = vec![
            ("bundle.yaml", bundle + &self.platform),
            ("destinations.yaml", head("Destinations", "catalogue") + &list("destinations", &self.destinations) + sets),
        ];
        if !self.rules.is_empty() {
            files.push(("teams/team.yaml", head("Fragment", "team") + &list("rules", &self.rules)));
        }
        if !self.guardrails.is_empty() {
            files.push(("guardrails.yaml", head("Guardrails", "guard") + &list("rules", &self.guardrails)));
        }
        if !self.workloads.is_empty() {
            files.push(("workloads.yaml", head("Workloads", "workloads") + &list("workloads", &self.workloads)));
        }
        files
    }
}

impl Default for Bundle {
    fn default() -> Bundle {
        Bundle::new()
    }
}

/// A moment so many hours from now, as bundles write it.
pub fn in_hours(hours: i64) -> String {
    let moment = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
    format!("{moment:.0}")
}
