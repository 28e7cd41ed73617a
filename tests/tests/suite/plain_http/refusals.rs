//! What is refused, and what an upstream that fails looks like.

use std::io::Write;

use gatepass_tests::{Bundle, Origin, Setup};

use super::{before, origin, read_until};

#[test]
fn a_refusal_tells_everything_in_the_answer() {
    let gateway = before(80);
    let reply = gateway.client().fetch("http://denied.test/", "").unwrap();
    assert_eq!(reply.status, 403);
    assert!(reply.phrase.starts_with("gatepass: no rule allows it ["), "{}", reply.phrase);
    assert!(reply.field("proxy-status").unwrap().starts_with("gatepass; error=http_request_denied; details="));
    assert!(reply.body.contains("denied.test:80"), "{}", reply.body);
    let reply = gateway.client().fetch("http://denied.test/", "Accept: application/json\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(json["id"], reply.id().as_str());
    assert_eq!(json["reason"]["code"], "no_rule");
}

#[test]
fn an_upstream_that_dies_before_it_answers_is_502() {
    let port = origin(|mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
    });
    let gateway = before(port);
    let reply = gateway.client().fetch(&format!("http://app.test:{port}/"), "").unwrap();
    assert_eq!(reply.status, 502, "{}", reply.head);
    assert!(reply.field("proxy-status").unwrap().starts_with("gatepass; error="), "{}", reply.head);
    assert_eq!(gateway.close(&reply.id())["ending"], "error");
}

#[test]
fn an_upstream_that_talks_nonsense_is_502() {
    let port = origin(|mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        let _ = stream.write_all(b"220 mail.test ESMTP\r\n\r\n");
    });
    let gateway = before(port);
    assert_eq!(gateway.client().fetch(&format!("http://app.test:{port}/"), "").unwrap().status, 502);
}

#[test]
fn an_upstream_that_dies_within_its_answer_ends_the_connection() {
    let port = origin(|mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    let gateway = before(port);
    let mut client = gateway.client();
    client.say(format!("GET http://app.test:{port}/ HTTP/1.1\r\nHost: app.test:{port}\r\n\r\n"));
    let rest = String::from_utf8_lossy(&client.rest()).into_owned();
    assert!(rest.ends_with("half") && rest.to_lowercase().contains("content-length: 100"), "{rest}");
    let decision = gateway.decided(1).remove(0);
    assert_eq!(gateway.close(decision["id"].as_str().unwrap())["ending"], "error");
}

#[test]
fn a_port_where_nobody_listens_is_502_and_recorded_as_failed() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gateway = before(port);
    let reply = gateway.client().fetch(&format!("http://app.test:{port}/"), "").unwrap();
    assert_eq!(reply.status, 502, "{}", reply.head);
    let decision = gateway.decision(&reply.id());
    assert_eq!(decision["outcome"], "failed", "{decision}");
    assert_eq!(decision["reason"]["code"], "dial_failed", "{decision}");
}

#[test]
fn private_addresses_and_metadata_are_refused_however_they_are_reached() {
    let setup = Setup::new();
    let origin = Origin::http();
    let port = origin.port();
    for (name, address) in [("private.test", "10.0.0.1"), ("meta.test", "169.254.169.254")] {
        setup.resolver.answer(name, &[address]);
    }
    setup.resolver.answer("mixed.test", &["127.0.0.1", "10.0.0.1"]);
    let mut bundle = Bundle::new();
    for (id, host) in [("private", "private.test"), ("meta", "meta.test"), ("mixed", "mixed.test")] {
        bundle = bundle.allow(id, host, &[port, 80]);
    }
    let gateway = setup.start(&bundle);
    for host in [format!("private.test:{port}"), "meta.test".to_owned(), format!("mixed.test:{port}")] {
        let reply = gateway.client().fetch(&format!("http://{host}/"), "").unwrap();
        assert_eq!(reply.status, 403, "{host}: {}", reply.head);
        assert_eq!(gateway.decision(&reply.id())["reason"]["code"], "address_floor", "{host}");
    }
    for host in ["169.254.169.254", "[::ffff:169.254.169.254]", "10.0.0.1"] {
        let reply = gateway.client().fetch(&format!("http://{host}/"), "").unwrap();
        assert_eq!(reply.status, 403, "{host}: {}", reply.head);
        assert_eq!(gateway.decision(&reply.id())["outcome"], "refused", "{host}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_host_field_that_disagrees_with_the_target_does_not_choose_the_destination() {
    let origin = Origin::http();
    let gateway = before(origin.port());
    let authority = format!("app.test:{}", origin.port());
    let mut client = gateway.client();
    client.say(format!("GET http://{authority}/ HTTP/1.1\r\nHost: other.test\r\n\r\n"));
    let reply = client.reply().unwrap();
    match reply.status {
        400 => assert_eq!(origin.connections(), 0),
        status => {
            assert_eq!(status, 200, "{}", reply.head);
            assert!(origin.requests()[0].contains(&format!("Host: {authority}\r\n")), "{}", origin.requests()[0]);
        }
    }
}

#[test]
fn an_https_url_in_clear_is_refused() {
    let gateway = before(443);
    let mut client = gateway.client();
    client.say("GET https://app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let reply = client.reply().unwrap();
    assert_eq!(reply.status, 400, "{}", reply.head);
    assert!(gateway.setup.resolver.queries().is_empty());
}
