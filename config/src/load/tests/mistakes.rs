//! One mistake a row, with the place and the words that it gets.

use super::{UNENFORCED, told};

/// Each row is one section on line 1; the rest of a valid file follows where the section is not in it.
fn told_of(section: &str) -> Vec<String> {
    let mut text = format!("{section}\n");
    if !section.starts_with("listeners") {
        text += "listeners: [{name: a, bind: \"127.0.0.1:3128\", protocol: http}]\n";
    }
    if !section.starts_with("policy") {
        text += "policy: {bundle: policy}\n";
    }
    told(&text)
}

fn check(rows: &[(&str, &str)]) {
    let told: Vec<String> = rows.iter().map(|(section, _)| told_of(section).join("; ")).collect();
    let wanted: Vec<String> = rows.iter().map(|(_, wanted)| wanted.replace("UNENFORCED", UNENFORCED)).collect();
    assert_eq!(told, wanted);
}

#[test]
fn mistakes_in_listeners() {
    let at = |rest: &str| format!("listeners: [{{name: a, bind: \"127.0.0.1:3128\", {rest}}}]");
    let tls = |rest: &str| at(&format!("protocol: https, tls: {{certificate: gateway.pem, key: gateway.key{rest}}}"));
    check(&[
        ("listeners: []", "1:12 `listeners` is an empty list"),
        ("listeners: {}", "1:12 `listeners` is a mapping, not a list"),
        ("listeners:", "1:1 `listeners` is empty, not a list"),
        (&at("protocol: transparent"), "1:57 `protocol: transparent` is not supported yet | UNENFORCED"),
        (&at("protocol: http, proxy_protocol: {from: [x]}"), "1:63 `proxy_protocol` is not supported yet | UNENFORCED"),
        (
            &at("protocol: http, compat: smokescren"),
            "1:71 `smokescren` is not a value of `listeners[0].compat` | did you mean `smokescreen`?",
        ),
        (
            &at("protocol: http, tls: {}"),
            "1:63 `tls` belongs to a listener with `protocol: https`, and this one is `http`",
        ),
        (&at("protocol: https"), "1:57 `protocol: https` needs `tls` | give `tls: {certificate: FILE, key: FILE}`"),
        (
            &at("protocol: https, tls: {certificate: gateway.pem, key: policy}"),
            "1:101 `listeners[0].tls.key` names `DIR/policy`, which cannot be used: it is not a regular file",
        ),
        (
            &tls(", client_certificate: required"),
            "1:134 `client_certificate` asks for certificates, but no `client_ca` says who vouches for them",
        ),
        (
            &tls(", crl: clients.crl"),
            "1:114 `crl` is given, but no client certificate is asked for | give `client_ca`, and \
             `client_certificate: required` or `optional`",
        ),
        (
            &tls(", client_certificate: none, client_ca: clients-ca.pem"),
            "1:140 `client_ca` is given, but no client certificate is asked for | give `client_ca`, and \
             `client_certificate: required` or `optional`",
        ),
        (&tls(", alpn: [h2, http/1.1]"), "1:121 `h2` is not supported yet | UNENFORCED"),
        (
            "listeners: [{name: a b, bind: \"127.0.0.1:1\", protocol: http}]",
            "1:20 `a b` is not a name of 1 to 64 letters, digits, `-`, `_` and `.`",
        ),
        (
            "listeners: [{name: a, bind: \"127.0.0.1:1\", protocol: http}, {name: a, bind: \"127.0.0.1:2\", protocol: http}]",
            "1:61 two listeners are called `a`",
        ),
        (
            "listeners: [{name: a, bind: \"0.0.0.0:1\", protocol: http}, {name: b, bind: \"127.0.0.1:1\", protocol: http}]",
            "1:75 `127.0.0.1:1` is already bound by listener `a` (`0.0.0.0:1`)",
        ),
    ]);
}

#[test]
fn mistakes_in_identity_and_floor() {
    check(&[
        ("identity: {jwt: []}", "1:12 `jwt` is not supported yet | UNENFORCED"),
        (
            "identity: {networks: [{cidr: \"10.8.0.0/16\", id: \"batch\"}]}",
            "1:49 `batch` is not a network's identity: `network:` and a name of letters, digits, `-`, `_`, `.`",
        ),
        (
            "identity: {networks: [{cidr: \"10.8.0.1/16\", id: \"network:batch\"}]}",
            "1:30 `10.8.0.1/16` is not the plain form of a network | write `10.8.0.0/16` if the whole network is meant",
        ),
        (
            "identity: {networks: [{cidr: \"::ffff:10.0.0.0/104\", id: \"network:batch\"}]}",
            "1:30 `::ffff:10.0.0.0/104` is not the plain form of a network | write it as an IPv4 network",
        ),
        (
            "identity: {networks: [{cidr: 10.8.0.0/16, id: \"network:a\"}, {cidr: 10.8.0.0/16, id: \"network:b\"}]}",
            "1:61 `10.8.0.0/16` is given twice",
        ),
        ("identity: {mtls: {names: []}}", "1:26 `identity.mtls.names` is an empty list"),
        (
            "identity: {mtls: {names: [cn]}}",
            "1:27 `cn` is not a value of `identity.mtls.names[0]` | write `spiffe`, `dns`",
        ),
        (
            "identity: {mtls: {names: [dns], trust_domains: [corp.example]}}",
            "1:33 `trust_domains` is about SPIFFE names, and `names` has no `spiffe`",
        ),
        (
            "identity: {mtls: {trust_domains: [Corp.Example]}}",
            "1:35 `Corp.Example` is not a SPIFFE trust domain: lower-case letters, digits, `.`, `-`, `_`",
        ),
        ("floor: {development_loopback: yes}", "1:31 `floor.development_loopback` is `yes`, not `true` or `false`"),
        (
            "floor: {nat64_prefixes: [\"64:ff9b::/80\"]}",
            "1:26 `64:ff9b::/80` is not a NAT64 prefix: a NAT64 prefix is 32, 40, 48, 56, 64 or 96 bits long (RFC 6052)",
        ),
        (
            "floor: {nat64_prefixes: [\"2001:db8:1:1:100::/96\"]}",
            "1:26 `2001:db8:1:1:100::/96` is not a NAT64 prefix: bits 64 to 71 must be zero (RFC 6052)",
        ),
        (
            "floor: {nat64_prefixes: [\"64:ff9b::/96\", \"64:ff9b::/32\"]}",
            "1:42 `64:ff9b::/32` overlaps `64:ff9b::/96`",
        ),
        ("floor: {nat64_prefixes: [10.0.0.0/8]}", "1:26 `10.0.0.0/8` is not an IPv6 prefix such as `64:ff9b::/96`"),
    ]);
}

#[test]
fn mistakes_in_policy_dns_and_evidence() {
    check(&[
        ("policy: {bundle: policy, verify_keys: [a.pub]}", "1:26 `verify_keys` is not supported yet | UNENFORCED"),
        ("policy: {bundle: policy, max_age: 7d}", "1:26 `max_age` is not supported yet | UNENFORCED"),
        (
            "policy: {bundle: \"https://bundles.example/b.tgz\"}",
            "1:18 `a bundle from a URL` is not supported yet | UNENFORCED",
        ),
        (
            "policy: {bundle: gateway.pem}",
            "1:18 `policy.bundle` names `DIR/gateway.pem`, which cannot be used: it is a file: archives are not \
             supported yet, name a directory",
        ),
        (
            "policy: {bundle: nowhere}",
            "1:18 `policy.bundle` names `DIR/nowhere`, which cannot be used: no such file or directory",
        ),
        ("dns: {servers: []}", "1:16 `dns.servers` is an empty list"),
        ("dns: {servers: [system, system]}", "1:25 the same value is given twice"),
        (
            "dns: {servers: [dns.example]}",
            "1:17 `dns.example` is not a DNS server | write `system`, IP, IP:port, tls://NAME[:PORT][@IP] or \
             https://NAME[:PORT][/PATH][@IP]",
        ),
        ("dns: {timeout: 1h}", "1:16 `dns.timeout` goes from 100ms to 30s"),
        (
            "dns: {dnssec: no}",
            "1:15 `dns.dnssec` is text, but YAML may read `no` as a boolean | write it in quotes: \"no\"",
        ),
        (
            "dns: {forwarders: [{domain: 10.0.0.1, servers: [system]}]}",
            "1:29 `10.0.0.1` is not a domain such as `corp.example`",
        ),
        (
            "dns: {forwarders: [{domain: x.test, servers: [system]}, {domain: X.test, servers: [system]}]}",
            "1:57 `x.test` is given twice",
        ),
        ("evidence: {otlp: {}}", "1:18 `evidence.otlp` has no `endpoint`"),
        (
            "evidence: {otlp: {endpoint: \"collector:4317\"}}",
            "1:29 `collector:4317` is not a collector's URL such as `http://127.0.0.1:4317`",
        ),
        (
            "evidence: {otlp: {endpoint: \"http://collector:4317/v1\"}}",
            "1:29 a gRPC endpoint has no path, and this one has `/v1` | leave it out, or write `protocol: http`",
        ),
    ]);
}

#[test]
fn mistakes_in_what_records_are_written_to() {
    let spool = |rest: &str| format!("evidence: {{spool: {{{rest}}}}}");
    let range = "1:30 `evidence.spool.max_size` goes from 16MiB to 1TiB";
    check(&[
        (
            "evidence: {durability: sync}",
            "1:24 `sync` is not a value of `evidence.durability` | did you mean `synced`?",
        ),
        (
            "evidence: {request_path: hash}",
            "1:26 `hash` is not a value of `evidence.request_path` | write `keep`, `drop`",
        ),
        (&spool("max_size: 1MiB"), range),
        (&spool("max_size: 2TiB"), range),
        (
            &spool("when_full: block"),
            "1:31 `block` is not a value of `evidence.spool.when_full` | write `refuse`, `drop_oldest`",
        ),
        (
            &spool("keep: 7"),
            "1:26 `evidence.spool.keep` is `7`, not a duration such as `250ms`, `30s`, `5m`, `2h` or `90d`",
        ),
        (&spool("keep: 9999d"), "1:26 `evidence.spool.keep` goes from 0s to 3650d"),
        (
            &spool("directory: gateway.pem"),
            "1:31 `evidence.spool.directory` names `DIR/gateway.pem`, which cannot be used: it is not a directory",
        ),
        (
            &spool("directory: gateway.pem/a/b"),
            "1:31 `evidence.spool.directory` names `DIR/gateway.pem/a/b`, which cannot be used: not a directory",
        ),
        (
            &spool("archive: nowhere"),
            "1:29 `evidence.spool.archive` names `DIR/nowhere`, which cannot be used: no such file or directory",
        ),
        (
            &spool("archive: gateway.pem"),
            "1:29 `evidence.spool.archive` names `DIR/gateway.pem`, which cannot be used: it is a file",
        ),
        (
            &spool("directory: ., archive: policy"),
            "1:43 the archive lies within the spool, which gives room back | name another directory, on a volume of \
             its own if there is one",
        ),
        ("evidence: {spool: none}", "1:19 `evidence.spool` is `none`, not a mapping of keys"),
        ("evidence: {ocsf: {}}", "1:18 `evidence.ocsf` has no `file`"),
        (
            "evidence: {ocsf: {file: policy, rotate_size: 1KiB, rotate_keep: 0}}",
            "1:25 `evidence.ocsf.file` names `DIR/policy`, which cannot be used: it is not a regular file; \
             1:46 `evidence.ocsf.rotate_size` goes from 1MiB to 1TiB; \
             1:65 `evidence.ocsf.rotate_keep` goes from 1 to 1000",
        ),
        (
            "evidence: {ocsf: {file: nowhere/x}}",
            "1:25 `evidence.ocsf.file` names `DIR/nowhere/x`, which cannot be used: its directory is not there",
        ),
    ]);
}

#[test]
fn mistakes_in_what_records_are_sent_to() {
    let otlp = |rest: &str| format!("evidence: {{otlp: {{endpoint: \"https://c.test\", {rest}}}}}");
    let clear = "evidence: {otlp: {endpoint: \"http://c.test\", headers: {a: b}}}";
    let receiver = "a receiver such as `tcp://127.0.0.1:601` or `tls://logs.example:6514`";
    check(&[
        (&otlp("headers: {a: b, A: c}"), "1:63 the header `a` is given twice"),
        (
            &otlp("headers: {\"a b\": c}"),
            "1:57 this is not the name of a header: letters, digits, `-`, `_` and `.` | write `NAME: \"VALUE\"`",
        ),
        (
            &otlp("headers: {Host: c}"),
            "1:57 the header `host` cannot be set | leave it out: the protocol gives it a meaning of its own",
        ),
        (
            &otlp("headers: {grpc-timeout: c}"),
            "1:57 the header `grpc-timeout` cannot be set | leave it out: the protocol gives it a meaning of its own",
        ),
        (
            &otlp("headers: {a: 12}"),
            "1:60 `evidence.otlp.headers.a` is text, but YAML may read it as something else | write it in quotes",
        ),
        (
            &otlp("headers: {a: \"\\n\"}"),
            "1:60 `evidence.otlp.headers.a` is not the value of a header: one line of printable ASCII without spaces around it",
        ),
        (
            &otlp("headers: {a: {file: gone}}"),
            "1:67 `evidence.otlp.headers.a.file` names `DIR/gone`, which cannot be used: no such file or directory",
        ),
        (
            &otlp("headers: {a: {file: gateway.pem}}"),
            "- it does not hold the value of a header: one line of printable ASCII without spaces around it",
        ),
        (clear, "1:46 headers go to another machine in clear text | write `https://` in `endpoint`"),
        (&otlp("compression: zip"), "1:60 `zip` is not a value of `evidence.otlp.compression` | did you mean `gzip`?"),
        (
            &otlp("tls: {key: gateway.key}"),
            "1:53 `key` is given without `certificate` | give both: the chain, and the private key of its leaf",
        ),
        (&otlp("tls: {server_name: \"a b\"}"), "1:66 `a b` is not a host name or an address"),
        (
            "evidence: {otlp: {endpoint: \"http://127.0.0.1:4317\", tls: {}}}",
            "1:54 `tls` belongs to an address with `https://`, and this one has `http://`",
        ),
        ("evidence: {syslog: {}}", "1:20 `evidence.syslog` has no `address`"),
        (
            "evidence: {syslog: {address: \"udp://127.0.0.1:514\"}}",
            "1:30 syslog over UDP loses records, and nobody learns of it | write `tcp://` or `tls://`",
        ),
        ("evidence: {syslog: {address: \"127.0.0.1:514\"}}", &format!("1:30 `127.0.0.1:514` is not {receiver}")),
        ("evidence: {syslog: {address: \"tcp://a.test/x\"}}", &format!("1:30 `tcp://a.test/x` is not {receiver}")),
        (
            "evidence: {syslog: {address: \"tcp://a.test\", format: cef, tls: {}}}",
            "1:54 `cef` is not a value of `evidence.syslog.format` | write `rfc5424`, `ocsf`; \
             1:59 `tls` belongs to an address with `tls://`, and this one has `tcp://`",
        ),
    ]);
}

#[test]
fn mistakes_in_telemetry() {
    let telemetry = |rest: &str| format!("telemetry: {{otlp: {{endpoint: \"http://127.0.0.1\"}}{rest}}}");
    check(&[
        ("telemetry: {}", "1:12 `telemetry` has no `otlp`"),
        (
            "telemetry: {otlp: {endpoint: \"http://127.0.0.1\", protocol: http}}",
            "1:19 `telemetry over OTLP/HTTP` is not supported yet | UNENFORCED",
        ),
        (
            "telemetry: {otlp: {endpoint: \"http://127.0.0.1\", compression: gzip}}",
            "1:50 `compression` is not a key of `telemetry.otlp` | its keys are `endpoint`, `protocol`, `headers`, `tls`",
        ),
        (&telemetry(", metrics: 10ms"), "1:60 `telemetry.metrics` goes from 1s to 1h, or is `none`"),
        (
            &telemetry(", metrics: none"),
            "1:12 `telemetry` would export neither metrics nor traces | give `metrics` an interval or `traces` a \
             share, or leave `telemetry` out",
        ),
        (
            &telemetry(", traces: {sample: 0.01, parent: always}"),
            "1:68 `telemetry.traces.sample` is text, but YAML may read `0.01` as a number | write it in quotes: \"0.01\"; \
             1:82 `always` is not a value of `telemetry.traces.parent` | write `follow`, `ignore`",
        ),
        (
            &telemetry(", traces: {sample: 200%}"),
            "1:68 `200%` is not a share from `0%` to `100%`, such as `1%` or `0.05%`",
        ),
    ]);
}

#[test]
fn mistakes_in_state_egress_points_admin_and_limits() {
    check(&[
        ("state: {store: etcd}", "1:8 `state` has no `endpoints`"),
        (
            "egress_points: [{name: direct}, {name: eu-west}]",
            "1:33 `egress point eu-west` is not supported yet | UNENFORCED",
        ),
        (
            "egress_points: [{name: direct, source_address: 198.51.100.7}]",
            "1:32 `source_address` is not supported yet | UNENFORCED",
        ),
        ("egress_points: [{name: direct}, {name: direct}]", "1:33 `direct` is given twice"),
        (
            "admin: {bind: \"127.0.0.1:3128\"}",
            "1:15 `127.0.0.1:3128` is already bound by listener `a` (`127.0.0.1:3128`)",
        ),
        (
            "admin: {bind: \"127.0.0.1:1\", tls: {}}",
            "1:35 `admin.tls` has no `certificate`; 1:35 `admin.tls` has no `key`",
        ),
        (
            "admin: {bind: \"unix:admin.sock\", tls: {certificate: gateway.pem, key: gateway.key}}",
            "1:34 `tls` belongs to an address, and `bind` names a socket in the file system",
        ),
        ("admin: {bind: \"unix:\"}", "1:15 `unix:` names no path"),
        (
            "admin: {bind: \"127.0.0.1:1\", oidc: {issuer: \"http://id.example\"}}",
            "1:36 `admin.oidc` has no `client_id`; \
             1:45 `http://id.example` is not an `https` URL of an issuer (`http` on loopback only)",
        ),
        (
            "admin: {bind: \"127.0.0.1:1\", operators: gone.yaml}",
            "1:41 `admin.operators` names `DIR/gone.yaml`, which cannot be used: no such file or directory",
        ),
        ("admin: {bind: \"127.0.0.1:1\", names: []}", "1:37 `admin.names` is an empty list"),
    ]);
    assert_eq!(
        told_of("admin: {bind: \"127.0.0.1:1\", operators: [{name: a}, b]}"),
        [
            "1:42 `admin.operators[0]` has no `expires`",
            "1:42 `admin.operators[0]` has neither `sha256` nor `certificates` nor `oidc` | \
             give one: nobody could show that it is they",
            "1:53 `admin.operators[1]` is `b`, not a mapping of keys",
        ]
    );
    let limit = |text: &str| told_of(&format!("limits: {{{text}}}")).join("; ");
    let count = "not a plain decimal number";
    assert_eq!(limit("head_max_fields: 010"), format!("1:27 `limits.head_max_fields` is `010`, {count}"));
    assert_eq!(limit("head_max_fields: 0o20"), format!("1:27 `limits.head_max_fields` is `0o20`, {count}"));
    assert_eq!(limit("head_max_fields: 1_00"), format!("1:27 `limits.head_max_fields` is `1_00`, {count}"));
    assert_eq!(limit("head_max_fields: 1:40"), format!("1:27 `limits.head_max_fields` is `1:40`, {count}"));
    assert_eq!(limit("head_max_fields: \"100\""), format!("1:27 `limits.head_max_fields` is the text `100`, {count}"));
    assert_eq!(limit("head_max_fields: on"), format!("1:27 `limits.head_max_fields` is `on`, {count}"));
    assert!(limit("head_max_bytes: 65536").starts_with("1:26 `limits.head_max_bytes` is `65536`, not a size such as "));
    assert!(limit("head_timeout: 1:30").starts_with("1:24 `limits.head_timeout` is `1:30`, not a duration such as "));
    assert!(limit("max_connections: 0").starts_with("1:27 `max_connections` is 0; it goes from 1 to 1000000 | "));
    assert_eq!(
        limit("colour: 1"),
        "1:10 `colour` is not a key of `limits` | its keys are those of `gatepass serve --print-limits`"
    );
}

#[test]
fn what_yaml_offers_beyond_keys_lists_and_words_is_refused() {
    for (name, kind) in [("no", "boolean"), ("12", "number"), ("1e3", "number"), ("010", "number"), ("22:22", "number")]
    {
        assert_eq!(
            told_of(&format!("listeners: [{{name: {name}, bind: \"127.0.0.1:1\", protocol: http}}]")),
            [format!(
                "1:20 `listeners[0].name` is text, but YAML may read `{name}` as a {kind} | write it in quotes: \"{name}\""
            )]
        );
    }
    check(&[
        ("dns: {timeout: &t 2s}", "1:16 anchors are not allowed | write the value where it is used"),
        ("dns: {timeout: *t}", "1:16 aliases are not allowed | write the value where it is used"),
        ("dns: {timeout: !!str 2s}", "1:16 tags are not allowed | leave it out: every key has one type"),
        ("dns: {timeout: 2s, timeout: 3s}", "1:20 `timeout` is given twice | the first is on line 1; keep one"),
        ("dns: {[a]: b}", "1:7 a key is one word"),
        ("dns: {timeout: }", "1:7 `dns.timeout` is empty, not a duration such as `250ms`, `30s`, `5m`, `2h` or `90d`"),
    ]);
    let told_first = |text: &str| told(text).first().cloned().unwrap_or_default();
    assert!(told_first("listeners: [\n").contains("this is not YAML: "));
    assert_eq!(told_first("a: b\n---\nc: d\n"), "2:1 a second document begins here; a file holds one");
    let deep = format!("dns: {}", "[".repeat(100_000));
    assert!(told_first(&deep).contains("this is not YAML: "));
}
