//! Records: whole lines without holes, one decision each, nothing that a terminal would obey; and none, no egress.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Client, Origin, Setup, eventually};
use serde_json::Value;

/// What holds for every stream of records: form, no hole in the sequence, one decision an id, one close an admission.
pub fn assert_whole(records: &[Value]) {
    let mut decisions = BTreeMap::new();
    let mut closes = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        assert!(record.is_object(), "not one JSON object a line: {record}");
        assert_eq!(record["schema"], 1, "{record}");
        assert_eq!(record["sequence"], index + 1, "a hole or another order: {record}");
        let id = record["id"].as_str().unwrap().to_owned();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'7'), "a UUIDv7: {record}");
        let time: jiff::Timestamp = record["time"].as_str().unwrap().parse().unwrap();
        assert!(time <= jiff::Timestamp::now());
        let seen = match record["kind"].as_str().unwrap() {
            "decision" => decisions.insert(id, record["outcome"] == "admitted").map(|_| ()),
            "close" => closes.insert(id, record["ending"].clone()).map(|_| ()),
            "policy" | "checkpoint" | "gap" => None,
            other => panic!("an unknown kind `{other}`: {record}"),
        };
        assert!(seen.is_none(), "twice: {record}");
    }
    let admitted: Vec<_> = decisions.iter().filter(|(_, admitted)| **admitted).map(|(id, _)| id).collect();
    assert_eq!(admitted, closes.keys().collect::<Vec<_>>(), "one close for each admission and for nothing else");
}

#[test]
fn two_hundred_mixed_connections_leave_one_decision_each_and_one_close_for_each_admission() {
    let setup = Setup::new();
    let (echo, http) = (Origin::echo(), Origin::http());
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let mut gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[echo.port(), http.port()]));
    let address = gateway.plain();
    let (tunnels, requests) = (format!("allowed.test:{}", echo.port()), format!("allowed.test:{}", http.port()));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..25 {
                    one_of_many(round, Client::plain(address), &tunnels, &requests);
                }
            });
        }
    });
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), 0);
    let count = |gateway: &gatepass_tests::Gateway, outcome: &str| {
        gateway.decisions().iter().filter(|record| record["outcome"] == outcome).count()
    };
    eventually("the last line is read", || (gateway.decisions().len() == 200).then_some(()));
    assert_whole(&gateway.records());
    assert_eq!((count(&gateway, "admitted"), count(&gateway, "failed"), count(&gateway, "refused")), (120, 0, 80));
}

fn one_of_many(round: usize, mut client: Client, tunnels: &str, requests: &str) {
    match round % 5 {
        0 | 1 => {
            assert_eq!(client.connect(tunnels).status, 200);
            assert!(client.try_echo(b"hello"));
        }
        2 => {
            client.say(format!("GET http://{requests}/ HTTP/1.1\r\nHost: {requests}\r\n\r\n"));
            assert_eq!(client.reply().unwrap().status, 200);
        }
        3 => assert_eq!(client.connect("denied.test:443").status, 403),
        _ => {
            client.say("CONNECT not a target HTTP/1.1\r\n\r\n");
            assert_eq!(client.reply().unwrap().status, 400);
        }
    }
}

fn every_text(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(list) => list.iter().for_each(|item| every_text(item, look)),
        Value::Object(map) => map.iter().for_each(|(key, item)| {
            look(key);
            every_text(item, look);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn no_record_holds_what_a_terminal_would_obey_or_a_reader_would_misread() {
    let gateway = Setup::new().start(&Bundle::new().allow("web", "allowed.test", &[443]));
    let hostile = "a\u{1b}[31m\u{202e}\u{2066}\u{9b}\u{7f}\u{200b}\u{2028}z";
    let heads = [
        format!("CONNECT {hostile}:443 HTTP/1.1\r\n\r\n"),
        format!("GET http://allowed.test/{hostile}?{hostile} HTTP/1.1\r\nHost: allowed.test\r\n\r\n"),
        format!("G{hostile}T http://allowed.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n"),
        format!(
            "CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\nGatepass-Data-Class: {hostile}\r\n\r\n"
        ),
        format!(
            "CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\nProxy-Authorization: Basic {hostile}\r\n\r\n"
        ),
        "GET http://denied.test/%1b%5b31m%e2%80%ae HTTP/1.1\r\nHost: denied.test\r\n\r\n".to_owned(),
    ];
    for head in &heads {
        let mut client = gateway.client();
        client.say(head);
        let reply = client.reply().unwrap();
        assert!(reply.status >= 400 && reply.phrase.is_ascii(), "{}", reply.head);
        gateway.decision(&reply.id());
    }
    let records = gateway.records();
    assert_whole(&records);
    for record in &records {
        every_text(record, &mut |text| {
            let bad = |c: char| {
                c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            assert!(!text.contains(bad), "{text:?} in {record}");
        });
    }
}

#[test]
fn when_nobody_reads_the_records_new_connections_are_refused() {
    let setup = Setup::new();
    let origin = Origin::echo();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    setup.bundle(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    let mut child = Command::new(binary())
        .args(["serve", "--config"])
        .arg(setup.configure())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = log.find(|line| line.starts_with("listening on plain")).unwrap();
    let address = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(log.any(|line| line.starts_with("ready")));
    drop(child.stdout.take());
    // What the queue already holds when the pipe is found broken was promised before.
    let reply = eventually("a connection is refused for want of evidence", || {
        let reply = Client::plain(address).connect(&format!("allowed.test:{}", origin.port()));
        (reply.status != 200).then_some(reply)
    });
    assert_eq!(reply.status, 503, "{}", reply.head);
    assert!(reply.phrase.contains("evidence") || reply.phrase.contains("record"), "{}", reply.phrase);
    assert!(reply.field("retry-after").is_some());
    let again = Client::plain(address).connect(&format!("allowed.test:{}", origin.port()));
    assert_eq!(again.status, 503, "and it stays so");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn as_text_a_record_is_a_line_that_a_person_reads() {
    let setup = Setup::new().section("evidence: {stdout: text}");
    let origin = Origin::echo();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    let authority = format!("allowed.test:{}", origin.port());
    let mut client = gateway.client();
    let allowed = client.connect(&authority).id();
    drop(client);
    let denied = gateway.client().connect("denied.test:443").id();
    let line = |verdict: &str, id: &str| {
        eventually(&format!("a line {verdict} {id}"), || {
            let lines = gateway.records();
            let mut texts = lines.iter().filter_map(|line| line.as_str().map(str::to_owned));
            texts.find(|text| text.contains(&format!(" {verdict} ")) && text.ends_with(id))
        })
    };
    assert!(line("ALLOW", &allowed).contains(&format!("anonymous@127.0.0.1 → {authority}")));
    assert!(line("ALLOW", &allowed).contains("team/web"));
    assert!(line("DENY", &denied).contains("→ denied.test:443"));
    assert!(line("DENY", &denied).contains("no_rule"));
    assert!(line("CLOSE", &allowed).contains("client_closed"));
}
