//! Whole files: what they mean, and what each mistake is told.

use std::time::Duration;

use super::*;
use crate::dns::{Dnssec, Server};
use crate::evidence::{Stdout, Transport};
use crate::identity::NameKind;
use crate::listeners::{ClientCertificates, Presence};
use crate::problem::Severity;
use crate::scratch::Scratch;

const HASH: &str = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

fn now() -> Timestamp {
    "2027-01-01T00:00:00Z".parse().unwrap()
}

/// A directory with every file that a configuration may name.
fn world() -> Scratch {
    let scratch = Scratch::new();
    for name in ["gateway.pem", "gateway.key", "clients-ca.pem", "clients.crl", "policy/bundle.yaml"] {
        scratch.file(name, "");
    }
    let tokens = format!("- {{name: ci-runner, sha256: \"{HASH}\", expires: \"2027-01-31T00:00:00Z\"}}\n");
    scratch.file("tokens.yaml", &tokens);
    scratch
}

fn load_this(text: &str) -> Result<Config, Problems> {
    let scratch = world();
    load(&scratch.file("gatepass.yaml", text), now())
}

/// `line:column message`, and the help after ` | `.
fn told(text: &str) -> Vec<String> {
    let scratch = world();
    let loaded = load(&scratch.file("gatepass.yaml", text), now());
    let problems = loaded.map_or_else(Problems::into_vec, |config| config.warnings);
    let directory = scratch.path().display().to_string();
    problems.iter().map(|problem| line_of(problem).replace(&directory, "DIR")).collect()
}

fn line_of(problem: &Problem) -> String {
    let at = problem.position.as_ref().map_or("-".to_owned(), |at| format!("{}:{}", at.line, at.column));
    let help = problem.help.as_ref().map_or(String::new(), |help| format!(" | {help}"));
    format!("{at} {}{help}", problem.message)
}

const UNENFORCED: &str = "leave it out: nothing would enforce it";

#[test]
fn the_example_has_exactly_the_problems_of_what_is_not_built_yet() {
    assert_eq!(
        told(include_str!("example.yaml")),
        [
            format!("8:26 `durability` is not supported yet | {UNENFORCED}"),
            format!("8:48 `spool` is not supported yet | {UNENFORCED}"),
            format!("9:1 `state` is not supported yet | {UNENFORCED}"),
        ]
    );
}

#[test]
fn the_smallest_file_loads_and_opens_nothing_more_than_it_says() {
    let config = load_this(SMALLEST).unwrap();
    assert_eq!(config.listeners.len(), 1);
    assert!(matches!(config.listeners[0].protocol, Protocol::Http));
    assert!(config.admin.is_none() && config.identity.tokens.is_none() && config.identity.networks.is_empty());
    assert_eq!(config.identity.mtls.names, [NameKind::Spiffe]);
    assert_eq!(config.floor, Floor { loopback: Loopback::Closed, nat64_prefixes: Vec::new() });
    assert_eq!(config.policy.reload, Reload::Watch);
    assert_eq!(config.dns, Dns::system());
    assert_eq!(config.evidence.stdout, Stdout::Text);
    assert_eq!(config.limits, Limits::default());
    assert!(config.warnings.is_empty());
}

const SMALLEST: &str = "listeners: [{name: a, bind: \"127.0.0.1:0\", protocol: http}]\npolicy: {bundle: policy}\n";

const FULL: &str = r#"
listeners:
  - {name: workloads, bind: "0.0.0.0:3128", protocol: http}
  - name: mesh
    bind: "[::1]:3130"
    protocol: https
    tls: {certificate: gateway.pem, key: gateway.key, client_ca: clients-ca.pem, client_certificate: optional, crl: clients.crl, alpn: [http/1.1]}
  - {name: strict, bind: "127.0.0.1:3131", protocol: https, tls: {certificate: gateway.pem, key: gateway.key, client_ca: clients-ca.pem}}
  - {name: open, bind: "127.0.0.1:3132", protocol: https, tls: {certificate: gateway.pem, key: gateway.key}}
identity:
  tokens: tokens.yaml
  networks: [{cidr: "10.0.0.0/8", id: "network:wide"}, {cidr: "10.8.0.0/16", id: "network:build"}]
  mtls: {names: [dns, spiffe], trust_domains: [corp.example]}
floor: {development_loopback: false, nat64_prefixes: ["64:ff9b::/96"]}
policy: {bundle: ./policy, reload: signal}
dns:
  servers: [system, 192.0.2.1, "tls://dns.example@192.0.2.2"]
  timeout: 500ms
  dnssec: validate
  forwarders: [{domain: Corp.Example., servers: ["10.0.0.53"]}]
evidence: {stdout: none, otlp: {endpoint: "http://collector:4318/", protocol: http}}
egress_points: [{name: direct}]
admin:
  bind: 127.0.0.1:3129
  operators: [{name: ops, sha256: "HASH", expires: "2027-02-01T00:00:00Z"}]
limits: {drain_timeout: 2m, head_max_bytes: 64KiB, max_connections: 500, pool_idle_total: 7}
"#;

#[test]
fn a_full_file_loads_to_exact_values() {
    let scratch = world();
    let config = load(&scratch.file("gatepass.yaml", &FULL.replace("HASH", HASH)), now()).unwrap();
    let at = |name: &str| scratch.path().join(name);

    let binds: Vec<String> = config.listeners.iter().map(|each| format!("{} {}", each.name, each.bind.value)).collect();
    assert_eq!(binds, ["workloads 0.0.0.0:3128", "mesh [::1]:3130", "strict 127.0.0.1:3131", "open 127.0.0.1:3132"]);
    let Protocol::Https(mesh) = &config.listeners[1].protocol else { panic!() };
    assert_eq!((&mesh.certificate.value, &mesh.key.value), (&at("gateway.pem"), &at("gateway.key")));
    let ClientCertificates::Verified { ca, crl, presence } = &mesh.clients else { panic!() };
    assert_eq!((&ca.value, *presence), (&at("clients-ca.pem"), Presence::Optional));
    assert_eq!(crl.as_ref().map(|crl| &crl.value), Some(&at("clients.crl")));
    let place = mesh.key.place.as_ref().unwrap();
    assert_eq!((place.line(), place.column(), place.key()), (7, 42, "listeners[1].tls.key"));
    let Protocol::Https(strict) = &config.listeners[2].protocol else { panic!() };
    let required = ClientCertificates::Verified { ca: ca.clone(), crl: None, presence: Presence::Required };
    assert_eq!(shape(&strict.clients), shape(&required));
    let Protocol::Https(open) = &config.listeners[3].protocol else { panic!() };
    assert!(matches!(open.clients, ClientCertificates::None));

    let tokens = config.identity.tokens.unwrap();
    assert_eq!((tokens.path.value, tokens.tokens[0].name.as_str()), (at("tokens.yaml"), "ci-runner"));
    let networks: Vec<String> = config.identity.networks.iter().map(|n| format!("{} {}", n.cidr, n.name)).collect();
    assert_eq!(networks, ["10.8.0.0/16 build", "10.0.0.0/8 wide"]);
    assert_eq!(config.identity.mtls.names, [NameKind::Dns, NameKind::Spiffe]);
    assert_eq!(config.identity.mtls.trust_domains, Some(vec!["corp.example".to_owned()]));
    assert_eq!(config.floor.nat64_prefixes, ["64:ff9b::/96".parse().unwrap()]);
    let Bundle::Directory(bundle) = &config.policy.bundle else { panic!() };
    assert_eq!((&bundle.value, config.policy.reload), (&at("./policy"), Reload::Signal));

    assert_eq!(config.dns.servers.len(), 3);
    assert_eq!(config.dns.servers[0], Server::System);
    assert_eq!((config.dns.timeout, config.dns.dnssec), (Duration::from_millis(500), Dnssec::Validate));
    assert_eq!(&*config.dns.forwarders[0].domain, "corp.example");
    let otlp = config.evidence.otlp.unwrap();
    assert_eq!((config.evidence.stdout, otlp.transport), (Stdout::None, Transport::Http));
    assert_eq!(otlp.endpoint.value.to_string(), "http://collector:4318");
    let admin = config.admin.unwrap();
    assert_eq!((admin.bind.value.to_string(), admin.operators[0].name.as_str()), ("127.0.0.1:3129".into(), "ops"));
    let limits = Limits {
        drain_timeout: Duration::from_secs(120),
        head_max_bytes: 65_536,
        max_connections: Some(500),
        pool_idle_total: 7,
        ..Limits::default()
    };
    assert_eq!(config.limits, limits);
    assert_eq!(config.warnings, []);
}

fn shape(clients: &ClientCertificates) -> String {
    match clients {
        ClientCertificates::None => "none".to_owned(),
        ClientCertificates::Verified { ca, crl, presence } => {
            format!("{:?} {:?} {presence:?}", ca.value, crl.is_some())
        }
    }
}

#[test]
fn the_quickstart_binds_loopback_and_opens_nothing_on_the_floor() {
    let config = quickstart();
    assert_eq!(config.listeners[0].name, "quickstart");
    assert_eq!(config.listeners[0].bind.value, "127.0.0.1:3128".parse().unwrap());
    assert_eq!(config.admin.unwrap().bind.value, "127.0.0.1:3129".parse().unwrap());
    assert!(matches!(config.policy.bundle, Bundle::Embedded));
    assert_eq!(config.floor.loopback, Loopback::Closed);
}

#[test]
fn several_problems_of_several_sections_are_told_at_once_from_top_to_bottom() {
    let text = "\
listeners:
  - {name: a, bind: localhost, protocol: http, tl: {}}
  - {bind: \"127.0.0.1:1\", protocol: htp}
identity: {tokens: gone.yaml}
policy: {bundel: ./policy}
dns: {timeout: 2}
observ: {}
limits: {drain_timout: 5s, head_timeout: 1d}
";
    assert_eq!(
        told(text),
        [
            "2:21 `localhost` is not an address and port such as `127.0.0.1:3128` or `[::1]:3128`",
            "2:48 `tl` is not a key of `listeners[0]` | did you mean `tls`?",
            "3:5 `listeners[1]` has no `name`",
            "3:37 `htp` is not a value of `listeners[1].protocol` | did you mean `http`?",
            "4:20 `identity.tokens` names `DIR/gone.yaml`, which cannot be used: no such file or directory",
            "5:9 `policy` has no `bundle`",
            "5:10 `bundel` is not a key of `policy` | did you mean `bundle`?",
            "6:16 `dns.timeout` is `2`, not a duration such as `250ms`, `30s`, `5m`, `2h` or `90d`",
            "7:1 `observ` is not a key of the file | did you mean `observe`?",
            "8:10 `drain_timout` is not a key of `limits` | did you mean `drain_timeout`?",
            "8:42 `head_timeout` is 1d; it goes from 100ms to 2m | from the first byte of a request head to its last; \
             by default 10s",
        ]
        .map(str::to_owned)
        .to_vec(),
    );
}

#[test]
fn development_loopback_is_refused_where_anybody_else_can_reach_the_gateway() {
    let file = |listener: &str, admin: &str| {
        format!(
            "listeners: [{{name: a, bind: \"{listener}\", protocol: http}}]\npolicy: {{bundle: policy}}\n\
             floor: {{development_loopback: true}}\nadmin: {{bind: \"{admin}\"}}\n"
        )
    };
    for (listener, admin) in
        [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:1", "127.8.0.1:2"), ("[::ffff:127.0.0.1]:1", "[::1]:2")]
    {
        let config = load_this(&file(listener, admin)).unwrap();
        assert_eq!(config.floor.loopback, Loopback::Development, "{listener} {admin}");
    }
    for (listener, admin, exposed) in [
        ("0.0.0.0:1", "127.0.0.1:2", "`0.0.0.0:1`"),
        ("127.0.0.1:1", "192.0.2.1:2", "`192.0.2.1:2`"),
        ("[::]:1", "[::ffff:10.0.0.1]:2", "`[::]:1`, `[::ffff:10.0.0.1]:2`"),
    ] {
        let wanted = format!(
            "3:31 `development_loopback` is refused: {exposed} can be reached from outside | \
             bind every listener and the admin API to loopback"
        );
        assert_eq!(told(&file(listener, admin)), [wanted]);
    }
}

#[test]
fn a_warning_does_not_keep_a_file_from_loading() {
    let text = format!("{SMALLEST}admin: {{bind: \"0.0.0.0:0\", operators: []}}\n");
    let config = load_this(&text).unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(config.warnings[0].severity, Severity::Warning);
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_a_problem() {
    let scratch = Scratch::new();
    let problem = |path: &Path| line_of(&load(path, now()).unwrap_err().into_vec()[0]);
    assert_eq!(problem(&scratch.path().join("gone.yaml")), "- cannot read the file: no such file or directory");
    assert_eq!(problem(scratch.path()), "- it is not a regular file");
    let latin = scratch.file("latin.yaml", "");
    std::fs::write(&latin, b"a: \xe9").unwrap();
    assert_eq!(problem(&latin), "- the file is not UTF-8 text");
    assert_eq!(
        problem(&scratch.file("long.yaml", &"#".repeat(FILE_MAX + 1))),
        "- the file is longer than 1048576 bytes"
    );
    assert_eq!(problem(&scratch.file("empty.yaml", "")), "- the file is empty");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    for section in [
        "admin: {bind: \"127.0.0.1:0\", operators: [{name: a, token: hunter2}]}",
        "evidence: {spool: {}, otlp: {endpoint: \"http://127.0.0.1:4317\", headers: {authorization: hunter2}}}",
    ] {
        let problems = load_this(&format!("{SMALLEST}{section}\n")).unwrap_err();
        assert!(problems.to_string().contains("gatepass.yaml:3:") && !problems.to_string().contains("hunter2"));
    }
}

mod mistakes;
