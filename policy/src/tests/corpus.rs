//! The corpora of hosts and of special-purpose address ranges.

use std::net::IpAddr;

use super::world::{allow, asks, deny, policy};
use crate::address::{Class, classify};
use crate::decision::Verdict;
use crate::facts::{Facts, Protocol, Tls};
use crate::host::Authority;

const HOSTS: &str = include_str!("../../../tests/corpus/hosts.tsv");
const RANGES: &str = include_str!("../../../tests/corpus/special_ranges.tsv");

/// Escapes of the corpora: `\xNN`, `\\`, `\r`, `\n`, `\t`, `\R{n:unit}`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c != '\\' {
            bytes.extend_from_slice(c.to_string().as_bytes());
            rest = &rest[c.len_utf8()..];
            continue;
        }
        match rest.as_bytes()[1] {
            b'x' => {
                bytes.push(u8::from_str_radix(&rest[2..4], 16).unwrap());
                rest = &rest[4..];
            }
            b'R' => {
                let (head, tail) = rest[3..].split_once('}').unwrap();
                let (count, unit) = head.split_once(':').unwrap();
                bytes.extend(unescape(unit).repeat(count.parse().unwrap()));
                rest = tail;
            }
            other => {
                bytes.push(match other {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    other => other,
                });
                rest = &rest[2..];
            }
        }
    }
    bytes
}

fn rows(text: &'static str) -> Vec<Vec<&'static str>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.skip(1).map(|line| line.split('\t').collect()).collect()
}

/// The policy in the header of the corpus.
fn corpus_policy() -> crate::PolicySet {
    let rules = allow("allowed", "hosts: [\"allowed.test\"], ports: [80, 443]", "")
        + &allow("wild", "hosts: [\"*.wild.test\"], ports: [443]", "")
        + &allow("idn", "hosts: [\"xn--bcher-kva.test\"], ports: [443]", "")
        + &allow("us", "hosts: [\"*.allowed-us.test\"], ports: [443]", "")
        + &deny("denied", "destinations: {hosts: [\"denied.test\"]}");
    policy(&rules, "")
}

/// `ALLOW`, `BLOCK403` or `BLOCK400`, and the authority that was read.
fn outcome(set: &crate::PolicySet, authority: Result<Authority, crate::host::Malformed>, protocol: Protocol) -> String {
    let Ok(authority) = authority else { return "BLOCK400".to_owned() };
    let facts = asks(set, &authority.to_string());
    let tls = match protocol {
        Protocol::Http => Some(Tls::Absent),
        Protocol::Connect | Protocol::Transparent => None,
    };
    match set.decide(&Facts { protocol, tls, ..facts }) {
        // At the request stage nothing is allowed before its addresses are known.
        Verdict::Pending(_) | Verdict::Allow(_) => "ALLOW".to_owned(),
        Verdict::Deny(_) => "BLOCK403".to_owned(),
    }
}

/// Where the corpus leaves a choice: what was chosen, and held.
const CHOSEN: &[(&str, &str)] = &[
    ("H007", "BLOCK403"),
    ("H268", "BLOCK400"),
    ("H269", "BLOCK400"),
    ("H274", "BLOCK403"),
    ("H276", "BLOCK400"),
    ("H280", "BLOCK403"),
    ("H288", "BLOCK400"),
];

#[test]
fn every_connect_target_of_the_corpus_has_its_outcome() {
    let set = corpus_policy();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for row in rows(HOSTS).iter().filter(|row| row[2] == "connect") {
        seen += 1;
        let (id, input, expected) = (row[0], row[3], row[4]);
        let got = outcome(&set, Authority::parse(&unescape(input)), Protocol::Connect);
        let wanted = if let Some(same) = expected.strip_prefix("SAME:") {
            assert_eq!(Authority::parse(&unescape(input)), Authority::parse(same.as_bytes()), "{id}");
            outcome(&set, Authority::parse(same.as_bytes()), Protocol::Connect)
        } else if expected.contains('|') {
            let chosen = CHOSEN.iter().find(|(row, _)| *row == id).map(|(_, chosen)| *chosen);
            assert!(chosen.is_none_or(|chosen| expected.split('|').any(|choice| choice == chosen)), "{id}");
            chosen.unwrap_or("to be chosen").to_owned()
        } else {
            expected.to_owned()
        };
        if got != wanted {
            wrong.push(format!("{id} {input}: {got}, wanted {wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 150, "{seen}");
}

/// Whole targets, not authorities: reading them belongs to the HTTP parser, and its tests run these rows.
const OF_THE_HTTP_PARSER: &[&str] = &["absolute", "scheme", "host-header"];

#[test]
fn every_absolute_target_of_the_corpus_is_decided_as_a_tunnel_would_be() {
    let set = corpus_policy();
    for row in rows(HOSTS).iter().filter(|row| row[2] != "connect") {
        let (id, category, input, expected) = (row[0], row[1], row[3], row[4]);
        assert!(OF_THE_HTTP_PARSER.contains(&category), "{id}: a category that nobody runs");
        // What is left for policy are the targets that are well formed.
        let target = expected.strip_prefix("SAME:").unwrap_or(input);
        let wanted = if expected.starts_with("SAME:") { "ALLOW" } else { expected };
        if row[2] != "absolute" || !matches!(wanted, "ALLOW" | "BLOCK403") {
            continue;
        }
        let authority = target.strip_prefix("http://").unwrap().split('/').next().unwrap();
        let authority = Authority::parse_with_default(authority.as_bytes(), 80);
        assert_eq!(outcome(&set, authority, Protocol::Http), wanted, "{id} {input}");
    }
}

#[test]
fn every_special_range_is_on_the_floor_from_its_first_to_its_last_address() {
    let rows = rows(RANGES);
    let blocks: Vec<ipnet::IpNet> = rows.iter().filter_map(|row| row[1].parse().ok()).collect();
    let mut seen = 0;
    for row in &rows {
        if row[0] == "dyn" {
            // Addresses of this machine, not of a registry: the tests of `address` hold them to the floor.
            assert_eq!(row[6], "", "{row:?}");
            continue;
        }
        assert!(row[5].starts_with("DENY"), "a row that is not a denial: {row:?}");
        for ip in [row[6], row[7]] {
            let ip: IpAddr = ip.parse().unwrap_or_else(|_| panic!("{row:?}"));
            assert!(classify(ip).class.on_floor(), "{} {ip}", row[1]);
            seen += 1;
        }
        for ip in [row[8], row[9]] {
            // A neighbour is public unless it lies in another row, or outside of IPv6's global unicast.
            let Ok(ip) = ip.parse::<IpAddr>() else { continue };
            let elsewhere = blocks.iter().any(|block| block.contains(&crate::address::unmap(ip)));
            let unicast = match crate::address::unmap(ip) {
                IpAddr::V4(_) => true,
                IpAddr::V6(v6) => v6.segments()[0] >> 13 == 1,
            };
            assert_eq!(classify(ip).class == Class::Global, unicast && !elsewhere, "{} beside {}", ip, row[1]);
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen}");
}
