//! Every row of `identity.tsv`, and who holds it to its one outcome.

use std::collections::BTreeMap;

use gatepass_tests::corpus::rows;

use super::{certificates, handshakes, tokens};

/// Where a row is pinned.
enum Pinned {
    /// By these tests of this suite; naming the functions keeps them from vanishing.
    Here(&'static [fn()]),
    /// By the tests of the crate that reads certificates, which has its own table of these rows.
    Certificates,
    /// Not built yet.
    NotBuilt(&'static str),
}

use Pinned::{Certificates, Here, NotBuilt};

const JWT: Pinned = NotBuilt("signed tokens");

fn pins() -> Vec<(&'static str, Pinned)> {
    let of_certificates = [
        "I009", "I010", "I012", "I020", "I022", "I023", "I026", "I027", "I029", "I034", "I036", "I039", "I040", "I041",
        "I043", "I044", "I045", "I046",
    ];
    let signed =
        ["I051", "I053", "I054", "I055", "I057", "I058", "I060", "I061", "I062", "I063", "I065", "I067", "I068"];
    let mut pins = vec![
        ("I001", Here(&[handshakes::without_a_certificate_nobody_enters_where_one_is_required])),
        (
            "I002",
            Here(&[
                handshakes::an_expired_certificate_is_refused_at_the_handshake_required_or_not,
                certificates::a_certificate_that_ends_on_an_open_connection_admits_no_further_request,
            ]),
        ),
        ("I003", Here(&[handshakes::a_certificate_of_the_future_is_refused_at_the_handshake])),
        ("I005", Here(&[handshakes::a_self_signed_certificate_is_refused_at_the_handshake])),
        ("I007", Here(&[certificates::another_trust_domain_is_refused_whatever_the_rules_say])),
        ("I016", Here(&[certificates::a_certificate_that_names_nobody_or_several_is_no_identity])),
        ("I017", Here(&[certificates::a_certificate_that_names_nobody_or_several_is_no_identity])),
        ("I019", Here(&[certificates::a_certificate_that_names_nobody_or_several_is_no_identity])),
        ("I024", Here(&[certificates::a_certificate_that_names_nobody_or_several_is_no_identity])),
        ("I025", Here(&[certificates::a_certificate_that_names_nobody_or_several_is_no_identity])),
        (
            "I047",
            Here(&[
                certificates::what_a_client_says_of_its_certificate_in_a_header_counts_for_nothing,
                crate::plain_http::what_belongs_to_one_hop_or_to_the_gateway_does_not_go_on,
            ]),
        ),
        ("I049", NotBuilt("PROXY protocol")),
        ("I069", Here(&[tokens::credentials_twice_or_with_control_bytes_or_too_long_are_malformed])),
        ("I070", Here(&[tokens::the_answer_to_a_wrong_token_does_not_tell_how_wrong_it_is])),
        ("I071", Here(&[certificates::a_token_beside_a_certificate_is_refused_even_if_both_are_good])),
    ];
    pins.extend(of_certificates.map(|id| (id, Certificates)));
    pins.extend(signed.map(|id| (id, JWT)));
    pins
}

#[test]
fn every_row_of_the_identity_corpus_is_pinned_or_says_why_not() {
    let rows = rows(include_str!("../../../corpus/identity.tsv"));
    let known = pins();
    let pins: BTreeMap<&str, &Pinned> = known.iter().map(|(id, pin)| (*id, pin)).collect();
    assert_eq!(pins.len(), known.len(), "a row is pinned twice");
    assert_eq!(rows.iter().map(|row| row.get("id")).collect::<Vec<_>>(), pins.keys().copied().collect::<Vec<_>>());
    for (id, pin) in pins {
        match pin {
            Here(tests) => assert!(!tests.is_empty(), "{id}"),
            NotBuilt(why) => assert!(!why.is_empty(), "{id}"),
            Certificates => {}
        }
    }
}
