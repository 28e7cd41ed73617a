//! The rules and the questions, said once: which rule stands for what, and who asks for what under it.
//!
//! Every tenth rule has one of ten shapes, in the proportions of a real bundle: exact hosts for one workload, wildcards,
//! labels, conditions of two atoms, denies. Three guardrails stand over all.

/// What `now` is.
pub const NOW: &str = "2026-11-24T12:00:00Z";
/// When every permission ends.
pub const END: &str = "2027-11-01T00:00:00Z";
/// The classes that allows take.
pub const CLASSES: [&str; 2] = ["public", "internal"];
/// Rules in one file of a bundle.
pub const FILE: usize = 250;

/// Who a rule means.
pub enum Who {
    /// One workload.
    Workload(String),
    /// All workloads of a namespace.
    Namespace(String),
    /// Those with these two labels.
    Labelled { app: String, env: &'static str },
}

/// Where to.
pub enum Host {
    /// This name.
    Exact(String),
    /// One label below.
    Child(String),
    /// Any number of labels below.
    Below(String),
}

pub struct Rule {
    pub number: usize,
    pub allow: bool,
    pub who: Who,
    pub hosts: Vec<Host>,
    pub port: u16,
    /// Whether it also has `tls.sni == destination.host && destination.port == 443`.
    pub condition: bool,
}

/// One question, with everything known.
pub struct Question {
    pub namespace: String,
    pub app: String,
    pub host: String,
    pub port: u16,
    /// What the rules say.
    pub allowed: bool,
}

impl Question {
    pub fn id(&self) -> String {
        workload(&self.namespace, &self.app)
    }
}

fn namespace(number: usize) -> String {
    format!("team{}", number / FILE)
}

/// Every workload has five rules.
fn app(number: usize) -> String {
    format!("app{}", number / 5)
}

pub fn workload(namespace: &str, app: &str) -> String {
    format!("spiffe://corp.example/ns/{namespace}/sa/{app}")
}

fn vendor(number: usize) -> String {
    format!("vendor{}.example", number / 3)
}

/// Rule `number` of however many.
pub fn rule(number: usize) -> Rule {
    let one = || Who::Workload(workload(&namespace(number), &app(number)));
    let exact = |label: &str| Host::Exact(format!("{label}{number}.{}", vendor(number)));
    let (who, hosts) = match number % 10 {
        5 => (one(), vec![Host::Child(format!("cdn{number}.{}", vendor(number)))]),
        6 => (Who::Namespace(namespace(number)), vec![Host::Below(format!("storage{number}.{}", vendor(number)))]),
        7 => (Who::Labelled { app: app(number), env: "prod" }, vec![exact("api"), exact("files")]),
        9 => (Who::Namespace(namespace(number)), vec![exact("admin")]),
        _ => (one(), vec![exact("api")]),
    };
    Rule { number, allow: number % 10 != 9, who, hosts, port: 443, condition: number % 10 == 8 }
}

/// A question that rule `number` answers.
pub fn question(number: usize) -> Question {
    let rule = rule(number);
    let host = match rule.hosts.first() {
        Some(Host::Exact(name)) => name.clone(),
        Some(Host::Child(apex)) => format!("eu.{apex}"),
        Some(Host::Below(apex)) => format!("bucket.eu.{apex}"),
        None => unreachable!("every rule has a host"),
    };
    Question { namespace: namespace(number), app: app(number), host, port: 443, allowed: rule.allow }
}

/// The same from a workload that nobody permits it.
pub fn denied(number: usize) -> Question {
    Question { namespace: "nobody".to_owned(), app: "nothing".to_owned(), allowed: false, ..question(number) }
}

/// The middle of `rules`, a plain allow of one exact host: what the engines are asked one by one.
pub fn middle(rules: usize) -> usize {
    rules / 2 / 10 * 10
}

/// Numbers of rules all over `rules`, so that no two questions meet the same lines of the cache.
pub fn spread(rules: usize) -> impl Iterator<Item = usize> {
    (0..1024.min(rules)).map(move |step| step * 7_919 % rules)
}
