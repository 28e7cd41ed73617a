//! hosts.tsv: authorities and URLs, as CONNECT targets, in absolute form and in the Host field.

use gatepass_tests::corpus::{Row, rows};
use gatepass_tests::{Client, Gateway, Origin, Setup, eventually};

use super::{Findings, HOSTS, policy, told};

/// Where the corpus leaves a choice: what was chosen, and held.
const CHOSEN: &[(&str, &str)] = &[
    ("H007", "403 no_rule"),
    ("H268", "400 invalid_request"),
    ("H269", "400 invalid_request"),
    ("H274", "403 no_rule"),
    ("H276", "400 invalid_request"),
    ("H280", "403 no_rule"),
    ("H288", "400 invalid_request"),
    // The target is longer than its bound, for which RFC 9110 section 15.5.15 has a status of its own.
    ("H283", "414 invalid_request"),
    // Refused rather than rewritten.
    ("H410", "400 invalid_request"),
    ("H411", "400 invalid_request"),
    // Denied by a rule of the policy, where all others are denied for want of one.
    ("H387", "403 team_deny"),
];

fn pinned(row: &Row) -> &'static str {
    let chosen = CHOSEN.iter().find(|(id, _)| *id == row.get("id"));
    match (chosen, row.get("expected")) {
        (Some((_, outcome)), _) => outcome,
        (None, "BLOCK400") => "400 invalid_request",
        (None, "BLOCK403") if is_on_the_floor(row) => "403 address_floor",
        (None, "BLOCK403") => "403 no_rule",
        (None, expected) if expected == "ALLOW" || expected.starts_with("SAME:") => "ALLOW",
        (None, expected) => panic!("{}: `{expected}` is not pinned", row.get("id")),
    }
}

/// Literals of special-purpose addresses. H168 is a public one, which only no rule names.
fn is_on_the_floor(row: &Row) -> bool {
    let literal = matches!(row.get("category"), "v4-literal" | "v6-literal") && row.get("id") != "H168";
    literal || matches!(row.get("id"), "H384" | "H385" | "H386")
}

/// The request that a row stands for. Rows of targets say no Host (HTTP/1.0), so that the target alone decides.
/// Where a row is to be allowed, `port` takes the place of 80 and 443.
fn request(row: &Row, port: Option<u16>) -> Vec<u8> {
    let input = row.bytes("input");
    let moved = |text: &[u8]| match port {
        None => text.to_vec(),
        Some(port) => moved(&String::from_utf8_lossy(text), port).into_bytes(),
    };
    match row.get("context") {
        "connect" => [b"CONNECT ", &moved(&input)[..], b" HTTP/1.0\r\n\r\n"].concat(),
        "absolute" => [b"GET ", &moved(&input)[..], b" HTTP/1.0\r\n\r\n"].concat(),
        context => {
            let target = context.split_once("target=").unwrap().1.trim_end_matches(')');
            let line = if target.starts_with("CONNECT") { target.to_owned() } else { format!("GET {target}") };
            let host =
                if port.is_some() && context.contains("http://") { with_port(&input, port) } else { moved(&input) };
            [&moved(line.as_bytes())[..], b" HTTP/1.1\r\nHost: ", &host[..], b"\r\n\r\n"].concat()
        }
    }
}

/// The same authority or URL on another port.
fn moved(text: &str, port: u16) -> String {
    if let Some(rest) = text.strip_suffix(":443").or_else(|| text.strip_suffix(":80")) {
        return format!("{rest}:{port}");
    }
    let host = "http://allowed.test";
    match text.split_once(host) {
        Some((before, rest)) => format!("{before}{host}:{port}{}", rest.trim_start_matches(":80")),
        None => text.to_owned(),
    }
}

/// A Host field that names the port: without it, it would say 80.
fn with_port(host: &[u8], port: Option<u16>) -> Vec<u8> {
    let text = String::from_utf8_lossy(host);
    format!("{}:{}", text.trim_end_matches(":80"), port.unwrap()).into_bytes()
}

struct World {
    gateway: Gateway,
    origin: Origin,
}

fn world() -> World {
    let setup = Setup::new();
    let origin = Origin::http();
    for name in ["allowed.test", "a.wild.test", "xn--bcher-kva.test", "foo_bar.allowed-us.test"] {
        setup.resolver.answer(name, &["127.0.0.1"]);
    }
    let gateway = setup.start(&policy(origin.port()));
    World { gateway, origin }
}

#[test]
fn every_row_that_is_refused_is_refused_before_dns_with_one_record_and_the_end() {
    let World { gateway, origin } = world();
    let mut findings = Findings::new();
    let mut sent = 0;
    for row in rows(HOSTS).iter().filter(|row| pinned(row) != "ALLOW") {
        let mut client = gateway.client();
        client.say(request(row, None));
        let Some(reply) = client.reply() else {
            findings.compare(row, pinned(row), "closed without an answer");
            continue;
        };
        findings.compare(row, pinned(row), &told(&gateway, &reply));
        let stays = row.get("context") == "absolute" && reply.status == 403;
        let end = reply.field("connection");
        assert!(stays || end.as_deref() == Some("close"), "{}: {}", row.get("id"), reply.head);
        client.finish();
        assert_eq!(client.rest(), b"", "{}: one answer, then the end", row.get("id"));
        sent += 1;
    }
    findings.assert_none();
    assert_eq!(gateway.setup.resolver.queries(), [""; 0], "a refused row left a DNS question");
    assert_eq!(gateway.decisions().len(), sent, "one record each");
    assert_eq!(origin.connections(), 0);
    assert!(sent > 230, "{sent} rows");
}

#[test]
fn every_row_that_is_allowed_reaches_the_one_upstream_of_its_name() {
    let World { gateway, origin } = world();
    let mut findings = Findings::new();
    let mut sent = 0;
    for row in rows(HOSTS).iter().filter(|row| pinned(row) == "ALLOW") {
        let mut client = gateway.client();
        client.say(request(row, Some(origin.port())));
        findings.compare(row, "ALLOW", &answer(row, &mut client, &gateway));
        sent += 1;
        eventually("its record", || (gateway.decisions().len() == sent).then_some(()));
    }
    findings.assert_none();
    let record = |host: &str| gateway.decisions().iter().filter(|r| r["destination"]["host"] == host).count();
    assert_eq!(
        record("allowed.test")
            + record("a.wild.test")
            + record("xn--bcher-kva.test")
            + record("foo_bar.allowed-us.test"),
        sent
    );
    assert_eq!((record("allowed.test"), record("xn--bcher-kva.test")), (sent - 4, 2), "spellings are one name");
}

fn answer(row: &Row, client: &mut Client, gateway: &Gateway) -> String {
    match client.reply() {
        None => "closed without an answer".to_owned(),
        Some(reply) if reply.status != 200 => told(gateway, &reply),
        Some(reply) if row.get("context").contains("CONNECT") || row.get("context") == "connect" => {
            client.say("GET /inside HTTP/1.1\r\nHost: x\r\n\r\n");
            let inside = client.reply().map(|reply| reply.body).unwrap_or_default();
            let admitted = gateway.decision(&reply.id())["outcome"] == "admitted";
            if admitted && inside.contains("GET /inside") { "ALLOW".into() } else { format!("no tunnel: {inside}") }
        }
        Some(reply) if reply.body.contains("origin saw: GET / HTTP/1.1") => "ALLOW".into(),
        Some(reply) => format!("another request: {}", reply.body),
    }
}
