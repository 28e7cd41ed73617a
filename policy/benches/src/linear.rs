//! The world as CEL programs, one for each rule, interpreted one after the other with the crate's interpreter. Functions and
//! variables are made once and shared, and nothing is a regex, which the crate would compile in each evaluation.

use std::collections::HashMap;

use cel::{Context, Program, Value};

use crate::world::{self, CLASSES, END, Host, NOW, Question, Rule, Who};

/// Denies first, then allows, as the decision takes them.
pub struct Linear {
    denies: Vec<Program>,
    allows: Vec<Program>,
    /// Functions and nothing else: made once, and shared by every question.
    functions: Context<'static, 'static>,
}

/// A question as variables.
pub struct Variables(Vec<(&'static str, Value)>);

impl Linear {
    pub fn new(rules: usize) -> Linear {
        let mut denies: Vec<Program> = GUARDRAILS.iter().map(|text| Program::compile(text).unwrap()).collect();
        let mut allows = Vec::new();
        for rule in (0..rules).map(world::rule) {
            let program = Program::compile(&expression(&rule)).unwrap();
            if rule.allow { allows.push(program) } else { denies.push(program) }
        }
        Linear { denies, allows, functions: Context::default() }
    }

    pub fn variables(question: &Question) -> Variables {
        let labels = [("team", &*question.namespace), ("app", &question.app), ("env", "prod")];
        let now = Program::compile(&format!("timestamp('{NOW}')")).unwrap().execute(&Context::default()).unwrap();
        let identity =
            map([("id", question.id().into()), ("labels", map(labels.map(|(k, v)| (k, v.to_owned().into()))))]);
        let parent = question.host.split_once('.').map_or("", |(_, parent)| parent);
        let destination = map([
            ("host", question.host.clone().into()),
            ("parent", parent.to_owned().into()),
            ("port", Value::Int(i64::from(question.port))),
        ]);
        let tls = map([("present", Value::Bool(true)), ("sni", question.host.clone().into())]);
        let request = map([("protocol", "connect".to_owned().into())]);
        let classes = Value::from(vec![Value::from(CLASSES[1].to_owned())]);
        let all = [
            ("identity", identity),
            ("destination", destination),
            ("tls", tls),
            ("request", request),
            ("data_classes", classes),
            ("now", now),
        ];
        Variables(all.into())
    }

    pub fn allows(&self, variables: &Variables) -> bool {
        let mut context = self.functions.new_inner_scope();
        for (name, value) in &variables.0 {
            context.add_variable_from_value(*name, value.clone());
        }
        let holds = |program: &Program| matches!(program.execute(&context), Ok(Value::Bool(true)));
        !self.denies.iter().any(holds) && self.allows.iter().any(holds)
    }
}

const GUARDRAILS: [&str; 3] = [
    "tls.present && tls.sni != destination.host",
    "destination.port == 443 && request.protocol != \"http\" && !tls.present",
    "data_classes.exists(c, c == \"pci\")",
];

/// The cheapest first, as somebody would write it who knows that they are taken one by one.
fn expression(rule: &Rule) -> String {
    let hosts: Vec<String> = rule.hosts.iter().map(host).collect();
    let who = match &rule.who {
        Who::Workload(id) => format!("identity.id == {id:?}"),
        Who::Namespace(name) => format!("identity.id.startsWith(\"spiffe://corp.example/ns/{name}/\")"),
        Who::Labelled { app, env } => format!("identity.labels.app == {app:?} && identity.labels.env == {env:?}"),
    };
    let mut text = format!("({}) && {who} && destination.port == {}", hosts.join(" || "), rule.port);
    if rule.allow {
        text.push_str(" && data_classes.all(c, c in [\"public\", \"internal\"]) && ");
        text.push_str(&format!("now < timestamp({END:?})"));
    }
    if rule.condition {
        text.push_str(" && tls.sni == destination.host && destination.port == 443");
    }
    text
}

fn host(host: &Host) -> String {
    match host {
        Host::Exact(name) => format!("destination.host == {name:?}"),
        Host::Child(apex) => format!("destination.parent == {apex:?}"),
        Host::Below(apex) => format!("destination.host.endsWith(\".{apex}\")"),
    }
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::from(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<HashMap<String, Value>>())
}
