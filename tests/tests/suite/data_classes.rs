//! The workload registry and data classes: what an identity is, what it carries, and what it may say of that.

use gatepass_tests::bundle::in_hours;
use gatepass_tests::identities::{basic, being, token};
use gatepass_tests::{Bundle, Gateway, Origin, Reply, Setup};

/// `ci` has two classes and may declare one of them; `web` may declare nothing; `stray` is not registered.
const REGISTRY: &str = r#"  - id: "token:ci"
    labels: {team: build, env: prod}
    data_classes: [internal, pci]
    may_declare: [internal]
  - id: "token:web"
    labels: {app: web, env: prod}
    data_classes: [public]
  - id: "spiffe://corp.example/ns/{namespace}/sa/{app}"
    labels: {team: "{namespace}", app: "{app}", env: prod}
    data_classes: [public]
"#;

struct World {
    gateway: Gateway,
    origin: Origin,
}

/// A rule of the fragment for `app.test`, with these further lines.
fn rule(id: &str, action: &str, lines: &[&str], port: u16) -> String {
    let mut text = format!(
        "  - id: {id}\n    action: {action}\n    purpose: a test\n    destinations: {{hosts: [\"app.test\"], ports: [{port}]}}\n"
    );
    if action == "allow" {
        text = text.replace("ports:", "cidr_sets: [loopback], ports:");
        text += &format!("    expires: \"{}\"\n", in_hours(1));
    }
    lines.iter().for_each(|line| text += &format!("    {line}\n"));
    text
}

impl World {
    /// Rules, given the origin's port.
    fn new(rules: impl Fn(u16) -> Vec<String>) -> World {
        let tokens = ["ci", "web", "stray"].map(|name| token(name, &format!("{name}-secret"), 1));
        let setup = Setup::new().mesh("required").tokens(&tokens);
        setup.resolver.answer("app.test", &["127.0.0.1"]);
        let origin = Origin::http();
        let mut bundle = Bundle::new().workloads(REGISTRY);
        for text in rules(origin.port()) {
            bundle = bundle.rule(&text);
        }
        World { gateway: setup.start(&bundle), origin }
    }

    /// A GET by this client with these further fields, and its record.
    fn get(&self, name: &str, fields: &str) -> (Reply, serde_json::Value) {
        let url = format!("http://app.test:{}/", self.origin.port());
        let fields = basic(name, &format!("{name}-secret")) + fields;
        let before = self.gateway.decisions().len();
        let reply = self.gateway.client().fetch(&url, &fields).unwrap();
        let record = gatepass_tests::eventually("it is recorded", || self.gateway.decisions().get(before).cloned());
        (reply, record)
    }
}

fn declare(classes: &str) -> String {
    format!("Gatepass-Data-Class: {classes}\r\n")
}

#[test]
fn labels_from_the_registry_decide() {
    let world = World::new(|port| {
        let lines =
            ["identities: [{labels: {app: web, env: prod}}]", "data_classes: {at_most: [unclassified, public]}"];
        vec![rule("web", "allow", &lines, port)]
    });
    for (name, status) in [("web", 200), ("stray", 403), ("ci", 403)] {
        assert_eq!(world.get(name, "").0.status, status, "{name}");
    }
    let (_, record) = world.get("web", "");
    assert_eq!(record["identity"]["labels"]["app"], "web", "{record}");
    assert_eq!(record["data_classes"], serde_json::json!(["public"]), "{record}");
    let target = format!("app.test:{}", world.origin.port());
    for (id, status) in [
        ("spiffe://corp.example/ns/shop/sa/web", 200),
        ("spiffe://corp.example/ns/shop/sa/web2", 403),
        ("spiffe://corp.example/ns/shop/web", 403),
    ] {
        let config = being(&world.gateway.setup.ca, id);
        let reply = world.gateway.mesh(&config).unwrap().connect(&target);
        assert_eq!(reply.status, status, "{id}");
        let record = world.gateway.decision(&reply.id());
        let team = if id.contains("/sa/") { Some("shop") } else { None };
        assert_eq!(record["identity"]["labels"]["team"].as_str(), team, "{record}");
    }
}

#[test]
fn an_unregistered_workload_carries_unclassified_data_and_a_rule_must_say_so() {
    let world = World::new(|port| {
        let classified = ["anyone: true", "data_classes: {at_most: [public, internal, pci]}"];
        vec![rule("classified", "allow", &classified, port)]
    });
    let (reply, record) = world.get("stray", "");
    assert_eq!(reply.status, 403);
    assert_eq!(record["data_classes"], serde_json::json!(["unclassified"]), "{record}");
    assert!(reply.body.contains("[unclassified] is not in"), "{}", reply.body);
    assert_eq!(world.get("ci", "").0.status, 200);
}

#[test]
fn all_classes_of_a_workload_must_be_allowed() {
    let world = World::new(|port| {
        vec![rule("internal", "allow", &["anyone: true", "data_classes: {at_most: [internal]}"], port)]
    });
    let (reply, record) = world.get("ci", "");
    assert_eq!((reply.status, record["reason"]["code"].as_str()), (403, Some("no_rule")));
    assert_eq!(record["data_classes"], serde_json::json!(["internal", "pci"]), "{record}");
    assert_eq!(record["data_classes_from"], "registered", "{record}");
}

#[test]
fn a_declaration_narrows_only_for_an_allow_that_trusts_it() {
    let lines = ["anyone: true", "data_classes: {at_most: [internal]}"];
    let untrusting = World::new(|port| vec![rule("internal", "allow", &lines, port)]);
    assert_eq!(untrusting.get("ci", &declare("internal")).0.status, 403);
    let trusting =
        World::new(|port| vec![rule("internal", "allow", &[lines[0], lines[1], "trust_declared: true"], port)]);
    assert_eq!(trusting.get("ci", "").0.status, 403);
    let (reply, record) = trusting.get("ci", &declare(" internal "));
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(record["data_classes"], serde_json::json!(["internal"]), "{record}");
    assert_eq!(record["data_classes_from"], "declared", "{record}");
}

#[test]
fn a_deny_reads_what_is_registered_whatever_is_declared() {
    let world = World::new(|port| {
        let allow = ["anyone: true", "data_classes: {at_most: [internal]}", "trust_declared: true"];
        let deny = ["data_classes: {any_of: [pci]}"];
        vec![rule("internal", "allow", &allow, port), rule("no-cards", "deny", &deny, port)]
    });
    let (reply, record) = world.get("ci", &declare("internal"));
    assert_eq!((reply.status, record["reason"]["code"].as_str()), (403, Some("team_deny")), "{record}");
    assert_eq!(record["rule"]["path"], "team/no-cards", "{record}");
    assert!(world.origin.requests().is_empty());
}

#[test]
fn a_declaration_that_is_not_a_workload_s_to_make_is_refused() {
    let world = World::new(|port| {
        let lines =
            ["anyone: true", "data_classes: {at_most: [unclassified, public, internal, pci]}", "trust_declared: true"];
        vec![rule("everything", "allow", &lines, port)]
    });
    // Registered and not declarable, another's, unknown, empty, half empty, and not registered at all.
    for (name, classes) in [
        ("ci", "pci"),
        ("ci", "internal, pci"),
        ("ci", "public"),
        ("ci", "nonsense"),
        ("ci", ""),
        ("ci", "internal,,"),
        ("ci", "INTERNAL"),
        ("ci", "internal;pci"),
        ("web", "public"),
        ("stray", "unclassified"),
    ] {
        let (reply, record) = world.get(name, &declare(classes));
        assert_eq!(reply.status, 403, "{name} declares `{classes}`: {}", reply.head);
        assert_eq!(record["reason"]["code"], "data_class_refused", "{record}");
    }
    let (reply, record) = world.get("ci", &(declare("internal") + &declare("internal")));
    assert!(matches!(reply.status, 400 | 403), "declared twice: {}", reply.head);
    assert_eq!(record["effect"], "deny", "{record}");
    assert_eq!(world.origin.connections(), 0);
    assert_eq!(world.get("ci", "").0.status, 200);
}

#[test]
fn a_declaration_on_connect_counts_the_same() {
    let world = World::new(|port| {
        let lines = ["anyone: true", "data_classes: {at_most: [internal]}", "trust_declared: true"];
        vec![rule("internal", "allow", &lines, port)]
    });
    let target = format!("app.test:{}", world.origin.port());
    let ask =
        |fields: String| world.gateway.client().connect_with(&target, &(basic("ci", "ci-secret") + &fields)).unwrap();
    assert_eq!(ask(String::new()).status, 403);
    let refused = ask(declare("pci"));
    assert_eq!(world.gateway.decision(&refused.id())["reason"]["code"], "data_class_refused");
    let reply = ask(declare("internal"));
    assert_eq!(reply.status, 200, "{}", reply.head);
    assert_eq!(world.gateway.decision(&reply.id())["data_classes_from"], "declared");
}

#[test]
fn the_origin_never_sees_a_declaration() {
    let world = World::new(|port| {
        let lines = ["anyone: true", "data_classes: {at_most: [internal]}", "trust_declared: true"];
        vec![rule("internal", "allow", &lines, port)]
    });
    assert_eq!(world.get("ci", &declare("internal")).0.status, 200);
    let seen = world.origin.requests().pop().unwrap().to_lowercase();
    assert!(!seen.contains("gatepass-data-class") && !seen.contains("internal"), "{seen}");
}
