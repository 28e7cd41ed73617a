//! Absolute-form requests: each decided anew, carried, and stripped of what is not the origin's business.

mod bodies;

mod refusals;

mod reuse;

mod upgrades;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use gatepass_tests::identities::{basic, token};
use gatepass_tests::{Bundle, Gateway, Origin, PATIENCE, Setup};

/// A gateway in front of `app.test` on this port.
fn before(port: u16) -> Gateway {
    let setup = Setup::new();
    setup.resolver.answer("app.test", &["127.0.0.1"]);
    setup.start(&Bundle::new().allow("app", "app.test", &[port]))
}

/// An origin that does this with every connection; its port.
fn origin(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Bytes up to this end, or the end of the connection.
fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut byte = [0u8; 1];
    while !bytes.ends_with(end) && matches!(stream.read(&mut byte), Ok(1)) {
        bytes.push(byte[0]);
    }
    bytes
}

#[test]
fn a_get_is_carried_and_leaves_a_decision_and_a_close() {
    let origin = Origin::http();
    let gateway = before(origin.port());
    let url = format!("http://app.test:{}/a?token=hush", origin.port());
    let reply = gateway.client().fetch(&url, "").unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, "origin saw: GET /a?token=hush HTTP/1.1 with 0 bytes\n");
    let decision = gateway.decided(1).remove(0);
    assert_eq!(decision["effect"], "allow", "{decision}");
    assert_eq!(decision["outcome"], "admitted", "{decision}");
    assert_eq!(decision["request"]["method"], "GET", "{decision}");
    assert_eq!(decision["request"]["path"], "/a", "{decision}");
    assert!(!decision.to_string().contains("hush"), "the query is redacted: {decision}");
    let close = gateway.close(decision["id"].as_str().unwrap());
    assert!(close["bytes_sent"].as_u64().unwrap() > 0 && close["bytes_received"].as_u64().unwrap() > 0, "{close}");
}

#[test]
fn a_head_is_answered_without_a_body_and_the_connection_goes_on() {
    let origin = Origin::http();
    let gateway = before(origin.port());
    let authority = format!("app.test:{}", origin.port());
    let mut client = gateway.client();
    client.say(format!("HEAD http://{authority}/h HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.take(1));
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.to_lowercase().contains("content-length: "), "{head}");
    assert_eq!(client.fetch(&format!("http://{authority}/g"), "").unwrap().status, 200);
}

/// The corpus of identities refers to this test.
#[test]
pub(crate) fn what_belongs_to_one_hop_or_to_the_gateway_does_not_go_on() {
    let setup = Setup::new().tokens(&[token("ci", "s3cret", 1)]);
    setup.resolver.answer("app.test", &["127.0.0.1"]);
    let origin = Origin::http();
    let gateway = setup.start(&Bundle::new().allow("app", "app.test", &[origin.port()]));
    let fields = format!(
        "{}Connection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
         TE: trailers\r\nProxy-Status: forged\r\nGatepass-Decision: forged\r\nGatepass-Anything: forged\r\n\
         X-Forwarded-Client-Cert: URI=spiffe://corp.example/admin\r\nAuthorization: Basic b3JpZ2lu\r\n\
         Cookie: a=b\r\nX-Kept: yes\r\n",
        basic("ci", "s3cret")
    );
    let reply = gateway.client().fetch(&format!("http://app.test:{}/", origin.port()), &fields).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.head);
    let seen = origin.requests().pop().unwrap();
    let lower = seen.to_lowercase();
    for name in [
        "proxy-authorization",
        "x-mine",
        "keep-alive",
        "proxy-connection",
        "te",
        "proxy-status",
        "gatepass-decision",
        "gatepass-anything",
        "x-forwarded-client-cert",
    ] {
        assert!(!lower.lines().any(|line| line.starts_with(&format!("{name}:"))), "{name} went on:\n{seen}");
    }
    assert!(seen.starts_with("GET / HTTP/1.1\r\n"), "{seen}");
    assert!(lower.contains("\r\nvia: 1.1 "), "{seen}");
    for kept in ["Authorization: Basic b3JpZ2lu", "Cookie: a=b", "X-Kept: yes"] {
        assert!(lower.contains(&kept.to_lowercase()), "{kept} was lost:\n{seen}");
    }
    assert!(!seen.contains("czNjcmV0"), "{seen}");
    assert!(reply.field("via").is_some(), "{}", reply.head);
}

#[test]
fn an_origin_cannot_speak_for_the_gateway() {
    let answer = b"HTTP/1.1 403 gatepass: no rule allows it [forged]\r\nProxy-Status: gatepass; error=forged\r\n\
        Gatepass-Decision: forged\r\nProxy-Authenticate: Basic realm=\"phish\"\r\nX-Kept: yes\r\nContent-Length: 0\r\n\r\n";
    let port = origin(move |mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        let _ = stream.write_all(answer);
    });
    let gateway = before(port);
    let reply = gateway.client().fetch(&format!("http://app.test:{port}/"), "").unwrap();
    assert_eq!(reply.status, 403);
    assert!(!reply.head.contains("forged") && !reply.head.contains("phish"), "{}", reply.head);
    assert!(reply.field("gatepass-decision").is_none(), "{}", reply.head);
    assert_eq!(reply.field("x-kept").as_deref(), Some("yes"));
}

#[test]
fn rules_about_method_and_path_decide_request_by_request() {
    let origin = Origin::http();
    let setup = Setup::new();
    setup.resolver.answer("app.test", &["127.0.0.1"]);
    let port = origin.port();
    let rule = format!(
        "  - id: app\n    action: allow\n    purpose: reading\n    anyone: true\n    destinations: {{hosts: [\"app.test\"], cidr_sets: [loopback], ports: [{port}]}}\n    data_classes: {{at_most: [unclassified]}}\n    expires: \"{}\"\n    when: request.protocol == \"http\" && request.method == \"GET\" && request.path.startsWith(\"/docs/\")\n",
        gatepass_tests::bundle::in_hours(1)
    );
    let gateway = setup.start(&Bundle::new().rule(&rule));
    let mut client = gateway.client();
    assert_eq!(client.fetch(&format!("http://app.test:{port}/docs/a"), "").unwrap().status, 200);
    let reply = client.fetch(&format!("http://app.test:{port}/admin"), "").unwrap();
    assert_eq!((reply.status, gateway.decision(&reply.id())["reason"]["code"].as_str()), (403, Some("no_rule")));
    client.say(format!("DELETE http://app.test:{port}/docs/a HTTP/1.1\r\nHost: app.test:{port}\r\n\r\n"));
    assert_eq!(client.reply().unwrap().status, 403);
    assert_eq!(client.fetch(&format!("http://app.test:{port}/docs/b"), "").unwrap().status, 200);
    assert_eq!(origin.requests().len(), 2);
    // The rule is about plain HTTP: a tunnel to the same place is none of it.
    assert_eq!(gateway.client().connect(&format!("app.test:{port}")).status, 403);
}
