//! Who is on duty is told at once, in a way that nobody else can, and again until they have it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use gatepass_tests::{PATIENCE, Setup};
use serde_json::Value;

use super::{World, locked};

/// What a receiver got: the signature's field, and the body.
type Told = (String, String);

/// A receiver that fails the first time, and then takes everything.
fn receiver() -> (u16, mpsc::Receiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, told) = mpsc::channel();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut signature, mut line) = (0, String::new(), String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                let (name, value) = line.split_once(':').unwrap_or_default();
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().unwrap(),
                    "gatepass-signature" => signature = value.trim().to_owned(),
                    _ => {}
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let status = if at == 0 { "503 Service Unavailable" } else { "204 No Content" };
            (&stream).write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).unwrap();
            if at > 0 && sender.send((signature, String::from_utf8(body).unwrap())).is_err() {
                return;
            }
        }
    });
    (port, told)
}

#[test]
fn a_webhook_hears_of_a_grant_signed_and_again_until_it_takes_it() {
    let (port, told) = receiver();
    let setup = Setup::new();
    setup.scratch.write("hook.secret", "0123456789abcdef0123456789abcdef\n");
    let hook = format!("  webhooks: [{{url: \"http://127.0.0.1:{port}/gatepass\", secret: {{file: hook.secret}}}}]\n");
    let world = World::with(setup, &hook, locked);
    let id = world.granted(1);
    let mut events = Vec::new();
    while !events.contains(&"gatepass.grant.ended".to_owned()) {
        let (signature, body) = told.recv_timeout(PATIENCE).unwrap();
        let seconds = signature.split(',').next().unwrap().strip_prefix("t=").unwrap().parse().unwrap();
        let wanted = gatepass::state::signature(b"0123456789abcdef0123456789abcdef", seconds, &body);
        assert_eq!(signature, wanted);
        let event: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(event["subject"]["id"], id.as_str(), "{event}");
        events.push(event["event"].as_str().unwrap().to_owned());
    }
    assert_eq!(events, ["gatepass.grant.requested", "gatepass.grant.approved", "gatepass.grant.ended"]);
}
