//! The world as Cedar policies: workloads are principals with labels, hosts are resources, the rest is context.
//!
//! What a host lies below is given in the context, as a caller would do it, since Cedar's `like` knows no labels.

use std::fmt::Write;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};

use crate::world::{self, END, Host, NOW, Question, Rule, Who};

pub struct Cedar {
    policies: PolicySet,
    authorizer: Authorizer,
}

/// A request, with the entity of who asks.
pub struct Asked {
    request: Request,
    entities: Entities,
}

const GUARDRAILS: &str = r#"
forbid(principal, action, resource) when { context.tls.present && context.tls.sni != context.host };
forbid(principal, action, resource) when { context.port == 443 && context.protocol != "http" && !context.tls.present };
forbid(principal, action, resource) when { context.classes.contains("pci") };
"#;

impl Cedar {
    pub fn new(rules: usize) -> Cedar {
        let mut text = GUARDRAILS.to_owned();
        (0..rules).for_each(|number| write_rule(&mut text, &world::rule(number)));
        Cedar { policies: text.parse().unwrap(), authorizer: Authorizer::new() }
    }

    pub fn ask(question: &Question) -> Asked {
        let uid = |kind: &str, id: &str| -> EntityUid { format!("{kind}::{id:?}").parse().unwrap() };
        let parents: Vec<String> = world_parents(&question.host).map(|parent| format!("{parent:?}")).collect();
        let context = format!(
            r#"{{"host": {:?}, "parent": {}, "parents": [{}], "port": {}, "protocol": "connect",
                "classes": ["internal"], "now": {{"__extn": {{"fn": "datetime", "arg": {NOW:?}}}}},
                "tls": {{"present": true, "sni": {:?}}}}}"#,
            question.host,
            parents[0],
            parents.join(", "),
            question.port,
            question.host
        );
        let entity = format!(
            r#"[{{"uid": {{"type": "Workload", "id": {:?}}}, "parents": [{{"type": "Namespace", "id": {:?}}}],
                "attrs": {{"team": {:?}, "app": {:?}, "env": "prod"}}}}]"#,
            question.id(),
            question.namespace,
            question.namespace,
            question.app
        );
        let request = Request::new(
            uid("Workload", &question.id()),
            uid("Action", "connect"),
            uid("Host", &question.host),
            Context::from_json_str(&context, None).unwrap(),
            None,
        );
        Asked { request: request.unwrap(), entities: Entities::from_json_str(&entity, None).unwrap() }
    }

    pub fn allows(&self, asked: &Asked) -> bool {
        let answer = self.authorizer.is_authorized(&asked.request, &self.policies, &asked.entities);
        answer.decision() == Decision::Allow
    }
}

/// What a name lies below, the nearest first.
pub fn world_parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.split_once('.').map(|(_, parent)| parent), |name| {
        name.split_once('.').map(|(_, parent)| parent)
    })
}

fn write_rule(text: &mut String, rule: &Rule) {
    let effect = if rule.allow { "permit" } else { "forbid" };
    let (principal, labels) = match &rule.who {
        Who::Workload(id) => (format!("principal == Workload::{id:?}"), String::new()),
        Who::Namespace(name) => (format!("principal in Namespace::{name:?}"), String::new()),
        Who::Labelled { app, env } => (
            "principal is Workload".to_owned(),
            format!(
                "principal has app && principal.app == {app:?} && principal has env && principal.env == {env:?} && "
            ),
        ),
    };
    let (resource, host) = match rule.hosts.as_slice() {
        [Host::Exact(name)] => (format!("resource == Host::{name:?}"), String::new()),
        hosts => ("resource".to_owned(), format!("({}) && ", hosts.iter().map(host).collect::<Vec<_>>().join(" || "))),
    };
    write!(text, "{effect}({principal}, action == Action::\"connect\", {resource}) when {{ {labels}{host}").unwrap();
    write!(text, "context.port == {}", rule.port).unwrap();
    if rule.allow {
        write!(text, " && [\"public\", \"internal\"].containsAll(context.classes) && context.now < datetime({END:?})")
            .unwrap();
    }
    if rule.condition {
        text.push_str(" && context.tls.sni == context.host && context.port == 443");
    }
    text.push_str(" };\n");
}

fn host(host: &Host) -> String {
    match host {
        Host::Exact(name) => format!("resource == Host::{name:?}"),
        Host::Child(apex) => format!("context.parent == {apex:?}"),
        Host::Below(apex) => format!("context.parents.contains({apex:?})"),
    }
}
