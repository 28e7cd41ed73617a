//! Squid: the first line that fits decides there; the same sets of connections are allowed here, or fewer, and told.

use gatepass_tests::Scratch;

use super::super::cli::run;
use super::{Ask, Import, NOW, sample, told};

fn from(source: &'static str, to: &str) -> Ask {
    Ask { source, ..Ask::connect("anonymous", to) }
}

fn get(source: &'static str, to: &str, method: &'static str, path: &'static str) -> Ask {
    Ask { source, ..Ask::http("anonymous", to, method, path) }
}

#[test]
fn the_order_of_lines_becomes_sets_that_decide_alike() {
    let import = Import::of("squid", &sample("squid.conf"), &[]);
    assert_eq!(import.told.code, 0, "{}", import.told.err);
    let told = run(&import.scratch, &["check", "policy", "--at", NOW]);
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{}", told.out);
    let office = "10.1.2.3:4000";
    for (ask, says) in [
        // `.vendor.example` is the apex and everything below; a name without a dot is itself.
        (from(office, "vendor.example:443"), "+squid/squid.conf-29"),
        (from(office, "a.b.vendor.example:443"), "+squid/squid.conf-29"),
        (from(office, "evilvendor.example:443"), "no_rule"),
        (from(office, "api.partner.example:443"), "+squid/squid.conf-29"),
        (from(office, "x.api.partner.example:443"), "no_rule"),
        (from(office, "x.tools.example:443"), "+squid/squid.conf-29"),
        (from("192.168.7.7:1", "vendor.example:443"), "+squid/squid.conf-29"),
        (from("172.16.0.1:1", "vendor.example:443"), "no_rule"),
        // A deny above the allows.
        (from(office, "x.ads.vendor.example:443"), "guard/squid.conf-27"),
        // Ports: of all lines, and of tunnels.
        (from(office, "vendor.example:22"), "guard/squid.conf-23"),
        (get(office, "vendor.example:22", "GET", "/"), "no_rule"),
        (from(office, "vendor.example:8443"), "guard/squid.conf-23"),
        (get(office, "vendor.example:8443", "GET", "/"), "+squid/squid.conf-29"),
        (get(office, "vendor.example:80", "POST", "/"), "+squid/squid.conf-29"),
        (get(office, "vendor.example:80", "GET", "/squid-internal-mgr/menu"), "guard/squid.conf-25"),
        // A deny below an allow is none for it, and one for what comes after.
        (from("10.66.0.1:1", "vendor.example:443"), "+squid/squid.conf-29"),
        (get("10.66.0.1:1", "old.example:80", "GET", "/"), "no_rule"),
        (get(office, "old.example:80", "GET", "/"), "+squid/10-extra.conf-4"),
        (get(office, "old.example:80", "HEAD", "/"), "+squid/10-extra.conf-4"),
        (get(office, "old.example:80", "POST", "/"), "no_rule"),
        (from(office, "old.example:443"), "no_rule"),
        // A private network, for the clients and the name that the line has.
        (Ask { answer: "10.20.0.7", ..from("10.9.0.1:1", "registry.corp.example:443") }, "+squid/squid.conf-28"),
        (Ask { answer: "10.20.0.7", ..from(office, "registry.corp.example:443") }, "address_floor"),
        (Ask { answer: "10.21.0.7", ..from("10.9.0.1:1", "registry.corp.example:443") }, "address_floor"),
        (Ask { answer: "127.0.0.1", ..from(office, "vendor.example:443") }, "address_floor"),
    ] {
        assert_eq!(import.says(&ask), says, "{ask:?}");
    }
}

#[test]
fn each_line_that_is_less_here_is_told_in_its_place() {
    let file = sample("squid.conf");
    let json = run(&Scratch::new(), &["import", "squid", file.to_str().unwrap(), "--owner", "net@corp.test", "--json"]);
    let lines = told(&json);
    let keys: Vec<&str> = lines.keys().map(String::as_str).collect();
    let wanted = [
        "dropped squid.conf:24",
        "dropped squid.conf:31",
        "narrowed squid.conf:28",
        "note squid.conf:19",
        "note squid.conf:33",
    ];
    assert_eq!(keys, wanted, "{lines:#?}");
    assert!(lines["dropped squid.conf:31"].contains("of the type `time`"), "{lines:#?}");
}

#[test]
fn a_deny_that_is_not_understood_takes_everything_below_it() {
    let import = Import::of("squid", &sample("squid-poisoned.conf"), &["--port", "443"]);
    let office = "10.1.2.3:4000";
    assert_eq!(import.says(&from(office, "good.example:443")), "+squid/squid-poisoned.conf-5");
    assert_eq!(import.says(&from(office, "late.example:443")), "no_rule");
    assert!(import.told.err.contains("squid-poisoned.conf:6: not carried over"), "{}", import.told.err);
    let why = "squid-poisoned.conf:6 stands above it, is not understood, and may deny it";
    assert!(import.told.err.contains(why), "{}", import.told.err);
    // The list ends in a deny that does not fit everybody: Squid allows the others.
    let open = Scratch::new();
    let file = open
        .write("s.conf", "acl a dstdomain a.example\nacl b src 10.0.0.0/8\nhttp_access allow a\nhttp_access deny b\n");
    let import = Import::of("squid", &file, &["--port", "443"]);
    assert_eq!(import.says(&from("192.0.2.1:1", "b.example:443")), "no_rule");
    assert!(import.told.err.contains("s.conf:4: not carried over: the list ends in a deny"), "{}", import.told.err);
}

/// Lines before `http_access allow net good`, and what becomes of it.
const BEFORE: &[(&str, &str)] = &[
    ("", "+"),
    ("http_access deny nowhere", "no_rule"),
    ("http_access deny all", "no_rule"),
    ("http_access deny !good", "+"),
    ("http_access deny !other", "no_rule"),
    ("http_access deny other", "+"),
    ("http_access deny good", "guard"),
    ("http_access deny net good", "guard"),
    ("http_access deny net other", "+"),
    ("http_access deny !net", "+"),
    ("http_access deny lan", "guard"),
    ("http_access deny private", "+"),
    ("http_access allow other\nhttp_access deny good", "no_rule"),
    ("http_access allow other\nhttp_access deny net other", "+"),
    ("http_access allow other\nhttp_access deny CONNECT net", "no_rule"),
    ("http_access allow other\nhttp_access deny !CONNECT net", "+"),
    ("acl regex dstdom_regex good", "+"),
    ("acl regex dstdom_regex good\nhttp_access deny regex", "no_rule"),
    ("acl regex dstdom_regex good\nhttp_access deny regex other", "+"),
    ("acl regex dstdom_regex good\nhttp_access deny !regex", "no_rule"),
    ("acl mixed src 10.0.0.0/8\nacl mixed dstdomain x.example\nhttp_access deny mixed", "no_rule"),
    ("acl named dst good.example\nhttp_access deny named", "no_rule"),
    ("acl filed dstdomain \"nowhere.txt\"\nhttp_access deny filed", "no_rule"),
    ("http_access", "no_rule"),
    ("http_access maybe good", "no_rule"),
    ("include nowhere.conf", "no_rule"),
    ("if ${process_number} = 1", "no_rule"),
    ("http_reply_access deny all", "no_rule"),
    ("http_reply_access allow all", "+"),
    ("adapted_http_access deny other", "no_rule"),
    ("configuration_includes_quoted_values on", "no_rule"),
    ("cache deny all", "+"),
];

#[test]
fn whatever_stands_above_an_allow_never_makes_it_more() {
    let acls = "acl net src 10.0.0.0/8\nacl lan src 10.1.0.0/16\nacl good dstdomain .good.example\n\
                acl other dstdomain other.example\nacl private dst 192.168.0.0/16\n";
    for (before, says) in BEFORE {
        let scratch = Scratch::new();
        let text = format!("{acls}{before}\nhttp_access allow net good\nhttp_access deny all\n");
        let import = Import::of("squid", &scratch.write("squid.conf", &text), &["--port", "443"]);
        let told = match &import.set {
            Some(_) => import.says(&from("10.1.2.3:4000", "www.good.example:443")),
            None => "no_rule".to_owned(),
        };
        assert!(told.starts_with(says), "{before}: {told}\n{}", import.told.err);
        assert!(*says == "+" || import.told.code <= 1, "{before}: {}", import.told.err);
    }
}

#[test]
fn what_a_rule_cannot_list_is_left_out() {
    let scratch = Scratch::new();
    for (lines, why) in [
        ("http_access allow all", "it names no destination that a rule can list"),
        ("acl a src 10.0.0.0/8\nhttp_access allow a", "it names no destination that a rule can list"),
        ("acl a dstdomain a.example\nhttp_access allow !a", "it names no destination that a rule can list"),
        ("acl a dstdomain *.example", "`*.example` is no host that can be asked for"),
        ("acl a url_regex x\nhttp_access allow a", "of the type `url_regex`"),
        ("acl m dst 169.254.0.0/16\nhttp_access allow m", "can never be opened"),
        ("acl a dstdomain a.example\nacl m dst 169.254.0.0/16\nhttp_access allow a m", "can never be opened"),
        ("acl a dstdomain a.example\nacl b dstdomain b.example\nhttp_access allow a b", "nothing can fit this line"),
        (
            "acl a dstdomain a.example\nacl b dstdomain b.example\nacl m dst 10.0.0.0/8\nhttp_access allow a b m",
            "nothing can fit this line",
        ),
        (
            "acl m dst 10.0.0.0/8\nacl d dstdomain d.example\nhttp_access deny d\nhttp_access allow m",
            "which Squid also applies to the names of addresses",
        ),
    ] {
        let file = scratch.write("squid.conf", lines);
        let told =
            run(&scratch, &["import", "squid", file.to_str().unwrap(), "--owner", "o@corp.test", "--port", "443"]);
        assert!(told.err.contains(why), "{lines}: {}", told.err);
        assert!(!told.out.contains("kind: Fragment"), "{lines}: {}", told.out);
        assert_eq!(told.code, i32::from(!told.out.contains("kind: Guardrails")), "{lines}");
    }
    // A wide range of ports is not written out.
    let wide = "acl a dstdomain a.example\nacl p port 1025-65535 21\nhttp_access allow a p\nhttp_access deny all\n";
    let import = Import::of("squid", &scratch.write("squid.conf", wide), &["--port", "8443", "--port", "443"]);
    assert!(import.told.err.contains("of 1025-65535 only those of `--port` were taken"), "{}", import.told.err);
    for (port, says) in
        [(8443, "+squid/squid.conf-3"), (21, "+squid/squid.conf-3"), (443, "no_rule"), (9000, "no_rule")]
    {
        assert_eq!(import.says(&from("10.1.2.3:1", &format!("a.example:{port}"))), says, "{port}");
    }
}
