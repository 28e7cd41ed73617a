//! http.tsv, what clients send: refused rows say so and reach nobody, allowed ones arrive in canonical framing.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use gatepass_tests::corpus::{Row, rows};
use gatepass_tests::{Gateway, Origin, PATIENCE, Setup};

use super::{Findings, HTTP, policy, told};

/// Rows that are refused with something else than 400, or as something else than malformed.
const CHOSEN: &[(&str, &str)] = &[
    ("R199", "431 invalid_request"),
    ("R223", "505 invalid_request"),
    ("R236", "431 invalid_request"),
    ("R237", "431 invalid_request"),
    ("R293", "405 invalid_request"),
    // Not HTTP at all: closed without an answer.
    ("R238", "CLOSE"),
    ("R239", "CLOSE"),
    ("R243", "CLOSE"),
    ("R245", "CLOSE"),
    ("R254", "403 team_deny"),
    ("R265", "403 no_rule"),
    ("R266", "403 address_floor"),
    // Not a credential at all, and a bad one is refused always: nobody falls back to being anonymous.
    ("R274", "407 identity_invalid"),
    // Its bytes are a proper CRLF and a second field: no rule of HTTP is broken.
    ("R125", "POST chunked 0"),
    // What the policy of the corpus says where the row leaves it to policy: the host is allowed, the method is free.
    ("R296", "PURGE -"),
    ("R298", "QUERY -"),
    ("R295", "OPTIONS -"),
    ("R009", "GET - GET -"),
    ("R002", "POST 5"),
    ("R003", "POST chunked 5"),
    ("R010", "POST chunked 5"),
    ("R034", "GET 10"),
    ("R060", "POST chunked 5"),
    ("R072", "POST chunked 5"),
    ("R073", "POST chunked 5"),
    ("R074", "POST chunked 5"),
    ("R088", "GET chunked 5"),
    ("R104", "POST chunked 0"),
    ("R105", "POST chunked 0"),
    ("R198", "POST chunked 0"),
];

/// CONNECT rows that open a tunnel; R256 sends the first bytes along, and they are held.
const TUNNELS: &[&str] = &["R004", "R005", "R006", "R256", "R263", "R264"];

/// It names the gateway's own pseudonym in Via, which only a running gateway knows.
const LOOP: &str = "R281";

/// The body never ends: the request is cut off, and the origin sees no whole message.
const CUT: &str = "R201";

fn pinned(row: &Row) -> &'static str {
    if let Some((_, outcome)) = CHOSEN.iter().find(|(id, _)| *id == row.get("id")) {
        return outcome;
    }
    match row.get("expected") {
        expected if expected.starts_with("REJECT") => "400 invalid_request",
        // Methods are case-sensitive, and ours are upper case.
        "DENY403|REJECT" => "400 invalid_request",
        expected if expected.starts_with("ALLOW") || expected == "POLICY" => "GET -",
        expected => panic!("{}: `{expected}` is not pinned", row.get("id")),
    }
}

/// The row's bytes, with the names that the policy allows moved to the origin's port: whatever slipped through would
/// reach it.
fn raw(row: &Row, port: u16) -> Vec<u8> {
    let moved = row
        .get("raw")
        .replace("allowed.test:443", &format!("allowed.test:{port}"))
        .replace("http://allowed.test/", &format!("http://allowed.test:{port}/"))
        .replace("http://allowed.test ", &format!("http://allowed.test:{port} "))
        .replace("Host: allowed.test\\r", &format!("Host: allowed.test:{port}\\r"));
    gatepass_tests::corpus::unescape(&moved)
}

/// One message as an origin reads it.
struct Message {
    head: String,
    /// `-`, the length, or `chunked` and the length.
    framing: String,
}

/// An origin that reads strictly, answers each message, and tells what it got: every message, then what was left when
/// the connection ended.
fn strict_origin() -> (u16, Receiver<Result<Message, Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let send = send.clone();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let mut buffer = [0u8; 4096];
                loop {
                    while let Some((message, used)) = read_message(&bytes) {
                        bytes.drain(..used);
                        let _ = send.send(Ok(message));
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    }
                    match stream.read(&mut buffer) {
                        Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
                        Ok(_) | Err(_) => break,
                    }
                }
                let _ = send.send(Err(bytes));
            });
        }
    });
    (port, receive)
}

/// One whole message at the start of `bytes`, in canonical framing only.
fn read_message(bytes: &[u8]) -> Option<(Message, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let values = |name: &str| {
        let named = head.split("\r\n").filter(|line| line.to_lowercase().starts_with(&format!("{name}:")));
        named.map(|line| line.split_once(':').unwrap().1.trim().to_owned()).collect::<Vec<_>>()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Some((Message { head, framing: "-".into() }, end)),
        ([length], []) => {
            let length: usize = length.parse().unwrap();
            (bytes.len() >= end + length).then(|| (Message { head, framing: length.to_string() }, end + length))
        }
        ([], [coding]) => {
            assert_eq!(coding, "chunked");
            let (mut at, mut total) = (end, 0);
            loop {
                let line = at + bytes[at..].windows(2).position(|window| window == b"\r\n")?;
                // Extensions are gone: the size stands alone.
                let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..line]).unwrap(), 16).unwrap();
                if size == 0 {
                    assert_eq!(bytes.get(line + 2..line + 4)?, b"\r\n", "no trailer goes on");
                    return Some((Message { head, framing: format!("chunked {total}") }, line + 4));
                }
                bytes.get(line + 2 + size + 2)?;
                (at, total) = (line + 2 + size + 2, total + size);
            }
        }
        _ => panic!("ambiguous framing reached the origin: {head}"),
    }
}

/// Fields that end here, or that only the gateway may write.
const NEVER: &[&str] = &[
    "proxy-authorization",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "x-egress-identity",
    "gatepass-data-class",
];

fn check_head(row: &Row, head: &str, port: u16) {
    let id = row.get("id");
    let names: Vec<String> =
        head.split("\r\n").skip(1).filter_map(|line| line.split_once(':')).map(|(n, _)| n.to_lowercase()).collect();
    for name in NEVER {
        assert!(!names.iter().any(|n| n == name), "{id}: `{name}` reached the origin: {head}");
    }
    let hosts: Vec<&str> = head.split("\r\n").filter(|line| line.to_lowercase().starts_with("host:")).collect();
    assert_eq!(hosts, [format!("Host: allowed.test:{port}")], "{id}");
    let line = head.split("\r\n").next().unwrap();
    let target = line.split(' ').nth(1).unwrap();
    assert!(target == "/" || (line.starts_with("OPTIONS") && target == "*"), "{id}: {line}");
    assert!(line.ends_with(" HTTP/1.1"), "{id}: {line}");
    let upgrades = names.iter().any(|name| name == "upgrade");
    assert_eq!(upgrades, id == "R278", "{id}: only WebSocket is offered on: {head}");
    assert!(names.iter().any(|name| name == "via"), "{id}: {head}");
}

#[test]
fn every_row_that_is_refused_is_refused_once_and_reaches_nobody() {
    let setup = Setup::new();
    let origin = Origin::http_at("127.7.7.7");
    setup.resolver.answer("allowed.test", &["127.7.7.7"]);
    let gateway = setup.start(&policy(origin.port()));
    let mut findings = Findings::new();
    let mut sent = 0;
    for row in refused_rows() {
        findings.compare(&row, pinned(&row), &refusal_of(&row, &gateway, origin.port()));
        sent += 1;
    }
    findings.assert_none();
    assert_eq!(origin.connections(), 0, "nothing was dialled");
    assert_eq!(gateway.setup.resolver.queries(), [""; 0], "nothing was looked up");
    assert_eq!(gateway.decisions().len(), sent, "one record each");
    assert!(sent > 110, "{sent} rows");
    // It is there to be reached.
    assert_eq!(gateway.client().fetch(&format!("http://allowed.test:{}/", origin.port()), "").unwrap().status, 200);
    assert_eq!(origin.connections(), 1);
}

fn is_refused(row: &Row) -> bool {
    ![CUT, LOOP].contains(&row.get("id"))
        && !TUNNELS.contains(&row.get("id"))
        && pinned(row).starts_with(|c: char| c.is_ascii_digit() || c == 'C')
}

fn requests() -> impl Iterator<Item = Row> {
    rows(HTTP).into_iter().filter(|row| row.get("dir") == "req")
}

fn refused_rows() -> impl Iterator<Item = Row> {
    requests().filter(is_refused)
}

fn refusal_of(row: &Row, gateway: &Gateway, port: u16) -> String {
    let mut client = gateway.client();
    client.say(raw(row, port));
    let Some(reply) = client.reply() else { return "CLOSE".into() };
    // A request that could be read, and has no body, leaves the connection usable.
    let stays = reply.status == 407;
    assert!(stays || reply.field("connection").as_deref() == Some("close"), "{}: {}", row.get("id"), reply.head);
    client.finish();
    assert_eq!(client.rest(), b"", "{}: nothing after the refusal is answered", row.get("id"));
    told(gateway, &reply)
}

#[test]
fn every_row_that_is_allowed_arrives_in_canonical_framing() {
    let setup = Setup::new();
    let (port, messages) = strict_origin();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&policy(port));
    let mut findings = Findings::new();
    for row in requests()
        .filter(|row| !is_refused(row) && ![CUT, LOOP].contains(&row.get("id")) && !TUNNELS.contains(&row.get("id")))
    {
        let wanted = pinned(&row).split(' ').filter(|word| word.chars().all(char::is_uppercase)).count();
        let mut client = gateway.client();
        client.say(raw(&row, port));
        let mut got = Vec::new();
        for _ in 0..wanted {
            let Some(reply) = client.reply() else { break };
            if reply.status != 200 {
                got.push(told(&gateway, &reply));
                break;
            }
            let message = loop {
                // The end of an earlier row's connection may come in between; it must have left nothing.
                match messages.recv_timeout(PATIENCE).unwrap() {
                    Ok(message) => break message,
                    Err(left) => assert_eq!(left, b""),
                }
            };
            check_head(&row, &message.head, port);
            got.push(format!("{} {}", message.head.split(' ').next().unwrap(), message.framing));
        }
        findings.compare(&row, pinned(&row), &got.join(" "));
    }
    findings.assert_none();
}

#[test]
fn every_connect_row_that_is_allowed_is_a_tunnel_and_what_came_early_is_held() {
    let setup = Setup::new();
    let origin = Origin::echo();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&policy(origin.port()));
    for row in requests().filter(|row| TUNNELS.contains(&row.get("id"))) {
        let mut client = gateway.client();
        client.say(raw(&row, origin.port()));
        let reply = client.reply().unwrap();
        assert_eq!(reply.status, 200, "{}: {}", row.get("id"), reply.head);
        let early: &[u8] = if row.get("id") == "R256" { b"\x16\x03\x01" } else { b"" };
        client.say("through");
        let all = [early, b"through"].concat();
        assert_eq!(client.take(all.len()), all, "{}", row.get("id"));
        assert_eq!(gateway.decision(&reply.id())["destination"]["host"], "allowed.test");
    }
}

#[test]
fn a_body_that_never_ends_is_cut_off_and_no_whole_message_arrives() {
    let setup = Setup::new();
    let (port, messages) = strict_origin();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&policy(port));
    let row = requests().find(|row| row.get("id") == CUT).unwrap();
    let mut client = gateway.client();
    client.say(raw(&row, port));
    client.finish();
    let left = messages.recv_timeout(PATIENCE).unwrap().err().expect("no whole message");
    assert!(!left.ends_with(b"0\r\n\r\n"), "the body was not completed on the client's behalf");
    let id =
        gatepass_tests::eventually("its decision", || Some(gateway.decisions().first()?["id"].as_str()?.to_owned()));
    assert_eq!(gateway.close(&id)["ending"], "client_closed");
}

#[test]
fn a_request_that_came_through_this_gateway_before_is_a_loop() {
    let setup = Setup::new();
    let origin = Origin::http();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&policy(origin.port()));
    let authority = format!("allowed.test:{}", origin.port());
    let mut client = gateway.client();
    client.say(format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    let via = client.reply().unwrap().field("via").unwrap();
    let pseudonym = via.strip_prefix("1.1 ").unwrap();
    let row = requests().find(|row| row.get("id") == LOOP).unwrap();
    let raw = String::from_utf8(raw(&row, origin.port())).unwrap().replace("egress-proxy-id", pseudonym);
    let mut client = gateway.client();
    client.say(raw);
    let reply = client.reply().unwrap();
    assert_eq!(told(&gateway, &reply), "508 invalid_request");
    assert_eq!(client.rest(), b"");
    assert_eq!(origin.requests().len(), 1, "the first one alone");
}
