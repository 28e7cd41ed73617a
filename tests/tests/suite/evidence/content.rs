//! What never stands in a record, wherever the record goes.

use gatepass_tests::{Bundle, Faulty, Gateway, Origin, Setup, eventually};
use prost::Message as _;

const SECRETS: [&str; 5] = ["query-secret", "proxy-secret", "cookie-secret", "bearer-secret", "userinfo-secret"];

fn gateway(more: &str, collector: &Faulty) -> (Gateway, Origin) {
    let address = collector.address();
    let setup =
        Setup::new().section(&format!("evidence: {{stdout: json{more}, otlp: {{endpoint: \"http://{address}\"}}}}"));
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origin = Origin::http();
    let gateway = setup.start(&Bundle::new().allow("web", "allowed.test", &[origin.port()]));
    (gateway, origin)
}

/// Every place that records go to, as one text: segments, standard output, the collector.
fn everywhere(gateway: &Gateway, collector: &Faulty, wanted: usize) -> String {
    eventually("every record has arrived", || (collector.count() >= wanted).then_some(()));
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(gateway.path().join("gatepass-data/evidence/segments")).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    collector.records().iter().for_each(|record| bytes.extend(record.encode_to_vec()));
    gateway.records().iter().for_each(|record| bytes.extend(record.to_string().into_bytes()));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn queries_credentials_and_cookies_reach_no_record_anywhere() {
    let collector = Faulty::start();
    let (gateway, origin) = gateway("", &collector);
    let host = format!("allowed.test:{}", origin.port());
    let fields = "Proxy-Authorization: Basic cHJveHktc2VjcmV0\r\nCookie: session=cookie-secret\r\nAuthorization: Bearer bearer-secret\r\n";
    for (host, path) in [(host.as_str(), "/kept-path?token=query-secret"), ("denied.test", "/other?token=query-secret")]
    {
        let url = format!("http://{host}{path}");
        gateway.client().fetch(&url, fields);
        gateway.client().fetch(&url, &fields.replace("Proxy-Authorization: Basic cHJveHktc2VjcmV0\r\n", ""));
    }
    let mut client = gateway.client();
    client.say("GET http://user:userinfo-secret@allowed.test/?query-secret HTTP/1.1\r\nHost: allowed.test\r\n\r\n");
    client.reply();
    let text = everywhere(&gateway, &collector, 7);
    assert!(text.contains("kept-path"), "the path without its query is recorded");
    for secret in SECRETS.iter().chain(&["cHJveHktc2VjcmV0"]) {
        assert!(!text.contains(secret), "`{secret}` is in a record");
    }
}

#[test]
fn paths_are_left_out_where_that_is_configured() {
    let collector = Faulty::start();
    let (gateway, origin) = gateway(", request_path: drop", &collector);
    gateway.client().fetch(&format!("http://allowed.test:{}/people/jane-doe", origin.port()), "");
    gateway.client().fetch("http://denied.test/people/jane-doe", "");
    let text = everywhere(&gateway, &collector, 4);
    assert!(!text.contains("jane-doe") && text.contains("denied.test"));
}

#[test]
fn what_is_too_long_is_cut_and_says_by_how_much_and_what_would_forge_a_line_is_escaped() {
    let collector = Faulty::start();
    let (gateway, _origin) = gateway("", &collector);
    let long = "x".repeat(5_000);
    gateway.client().fetch(&format!("http://denied.test/{long}"), "");
    let record = gateway.decided(1).remove(0);
    let path = record["request"]["path"].as_str().unwrap();
    assert!(path.len() < 1_100 && path.contains("…[+3977 bytes]"), "{path}");
    let text = everywhere(&gateway, &collector, 2);
    assert!(!text.contains(&long[..2_000]));
}

#[test]
fn names_that_clients_make_up_make_no_series() {
    let collector = Faulty::start();
    let (gateway, _origin) = gateway("", &collector);
    let series = || {
        let address = gateway.address("admin");
        let mut client = gatepass_tests::Client::plain(address);
        client.say(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        client.reply().unwrap().body.lines().filter(|line| !line.starts_with('#')).count()
    };
    gateway.client().connect("first.test:443");
    gateway.decided(1);
    let before = series();
    for number in 0..200 {
        gateway.client().connect(&format!("random-{number}.test:443"));
    }
    gateway.decided(201);
    assert_eq!(series(), before);
    assert!(!gateway.records().is_empty());
}
