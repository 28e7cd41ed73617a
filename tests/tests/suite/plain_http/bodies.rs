//! Bodies: framed by us, streamed, and never a way to smuggle a second request.

use std::io::Write;
use std::sync::{Arc, Mutex};

use gatepass_tests::{Origin, eventually};

use super::{before, origin, read_until};

#[test]
fn a_post_is_carried_with_its_body() {
    let origin = Origin::http();
    let gateway = before(origin.port());
    let authority = format!("app.test:{}", origin.port());
    let mut client = gateway.client();
    client.say(format!("POST http://{authority}/p HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 5\r\n\r\nhello"));
    assert_eq!(client.reply().unwrap().body, "origin saw: POST /p HTTP/1.1 with 5 bytes\n");
    assert!(origin.bytes().ends_with(b"\r\n\r\nhello"));
    assert_eq!(client.fetch(&format!("http://{authority}/g"), "").unwrap().status, 200);
}

#[test]
fn a_chunked_upload_arrives_whole_and_newly_framed() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    let port = origin(move |mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        let body = read_until(&mut stream, b"0\r\n\r\n");
        keep.lock().unwrap().extend(body);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = before(port);
    let mut client = gateway.client();
    client.say(format!(
        "POST http://app.test:{port}/ HTTP/1.1\r\nHost: app.test:{port}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    client.say("5;ext=1\r\nhello\r\n");
    client.say("006\r\n world\r\n0\r\nX-Trailer: no\r\n\r\n");
    assert_eq!(client.reply().unwrap().body, "ok");
    let body = String::from_utf8(seen.lock().unwrap().clone()).unwrap();
    let text: String = body.split("\r\n").enumerate().filter(|(at, _)| at % 2 == 1).map(|(_, part)| part).collect();
    assert_eq!(text, "hello world", "{body:?}");
    assert!(!body.contains("ext") && !body.contains("X-Trailer"), "{body:?}");
}

#[test]
fn a_client_that_waits_for_100_gets_it_from_the_origin() {
    let port = origin(|mut stream| {
        let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n")).unwrap();
        assert!(head.to_lowercase().contains("expect: 100-continue"), "{head}");
        let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        read_until(&mut stream, b"hello");
        let _ = stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    });
    let gateway = before(port);
    let mut client = gateway.client();
    client.say(format!(
        "PUT http://app.test:{port}/ HTTP/1.1\r\nHost: app.test:{port}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    ));
    assert_eq!(client.reply().unwrap().status, 100);
    client.say("hello");
    assert_eq!(client.reply().unwrap().status, 201);
}

#[test]
fn a_denied_upload_is_refused_before_it_is_sent_and_never_read_as_a_request() {
    let origin = Origin::http();
    let gateway = before(origin.port());
    let authority = format!("app.test:{}", origin.port());
    let smuggled = format!("GET http://{authority}/smuggled HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let mut client = gateway.client();
    client.say(format!(
        "POST http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        smuggled.len()
    ));
    let reply = client.reply().unwrap();
    assert_eq!(reply.status, 403, "no 100 comes first");
    assert_eq!(reply.field("connection").as_deref(), Some("close"));
    client.say(smuggled);
    assert_eq!(client.rest(), b"");
    assert_eq!(gateway.decided(1).len(), 1);
    assert!(origin.requests().is_empty());
}

#[test]
fn an_ambiguous_length_is_malformed_before_anything_is_decided() {
    let origin = Origin::http();
    let gateway = before(origin.port());
    let authority = format!("app.test:{}", origin.port());
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
    ] {
        let mut client = gateway.client();
        client.say(format!("POST http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n{framing}\r\n0\r\n\r\n"));
        let reply = client.reply().unwrap();
        assert!(reply.status >= 400, "{framing}: {}", reply.head);
        assert_eq!(gateway.decision(&reply.id())["reason"]["code"], "invalid_request", "{framing}");
    }
    assert_eq!(origin.connections(), 0);
    assert!(gateway.setup.resolver.queries().is_empty());
}

#[test]
fn an_answer_that_ends_with_the_connection_reaches_the_client_whole() {
    let port = origin(|mut stream| {
        read_until(&mut stream, b"\r\n\r\n");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nuntil the end");
    });
    let gateway = before(port);
    let mut client = gateway.client();
    client.say(format!("GET http://app.test:{port}/ HTTP/1.1\r\nHost: app.test:{port}\r\n\r\n"));
    let rest = String::from_utf8_lossy(&client.rest()).into_owned();
    assert!(rest.starts_with("HTTP/1.1 200") && rest.contains("until the end"), "{rest}");
}

#[test]
fn a_client_that_leaves_within_its_upload_leaves_a_close() {
    let origin = Origin::http();
    let gateway = before(origin.port());
    let authority = format!("app.test:{}", origin.port());
    let mut client = gateway.client();
    client.say(format!("POST http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 100\r\n\r\nhalf"));
    let decision = eventually("it is decided", || gateway.decisions().pop());
    drop(client);
    let close = gateway.close(decision["id"].as_str().unwrap());
    assert_eq!(close["ending"], "client_closed", "{close}");
    assert!(origin.requests().is_empty());
}
