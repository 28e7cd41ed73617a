//! Every row of `identity.tsv`: pinned by a test of this crate, or the reason why it is not for this crate.

use std::collections::BTreeMap;

use super::{clients, listener, names, revocation, weak};

const ROWS: &str = include_str!("../../../tests/corpus/identity.tsv");

/// Where a row is pinned.
enum Pinned {
    /// By these tests; naming the functions keeps them from vanishing.
    Here(&'static [fn()]),
    /// By the part of the gateway that decides on a request.
    Proxy,
    /// By the TLS library, which lacks the feature: nothing can turn it on.
    Library(&'static str),
    /// Not built yet.
    NotBuilt(&'static str),
}

use Pinned::{Here, Library, NotBuilt, Proxy};

const JWT: Pinned = NotBuilt("signed tokens");

const PINS: &[(&str, Pinned)] = &[
    (
        "I001",
        Here(&[
            clients::without_a_certificate_there_is_no_handshake_where_one_is_required,
            clients::without_a_certificate_there_is_no_subject_where_one_is_optional,
        ]),
    ),
    // Whether what is open outlives its certificate is for the proxy.
    ("I002", Here(&[clients::an_expired_certificate_is_refused])),
    ("I003", Here(&[clients::a_certificate_of_the_future_is_refused])),
    ("I005", Here(&[clients::a_self_signed_certificate_is_refused])),
    // This crate hands out `SpiffeId::trust_domain`; which ones are trusted is configuration.
    ("I007", Proxy),
    // Accepted.
    ("I009", Here(&[clients::a_certificate_without_extended_key_usage_is_let_in])),
    ("I010", Here(&[clients::an_authority_is_no_client])),
    ("I012", Here(&[clients::a_leaf_signs_nobody])),
    ("I016", Here(&[names::a_uri_of_another_scheme_is_no_identity])),
    ("I017", Here(&[names::a_trust_domain_alone_is_no_workload])),
    ("I019", Here(&[names::no_path_is_normalised])),
    ("I020", Here(&[names::percent_encoding_is_no_spelling_of_a_path])),
    ("I022", Here(&[names::a_nul_does_not_end_an_id])),
    ("I023", Here(&[names::an_id_of_2049_bytes_is_refused_and_shown_short])),
    ("I024", Here(&[names::an_id_in_a_name_of_another_kind_is_no_id])),
    ("I025", Here(&[names::a_cn_alone_names_nobody])),
    ("I026", Here(&[names::a_wildcard_names_no_single_host])),
    (
        "I027",
        Here(&[
            clients::an_authority_with_constraints_on_uris_vouches_for_no_uri,
            clients::constraints_on_dns_names_are_enforced_and_leave_other_names_alone,
        ]),
    ),
    ("I029", Here(&[clients::a_cn_outside_the_constraints_names_nobody])),
    ("I034", Here(&[revocation::every_distribution_point_of_a_certificate_counts])),
    // The last good list stays in force, and the failed reload is the alarm.
    (
        "I036",
        Here(&[
            revocation::a_list_that_somebody_else_signed_is_not_loaded,
            revocation::a_forged_list_of_an_intermediate_admits_nobody,
            super::files::a_bad_reload_keeps_the_last_good_configuration,
        ]),
    ),
    ("I039", Here(&[clients::authorities_of_one_name_are_tried_within_bounds])),
    ("I040", Here(&[clients::a_chain_longer_than_the_limit_is_refused_unread])),
    (
        "I041",
        Here(&[
            weak::an_authority_with_an_rsa_key_of_1024_bits_is_not_loaded,
            weak::a_client_with_an_rsa_key_of_1024_bits_is_refused,
            weak::a_sha1_signature_is_refused,
            weak::an_ed448_signature_is_refused,
        ]),
    ),
    ("I043", Here(&[listener::a_second_hello_changes_nothing_and_a_third_ends_the_connection])),
    (
        "I044",
        Library("rustls has no post-handshake authentication: it sends no CertificateRequest after the handshake"),
    ),
    ("I045", Here(&[listener::early_data_is_never_taken])),
    ("I046", Here(&[listener::a_name_that_the_certificate_does_not_bear_is_refused])),
    ("I047", Proxy),
    ("I049", NotBuilt("PROXY protocol")),
    ("I051", JWT),
    ("I053", JWT),
    ("I054", JWT),
    ("I055", JWT),
    ("I057", JWT),
    ("I058", JWT),
    ("I060", JWT),
    ("I061", JWT),
    ("I062", JWT),
    ("I063", JWT),
    ("I065", JWT),
    ("I067", JWT),
    ("I068", JWT),
    ("I069", Proxy),
    ("I070", Proxy),
    ("I071", Proxy),
];

#[test]
fn every_row_of_the_identity_corpus_is_pinned_or_says_who_pins_it() {
    let mut rows = ROWS.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(rows.next().and_then(|head| head.split('\t').next()), Some("id"));
    let rows: Vec<&str> = rows.filter_map(|line| line.split('\t').next()).collect();
    let pins: BTreeMap<&str, &Pinned> = PINS.iter().map(|(id, pin)| (*id, pin)).collect();
    assert_eq!(pins.len(), PINS.len(), "a row is pinned twice");
    assert_eq!(rows, pins.keys().copied().collect::<Vec<_>>());
    for (id, pin) in pins {
        match pin {
            Here(tests) => assert!(!tests.is_empty(), "{id}"),
            Library(why) | NotBuilt(why) => assert!(!why.is_empty(), "{id}"),
            Proxy => {}
        }
    }
}
