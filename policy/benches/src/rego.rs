//! The world as data for a Rego policy that looks rules up by host in a hash, the way Rego wants it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;

use regorus::{Engine, Value};

use crate::cedar::world_parents;
use crate::world::{self, END, Host, NOW, Question, Rule, Who};

pub struct Rego(RefCell<Engine>);

const POLICY: &str = r#"
package gatepass

default allow := false

allow if {
    not denied
    some rule in candidates
    rule.action == "allow"
    holds(rule)
    input.now < rule.expires
    every class in input.classes { class in rule.classes }
}

denied if {
    input.tls.present
    input.tls.sni != input.host
}

denied if {
    input.port == 443
    input.protocol != "http"
    not input.tls.present
}

denied if "pci" in input.classes

denied if {
    some rule in candidates
    rule.action == "deny"
    holds(rule)
}

candidates contains rule if some rule in data.exact[input.host]

candidates contains rule if some rule in data.child[input.parents[0]]

candidates contains rule if {
    some parent in input.parents
    some rule in data.below[parent]
}

holds(rule) if {
    input.port in rule.ports
    who(rule)
    condition(rule)
}

who(rule) if rule.id == input.id

who(rule) if startswith(input.id, rule.prefix)

who(rule) if {
    rule.labels
    every key, value in rule.labels { input.labels[key] == value }
}

condition(rule) if not rule.condition

condition(rule) if {
    rule.condition
    input.tls.sni == input.host
    input.port == 443
}
"#;

impl Rego {
    pub fn new(rules: usize) -> Rego {
        let mut indices: [BTreeMap<String, Vec<String>>; 3] = Default::default();
        for rule in (0..rules).map(world::rule) {
            let text = json(&rule);
            for host in &rule.hosts {
                let (index, key) = match host {
                    Host::Exact(name) => (0, name),
                    Host::Child(apex) => (1, apex),
                    Host::Below(apex) => (2, apex),
                };
                indices[index].entry(key.clone()).or_default().push(text.clone());
            }
        }
        let mut data = String::from("{");
        for (name, index) in ["exact", "child", "below"].iter().zip(&indices) {
            let entries: Vec<String> =
                index.iter().map(|(key, rules)| format!("{key:?}: [{}]", rules.join(", "))).collect();
            write!(data, "{name:?}: {{{}}},", entries.join(", ")).unwrap();
        }
        data.pop();
        data.push('}');
        let mut engine = Engine::new();
        engine.add_policy("gatepass.rego".to_owned(), POLICY.to_owned()).unwrap();
        engine.add_data(Value::from_json_str(&data).unwrap()).unwrap();
        Rego(RefCell::new(engine))
    }

    pub fn ask(question: &Question) -> Value {
        let parents: Vec<String> = world_parents(&question.host).map(|parent| format!("{parent:?}")).collect();
        let text = format!(
            r#"{{"id": {:?}, "labels": {{"team": {:?}, "app": {:?}, "env": "prod"}}, "host": {:?}, "parents": [{}],
                "port": {}, "protocol": "connect", "classes": ["internal"], "now": {NOW:?},
                "tls": {{"present": true, "sni": {:?}}}}}"#,
            question.id(),
            question.namespace,
            question.app,
            question.host,
            parents.join(", "),
            question.port,
            question.host
        );
        Value::from_json_str(&text).unwrap()
    }

    pub fn allows(&self, input: &Value) -> bool {
        let mut engine = self.0.borrow_mut();
        engine.set_input(input.clone());
        engine.eval_rule("data.gatepass.allow".to_owned()).unwrap() == Value::from(true)
    }
}

fn json(rule: &Rule) -> String {
    let who = match &rule.who {
        Who::Workload(id) => format!("\"id\": {id:?}"),
        Who::Namespace(name) => format!("\"prefix\": \"spiffe://corp.example/ns/{name}/\""),
        Who::Labelled { app, env } => format!("\"labels\": {{\"app\": {app:?}, \"env\": {env:?}}}"),
    };
    let condition = if rule.condition { ", \"condition\": true" } else { "" };
    format!(
        "{{{who}, \"action\": {:?}, \"ports\": [{}], \"classes\": [\"public\", \"internal\"], \"expires\": {END:?}{condition}}}",
        if rule.allow { "allow" } else { "deny" },
        rule.port
    )
}
