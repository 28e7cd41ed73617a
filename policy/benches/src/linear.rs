//! The world as CEL programs, one for each rule, interpreted one after the other with the crate's interpreter: each rule is
//! the expression that `gatepass explain --desugar` prints for it.

use std::collections::HashMap;

use cel::{Context, Program, Value};
use gatepass_policy::PolicySet;

use crate::world::{self, CLASSES, NOW, Question};

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
    pub fn new(set: &PolicySet, rules: usize) -> Linear {
        let guards = ["names-agree", "only-tls-on-443", "no-card-data"];
        let program = |path: &str| Program::compile(&set.desugar(path).unwrap()).unwrap();
        let mut denies: Vec<Program> = guards.iter().map(|guard| program(&format!("guard/{guard}"))).collect();
        let mut allows = Vec::new();
        // Looking each rule up by its path would take longer than compiling it.
        for (number, expression) in expressions(set, rules) {
            let program = Program::compile(&expression).unwrap();
            if world::rule(number).allow { allows.push(program) } else { denies.push(program) }
        }
        Linear { denies, allows, functions: Context::default() }
    }

    pub fn variables(question: &Question) -> Variables {
        let labels = [("team", &*question.namespace), ("app", &question.app), ("env", "prod")];
        let now = Program::compile(&format!("timestamp('{NOW}')")).unwrap().execute(&Context::default()).unwrap();
        let identity =
            map([("id", question.id().into()), ("labels", map(labels.map(|(k, v)| (k, v.to_owned().into()))))]);
        let destination = map([("host", question.host.clone().into()), ("port", Value::Int(i64::from(question.port)))]);
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

fn expressions(set: &PolicySet, rules: usize) -> impl Iterator<Item = (usize, String)> {
    (0..rules).map(|number| {
        let path = format!("team{}/rule-{number}", number / world::FILE);
        (number, set.desugar(&path).unwrap())
    })
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::from(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<HashMap<String, Value>>())
}
