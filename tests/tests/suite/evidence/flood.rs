//! A flood of denials: every one is a record, and it costs nobody else anything that is not bounded.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use gatepass_tests::{Bundle, Client, Origin, PATIENCE, Setup, eventually};

/// What a gateway may remember at most while it is flooded, all of it: a few MiB for itself, and records on their way.
const MEMORY_KIB: u64 = 256 << 10;

fn peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The id in the next answer, which is a denial. Many come, so they are not read byte by byte.
fn denied(answers: &mut impl BufRead) -> String {
    let (mut id, mut length, mut line) = (String::new(), 0, String::new());
    answers.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 403 "), "{line}");
    while line != "\r\n" {
        line.clear();
        assert!(answers.read_line(&mut line).unwrap() > 0, "the gateway hung up");
        let (name, value) = line.trim_end().split_once(": ").unwrap_or_default();
        match name.to_lowercase().as_str() {
            "gatepass-decision" => id = value.to_owned(),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    answers.read_exact(&mut vec![0; length]).unwrap();
    id
}

#[test]
fn every_denial_of_a_flood_is_recorded_and_others_are_served_meanwhile() {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 12;
    const AT_ONCE: usize = 100;
    let setup = Setup::new().section("evidence: {stdout: none}");
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origin = Origin::echo();
    let target = format!("allowed.test:{}", origin.port());
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    let requests = "GET http://denied.test/ HTTP/1.1\r\nHost: denied.test\r\n\r\n".repeat(AT_ONCE);
    let over = AtomicBool::new(false);
    let (told, served) = std::thread::scope(|scope| {
        let flood = || {
            let mut told = Vec::new();
            for _ in 0..ROUNDS {
                let mut stream = TcpStream::connect(gateway.plain()).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.write_all(requests.as_bytes()).unwrap();
                let mut answers = BufReader::new(stream);
                told.extend((0..AT_ONCE).map(|_| denied(&mut answers)));
            }
            told
        };
        let others = scope.spawn(|| {
            let mut served = 0;
            while !over.load(Ordering::Relaxed) {
                let mut client = gateway.client();
                assert_eq!(client.connect(&target).status, 200);
                client.say("ping");
                assert_eq!(client.take(4), b"ping");
                let address = gateway.address("admin");
                let mut admin = Client::plain(address);
                admin.say(format!("GET /ready HTTP/1.1\r\nHost: {address}\r\n\r\n"));
                assert_eq!(admin.reply().unwrap().status, 200);
                served += 1;
            }
            served
        });
        let floods = [flood; CLIENTS].map(|flood| scope.spawn(flood));
        let told: Vec<String> = floods.into_iter().flat_map(|flood| flood.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        (told, others.join().unwrap())
    });
    assert!(served > 0, "others are served");
    let told: BTreeSet<&str> = told.iter().map(String::as_str).collect();
    assert_eq!(told.len(), CLIENTS * ROUNDS * AT_ONCE, "each has an id of its own");
    let records = eventually("every denial is in the spool", || {
        let records = gateway.exported();
        let denied = records.iter().filter(|record| record["outcome"] == "refused").count();
        (denied >= told.len()).then_some(records)
    });
    let refused = records.iter().filter(|record| record["outcome"] == "refused");
    let recorded: BTreeSet<&str> = refused.map(|record| record["id"].as_str().unwrap()).collect();
    assert!(recorded == told, "each denial that was told is one record");
    assert!(records.iter().all(|record| record["kind"] != "gap"));
    assert!(peak_kib(gateway.process()) < MEMORY_KIB, "{} KiB", peak_kib(gateway.process()));
}
