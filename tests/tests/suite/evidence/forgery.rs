//! What clients say to forge a record, to colour a terminal, to turn the reading direction or to make a record huge.

use std::process::Command;

use gatepass_tests::gateway::binary;
use gatepass_tests::{Bundle, Gateway, Origin, Setup};

use crate::hellos::{Sni, hello};

/// Ends a line and begins another record, colours, ends a string of C, and quotes.
const FORGED: [&str; 4] = ["\r\n{\"kind\":\"decision\"}", "\u{1b}[31m", "\0", "\"}\\\""];
/// Turns what follows around.
const BIDI: &str = "\u{202e}";

fn world() -> (Gateway, Origin) {
    let setup = Setup::new();
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origin = Origin::echo();
    let bundle = Bundle::new().agreement().allow("web", "allowed.test", &[origin.port()]);
    (setup.start(&bundle), origin)
}

/// What a command about evidence prints, which has to be text.
fn printed(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = Command::new(binary()).arg("evidence").args(arguments).current_dir(gateway.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every form of the records has one line for each of these decisions, and no byte in it that a terminal would obey.
fn assert_harmless(gateway: &Gateway, decisions: usize) {
    let told = gateway.decided(decisions);
    assert_eq!(told.len(), decisions, "{told:#?}");
    assert!(gateway.records().iter().all(serde_json::Value::is_object), "a line of standard output is no record");
    for arguments in [&["export"][..], &["tail", "--no-follow", "-n", "1000"], &["tail", "--no-follow", "--json"]] {
        let text = printed(gateway, arguments);
        let obeyed = text.chars().find(|c| c.is_control() && *c != '\n' || BIDI.contains(*c));
        assert_eq!(obeyed, None, "{arguments:?}: {text}");
    }
    let lines = printed(gateway, &["export"]);
    let records: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kept: Vec<_> = records.into_iter().filter(|record| record["kind"] == "decision").collect();
    assert_eq!(kept, told);
}

/// A ClientHello whose server name begins with these bytes, in place of as many others.
fn hello_of(gateway: &Gateway, raw: &str) -> Vec<u8> {
    let stand_in = "x".repeat(raw.len());
    let mut bytes = hello(&gateway.setup, &format!("{stand_in}.allowed.test"), Sni::Sent);
    let name = format!("{stand_in}.allowed.test").into_bytes();
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at..at + raw.len()].copy_from_slice(raw.as_bytes());
    bytes
}

#[test]
pub fn what_would_forge_a_record_stays_one_harmless_line_wherever_a_client_says_it() {
    let (gateway, origin) = world();
    let mut said = 0;
    for raw in FORGED {
        let host = format!("CONNECT a{raw}.test:443 HTTP/1.1\r\nHost: denied.test\r\n\r\n");
        let path = format!("GET http://denied.test/{raw} HTTP/1.1\r\nHost: denied.test\r\n\r\n");
        let agent = format!("GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\nUser-Agent: {raw}\r\n\r\n");
        for request in [host, path, agent] {
            let mut client = gateway.client();
            client.say(request);
            client.finish();
            assert!(client.reply().is_some(), "{raw:?}");
            said += 1;
        }
        let mut client = gateway.client();
        assert_eq!(client.connect(&format!("allowed.test:{}", origin.port())).status, 200);
        client.say(hello_of(&gateway, raw));
        client.rest();
        said += 1;
    }
    assert_harmless(&gateway, said);
    assert!(origin.bytes().is_empty(), "no such server name goes on");
}

#[test]
pub fn a_name_that_turns_the_reading_direction_is_told_in_escapes() {
    let (gateway, origin) = world();
    let mut client = gateway.client();
    assert_eq!(client.connect(&format!("allowed.test:{}", origin.port())).status, 200);
    client.say(hello_of(&gateway, &format!("moc.{BIDI}elpmaxe")));
    client.rest();
    let mut client = gateway.client();
    client.say(format!("CONNECT moc.{BIDI}elpmaxe:443 HTTP/1.1\r\nHost: denied.test\r\n\r\n"));
    assert_eq!(client.reply().unwrap().status, 400);
    assert_harmless(&gateway, 2);
    // A server name need not be text, so its bytes are told.
    let told = gateway.decided(2);
    assert_eq!(told[0]["tls"]["sni"], r"moc.\xe2\x80\xaeelpmaxe.allowed.test");
    assert_eq!(told[1]["reason"]["code"], "invalid_request");
}

#[test]
pub fn a_name_of_64_kilobytes_makes_a_small_record() {
    let (gateway, _origin) = world();
    let long = "x".repeat(60 << 10);
    let mut said = 0;
    for request in [
        format!("CONNECT {long}.test:443 HTTP/1.1\r\nHost: denied.test\r\n\r\n"),
        format!("GET http://{long}/ HTTP/1.1\r\nHost: denied.test\r\n\r\n"),
        format!("GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\nUser-Agent: {long}\r\n\r\n"),
    ] {
        let mut client = gateway.client();
        client.say(request);
        client.finish();
        client.reply();
        said += 1;
        for record in gateway.decided(said) {
            assert!(record.to_string().len() < 4 << 10, "{record}");
        }
    }
    assert!(!printed(&gateway, &["export"]).contains(&long[..2 << 10]));
    assert_harmless(&gateway, said);
}
