//! Whole files: what they mean, and what each mistake is told.

use std::time::Duration;

use super::*;
use crate::channel::Channel;
use crate::dns::{Dnssec, Server};
use crate::evidence::{Compression, Durability, Form, RequestPath, Stdout, Transport, WhenFull};
use crate::identity::NameKind;
use crate::listeners::{ClientCertificates, Presence};
use crate::probe::Machine;
use crate::problem::Severity;
use crate::scratch::Scratch;
use crate::telemetry::{Metrics, Parent};

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
    scratch.file("tenant", "blue\n");
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
fn the_example_has_no_problem() {
    assert_eq!(told(include_str!("example.yaml")), [""; 0]);
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

#[test]
fn whom_probes_trust_is_the_machine_unless_the_file_says_otherwise() {
    let of = |section: &str| {
        let probe = load_this(&format!("{SMALLEST}{section}")).unwrap().probe;
        (probe.ca.is_some(), probe.machine)
    };
    assert_eq!(of(""), (false, Machine::Trusted));
    assert_eq!(of("probe: {ca: clients-ca.pem}\n"), (true, Machine::Left));
    assert_eq!(of("probe: {ca: clients-ca.pem, system: true}\n"), (true, Machine::Demanded));
    assert_eq!(of("probe: {system: true}\n"), (false, Machine::Demanded));
    assert_eq!(
        told(&format!("{SMALLEST}probe: {{system: false}}\n")),
        [
            "3:17 nobody would be trusted to vouch for a server | name a file of authorities in `ca`, or leave `system` out"
        ]
    );
    assert_eq!(
        told(&format!("{SMALLEST}probe: {{ca: missing.pem}}\n")),
        ["3:13 `probe.ca` names `DIR/missing.pem`, which cannot be used: no such file or directory"]
    );
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
evidence:
  stdout: none
  durability: synced
  spool: {directory: ./spool, max_size: 1TiB, when_full: drop_oldest, keep: 0s, archive: policy}
  request_path: drop
  otlp:
    endpoint: "https://collector:4318/"
    protocol: http
    compression: none
    headers: {Authorization: "Bearer hunter2", x-tenant: {file: tenant}}
    tls: {ca: clients-ca.pem, certificate: gateway.pem, key: gateway.key, server_name: Collector.Internal}
  syslog: {address: "tls://logs.example", format: ocsf, tls: {ca: clients-ca.pem}}
  ocsf: {file: ocsf.jsonl, rotate_size: 1MiB, rotate_keep: 2}
telemetry:
  otlp: {endpoint: "http://127.0.0.1:4317", headers: {x-tenant: red}}
  metrics: none
  traces: {sample: 0.5%, parent: follow}
state: {store: {etcd: {endpoints: ["https://etcd-1"], tls: {ca: clients-ca.pem, certificate: gateway.pem, key: gateway.key}}}}
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
    check_evidence(&scratch, &config.evidence);
    let telemetry = config.telemetry.unwrap();
    assert_eq!(telemetry.otlp.endpoint.value.to_string(), "http://127.0.0.1:4317");
    assert_eq!(telemetry.metrics, Metrics::None);
    assert_eq!((telemetry.traces.sample.ratio(), telemetry.traces.parent), (0.005, Parent::Follow));
    let admin = config.admin.unwrap();
    assert_eq!((admin.bind.to_string(), admin.operators[0].name.as_str()), ("127.0.0.1:3129".into(), "ops"));
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

fn check_evidence(scratch: &Scratch, evidence: &Evidence) {
    let at = |name: &str| scratch.path().join(name);
    assert_eq!((evidence.stdout, evidence.durability), (Stdout::None, Durability::Synced));
    assert_eq!(evidence.request_path, RequestPath::Drop);
    let spool = &evidence.spool;
    assert_eq!(
        (&spool.directory.value, spool.max_size, spool.when_full),
        (&at("spool"), 1 << 40, WhenFull::DropOldest)
    );
    assert_eq!((spool.keep, &spool.archive.as_ref().unwrap().value), (Duration::ZERO, &at("policy")));

    let otlp = evidence.otlp.as_ref().unwrap();
    assert_eq!(otlp.compression, Compression::None);
    assert_eq!(otlp.collector.transport, Transport::Http);
    assert_eq!(otlp.collector.endpoint.value.to_string(), "https://collector:4318");
    let headers: Vec<_> = (otlp.collector.headers.iter())
        .map(|header| format!("{}: {}", header.name, header.read().unwrap().expose()))
        .collect();
    assert_eq!(headers, ["authorization: Bearer hunter2", "x-tenant: blue"]);
    let Channel::Tls(tls) = &otlp.collector.channel else { panic!() };
    let own = tls.own.as_ref().unwrap();
    assert_eq!((&own.certificate.value, &own.key.value), (&at("gateway.pem"), &at("gateway.key")));
    assert_eq!(tls.ca.as_ref().map(|ca| &ca.value), Some(&at("clients-ca.pem")));
    assert_eq!(tls.server_name.as_ref().map(ToString::to_string).as_deref(), Some("collector.internal"));

    let syslog = evidence.syslog.as_ref().unwrap();
    assert_eq!((syslog.address.value.to_string().as_str(), syslog.form), ("logs.example:6514", Form::Ocsf));
    assert!(matches!(&syslog.channel, Channel::Tls(tls) if tls.ca.is_some() && tls.own.is_none()));
    let ocsf = evidence.ocsf.as_ref().unwrap();
    assert_eq!((&ocsf.file.value, ocsf.rotate_size, ocsf.rotate_keep), (&at("ocsf.jsonl"), 1 << 20, 2));
}

#[test]
fn records_have_a_spool_whatever_the_file_says() {
    let scratch = world();
    for section in ["", "evidence: {}\n", "evidence: {stdout: none}\n", "evidence: {spool: {}}\n"] {
        let config = load(&scratch.file("gatepass.yaml", &format!("{SMALLEST}{section}")), now()).unwrap();
        let spool = &config.evidence.spool;
        assert_eq!(spool.directory.value, scratch.path().join("gatepass-data/evidence"), "{section}");
        assert_eq!((spool.max_size, spool.when_full), (1 << 30, WhenFull::Refuse));
        assert_eq!((spool.keep, spool.archive.is_some()), (Duration::from_secs(7 * 86_400), false));
        assert_eq!(
            (config.evidence.durability, config.evidence.request_path),
            (Durability::Interval, RequestPath::Keep)
        );
        assert!(config.telemetry.is_none());
    }
    assert_eq!(quickstart().evidence.spool.directory.value, Path::new("./gatepass-data/evidence"));
}

#[test]
fn the_configuration_in_the_documentation_of_sinks_loads() {
    let text = include_str!("../../../docs/evidence/sinks.md");
    let example = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let scratch = world();
    for name in ["token", "collector-ca.pem", "logs-ca.pem"] {
        scratch.file(name, "x");
    }
    let example = example.replace("/var/log/gatepass/", "");
    let config = load(&scratch.file("gatepass.yaml", &format!("{SMALLEST}{example}")), now()).unwrap();
    let evidence = config.evidence;
    assert!(evidence.otlp.is_some_and(|otlp| otlp.collector.headers.len() == 2));
    assert!(evidence.syslog.is_some() && evidence.ocsf.is_some());
    assert_eq!(config.warnings, []);
}

#[test]
fn a_segment_is_at_most_an_eighth_of_its_spool() {
    let segment = |section: &str| {
        let config = load_this(&format!("{SMALLEST}{section}\n")).unwrap();
        config.evidence.spool.segment_bytes(&config.limits)
    };
    assert_eq!(segment(""), 16 << 20);
    assert_eq!(segment("evidence: {spool: {max_size: 16MiB}}"), 2 << 20);
    assert_eq!(segment("limits: {evidence_segment_bytes: 64KiB}"), 64 << 10);
}

#[test]
fn the_value_of_a_header_follows_its_file() {
    let scratch = world();
    let section = "evidence: {otlp: {endpoint: \"https://c.test\", headers: {x-tenant: {file: tenant}}}}\n";
    let config = load(&scratch.file("gatepass.yaml", &format!("{SMALLEST}{section}")), now()).unwrap();
    let header = &config.evidence.otlp.unwrap().collector.headers[0];
    let read = || header.read().map(|secret| secret.expose().to_owned()).map_err(|problems| problems.to_string());
    scratch.file("tenant", "green\r\n");
    assert_eq!(read().unwrap(), "green");
    for broken in ["", "\n", "two\nlines", " green", "gr\u{fc}n"] {
        scratch.file("tenant", broken);
        let problem = read().unwrap_err();
        assert!(problem.contains("it does not hold the value of a header") && problem.contains("tenant"), "{problem}");
    }
    std::fs::remove_file(scratch.path().join("tenant")).unwrap();
    assert!(read().unwrap_err().contains("no such file or directory"));
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
    assert_eq!(config.admin.unwrap().bind.to_string(), "127.0.0.1:3129");
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
fn an_admin_listener_has_tls_names_a_provider_and_operators_of_a_file() {
    let text = format!(
        "{SMALLEST}admin:\n  bind: \"0.0.0.0:3129\"\n  names: [Gatepass.Corp.example]\n  \
         tls: {{certificate: gateway.pem, key: gateway.key, client_ca: clients-ca.pem}}\n  \
         oidc: {{issuer: \"https://id.example\", client_id: cli, email_domain: Corp.example}}\n  operators: operators.yaml\n"
    );
    let scratch = world();
    let end = "2027-02-01T00:00:00Z";
    let operators =
        format!("- {{name: a, expires: \"{end}\", certificates: [{{dns: a.example}}], oidc: {{subject: s}}}}\n");
    let file = scratch.file("operators.yaml", &operators);
    let config = load(&scratch.file("gatepass.yaml", &text), now()).unwrap();
    assert_eq!(config.warnings, [], "tokens do not cross the network in clear");
    let admin = config.admin.unwrap();
    assert_eq!((admin.operators[0].name.as_str(), admin.operators_file.map(|file| file.value)), ("a", Some(file)));
    let ClientCertificates::Verified { presence, .. } = &admin.tls.unwrap().clients else { panic!() };
    assert_eq!(*presence, Presence::Optional, "whoever has no certificate may have a token");
    let oidc = admin.oidc.unwrap();
    assert_eq!((oidc.audience.as_str(), oidc.email_domain.as_deref()), ("cli", Some("corp.example")));
    assert_eq!(admin.names[0].to_text(), "gatepass.corp.example");

    let unix = load_this(&format!("{SMALLEST}admin: {{bind: \"unix:run/admin.sock\"}}\n")).unwrap().admin.unwrap();
    assert!(unix.bind.to_string().ends_with("/run/admin.sock") && unix.bind.tcp().is_none());
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
        "evidence: {spol: {}, otlp: {endpoint: \"http://127.0.0.1:4317\", headers: {authorization: hunter2}}}",
        "evidence: {otlp: {endpoint: \"http://127.0.0.1:4317\", haeders: {authorization: hunter2}}}",
        "evidence: {otlp: {endpoint: \"http://127.0.0.1:4317\", headers: hunter2}}",
        "evidence: {otlp: {endpoint: \"http://127.0.0.1:4317\", headers: [hunter2]}}",
        "evidence: {otlp: {endpoint: \"http://127.0.0.1:4317\", headers: {Bearer hunter2}}}",
        "evidence: {otlp: {endpoint: \"http://127.0.0.1:4317\", headers: {authorization: [hunter2]}}}",
        "evidence: {otlp: {endpoint: \"http://127.0.0.1:4317\", headers: {authorization: \"hunter2 \"}}}",
        "evidence: {otlp: {endpoint: \"http://127.0.0.1:4317\", headers: {host: hunter2}}}",
        "evidence: {otlp: {endpoint: \"http://127.0.0.1:4317\", headers: {authorization: {fiel: hunter2}}}}",
        "evidence: [{otlp: {headers: {authorization: hunter2}}}]",
        "evidnece: {otlp: {headers: {authorization: hunter2}}}",
        "evidence: {otlp: {headers: {authorization: hunter2}}}, }",
        "telemetry: {otlp: {endpoint: \"http://127.0.0.1\", headers: {authorization: hunter2}}, metrics: 1}",
    ] {
        let problems = load_this(&format!("{SMALLEST}{section}\n")).unwrap_err();
        assert!(problems.to_string().contains("gatepass.yaml:3:"), "{section}: {problems}");
        assert!(!problems.to_string().contains("hunter2"), "{section}: {problems}");
    }
    let section = "evidence: {otlp: {endpoint: \"https://c.test\", headers: {authorization: hunter2}}}";
    let config = load_this(&format!("{SMALLEST}{section}\n")).unwrap();
    let endpoint = &config.evidence.otlp.as_ref().unwrap().collector.endpoint;
    let later = endpoint.error(Path::new("gatepass.yaml"), "nobody answers there", None).to_string();
    assert!(later.contains("gatepass.yaml:3:29") && !later.contains("hunter2"), "{later}");
    assert!(!format!("{config:?}").contains("hunter2"));
}

mod mistakes;
