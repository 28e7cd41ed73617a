//! tls.tsv: the first bytes inside an open tunnel, under the guardrail of the quickstart.

use gatepass_tests::corpus::{Row, rows};
use gatepass_tests::{Gateway, Origin, Setup, eventually};

use super::{Findings, TLS, policy};

const NAME: &str = "guardrail guard/names-agree";
const PLAIN: &str = "guardrail guard/only-tls-in-tunnels";
const INVALID: &str = "hello_invalid";
const LATE: &str = "hello_timeout";

/// Every row, pinned. Rows that leave a choice: a record version that changes on the way is allowed, because RFC 8446
/// section 5.1 has every reader ignore it; unknown extensions are allowed, being bounded by their bytes; a server name
/// of unknown type, compression beside TLS 1.3 and a record version 0 are refused. ECH with an agreeing outer name and
/// TLS 1.0 are for policy, and this policy lets them pass.
const PINNED: &[(&str, &[&str])] = &[
    (
        "ALLOW",
        &[
            "T001", "T002", "T003", "T004", "T026", "T032", "T033", "T035", "T036", "T038", "T045", "T046", "T063",
            "T066", "T067",
        ],
    ),
    (NAME, &["T008", "T009", "T012", "T027", "T029", "T039", "T040", "T041", "T065"]),
    (PLAIN, &["T070", "T075", "T076", "T078", "T080", "T085"]),
    (
        INVALID,
        &[
            "T020", "T021", "T022", "T024", "T028", "T043", "T044", "T049", "T051", "T053", "T057", "T058", "T059",
            "T060", "T062", "T064",
        ],
    ),
    (LATE, &["T052", "T054", "T055"]),
];

fn pinned(row: &Row) -> &'static str {
    let id = row.get("id");
    let found = PINNED.iter().find(|(_, ids)| ids.contains(&id));
    found.unwrap_or_else(|| panic!("{id} is not pinned")).0
}

/// Hex digits, `{00*N}` for N times the digits `00` (which may begin in the middle of a byte).
fn unhex(text: &str) -> Vec<u8> {
    let mut parts = text.split("{00*");
    let mut digits = parts.next().unwrap().to_owned();
    for part in parts {
        let (count, rest) = part.split_once('}').unwrap();
        digits += &"00".repeat(count.parse().unwrap());
        digits += rest;
    }
    let nibble = |digit: u8| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap();
    digits.as_bytes().chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

/// What came of one row: `ALLOW`, or the reason and the rule of the denial.
fn outcome(row: &Row, gateway: &Gateway, origin: &Origin) -> String {
    let segments: Vec<Vec<u8>> = row.get("hex").split(" | ").map(unhex).collect();
    let sent = segments.concat();
    assert_eq!(sent.len().to_string(), row.get("len"), "{}", row.get("id"));
    let mut client = gateway.client();
    let reply = client.connect(&format!("allowed.test:{}", origin.port()));
    assert_eq!(reply.status, 200, "{}", row.get("id"));
    for segment in segments {
        client.say(segment);
        // Lets the gateway read before the next segment, as the corpus has it; either order must do.
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    if row.get("why").contains("FIN") {
        client.finish();
    }
    let record = gateway.decision(&reply.id());
    if record["outcome"] == "admitted" {
        eventually("the origin gets every byte", || (origin.bytes().len() >= sent.len()).then_some(()));
        assert_eq!(origin.bytes(), sent, "{}: byte for byte", row.get("id"));
        return "ALLOW".into();
    }
    assert!(client.rest().len() <= 7, "{}: an alert at most", row.get("id"));
    assert_eq!(origin.bytes(), b"", "{}: not one byte of the client's", row.get("id"));
    let rule = record["rule"]["path"].as_str().map_or(String::new(), |path| format!(" {path}"));
    format!("{}{rule}", record["reason"]["code"].as_str().unwrap())
}

#[test]
fn every_row_has_its_one_outcome_and_a_denied_one_never_reaches_the_origin() {
    let rows = rows(TLS);
    let setup = Setup::new().section("limits: {client_hello_timeout: 500ms}");
    setup.resolver.answer("allowed.test", &["127.0.0.1"]);
    let origins: Vec<Origin> = rows.iter().map(|_| Origin::speaks_first(b"")).collect();
    let ports: Vec<u16> = origins.iter().map(Origin::port).collect();
    let gateway = setup.start(&policy(443).agreement().allow("web", "allowed.test", &ports));
    // Each row on a thread of its own: those that wait for a time-out wait together.
    let outcomes: Vec<String> = std::thread::scope(|scope| {
        let gateway = &gateway;
        let running: Vec<_> =
            rows.iter().zip(&origins).map(|(row, origin)| scope.spawn(move || outcome(row, gateway, origin))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut findings = Findings::new();
    for (row, outcome) in rows.iter().zip(&outcomes) {
        let (allowed, expected) = (pinned(row) == "ALLOW", row.get("expected"));
        let side = if allowed { "ALLOW" } else { "DENY" };
        assert!(expected.contains(side) || expected.starts_with("POLICY"), "{}: {expected}", row.get("id"));
        findings.compare(row, pinned(row), outcome);
    }
    findings.assert_none();
    assert_eq!(gateway.decisions().len(), rows.len(), "one decision each");
}
