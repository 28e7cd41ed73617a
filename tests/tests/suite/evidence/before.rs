//! No byte reaches an origin before the admission of its connection is in the spool, where everybody can read it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use gatepass_tests::{Bundle, Gateway, Reply, Setup, Witness, eventually};

fn world(evidence: &str) -> (Gateway, Witness) {
    let setup = Setup::new().section(&format!("evidence: {{stdout: none{evidence}}}"));
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let witness = Witness::of(&setup.scratch.path().join("gatepass-data/evidence"));
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[witness.port()]));
    (gateway, witness)
}

/// The ClientHello of a client that wants this name, so far as anybody has to read it.
fn hello(name: &str) -> Vec<u8> {
    let config = rustls::ClientConfig::builder_with_provider(gatepass_certs::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut hello = Vec::new();
    rustls::ClientConnection::new(config.into(), name).unwrap().write_tls(&mut hello).unwrap();
    hello
}

fn tunnel(gateway: &Gateway, target: &str, bytes: &[u8]) {
    let mut client = gateway.client();
    assert_eq!(client.connect(target).status, 200);
    client.say(bytes);
    assert_eq!(client.take(bytes.len()), bytes);
}

/// A client that does not wait for the answer to its CONNECT.
fn impatient(gateway: &Gateway, target: &str) {
    let mut stream = TcpStream::connect(gateway.plain()).unwrap();
    stream.set_read_timeout(Some(gatepass_tests::PATIENCE)).unwrap();
    stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\nearly").as_bytes()).unwrap();
    let (mut came, mut byte) = (Vec::new(), [0]);
    while !came.ends_with(b"\r\n\r\nearly") {
        stream.read_exact(&mut byte).unwrap();
        came.push(byte[0]);
    }
}

fn request(gateway: &Gateway, target: &str) -> Reply {
    let mut client = gateway.client();
    client.say(format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    client.reply().unwrap()
}

fn every_kind_of_connection(evidence: &str) {
    const CLIENTS: usize = 8;
    const TURNS: usize = 20;
    let (gateway, witness) = world(evidence);
    let target = format!("allowed.test:{}", witness.port());
    let hello = hello("allowed.test");
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                for _ in 0..TURNS {
                    tunnel(&gateway, &target, b"ping");
                    tunnel(&gateway, &target, &hello);
                    impatient(&gateway, &target);
                    assert_eq!(request(&gateway, &target).status, 200);
                    assert_eq!(gateway.client().connect("denied.test:443").status, 403);
                }
            });
        }
    });
    assert_eq!(witness.unrecorded(), Vec::<String>::new());
    assert_eq!(witness.connections(), CLIENTS * TURNS * 4);
    let records = eventually("every end is in the spool", || {
        let records = gateway.exported();
        let closes = records.iter().filter(|record| record["kind"] == "close").count();
        (closes == CLIENTS * TURNS * 4).then_some(records)
    });
    assert_eq!(records.iter().filter(|record| record["outcome"] == "refused").count(), CLIENTS * TURNS);
}

#[test]
fn no_byte_reaches_an_origin_before_its_admission_is_in_the_spool() {
    every_kind_of_connection("");
}

#[test]
fn no_byte_reaches_an_origin_before_its_admission_is_on_the_disk() {
    every_kind_of_connection(", durability: synced");
}
